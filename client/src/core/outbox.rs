//! What was sent and is not confirmed: in order, and again on each connection.
//!
//! ```text
//!            saved              next()               STATUS or ERROR
//!  waiting ────────► ready ──────────────► under way ────────────────► gone
//!                      ▲                       │
//!                      └───────────────────────┘
//!                 the connection ended, or "too fast"
//! ```

use crate::kept::Parcel;
use std::collections::VecDeque;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Ready,
    UnderWay,
}

#[derive(Debug)]
struct Entry {
    stage: Stage,
    parcel: Parcel,
}

/// What is to go out now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This.
    Parcel(Parcel),
    /// Nothing before this time: the server said that it goes too fast.
    At(Instant),
    /// Nothing.
    Nothing,
}

/// All that is not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    not_before: Option<Instant>,
}

impl Outbox {
    /// What an earlier run has left, which is saved already.
    pub(crate) fn new(parcels: Vec<Parcel>) -> Self {
        let ready = |parcel| Entry { stage: Stage::Ready, parcel };
        Outbox { entries: parcels.into_iter().map(ready).collect(), not_before: None }
    }

    /// Another one. It waits until it is saved.
    pub(crate) fn push(&mut self, parcel: Parcel) {
        self.entries.push_back(Entry { stage: Stage::Waiting, parcel });
    }

    /// What was pushed up to now is saved.
    pub(crate) fn saved(&mut self, nonces: &[u64]) {
        for entry in self.entries.iter_mut().filter(|entry| entry.stage == Stage::Waiting) {
            if nonces.contains(&entry.parcel.nonce()) {
                entry.stage = Stage::Ready;
            }
        }
    }

    /// Takes what is to go out now. Nothing overtakes what is not saved yet.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        match self.not_before {
            Some(time) if now < time => return Next::At(time),
            _ => self.not_before = None,
        }
        let next = self.entries.iter_mut().find(|entry| entry.stage != Stage::UnderWay);
        match next {
            Some(entry) if entry.stage == Stage::Ready => {
                entry.stage = Stage::UnderWay;
                Next::Parcel(entry.parcel.clone())
            }
            _ => Next::Nothing,
        }
    }

    /// It was confirmed or refused.
    pub(crate) fn take(&mut self, nonce: u64) -> Option<Parcel> {
        let at = self.entries.iter().position(|entry| entry.parcel.nonce() == nonce)?;
        self.entries.remove(at).map(|entry| entry.parcel)
    }

    /// The server wants it later; what stands behind it waits too.
    pub(crate) fn later(&mut self, nonce: u64, time: Instant) -> bool {
        self.not_before = Some(self.not_before.map_or(time, |before| before.max(time)));
        let entry = self.entries.iter_mut().find(|entry| entry.parcel.nonce() == nonce);
        entry.map(|entry| entry.stage = Stage::Ready).is_some()
    }

    /// The connection has ended: all that was under way goes again.
    pub(crate) fn again(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.stage == Stage::UnderWay) {
            entry.stage = Stage::Ready;
        }
    }

    /// Gives those that name no chat this one, before any goes out: each time that one goes, it goes there.
    pub(crate) fn name_chats(&mut self, chat: u64) {
        self.entries.iter_mut().for_each(|entry| entry.parcel.name_chat(chat));
    }

    /// All of them, in order.
    pub(crate) fn parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.entries.iter().map(|entry| &entry.parcel)
    }
}
