//! Frames as JSON, or as another form that serde knows and people read (feature `serde`).
//!
//! ```text
//! {"type":"JOIN","req":7,"room":"harbour","flags":0}
//! {"type":"TO","nonce":"18446744073709551615","chat":40,"room":"","user":"","reply_to":0,"name":""}
//! {"type":"VOICE","body":"fffb9064"}
//! {"type":"ROOM_LIST","req":7,"more":0,"rooms":[{"chat":1,"room":"all","online":3,"last_seq":9}]}
//! {"type":"0x6e","payload":"0000000a0102"}
//! ```
//!
//! - `type` is the page's name, and the fields have the page's names. All of them are written. When read, those
//!   that the page lets be left out may be; a name that the page does not have is an error.
//! - Numbers are numbers up to 2^53 - 1, which every JSON reader holds, and decimal strings beyond, as nonces are.
//!   (`BigInt(x)` in JavaScript and `int(x)` in Python take both.) Read, each may be either.
//! - Bytes are hex.
//! - What has a type that is not known, or a payload that is malformed, is its `type` in hex and its `payload`.
//!
//! A [`Frame`] borrows, so what is read is a [`RawFrame`], which owns its bytes: [`RawFrame::parse`] is the frame.
//!
//! ```
//! use chatwire_codec::{Frame, RawFrame, frame::Join};
//!
//! let json = serde_json::to_string(&Frame::from(Join { req: 7, room: "harbour", flags: 0 }))?;
//! assert_eq!(json, r#"{"type":"JOIN","req":7,"room":"harbour","flags":0}"#);
//! let read: RawFrame = serde_json::from_str(r#"{"type": "JOIN", "room": "harbour", "req": 7}"#)?;
//! assert_eq!(read.parse()?, Frame::Join(Join { req: 7, room: "harbour", flags: 0 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod node;

use crate::frame::{FRAMES, Frame, info};
use crate::raw::RawFrame;
use crate::value::{Fields, Value};
use alloc::format;
use alloc::string::String;
use core::fmt;
use node::Node;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The largest whole number up to which a JavaScript number holds all.
const MAX_SAFE: u64 = (1 << 53) - 1;

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields();
        let mut map = serializer.serialize_map(Some(1 + fields.len()))?;
        map.serialize_entry("type", info(self.kind()).map_or("", |info| info.name))?;
        for (name, value) in &fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Unsigned(n) if *n <= MAX_SAFE => serializer.serialize_u64(*n),
            Value::Unsigned(n) => serializer.collect_str(n),
            Value::Signed(n) if n.unsigned_abs() <= MAX_SAFE => serializer.serialize_i64(*n),
            Value::Signed(n) => serializer.collect_str(n),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.collect_str(&Hex(bytes)),
            Value::Items(items) => serializer.collect_seq(items.iter().map(Item)),
        }
    }
}

struct Item<'a>(&'a Fields<'a>);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for RawFrame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(frame) = self.parse() {
            return frame.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", &format!("{:#04x}", self.kind))?;
        map.serialize_entry("payload", &Value::Bytes(&self.payload))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for RawFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        raw_frame(Node::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What is wrong with a frame in JSON, and where.
type Problem = String;

fn raw_frame(node: Node) -> Result<RawFrame, Problem> {
    let Node::Map(mut map) = node else { return Err("a frame is a map of its fields".into()) };
    let name = match node::take(&mut map, "type") {
        Some(Node::Text(name)) => name,
        _ => return Err("a frame has a `type`, such as \"TEXT\"".into()),
    };
    if let Some(digits) = name.strip_prefix("0x") {
        let kind = u8::from_str_radix(digits, 16).map_err(|_| format!("`type` {name} is no byte in hex"))?;
        let payload = node::take(&mut map, "payload").ok_or("a frame by number has a `payload`, in hex")?;
        node::none_left(&map)?;
        return Ok(RawFrame { kind, payload: payload.bytes("payload")?.into() });
    }
    let info = FRAMES.iter().find(|info| info.name == name);
    let info = info.ok_or_else(|| format!("there is no frame type {name}"))?;
    let payload = node::payload(info.fields, map).map_err(|problem| format!("{name}, {problem}"))?;
    Ok(RawFrame { kind: info.kind, payload: payload.into() })
}
