//! What can happen to a connection, in any order that its contract allows: bytes, answers, times, ends.
//!
//! What holds throughout: what a session sends can be read, it takes no more messages than it may, nothing
//! comes out of one that is over, and one that is told to stop is over in time, whatever it waits for.

use crate::{LIMITS, decoder};
use arbitrary::{Arbitrary, Unstructured};
use chatwire::error::Refusal;
use chatwire::id::{ChatId, ConnId, MediaId, Now, UserId};
use chatwire::policy::Policy;
use chatwire::session::{Effect, IN_FLIGHT, Notice, Proven, Query, QueryKind, Rules, Session, Wish};
use chatwire::store::{Media, Op};
use chatwire_codec::frame::Hello;
use chatwire_codec::{Code, Decoder, Event, Frame, Limits, MediaKind, Payload};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that a session may take to end once it is told to; section 5.6 gives it less.
const END: Duration = Duration::from_secs(10);
/// More than this many timeouts on the way to one moment is going round in circles.
const MAX_TIMEOUTS: usize = 1000;

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    /// A client that logs in as guest, by password, by token or by registering.
    Hello(u8),
    /// A frame comes.
    Frame(Frame<'a>),
    /// Bytes come.
    Bytes(&'a [u8]),
    /// So many messages are answered, as far as there are any.
    Answered(u8),
    /// What else the session waits for is done, or refused.
    Done {
        well: bool,
    },
    /// Somebody tells it something.
    Told(Told),
    /// Milliseconds pass.
    Wait(u16),
    Eof,
    Failure,
    /// Whether there is room for what comes of reading on.
    Room(bool),
    Written {
        waits: bool,
    },
    PingSent,
    FetchDone(u8),
}

#[derive(Debug, Arbitrary)]
enum Told {
    Joined(u8),
    Left(u8),
    Overrun,
    Banned,
    Kicked,
    Shutdown,
}

/// What the house owes a session, besides the answers to its messages.
#[derive(Debug)]
enum Owed {
    Login,
    Proof,
    Answer,
    Fetch(u32),
    Upload(Wish),
    /// What came of all bytes of this upload.
    Stored(u32),
    Body,
}

struct World {
    session: Session,
    decoder: Decoder,
    /// What has come and was not read.
    socket: Vec<u8>,
    /// What was read and not used.
    input: Vec<u8>,
    has_room: bool,
    now: Now,
    in_flight: u32,
    owed: Vec<Owed>,
    is_finished: bool,
}

/// See the module.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(is_private) = bool::arbitrary(&mut u) else { return };
    let mut world = World::new(is_private);
    while let Ok(step) = Step::arbitrary(&mut u) {
        world.take(&step);
        if u.is_empty() {
            break;
        }
    }
    world.take(&Step::Told(Told::Shutdown));
    world.wait(END);
    assert!(world.session.is_over(), "it was told to stop");
}

impl World {
    fn new(is_private: bool) -> Self {
        let rules = Rules {
            policy: Policy::default(),
            max_media: LIMITS.max_media.into(),
            heartbeat: Duration::from_secs(30),
            hello: Duration::from_secs(10),
            frame: Duration::from_secs(30),
            stall: Duration::from_secs(300),
            messages: None,
        };
        // 2026-01-01T00:00:00Z.
        let now = Now { instant: Instant::now(), wall: 1_767_225_600_000_000 };
        World {
            session: Session::new(Arc::new(rules), ConnId(1), is_private, now.instant),
            decoder: decoder(1),
            socket: Vec::new(),
            input: Vec::new(),
            has_room: true,
            now,
            in_flight: 0,
            owed: Vec::new(),
            is_finished: false,
        }
    }

    fn take(&mut self, step: &Step<'_>) {
        let instant = self.now.instant;
        match step {
            Step::Hello(auth) => self.hello(*auth),
            Step::Frame(frame) => {
                let mut bytes = Vec::new();
                frame.encode(&mut bytes).expect("it can be written");
                self.socket.extend_from_slice(&bytes);
            }
            Step::Bytes(bytes) => self.socket.extend_from_slice(bytes),
            Step::Answered(count) => {
                let count = self.in_flight.min((*count).into());
                self.in_flight -= count;
                self.session.handle_answered(count);
            }
            Step::Done { well } => self.pay(*well),
            Step::Told(told) => self.session.handle_notice(instant, told.notice()),
            Step::Wait(ms) => self.wait(Duration::from_millis((*ms).into())),
            Step::Eof => self.session.handle_eof(),
            Step::Failure => self.session.handle_failure(instant),
            Step::Room(room) => self.has_room = *room,
            Step::Written { waits } => self.session.handle_written(instant, *waits),
            Step::PingSent => self.session.handle_ping_sent(instant),
            Step::FetchDone(req) => self.session.handle_fetch_done((*req).into()),
        }
        self.drain();
        self.feed();
    }

    fn hello(&mut self, auth: u8) {
        let mut bytes = Vec::new();
        let hello = Hello {
            version: 1,
            timezone: "UTC",
            user: "ann",
            auth: auth % 5,
            secret: "s",
            ..Hello::default()
        };
        hello.encode(&mut bytes).expect("it can be written");
        self.socket.extend_from_slice(&bytes);
    }

    fn may_read(&self) -> bool {
        self.has_room && self.session.wants_input()
    }

