//! Where the client stands in each chat: how far the messages were handed out, and how far the program has
//! dealt with them, which is what is kept.

use crate::core::Known;
use crate::kept::Place;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
struct Standing {
    handed: Option<u64>,
    taken: Option<u64>,
    room: String,
}

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places {
    chats: BTreeMap<u64, Standing>,
    changed: BTreeSet<u64>,
    /// The room that was entered last.
    current: Option<u64>,
}

impl Standing {
    fn kept(&self) -> Place {
        Place { pos: self.taken, room: self.room.clone() }
    }
}

impl Places {
    pub(super) fn new(places: BTreeMap<u64, Place>) -> Self {
        let standing = |place: Place| Standing { handed: place.pos, taken: place.pos, room: place.room };
        let chats = places.into_iter().map(|(chat, place)| (chat, standing(place))).collect();
        Places { chats, ..Places::default() }
    }

    /// What the next connection asks for.
    pub(super) fn known(&self) -> Vec<Known> {
        let known = |(chat, standing): (&u64, &Standing)| Known {
            chat: *chat,
            pos: standing.handed,
            room: standing.room.clone(),
        };
        self.chats.iter().map(known).filter(|known| known.pos.is_some() || !known.room.is_empty()).collect()
    }

    pub(super) fn current(&self) -> Option<u64> {
        self.current
    }

    pub(super) fn enter(&mut self, chat: u64) {
        self.current = Some(chat);
    }

    /// A message was handed out.
    pub(super) fn handed(&mut self, chat: u64, seq: u64) {
        let standing = self.chats.entry(chat).or_default();
        standing.handed = Some(seq);
        if standing.taken.is_none() {
            standing.taken = Some(seq.saturating_sub(1));
            self.changed.insert(chat);
        }
    }

    /// The program has dealt with it.
    pub(super) fn taken(&mut self, chat: u64, seq: u64) {
        // It may be a chat that is forgotten by now.
        if let Some(standing) = self.chats.get_mut(&chat).filter(|standing| standing.handed >= Some(seq)) {
            standing.taken = standing.taken.max(Some(seq));
            self.changed.insert(chat);
        }
    }

    /// The messages come from behind `pos`.
    pub(super) fn synced(&mut self, chat: u64, pos: u64) {
        let standing = self.chats.entry(chat).or_default();
        standing.handed = Some(pos);
        standing.taken.get_or_insert(pos);
        self.changed.insert(chat);
    }

    /// The user is in a room. `pos`: the position there, if it begins here.
    pub(super) fn joined(&mut self, chat: u64, pos: Option<u64>, room: String) {
        let standing = self.chats.entry(chat).or_default();
        standing.room = room;
        if pos.is_some() {
            (standing.handed, standing.taken) = (pos, pos);
        }
        self.current = Some(chat);
        self.changed.insert(chat);
    }

    pub(super) fn forget(&mut self, chat: u64) -> bool {
        self.current.take_if(|current| *current == chat);
        self.changed.remove(&chat);
        self.chats.remove(&chat).is_some()
    }

    /// What is to be kept since the last call.
    pub(super) fn take_changed(&mut self) -> impl Iterator<Item = (u64, Place)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.filter_map(|chat| Some((chat, self.chats.get(&chat)?.kept())))
    }

    pub(super) fn kept(&self) -> BTreeMap<u64, Place> {
        self.chats.iter().map(|(chat, standing)| (*chat, standing.kept())).collect()
    }
}
