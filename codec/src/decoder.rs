//! Bytes to events: whole small frames, or a body's start, chunks and end; too large frames are skipped.
//!
//! The decoder owns no buffer. Its user keeps the bytes that have come and offers them; what the decoder
//! does not take is offered again with more behind it. "Not enough yet" is `None`, not an error. Only
//! frames of at most [`Decoder::needs`] bytes have to be whole; the bodies of VOICE to FILE pass in pieces.
//! [`Decoder::next`] reads a frame's fields, [`Decoder::next_ref`] leaves that to its user.
//!
//! ```text
//!                header of                  last byte
//!  first     ┌────────┐ VOICE..FILE  ┌──────┐     of the body
//!  frame ───►│ header ├─────────────►│ body ├──────────────────┐
//!       ┌───►│        │◄─────────────┴──────┴──────────────────┘
//!    TO │    │        │ unknown, too large ┌──────┐
//!       └────┤        ├───────────────────►│ skip ├──► header
//!            └────────┘                    └──────┘
//! ```

use crate::HEADER_LEN;
use crate::error::{DecodeError, Rule};
use crate::frame::{Frame, Text, kind};
use crate::limits::{self, Limits, Plain, Side};

/// What a stream consists of. Frames are read ([`Decoder::next`]) or as they came ([`Decoder::next_ref`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a, F = Frame<'a>> {
    /// A whole frame.
    Frame(F),
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

/// A whole frame whose fields nobody has looked at. Its type, its size and its place in the stream are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// The type byte.
    pub kind: u8,
    /// The payload. (Of TYPING and PRESENCE to a server only what a client has a say in.)
    pub payload: &'a [u8],
}

impl<'a> FrameRef<'a> {
    /// Reads the fields.
    ///
    /// # Errors
    /// As [`Frame::parse`].
    #[inline]
    pub fn parse(self) -> Result<Frame<'a>, DecodeError> {
        Frame::parse(self.kind, self.payload)
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the first frame to a server, which is HELLO.
    First,
    /// Between frames, or before the end of a small one.
    Header,
    /// The same, and the last frame was TO: its content must follow.
    BehindTo,
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
    state: State,
    /// What needs no closer look in this state.
    plain: &'static Plain,
}

impl Decoder {
    /// For what a client sends: expects HELLO first.
    #[must_use]
    pub const fn server(limits: Limits) -> Self {
        Decoder { side: Side::Server, limits, state: State::First, plain: &limits::NOTHING }
    }

    /// For what a server sends.
    #[must_use]
    pub const fn client(limits: Limits) -> Self {
        Decoder { side: Side::Client, limits, state: State::Header, plain: &limits::TO_CLIENT }
    }

    /// Takes other limits from the next frame on: a client learns them from WELCOME.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The most bytes that must be offered at once, header included, for every event to come.
    #[must_use]
    pub fn needs(&self) -> usize {
        let payload = match self.side {
            Side::Server => limits::CHUNK.max(u64::from(self.limits.max_text)),
            Side::Client => limits::INLINE.max(u64::from(self.limits.max_text)),
        };
        HEADER_LEN + usize::try_from(payload).unwrap_or(usize::MAX - HEADER_LEN)
    }

    /// Whether a body or a skipped frame has begun and not ended. (The beginning of a small frame is in
    /// the user's buffer.)
    #[must_use]
    pub const fn inside_body(&self) -> bool {
        matches!(self.state, State::Body { .. } | State::Skip { .. })
    }

