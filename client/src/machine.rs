//! A steady client without I/O, clock or tasks: bytes in, bytes out, and the time is an argument. For programs with a
//! runtime of their own, and for simulations, in which one seed is to lead to one order of events.
//!
//! It joins what [`crate::Steady`] joins with tasks, the way over many connections and what is known of one, and
//! decides nothing itself. It lacks files, which it refuses to send.
//!
//! ```text
//!   step ── Connect ──► connected ──► transmit, receive, due … ──► lost, or is_connected says no ──► step
//! ```
//!
//! The contract: do what [`Machine::step`] says; while connected hand in what comes, write what
//! [`Machine::transmit`] gives, call [`Machine::due`] at the [`Machine::deadline`]; where
//! [`Machine::is_connected`] says no, close the connection. After each call take the news, the answers, and the
//! changes, which are to be kept ([`Machine::saved`]) before what is unsent goes out.

use crate::connection::welcome;
use crate::core::{
    Ask, Beat, Core, Delivery, Greeted, Heartbeat, Journey, Listener, Next, Nonces, Step, Waiting,
};
use crate::error::{End, Error, Problem};
use crate::kept::{Change, Kept, Parcel};
use crate::limits::{CONNECT_TIME, REQUESTS_PENDING, TEXT_BYTES, UNSENT_MESSAGES};
use crate::options::{Options, Welcome};
use crate::outgoing::Outgoing;
use crate::request::{Answer, Request};
use crate::steady::{News, Pace};
use bytes::{Buf, BytesMut};
use chatwire_codec::{Decoder, Limits};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// What is to be done while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Connect, and then call [`Machine::connected`], or [`Machine::lost`] if there is no way.
    Connect,
    /// Nothing before this time.
    Wait(Instant),
    /// Nothing any more.
    Over,
}

/// An answer to a request, and the request's number.
pub type Answered = (u32, Result<Answer, Error>);

/// See the module.
#[derive(Debug)]
pub struct Machine {
    journey: Journey,
    link: Option<Link>,
    waiting: BTreeMap<u32, oneshot::Receiver<Result<Answer, Error>>>,
    /// Messages that are not answered, at most [`UNSENT_MESSAGES`].
    unsent: usize,
    /// Nothing goes out before this time.
    later: Option<Instant>,
}

/// One connection.
#[derive(Debug)]
struct Link {
    core: Core,
    decoder: Decoder,
    input: BytesMut,
    output: Vec<u8>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// WELCOME has to come by then.
    Greeting {
        by: Instant,
    },
    Open {
        heartbeat: Heartbeat,
        max_text: u32,
    },
}

impl Machine {
    /// A client that comes back to what it has kept. `random` makes its nonces differ from those of other devices.
    #[must_use]
    pub fn new(options: Options, pace: Pace, kept: Kept, random: u32, now: Instant) -> Self {
        let unsent = kept.unsent.len();
        let journey = Journey::new(vec![String::new()], options, pace, kept, random, now);
        Machine { journey, link: None, waiting: BTreeMap::new(), unsent, later: None }
    }

    /// What is to be done while there is no connection.
    pub fn step(&mut self, now: Instant) -> Act {
        match self.journey.step(now) {
            Step::Connect(_) => Act::Connect,
            Step::Wait(at) => Act::Wait(at),
            Step::Over => Act::Over,
        }
    }

