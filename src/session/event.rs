//! Events from the client: TYPING and PRESENCE, which nothing answers.

use super::{Effect, Session, State};
use crate::id::ChatId;
use crate::policy::rate::Rate;
use crate::presence::Presence;
use chatwire_codec::frame;
use std::time::{Duration, Instant};

/// Events of one connection. Each may go to hundreds, and costs its sender nothing.
const EVENTS: Rate = Rate::new(20, Duration::from_millis(250));

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

    fn may_tell(&mut self, now: Instant) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        let events = open.spent.as_ref().and_then(|spent| spent.events);
        let Ok(until) = EVENTS.take(events, now) else { return false };
        open.spent.get_or_insert_default().events = Some(until);
        true
    }
}
