//! Events from the client: TYPING and PRESENCE, which nothing answers.

use super::{Effect, Session, State};
use crate::id::ChatId;
use crate::presence::Presence;
use chatwire_codec::frame;
use std::time::{Duration, Instant};

/// Events of one connection that may come at once. Each may go to hundreds, and costs its sender nothing.
const EVENT_BURST: u32 = 20;
/// The time in which one more may come.
const EVENT_PACE: Duration = Duration::from_millis(250);

impl Session {
    pub(super) fn typing(&mut self, now: Instant, typing: &frame::Typing<'_>) {
        if self.may_tell(now) {
            self.effects.push_back(Effect::Typing(ChatId(typing.chat), typing.on != 0));
        }
    }

    pub(super) fn presence(&mut self, now: Instant, presence: &frame::Presence<'_>) {
        if let Some(presence) = Presence::from_number(presence.presence)
            && self.may_tell(now)
        {
            self.effects.push_back(Effect::Presence(presence));
        }
    }

    /// Whether another event is let through. Each takes a place for a while; there are as many as may come at
    /// once.
    fn may_tell(&mut self, now: Instant) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        let until = open.events_until.as_deref().map_or(now, |until| now.max(*until)) + EVENT_PACE;
        if until.duration_since(now) > EVENT_PACE * EVENT_BURST {
            return false;
        }
        open.events_until = Some(Box::new(until));
        true
    }
}
