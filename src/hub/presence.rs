//! How users are seen: what was last told of each, and who is to hear when that changes.
//!
//! Devices come, go and speak on threads of their own, so what a user is seen as is worked out anew at each
//! change, told if it is not what was told last, and noted, in one step under one lock. So whatever the order
//! of the threads, what was told last is what is.

use super::directory::{Chat, Directory};
use super::{Hub, Link, lock};
use crate::delivery;
use crate::id::{ChatId, UserId};
use crate::outbox::EventKey;
use crate::presence::Presence;
use bytes::Bytes;
use chatwire_codec::frame;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What was told of users, but for those of whom it was that they are offline.
pub(super) type Told = HashMap<UserId, Presence>;

impl Hub {
    /// A connection's client says how its user is to be seen.
    pub fn present(&self, link: &Link, presence: Presence) {
        link.presence.store(presence as u8, Ordering::Relaxed);
        if let Some((user, name)) = link.user() {
            self.tell_presence(*user, name, &[]);
        }
    }

    /// How a user is seen: the highest of the user's devices.
    #[must_use]
    pub fn presence(&self, user: UserId) -> Presence {
        presence(&self.directory(), user)
    }

    /// Tells those who share a chat with a user, if the user is seen otherwise than before. A user without a
    /// connection has no chats here, so whoever ends the last one says which they were.
    pub(super) fn tell_presence(&self, user: UserId, name: &str, gone_from: &[ChatId]) {
        if self.is_stopping.load(Ordering::SeqCst) {
            // Everybody goes at once: whoever heard of it would be gone too.
            return;
        }
        let mut told = lock(&self.told);
        let directory = self.directory();
        let is = presence(&directory, user);
        let was = if is == Presence::Offline { told.remove(&user) } else { told.insert(user, is) };
        if was.unwrap_or_default() == is {
            return;
        }
        let chats = chats_of(&directory, user, gone_from);
        drop(directory);
        let event = self.presence_event(user, name, is);
        for reader in readers(&chats, user) {
            reader.outbox.event(EventKey::Presence(user), &event);
        }
    }

    fn presence_event(&self, user: UserId, user_name: &str, presence: Presence) -> Bytes {
        let last_seen = if presence == Presence::Offline { (self.now)() } else { 0 };
        let (user, presence) = (user.0, presence as u8);
        Bytes::from(delivery::bytes_of(&frame::Presence { presence, user, user_name, last_seen }))
    }
}

fn presence(directory: &Directory, user: UserId) -> Presence {
    let links = directory.users.get(&user).map_or(&[][..], Vec::as_slice);
    let there = links.iter().filter(|link| !link.is_muted.load(Ordering::Relaxed));
    let seen = there.filter_map(|link| Presence::from_number(link.presence.load(Ordering::Relaxed)));
    seen.max_by_key(|presence| presence.rank()).unwrap_or_default()
}

/// The chats in which others may be told of the user.
fn chats_of(directory: &Directory, user: UserId, gone_from: &[ChatId]) -> Vec<Arc<Chat>> {
    let mut chats: Vec<ChatId> = gone_from.to_vec();
    for link in directory.users.get(&user).map_or(&[][..], Vec::as_slice) {
        chats.extend(lock(&link.chats).iter());
    }
    chats.sort_unstable();
    chats.dedup();
    let chats = chats.iter().filter(|chat| **chat != ChatId::ALL);
    chats.filter_map(|chat| directory.chats.get(chat).cloned()).collect()
}

/// The connections of others in these chats, each once.
fn readers(chats: &[Arc<Chat>], user: UserId) -> Vec<Arc<Link>> {
    let mut readers = Vec::new();
    for chat in chats {
        let state = lock(&chat.state);
        if !state.is_crowded() {
            let others = state.subs.iter().filter(|((other, _), _)| *other != user);
            readers.extend(others.map(|(_, sub)| sub.link.clone()));
        }
    }
    readers.sort_unstable_by_key(|link| link.id);
    readers.dedup_by_key(|link| link.id);
    readers
}
