//! Where whole files stand: under the digest of their bytes.

use super::MEDIA;
use super::hold::{Hold, Holds};
use crate::id::MediaId;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a file that gets its final name loses the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Rename,
    Link,
}

/// The folder of whole files.
#[derive(Debug)]
pub(super) struct Shelf {
    data: PathBuf,
    holds: Arc<Holds>,
    /// Syncs of folders that have failed. The system tells of a failure once: of the names that were on their way then,
    /// whoever made them, a later sync that succeeds says nothing.
    failed: AtomicU64,
}

impl Shelf {
    pub(super) fn new(data: PathBuf) -> Self {
        Shelf { holds: Arc::new(Holds::new(data.clone())), data, failed: AtomicU64::new(0) }
    }

    /// Where the file of this media is, if it is stored.
    pub(super) fn path(&self, id: &MediaId) -> PathBuf {
        self.data.join(relative_path(id))
    }

    /// Gives a file of `size` bytes, which are right, its final name, and holds it. `sync` brings it to the disk.
    ///
    /// A name lasts when the folder that it stands in is synced, and that one's name in its own. Both are,
    /// whether or not they are new: who made them may have crashed before.
    pub(super) fn put(
        &self,
        id: &MediaId,
        size: u64,
        from: &Path,
        way: Way,
        mut sync: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Hold> {
        let path = self.path(id);
        let (folder, _) = place(id);
        let media = self.data.join(MEDIA);
        let folder = media.join(folder);
        let mut failed = self.failed_syncs();
        let was_there = is_there(&path, size);
        if !was_there {
            sync()?;
        }
        let hold = self.holds.hold(*id, path.clone(), |holding| {
            if is_there(&path, size) {
                // Who has made it may be about to hear that its sync has failed.
                failed = holding.named_at.unwrap_or(failed);
                return Ok(());
            }
            if was_there {
                sync()?;
            }
            make_folder(&folder)?;
            // Not every file system has links.
            if way == Way::Rename || fs::hard_link(from, &path).is_err() {
                fs::rename(from, &path)?;
            }
            (holding.is_new, holding.named_at) = (true, Some(failed));
            Ok(())
        })?;
        if let Err(e) = self.bring_names(&[&folder, &media], failed) {
            // Neither name may ever get to the disk: who comes next makes both anew. (A folder with others in it stays.)
            drop(hold);
            let _ = fs::remove_dir(&folder);
            return Err(e);
        }
        self.holds.has_name(id);
        Ok(hold)
    }

    /// How many syncs of folders have failed: to be asked before a name is made.
    pub(super) fn failed_syncs(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    /// Brings the names in these folders to the disk, unless a sync has failed since there were so many.
    pub(super) fn bring_names(&self, folders: &[&Path], failed: u64) -> io::Result<()> {
        let done = folders.iter().try_for_each(|folder| sync_folder(folder));
        if done.is_err() {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
        if self.failed_syncs() == failed {
            return done;
        }
        done.and(Err(io::Error::other("a sync of a folder has failed meanwhile")))
    }

    /// No row tells of this file any more: it goes, unless somebody holds it.
    pub(super) fn free(&self, id: &MediaId) {
        self.holds.free(id, &self.path(id));
    }

    /// Holds a file that is stored; `None` if there is none of this size.
    pub(super) fn hold(&self, id: &MediaId, size: u64) -> Option<Hold> {
        let path = self.path(id);
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let look = |path: &Path| if is_there(path, size) { Ok(()) } else { Err(missing()) };
        self.holds.hold(*id, path.clone(), |_| look(&path)).ok()
    }
}

/// Where the file of this media is within the data folder.
pub(in crate::store) fn relative_path(id: &MediaId) -> String {
    let (folder, name) = place(id);
    format!("{MEDIA}/{folder}/{name}")
}

/// Brings the names in a folder to the disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether the same bytes have been stored before. What has a final name is whole, so to replace it would
/// cost a sync and the freeing of the old file, and change nothing. The size guards against a file that
/// was cut by hand.
fn is_there(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|stored| stored.len() == size)
}

/// The folder under `media/` and the file's name in it: the digest's first byte and the rest.
pub(super) fn place(id: &MediaId) -> (String, String) {
    let hex = id.to_string();
    let (folder, name) = hex.split_at(2);
    (folder.to_owned(), name.to_owned())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_failed_sync_may_have_lost_is_nobodys_as_long_as_somebody_holds_it() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join(MEDIA)).unwrap();
        fs::create_dir(data.path().join(super::super::TMP)).unwrap();
        let (shelf, id) = (Shelf::new(data.path().to_owned()), MediaId([7; 32]));
        let put = || {
            let from = data.path().join("file");
            fs::write(&from, b"bytes").unwrap();
            shelf.put(&id, 5, &from, Way::Rename, || Ok(()))
        };
        let first = put().unwrap();
        shelf.failed.fetch_add(1, Ordering::SeqCst);
        let second = put().unwrap();
        assert!(shelf.path(&id).exists(), "its name was on the disk before");
        drop((first, second));

        // Who holds it has made the name, and has not heard yet of its sync, which fails for another.
        let (path, made_at) = (shelf.path(&id), shelf.failed_syncs());
        let named = |holding: &mut super::super::hold::Holding| {
            make_folder(path.parent().unwrap())?;
            fs::write(&path, b"bytes")?;
            (holding.is_new, holding.named_at) = (true, Some(made_at));
            Ok(())
        };
        let hold = shelf.holds.hold(id, path.clone(), named).unwrap();
        shelf.failed.fetch_add(1, Ordering::SeqCst);
        assert!(put().is_err());
        drop(hold);
        assert!(put().is_ok(), "made anew");
    }
}
