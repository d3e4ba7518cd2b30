//! Who is where: connections, users, chats, and the places that connections have in chats.

use super::subs::{Key, Subs};
use super::{Link, lock};
use crate::id::{ChatId, ConnId, Seq, UserId};
use crate::store::ChatHead;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// With more members online than this a chat has no events (section 7 of docs/PROTOCOL.md).
const EVENTS_UP_TO: usize = 500;

#[derive(Default)]
pub(super) struct Directory {
    pub(super) links: HashMap<ConnId, Arc<Link>>,
    pub(super) users: HashMap<UserId, Vec<Arc<Link>>>,
    pub(super) chats: HashMap<ChatId, Arc<Chat>>,
}

/// A chat that somebody online is in.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) id: ChatId,
    pub(super) state: Mutex<ChatState>,
}

#[derive(Debug)]
pub(super) struct ChatState {
    /// The newest message that was delivered.
    pub(super) head: Seq,
    pub(super) subs: Subs,
    /// How many users `subs` are of.
    pub(super) users: usize,
}

#[derive(Debug)]
pub(super) struct Sub {
    pub(super) link: Arc<Link>,
    pub(super) place: Place,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Off,
    Live,
    /// Has all up to `at`. A new SYNC begins a new `round`, and pages of an older one are thrown away.
    Behind {
        at: Seq,
        round: u64,
    },
}

impl Directory {
    /// Gives a connection a place in a chat, unless it has one.
    pub(super) fn subscribe(&mut self, link: &Arc<Link>, head: &ChatHead) {
        let Some(&(user, _)) = link.user() else { return };
        if link.is_muted.load(Ordering::Relaxed) {
            return;
        }
        let chat = self.chats.entry(head.chat).or_insert_with(|| {
            let state = ChatState { head: head.last_seq, subs: Subs::default(), users: 0 };
            Arc::new(Chat { id: head.chat, state: Mutex::new(state) })
        });
        let mut state = lock(&chat.state);
        let is_first = !state.subs.has(user);
        let place = if link.wants_live() { Place::Live } else { Place::Off };
        if !state.subs.insert((user, link.id), Sub { link: link.clone(), place }) {
            return;
        }
        state.users += usize::from(is_first);
        link.add_chat(head.chat);
    }

    /// A user's connections.
    pub(super) fn devices(&self, user: UserId) -> Vec<Arc<Link>> {
        self.users.get(&user).cloned().unwrap_or_default()
    }

    /// Takes a place away; a chat without places is forgotten.
    pub(super) fn unsubscribe(&mut self, id: ChatId, key: Key) {
        let Some(chat) = self.chats.get(&id) else { return };
        let mut state = lock(&chat.state);
        if state.subs.remove(key).is_none() {
            return;
        }
        if !state.subs.has(key.0) {
            state.users -= 1;
        }
        let is_empty = state.subs.is_empty();
        drop(state);
        if is_empty {
            self.chats.remove(&id);
        }
    }
}

impl ChatState {
    /// Whether so many are in it that nobody is told what others do.
    pub(super) fn is_crowded(&self) -> bool {
        self.users > EVENTS_UP_TO
    }

    /// An event for those who are in the chat: dropped where there is no room, and for who is behind.
    pub(super) fn tell(&self, event: &Bytes, to: impl Fn(UserId, ConnId) -> bool) {
        if self.is_crowded() {
            return;
        }
        for ((user, conn), sub) in self.subs.iter() {
            if matches!(sub.place, Place::Live | Place::Off) && to(user, conn) {
                let _ = sub.link.outbox.live_soon(event);
            }
        }
    }
}
