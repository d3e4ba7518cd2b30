//! How a connection ends: it takes nothing more, answers what came before, says its last word, and is over.

use super::{Effect, Open, Session, State};
use crate::delivery;
use crate::error::Refusal;
use std::time::{Duration, Instant};

/// How long a fatal error waits for the answers to what came before it.
pub(super) const FATAL_DRAIN: Duration = Duration::from_secs(2);
/// How long the end of the server waits for them.
pub(super) const DRAIN: Duration = Duration::from_secs(2);
/// How long after that, or after a ban or kick, what waits to be sent may take: who reads nothing cannot stay.
pub(super) const LEAVE: Duration = Duration::from_secs(1);

/// A connection that takes nothing more, and answers what came before.
#[derive(Debug)]
pub(super) struct Ending {
    last: Vec<u8>,
    /// When it is over, whatever still waits to be sent.
    gone_by: Option<Instant>,
    /// Whether a request, or the file of a body, is still under way.
    pub(super) waits: bool,
    /// Whose body it is.
    pub(super) open: Option<Box<Open>>,
}

impl Session {
    /// An error that ends the connection, in its place among the answers.
    pub(super) fn fatal(&mut self, now: Instant, refusal: &Refusal, about: u8) {
        log::debug!("connection {}: ends: {refusal}", self.conn);
        let mut last = Vec::new();
        delivery::error(&mut last, about, 0, refusal);
        self.end(Some(now + FATAL_DRAIN), last);
    }

    pub(super) fn shutdown(&mut self, now: Instant) {
        // Who is ending already, with all the time that its answers take, has only so much from now on.
        if matches!(self.state, State::Ending(_)) {
            return self.timers.drain_at_the_latest(now + DRAIN);
        }
        self.end(
            Some(now + DRAIN),
            delivery::bye(1, "the server is shutting down; come back in a few seconds"),
        );
        self.be_gone(now + DRAIN + LEAVE);
    }

    /// One that ends is over by then, whatever still waits to be sent.
    pub(super) fn be_gone(&mut self, by: Instant) {
        match &mut self.state {
            State::Ending(ending) => ending.gone_by = Some(by),
            State::Over => self.timers.ending(Some(by)),
            _ => {}
        }
    }

    pub(super) fn abandon(&mut self, why: &str) {
        log::debug!("connection {}: {why}", self.conn);
        self.state = State::Over;
        self.timers.ending(None);
        self.effects.push_back(Effect::Abandon);
    }

    /// Takes nothing more; `last` is sent when all is answered, or at `by`.
    pub(super) fn end(&mut self, by: Option<Instant>, last: Vec<u8>) {
        if self.is_ending() {
            return;
        }
        let open = match std::mem::replace(&mut self.state, State::Over) {
            State::Open(open) => Some(open),
            _ => None,
        };
        let waits = open.as_ref().is_some_and(|open| open.waits);
        // A body that is whole becomes a message still; one that is not never will.
        let open = open.filter(|open| open.waits && open.body.is_some());
        self.timers.ending(by);
        self.state = State::Ending(Box::new(Ending { last, gone_by: None, waits, open }));
        self.finish_if_drained();
    }

    /// Who the connection is, while it may still send messages.
    pub(super) fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Ending(ending) => ending.open.as_deref(),
            _ => None,
        }
    }

    pub(super) fn answered_request(&mut self) {
        match &mut self.state {
            State::Open(open) => open.waits = false,
            State::Ending(ending) => ending.waits = false,
            _ => {}
        }
        self.finish_if_drained();
    }

    pub(super) fn finish_if_drained(&mut self) {
        if self.in_flight == 0 && matches!(&self.state, State::Ending(ending) if !ending.waits) {
            self.finish();
        }
    }

    pub(super) fn finish(&mut self) {
        if let State::Ending(ending) = &mut self.state {
            let (last, gone_by) = (std::mem::take(&mut ending.last), ending.gone_by);
            self.over(last);
            self.timers.ending(gone_by);
        }
    }

    pub(super) fn over(&mut self, last: Vec<u8>) {
        self.state = State::Over;
        self.timers.ending(None);
        self.effects.push_back(Effect::Mute);
        self.effects.push_back(Effect::Finish(last));
    }
}
