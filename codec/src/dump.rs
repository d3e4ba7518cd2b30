//! A stream of bytes, taken apart for people: every frame, every field, where it lies and what it means.
//!
//! A [`Tracer`] goes over what one side sends. Unlike a [`Decoder`] it does not end at an error: it says what is wrong
//! and goes on behind the frame, as long as its size can be believed. [`parts()`] takes one payload apart, after the frame
//! table and nothing else, so a new frame type needs no line here. [`Printer`] writes both as annotated hex.
//!
//! ```
//! use chatwire_codec::dump::{Sender, annotate};
//!
//! let shown = annotate(Sender::Server, b"\x24\0\0\0\x04\0\x01\0\0");
//! assert_eq!(shown, "\
//! 00000000  24 00 00 00 04                       BYE, 4 bytes (section 5.6)
//! 00000005  00 01                                  code 1 (shutting down)
//! 00000007  00 00                                  reason \"\"
//! ");
//! ```
//!
//! What it lacks: I/O, and a memory for more than one frame of a size that a [`Decoder`] would have whole. The bodies of
//! VOICE to FILE, and what is skipped, pass in pieces.

mod meaning;
mod parts;
mod printer;

pub use meaning::{meaning, number_named};
pub use parts::{Part, What, parts};
pub use printer::{Printer, Style};

use crate::decoder::{Decoder, Event, SkipReason};
use crate::error::{DecodeError, Rule};
use crate::frame::{Frame, Hello};
use crate::limits::Limits;
use crate::table::Payload;
use alloc::string::String;
use alloc::vec::Vec;

/// Who sends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// It goes to a server.
    Client,
    /// It goes to a client.
    Server,
}

/// What is not as it should be about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It breaks the protocol. A peer would end the connection.
    Wrong(DecodeError),
    /// A peer skips it.
    Skipped(SkipReason),
    /// The stream ends inside of it.
    Cut {
        /// Bytes that it lacks; of a header that is cut, those of the header.
        missing: u64,
    },
}

/// What a stream consists of. `at` counts its bytes from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A frame, or the beginning of one that is [`Trouble::Cut`].
    Frame {
        /// Where it begins.
        at: u64,
        /// Header and payload; of a frame that the stream's end cuts what there is, at least one byte.
        bytes: &'a [u8],
        /// What is wrong with it.
        trouble: Option<Trouble>,
    },
    /// A frame begins whose payload comes as [`Item::Piece`]s and ends with [`Item::End`].
    Start {
        /// Where it begins.
        at: u64,
        /// Its type.
        kind: u8,
        /// Bytes of its payload.
        size: u32,
        /// What is wrong with it. After [`Rule::FarOverLimit`] the whole rest of the stream is its payload, since its
        /// size is not worth believing.
        trouble: Option<Trouble>,
    },
    /// The next bytes of the frame that has begun; never empty.
    Piece {
        /// Where they lie.
        at: u64,
        /// Some of its payload.
        bytes: &'a [u8],
    },
    /// The frame that has begun ends.
    End {
        /// Bytes of its payload that did not come, since the stream ended.
        missing: u64,
    },
}

/// Takes apart what one side of one connection sends.
#[derive(Debug)]
pub struct Tracer {
    sender: Sender,
    limits: Limits,
    decoder: Decoder,
    state: State,
    /// An error about the frame at the front of what comes next, found at its header.
    trouble: Option<Trouble>,
    /// Bytes of the stream before `held`.
    at: u64,
    /// The beginning of a frame that is not whole yet.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Inside {
        left: u32,
    },
    /// Behind a size that nobody believes.
    Lost,
}

impl Tracer {
    /// Stands at the beginning of what `sender` sends.
    #[must_use]
    pub fn new(sender: Sender, limits: Limits) -> Self {
        let decoder = match sender {
            Sender::Client => Decoder::server(limits),
            Sender::Server => Decoder::client(limits),
        };
        Tracer { sender, limits, decoder, state: State::Header, trouble: None, at: 0, held: Vec::new() }
    }

