//! What was read, before it is known which field it is; and its way into a payload, by the frame table.

use super::Problem;
use crate::table::FieldInfo;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What a frame in JSON consists of.
#[derive(Debug)]
pub(super) enum Node {
    Number(u64),
    Negative(i64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, a string, a list or a map")
    }
    fn visit_u64<E: Error>(self, n: u64) -> Result<Node, E> {
        Ok(Node::Number(n))
    }
    fn visit_i64<E: Error>(self, n: i64) -> Result<Node, E> {
        Ok(u64::try_from(n).map_or(Node::Negative(n), Node::Number))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.into()))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// Takes what has this name out of `map`.
pub(super) fn take(map: &mut Vec<(String, Node)>, name: &str) -> Option<Node> {
    let at = map.iter().position(|entry| entry.0 == name)?;
    Some(map.swap_remove(at).1)
}

/// Whatever is left has a name that means nothing, or one that was there before.
pub(super) fn none_left(map: &[(String, Node)]) -> Result<(), Problem> {
    match map.first() {
        Some((name, _)) => Err(format!("field `{name}`: there is no such field, or it is there twice")),
        None => Ok(()),
    }
}

/// The payload with these fields.
pub(super) fn payload(fields: &[FieldInfo], mut map: Vec<(String, Node)>) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    for field in fields {
        if field.ty == "said" {
            said(&mut map, &mut out)?;
            continue;
        }
        match take(&mut map, field.name) {
            Some(node) => node.write(field, &mut out)?,
            None if field.required => return Err(format!("field `{}`: it is missing", field.name)),
            None => absent(field.ty).write(field, &mut out)?,
        }
    }
    none_left(&map)?;
    Ok(out)
}

/// 0 or empty.
fn absent(ty: &str) -> Node {
    match ty {
        "u8" | "u16" | "u32" | "u64" | "i64" => Node::Number(0),
        "str8" | "str16" | "text" | "rest" => Node::Text(String::new()),
        _ => Node::List(Vec::new()),
    }
}

/// The text and the voice that a reply begins with: `text_size | voice_size | text | voice`.
fn said(map: &mut Vec<(String, Node)>, out: &mut Vec<u8>) -> Result<(), Problem> {
    let text = take(map, "text").map_or(Ok(String::new()), |node| node.text("text"))?;
    let voice = take(map, "voice").map_or(Ok(Vec::new()), |node| node.bytes("voice"))?;
    let long = |_| String::from("field `text`: longer than 4 GiB - 1");
    out.extend_from_slice(&u32::try_from(text.len()).map_err(long)?.to_be_bytes());
    out.extend_from_slice(&u32::try_from(voice.len()).map_err(long)?.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&voice);
    Ok(())
}

impl Node {
    fn write(self, field: &FieldInfo, out: &mut Vec<u8>) -> Result<(), Problem> {
        let name = field.name;
        match field.ty {
            "u8" => out.push(self.number(name)?),
            "u16" => out.extend_from_slice(&self.number::<u16>(name)?.to_be_bytes()),
            "u32" => out.extend_from_slice(&self.number::<u32>(name)?.to_be_bytes()),
            "u64" => out.extend_from_slice(&self.number::<u64>(name)?.to_be_bytes()),
            "i64" => out.extend_from_slice(&self.number::<i64>(name)?.to_be_bytes()),
            "str8" => {
                let text = self.text(name)?;
                out.push(u8::try_from(text.len()).map_err(|_| too_long(name, u8::MAX.into()))?);
                out.extend_from_slice(text.as_bytes());
            }
            "str16" => counted(name, self.text(name)?.as_bytes(), out)?,
            "text" => out.extend_from_slice(self.text(name)?.as_bytes()),
            "rest" => out.extend_from_slice(&self.bytes(name)?),
            "id32" => match self.bytes(name)? {
                id if id.len() == 32 => out.extend_from_slice(&id),
                _ => return Err(format!("field `{name}`: a digest is 32 bytes, 64 digits of hex")),
            },
            _ => self.write_list(field, out)?,
        }
        Ok(())
    }

    fn write_list(self, field: &FieldInfo, out: &mut Vec<u8>) -> Result<(), Problem> {
        let name = field.name;
        let Node::List(items) = self else { return Err(format!("field `{name}`: not a list")) };
        if field.ty.starts_with("list") {
            out.extend_from_slice(&length(name, items.len())?.to_be_bytes());
        }
        for item in items {
            let Node::Map(map) = item else { return Err(format!("field `{name}`: an item is a map")) };
            counted(name, &payload(field.items, map)?, out)?;
        }
        Ok(())
    }

    fn number<T: TryFrom<i128>>(&self, name: &str) -> Result<T, Problem> {
        let number = match self {
            Node::Number(n) => Some(i128::from(*n)),
            Node::Negative(n) => Some(i128::from(*n)),
            Node::Text(digits) => digits.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| format!("field `{name}`: not a whole number"))?;
        T::try_from(number).map_err(|_| format!("field `{name}`: {number} is out of its range"))
    }

    pub(super) fn text(self, name: &str) -> Result<String, Problem> {
        match self {
            Node::Text(text) => Ok(text),
            _ => Err(format!("field `{name}`: not a string")),
        }
    }

    pub(super) fn bytes(self, name: &str) -> Result<Vec<u8>, Problem> {
        let no_hex = || format!("field `{name}`: not bytes in hex");
        let digits = self.text(name).map_err(|_| no_hex())?.into_bytes();
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
        let pairs = digits.chunks(2).map(|pair| match pair {
            [high, low] => Some(value(*high)? << 4 | value(*low)?),
            _ => None,
        });
        pairs.collect::<Option<_>>().ok_or_else(no_hex)
    }
}

fn counted(name: &str, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    out.extend_from_slice(&length(name, bytes.len())?.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn length(name: &str, n: usize) -> Result<u16, Problem> {
    u16::try_from(n).map_err(|_| too_long(name, u16::MAX.into()))
}

fn too_long(name: &str, limit: usize) -> Problem {
    format!("field `{name}`: longer than the {limit} that it may be")
}
