//! How fast a connection may send: `limits.messages_per_sec`.
//!
//! What comes too fast is refused, which costs the server something too. So refusals and skipped bytes have a rate of
//! their own, as high as that of messages, and who goes beyond it is not read from for a while.

use super::{Open, Session, State};
use crate::error::Refusal;
use crate::policy::rate::Rate;
use chatwire_codec::Code;
use std::time::Instant;

/// So many skipped bytes, begun or whole, count as one message.
const SKIPPED_BYTES: u32 = 64 * 1024;

/// Up to when each rate of a connection is used up; `None`: nothing of it is.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// TYPING and PRESENCE.
    pub(super) events: Option<Instant>,
    messages: Option<Instant>,
    /// What was refused or skipped.
    refusals: Option<Instant>,
    /// Until then nothing is read.
    paused: Option<Instant>,
}

impl Open {
    pub(super) fn is_paused(&self) -> bool {
        self.paused_until().is_some()
    }

    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.spent.as_ref()?.paused
    }

    fn charge(&mut self, rate: Rate, now: Instant, cost: u32) {
        let spent = self.spent.get_or_insert_default();
        let until = rate.charge(spent.refusals, now, cost);
        spent.refusals = Some(until);
        spent.paused = rate.excess(until, now).map(|early| now + early);
    }
}

impl Session {
    /// Whether another message may come now.
    pub(super) fn admit_message(&mut self, now: Instant) -> Result<(), Refusal> {
        let (Some(rate), State::Open(open)) = (self.rules.messages, &mut self.state) else { return Ok(()) };
        let spent = open.spent.get_or_insert_default();
        match rate.take(spent.messages, now) {
            Ok(until) => {
                spent.messages = Some(until);
                Ok(())
            }
            Err(early) => {
                open.charge(rate, now, 1);
                let text = "messages come too fast from this connection; nothing was stored";
                Err(Refusal::too_early(Code::RateLimited, text, early))
            }
        }
    }

    /// A frame of this size is passed over.
    pub(super) fn charge_skipped(&mut self, now: Instant, size: u32) {
        if let (Some(rate), State::Open(open)) = (self.rules.messages, &mut self.state) {
            open.charge(rate, now, 1 + size / SKIPPED_BYTES);
        }
    }

    /// Reads on, if it is time to.
    pub(super) fn go_on(&mut self, now: Instant) {
        if let State::Open(open) = &mut self.state
            && let Some(spent) = &mut open.spent
        {
            spent.paused = spent.paused.filter(|until| *until > now);
        }
    }
}