    /// The connection that [`Machine::step`] asked for is there.
    ///
    /// # Errors
    /// What is to be said in HELLO cannot be said.
    pub fn connected(&mut self, now: Instant) -> Result<(), Error> {
        let Step::Connect(attempt) = self.journey.step(now) else { return Ok(()) };
        let mut output = attempt.options.hello()?;
        // The journey names the messages.
        let mut core = Core::new(attempt.options.live, Listener::Steady, Nonces::new(0));
        output.extend(core.opening(&attempt.known)?);
        let stage = Stage::Greeting { by: now + CONNECT_TIME };
        let (decoder, input) = (Decoder::client(Limits::default()), BytesMut::new());
        self.link = Some(Link { core, decoder, input, output, stage });
        Ok(())
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Bytes came.
    pub fn receive(&mut self, bytes: &[u8], now: Instant, random: u64) {
        let Some(link) = &mut self.link else { return };
        link.input.extend_from_slice(bytes);
        if let Stage::Greeting { .. } = link.stage {
            match welcome(&mut link.decoder, &mut link.input) {
                Ok(None) => return,
                Ok(Some(welcome)) => self.greeted(&welcome, now),
                Err(why) => return self.fail(why, now, random),
            }
        }
        if let Err(end) = self.digest(now) {
            self.end(end, now, random);
        }
    }

    /// What is to be written now. `unix_ms`: milliseconds since the Unix epoch.
    pub fn transmit(&mut self, now: Instant, unix_ms: u64) -> Vec<u8> {
        let Some(link) = &mut self.link else { return Vec::new() };
        link.core.take_urgent(&mut link.output);
        if let Stage::Open { heartbeat, max_text } = &mut link.stage {
            heartbeat.written(now);
            self.later = None;
            loop {
                let message = match self.journey.next_parcel(now) {
                    Next::Parcel(Parcel::Message(message)) => message,
                    Next::Parcel(Parcel::File(file)) => {
                        self.journey.unsendable(file.nonce, Error::Invalid("this client sends no files"));
                        continue;
                    }
                    Next::At(time) => {
                        self.later = Some(time);
                        break;
                    }
                    Next::Nothing => break,
                };
                // Whoever waits is told by the journey.
                let (waiting, _) = Waiting::new(None);
                let sent = message.encode(message.nonce, *max_text).and_then(|bytes| {
                    link.core.send(message.nonce, unix_ms, message.body.is_whole(), waiting)?;
                    Ok(bytes)
                });
                match sent {
                    Ok(bytes) => link.output.extend(bytes),
                    Err(why) => self.journey.unsendable(message.nonce, why),
                }
            }
        }
        std::mem::take(&mut link.output)
    }

    /// When to call [`Machine::due`] and then [`Machine::transmit`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let of_link = match &self.link.as_ref()?.stage {
            Stage::Greeting { by } => Some(*by),
            Stage::Open { heartbeat, .. } => heartbeat.deadline(),
        };
        of_link.into_iter().chain(self.later).min()
    }

    /// The deadline has come.
    pub fn due(&mut self, now: Instant, random: u64) {
        let Some(link) = &mut self.link else { return };
        match &mut link.stage {
            Stage::Greeting { by } if now >= *by => {
                self.fail(Error::TimedOut("connecting"), now, random);
            }
            Stage::Greeting { .. } => {}
            Stage::Open { heartbeat, .. } => match heartbeat.beat(now) {
                Beat::Wait => {}
                Beat::Ping => link.core.beat(),
                Beat::Dead => self.end(End::Silent, now, random),
            },
        }
    }

    /// The connection is gone, or could not be made; `why`: the network failed.
    pub fn lost(&mut self, why: Option<&io::Error>, now: Instant, random: u64) {
        let is_open = self.link.as_ref().is_some_and(|link| matches!(link.stage, Stage::Open { .. }));
        let why = why.map(Problem::from);
        if is_open {
            self.end(why.map_or(End::Closed, End::Network), now, random);
        } else {
            self.fail(why.map_or(Error::Disconnected(End::Closed), Error::Unreachable), now, random);
        }
    }

    /// Takes a message to be sent until it is answered, and gives its nonce.
    ///
    /// # Errors
    /// It cannot be sent as it is; too many wait; the client is over.
    pub fn send(&mut self, message: Outgoing, unix_ms: u64) -> Result<u64, Error> {
        message.encode(1, TEXT_BYTES)?;
        if self.unsent >= UNSENT_MESSAGES {
            return Err(Error::Invalid("too many messages wait for their answers"));
        }
        let nonce = self.journey.send(Parcel::Message(message), unix_ms)?;
        self.unsent += 1;
        Ok(nonce)
    }

    /// Asks the server for something on the connection that is there, and gives the request's number.
    ///
    /// # Errors
    /// The request cannot be said; too many wait; there is no connection.
    pub fn ask<'a>(&mut self, request: impl Request<'a>) -> Result<u32, Error> {
        if self.waiting.len() >= REQUESTS_PENDING {
            return Err(Error::Invalid("too many requests wait for their answers"));
        }
        let link = self.link.as_mut().filter(|link| matches!(link.stage, Stage::Open { .. }));
        let link = link.ok_or(Error::Disconnected(End::Closed))?;
        let (waiting, answer) = Waiting::new(None);
        let (req, bytes) = link.core.ask(Ask::new(request, None)?, waiting)?;
        link.output.extend(bytes);
        self.waiting.insert(req, answer);
        Ok(req)
    }

    /// The answers since the last call, by number. A lost connection fails what was asked on it.
    pub fn take_answers(&mut self) -> Vec<Answered> {
        let mut answers = Vec::new();
        self.waiting.retain(|req, answer| {
            let answer = match answer.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Closed) => Err(Error::Disconnected(End::Closed)),
            };
            answers.push((*req, answer));
            false
        });
        answers
    }

    /// What has happened since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        let news = self.journey.take_news();
        let answered = news.iter().filter(|news| matches!(news, News::Answered { .. })).count();
        self.unsent = self.unsent.saturating_sub(answered);
        news
    }

    /// The program has dealt with this message.
    pub fn taken(&mut self, chat: u64, seq: u64) {
        self.journey.taken(chat, seq);
    }

    /// What has to be kept since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.journey.take_changes()
    }

    /// These changes are kept.
    pub fn saved(&mut self, changes: &[Change]) {
        self.journey.saved(changes);
    }

    fn greeted(&mut self, welcome: &Welcome, now: Instant) {
        let Some(link) = &mut self.link else { return };
        let max_text = welcome.max_text.min(TEXT_BYTES);
        link.decoder.set_limits(Limits { max_text, ..Limits::default() });
        link.core.welcomed(welcome.user);
        let heartbeat = Heartbeat::new(Duration::from_secs(welcome.heartbeat.into()), now);
        link.stage = Stage::Open { heartbeat, max_text };
        match self.journey.welcomed(welcome, now) {
            // If there is no room for another chat, it has no place.
            Greeted::Go { catch_up: Some((chat, after)) } => drop(link.core.catch_up(chat, after)),
            Greeted::Go { catch_up: None } => {}
            Greeted::Drop => self.link = None,
        }
    }

    fn digest(&mut self, now: Instant) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if let Stage::Open { heartbeat, .. } = &mut link.stage {
            heartbeat.heard(now);
        }
        let mut bytes = std::mem::take(&mut link.input);
        let mut input = &bytes[..];
        while let Some(event) = link.decoder.next(&mut input)? {
            // Nobody fetches, so there are no pieces.
            if let Some(Delivery::Told(told)) = link.core.handle(event)? {
                self.journey.told(told, now);
            }
        }
        let taken = bytes.len() - input.len();
        bytes.advance(taken);
        link.input = bytes;
        Ok(())
    }

    /// It was no connection yet.
    fn fail(&mut self, why: Error, now: Instant, random: u64) {
        self.link = None;
        self.journey.failed(why, now, random);
    }

    fn end(&mut self, end: End, now: Instant, random: u64) {
        let Some(mut link) = self.link.take() else { return };
        let end = link.core.finish(end);
        self.journey.ended(end, now, random);
    }
}
