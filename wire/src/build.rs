//! The bytes of a frame from its name and the values that were given, after the frame table.
//!
//! What is not given is left out where the page allows it: a payload ends behind the last field that was given or that
//! is required. Values are not checked beyond what their bytes can say, since sending what is wrong is what some scripts
//! are for.

use crate::form;
use crate::language::{Written, names_of, unhex};
use crate::seen::Val;
use chatwire_codec::dump::number_named;
use chatwire_codec::{Direction, FieldInfo, FrameInfo, frame, header};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;

/// A frame that is ready to go. A large file is not in memory.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub bytes: Vec<u8>,
    /// What follows `bytes`: this many bytes of a file.
    pub body: Option<(File, u64)>,
}

/// The values that have names.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    names: HashMap<String, Val>,
    req: u32,
}

impl Scope {
    pub(crate) fn set(&mut self, name: &str, value: Val) {
        self.names.insert(name.into(), value);
    }

    fn look_up(&self, name: &str) -> Result<&Val, String> {
        self.names.get(name).ok_or_else(|| format!("${name} has no value yet"))
    }

    /// What is written for a field of type `ty`, as a value.
    pub(crate) fn value(&self, written: &Written, field: &FieldInfo, ty: &str) -> Result<Val, String> {
        let text = |text: Vec<u8>| Val::Bytes(text);
        Ok(match (written, ty) {
            (Written::Variable(name), _) => match (self.look_up(name)?, ty) {
                (Val::Text(word), "u8" | "u16" | "u32" | "u64" | "i64") => number(word, field, ty)?,
                (value, _) => value.clone(),
            },
            (Written::File(path), _) => {
                text(std::fs::read(path).map_err(|error| format!("{path}: {error}"))?)
            }
            (Written::Quoted(bytes), "u8" | "u16" | "u32" | "u64" | "i64") => {
                number(&String::from_utf8_lossy(bytes), field, ty)?
            }
            (Written::Quoted(bytes), _) => text(bytes.clone()),
            (Written::Plain(word), "u8" | "u16" | "u32" | "u64" | "i64") => number(word, field, ty)?,
            (Written::Plain(word), "id32") => text(unhex(word.strip_prefix('x').unwrap_or(word))?),
            (Written::Plain(word), "rest") => {
                let hex = word.strip_prefix('x').map(unhex);
                text(hex.and_then(Result::ok).unwrap_or_else(|| word.clone().into_bytes()))
            }
            (Written::Plain(word), _) => text(word.clone().into_bytes()),
        })
    }

    /// What is written for a variable, which has no type.
    pub(crate) fn untyped(&self, written: &Written) -> Result<Val, String> {
        Ok(match written {
            Written::Plain(word) => word.parse().map_or_else(|_| Val::Text(word.clone()), Val::Unsigned),
            Written::Quoted(bytes) => {
                String::from_utf8(bytes.clone()).map_or_else(|_| Val::Bytes(bytes.clone()), Val::Text)
            }
            Written::File(path) => {
                Val::Bytes(std::fs::read(path).map_err(|error| format!("{path}: {error}"))?)
            }
            Written::Variable(name) => self.look_up(name)?.clone(),
        })
    }
}

/// A number, or a word that the table or section 8 of the page has for one.
fn number(word: &str, field: &FieldInfo, ty: &str) -> Result<Val, String> {
    if ty == "i64" {
        return word.parse().map(Val::Signed).map_err(|_| format!("{}: `{word}` is no number", field.name));
    }
    let hex = word.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let number = hex.or_else(|| word.parse().ok()).or_else(|| number_named(field, word));
    number
        .map(Val::Unsigned)
        .ok_or_else(|| format!("{}: `{word}` is no number, and no word that stands for one", field.name))
}

