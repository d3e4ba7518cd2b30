//! Events about what users do in a chat: who is writing, who has read how far.

use super::membership::answer;
use super::{Hub, Link, Place, lock, refuse};
use crate::delivery;
use crate::error::Refusal;
use crate::id::{ChatId, ConnId, Seq, UserId};
use crate::outbox::EventKey;
use crate::store::{ChatKind, Reading};
use bytes::Bytes;
use chatwire_codec::frame::{self, kind};

impl Hub {
    /// A connection's user is writing to a chat, or has stopped. In a chat that the user is not in, nobody
    /// hears of it. It is no news later, so it is dropped for who is slow or behind.
    pub fn typing(&self, link: &Link, chat: ChatId, on: bool) {
        let Some((user, name)) = link.user().filter(|_| chat != ChatId::ALL) else { return };
        let Some(chat) = self.chat(chat) else { return };
        let mut state = lock(&chat.state);
        if state.is_crowded() || state.subs.get_mut((*user, link.id)).is_none() {
            return;
        }
        let (chat, on) = (chat.id.0, on.into());
        let event =
            Bytes::from(delivery::bytes_of(&frame::Typing { chat, on, user: user.0, user_name: name }));
        for ((other, _), sub) in state.subs.iter() {
            if other != *user && matches!(sub.place, Place::Live | Place::Off) {
                sub.link.outbox.passing_event(&event);
            }
        }
    }

    /// READ.
    pub(super) fn read(&self, conn: ConnId, req: u32, result: Result<Reading, Refusal>) {
        let link = self.link(conn);
        let reading = match result {
            Ok(reading) => reading,
            Err(refusal) => return refuse(link.as_deref(), kind::READ, req, &refusal),
        };
        if reading.has_moved && reading.chat != ChatId::ALL {
            self.seen(&reading, conn);
        }
        let (chat, seq): (u64, Seq) = (reading.chat.0, reading.seq);
        answer(link.as_deref(), |out| delivery::put(out, &frame::ReadUpTo { req, chat, seq }));
    }

    /// SEEN, for the user's other connections and, where people know each other, for the members.
    fn seen(&self, reading: &Reading, caused_by: ConnId) {
        let &Reading { user, chat: id, kind, seq, .. } = reading;
        let Some(chat) = self.chat(id) else { return };
        let event = Bytes::from(delivery::bytes_of(&frame::Seen { chat: id.0, user: user.0, seq }));
        let state = lock(&chat.state);
        let is_for_all = matches!(kind, ChatKind::Group | ChatKind::Direct) && !state.is_crowded();
        // The place just before the user's own is nobody's: no user has the number 0.
        let from = if is_for_all { UserId(0) } else { UserId(user.0.saturating_sub(1)) };
        let places = state.subs.behind((from, ConnId(u64::MAX)));
        for ((_, conn), sub) in places.take_while(|((other, _), _)| is_for_all || *other == user) {
            if conn != caused_by {
                sub.link.outbox.event(EventKey::Seen(id, user), &event);
            }
        }
    }
}
