//! The language of `wire cat`, a statement a line: what it says, without knowing yet what its names stand for.
//!
//! `docs/WIRE.md` describes it. What frames consist of comes from the frame table, so every frame can be sent and
//! expected by its name. How a frame's bytes are made is `build.rs`.

use crate::cli::duration;
use chatwire_codec::{FRAMES, FrameInfo};
use std::time::Duration;

/// One line's meaning.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// Send a frame.
    Frame { info: &'static FrameInfo, given: Vec<(String, Written)> },
    /// Send these bytes, whatever they are.
    Raw(Vec<u8>),
    /// Wait for a frame.
    Expect(Expect),
    /// Wait, and let nothing come; or nothing of this type.
    Quiet { time: Duration, kind: Option<u8> },
    /// Give a name to a value.
    Set { name: String, value: Written },
    /// Do nothing for a while.
    Pause(Duration),
    /// How long every `expect` from here on waits.
    Timeout(Duration),
    /// Go on with the connection of that name, which is made if it is not there yet.
    As(String),
    /// End the sending side.
    Close,
    /// Say what can be said.
    Help,
}

/// What is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub what: Awaited,
    /// It has to be the very next frame.
    pub is_next: bool,
    pub conditions: Vec<Condition>,
    /// Fields whose values get names.
    pub captures: Vec<(String, String)>,
    pub within: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    Frame(&'static FrameInfo),
    /// The end of the connection.
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub path: String,
    pub op: Op,
    pub value: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Is,
    IsNot,
    Contains,
    Less,
    More,
}

impl Op {
    const ALL: [(&'static str, Op); 5] =
        [("!=", Op::IsNot), ("=", Op::Is), ("~", Op::Contains), ("<", Op::Less), (">", Op::More)];

    pub(crate) fn sign(self) -> &'static str {
        Op::ALL.iter().find(|(_, op)| *op == self).map_or("", |(sign, _)| sign)
    }
}

/// A value as it stands in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// As it stands.
    Plain(String),
    /// In quotes, escapes resolved.
    Quoted(Vec<u8>),
    /// `@file`: what the file holds.
    File(String),
    /// `$name`.
    Variable(String),
}

/// Words that are no frames.
pub(crate) const COMMANDS: &[&str] =
    &["expect", "next", "quiet", "set", "pause", "timeout", "as", "close", "raw", "help"];

/// Reads a line; `None` if there is nothing on it.
pub(crate) fn parse(line: &str) -> Result<Option<Statement>, String> {
    let line = line.trim_start().trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let words = || words(rest);
    let only = || match &words()?[..] {
        [word] => Ok(word.clone()),
        _ => Err(format!("`{word}` takes one word")),
    };
    Ok(Some(match word {
        "raw" => Statement::Raw(unhex(rest.split('#').next().unwrap_or_default())?),
        "expect" | "next" => Statement::Expect(expect(&words()?, word == "next")?),
        "quiet" => quiet(&words()?)?,
        "set" => {
            let word = only()?;
            let (name, value) = word.split_once('=').ok_or("write `set name=value`")?;
            Statement::Set { name: name.trim_start_matches('$').into(), value: written(value)? }
        }
        "pause" => Statement::Pause(duration(&only()?)?),
        "timeout" => Statement::Timeout(duration(&only()?)?),
        "as" => Statement::As(only()?),
        "close" => Statement::Close,
        "help" => Statement::Help,
        name => frame(frame_named(name)?, rest)?,
    }))
}

/// The frame of that name, in any case.
pub(crate) fn frame_named(name: &str) -> Result<&'static FrameInfo, String> {
    let found = FRAMES.iter().find(|info| info.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("no frame and no command is named `{name}`; `help` lists them"))
}

/// Whether all that a frame consists of is one run of bytes, which then needs no name.
pub(crate) fn is_one_value(info: &FrameInfo) -> bool {
    matches!(info.fields, [field] if matches!(field.ty, "text" | "rest"))
}

fn frame(info: &'static FrameInfo, rest: &str) -> Result<Statement, String> {
    if let ([field], true) = (info.fields, is_one_value(info)) {
        let given = match rest {
            "" => Vec::new(),
            rest => vec![(field.name.to_string(), written(rest)?)],
        };
        return Ok(Statement::Frame { info, given });
    }
    let given = words(rest)?.into_iter().map(|word| {
        let (path, value) = word
            .split_once('=')
            .ok_or_else(|| format!("`{word}`: write field=value; {} has {}", info.name, names_of(info)))?;
        Ok((full(path), written(value)?))
    });
    Ok(Statement::Frame { info, given: given.collect::<Result<_, String>>()? })
}

