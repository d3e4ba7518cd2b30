//! What one connection may do and what state it is in: sans-IO.
//!
//! The contract: hand it one thing with a `handle_*` method, with the time; then drain [`Session::poll_effect`]
//! and do what it says, in order; then ask [`Session::wants_input`] before the next input, and
//! [`Session::poll_timeout`] for when to call [`Session::handle_timeout`]. The same inputs at the same times
//! give the same effects.
//!
//! It knows frames, policy and names; it knows no socket, no store, no other connection, and never asks for
//! the time.
//!
//! ```text
//!                HELLO              Welcomed
//!  AwaitingHello ─────► LoggingIn ──────────► Open ──┐ BYE, end of input,
//!        │                  │                  │     │ a fatal error, shutdown
//!        └── fatal ─────────┴──── fatal ───────┴─────┴──► Ending ──► Over
//!                                       (answers what came before)
//! ```

mod effect;
mod ending;
mod event;
mod hello;
mod message;
mod pace;
mod request;
#[cfg(test)]
mod tests;
mod timers;
mod transfer;

use crate::delivery;
use crate::error::Refusal;
use crate::id::{ChatId, ConnId, Now, UserId};
use crate::policy::Policy;
use crate::policy::rate::Rate;
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Code, DecodeError, Event, Frame, SkipReason};
pub use effect::{Claim, Effect, Greeted, Notice, Proven, Query, QueryKind, Secret, Token};
use ending::{Ending, FATAL_DRAIN, LEAVE};
use hello::LoggingIn;
use message::Draft;
use pace::Spent;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timers::{Due, Timers};
use transfer::Transfer;
pub use transfer::{FETCHES, UPLOADS, Wish};

/// Messages of one connection that may wait for their answers; with more it is not read from.
pub const IN_FLIGHT: u32 = 1024;
/// When to come again who found no room for a large frame.
const NO_ROOM: Duration = Duration::from_secs(5);
/// BYE's code for who was kicked.
const KICKED: u16 = 3;

/// The settings that a session goes by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Zones, hours, guests.
    pub policy: Policy,
    /// Silence before a PING, and again before the end.
    pub heartbeat: Duration,
    /// From the accept to a whole HELLO.
    pub hello: Duration,
    /// How long a frame may stand still.
    pub frame: Duration,
    /// How long a connection may take no byte of what waits for it.
    pub stall: Duration,
    /// The largest media, in bytes.
    pub max_media: u64,
    /// How many messages a connection may send.
    pub messages: Option<Rate>,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    rules: Arc<Rules>,
    conn: ConnId,
    state: State,
    timers: Timers,
    effects: VecDeque<Effect>,
    /// Messages that were submitted and not yet answered.
    in_flight: u32,
    /// What a request leads to, while messages before it are not yet answered.
    held: Option<Box<Effect>>,
    /// Whether secrets would be safe on this connection.
    is_private: bool,
}

#[derive(Debug)]
enum State {
    AwaitingHello,
    LoggingIn(Box<LoggingIn>),
    Open(Box<Open>),
    Ending(Box<Ending>),
    Over,
}

/// A connection that may chat.
#[derive(Debug)]
struct Open {
    user: UserId,
    name: Arc<str>,
    zone: chrono_tz::Tz,
    /// The room that it joined last; `None`: the home chat.
    current: Option<ChatId>,
    /// A TO whose content has not come yet.
    draft: Option<Box<Draft>>,
    /// What the body that is coming belongs to, or `None` if it is passed over.
    body: Option<Box<Body>>,
    /// A request, or a body's end, whose outcome must be known before anything else is looked at.
    waits: bool,
    /// Transfers that are running.
    transfers: Vec<Transfer>,
    /// The ticket of the last upload.
    last_upload: u32,
    /// What it has used up of its rates; `None`: nothing yet, as most that have no limit.
    spent: Option<Box<Spent>>,
}

#[derive(Debug)]
struct Body {
    draft: Draft,
    kind: u8,
}

impl Session {
    /// A connection that was accepted now. `is_private`: from this machine, or encrypted.
    #[must_use]
    pub fn new(rules: Arc<Rules>, conn: ConnId, is_private: bool, now: Instant) -> Self {
        let timers = Timers::new(now + rules.hello, now);
        let (state, effects) = (State::AwaitingHello, VecDeque::new());
        Session { rules, conn, state, timers, effects, in_flight: 0, held: None, is_private }
    }

    /// The next thing to be done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Gives back what is only needed while something moves.
    pub fn rest(&mut self) {
        if self.effects.is_empty() {
            self.effects = VecDeque::new();
        }
    }

