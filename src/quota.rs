//! Room for media: how much may be kept in all and of one user, and that it is there before the first byte comes.
//!
//! What is kept says the store. What is on its way is set aside here, as large as it was announced to be, until the
//! store has it or it has failed; half uploads that lie there count with the bytes that they have.

use crate::error::Refusal;
use crate::id::{MediaId, UserId};
use crate::store::media::Left;
use crate::store::{Store, Used};
use chatwire_codec::Code;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often the store is asked again when room was given back meanwhile.
const TRIES: u32 = 16;

/// Bytes that may be kept; 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Of all users.
    pub all: u64,
    /// Of one.
    pub own: u64,
}

/// See the module.
pub struct Quota {
    store: Arc<dyn Store>,
    allowed: Allowed,
    taken: Mutex<Taken>,
}

/// What is set aside.
#[derive(Debug, Default)]
struct Taken {
    all: u64,
    by_user: HashMap<UserId, u64>,
    /// Half uploads that nobody works on. They are in the sums too.
    halves: HashMap<(UserId, MediaId), u64>,
    /// How often room was given back.
    releases: u64,
}

/// Room that is set aside for as long as this lives.
pub struct Reserved {
    quota: Arc<Quota>,
    user: UserId,
    bytes: u64,
    /// The half upload that it is for, and the bytes that lie there when this ends.
    half: Option<(MediaId, u64)>,
}

impl Quota {
    /// With the half uploads that lie there.
    pub fn new(store: Arc<dyn Store>, allowed: Allowed, halves: &[Left]) -> Arc<Self> {
        let mut taken = Taken::default();
        for half in halves {
            taken.leave(half.user, half.media, half.bytes);
        }
        Arc::new(Quota { store, allowed, taken: Mutex::new(taken) })
    }

    /// Sets room aside for the body of a message. A message that is stored already is let by: what is brought again
    /// is not kept. Blocks on the disk.
    ///
    /// # Errors
    /// `storage_full`, `internal`.
    pub fn reserve(self: &Arc<Self>, user: UserId, bytes: u64, nonce: u64) -> Result<Reserved, Refusal> {
        let full = match self.take(user, bytes) {
            Ok(()) => return Ok(self.reserved(user, bytes, None)),
            Err(full) => full,
        };
        if nonce != 0 && self.store.has_nonce(user, nonce)? {
            return Ok(self.reserved(user, 0, None));
        }
        Err(full)
    }

    /// Sets room aside for an upload that is to have so many bytes; those that lie there already are among them.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// `storage_full`, `internal`.
    pub fn reserve_half(
        self: &Arc<Self>,
        user: UserId,
        media: MediaId,
        bytes: u64,
    ) -> Result<Reserved, Refusal> {
        let lies = self.taken().pick_up(user, media);
        if let Err(full) = self.take(user, bytes) {
            self.taken().leave(user, media, lies);
            return Err(full);
        }
        Ok(self.reserved(user, bytes, Some((media, lies))))
    }

    /// A half upload that nobody works on is gone.
    pub fn forget(&self, user: UserId, media: MediaId) {
        self.taken().pick_up(user, media);
    }

    fn reserved(self: &Arc<Self>, user: UserId, bytes: u64, half: Option<(MediaId, u64)>) -> Reserved {
        Reserved { quota: self.clone(), user, bytes, half }
    }

    /// What is kept is read without the lock, under which the store gives room back. What was given back since may
    /// be in neither sum, so then it is read again.
    fn take(&self, user: UserId, bytes: u64) -> Result<(), Refusal> {
        let has_limit = self.allowed != Allowed::default();
        let mut tries = 0;
        loop {
            let seen = self.taken().releases;
            let used = if has_limit { self.store.used(user)? } else { Used::default() };
            let mut taken = self.taken();
            tries += 1;
            if taken.releases != seen && tries < TRIES {
                continue;
            }
            self.check(&taken, used, user, bytes)?;
            taken.add(user, bytes);
            return Ok(());
        }
    }

    fn check(&self, taken: &Taken, used: Used, user: UserId, bytes: u64) -> Result<(), Refusal> {
        let own = taken.by_user.get(&user).copied().unwrap_or(0);
        if is_over(self.allowed.own, [used.own, own, bytes]) {
            let text = format!("a user may keep {} bytes of media; delete some of yours", self.allowed.own);
            return Err(Refusal::new(Code::StorageFull, text));
        }
        if is_over(self.allowed.all, [used.all, taken.all, bytes]) {
            let text = "the server keeps no more media; its operator may allow more, or some must be deleted";
            return Err(Refusal::new(Code::StorageFull, text));
        }
        Ok(())
    }

    /// Sums are whole whoever panicked.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(limit: u64, parts: [u64; 3]) -> bool {
    limit > 0 && parts.into_iter().fold(0, u64::saturating_add) > limit
}

impl Taken {
    fn add(&mut self, user: UserId, bytes: u64) {
        if bytes > 0 {
            self.all += bytes;
            *self.by_user.entry(user).or_default() += bytes;
        }
    }

    fn give_back(&mut self, user: UserId, bytes: u64) {
        self.releases += 1;
        self.all -= bytes;
        if let Some(own) = self.by_user.get_mut(&user) {
            *own -= bytes;
            if *own == 0 {
                self.by_user.remove(&user);
            }
        }
    }

    fn leave(&mut self, user: UserId, media: MediaId, bytes: u64) {
        if bytes > 0 {
            self.add(user, bytes);
            self.halves.insert((user, media), bytes);
        }
    }

    fn pick_up(&mut self, user: UserId, media: MediaId) -> u64 {
        let bytes = self.halves.remove(&(user, media)).unwrap_or(0);
        self.give_back(user, bytes);
        bytes
    }
}

impl Reserved {
    /// If it ends now, so many bytes of the half upload lie there.
    pub fn leaves(&mut self, bytes: u64) {
        if let Some((_, lies)) = &mut self.half {
            *lies = bytes;
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        taken.give_back(self.user, self.bytes);
        if let Some((media, lies)) = self.half {
            taken.leave(self.user, media, lies);
        }
    }
}