/// The names of a frame's fields, for an error.
pub(crate) fn names_of(info: &FrameInfo) -> String {
    let names: Vec<&str> =
        info.fields.iter().map(|f| if f.ty == "said" { "text, voice" } else { f.name }).collect();
    if names.is_empty() { "no fields".into() } else { names.join(", ") }
}

/// Short names of fields that are typed often.
fn full(path: &str) -> String {
    match path {
        "tz" => "timezone".into(),
        path => path.into(),
    }
}

fn expect(words: &[String], is_next: bool) -> Result<Expect, String> {
    let (name, rest) = words.split_first().ok_or("say what to expect: a frame's name, or `end`")?;
    let what = match name.as_str() {
        "end" => Awaited::End,
        name => Awaited::Frame(frame_named(name)?),
    };
    let (mut conditions, mut captures, mut within) = (Vec::new(), Vec::new(), None);
    for word in rest {
        if let Some((path, name)) = word.split_once("->").filter(|(path, _)| !path.contains(['=', '~', '"']))
        {
            captures.push((full(path), name.trim_start_matches('$').into()));
        } else if let Some(time) = word.strip_prefix("within=") {
            within = Some(duration(time)?);
        } else {
            conditions.push(condition(what, word)?);
        }
    }
    if what == Awaited::End && !(conditions.is_empty() && captures.is_empty()) {
        return Err("the end of a connection has no fields".into());
    }
    Ok(Expect { what, is_next, conditions, captures, within })
}

/// `field=value`; of a frame that is one value, the value alone.
fn condition(what: Awaited, word: &str) -> Result<Condition, String> {
    let at = word.find(['=', '!', '~', '<', '>', '"']).unwrap_or(word.len());
    let has_no_sign = word.find(['=', '!', '~', '<', '>']).is_none_or(|sign| sign > at);
    if let Awaited::Frame(info) = what
        && let ([field], true) = (info.fields, has_no_sign && is_one_value(info))
    {
        return Ok(Condition { path: field.name.into(), op: Op::Is, value: written(word)? });
    }
    let (path, rest) = word.split_at(at);
    let found = Op::ALL.iter().find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (*op, value)));
    let (op, value) =
        found.ok_or_else(|| format!("`{word}`: write field=value, !=, ~ (contains), <, > or field->name"))?;
    Ok(Condition { path: full(path), op, value: written(value)? })
}

fn quiet(words: &[String]) -> Result<Statement, String> {
    let (time, name) = match words {
        [time] => (time, None),
        [time, name] => (time, Some(name)),
        _ => return Err("write `quiet 500ms`, or `quiet 500ms text`".into()),
    };
    let kind = name.map(|name| frame_named(name)).transpose()?.map(|info| info.kind);
    Ok(Statement::Quiet { time: duration(time)?, kind })
}

