//! Reads the fields of one payload. A reader cannot see past its payload, nor past an item of a list.
//!
//! The growing rule lives here: a payload may end before a field that is not required, and that field and
//! all after it are then 0 or empty; it may not end inside one; bytes behind the last field are ignored.

use crate::error::{DecodeError, Rule};
use crate::table::Payload;
use alloc::vec::Vec;

/// What is left of a payload.
#[derive(Debug)]
pub struct Reader<'a> {
    kind: u8,
    /// Where `rest` begins in the frame's payload.
    offset: usize,
    /// Where the field being read begins there.
    start: usize,
    rest: &'a [u8],
    /// Whether the field being read may be absent.
    optional: bool,
    field: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(kind: u8, payload: &'a [u8]) -> Self {
        Reader { kind, offset: 0, start: 0, rest: payload, optional: false, field: "" }
    }

    pub(crate) fn required<T: Field<'a>>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        self.begin(field, false);
        T::read(self)
    }

    pub(crate) fn optional<T: Field<'a> + Default>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        self.begin(field, true);
        if self.rest.is_empty() { Ok(T::default()) } else { T::read(self) }
    }

    fn begin(&mut self, field: &'static str, optional: bool) {
        (self.field, self.optional, self.start) = (field, optional, self.offset);
    }

    fn error(&self, rule: Rule) -> DecodeError {
        DecodeError { kind: self.kind, field: self.field, offset: self.start, rule }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(n) else {
            let absent = self.rest.is_empty() && !self.optional;
            return Err(self.error(if absent { Rule::Missing } else { Rule::EndsInside }));
        };
        self.rest = rest;
        self.offset += n;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// The bytes behind a length: once the length is there, a payload that ends is one that ends inside.
    fn counted(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        self.optional = true;
        self.take(n)
    }

    fn utf8(&mut self, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(bytes).map_err(|_| self.error(Rule::NotUtf8))
    }

    fn item<T: Payload<'a>>(&mut self) -> Result<T, DecodeError> {
        let size = u16::from_be_bytes(self.array()?);
        let offset = self.offset;
        let rest = self.counted(usize::from(size))?;
        T::read(&mut Reader {
            kind: self.kind,
            offset,
            start: offset,
            rest,
            optional: true,
            field: self.field,
        })
    }
}

/// A type that a field of the table can have.
pub(crate) trait Field<'a>: Sized {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Field<'_> for $int {
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.array().map(<$int>::from_be_bytes)
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i64);

impl Field<'_> for [u8; 32] {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array()
    }
}

/// The wrappers below tell field types apart that are the same Rust type.
#[derive(Default)]
pub(crate) struct Str8<'a>(pub(crate) &'a str);
#[derive(Default)]
pub(crate) struct Str16<'a>(pub(crate) &'a str);
#[derive(Default)]
pub(crate) struct Text<'a>(pub(crate) &'a str);
#[derive(Default)]
pub(crate) struct Rest<'a>(pub(crate) &'a [u8]);
#[derive(Default)]
pub(crate) struct List<T>(pub(crate) Vec<T>);
#[derive(Default)]
pub(crate) struct Items<T>(pub(crate) Vec<T>);

impl<'a> Field<'a> for Str8<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let [n] = r.array()?;
        let bytes = r.counted(usize::from(n))?;
        r.utf8(bytes).map(Str8)
    }
}

impl<'a> Field<'a> for Str16<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let n = u16::from_be_bytes(r.array()?);
        let bytes = r.counted(usize::from(n))?;
        r.utf8(bytes).map(Str16)
    }
}

impl<'a> Field<'a> for Rest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.take(r.rest.len()).map(Rest)
    }
}

impl<'a> Field<'a> for Text<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let Rest(bytes) = Rest::read(r)?;
        r.utf8(bytes).map(Text)
    }
}

impl<'a, T: Payload<'a>> Field<'a> for List<T> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = u16::from_be_bytes(r.array()?);
        r.optional = true;
        // Grown as items are really there: a count alone allocates nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(r.item()?);
        }
        Ok(List(items))
    }
}

impl<'a, T: Payload<'a>> Field<'a> for Items<T> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut items = Vec::new();
        while !r.rest.is_empty() {
            items.push(r.item()?);
        }
        Ok(Items(items))
    }
}

impl<'a> Field<'a> for crate::frame::Said<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let text_size: u32 = r.required("text_size")?;
        let voice_size: u32 = r.required("voice_size")?;
        r.begin("text", true);
        let text = r.counted(text_size as usize)?;
        let text = r.utf8(text)?;
        r.begin("voice", true);
        let voice = r.counted(voice_size as usize)?;
        Ok(crate::frame::Said { text, voice })
    }
}
