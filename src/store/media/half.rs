//! Half uploads: files that grow from the front, over connections and runs, until they are whole.
//!
//! The file is all that is kept of one: its name says whose it is and of what, its length where to go on, its time
//! when it was last added to. Who works on which, and that it is one at a time, is not this module's business.
//!
//! What comes is hashed as it comes, while it is in the processor's cache. A file that was half there already is
//! hashed at its end, as a whole: to read it before the first byte is taken would keep its client waiting.

use super::shelf::{Shelf, Way};
use super::sniff::Head;
use super::{HALF, Hold, MediaStore, describe, inventory, refusal};
use crate::error::Refusal;
use crate::id::{MediaId, Micros, UserId};
use crate::store::Media;
use chatwire_codec::{Code, MediaKind};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long half an upload is kept that nothing is added to.
pub const HALF_KEPT: Micros = 24 * 3600 * 1_000_000;

/// Bytes that are read at once where a file is hashed.
const READ_BYTES: usize = 256 * 1024;

/// A half upload that lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Whose it is.
    pub user: UserId,
    /// Of what.
    pub media: MediaId,
    /// Bytes that there are.
    pub bytes: u64,
    /// When it was last added to.
    pub touched_at: Micros,
}

/// A half upload that is worked on.
#[derive(Debug)]
pub struct Half {
    shelf: Arc<Shelf>,
    path: PathBuf,
    file: File,
    id: MediaId,
    head: Head,
    hasher: blake3::Hasher,
    /// Bytes in the hasher: all, or none.
    hashed: u64,
    len: u64,
    /// Bytes that survive whatever comes.
    safe: u64,
    /// The file's name is on the disk.
    is_named: bool,
    /// Syncs of folders that had failed before it had its name here.
    failed_syncs: u64,
}

impl MediaStore {
    /// The half upload of this media by this user, to go on with; made if there is none. One that has more than
    /// `size` bytes is begun anew: it cannot become what is announced now.
    ///
    /// # Errors
    /// `bad_media` if what there is is not of the kind, and then it is removed; `storage_full`, `internal`.
    pub fn half(&self, user: UserId, id: MediaId, kind: MediaKind, size: u64) -> Result<Half, Refusal> {
        let path = self.half_path(user, &id);
        let failed_syncs = self.shelf.failed_syncs();
        let opened = open(&path, size).and_then(|(file, len)| Ok((Head::read(kind, &file)?, file, len)));
        let (head, file, len) = opened.map_err(|e| refusal(&e))?;
        let head = head.inspect_err(|_| remove(&path))?;
        let (shelf, hasher) = (self.shelf.clone(), blake3::Hasher::new());
        Ok(Half {
            shelf,
            path,
            file,
            id,
            head,
            hasher,
            hashed: 0,
            len,
            safe: len,
            is_named: false,
            failed_syncs,
        })
    }

    /// All half uploads that lie there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn halves(&self) -> io::Result<Vec<Left>> {
        let found = inventory::halves(&self.data)?.into_iter().filter_map(|lying| {
            let (user, media) = lying.what?;
            Some(Left { user, media, bytes: lying.bytes, touched_at: lying.touched_at })
        });
        Ok(found.collect())
    }

    /// One of them, as it lies there now.
    #[must_use]
    pub fn half_left(&self, user: UserId, media: MediaId) -> Option<Left> {
        let lying = inventory::lying(self.half_path(user, &media), Some(()))?;
        lying.what.map(|()| Left { user, media, bytes: lying.bytes, touched_at: lying.touched_at })
    }

    /// Removes a half upload that nobody works on.
    pub fn remove_half(&self, user: UserId, media: &MediaId) {
        remove(&self.half_path(user, media));
    }

    fn half_path(&self, user: UserId, id: &MediaId) -> PathBuf {
        self.data.join(HALF).join(format!("{user}-{id}"))
    }
}