/// Splits at white space outside of quotes, up to a word that begins with `#`.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_escaped) = (false, false);
    for c in text.chars() {
        match c {
            '#' if word.is_empty() && !is_quoted => break,
            c if c.is_whitespace() && !is_quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        word.push(c);
    }
    if is_quoted {
        return Err("a quote is not closed".into());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

fn written(text: &str) -> Result<Written, String> {
    if let Some(inside) = text.strip_prefix('"') {
        let inside = inside.trim_end().strip_suffix('"').ok_or("a quote is not closed")?;
        return unescaped(inside).map(Written::Quoted);
    }
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some(path) = text.strip_prefix('@') {
        return Ok(Written::File(path.trim_end().into()));
    }
    match text.strip_prefix('$').filter(|name| is_name(name)) {
        Some(name) => Ok(Written::Variable(name.into())),
        None => Ok(Written::Plain(text.into())),
    }
}

/// Resolves `\n`, `\r`, `\t`, `\0`, `\\`, `\"`, `\'`, `\xNN` (one byte, whatever becomes of the text) and `\u{…}`.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"']) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at..].strip_prefix('\\').ok_or("a quote inside of quotes is written \\\"")?;
        let letter = escape.chars().next().ok_or("a quote is not closed")?;
        rest = &escape[letter.len_utf8()..];
        match letter {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' | '"' | '\'' => bytes.push(letter as u8),
            'x' => {
                let digits = rest.get(..2).ok_or("\\x takes two hex digits")?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "\\x takes two hex digits")?);
                rest = &rest[2..];
            }
            'u' => {
                let (digits, behind) =
                    rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or("write \\u{1f600}")?;
                let number = u32::from_str_radix(digits, 16).map_err(|_| "write \\u{1f600}")?;
                let c = char::from_u32(number).ok_or_else(|| format!("{number:#x} is no character"))?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            other => return Err(format!("\\{other} means nothing")),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Bytes of hex digits, with white space wherever it is, and `0x` or `:` as others write them.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ':') {
        for c in word.strip_prefix("0x").unwrap_or(word).chars() {
            let digit = c.to_digit(16).ok_or_else(|| format!("`{c}` in `{word}` is no hex digit"))?;
            digits.push(u8::try_from(digit).unwrap_or_default());
        }
    }
    if digits.len() % 2 == 1 {
        return Err("a hex digit is missing: bytes have two each".into());
    }
    Ok(digits.chunks_exact(2).map(|two| two[0] << 4 | two[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::{Op, Statement, Written, parse, unhex};

    fn given(line: &str) -> Vec<(String, Written)> {
        match parse(line) {
            Ok(Some(Statement::Frame { given, .. })) => given,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_frame_of_one_value_takes_the_rest_of_the_line() {
        let value = |line| given(line)[0].1.clone();
        assert_eq!(
            value("text hi there, a=b # no remark"),
            Written::Plain("hi there, a=b # no remark".into())
        );
        assert_eq!(value(r#"text "a\n\x00\u{e9}""#), Written::Quoted(b"a\n\0\xc3\xa9".to_vec()));
        assert_eq!(value("text $5"), Written::Variable("5".into()));
        assert_eq!(value("text $ 5"), Written::Plain("$ 5".into()));
        assert_eq!(value("voice @a b.mp3"), Written::File("a b.mp3".into()));
        assert_eq!(given("ping"), []);
    }

    #[test]
    fn other_frames_take_fields_and_remarks() {
        let fields = given(r#"hello tz=Asia/Tokyo user="a \"b\" # c"  # remark"#);
        assert_eq!(fields[0], ("timezone".into(), Written::Plain("Asia/Tokyo".into())));
        assert_eq!(fields[1], ("user".into(), Written::Quoted(b"a \"b\" # c".to_vec())));
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn an_expectation_has_conditions_captures_and_a_time() {
        let line = r#"expect status seq>1 nonce!=$n chat->c within=2s user_name~"a b""#;
        let Ok(Some(Statement::Expect(expect))) = parse(line) else { panic!("{line}") };
        let ops: Vec<Op> = expect.conditions.iter().map(|condition| condition.op).collect();
        assert_eq!(ops, [Op::More, Op::IsNot, Op::Contains]);
        assert_eq!(expect.captures, [("chat".to_string(), "c".to_string())]);
        assert_eq!(expect.within.map(|time| time.as_secs()), Some(2));
    }

    #[test]
    fn of_a_frame_of_one_value_the_value_is_condition_enough() {
        for line in ["expect text hi", "next text \"hi\"", "expect text text=hi"] {
            let Ok(Some(Statement::Expect(expect))) = parse(line) else { panic!("{line}") };
            assert_eq!(
                (expect.conditions[0].path.as_str(), expect.conditions[0].op),
                ("text", Op::Is),
                "{line}"
            );
        }

        assert!(parse("expect status hi").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for line in [
            "foo",
            "hello tz",
            "expect",
            "expect status seq",
            "raw 0",
            "raw zz",
            "text \"a",
            "set a",
            "quiet x",
            "expect end a=1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn hex_may_be_written_as_it_is_found() {
        for hex in [
            "00 00000002 6869",
            "000000000 26869",
            "0x00 0x00 0x00 0x00 0x02 0x68 0x69",
            "00:00:00:00:02:68:69",
        ] {
            assert_eq!(unhex(hex).as_deref(), Ok(&b"\0\0\0\0\x02hi"[..]), "{hex}");
        }
    }
}
