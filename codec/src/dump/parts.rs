//! One payload, field by field, as far as it can be read.
//!
//! It goes by the frame table alone: the types of fields are its words (`u8`, `str16`, `list[…]`). Tests hold it to what
//! the decoder makes of the same bytes.

use crate::error::Rule;
use crate::table::FieldInfo;
use crate::value::Value;
use alloc::string::String;
use core::fmt::Write;

/// A run of bytes of a payload and what they are. All parts together are the payload, without a gap.
#[derive(Debug)]
pub struct Part<'a, 'p> {
    /// The field, such as `timezone`; in the second item of a list, `rooms.1.chat`. `rooms.1` alone is the item's size.
    pub path: &'p str,
    /// The field's type on the page; empty where the bytes are of no field.
    pub ty: &'static str,
    /// What the field means.
    pub doc: &'static str,
    /// Where it begins, in bytes of payload.
    pub offset: usize,
    /// The bytes, length prefix included.
    pub bytes: &'a [u8],
    /// What they say.
    pub what: What<'a>,
}

/// What the bytes of a [`Part`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A field's value. A list is its count, and its items follow as parts of their own.
    Value(Value<'a>),
    /// The size of a list's item.
    Item,
    /// Nothing: the payload ends before this field, which is therefore 0 or empty.
    LeftOut,
    /// Bytes behind the last field that is known: of a later version.
    Later,
    /// They break this rule.
    Broken(Rule),
    /// Nobody reads them: what stands before them is broken, or the fields are not for this side.
    NotRead,
}

/// Takes a payload apart into `fields`. If `strict` is false, what cannot be read is [`What::NotRead`] instead of broken:
/// for frames whose last fields are not for their reader.
pub fn parts<'a>(
    fields: &'static [FieldInfo],
    payload: &'a [u8],
    strict: bool,
    tell: &mut dyn FnMut(&Part<'a, '_>),
) {
    let mut walker = Walker { path: String::new(), offset: 0, rest: payload, strict, tell };
    let end = if walker.fields(fields).is_ok() { What::Later } else { What::NotRead };
    walker.behind(end);
}

/// The walk ended at a broken field.
struct Broken;

struct Walker<'a, 't> {
    path: String,
    offset: usize,
    rest: &'a [u8],
    strict: bool,
    tell: &'t mut dyn FnMut(&Part<'a, '_>),
}

/// What a field's bytes are to be shown as, but for its value.
#[derive(Clone, Copy)]
struct Label {
    ty: &'static str,
    doc: &'static str,
}