    /// Whether the next event may be handed in. Where not, what has come must wait.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match &self.state {
            State::AwaitingHello => true,
            State::Open(open) => {
                !open.waits && !open.is_paused() && self.in_flight < IN_FLIGHT && self.effects.is_empty()
            }
            State::LoggingIn(_) | State::Ending(_) | State::Over => false,
        }
    }

    /// Whether HELLO has been said and not yet been answered.
    #[must_use]
    pub fn is_logging_in(&self) -> bool {
        matches!(self.state, State::LoggingIn(_))
    }

    /// Whether all that was asked for is answered.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.in_flight == 0
            && self.effects.is_empty()
            && !matches!(&self.state, State::Open(open) if open.waits)
    }

    /// Whether it is over: only what was queued before is still sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether it is over, or about to be: nothing that the client sends matters any more.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending(_) | State::Over)
    }

    /// When to call [`Session::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let paused_until = match &self.state {
            State::Open(open) => open.paused_until(),
            _ => None,
        };
        let due = self.timers.next(&self.rules);
        paused_until.into_iter().chain(due).min()
    }

    /// Bytes came.
    pub fn handle_read(&mut self, now: Instant, n: usize) {
        self.timers.read(now, n);
    }

    /// What came was looked at: whether a frame ended in it, and whether one has begun and not ended.
    pub fn handle_looked_at(&mut self, now: Instant, ended: bool, inside: bool) {
        self.timers.looked_at(now, ended, inside);
    }

    /// Whether the connection is being read from.
    pub fn handle_reading(&mut self, now: Instant, reading: bool) {
        self.timers.reading(now, reading);
    }

    /// Bytes were written; `waits` tells whether there are more to be.
    pub fn handle_written(&mut self, now: Instant, waits: bool) {
        self.timers.written(now, waits);
    }

    /// The PING of [`Effect::Ping`] is on its way.
    pub fn handle_ping_sent(&mut self, now: Instant) {
        self.timers.ping_sent(now);
    }

    /// A piece of the client's stream. A body's chunks need not be handed in.
    pub fn handle_event(&mut self, now: Now, event: Event<'_>) {
        match event {
            Event::Frame(frame) => self.frame(now, frame),
            Event::BodyStart { kind, size } => self.body_start(now, kind, size),
            Event::BodyChunk(_) => {}
            Event::BodyEnd => self.body_end(),
            Event::Skipped { kind, size, reason } => self.skipped(now, kind, size, reason),
        }
    }

    /// The client's stream cannot be followed further.
    pub fn handle_decode_error(&mut self, now: Instant, error: &DecodeError) {
        self.fatal(now, &Refusal::new(error.code(), error.to_string()), error.kind);
    }

    /// The client has ended its side of the stream.
    pub fn handle_eof(&mut self) {
        match self.state {
            State::AwaitingHello | State::LoggingIn(_) => self.over(Vec::new()),
            State::Open(_) => self.end(None, delivery::bye(0, "")),
            State::Ending(_) | State::Over => {}
        }
    }

    /// Something that the hub or the connection's own tasks have to say.
    pub fn handle_notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::Welcomed { user, name } => self.welcomed(user, name),
            Notice::LoginRefused(refusal) => self.login_refused(now, &refusal),
            Notice::Joined(chat) => self.with_open(|open| open.current = Some(chat)),
            Notice::Left(chat) => {
                self.with_open(|open| {
                    open.current.take_if(|current| *current == chat);
                });
                if let Some(held) = self.held.as_deref_mut() {
                    request::has_left(held, chat);
                }
            }
            Notice::Answered => self.answered_request(),
            Notice::Uploaded(ticket, result) => self.handle_uploaded(ticket, result),
            Notice::Overrun => {
                let text = "more waits to be read than the server keeps for one connection";
                self.fatal(now, &Refusal::new(Code::Timeout, text), delivery::ABOUT_NOTHING);
            }
            Notice::Banned(refusal) => {
                self.fatal(now, &refusal, delivery::ABOUT_NOTHING);
                self.be_gone(now + FATAL_DRAIN + LEAVE);
            }
            Notice::Kicked => {
                let bye = delivery::bye(KICKED, "the operator has ended this user's connections");
                self.end(Some(now + FATAL_DRAIN), bye);
                self.be_gone(now + FATAL_DRAIN + LEAVE);
            }
            Notice::Rules(rules) => self.rules = rules,
            Notice::Shutdown => self.shutdown(now),
        }
    }

    /// So many messages have been answered.
    pub fn handle_answered(&mut self, count: u32) {
        self.in_flight = self.in_flight.saturating_sub(count);
        if self.in_flight == 0
            && !matches!(self.state, State::Over)
            && let Some(effect) = self.held.take()
        {
            self.begin_request(*effect);
        }
        self.finish_if_drained();
    }

    /// There is no memory for a frame that has not come whole.
    pub fn handle_no_room(&mut self, now: Instant) {
        let text = "the server is short of memory, and this frame is large; come again later";
        self.fatal(now, &Refusal::too_early(Code::Busy, text, NO_ROOM), delivery::ABOUT_NOTHING);
    }

    /// The server has failed this connection: it cannot be given what it must have.
    pub fn handle_failure(&mut self, now: Instant) {
        self.fatal(now, &Refusal::internal(), delivery::ABOUT_NOTHING);
    }

    /// A time of [`Session::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.go_on(now);
        match self.timers.due(&self.rules, now) {
            None => {}
            Some(Due::Ping) => {
                let ping = delivery::bytes_of(&frame::Ping { bytes: b"" });
                self.effects.push_back(Effect::Ping(ping));
            }
            Some(Due::Drain) if self.is_over() => self.abandon("not all could be sent before the end"),
            Some(Due::Drain) => self.finish(),
            Some(Due::Stall) => self.abandon("nothing could be sent for too long"),
            Some(Due::Timeout(text)) => {
                self.fatal(now, &Refusal::new(Code::Timeout, text), delivery::ABOUT_NOTHING);
            }
        }
    }

    fn frame(&mut self, now: Now, frame: Frame<'_>) {
        match &mut self.state {
            State::AwaitingHello => match frame {
                Frame::Hello(hello) => self.hello(now, &hello),
                other => self.malformed(now, other.kind(), "HELLO must come first"),
            },
            State::Open(_) => self.open_frame(now, frame),
            State::LoggingIn(_) | State::Ending(_) | State::Over => {}
        }
    }

    fn open_frame(&mut self, now: Now, frame: Frame<'_>) {
        match frame {
            Frame::Text(text) => self.text(now, text.text),
            Frame::Media(media) => self.reference(now, &media),
            Frame::To(to) => self.to(now, &to),
            Frame::Ping(ping) => {
                let pong = delivery::bytes_of(&frame::Pong { bytes: ping.bytes });
                self.effects.push_back(Effect::Urgent(pong));
            }
            Frame::Bye(_) => self.end(None, delivery::bye(0, "")),
            Frame::Hello(_) => self.malformed(now, kind::HELLO, "a second HELLO"),
            Frame::Typing(typing) => self.typing(now.instant, &typing),
            Frame::Presence(presence) => self.presence(now.instant, &presence),
            // Not answered. A CHUNK comes by a way of its own, since its bytes are not to be copied.
            Frame::Pong(_) | Frame::Chunk(_) => {}
            request => self.request(now, &request),
        }
    }

    /// A frame that the decoder passes over.
    fn skipped(&mut self, now: Now, kind: u8, size: u32, reason: SkipReason) {
        self.charge_skipped(now.instant, size);
        let refusal = match reason {
            SkipReason::Unknown { .. } if kind >= 0x80 => return,
            SkipReason::Unknown { .. } => {
                Refusal::new(Code::Unsupported, format!("the server takes no frames of type {kind:#04x}"))
            }
            SkipReason::TooLarge { limit } => {
                Refusal::new(Code::TooLarge, format!("larger than the {limit} bytes that are allowed"))
            }
        };
        if delivery::is_content(kind) {
            return self.refuse_message(kind, refusal);
        }
        let req = match reason {
            SkipReason::Unknown { req } if (0x40..=0x6F).contains(&kind) => req,
            _ => 0,
        };
        self.send_error(kind, req.into(), &refusal);
    }

    fn with_open(&mut self, change: impl FnOnce(&mut Open)) {
        if let State::Open(open) = &mut self.state {
            change(open);
        }
    }

    fn send_error(&mut self, about: u8, reference: u64, refusal: &Refusal) {
        log::debug!("connection {}: frame type {about:#04x} refused: {refusal}", self.conn);
        let mut out = Vec::new();
        delivery::error(&mut out, about, reference, refusal);
        self.effects.push_back(Effect::Send(out));
    }

    fn malformed(&mut self, now: Now, about: u8, text: &'static str) {
        self.fatal(now.instant, &Refusal::new(Code::Malformed, text), about);
    }
}