impl Half {
    /// Bytes that have been taken.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next bytes. They are safe after the next [`Half::sync`].
    ///
    /// # Errors
    /// `bad_media`, and then all is removed; `storage_full`, `internal`, and then what was safe is kept.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Err(refusal) = self.head.take(bytes) {
            self.discard();
            return Err(refusal);
        }
        if let Err(e) = self.file.write_all_at(bytes, self.len) {
            return Err(self.undo(&e));
        }
        if self.hashed == self.len {
            self.hasher.update(bytes);
            self.hashed += bytes.len() as u64;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Brings what was taken to the disk.
    ///
    /// # Errors
    /// `storage_full`, `internal`, and then what was safe before is kept.
    pub fn sync(&mut self) -> Result<(), Refusal> {
        if self.safe == self.len {
            return Ok(());
        }
        let folder = self.path.parent().filter(|_| !self.is_named);
        if let Err(e) = self.file.sync_data() {
            return Err(self.undo(&e));
        }
        if let Err(e) = folder.map_or(Ok(()), |folder| self.shelf.bring_names(&[folder], self.failed_syncs)) {
            let said = self.undo(&e);
            // The name may never get there: who goes on makes it anew.
            if self.is_empty() {
                self.discard();
            }
            return Err(said);
        }
        self.is_named = true;
        self.safe = self.len;
        Ok(())
    }

    /// Checks the whole and gives it its final name. What it returns is durable, for as long as it is held or once
    /// it is kept. Until it is kept it has its old name too, so whatever happens it is a half upload that goes on.
    ///
    /// # Errors
    /// `conflict` for another digest and `bad_media`, and then all is removed; `storage_full`, `internal`, and then
    /// it is kept.
    pub fn finish(mut self) -> Result<(Media, Hold), Refusal> {
        let digest = self.digest().map_err(|e| refusal(&e))?;
        if digest != self.id {
            self.discard();
            return Err(Refusal::new(
                Code::Conflict,
                "these bytes have another digest than was announced; they were thrown away",
            ));
        }
        let described = describe(self.id, &self.head, &self.file, self.len).map_err(|e| refusal(&e))?;
        let media = described.inspect_err(|_| self.discard())?;
        let sync = || self.file.sync_all();
        let mut hold =
            self.shelf.put(&self.id, self.len, &self.path, Way::Link, sync).map_err(|e| refusal(&e))?;
        hold.takes_the_place_of(self.path);
        Ok((media, hold))
    }

    /// Removes it, if it has no byte that one could go on behind.
    pub fn leave(mut self) {
        if self.is_empty() {
            self.discard();
        }
    }

    /// The digest of the whole. See the module.
    fn digest(&mut self) -> io::Result<MediaId> {
        let mut piece = if self.hashed < self.len { vec![0; READ_BYTES] } else { Vec::new() };
        while self.hashed < self.len {
            let n = usize::try_from(self.len - self.hashed).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            self.file.read_exact_at(&mut piece[..n], self.hashed)?;
            self.hasher.update(&piece[..n]);
            self.hashed += n as u64;
        }
        Ok(MediaId(*self.hasher.finalize().as_bytes()))
    }

    /// Goes back to what is safe, as far as that is possible, and says what the client is told.
    fn undo(&mut self, error: &io::Error) -> Refusal {
        let said = refusal(error);
        self.len = self.safe;
        if let Err(e) = self.file.set_len(self.safe) {
            log::warn!("media: {}: {e}; it is begun anew", self.path.display());
            self.discard();
        }
        said
    }

    fn discard(&mut self) {
        (self.len, self.safe) = (0, 0);
        remove(&self.path);
    }
}

fn open(path: &Path, size: u64) -> io::Result<(File, u64)> {
    let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = open()?;
    let found = file.metadata()?;
    let is_stored = found.nlink() > 1;
    if found.len() == size || (found.len() < size && !is_stored) {
        return Ok((file, found.len()));
    }
    // A file that is stored too must stay as it is, so this is another one.
    remove(path);
    Ok((open()?, 0))
}

pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => log::warn!("media: {}: {e}", path.display()),
        _ => {}
    }
}

/// Whose half upload a file of this name is, and of what.
pub(super) fn named(name: &str) -> Option<(UserId, MediaId)> {
    let (user, digest) = name.split_once('-')?;
    let digest = blake3::Hash::from_hex(digest).ok()?;
    Some((UserId(user.parse().ok()?), MediaId(*digest.as_bytes())))
}

#[cfg(test)]
#[path = "half_tests.rs"]
mod tests;