    /// Stands behind HELLO and its answer: for a stream whose beginning nobody saw.
    #[must_use]
    pub fn midway(sender: Sender, limits: Limits) -> Self {
        Tracer { decoder: midway(sender, limits), ..Tracer::new(sender, limits) }
    }

    /// Takes other limits from the next frame on. (A tracer of a server's stream takes those of WELCOME by itself.)
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.decoder.set_limits(limits);
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes the next bytes of the stream, cut anywhere, and tells what they make whole.
    ///
    /// It keeps no more than one frame that a [`Decoder`] would have whole, and `bytes`.
    pub fn feed(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Item<'_>)) {
        if self.held.is_empty() {
            let used = self.walk(bytes, tell);
            self.held.extend_from_slice(&bytes[used..]);
            return;
        }
        let mut held = core::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let used = self.walk(&held, tell);
        held.drain(..used);
        self.held = held;
    }

    /// The stream ends: tells what it left unfinished.
    pub fn finish(&mut self, tell: &mut dyn FnMut(Item<'_>)) {
        match core::mem::replace(&mut self.state, State::Header) {
            State::Inside { left } => tell(Item::End { missing: left.into() }),
            State::Lost => tell(Item::End { missing: 0 }),
            State::Header if self.held.is_empty() => {}
            State::Header => {
                let trouble = self.trouble.take().unwrap_or(Trouble::Cut { missing: missing_of(&self.held) });
                tell(Item::Frame { at: self.at, bytes: &self.held, trouble: Some(trouble) });
                self.at += self.held.len() as u64;
                self.held.clear();
            }
        }
    }

    /// Tells what `input` holds, and how much of it that was.
    fn walk(&mut self, input: &[u8], tell: &mut dyn FnMut(Item<'_>)) -> usize {
        let mut rest = input;
        while self.step(&mut rest, tell) {}
        input.len() - rest.len()
    }

    /// Takes one item off the front, or says that it takes more bytes.
    fn step(&mut self, rest: &mut &[u8], tell: &mut dyn FnMut(Item<'_>)) -> bool {
        match self.state {
            State::Header => self.frame(rest, tell),
            State::Lost if rest.is_empty() => false,
            State::Lost => {
                self.piece(rest, rest.len(), tell);
                false
            }
            State::Inside { left: 0 } => {
                self.state = State::Header;
                tell(Item::End { missing: 0 });
                true
            }
            State::Inside { left } => {
                let n = rest.len().min(left as usize);
                if n == 0 {
                    return false;
                }
                self.state = State::Inside { left: left - u32::try_from(n).unwrap_or(left) };
                self.piece(rest, n, tell);
                true
            }
        }
    }

    fn piece(&mut self, rest: &mut &[u8], n: usize, tell: &mut dyn FnMut(Item<'_>)) {
        tell(Item::Piece { at: self.at, bytes: self.take(rest, n) });
    }

    fn take<'a>(&mut self, rest: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (taken, behind) = rest.split_at(n.min(rest.len()));
        *rest = behind;
        self.at += taken.len() as u64;
        taken
    }

    fn frame(&mut self, rest: &mut &[u8], tell: &mut dyn FnMut(Item<'_>)) -> bool {
        let mut behind = *rest;
        let error = match self.decoder.next(&mut behind) {
            Ok(None) => return false,
            Ok(Some(Event::Frame(frame))) => {
                if let (Sender::Server, Frame::Welcome(welcome)) = (self.sender, &frame) {
                    self.set_limits(Limits { max_text: welcome.max_text, ..self.limits });
                }
                self.whole(rest, rest.len() - behind.len(), None, tell);
                return true;
            }
            Ok(Some(Event::BodyStart { kind, size })) => {
                return self.begin(rest, (kind, size), None, tell);
            }
            Ok(Some(Event::Skipped { kind, size, reason })) => {
                return self.begin(rest, (kind, size), Some(Trouble::Skipped(reason)), tell);
            }
            // The decoder stands at a header whenever it is asked.
            Ok(Some(Event::BodyChunk(_) | Event::BodyEnd)) => return true,
            Err(error) => error,
        };
        self.decoder = midway(self.sender, self.limits);
        let size = header_of(rest).map_or(0, |(_, size)| size);
        let trouble = Trouble::Wrong(error);
        match error.rule {
            // Told by the header and about its place alone: what it holds is still to be seen.
            Rule::HelloFirst | Rule::ContentExpected => self.trouble = Some(trouble),
            Rule::OverLimit { .. } => return self.begin(rest, (error.kind, size), Some(trouble), tell),
            Rule::FarOverLimit { .. } => {
                self.begin(rest, (error.kind, size), Some(trouble), tell);
                self.state = State::Lost;
            }
            Rule::Missing | Rule::EndsInside | Rule::NotUtf8 | Rule::UnknownType => {
                self.whole(rest, crate::HEADER_LEN + size as usize, Some(trouble), tell);
            }
        }
        true
    }

    fn whole(
        &mut self,
        rest: &mut &[u8],
        len: usize,
        trouble: Option<Trouble>,
        tell: &mut dyn FnMut(Item<'_>),
    ) {
        let at = self.at;
        let trouble = self.trouble.take().or(trouble);
        tell(Item::Frame { at, bytes: self.take(rest, len), trouble });
    }

    fn begin(
        &mut self,
        rest: &mut &[u8],
        (kind, size): (u8, u32),
        trouble: Option<Trouble>,
        tell: &mut dyn FnMut(Item<'_>),
    ) -> bool {
        let at = self.at;
        self.take(rest, crate::HEADER_LEN);
        self.decoder = midway(self.sender, self.limits);
        self.state = State::Inside { left: size };
        tell(Item::Start { at, kind, size, trouble: self.trouble.take().or(trouble) });
        true
    }
}

/// A decoder that stands between two frames, behind HELLO.
fn midway(sender: Sender, limits: Limits) -> Decoder {
    if sender == Sender::Server {
        return Decoder::client(limits);
    }
    let (mut decoder, mut hello) = (Decoder::server(limits), Vec::new());
    let encoded = Hello { version: 1, ..Hello::default() }.encode(&mut hello);
    debug_assert!(encoded.is_ok(), "a HELLO of empty fields fits");
    let decoded = decoder.next(&mut &hello[..]);
    debug_assert!(matches!(decoded, Ok(Some(Event::Frame(_)))), "{decoded:?}");
    decoder
}

/// The type and size that a frame's first bytes say, if they are there.
fn header_of(bytes: &[u8]) -> Option<(u8, u32)> {
    let &[kind, a, b, c, d] = bytes.first_chunk()?;
    Some((kind, u32::from_be_bytes([a, b, c, d])))
}

/// How many bytes a frame lacks, or its header as long as that is not whole.
fn missing_of(frame: &[u8]) -> u64 {
    let size = header_of(frame).map_or(0, |(_, size)| u64::from(size));
    (crate::HEADER_LEN as u64 + size).saturating_sub(frame.len() as u64)
}

/// Annotated hex of a stream from its beginning, without colour and with the default limits.
#[must_use]
pub fn annotate(sender: Sender, bytes: &[u8]) -> String {
    let (mut tracer, mut printer) = (Tracer::new(sender, Limits::default()), Printer::new(Style::default()));
    let mut shown = String::new();
    // Writing to a String cannot fail.
    let mut show = |item: Item<'_>| {
        let _ = printer.print(&item, &mut shown);
    };
    tracer.feed(bytes, &mut show);
    tracer.finish(&mut show);
    shown
}