/// Makes a frame's bytes. A request that has no `req` gets the next one, which `$req` then is.
pub(crate) fn build(
    info: &'static FrameInfo,
    given: &[(String, Written)],
    scope: &mut Scope,
) -> Result<Outgoing, String> {
    if let (frame::kind::VOICE..=frame::kind::FILE, [(_, Written::File(path))]) = (info.kind, given) {
        return from_file(info.kind, path);
    }
    let given = given.iter().map(|(path, written)| (path.clone(), written.clone())).collect();
    let mut builder = Builder { given, used: HashSet::new(), scope, info };
    builder.fill_in();
    let payload = builder.payload("", info.fields);
    // A field that there is not goes first: what is missing is most often what it should have been.
    if let Some(path) = builder.unknown(payload.is_ok()) {
        return Err(format!("{} has no field `{path}`; it has {}", info.name, names_of(info)));
    }
    let payload = payload?;
    let size = u32::try_from(payload.len()).map_err(|_| "the payload is over 4 GiB")?;
    Ok(Outgoing { bytes: [&header(info.kind, size)[..], &payload].concat(), body: None })
}

fn from_file(kind: u8, path: &str) -> Result<Outgoing, String> {
    let told = |error: std::io::Error| format!("{path}: {error}");
    let file = File::open(path).map_err(told)?;
    let len = file.metadata().map_err(told)?.len();
    let size = u32::try_from(len).map_err(|_| format!("{path}: over 4 GiB"))?;
    Ok(Outgoing { bytes: header(kind, size).to_vec(), body: Some((file, len)) })
}

struct Builder<'s> {
    given: BTreeMap<String, Written>,
    used: HashSet<String>,
    scope: &'s mut Scope,
    info: &'static FrameInfo,
}

impl Builder<'_> {
    /// What nobody wants to type: HELLO's version and zone, and the number of a request.
    fn fill_in(&mut self) {
        if self.info.kind == frame::kind::HELLO {
            self.put("version", "1");
            self.put("timezone", "UTC");
        }
        let is_request = self.info.fields.first().is_some_and(|field| field.name == "req");
        if is_request && self.info.direction == Direction::ToServer {
            if !self.given.contains_key("req") {
                self.scope.req += 1;
                self.put("req", &self.scope.req.to_string());
            }
            if let Ok(req) = self.scope.value(&self.given["req"], &self.info.fields[0], "u32") {
                self.scope.set("req", req);
            }
        }
    }

    fn put(&mut self, path: &str, value: &str) {
        self.given.entry(path.into()).or_insert_with(|| Written::Plain(value.into()));
    }

    /// A field that was given and is none. Inside of lists that is known when all fields are written.
    fn unknown(&self, is_written: bool) -> Option<&str> {
        let is_known = |path: &str| {
            let name = path.split('.').next().unwrap_or_default();
            self.info.fields.iter().any(|field| match field.ty {
                "said" => ["text", "voice", "text_size", "voice_size"].contains(&name),
                _ => field.name == name,
            })
        };
        let given = self.given.keys().map(String::as_str);
        given.into_iter().find(|path| !is_known(path) || is_written && !self.used.contains(*path))
    }

    /// The fields up to the last one that is required or given. `at` is where they stand: `rooms.0.`, or nothing.
    fn payload(&mut self, at: &str, fields: &'static [FieldInfo]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let last = fields.iter().rposition(|field| field.required || self.is_given(at, field));
        for field in &fields[..last.map_or(0, |last| last + 1)] {
            self.field(at, field, &mut out)?;
        }
        Ok(out)
    }

    fn is_given(&self, at: &str, field: &FieldInfo) -> bool {
        let path = format!("{at}{}", field.name);
        let is_below = |given: &str| given.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'));
        self.given.keys().any(|given| *given == path || is_below(given))
    }

    fn field(&mut self, at: &str, field: &'static FieldInfo, out: &mut Vec<u8>) -> Result<(), String> {
        let path = format!("{at}{}", field.name);
        match field.ty.split('[').next().unwrap_or_default() {
            "said" => return self.said(at, field, out),
            "list" => return self.list(&path, field, true, out),
            "items" => return self.list(&path, field, false, out),
            _ => {}
        }
        let value = self.take(&path, field, field.ty)?;
        if value.is_none() && field.required && at.is_empty() {
            return Err(format!("{} needs {path}=", self.info.name));
        }
        let value = value.unwrap_or_else(|| Val::empty(field.ty));
        write(field, field.ty, &value, out).map_err(|error| format!("{path}: {error}"))
    }

    fn take(&mut self, path: &str, field: &FieldInfo, ty: &str) -> Result<Option<Val>, String> {
        let Some(written) = self.given.get(path) else { return Ok(None) };
        self.used.insert(path.into());
        self.scope.value(written, field, ty).map(Some)
    }

    /// Two sizes, which may be given to be wrong, then text and voice.
    fn said(&mut self, at: &str, field: &'static FieldInfo, out: &mut Vec<u8>) -> Result<(), String> {
        let mut part = |name: &str, ty: &str| self.take(&format!("{at}{name}"), field, ty);
        let (text, voice) = (part("text", "text")?, part("voice", "rest")?);
        let (text, voice) = (bytes_of(text), bytes_of(voice));
        for (name, len) in [("text_size", text.len()), ("voice_size", voice.len())] {
            let size = part(name, "u32")?.unwrap_or(Val::Unsigned(len as u64));
            write(field, "u32", &size, out)?;
        }
        out.extend([text, voice].concat());
        Ok(())
    }

    fn list(
        &mut self,
        path: &str,
        field: &'static FieldInfo,
        is_counted: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let inside = format!("{path}.");
        let numbers = self
            .given
            .keys()
            .filter_map(|given| given.strip_prefix(&inside)?.split('.').next()?.parse::<usize>().ok());
        let items = numbers.max().map_or(0, |last| last + 1);
        if items > usize::from(u16::MAX) {
            return Err(format!("{path}: a list has at most 65,535 items"));
        }
        let count = self.take(path, field, "u16")?.unwrap_or(Val::Unsigned(items as u64));
        if is_counted {
            write(field, "u16", &count, out)?;
        }
        for n in 0..items {
            let item = self.payload(&format!("{inside}{n}."), field.items)?;
            write(field, "u16", &Val::Unsigned(item.len() as u64), out)?;
            out.extend(item);
        }
        Ok(())
    }
}

