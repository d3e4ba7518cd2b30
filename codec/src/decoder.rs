//! Bytes to events: whole small frames, or a body's start, chunks and end; too large frames are skipped.
//!
//! The decoder owns no buffer. Its user keeps the bytes that have come and offers them; what the decoder
//! does not take is offered again with more behind it. "Not enough yet" is `None`, not an error. Only
//! frames of at most [`Decoder::needs`] bytes have to be whole; the bodies of VOICE to FILE pass in pieces.
//!
//! ```text
//!              header of                  last byte
//!   ┌────────┐ VOICE..FILE  ┌──────┐     of the body
//!   │ header ├─────────────►│ body ├──────────────────┐
//!   │        │◄─────────────┴──────┴──────────────────┘
//!   │        │ unknown, too large ┌──────┐
//!   │        ├───────────────────►│ skip ├──► header
//!   └────────┘                    └──────┘
//! ```

use crate::error::{DecodeError, Rule};
use crate::frame::{Frame, info, kind};

/// Bytes of the first frame's payload, whatever it is.
const FIRST_LIMIT: u64 = 2 * 1024;
/// Bytes of TO, MEDIA, a request or an event to a server.
const REQUEST_LIMIT: u64 = 4 * 1024;
const PING_LIMIT: u64 = 64;
const BYE_LIMIT: u64 = 1024;
/// `transfer | offset` and 64 KiB.
const CHUNK_LIMIT: u64 = 12 + 65_536;
/// Bytes of a frame to a server whose type it does not know.
const UNKNOWN_LIMIT: u64 = 1024 * 1024;
/// Bytes of inline media and whole replies to a client.
const INLINE_LIMIT: u64 = 1024 * 1024;
/// Bytes of all else to a client.
const TO_CLIENT_LIMIT: u64 = 64 * 1024;
/// So many bytes over a limit a stream is not worth following.
const FAR_OVER: u64 = 16 * 1024 * 1024;

/// The limits that are the server's choice and that WELCOME tells a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest TEXT, in bytes.
    pub max_text: u32,
    /// The largest VOICE to FILE in one frame to a server, in bytes.
    pub max_media: u32,
}

impl Default for Limits {
    /// A server's defaults: 64 KiB and 1 GiB.
    fn default() -> Self {
        Limits { max_text: 64 * 1024, max_media: 1 << 30 }
    }
}

/// What a stream consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// A body of type VOICE to FILE begins: `size` bytes of [`Event::BodyChunk`]s and one
    /// [`Event::BodyEnd`] follow.
    BodyStart {
        /// VOICE to FILE.
        kind: u8,
        /// Bytes of the whole body.
        size: u32,
    },
    /// The next bytes of the body; never empty.
    BodyChunk(&'a [u8]),
    /// The body is whole.
    BodyEnd,
    /// A frame is passed over: nothing more comes of it.
    Skipped {
        /// Its type.
        kind: u8,
        /// Bytes of its payload.
        size: u32,
        /// Why.
        reason: SkipReason,
    },
}

/// Why a frame is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The type has no meaning in this direction.
    Unknown {
        /// The payload's first four bytes as a number, 0 if it has fewer: a request's `req`.
        req: u32,
    },
    /// The payload is larger than the type's limit.
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between frames, or before the end of a small one.
    Header,
    /// Inside a VOICE to FILE.
    Body { left: u32 },
    /// Inside a frame that is passed over.
    Skip { left: u32 },
}

/// Turns the bytes of one direction of one connection into events.
#[derive(Debug)]
pub struct Decoder {
    side: Side,
    limits: Limits,
    first: bool,
    state: State,
}

impl Decoder {
    /// For what a client sends: expects HELLO first.
    #[must_use]
    pub const fn server(limits: Limits) -> Self {
        Decoder { side: Side::Server, limits, first: true, state: State::Header }
    }

    /// For what a server sends.
    #[must_use]
    pub const fn client(limits: Limits) -> Self {
        Decoder { side: Side::Client, limits, first: false, state: State::Header }
    }

    /// Takes other limits from the next frame on: a client learns them from WELCOME.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The most bytes that must be offered at once, header included, for every event to come.
    #[must_use]
    pub fn needs(&self) -> usize {
        let payload = match self.side {
            Side::Server => CHUNK_LIMIT.max(u64::from(self.limits.max_text)),
            Side::Client => INLINE_LIMIT.max(u64::from(self.limits.max_text)),
        };
        crate::HEADER_LEN + usize::try_from(payload).unwrap_or(usize::MAX - crate::HEADER_LEN)
    }

    /// Whether a body or a skipped frame has begun and not ended. (The beginning of a small frame is in
    /// the user's buffer.)
    #[must_use]
    pub const fn inside_body(&self) -> bool {
        !matches!(self.state, State::Header)
    }

