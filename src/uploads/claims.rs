//! Who works on which upload: one at a time, and who comes later takes it over.

use crate::id::{MediaId, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

pub(super) type Key = (UserId, MediaId);

/// The uploads that somebody works on, or waits to.
#[derive(Debug, Default)]
pub(super) struct Claims {
    slots: Mutex<HashMap<Key, Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held by who works on it.
    turn: Arc<Turn<()>>,
    /// Tells the last who came that another has.
    taken_over: CancellationToken,
    /// How many work on it or wait to.
    count: usize,
}

/// The right to work on an upload, for as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    /// Given back before the place is, so that a slot without users is free.
    _turn: OwnedMutexGuard<()>,
    taken_over: CancellationToken,
    _place: Place,
}

#[derive(Debug)]
struct Place {
    claims: Arc<Claims>,
    key: Key,
}

impl Claims {
    /// Tells who has it, and waits until that one has given it back.
    pub(super) async fn take(self: Arc<Self>, key: Key) -> Claim {
        let (turn, taken_over) = self.enter(key);
        let place = Place { claims: self, key };
        Claim { _turn: turn.lock_owned().await, taken_over, _place: place }
    }

    /// The claim, if nobody has it nor waits for it.
    pub(super) fn take_unclaimed(self: &Arc<Self>, key: Key) -> Option<Claim> {
        let mut slots = self.slots();
        if slots.contains_key(&key) {
            return None;
        }
        let slot = Slot { count: 1, ..Slot::default() };
        let turn = slot.turn.clone().try_lock_owned().ok()?;
        let taken_over = slot.taken_over.clone();
        slots.insert(key, slot);
        drop(slots);
        Some(Claim { _turn: turn, taken_over, _place: Place { claims: self.clone(), key } })
    }

    fn enter(&self, key: Key) -> (Arc<Turn<()>>, CancellationToken) {
        let mut slots = self.slots();
        let slot = slots.entry(key).or_default();
        slot.count += 1;
        slot.taken_over.cancel();
        slot.taken_over = CancellationToken::new();
        (slot.turn.clone(), slot.taken_over.clone())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Cancelled when another has come, who now waits.
    pub(super) fn taken_over(&self) -> &CancellationToken {
        &self.taken_over
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut slots = self.claims.slots();
        if let Some(slot) = slots.get_mut(&self.key) {
            slot.count -= 1;
            if slot.count == 0 {
                slots.remove(&self.key);
            }
        }
    }
}
