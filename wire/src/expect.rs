//! Whether what comes is what was expected, and if not, what came instead.

use crate::build::Scope;
use crate::form;
use crate::inbox::{Inbox, Taken};
use crate::language::{Awaited, Condition, Expect, Op};
use crate::seen::{Seen, Val};
use chatwire_codec::frame::kind;
use chatwire_codec::{FieldInfo, FrameInfo};
use std::cmp::Ordering;
use std::time::Instant;

/// How many of the frames that came instead are told of.
const TOLD: usize = 8;

/// Takes frames off the inbox up to the one that is wished for, and gives the values that are to have names.
pub(crate) fn meet(
    inbox: &Inbox,
    wish: &Expect,
    scope: &Scope,
    deadline: Instant,
) -> Result<Vec<(String, Val)>, String> {
    let mut others = Others::default();
    let wished = || format!("expected {}", words(wish));
    loop {
        let seen = match (inbox.take(deadline), wish.what) {
            (Taken::End, Awaited::End) => return Ok(Vec::new()),
            (Taken::End, _) => return Err(format!("{}; the connection ended; {others}", wished())),
            (Taken::Nothing, _) => return Err(format!("{}; it did not come in time; {others}", wished())),
            (Taken::Frame(seen), _) => seen,
        };
        let failure = match wish.what {
            Awaited::End => Some(String::new()),
            Awaited::Frame(info) if seen.kind != Some(info.kind) => Some(String::new()),
            Awaited::Frame(info) => unmet(&seen, info, &wish.conditions, scope)?,
        };
        match failure {
            None => return captured(&seen, wish),
            Some(why) => others.add(&seen, &why),
        }
        if wish.is_next {
            return Err(format!("{} next; {others}", wished()));
        }
    }
}

/// Nothing of type `kind`, or nothing at all, comes until `deadline`.
pub(crate) fn quiet(inbox: &Inbox, kind: Option<u8>, deadline: Instant) -> Result<(), String> {
    loop {
        match inbox.take(deadline) {
            Taken::Nothing | Taken::End => return Ok(()),
            Taken::Frame(seen) if kind.is_none() || seen.kind == kind => {
                return Err(format!("expected nothing; {} came", form::line(&seen)));
            }
            Taken::Frame(_) => {}
        }
    }
}

/// Whether the connection ends before `deadline`.
pub(crate) fn end(inbox: &Inbox, deadline: Instant) -> bool {
    loop {
        match inbox.take(deadline) {
            Taken::End => return true,
            Taken::Nothing => return false,
            Taken::Frame(_) => {}
        }
    }
}

/// Why a frame of the right type is not the one; `None` if it is.
fn unmet(
    seen: &Seen,
    info: &'static FrameInfo,
    conditions: &[Condition],
    scope: &Scope,
) -> Result<Option<String>, String> {
    for condition in conditions {
        let path = &condition.path;
        let (field, ty) =
            field_at(info.fields, path).ok_or_else(|| format!("{} has no field `{path}`", info.name))?;
        let wished = scope.value(&condition.value, field, ty)?;
        let Some(found) = seen.value(path) else {
            return Ok(Some(format!("{path} is not there")));
        };
        if !holds(&found, condition.op, &wished) {
            return Ok(Some(format!("{path} is {}", form::value(&found))));
        }
    }
    Ok(None)
}

fn holds(found: &Val, op: Op, wished: &Val) -> bool {
    let order = match (found, wished) {
        (Val::Unsigned(a), Val::Unsigned(b)) => a.cmp(b),
        (Val::Signed(a), Val::Signed(b)) => a.cmp(b),
        (found, wished) => bytes(found).cmp(&bytes(wished)),
    };
    match op {
        Op::Is => order == Ordering::Equal,
        Op::IsNot => order != Ordering::Equal,
        Op::Less => order == Ordering::Less,
        Op::More => order == Ordering::Greater,
        Op::Contains => {
            let (found, wished) = (bytes(found), bytes(wished));
            wished.is_empty() || found.windows(wished.len()).any(|window| window == wished)
        }
    }
}

fn bytes(value: &Val) -> Vec<u8> {
    match value {
        Val::Text(text) => text.clone().into_bytes(),
        Val::Bytes(bytes) => bytes.clone(),
        number => form::value(number).into_bytes(),
    }
}

/// The field that a path names, and its type; `rooms.0.chat` is the field `chat` of the items of `rooms`.
fn field_at(fields: &'static [FieldInfo], path: &str) -> Option<(&'static FieldInfo, &'static str)> {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    if let Some(said) = fields.iter().find(|field| field.ty == "said") {
        let ty = match name {
            "text" => "text",
            "voice" => "rest",
            "text_size" | "voice_size" => "u32",
            _ => "",
        };
        if !ty.is_empty() {
            return Some((said, ty));
        }
    }
    let field = fields.iter().find(|field| field.name == name)?;
    match rest.split_once('.') {
        Some((_, inside)) => field_at(field.items, inside),
        None if !field.items.is_empty() => Some((field, "u16")),
        None => Some((field, field.ty)),
    }
}

fn captured(seen: &Seen, wish: &Expect) -> Result<Vec<(String, Val)>, String> {
    let value = |path: &str| seen.value(path).ok_or_else(|| format!("{} has no field `{path}`", seen.name()));
    wish.captures.iter().map(|(path, name)| Ok((name.clone(), value(path)?))).collect()
}

/// The expectation in the words of the language.
fn words(wish: &Expect) -> String {
    let mut words = match wish.what {
        Awaited::End => "the end of the connection".to_string(),
        Awaited::Frame(info) => info.name.to_string(),
    };
    for Condition { path, op, value } in &wish.conditions {
        let value = match value {
            crate::language::Written::Plain(word) => word.clone(),
            crate::language::Written::Quoted(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
            crate::language::Written::File(path) => format!("@{path}"),
            crate::language::Written::Variable(name) => format!("${name}"),
        };
        words.push_str(&format!(" {path}{}{value}", op.sign()));
    }
    words
}

/// The frames that came instead.
#[derive(Default)]
struct Others {
    told: Vec<String>,
    more: usize,
}

impl Others {
    fn add(&mut self, seen: &Seen, why: &str) {
        if self.told.len() < TOLD {
            let name = match (seen.kind, seen.value("text")) {
                (Some(kind::ERROR), Some(text)) => {
                    format!("ERROR {} {}", seen.number("code"), form::value(&text))
                }
                _ => seen.name(),
            };
            self.told.push(if why.is_empty() { name } else { format!("{name} ({why})") });
        } else {
            self.more += 1;
        }
    }
}

impl std::fmt::Display for Others {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.told.is_empty(), self.more) {
            (true, _) => f.write_str("nothing else came"),
            (false, 0) => write!(f, "what came: {}", self.told.join(", ")),
            (false, more) => write!(f, "what came: {} and {more} more", self.told.join(", ")),
        }
    }
}
