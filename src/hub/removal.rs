//! Messages that were removed: who hears of it.

use super::membership::answer;
use super::{Hub, Place, lock, refuse};
use crate::delivery;
use crate::error::Refusal;
use crate::id::ConnId;
use crate::store::Deleted;
use bytes::Bytes;
use chatwire_codec::frame::{self, kind};

impl Hub {
    /// DELETE.
    pub(super) fn deleted(&self, conn: ConnId, req: u32, result: Result<Deleted, Refusal>) {
        let link = self.link(conn);
        let deleted = match result {
            Ok(deleted) => deleted,
            Err(refusal) => return refuse(link.as_deref(), kind::DELETE, req, &refusal),
        };
        if deleted.is_new {
            self.tell_gone(deleted, conn);
        }
        let (chat, seq) = (deleted.chat.0, deleted.seq);
        answer(link.as_deref(), |out| delivery::put(out, &frame::Deleted { req, chat, seq }));
    }

    /// MESSAGE_GONE, for all who have the message or are about to get it. Who is to read it from the store later will
    /// find GONE there.
    fn tell_gone(&self, deleted: Deleted, caused_by: ConnId) {
        let Some(chat) = self.chat(deleted.chat) else { return };
        let event = frame::MessageGone { chat: deleted.chat.0, seq: deleted.seq };
        let event = Bytes::from(delivery::bytes_of(&event));
        let state = lock(&chat.state);
        for ((_, conn), sub) in state.subs.iter() {
            let outbox = &sub.link.outbox;
            match sub.place {
                Place::Behind { at, .. } if at < deleted.seq => outbox.follow_page(deleted.chat, &event),
                _ if conn == caused_by || outbox.live(&event) => {}
                _ => sub.link.tell_of_itself(&event),
            }
        }
    }
}