    /// Takes the next event off the front of `input`, or `None` if it takes more bytes to tell.
    ///
    /// Call it until it says `None`; keep what is left of `input` and offer it again with more behind.
    ///
    /// # Errors
    /// The frame at the front of `input` breaks the protocol; the stream cannot be followed further.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, DecodeError> {
        if let Some((frame, rest)) = self.plain(input) {
            // The frame that matters for speed is made where it is returned. Moving it there from elsewhere takes
            // longer than all else.
            if frame.kind == kind::TEXT
                && let Ok(text) = core::str::from_utf8(frame.payload)
            {
                *input = rest;
                self.pass(kind::TEXT);
                return Ok(Some(Event::Frame(Frame::Text(Text { text }))));
            }
            let event = self.read(frame.kind, frame.payload);
            if event.is_ok() {
                *input = rest;
            }
            return event;
        }
        if self.has_no_header(input) {
            return Ok(None);
        }
        // A copy, so that the caller's `input` is changed here alone and can stay in registers.
        let mut rest = *input;
        let event = self.other_read(&mut rest);
        *input = rest;
        event
    }

    /// A plain frame, read.
    fn read<'a>(&mut self, kind: u8, payload: &'a [u8]) -> Result<Option<Event<'a>>, DecodeError> {
        let frame = Frame::parse(kind, payload)?;
        self.pass(kind);
        Ok(Some(Event::Frame(frame)))
    }

    /// As [`Decoder::next`], but of a frame's payload nothing is looked at: for those who pass frames on, or
    /// read few of them. Limits, directions and the order of frames hold here too.
    ///
    /// ```
    /// use chatwire_codec::{Decoder, Event, Limits, frame::kind};
    ///
    /// let mut input = &b"\x10\0\0\0\x02??\0\0\0\0\x02hi\0\0"[..];
    /// let mut decoder = Decoder::client(Limits::default());
    /// let mut texts = 0;
    /// while let Some(event) = decoder.next_ref(&mut input)? {
    ///     if let Event::Frame(frame) = event && frame.kind == kind::TEXT {
    ///         assert_eq!(frame.payload, b"hi");
    ///         texts += 1;
    ///     }
    /// }
    /// assert_eq!((texts, input), (1, &b"\0\0"[..]));
    /// # Ok::<(), chatwire_codec::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Decoder::next`], but for what is wrong with a field.
    #[inline]
    pub fn next_ref<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a, FrameRef<'a>>>, DecodeError> {
        if let Some((frame, rest)) = self.plain(input) {
            *input = rest;
            self.pass(frame.kind);
            return Ok(Some(Event::Frame(frame)));
        }
        if self.has_no_header(input) {
            return Ok(None);
        }
        let mut rest = *input; // as in `next`
        let event = self.other(&mut rest);
        *input = rest;
        event
    }

    /// The frame at the front of `input` and what is behind it, if it is whole and one look tells that it breaks
    /// no rule of its place: so it is with nearly all.
    #[inline]
    fn plain<'a>(&self, input: &'a [u8]) -> Option<(FrameRef<'a>, &'a [u8])> {
        let (&[kind, a, b, c, d], rest) = input.split_first_chunk::<HEADER_LEN>()?;
        let size = u32::from_be_bytes([a, b, c, d]);
        if size >= self.plain.0[usize::from(kind)] || kind == kind::TEXT && size > self.limits.max_text {
            return None;
        }
        let (payload, rest) = rest.split_at_checked(size as usize)?;
        Some((FrameRef { kind, payload }, rest))
    }

    /// Goes on behind a frame of this type that is whole.
    #[inline]
    fn pass(&mut self, kind: u8) {
        match (kind, self.state) {
            (kind::TO, _) => self.enter(State::BehindTo),
            (_, State::Header) => {}
            _ => self.enter(State::Header),
        }
    }

    #[inline]
    fn enter(&mut self, state: State) {
        self.state = state;
        self.plain = match (state, self.side) {
            (State::Header, Side::Server) => &limits::TO_SERVER,
            (State::Header, Side::Client) => &limits::TO_CLIENT,
            (State::BehindTo, _) => &limits::BEHIND_TO,
            _ => &limits::NOTHING,
        };
    }

    /// Whether a header comes next and is not there: so it is at the end of each read.
    #[inline]
    const fn has_no_header(&self, input: &[u8]) -> bool {
        input.len() < HEADER_LEN && matches!(self.state, State::First | State::Header | State::BehindTo)
    }

    /// All other events, with frames read.
    fn other_read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, DecodeError> {
        let before = (*input, self.state);
        Ok(Some(match self.other(input)? {
            Some(Event::Frame(frame)) => match frame.parse() {
                Ok(frame) => Event::Frame(frame),
                Err(error) => {
                    // The frame stays at the front; what was passed over before it does not.
                    *input = before.0;
                    self.enter(before.1);
                    self.pass_over(input);
                    return Err(error);
                }
            },
            Some(Event::BodyStart { kind, size }) => Event::BodyStart { kind, size },
            Some(Event::BodyChunk(bytes)) => Event::BodyChunk(bytes),
            Some(Event::BodyEnd) => Event::BodyEnd,
            Some(Event::Skipped { kind, size, reason }) => Event::Skipped { kind, size, reason },
            None => return Ok(None),
        }))
    }

    /// All but plain frames, by every rule.
    fn other<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a, FrameRef<'a>>>, DecodeError> {
        self.pass_over(input);
        match &mut self.state {
            State::First | State::Header | State::BehindTo => self.frame(input),
            State::Body { left: 0 } => {
                self.enter(State::Header);
                Ok(Some(Event::BodyEnd))
            }
            State::Body { left } => {
                let chunk = take_up_to(input, left);
                Ok((!chunk.is_empty()).then_some(Event::BodyChunk(chunk)))
            }
            State::Skip { .. } => Ok(None),
        }
    }

    /// Takes what is there of a frame that is skipped.
    fn pass_over(&mut self, input: &mut &[u8]) {
        if let State::Skip { left } = &mut self.state {
            take_up_to(input, left);
            if *left == 0 {
                self.enter(State::Header);
            }
        }
    }

    /// The frame at the front of `input`, by every rule.
    fn frame<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a, FrameRef<'a>>>, DecodeError> {
        let Some((&[kind, a, b, c, d], rest)) = input.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes([a, b, c, d]);
        let first = matches!(self.state, State::First);
        let known = self.side.knows(kind);
        let limit = self.side.limit(kind, first, self.limits);
        let error = |rule| Err(DecodeError { kind, field: "", offset: 0, rule });
        if u64::from(size) > limit + limits::FAR_OVER {
            return error(Rule::FarOverLimit { limit });
        }
        if first && kind != kind::HELLO {
            return error(Rule::HelloFirst);
        }
        if matches!(self.state, State::BehindTo) && kind > kind::GONE {
            return error(Rule::ContentExpected);
        }
        if u64::from(size) > limit {
            if known && !is_content(kind) {
                return error(Rule::OverLimit { limit });
            }
            self.enter(State::Skip { left: size });
            *input = rest;
            return Ok(Some(Event::Skipped { kind, size, reason: SkipReason::TooLarge { limit } }));
        }
        if !known {
            // The first field of an unknown request is its number, and its answer has to name it.
            let Some(head) = rest.get(..size.min(4) as usize) else { return Ok(None) };
            let req = head.try_into().map_or(0, u32::from_be_bytes);
            self.enter(State::Skip { left: size });
            *input = rest;
            return Ok(Some(Event::Skipped { kind, size, reason: SkipReason::Unknown { req } }));
        }
        if matches!(kind, kind::VOICE..=kind::FILE) {
            self.enter(State::Body { left: size });
            *input = rest;
            return Ok(Some(Event::BodyStart { kind, size }));
        }
        let Some((payload, rest)) = rest.split_at_checked(size as usize) else { return Ok(None) };
        *input = rest;
        self.pass(kind);
        let reach = self.side.reach(kind).min(payload.len());
        Ok(Some(Event::Frame(FrameRef { kind, payload: &payload[..reach] })))
    }
}

/// Whether a known type is content. What is too large of it is passed over, not the end of the stream.
const fn is_content(kind: u8) -> bool {
    matches!(kind, kind::TEXT..=kind::GONE | kind::REPLY_TEXT..=kind::REPLY_IMAGE)
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
