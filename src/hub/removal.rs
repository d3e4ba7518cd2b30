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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::{ChatId, UserId};
    use crate::store::{ChatHead, ChatKind, Committed, Consumer, LoggedIn, Synced};

    #[test]
    fn a_removal_follows_the_page_that_was_read_before_it() {
        let (_data, hub) = crate::hub::tests::alone();
        let link = hub.enter(std::net::Ipv4Addr::LOCALHOST.into());
        let (chat, kind, last_seq) = (ChatId::ALL, ChatKind::Room, 5);
        let chats = vec![ChatHead { chat, kind, last_seq }];
        let (user, name, home) = (UserId(2), "ann".into(), ChatId(2));
        let login = LoggedIn { user, name, home, token_given: false, chats };
        let synced = Synced { chat, kind, first_seq: 1, last_seq, after: 0 };
        hub.committed(&mut vec![
            Committed::Login(link.id, Ok(login)),
            Committed::Sync(link.id, 1, Ok(synced)),
        ]);
        let due = hub.due(&link).unwrap();

        let deleted = Deleted { chat, seq: 3, is_new: true };
        hub.committed(&mut vec![Committed::Delete(ConnId(99), 1, Ok(deleted))]);
        let before = link.outbox.unsent();
        hub.catch_up(&link, &due, last_seq, Vec::new());
        let gone = delivery::bytes_of(&frame::MessageGone { chat: chat.0, seq: 3 });
        assert_eq!(link.outbox.unsent() - before, gone.len());
    }
}
