//! The macro behind the frame table: from one entry a struct, its codec, its variant and its description.

use crate::error::{DecodeError, EncodeError};
use crate::reader::Reader;
use crate::writer::{self, Buffer};

/// Who may send a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server only.
    ToServer,
    /// From server to client only.
    ToClient,
    /// Either way.
    Both,
}

impl Direction {
    /// Whether a frame of this direction may go to `side`'s end.
    pub(crate) const fn reaches_server(self) -> bool {
        matches!(self, Direction::ToServer | Direction::Both)
    }
    pub(crate) const fn reaches_client(self) -> bool {
        matches!(self, Direction::ToClient | Direction::Both)
    }
}

/// One entry of the frame table, for those who show frames or check a document against it.
#[derive(Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// The type byte.
    pub kind: u8,
    /// The page's name, such as `HELLO`.
    pub name: &'static str,
    /// Who may send it.
    pub direction: Direction,
    /// The section of the page that says what it is for, such as `5.2`.
    pub section: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// Its fields, in order.
    pub fields: &'static [FieldInfo],
}

/// One field of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The page's name, such as `timezone`.
    pub name: &'static str,
    /// The page's type, such as `str8`; a list names its items.
    pub ty: &'static str,
    /// Whether a payload without it is malformed.
    pub required: bool,
    /// What it means, in a sentence.
    pub doc: &'static str,
    /// The fields of each item of a list; of what is no list, none.
    pub items: &'static [FieldInfo],
}

/// The payload of one frame type, or of one item of a list.
pub trait Payload<'a>: Sized {
    /// The frame's type byte; 0xFF for what is only an item.
    const KIND: u8;

    #[doc(hidden)]
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
    /// Writes all fields but the tail.
    #[doc(hidden)]
    fn write<B: Buffer>(&self, out: &mut B) -> Result<(), EncodeError>;
    /// What the payload ends with, as it stands: a body, a text, the bytes of a chunk. Else nothing.
    #[doc(hidden)]
    fn tail(&self) -> &'a [u8];

    /// Reads a payload of this type.
    ///
    /// # Errors
    /// Names the field and the rule that the payload breaks.
    fn parse(payload: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(Self::KIND, payload))
    }

    /// Appends the whole frame, header and payload, with every field written.
    ///
    /// # Errors
    /// If a field is longer than its length prefix can say, or the buffer is full; nothing is appended then.
    /// (What was read can be written, but for a list item that left fields out and is too long with them.)
    fn encode<B: Buffer>(&self, out: &mut B) -> Result<(), EncodeError> {
        writer::frame(Self::KIND, self, out)
    }

    /// Appends the frame but for the bytes that it ends with, which are returned: write them behind it, and
    /// they need not be copied. Those are `text`, `body`, `bytes` and `image`; other frames end with none.
    ///
    /// ```text
    ///  ┌────────┬─────────────────────┐┌───────────────────────┐
    ///  │ header │ the other fields    ││ text, body, …         │
    ///  └────────┴─────────────────────┘└───────────────────────┘
    ///   appended to `out`               returned, where it lies
    /// ```
    ///
    /// ```
    /// use chatwire_codec::{Payload, frame::Chunk};
    /// use std::io::{IoSlice, Write};
    ///
    /// let piece = [0xEE; 1000];
    /// let mut head = Vec::new();
    /// let tail = Chunk { transfer: 7, offset: 0, bytes: &piece }.encode_head(&mut head)?;
    /// assert_eq!((head.len(), tail.as_ptr()), (5 + 12, piece.as_ptr()));
    /// let mut socket = Vec::new();
    /// socket.write_vectored(&[IoSlice::new(&head), IoSlice::new(tail)])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Payload::encode`].
    fn encode_head<B: Buffer>(&self, out: &mut B) -> Result<&'a [u8], EncodeError> {
        writer::head(Self::KIND, self, out)
    }

    /// How many bytes [`Payload::encode`] appends, header included.
    ///
    /// ```
    /// use chatwire_codec::{Payload, frame::Text};
    ///
    /// assert_eq!(Text { text: "hi" }.encoded_len(), Ok(7));
    /// ```
    ///
    /// # Errors
    /// As [`Payload::encode`], but that nothing can be full.
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        writer::len(Self::KIND, self)
    }
}

