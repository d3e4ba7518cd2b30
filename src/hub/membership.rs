//! Memberships that began or ended: who gets a place in a chat or loses it, and who hears of it.

use super::{Hub, Link, lock, refuse};
use crate::delivery::{self, Change};
use crate::error::Refusal;
use crate::id::{ChatId, ConnId, UserId};
use crate::session::Notice;
use crate::store::{ChatHead, ChatKind, Entered, Invited, Joined, Left};
use bytes::Bytes;
use chatwire_codec::frame::{self, kind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Hub {
    /// Gives whom to wake soon.
    pub(super) fn joined(
        &self,
        conn: ConnId,
        req: u32,
        result: Result<Joined, Refusal>,
    ) -> Option<Arc<Link>> {
        // Who was not let in is told so, and of a JOIN with the login nothing.
        let link = self.link(conn).filter(|link| link.user().is_some());
        let joined = match result {
            Ok(joined) => joined,
            Err(refusal) => {
                refuse(link.as_deref(), kind::JOIN, req, &refusal);
                return None;
            }
        };
        if let Some(left) = &joined.left {
            // Other connections of the user may have left that room and joined it again since this JOIN came. Then it was
            // none that this one is in, which must be told what it has done.
            let knows = |link: &&Link| link.current.load(Ordering::Relaxed) == left.chat.0;
            self.ended(left, Change::Left, link.as_deref().filter(knows));
        }
        let head = ChatHead { chat: joined.chat, kind: ChatKind::Room, last_seq: joined.last_seq };
        if joined.is_new {
            let (user, user_name, at) = (joined.user, joined.user_name.clone(), joined.at);
            self.entered(&Entered { user, user_name, head, at }, Change::Joined, conn);
        } else {
            self.subscribe_all(joined.user, &head);
        }
        // The answer goes out before anything that is committed later, since this is where that comes from.
        link.inspect(|link| {
            link.current.store(joined.chat.0, Ordering::Relaxed);
            let notices = [Notice::Joined(joined.chat), Notice::Answered];
            link.outbox.begin_answer(notices, |out| delivery::joined(out, req, &joined, joined.last_seq));
        })
    }

    pub(super) fn created(&self, conn: ConnId, req: u32, result: Result<Entered, Refusal>) {
        let link = self.link(conn);
        let entered = match result {
            Ok(entered) => entered,
            Err(refusal) => return refuse(link.as_deref(), kind::CREATE, req, &refusal),
        };
        self.entered(&entered, Change::Joined, conn);
        let chat = entered.head.chat.0;
        answer(link.as_deref(), |out| delivery::put(out, &frame::Created { req, chat }));
    }

    pub(super) fn invited(&self, conn: ConnId, req: u32, result: Result<Invited, Refusal>) {
        let link = self.link(conn);
        let invited = match result {
            Ok(invited) => invited,
            Err(refusal) => return refuse(link.as_deref(), kind::INVITE, req, &refusal),
        };
        if let Some(entered) = &invited.entered {
            self.entered(entered, Change::Invited, conn);
        }
        let user = invited.user.0;
        answer(link.as_deref(), |out| delivery::put(out, &frame::Invited { req, user }));
    }

    pub(super) fn removed(&self, conn: ConnId, req: u32, result: Result<Left, Refusal>) {
        let link = self.link(conn);
        let left = match result {
            Ok(left) => left,
            Err(refusal) => return refuse(link.as_deref(), kind::REMOVE, req, &refusal),
        };
        self.ended(&left, Change::Removed, link.as_deref());
        let user = left.user.0;
        answer(link.as_deref(), |out| delivery::put(out, &frame::Removed { req, user }));
    }

    pub(super) fn left(&self, conn: ConnId, req: u32, result: Result<Left, Refusal>) {
        let link = self.link(conn);
        let left = match result {
            Ok(left) => left,
            Err(refusal) => return refuse(link.as_deref(), kind::LEAVE, req, &refusal),
        };
        self.ended(&left, Change::Left, link.as_deref());
        if let Some(link) = link {
            let notices = [Notice::Left(left.chat), Notice::Answered];
            link.outbox.answer_and_notify(notices, |out| delivery::left(out, req, &left));
        }
    }

    /// A membership has ended: the user's connections lose their places, the others and those hear of it.
    pub(super) fn ended(&self, left: &Left, change: Change, caused_by: Option<&Link>) {
        let caused_by = caused_by.map(|link| link.id);
        let mut directory = self.directory();
        let devices = directory.users.get(&left.user).cloned().unwrap_or_default();
        for device in &devices {
            directory.unsubscribe(left.chat, (left.user, device.id));
            device.remove_chat(left.chat);
            device.outbox.forget_events(left.chat);
            // Nobody else writes it: what is committed is dealt out one after another.
            if device.current.load(Ordering::Relaxed) == left.chat.0 {
                device.current.store(0, Ordering::Relaxed);
            }
        }
        drop(directory);
        let event = delivery::member(left.chat, change, left.user, &left.user_name, left.at);
        for device in devices.iter().filter(|device| caused_by != Some(device.id)) {
            device.tell_of_itself(&event);
            device.outbox.notify(Notice::Left(left.chat));
        }
        self.tell_members(left.chat, &event, left.user, caused_by);
    }

    /// A membership has begun: the others and the user's connections hear of it, and those get their places.
    fn entered(&self, entered: &Entered, change: Change, caused_by: ConnId) {
        let Entered { user, ref user_name, ref head, at } = *entered;
        let event = delivery::member(head.chat, change, user, user_name, at);
        self.tell_members(head.chat, &event, user, Some(caused_by));
        for device in self.devices(user).iter().filter(|device| device.id != caused_by) {
            device.tell_of_itself(&event);
        }
        self.subscribe_all(user, head);
    }

    /// Tells those who are in a chat, but neither its subject nor the connection that caused it.
    fn tell_members(&self, chat: ChatId, event: &Bytes, subject: UserId, caused_by: Option<ConnId>) {
        if let Some(chat) = self.chat(chat) {
            lock(&chat.state).tell(event, |user, conn| user != subject && Some(conn) != caused_by);
        }
    }

    fn subscribe_all(&self, user: UserId, head: &ChatHead) {
        let mut directory = self.directory();
        for device in directory.devices(user) {
            directory.subscribe(&device, head);
        }
    }

    fn devices(&self, user: UserId) -> Vec<Arc<Link>> {
        self.directory().devices(user)
    }
}

/// The answer to a request.
pub(super) fn answer(link: Option<&Link>, write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(link) = link {
        link.outbox.answer_and_notify([Notice::Answered], write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Segment;
    use crate::id::Seq;
    use crate::outbox::Queue;

    const ROOM: ChatId = ChatId(7);
    const USER: UserId = UserId(2);

    fn left() -> Left {
        Left { user: USER, user_name: "bo".into(), chat: ROOM, room: "harbour".into(), at: 3 }
    }

    fn joined(chat: ChatId, left: Option<Left>) -> Result<Joined, Refusal> {
        let (user_name, room, last_seq) = ("bo".into(), "harbour".into(), Seq::default());
        let (is_new, created, at) = (false, false, 4);
        Ok(Joined { user: USER, user_name, chat, last_seq, room, created, is_new, at, left })
    }

    #[test]
    fn whoever_leaves_a_room_by_join_is_told_so_unless_it_was_the_one_that_it_was_in() {
        let (_data, hub) = crate::hub::tests::alone();
        let link = hub.enter(std::net::Ipv4Addr::LOCALHOST.into());
        assert!(link.user.set((USER, "bo".into())).is_ok());
        hub.directory().users.insert(USER, vec![link.clone()]);
        let told = || {
            let mut queue = Queue::default();
            let unsent = link.outbox.take_into(&mut queue);
            let memory = queue.iter().map(|segment| segment.size().memory).sum();
            link.outbox.sent(unsent, memory);
            match queue.front() {
                Some(Segment::Owned(bytes)) => bytes.first().copied(),
                Some(Segment::Shared(bytes)) => bytes.first().copied(),
                _ => None,
            }
        };
        drop(hub.joined(link.id, 1, joined(ROOM, None)));
        assert_eq!(told(), Some(kind::JOINED));
        drop(hub.joined(link.id, 2, joined(ChatId::ALL, Some(left()))));
        assert_eq!(told(), Some(kind::JOINED));
        // In the room again; then another connection leaves it and joins it.
        drop(hub.joined(link.id, 3, joined(ROOM, None)));
        assert_eq!(told(), Some(kind::JOINED));
        hub.ended(&left(), Change::Left, None);
        assert_eq!(told(), Some(kind::MEMBER));
        drop(hub.joined(link.id, 4, joined(ChatId::ALL, Some(left()))));
        assert_eq!(told(), Some(kind::MEMBER));
    }
}
