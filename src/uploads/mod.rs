//! Uploads of all connections: where one goes on, who works on it, that there is room for it, and how long a half one
//! is kept. The bytes' way into it is [`crate::connection`]'s business, what CHUNKs may come the session's.

mod claims;

use crate::error::Refusal;
use crate::id::{Micros, UserId};
use crate::jobs::Jobs;
use crate::quota::{Quota, Reserved};
use crate::session::Wish;
use crate::store::media::{HALF_KEPT, Half, Hold, Left, MediaStore};
use crate::store::sweep::Sweep;
use crate::store::{Media, Store};
use chatwire_codec::Code;
use claims::{Claim, Claims};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// See the module.
pub struct Uploads {
    store: Arc<dyn Store>,
    media: Arc<MediaStore>,
    quota: Arc<Quota>,
    claims: Arc<Claims>,
    jobs: Jobs,
}

/// How an upload begins.
pub enum Begun {
    /// All of it is there, and its user may read it.
    There(Box<Media>, Box<Hold>),
    /// It goes on behind what there is.
    Half(Box<Work>),
}

/// An upload that somebody works on. Others wait until it is dropped.
pub struct Work {
    half: Half,
    /// Given back before others may begin.
    reserved: Reserved,
    claim: Claim,
}

impl Uploads {
    /// Over these files.
    pub fn new(store: Arc<dyn Store>, media: Arc<MediaStore>, quota: Arc<Quota>, jobs: Jobs) -> Self {
        Uploads { store, media, quota, claims: Arc::default(), jobs }
    }

    /// Takes an upload over from whoever works on it, and finds where it goes on.
    ///
    /// # Errors
    /// `bad_media`, `storage_full`, `internal`.
    pub async fn begin(self: Arc<Self>, user: UserId, wish: Wish) -> Result<Begun, Refusal> {
        let claim = self.claims.clone().take((user, wish.media)).await;
        let jobs = self.jobs;
        let opened = jobs.begin(move || self.open(user, &wish, claim));
        opened.await.unwrap_or_else(|e| {
            log::error!("an upload could not begin: {e}");
            Err(Refusal::internal())
        })
    }

    fn open(&self, user: UserId, wish: &Wish, claim: Claim) -> Result<Begun, Refusal> {
        if self.may_read(user, wish)?
            && let Some((media, mut hold)) = self.media.hold(&wish.media, wish.kind, wish.size)?
        {
            // What a crash has left of the way to here.
            self.media.remove_half(user, &wish.media);
            self.quota.forget(user, wish.media);
            hold.carry(claim);
            return Ok(Begun::There(Box::new(media), Box::new(hold)));
        }
        let reserved = self.quota.reserve_half(user, wish.media, wish.size)?;
        let half = self.media.half(user, wish.media, wish.kind, wish.size)?;
        Ok(Begun::Half(Box::new(Work { half, reserved, claim })))
    }

    fn may_read(&self, user: UserId, wish: &Wish) -> Result<bool, Refusal> {
        match self.store.media(user, wish.media) {
            Ok(media) => Ok(media.size == wish.size),
            Err(refusal) if refusal.code == Code::NotFound => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// The files that uploads become.
    #[must_use]
    pub fn files(&self) -> &MediaStore {
        &self.media
    }

    /// Begins to clear up. Blocks on the disk.
    #[must_use]
    pub fn sweep(&self, order: u64) -> Option<Sweep> {
        let begun = Sweep::begin(&self.media, order);
        begun.inspect_err(|e| log::warn!("the media cannot be cleared up: {e}; tried again in a moment")).ok()
    }

    /// Removes half uploads that were not added to for a day. Blocks on the disk.
    pub fn clear(&self, now: Micros) {
        let halves = match self.media.halves() {
            Ok(halves) => halves,
            Err(e) => return log::warn!("half uploads cannot be cleared up: {e}; tried again later"),
        };
        let is_over = |half: &Left| now - half.touched_at > HALF_KEPT;
        for half in halves.into_iter().filter(is_over) {
            let Some(_claim) = self.claims.take_unclaimed((half.user, half.media)) else { continue };
            // Somebody may have gone on with it meanwhile.
            if !self.media.half_left(half.user, half.media).is_some_and(|half| is_over(&half)) {
                continue;
            }
            self.media.remove_half(half.user, &half.media);
            self.quota.forget(half.user, half.media);
            log::debug!("half an upload of user {} was not gone on with and is removed", half.user);
        }
    }
}

impl Work {
    /// Bytes that there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.half.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.half.is_empty()
    }

    /// Cancelled when another connection wants to go on with it.
    #[must_use]
    pub fn taken_over(&self) -> CancellationToken {
        self.claim.taken_over().clone()
    }

    /// Takes these bytes and brings them to the disk.
    ///
    /// # Errors
    /// `bad_media`, `storage_full`, `internal`; what was safe before is kept, but for the first.
    pub fn write(&mut self, pieces: &[Vec<u8>]) -> Result<(), Refusal> {
        let written = pieces.iter().try_for_each(|piece| self.half.write(piece));
        let written = written.and_then(|()| self.half.sync());
        self.reserved.leaves(self.half.len());
        written
    }

    /// Checks what has come and gives it its name. What it returns is durable once the store keeps it.
    ///
    /// # Errors
    /// `conflict` for another digest, `bad_media`, `storage_full`, `internal`.
    pub fn finish(self) -> Result<(Media, Box<Hold>), Refusal> {
        let Work { half, mut reserved, claim } = self;
        let (media, mut hold) = half.finish().inspect_err(|refusal| {
            if matches!(refusal.code, Code::Conflict | Code::BadMedia) {
                reserved.leaves(0);
            }
        })?;
        reserved.leaves(0);
        hold.carry((reserved, claim));
        Ok((media, Box::new(hold)))
    }

    /// Leaves it for another time.
    pub fn leave(self) {
        self.half.leave();
    }
}