/// The Rust type of a field type.
macro_rules! rust_type {
    (str8) => { &'a str };
    (str16) => { &'a str };
    (text) => { &'a str };
    (rest) => { &'a [u8] };
    (id32) => { [u8; 32] };
    (said) => { Said<'a> };
    (list[$item:ty]) => { Vec<$item> };
    (items[$item:ty]) => { Vec<$item> };
    ($int:ident) => { $int };
}

/// A field's name on the page, where `ref` is no word that Rust keeps for itself.
macro_rules! field_name {
    (ref_) => {
        "ref"
    };
    ($field:ident) => {
        stringify!($field)
    };
}

/// Reads one field by way of the reader type that stands for its field type.
macro_rules! read_field {
    ($r:ident, $how:ident, $field:ident, str8) => {
        $r.$how::<reader::Str8<'_>>(field_name!($field))?.0
    };
    ($r:ident, $how:ident, $field:ident, str16) => {
        $r.$how::<reader::Str16<'_>>(field_name!($field))?.0
    };
    ($r:ident, $how:ident, $field:ident, text) => {
        $r.$how::<reader::Text<'_>>(field_name!($field))?.0
    };
    ($r:ident, $how:ident, $field:ident, rest) => {
        $r.$how::<reader::Rest<'_>>(field_name!($field))?.0
    };
    ($r:ident, $how:ident, $field:ident, list[$item:ty]) => {
        $r.$how::<reader::List<$item>>(field_name!($field))?.0
    };
    ($r:ident, $how:ident, $field:ident, items[$item:ty]) => {
        $r.$how::<reader::Items<$item>>(field_name!($field))?.0
    };
    ($r:ident, $how:ident, $field:ident, $same:ident) => {
        $r.$how(field_name!($field))?
    };
}

/// Writes one field, unless it is the tail; an error gets the field's name.
macro_rules! write_field {
    ($out:ident, $field:ident, $value:expr, text) => {};
    ($out:ident, $field:ident, $value:expr, rest) => {};
    ($out:ident, $field:ident, $value:expr, $ty:ident $([$item:ty])?) => {
        writer::$ty($out, &$value).map_err(|error| error.of_field(field_name!($field)))?
    };
}

/// The bytes of a field that is the tail.
macro_rules! tail_field {
    ($tail:ident, $value:expr, text) => {
        $tail = $value.as_bytes();
    };
    ($tail:ident, $value:expr, rest) => {
        $tail = $value;
    };
    ($tail:ident, $value:expr, $ty:ident $([$item:ty])?) => {};
}

/// Makes a field out of a fuzzer's bytes.
#[cfg(feature = "arbitrary")]
macro_rules! any_field {
    ($u:ident, str8) => {
        crate::arbitrary::text($u, u8::MAX.into())?
    };
    ($u:ident, str16) => {
        crate::arbitrary::text($u, crate::arbitrary::STR16)?
    };
    ($u:ident, text) => {
        crate::arbitrary::text($u, usize::MAX)?
    };
    ($u:ident, list[$item:ty]) => {
        crate::arbitrary::items($u)?
    };
    ($u:ident, items[$item:ty]) => {
        crate::arbitrary::items($u)?
    };
    ($u:ident, $other:ident) => {
        ::arbitrary::Arbitrary::arbitrary($u)?
    };
}

macro_rules! item_fields {
    () => {
        &[]
    };
    ($item:ty) => {
        <$item>::FIELDS
    };
}

macro_rules! field_info {
    ($field:ident, $required:literal, $ty:ident $([$item:ty])?, $($doc:literal)*) => {
        FieldInfo {
            name: field_name!($field),
            ty: concat!(stringify!($ty) $(, "[", stringify!($item), "]")?),
            required: $required,
            doc: doc_text!($($doc)*),
            items: item_fields!($($item)?),
        }
    };
}

/// The lines of a doc comment as one text.
macro_rules! doc_text {
    ($($line:literal)*) => {
        concat!($($line),*).trim_ascii_start()
    };
}

/// One struct with its fields: those before the `;` are required.
macro_rules! payload {
    (
        $kind:expr, $head:expr, $(#[$doc:meta])* $name:ident $(<$lt:lifetime>)?
        { $($(#[doc = $rdoc:literal])* $req:ident: $rty:ident $([$ritem:ty])?),* ;
          $($(#[doc = $odoc:literal])* $opt:ident: $oty:ident $([$oitem:ty])?),* }
    ) => {
        $(#[$doc])*
        ///
        /// ```text
        #[doc = concat!(
            $head, " │ size ",
            $("│ ", field_name!($req), " ", stringify!($rty) $(, "[", stringify!($ritem), "]")?, "* ",)*
            $("│ ", field_name!($opt), " ", stringify!($oty) $(, "[", stringify!($oitem), "]")?, " ",)*
        )]
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name $(<$lt>)? {
            $($(#[doc = $rdoc])* pub $req: rust_type!($rty $([$ritem])?),)*
            $($(#[doc = $odoc])* pub $opt: rust_type!($oty $([$oitem])?),)*
        }

        impl<'a> Payload<'a> for $name $(<$lt>)? {
            const KIND: u8 = $kind;
            #[allow(unused_variables, reason = "a frame may have no fields")]
            fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                Ok($name {
                    $($req: read_field!(r, required, $req, $rty $([$ritem])?),)*
                    $($opt: read_field!(r, optional, $opt, $oty $([$oitem])?),)*
                })
            }
            #[allow(unused_variables, reason = "a frame may have no fields")]
            fn write<B: Buffer>(&self, out: &mut B) -> Result<(), EncodeError> {
                $(write_field!(out, $req, self.$req, $rty $([$ritem])?);)*
                $(write_field!(out, $opt, self.$opt, $oty $([$oitem])?);)*
                Ok(())
            }
            #[allow(unused_mut, unused_assignments, reason = "most frames have none")]
            fn tail(&self) -> &'a [u8] {
                let mut tail: &'a [u8] = &[];
                $(tail_field!(tail, self.$req, $rty $([$ritem])?);)*
                $(tail_field!(tail, self.$opt, $oty $([$oitem])?);)*
                tail
            }
        }

        #[cfg(feature = "arbitrary")]
        impl<'a> ::arbitrary::Arbitrary<'a> for $name $(<$lt>)? {
            #[allow(unused_variables, reason = "a frame may have no fields")]
            fn arbitrary(u: &mut ::arbitrary::Unstructured<'a>) -> ::arbitrary::Result<Self> {
                Ok($name {
                    $($req: any_field!(u, $rty $([$ritem])?),)*
                    $($opt: any_field!(u, $oty $([$oitem])?),)*
                })
            }
        }

        impl $(<$lt>)? HasFields for $name $(<$lt>)? {
            fn fields(&self) -> Fields<'_> {
                #[allow(unused_mut, reason = "a frame may have no fields")]
                let mut fields = Fields::new();
                $(self.$req.show(field_name!($req), &mut fields);)*
                $(self.$opt.show(field_name!($opt), &mut fields);)*
                fields
            }
        }

        impl $(<$lt>)? $name $(<$lt>)? {
            /// Its fields, as the page has them.
            pub const FIELDS: &'static [FieldInfo] = &[
                $(field_info!($req, true, $rty $([$ritem])?, $($rdoc)*),)*
                $(field_info!($opt, false, $oty $([$oitem])?, $($odoc)*),)*
            ];
        }
    };
}

/// Items of lists: fields that stand in no frame of their own.
macro_rules! items {
    ($($(#[$doc:meta])* $name:ident $(<$lt:lifetime>)? { $($fields:tt)* })*) => {
        $(payload! { 0xFF, "an item", $(#[$doc])* $name $(<$lt>)? { $($fields)* } })*
    };
}

/// The table: `number NAME Struct: direction, section of the page { required fields; other fields }`.
macro_rules! frames {
    ($($(#[doc = $doc:literal])* $kind:literal $page:ident $name:ident $(<$lt:lifetime>)?:
       $direction:ident, $section:literal { $($fields:tt)* })*) => {
        $(payload! { $kind, stringify!($kind), $(#[doc = $doc])* $name $(<$lt>)? { $($fields)* } })*

        /// Any frame. Later versions have more of them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is the struct of its name")]
        pub enum Frame<'a> {
            $($name($name $(<$lt>)?),)*
        }

        impl<'a> Frame<'a> {
            /// Reads the payload of a frame of type `kind`.
            ///
            /// # Errors
            /// Names the field and the rule that the payload breaks, or [`Rule::UnknownType`].
            pub fn parse(kind: u8, payload: &'a [u8]) -> Result<Self, DecodeError> {
                match kind {
                    $($kind => <$name as Payload<'a>>::parse(payload).map(Frame::$name),)*
                    _ => Err(DecodeError { kind, field: "", offset: 0, rule: Rule::UnknownType }),
                }
            }

            /// Appends the whole frame, header and payload.
            ///
            /// # Errors
            /// As [`Payload::encode`].
            pub fn encode<B: Buffer>(&self, out: &mut B) -> Result<(), EncodeError> {
                match self {
                    $(Frame::$name(frame) => frame.encode(out),)*
                }
            }

            /// As [`Payload::encode_head`].
            ///
            /// # Errors
            /// As [`Payload::encode`].
            pub fn encode_head<B: Buffer>(&self, out: &mut B) -> Result<&'a [u8], EncodeError> {
                match self {
                    $(Frame::$name(frame) => frame.encode_head(out),)*
                }
            }

            /// As [`Payload::encoded_len`].
            ///
            /// # Errors
            /// As [`Payload::encode`].
            pub fn encoded_len(&self) -> Result<usize, EncodeError> {
                match self {
                    $(Frame::$name(frame) => frame.encoded_len(),)*
                }
            }

            /// Its fields, by their names on the page: for showing a frame, whichever it is.
            #[must_use]
            pub fn fields(&self) -> Fields<'_> {
                match self {
                    $(Frame::$name(frame) => HasFields::fields(frame),)*
                }
            }

            /// The type byte.
            #[must_use]
            pub const fn kind(&self) -> u8 {
                match self {
                    $(Frame::$name(_) => $kind,)*
                }
            }
        }

        #[cfg(feature = "arbitrary")]
        impl<'a> ::arbitrary::Arbitrary<'a> for Frame<'a> {
            fn arbitrary(u: &mut ::arbitrary::Unstructured<'a>) -> ::arbitrary::Result<Self> {
                match u.choose(FRAMES)?.kind {
                    $($kind => ::arbitrary::Arbitrary::arbitrary(u).map(Frame::$name),)*
                    _ => Err(::arbitrary::Error::IncorrectFormat),
                }
            }
        }

        $(impl<'a> From<$name $(<$lt>)?> for Frame<'a> {
            fn from(frame: $name $(<$lt>)?) -> Self {
                Frame::$name(frame)
            }
        })*

        /// The type bytes by their names on the page.
        pub mod kind {
            $(#[allow(missing_docs, reason = "the name says it")] pub const $page: u8 = $kind;)*
        }

        /// Every frame type, in the order of their numbers.
        pub static FRAMES: &[FrameInfo] = &[
            $(FrameInfo {
                kind: $kind,
                name: stringify!($page),
                direction: Direction::$direction,
                section: stringify!($section),
                doc: doc_text!($($doc)*),
                fields: $name::FIELDS,
            },)*
        ];

        /// What the table says of a type.
        #[must_use]
        pub const fn info(kind: u8) -> Option<&'static FrameInfo> {
            $(const $page: &FrameInfo = &FrameInfo {
                kind: $kind,
                name: stringify!($page),
                direction: Direction::$direction,
                section: stringify!($section),
                doc: doc_text!($($doc)*),
                fields: $name::FIELDS,
            };)*
            match kind {
                $($kind => Some($page),)*
                _ => None,
            }
        }
    };
}

#[cfg(feature = "arbitrary")]
pub(crate) use any_field;
pub(crate) use {
    doc_text, field_info, field_name, frames, item_fields, items, payload, read_field, rust_type, tail_field,
    write_field,
};
