//! What the tests share: the vectors, events that own their bytes, and payloads made from the frame table.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod arbitrary;

use chatwire_codec::{DecodeError, Decoder, Event, FrameInfo, Limits, Payload, SkipReason, Value, frame};
use std::fmt::Write;

/// A block of `vectors/frames.txt`: its lines as (key, value).
#[derive(Debug)]
pub(crate) struct Vector(Vec<(String, String)>);

impl Vector {
    pub(crate) fn name(&self) -> &str {
        self.one("name").expect("a vector has a name")
    }

    pub(crate) fn one(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |line| line.0 == key).map(|line| line.1.as_str())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        unhex(&self.all("hex").collect::<String>())
    }

    pub(crate) fn is_first(&self) -> bool {
        self.one("first") == Some("yes")
    }

    /// A decoder that stands where the vector's bytes stand.
    pub(crate) fn decoder(&self) -> Decoder {
        match (self.one("to"), self.is_first()) {
            (Some("client"), _) => Decoder::client(Limits::default()),
            (Some("server"), true) => Decoder::server(Limits::default()),
            (Some("server"), false) if self.one("behind") == Some("to") => after_to(Limits::default()),
            (Some("server"), false) => after_hello(Limits::default()),
            other => panic!("{}: to whom? {other:?}", self.name()),
        }
    }
}

pub(crate) fn after_to(limits: Limits) -> Decoder {
    let mut decoder = after_hello(limits);
    assert!(matches!(decoder.next(&mut &b"\x30\0\0\0\0"[..]), Ok(Some(Event::Frame(_)))));
    decoder
}

pub(crate) fn vectors() -> Vec<Vector> {
    let text = include_str!("../../vectors/frames.txt");
    text.split("\n\n").map(vector).filter(|vector| !vector.0.is_empty()).collect()
}

fn vector(block: &str) -> Vector {
    let lines = block.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    Vector(lines.map(|line| line.split_once(' ').unwrap_or((line, ""))).map(owned).collect())
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.into(), value.into())
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// An error in the notation of the vectors.
pub(crate) fn error_line(error: &DecodeError) -> String {
    let field = if error.field.is_empty() { "-" } else { error.field };
    let (code, rule) = (error.code().name(), error.rule.name());
    format!("{code} {rule} {:#04x} {field} {}", error.kind, error.offset)
}

/// A server's decoder that has had its HELLO.
pub(crate) fn after_hello(limits: Limits) -> Decoder {
    let mut bytes = Vec::new();
    frame::Hello { version: 1, timezone: "UTC", ..Default::default() }.encode(&mut bytes).unwrap();
    let mut decoder = Decoder::server(limits);
    assert!(matches!(decoder.next(&mut &bytes[..]), Ok(Some(Event::Frame(_)))));
    decoder
}

/// The fields of a frame in the notation of the vectors.
pub(crate) fn render(fields: &[(&str, Value<'_>)]) -> Vec<String> {
    let mut lines = Vec::new();
    render_into("", fields, &mut lines);
    lines
}

fn render_into(path: &str, fields: &[(&str, Value<'_>)], lines: &mut Vec<String>) {
    for (name, value) in fields {
        let shown = match value {
            Value::Unsigned(n) => n.to_string(),
            Value::Signed(n) => n.to_string(),
            Value::Text(s) => json(s),
            Value::Bytes(b) => hex(b),
            Value::Items(items) => items.len().to_string(),
        };
        lines.push(format!("{path}{name} {shown}"));
        if let Value::Items(items) = value {
            for (i, item) in items.iter().enumerate() {
                render_into(&format!("{path}{name}.{i}."), item, lines);
            }
        }
    }
}

fn json(s: &str) -> String {
    format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("x"), |mut out, b| {
        write!(out, "{b:02x}").unwrap();
        out
    })
}

/// An event that owns what it says; the chunks of a body are joined by [`collect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Frame(u8, Vec<String>),
    Start(u8, u32),
    Bytes(Vec<u8>),
    End,
    Skipped(u8, u32, SkipReason),
}

/// Takes all events that `input` holds, and adds them to `seen`.
pub(crate) fn collect(
    decoder: &mut Decoder,
    input: &mut &[u8],
    seen: &mut Vec<Seen>,
) -> Result<(), DecodeError> {
    while let Some(event) = decoder.next(input)? {
        match event {
            Event::Frame(frame) => seen.push(Seen::Frame(frame.kind(), render(&frame.fields()))),
            Event::BodyStart { kind, size } => seen.push(Seen::Start(kind, size)),
            Event::BodyChunk(bytes) => match seen.last_mut() {
                Some(Seen::Bytes(before)) => before.extend_from_slice(bytes),
                _ => seen.push(Seen::Bytes(bytes.to_vec())),
            },
            Event::BodyEnd => seen.push(Seen::End),
            Event::Skipped { kind, size, reason } => seen.push(Seen::Skipped(kind, size, reason)),
        }
    }
    Ok(())
}

/// What a stream gave: the events, what is left, and the error that ended it, if one did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    pub(crate) seen: Vec<Seen>,
    pub(crate) left: Vec<u8>,
    pub(crate) error: Option<DecodeError>,
}

/// Feeds the pieces one behind the other, as a connection does, up to the first error.
pub(crate) fn feed<'a>(decoder: &mut Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Fed {
    let (mut seen, mut left, mut error) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        left.extend_from_slice(piece);
        if error.is_none() {
            let mut input = &left[..];
            error = collect(decoder, &mut input, &mut seen).err();
            left = input.to_vec();
        }
    }
    Fed { seen, left, error }
}

/// Whether bytes behind this frame's last field are a field of a later version, and not more of the last.
pub(crate) fn can_grow(info: &FrameInfo) -> bool {
    info.fields.last().is_none_or(|f| !matches!(f.ty, "rest" | "text") && !f.ty.starts_with("items"))
}