    /// Reads, and hands in what has come, as far as it is wanted.
    fn feed(&mut self) {
        self.session.handle_reading(self.now.instant, self.may_read());
        if !self.may_read() {
            return;
        }
        if !self.socket.is_empty() {
            self.session.handle_read(self.now.instant, self.socket.len());
            self.input.append(&mut self.socket);
        }
        let input = std::mem::take(&mut self.input);
        let (mut left, mut ended) = (&input[..], false);
        while self.may_read() {
            match self.decoder.next(&mut left) {
                Ok(Some(Event::Frame(Frame::Chunk(chunk)))) => {
                    ended = true;
                    self.session.handle_chunk(self.now, &chunk);
                }
                Ok(Some(event)) => {
                    ended |= !matches!(event, Event::BodyStart { .. } | Event::Skipped { .. });
                    self.session.handle_event(self.now, event);
                }
                Ok(None) => break,
                Err(error) => self.session.handle_decode_error(self.now.instant, &error),
            }
            self.drain();
        }
        let inside = self.may_read() && (!left.is_empty() || self.decoder.inside_body());
        self.session.handle_looked_at(self.now.instant, ended, inside);
        self.input = left.to_vec();
    }

    /// Lets time pass up to each deadline, as a connection does.
    fn wait(&mut self, span: Duration) {
        let end = self.now.instant + span;
        for turn in 0.. {
            assert!(turn < MAX_TIMEOUTS, "its timeouts go round in circles");
            let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) else { break };
            self.now.instant = due.max(self.now.instant);
            self.session.handle_timeout(self.now.instant);
            self.drain();
        }
        self.now.instant = end;
        self.now.wall += i64::try_from(span.as_micros()).expect("short");
    }

    fn drain(&mut self) {
        while let Some(effect) = self.session.poll_effect() {
            // What it sent last may not get through.
            let may_be = !self.is_finished || matches!(effect, Effect::Abandon);
            assert!(may_be, "{effect:?} of a session that is over");
            match effect {
                Effect::Send(frames)
                | Effect::Urgent(frames)
                | Effect::Ping(frames)
                | Effect::CancelFetch(_, frames) => readable(&frames),
                Effect::Finish(frames) => {
                    readable(&frames);
                    self.is_finished = true;
                }
                Effect::Abandon => self.is_finished = true,
                Effect::Prove(_) => self.owed.push(Owed::Proof),
                Effect::Submit(Op::Append(_)) => {
                    self.in_flight += 1;
                    assert!(self.in_flight <= IN_FLIGHT, "too many messages in flight");
                }
                Effect::Submit(Op::Login(_)) => self.owed.push(Owed::Login),
                Effect::Query(Query { req, kind: QueryKind::Fetch { .. }, .. }) => {
                    self.owed.push(Owed::Fetch(req));
                }
                Effect::Submit(_) | Effect::Query(_) => self.owed.push(Owed::Answer),
                Effect::BeginUpload(wish) => self.owed.push(Owed::Upload(wish)),
                Effect::FinishUpload(ticket) => self.owed.push(Owed::Stored(ticket)),
                Effect::EndUpload(_, frames) => readable(&frames),
                Effect::CloseBody => self.owed.push(Owed::Body),
                _ => {}
            }
        }
        assert_eq!(self.session.is_over(), self.is_finished);
        assert!(!(self.session.is_ending() && self.session.wants_input()));
    }

    /// Does what is owed for longest.
    fn pay(&mut self, well: bool) {
        if self.owed.is_empty() {
            return;
        }
        let now = self.now.instant;
        let refusal = || Refusal::new(Code::Conflict, "no");
        match self.owed.remove(0) {
            Owed::Login if well => {
                let notice = Notice::Welcomed { user: UserId(7), name: "ann".into() };
                self.session.handle_notice(now, notice);
            }
            Owed::Login => self.session.handle_notice(now, Notice::LoginRefused(refusal())),
            Owed::Proof if well => {
                self.session.handle_proof(now, Ok(Proven::Known(UserId(7), "hash".into())));
            }
            Owed::Proof => self.session.handle_proof(now, Err(refusal())),
            Owed::Answer => self.session.handle_notice(now, Notice::Answered),
            Owed::Fetch(req) => {
                if well {
                    self.session.handle_fetch_begun(req);
                }
                self.session.handle_notice(now, Notice::Answered);
            }
            Owed::Upload(wish) => {
                if well {
                    self.session.handle_upload_begun(&wish, wish.size / 2);
                }
                self.session.handle_notice(now, Notice::Answered);
            }
            Owed::Stored(ticket) => {
                let result = if well { Ok(MediaId([1; 32])) } else { Err(refusal()) };
                self.session.handle_notice(now, Notice::Uploaded(ticket, result));
            }
            Owed::Body => self.session.handle_body(if well { Ok(media()) } else { Err(refusal()) }),
        }
    }
}

impl Told {
    fn notice(&self) -> Notice {
        match self {
            Told::Joined(chat) => Notice::Joined(ChatId((*chat).into())),
            Told::Left(chat) => Notice::Left(ChatId((*chat).into())),
            Told::Overrun => Notice::Overrun,
            Told::Banned => Notice::Banned(Refusal::new(Code::Banned, "go")),
            Told::Kicked => Notice::Kicked,
            Told::Shutdown => Notice::Shutdown,
        }
    }
}

fn media() -> Media {
    Media {
        id: MediaId([1; 32]),
        kind: MediaKind::File,
        size: 1,
        mime: "text/plain".into(),
        duration_ms: 0,
        width: 0,
        height: 0,
    }
}

/// What is sent are whole frames that a client reads.
fn readable(mut frames: &[u8]) {
    let mut decoder = Decoder::client(Limits::default());
    while let Some(event) = decoder.next(&mut frames).expect("a client can read it") {
        assert!(matches!(event, Event::Frame(_)), "a client knows it: {event:?}");
    }
    assert!(frames.is_empty(), "it is whole");
}
