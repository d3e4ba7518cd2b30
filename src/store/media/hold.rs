//! Files that are stored and that no row tells of yet. Whoever has stored one holds it; when all who hold it
//! have let go and none has kept it, a file that is new is removed: what was refused leaves nothing behind.

use super::TMP;
use crate::id::MediaId;
use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The files that are held. Under its lock files get their final names and lose them.
#[derive(Debug)]
pub(super) struct Holds {
    data: PathBuf,
    held: Mutex<HashMap<MediaId, Holding>>,
    /// The number of the next file that is removed.
    next: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Holding {
    count: usize,
    /// The file came to be while it was held.
    pub(super) is_new: bool,
    /// Its name may not be on the disk yet: it was made when so many syncs of folders had failed.
    pub(super) named_at: Option<u64>,
    is_kept: bool,
}

/// A stored file, until the fate of its message is known. Dropped without [`Hold::keep`] it may go.
#[derive(Debug)]
pub struct Hold {
    id: MediaId,
    path: PathBuf,
    holds: Arc<Holds>,
    /// The half upload that is not needed any more once the file is kept.
    half: Option<PathBuf>,
    carried: Option<Box<dyn Any + Send + Sync>>,
}

impl Holds {
    pub(super) fn new(data: PathBuf) -> Self {
        Holds { data, held: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// Holds the file of this media, whose final name is `path`, and sees to it that it has that name.
    pub(super) fn hold(
        self: &Arc<Self>,
        id: MediaId,
        path: PathBuf,
        name_it: impl FnOnce(&mut Holding) -> io::Result<()>,
    ) -> io::Result<Hold> {
        let mut held = self.lock();
        let holding = held.entry(id).or_default();
        holding.count += 1;
        let named = name_it(holding);
        drop(held);
        // From here on a failure lets go of it again.
        let hold = Hold { id, path, holds: self.clone(), half: None, carried: None };
        named.map(|()| hold)
    }

    /// The name of this file is on the disk.
    pub(super) fn has_name(&self, id: &MediaId) {
        if let Some(holding) = self.lock().get_mut(id) {
            holding.named_at = None;
        }
    }

    /// No row tells of this file any more. Whoever holds it decides about it, as if it had just come to be.
    pub(super) fn free(&self, id: &MediaId, path: &PathBuf) {
        match self.lock().get_mut(id) {
            Some(holding) => (holding.is_new, holding.is_kept) = (true, false),
            None => self.remove(path),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MediaId, Holding>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the file's name away, which is quick, and then removes it, which may take a while.
    fn remove(&self, path: &PathBuf) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let gone = self.data.join(TMP).join(format!("gone-{number}"));
        match fs::rename(path, &gone) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return log::warn!("media: {}: {e}; it stays without a message", path.display()),
        }
        let thread = thread::Builder::new().name("media-remove".to_owned());
        // Where there is no thread to be had, or no success, it goes at the next start.
        drop(thread.spawn(move || fs::remove_file(gone)));
    }
}

impl Hold {
    /// Of which media.
    #[must_use]
    pub fn id(&self) -> MediaId {
        self.id
    }

    /// A row tells of the file now.
    pub fn keep(&self) {
        if let Some(holding) = self.holds.lock().get_mut(&self.id) {
            holding.is_kept = true;
        }
        if let Some(half) = &self.half {
            super::half::remove(half);
        }
    }

    /// What was half an upload until now is this file, once it is kept.
    pub(super) fn takes_the_place_of(&mut self, half: PathBuf) {
        self.half = Some(half);
    }

    /// Has something live until the fate of the file is known.
    pub fn carry(&mut self, what: impl Any + Send + Sync) {
        self.carried = Some(Box::new(what));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.holds.lock();
        let Entry::Occupied(mut entry) = held.entry(self.id) else { return };
        entry.get_mut().count -= 1;
        if entry.get().count > 0 {
            return;
        }
        let Holding { is_new, is_kept, .. } = entry.remove();
        if is_new && !is_kept {
            self.holds.remove(&self.path);
        }
    }
}
