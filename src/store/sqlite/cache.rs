//! What the writer remembers, so that a message to a chat that somebody talks in costs one INSERT.
//!
//! Only what is, never what is not; only what was asked for, since most who are connected say nothing; only what
//! the writing connection has read itself, so it holds as long as the transaction does. After a rollback
//! everything is forgotten.

use super::chat::{self, Head};
use super::fault::Done;
use crate::id::{ChatId, UserId};
use crate::store::ChatKind;
use rusqlite::Connection;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Entries of each kind; over it that kind is forgotten. A hundred bytes each: some tens of MiB in all.
const ENTRIES: usize = 100_000;

/// What [`chat`] knows, remembered. Each method asks the database once.
#[derive(Default)]
pub(super) struct Cache {
    heads: Known<ChatId, Head>,
    members: Known<(ChatId, UserId), ()>,
    /// Rooms by the name's key.
    rooms: Known<Box<str>, ChatId>,
    /// Chats of two users, the smaller id first; with the assistant, a user's home.
    pairs: Known<(UserId, UserId), ChatId>,
}

impl Cache {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }

    /// A chat, if it exists. Whoever adds a message to it brings it up to date.
    pub(super) fn head(&mut self, db: &Connection, chat: ChatId) -> rusqlite::Result<Option<&mut Head>> {
        if !self.heads.has(&chat) {
            let Some(head) = chat::head(db, chat)? else { return Ok(None) };
            self.heads.remember(chat, head);
        }
        Ok(self.heads.find_mut(&chat))
    }

    /// The chat, for somebody who is in it: see [`chat::admit`].
    pub(super) fn admit(&mut self, db: &Connection, user: UserId, chat: ChatId) -> Done<&mut Head> {
        let member = self.is_member(db, user, chat)?;
        let head = self.head(db, chat)?.ok_or_else(chat::no_chat)?;
        match head.kind {
            _ if member => Ok(head),
            ChatKind::Room => Err(chat::not_in_room()),
            _ => Err(chat::no_chat()),
        }
    }

    /// Whether the user is in the chat.
    pub(super) fn is_member(
        &mut self,
        db: &Connection,
        user: UserId,
        chat: ChatId,
    ) -> rusqlite::Result<bool> {
        if self.members.has(&(chat, user)) {
            return Ok(true);
        }
        let is_member = chat::is_member(db, user, chat)?;
        if is_member {
            self.members.remember((chat, user), ());
        }
        Ok(is_member)
    }

    /// The room whose name has this key.
    pub(super) fn room(&mut self, db: &Connection, key: &str) -> rusqlite::Result<Option<ChatId>> {
        if let Some(chat) = self.rooms.find(key) {
            return Ok(Some(*chat));
        }
        let found = chat::room(db, key)?;
        if let Some(chat) = found {
            self.rooms.remember(key.into(), chat);
        }
        Ok(found)
    }

    /// The chat of two users; with the assistant, a user's home.
    pub(super) fn pair(
        &mut self,
        db: &Connection,
        one: UserId,
        other: UserId,
    ) -> rusqlite::Result<Option<ChatId>> {
        let pair = (one.min(other), one.max(other));
        if let Some(chat) = self.pairs.find(&pair) {
            return Ok(Some(*chat));
        }
        let found = chat::of_pair(db, one, other)?;
        if let Some(chat) = found {
            self.pairs.remember(pair, chat);
        }
        Ok(found)
    }

    pub(super) fn left(&mut self, user: UserId, chat: ChatId) {
        self.members.forget(&(chat, user));
    }

    /// A user's home was deleted.
    pub(super) fn home_deleted(&mut self, user: UserId, home: ChatId) {
        self.left(user, home);
        self.heads.forget(&home);
        self.pairs.forget(&(UserId::ASSISTANT, user));
    }

    /// A chat was deleted. Who was in it has left before.
    pub(super) fn deleted(&mut self, chat: ChatId, key: &str) {
        self.heads.forget(&chat);
        self.rooms.forget(key);
    }
}

/// A map that forgets all when it has grown too large.
struct Known<K, V>(HashMap<K, V>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Known(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Known<K, V> {
    fn has(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    fn find_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    fn remember(&mut self, key: K, value: V) {
        if self.0.len() >= ENTRIES {
            self.0.clear();
        }
        self.0.insert(key, value);
    }

    fn forget<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.0.remove(key);
    }
}
