//! A frame as names and values of its own, for those who compare frames or write them in another form: one that was
//! taken off a stream, or as much as is worth keeping of one with a large body.
//!
//! How frames look as text is `form.rs`.

use chatwire_codec::dump::{Item, Part, Trouble, What, meaning, parts};
use chatwire_codec::{FrameInfo, HEADER_LEN, Value, frame};
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

/// How many bytes of a body that comes in pieces are kept.
const HEAD: usize = 48;

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Val {
    /// u8 to u64, and the count of a list.
    Unsigned(u64),
    /// A time.
    Signed(i64),
    /// str8, str16, text.
    Text(String),
    /// id32, rest, a voice.
    Bytes(Vec<u8>),
}

impl Val {
    /// What a field of this type holds when a payload leaves it out.
    pub(crate) fn empty(ty: &str) -> Val {
        match ty {
            "i64" => Val::Signed(0),
            "str8" | "str16" | "text" => Val::Text(String::new()),
            "rest" | "id32" => Val::Bytes(Vec::new()),
            _ => Val::Unsigned(0),
        }
    }
}

/// One field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its name, with its place in a list: `rooms.0.chat`.
    pub path: String,
    /// Its type on the page.
    pub ty: &'static str,
    /// Where it begins in the frame, from the type byte on.
    pub offset: usize,
    /// Its bytes, length prefix included.
    pub size: usize,
    pub value: Val,
    /// What the value stands for, if it is more than a number.
    pub meaning: Option<String>,
}

/// A payload that came in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// How many there were.
    pub len: u64,
    hasher: DefaultHasher,
}

impl Body {
    /// Tells bodies apart of which only the beginning was kept.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.hasher.finish()
    }
}

/// A frame.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Where it begins in its stream.
    pub at: u64,
    /// Its type; `None` if not even its header is whole.
    pub kind: Option<u8>,
    /// Bytes of its payload, as the header has it.
    pub size: u32,
    pub fields: Vec<Field>,
    /// Fields that the payload ends before.
    pub left_out: Vec<String>,
    /// The payload, if it came in pieces.
    pub body: Option<Body>,
    pub trouble: Option<Trouble>,
}

impl Seen {
    /// The name on the page, or the number of a type that is not there.
    pub(crate) fn name(&self) -> String {
        match (self.info(), self.kind) {
            (Some(info), _) => info.name.to_string(),
            (None, Some(kind)) => format!("{kind:#04x}"),
            (None, None) => "cut".to_string(),
        }
    }

    pub(crate) fn info(&self) -> Option<&'static FrameInfo> {
        frame::info(self.kind?)
    }

    /// The value of a field, also of one that was left out; `None` if the frame has no such field.
    pub(crate) fn value(&self, path: &str) -> Option<Val> {
        if let Some(field) = self.fields.iter().find(|field| field.path == path) {
            return Some(field.value.clone());
        }
        let field = self.info()?.fields.iter().find(|field| field.name == path)?;
        if let Some(body) = self.body.as_ref().filter(|_| field.ty == "rest") {
            return Some(Val::Bytes(body.head.clone()));
        }
        Some(Val::empty(field.ty))
    }

    /// As [`Seen::value`], of a number; 0 if there is none.
    pub(crate) fn number(&self, path: &str) -> u64 {
        match self.value(path) {
            Some(Val::Unsigned(n)) => n,
            _ => 0,
        }
    }

    fn whole(at: u64, bytes: &[u8], trouble: Option<Trouble>) -> Seen {
        let mut seen =
            Seen { at, kind: None, size: 0, fields: Vec::new(), left_out: Vec::new(), body: None, trouble };
        let Some((&[kind, a, b, c, d], payload)) = bytes.split_first_chunk() else { return seen };
        (seen.kind, seen.size) = (Some(kind), u32::from_be_bytes([a, b, c, d]));
        let fields = seen.info().map_or(&[][..], |info| info.fields);
        parts(fields, payload, seen.trouble.is_some(), &mut |part| match &part.what {
            What::Value(value) => seen.fields.push(field(part, value)),
            What::LeftOut => seen.left_out.push(part.path.to_string()),
            What::Item | What::Later | What::Broken(_) | What::NotRead => {}
        });
        seen
    }
}

fn field(part: &Part<'_, '_>, value: &Value<'_>) -> Field {
    let value = match value {
        Value::Unsigned(n) => Val::Unsigned(*n),
        Value::Signed(n) => Val::Signed(*n),
        Value::Text(text) => Val::Text((*text).to_string()),
        Value::Bytes(bytes) => Val::Bytes(bytes.to_vec()),
        Value::Items(items) => Val::Unsigned(items.len() as u64),
    };
    Field {
        path: part.path.to_string(),
        ty: part.ty,
        offset: HEADER_LEN + part.offset,
        size: part.bytes.len(),
        value,
        meaning: meaning(part),
    }
}

/// Makes frames of a stream's items. It keeps no more than the beginning of a body.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    begun: Option<Seen>,
}

impl Collector {
    /// The frame that is told to its end by this item.
    pub(crate) fn take(&mut self, item: &Item<'_>) -> Option<Seen> {
        match *item {
            Item::Frame { at, bytes, trouble } => Some(Seen::whole(at, bytes, trouble)),
            Item::Start { at, kind, size, trouble } => {
                let body = Some(Body { head: Vec::new(), len: 0, hasher: DefaultHasher::new() });
                let (fields, left_out) = (Vec::new(), Vec::new());
                self.begun = Some(Seen { at, kind: Some(kind), size, fields, left_out, body, trouble });
                None
            }
            Item::Piece { bytes, .. } => {
                if let Some(body) = self.begun.as_mut().and_then(|seen| seen.body.as_mut()) {
                    let room = HEAD.saturating_sub(body.head.len()).min(bytes.len());
                    body.head.extend_from_slice(&bytes[..room]);
                    body.len += bytes.len() as u64;
                    body.hasher.write(bytes);
                }
                None
            }
            Item::End { missing } => {
                let mut seen = self.begun.take()?;
                if missing > 0 {
                    seen.trouble = seen.trouble.or(Some(Trouble::Cut { missing }));
                }
                Some(seen)
            }
        }
    }
}