/// A value as the bytes of a text or body.
fn bytes_of(value: Option<Val>) -> Vec<u8> {
    match value {
        None => Vec::new(),
        Some(Val::Bytes(bytes)) => bytes,
        Some(Val::Text(text)) => text.into_bytes(),
        Some(number) => form::value(&number).into_bytes(),
    }
}

fn write(field: &FieldInfo, ty: &str, value: &Val, out: &mut Vec<u8>) -> Result<(), String> {
    let width = match ty {
        "u8" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" | "i64" => 8,
        _ => 0,
    };
    if width > 0 {
        let number = match (value, ty) {
            (Val::Signed(n), _) => n.to_be_bytes(),
            (Val::Unsigned(n), _) if width == 8 || *n < 1 << (8 * width) => n.to_be_bytes(),
            (Val::Unsigned(n), _) => return Err(format!("{n} does not fit into {ty}")),
            (other, _) => {
                return Err(format!("{} is a number, and {} is none", field.name, form::value(other)));
            }
        };
        out.extend_from_slice(&number[8 - width..]);
        return Ok(());
    }
    let bytes = bytes_of(Some(value.clone()));
    let too_long = |most: usize| format!("{} bytes; {ty} holds {most}", bytes.len());
    match ty {
        "id32" if bytes.is_empty() => out.extend_from_slice(&[0; 32]),
        "id32" if bytes.len() != 32 => return Err(format!("{} bytes; id32 has 32", bytes.len())),
        "str8" => out.push(u8::try_from(bytes.len()).map_err(|_| too_long(255))?),
        "str16" => {
            let len = u16::try_from(bytes.len()).map_err(|_| too_long(65_535))?;
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {}
    }
    out.extend_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Scope, build};
    use crate::form;
    use crate::language::{Statement, Written, frame_named, parse};
    use crate::seen::{Collector, Seen};
    use chatwire_codec::dump::{Item, Sender, Tracer};
    use chatwire_codec::{FRAMES, Limits, header};

    fn bytes(line: &str, scope: &mut Scope) -> Result<Vec<u8>, String> {
        match parse(line)? {
            Some(Statement::Frame { info, given }) => build(info, &given, scope).map(|frame| frame.bytes),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn hex(line: &str) -> String {
        form::hex(&bytes(line, &mut Scope::default()).unwrap())
    }

    #[test]
    fn a_frame_ends_behind_the_last_field_that_is_given_or_required() {
        assert_eq!(hex("hello tz=Asia/Tokyo"), "x200000000c010a417369612f546f6b796f");
        assert_eq!(hex("to nonce=1"), "x30000000080000000000000001");
        assert_eq!(hex("to"), "x3000000000");
        assert_eq!(hex("text hi"), "x00000000026869");
    }

    #[test]
    fn requests_are_numbered_and_the_number_has_a_name() {
        let mut scope = Scope::default();
        assert!(bytes("join room=a", &mut scope).unwrap().ends_with(b"\0\0\0\x01\x01a"));
        assert!(bytes("join room=a", &mut scope).unwrap().ends_with(b"\0\0\0\x02\x01a"));
        assert!(bytes("cancel transfer=$req req=9", &mut scope).unwrap().ends_with(b"\0\0\0\x09\0\0\0\x09"));
    }

    #[test]
    fn words_stand_for_numbers_where_the_table_lists_them() {
        assert_eq!(hex("hello auth=register"), hex("hello auth=3"));
        assert_eq!(hex("bye code=not_found"), hex("bye code=404"));
        assert_eq!(hex(r#"bye code="shutting down""#), hex("bye code=1"));
    }

    #[test]
    fn what_the_table_does_not_allow_is_told() {
        let error = |line| bytes(line, &mut Scope::default()).unwrap_err();
        assert!(error("join flags=1").contains("JOIN needs room="));
        assert!(error("join rom=a").contains("JOIN has no field `rom`; it has req, room, flags"));
        assert!(error("join room=a rom=b").contains("JOIN has no field `rom`; it has req, room, flags"));
        assert!(error("bye code=70000").contains("does not fit"));
        assert!(error("typing chat=$c on=1").contains("$c has no value yet"));
        assert!(error(&format!("join room={}", "a".repeat(256))).contains("str8 holds 255"));
    }

    /// What is shown as a line can be sent as one: of every frame in the vectors that can be written canonically.
    #[test]
    fn every_frame_is_built_from_its_own_line() {
        let text = include_str!("../../codec/vectors/frames.txt");
        let mut names = std::collections::HashSet::new();
        for block in
            text.split("\n\n").filter(|block| block.contains("canonical yes") || block.contains("\nbody "))
        {
            let hex: String = block.lines().filter_map(|line| line.strip_prefix("hex ")).collect();
            let bytes = crate::language::unhex(&hex).unwrap();
            let sender = if block.contains("to client") { Sender::Server } else { Sender::Client };
            let seen = seen(sender, &bytes);
            // What is too long to be shown whole cannot be sent as it is shown.
            if form::line(&seen).contains("…(") && seen.body.is_none() {
                continue;
            }
            let built = rebuilt(&seen);
            assert_eq!(form::hex(&built), form::hex(&bytes), "{}", form::line(&seen));
            names.insert(seen.name());
        }
        assert_eq!(names.len(), FRAMES.len());
    }

    fn seen(sender: Sender, bytes: &[u8]) -> Seen {
        let (mut collector, mut seen) = (Collector::default(), None);
        Tracer::midway(sender, Limits::default())
            .feed(bytes, &mut |item: Item<'_>| seen = collector.take(&item));
        seen.unwrap()
    }

    fn rebuilt(seen: &Seen) -> Vec<u8> {
        if let Some(body) = &seen.body {
            return [&header(seen.kind.unwrap(), seen.size)[..], &body.head].concat();
        }
        let info = frame_named(&seen.name()).unwrap();
        let line = form::line(seen);
        if crate::language::is_one_value(info) {
            let value = seen.fields.first().map(|field| form::value(&field.value)).unwrap_or_default();
            return bytes(&format!("{} {value}", info.name), &mut Scope::default()).unwrap();
        }
        let fields = line.split_once(' ').map_or("", |(_, fields)| fields);
        let Ok(Some(Statement::Frame { given, .. })) = parse(&format!("{} {fields}", info.name)) else {
            panic!("{line}")
        };
        let given: Vec<(String, Written)> = given;
        build(info, &given, &mut Scope::default()).unwrap().bytes
    }
}