    /// Takes the next event off the front of `input`, or `None` if it takes more bytes to tell.
    ///
    /// Call it until it says `None`; keep what is left of `input` and offer it again with more behind.
    ///
    /// # Errors
    /// The frame at the front of `input` breaks the protocol; the stream cannot be followed further.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, DecodeError> {
        loop {
            match &mut self.state {
                State::Header => return self.frame(input),
                State::Body { left: 0 } => {
                    self.state = State::Header;
                    return Ok(Some(Event::BodyEnd));
                }
                State::Body { left } => {
                    let chunk = take_up_to(input, left);
                    return Ok((!chunk.is_empty()).then_some(Event::BodyChunk(chunk)));
                }
                State::Skip { left: 0 } => self.state = State::Header,
                State::Skip { left } => {
                    if take_up_to(input, left).is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    #[inline]
    fn frame<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, DecodeError> {
        let Some((&[kind, a, b, c, d], rest)) = input.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes([a, b, c, d]);
        // A text is the frame that matters for speed, and the common ones are within every limit.
        if !self.first && kind == kind::TEXT && size <= self.limits.max_text {
            return whole(kind, size, usize::MAX, rest, input);
        }
        self.other_frame(kind, size, rest, input)
    }

    fn other_frame<'a>(
        &mut self,
        kind: u8,
        size: u32,
        rest: &'a [u8],
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, DecodeError> {
        let known = self.knows(kind);
        let limit = self.limit(kind, known);
        let error = |rule| Err(DecodeError { kind, field: "", offset: 0, rule });
        if u64::from(size) > limit + FAR_OVER {
            return error(Rule::FarOverLimit { limit });
        }
        if self.first && kind != kind::HELLO {
            return error(Rule::HelloFirst);
        }
        if u64::from(size) > limit {
            if known && !is_content(kind) {
                return error(Rule::OverLimit { limit });
            }
            self.state = State::Skip { left: size };
            *input = rest;
            return Ok(Some(Event::Skipped { kind, size, reason: SkipReason::TooLarge { limit } }));
        }
        if !known {
            // The first field of an unknown request is its number, and its answer has to name it.
            let Some(head) = rest.get(..size.min(4) as usize) else { return Ok(None) };
            let req = head.try_into().map_or(0, u32::from_be_bytes);
            self.state = State::Skip { left: size };
            *input = rest;
            return Ok(Some(Event::Skipped { kind, size, reason: SkipReason::Unknown { req } }));
        }
        if matches!(kind, kind::VOICE..=kind::FILE) {
            self.state = State::Body { left: size };
            *input = rest;
            return Ok(Some(Event::BodyStart { kind, size }));
        }
        let event = whole(kind, size, self.reach(kind), rest, input)?;
        if event.is_some() {
            self.first = false;
        }
        Ok(event)
    }

    fn knows(&self, kind: u8) -> bool {
        info(kind).is_some_and(|info| match self.side {
            Side::Server => info.direction.reaches_server(),
            Side::Client => info.direction.reaches_client(),
        })
    }

    /// How many bytes of a payload have a meaning in this direction: what stands behind them is ignored.
    const fn reach(&self, kind: u8) -> usize {
        match (self.side, kind) {
            (Side::Server, kind::TYPING) => 9,
            (Side::Server, kind::PRESENCE) => 1,
            _ => usize::MAX,
        }
    }

    /// The largest payload of a frame of this type (section 1).
    fn limit(&self, kind: u8, known: bool) -> u64 {
        let max_text = u64::from(self.limits.max_text);
        match (self.side, kind) {
            (Side::Server, _) if self.first => FIRST_LIMIT,
            (Side::Server, _) if !known => UNKNOWN_LIMIT,
            (_, kind::TEXT) => max_text,
            (_, kind::CHUNK) => CHUNK_LIMIT,
            (Side::Server, kind::VOICE..=kind::FILE) => self.limits.max_media.into(),
            (Side::Server, kind::PING | kind::PONG) => PING_LIMIT,
            (Side::Server, kind::BYE) => BYE_LIMIT,
            (Side::Server, kind::HELLO) => FIRST_LIMIT,
            (Side::Server, _) => REQUEST_LIMIT,
            (Side::Client, kind::VOICE..=kind::FILE | kind::REPLY_TEXT..=kind::REPLY_IMAGE) => INLINE_LIMIT,
            (Side::Client, _) => TO_CLIENT_LIMIT,
        }
    }
}

/// Whether a known type is content. What is too large of it is passed over, not the end of the stream.
const fn is_content(kind: u8) -> bool {
    matches!(kind, kind::TEXT..=kind::GONE | kind::REPLY_TEXT..=kind::REPLY_IMAGE)
}

/// A whole frame, or nothing yet.
#[inline]
fn whole<'a>(
    kind: u8,
    size: u32,
    reach: usize,
    rest: &'a [u8],
    input: &mut &'a [u8],
) -> Result<Option<Event<'a>>, DecodeError> {
    let Some((payload, rest)) = rest.split_at_checked(size as usize) else {
        return Ok(None);
    };
    let frame = Frame::parse(kind, &payload[..reach.min(payload.len())])?;
    *input = rest;
    Ok(Some(Event::Frame(frame)))
}

/// At most `left` bytes off the front of `input`, which `left` is lowered by.
fn take_up_to<'a>(input: &mut &'a [u8], left: &mut u32) -> &'a [u8] {
    let n = input.len().min(*left as usize);
    let (head, rest) = input.split_at(n);
    *input = rest;
    // `n` is at most `left`, so it fits.
    *left -= u32::try_from(n).unwrap_or(*left);
    head
}