impl<'a> Walker<'a, '_> {
    fn fields(&mut self, fields: &'static [FieldInfo]) -> Result<(), Broken> {
        for field in fields {
            let label = Label { ty: field.ty, doc: field.doc };
            match field.ty {
                "said" => self.said()?,
                ty if ty.starts_with("items[") => self.items(field)?,
                "text" | "rest" => self.inside(field.name, |w| w.field(label))?,
                _ if self.rest.is_empty() && !field.required => {
                    self.inside(field.name, |w| w.say(label, 0, What::LeftOut));
                }
                _ if self.rest.is_empty() => {
                    return self.inside(field.name, |w| w.broken(label, Rule::Missing));
                }
                ty if ty.starts_with("list[") => self.list(field)?,
                _ => self.inside(field.name, |w| w.field(label))?,
            }
        }
        Ok(())
    }

    /// A field of a type that is no row of others.
    fn field(&mut self, label: Label) -> Result<(), Broken> {
        match label.ty {
            "u8" => self.unsigned(1, label).map(|_| ()),
            "u16" => self.unsigned(2, label).map(|_| ()),
            "u32" => self.unsigned(4, label).map(|_| ()),
            "u64" => self.unsigned(8, label).map(|_| ()),
            "i64" => match self.rest.first_chunk() {
                Some(bytes) => {
                    let value = Value::Signed(i64::from_be_bytes(*bytes));
                    self.value(label, 8, value)
                }
                None => self.broken(label, Rule::EndsInside),
            },
            "id32" => self.bytes(32, label),
            "str8" => self.counted(1, label),
            "str16" => self.counted(2, label),
            "text" => self.text(0, self.rest.len(), label),
            _ => self.bytes(self.rest.len(), label),
        }
    }

    fn unsigned(&mut self, width: usize, label: Label) -> Result<u64, Broken> {
        let Some(value) = number(self.rest, width) else {
            self.broken(label, Rule::EndsInside)?;
            return Err(Broken);
        };
        self.say(label, width, What::Value(Value::Unsigned(value)));
        Ok(value)
    }

    fn bytes(&mut self, n: usize, label: Label) -> Result<(), Broken> {
        match self.rest.get(..n) {
            Some(bytes) => self.value(label, n, Value::Bytes(bytes)),
            None => self.broken(label, Rule::EndsInside),
        }
    }

    /// A length of `width` bytes, and so many bytes of text.
    fn counted(&mut self, width: usize, label: Label) -> Result<(), Broken> {
        match number(self.rest, width).and_then(|n| usize::try_from(n).ok()) {
            Some(n) => self.text(width, n, label),
            None => self.broken(label, Rule::EndsInside),
        }
    }

    /// Text of `n` bytes behind `before` others, which are its length.
    fn text(&mut self, before: usize, n: usize, label: Label) -> Result<(), Broken> {
        let Some(bytes) = self.rest.get(before..).and_then(|rest| rest.get(..n)) else {
            return self.broken(label, Rule::EndsInside);
        };
        match core::str::from_utf8(bytes) {
            Ok(text) => self.value(label, before + n, Value::Text(text)),
            Err(_) => self.broken(label, Rule::NotUtf8),
        }
    }

    /// `text_size | voice_size | text | voice`.
    fn said(&mut self) -> Result<(), Broken> {
        let size = |doc| Label { ty: "u32", doc };
        let text = self.inside("text_size", |w| w.said_size(size("Bytes of the text.")))?;
        let voice = self.inside("voice_size", |w| w.said_size(size("Bytes of the voice.")))?;
        let label = Label { ty: "text", doc: "What is said." };
        self.inside("text", |w| w.text(0, text, label))?;
        let label = Label { ty: "rest", doc: "The same as MP3, or empty." };
        self.inside("voice", |w| w.bytes(voice, label))
    }

    fn said_size(&mut self, label: Label) -> Result<usize, Broken> {
        if self.rest.is_empty() {
            self.broken(label, Rule::Missing)?;
        }
        self.unsigned(4, label).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
    }

    fn list(&mut self, field: &'static FieldInfo) -> Result<(), Broken> {
        let label = Label { ty: field.ty, doc: field.doc };
        let count = self.inside(field.name, |w| w.unsigned(2, label))?;
        for n in 0..count {
            self.item(field, n)?;
        }
        Ok(())
    }

    fn items(&mut self, field: &'static FieldInfo) -> Result<(), Broken> {
        let mut n = 0;
        while !self.rest.is_empty() {
            self.item(field, n)?;
            n += 1;
        }
        Ok(())
    }

    fn item(&mut self, field: &'static FieldInfo, n: u64) -> Result<(), Broken> {
        let label = Label { ty: "u16", doc: "Bytes of this item." };
        let before = self.path.len();
        let _ = write!(self.path, "{}.{n}", field.name);
        let done = self.sized_item(field, label);
        self.path.truncate(before);
        done
    }

    fn sized_item(&mut self, field: &'static FieldInfo, label: Label) -> Result<(), Broken> {
        let size = number(self.rest, 2).and_then(|size| usize::try_from(size).ok());
        let Some(size) = size.filter(|size| self.rest.len() - 2 >= *size) else {
            return self.broken(label, Rule::EndsInside);
        };
        self.say(label, 2, What::Item);
        let (item, behind) = self.rest.split_at(size);
        self.rest = item;
        let before = self.path.len();
        self.path.push('.');
        let read = self.fields(field.items);
        self.path.truncate(before);
        self.behind(if read.is_ok() { What::Later } else { What::NotRead });
        self.rest = behind;
        read
    }

    fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        self.path.push_str(name);
        let read = read(self);
        self.path.truncate(before);
        read
    }

    fn broken(&mut self, label: Label, rule: Rule) -> Result<(), Broken> {
        self.say(label, self.rest.len(), if self.strict { What::Broken(rule) } else { What::NotRead });
        Err(Broken)
    }

    /// What is left of a payload or an item behind its fields.
    fn behind(&mut self, what: What<'a>) {
        if !self.rest.is_empty() {
            self.say(Label { ty: "", doc: "" }, self.rest.len(), what);
        }
    }

    fn value(&mut self, label: Label, n: usize, value: Value<'a>) -> Result<(), Broken> {
        self.say(label, n, What::Value(value));
        Ok(())
    }

    fn say(&mut self, label: Label, n: usize, what: What<'a>) {
        let (bytes, rest) = self.rest.split_at(n);
        let Label { ty, doc } = label;
        (self.tell)(&Part { path: &self.path, ty, doc, offset: self.offset, bytes, what });
        self.rest = rest;
        self.offset += n;
    }
}

/// The first `width` bytes as a number, if there are so many.
fn number(bytes: &[u8], width: usize) -> Option<u64> {
    let bytes = bytes.get(..width)?;
    Some(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}
