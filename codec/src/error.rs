//! What can be wrong with bytes, and the codes by which a server says so (section 8).

use core::fmt;

/// Declares [`Code`] from one list: number, name, and whether it ends the connection.
macro_rules! codes {
    ($($(#[$doc:meta])* $number:literal $variant:ident $name:literal $fatal:literal;)*) => {
        /// An error code of ERROR and BYE (section 8).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Code {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Code {
            /// Every code, in the order of the page's table.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The code with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Code> {
                match number {
                    $($number => Some(Code::$variant),)*
                    _ => None,
                }
            }

            /// The page's name, such as `not_found`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }

            /// Whether the connection ends with it wherever it stands. (Before WELCOME every error does.)
            #[must_use]
            pub const fn is_fatal(self) -> bool {
                match self {
                    $(Code::$variant => $fatal,)*
                }
            }
        }
    };
}

codes! {
    /// A frame that cannot be parsed, invalid UTF-8, TO not followed by content.
    400 Malformed "malformed" true;
    /// Wrong password or token; guests not admitted; a secret in the clear.
    401 Unauthenticated "unauthenticated" true;
    /// A member without the right, or a room that one is not in.
    403 Forbidden "forbidden" false;
    /// No such chat, room, user, media or message, or none that the asker may know of.
    404 NotFound "not_found" false;
    /// Unknown frame type.
    405 Unsupported "unsupported" false;
    /// No HELLO, silence, a frame that does not get finished, a reader that stands still.
    408 Timeout "timeout" true;
    /// Name bad or taken, nonce used for another body, chunk out of place, digest wrong.
    409 Conflict "conflict" false;
    /// Over a limit.
    413 TooLarge "too_large" false;
    /// The bytes are not of the kind that they claim to be; an empty text.
    415 BadMedia "bad_media" false;
    /// The first frame was not HELLO.
    421 HelloExpected "hello_expected" true;
    /// Unknown zone, or one that policy does not admit.
    422 BadTimezone "bad_timezone" true;
    /// Policy takes no messages at this hour of the client's day.
    425 OutsideHours "outside_hours" false;
    /// No common version.
    426 BadVersion "bad_version" true;
    /// Too fast; nothing was stored.
    429 RateLimited "rate_limited" false;
    /// This address or user is banned.
    460 Banned "banned" true;
    /// The server's fault; nothing was stored.
    500 Internal "internal" false;
    /// No place became free in time.
    503 Busy "busy" true;
    /// No room on disk, or over the user's quota; nothing was stored.
    507 StorageFull "storage_full" false;
}

/// Which rule of the page a payload breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A required field is missing.
    Missing,
    /// The payload ends inside a field.
    EndsInside,
    /// Text that is not UTF-8.
    NotUtf8,
    /// The type has no meaning in this direction.
    UnknownType,
    /// The size is over the type's limit, and the type's frames are not skipped for that.
    OverLimit {
        /// The limit, in bytes of payload.
        limit: u64,
    },
    /// The size is so far over the limit that the stream is not worth following (section 1).
    FarOverLimit {
        /// The limit, in bytes of payload.
        limit: u64,
    },
    /// The first frame to a server is not HELLO.
    HelloFirst,
    /// What follows TO is not content.
    ContentExpected,
}

impl Rule {
    /// Its word in `vectors/frames.txt`, such as `ends_inside`: for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Missing => "missing",
            Rule::EndsInside => "ends_inside",
            Rule::NotUtf8 => "not_utf8",
            Rule::UnknownType => "unknown_type",
            Rule::OverLimit { .. } => "over_limit",
            Rule::FarOverLimit { .. } => "far_over_limit",
            Rule::HelloFirst => "hello_first",
            Rule::ContentExpected => "content_expected",
        }
    }
}

/// A frame that breaks the protocol: where, and which rule. Behind it the stream cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The frame's type.
    pub kind: u8,
    /// The field that is wrong, empty if it is the frame as a whole.
    pub field: &'static str,
    /// Where that field begins, in bytes of payload.
    pub offset: usize,
    /// What is wrong with it.
    pub rule: Rule,
}

impl DecodeError {
    /// The code by which a server answers it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self.rule {
            Rule::FarOverLimit { .. } => Code::TooLarge,
            Rule::HelloFirst => Code::HelloExpected,
            _ => Code::Malformed,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_frame_name(self.kind, f)?;
        if !self.field.is_empty() {
            write!(f, ", field `{}` at byte {}", self.field, self.offset)?;
        }
        match self.rule {
            Rule::Missing => f.write_str(": a required field is missing"),
            Rule::EndsInside => f.write_str(": the payload ends inside it"),
            Rule::NotUtf8 => f.write_str(": not UTF-8"),
            Rule::UnknownType => f.write_str(": unknown in this direction"),
            Rule::OverLimit { limit } | Rule::FarOverLimit { limit } => {
                write!(f, ": larger than its limit of {limit} bytes")
            }
            Rule::HelloFirst => f.write_str(": HELLO must come first"),
            Rule::ContentExpected => f.write_str(": TO must be followed by content"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// A frame that cannot be written, its sender's mistake: which field, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// The frame's type.
    pub kind: u8,
    /// The field that is too long, or that there is no room for. Empty: the header, or the frame as a whole.
    pub field: &'static str,
    /// What is wrong.
    pub rule: EncodeRule,
}

/// Why a frame cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeRule {
    /// A field holds more than its length prefix can say.
    FieldTooLong {
        /// The most that it can hold, in bytes or items.
        limit: usize,
    },
    /// The payload is larger than 4 GiB - 1.
    FrameTooLong,
    /// A fixed buffer has no room left.
    BufferFull,
}

impl EncodeError {
    /// Of a frame and a field that those name who know them.
    pub(crate) const fn new(rule: EncodeRule) -> Self {
        EncodeError { kind: 0xFF, field: "", rule }
    }

    /// Names the field, unless it is one of a list's item, which has its name already.
    pub(crate) const fn of_field(self, field: &'static str) -> Self {
        if self.field.is_empty() { EncodeError { field, ..self } } else { self }
    }
}

impl From<crate::writer::Full> for EncodeError {
    fn from(_: crate::writer::Full) -> Self {
        EncodeError::new(EncodeRule::BufferFull)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_frame_name(self.kind, f)?;
        if !self.field.is_empty() {
            write!(f, ", field `{}`", self.field)?;
        }
        match self.rule {
            EncodeRule::FieldTooLong { limit } => write!(f, ": longer than the {limit} that it may be"),
            EncodeRule::FrameTooLong => f.write_str(": the payload is longer than 4 GiB - 1"),
            EncodeRule::BufferFull => f.write_str(": the buffer is full"),
        }
    }
}

impl core::error::Error for EncodeError {}

fn write_frame_name(kind: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match crate::frame::info(kind) {
        Some(info) => f.write_str(info.name),
        None => write!(f, "frame type {kind:#04x}"),
    }
}
