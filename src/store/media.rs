//! The files of media: streamed to a temporary name, checked, synced, and only then given their final one.
//!
//! A file under `media/` is whole: its name is the digest of its bytes. A file under `tmp/` belongs to a
//! [`Spool`] of this run, and goes with it. A file under `half/` is a [`Half`]: an upload that may go on, also
//! in another run. What the database says of media is none of this module's
//! business; who may read it neither. Everything here blocks on the disk.

mod half;
mod hold;
pub(super) mod inventory;
pub(super) mod keep;
mod measure;
mod shelf;
mod sniff;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

use crate::error::Refusal;
use crate::id::MediaId;
use crate::store::{Media, storage_full};
use chatwire_codec::{Code, MediaKind};
pub use half::{HALF_KEPT, Half, Left};
pub use hold::Hold;
pub(super) use shelf::relative_path;
use shelf::{Shelf, Way};
use sniff::Head;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

const MEDIA: &str = "media";
/// The folder of whole files, within the data folder.
pub(super) const FOLDER: &str = MEDIA;
const TMP: &str = "tmp";
const HALF: &str = "half";

/// Bytes after which a spool begins to bring its file to the disk, so that the sync at its end is short and
/// the dirty pages of a large upload do not fill the machine's memory.
const WRITE_BACK: u64 = 32 << 20;

/// The folders that media is kept in.
#[derive(Debug)]
pub struct MediaStore {
    data: PathBuf,
    /// The number of the next temporary file.
    next: AtomicU64,
    shelf: Arc<Shelf>,
}

impl MediaStore {
    /// Makes the folders and removes temporary files of the last run. Only who holds the lock on the data
    /// folder may do that, so open the database first.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(data: impl AsRef<Path>) -> io::Result<MediaStore> {
        let data = data.as_ref().to_owned();
        fs::create_dir_all(data.join(MEDIA))?;
        let tmp = data.join(TMP);
        fs::create_dir_all(&tmp)?;
        for entry in fs::read_dir(&tmp)? {
            fs::remove_file(entry?.path())?;
        }
        fs::create_dir_all(data.join(HALF))?;
        shelf::sync_folder(&data)?;
        let shelf = Arc::new(Shelf::new(data.clone()));
        Ok(MediaStore { data, next: AtomicU64::new(0), shelf })
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When the disk fails; [`refusal`] says what a client is told.
    pub fn spool(&self, kind: MediaKind) -> io::Result<Spool> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.data.join(TMP).join(number.to_string());
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Spool {
            file,
            tmp: TmpFile(path),
            shelf: self.shelf.clone(),
            hasher: blake3::Hasher::new(),
            size: 0,
            head: Head::new(kind),
            write_back: WriteBack::default(),
        })
    }

    /// Where the file of this media is, if it is stored.
    #[must_use]
    pub fn path(&self, id: &MediaId) -> PathBuf {
        self.shelf.path(id)
    }

    /// Removes the file of media that no row tells of any more. If somebody has just stored the same bytes, it
    /// stays for them.
    pub fn free(&self, id: &MediaId) {
        self.shelf.free(id);
    }

    /// The folders of whole files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn shelves(&self) -> io::Result<Vec<PathBuf>> {
        inventory::shelves(&self.data)
    }

    /// Which whole files lie in one of those folders.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn on_shelf(&self, shelf: &Path) -> io::Result<Vec<MediaId>> {
        Ok(inventory::on_shelf(shelf)?.into_iter().filter_map(|file| file.what).collect())
    }

    /// Whether files stay for now though nobody needs them, since somebody copies them all.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        keep::are_kept(&self.data)
    }

    /// Opens the file of this media for reading.
    ///
    /// # Errors
    /// `NotFound` when it is not stored, or another when the disk fails.
    pub fn open_file(&self, id: &MediaId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Holds a file that is stored already, as this kind; `None` if there is none of this size.
    ///
    /// # Errors
    /// `bad_media` if it is of another kind; `internal`.
    pub fn hold(&self, id: &MediaId, kind: MediaKind, size: u64) -> Result<Option<(Media, Hold)>, Refusal> {
        let Some(hold) = self.shelf.hold(id, size) else { return Ok(None) };
        let file = self.open_file(id).map_err(|e| refusal(&e))?;
        let head = Head::read(kind, &file).map_err(|e| refusal(&e))??;
        let media = describe(*id, &head, &file, size).map_err(|e| refusal(&e))??;
        Ok(Some((media, hold)))
    }
}

/// What a client is told when a file fails. The cause is for the log.
pub fn refusal(error: &io::Error) -> Refusal {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    log::error!("media: {error}");
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => storage_full(),
        _ => Refusal::internal(),
    }
}

/// A file that is being received. Dropped before [`finish`](Self::finish) it leaves nothing behind.
#[derive(Debug)]
pub struct Spool {
    file: File,
    tmp: TmpFile,
    shelf: Arc<Shelf>,
    hasher: blake3::Hasher,
    size: u64,
    head: Head,
    write_back: WriteBack,
}

impl Spool {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `bad_media` as soon as the bytes are seen to be of another kind, `storage_full`, `internal`. After an
    /// error the spool is of no use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.head.take(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| refusal(&e))?;
        self.write_back.after(&self.file, self.size).map_err(|e| refusal(&e))
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Checks the whole, brings it to the disk and gives it its final name. What it returns is durable, for as
    /// long as it is held or once it is kept.
    ///
    /// # Errors
    /// `bad_media`, `storage_full`, `internal`; the file is removed then.
    pub fn finish(mut self) -> Result<(Media, Hold), Refusal> {
        let id = MediaId(*self.hasher.finalize().as_bytes());
        let media = describe(id, &self.head, &self.file, self.size).map_err(|e| refusal(&e))??;
        let (shelf, tmp) = (self.shelf.clone(), self.tmp.0.clone());
        let hold = shelf.put(&id, self.size, &tmp, Way::Rename, || self.sync()).map_err(|e| refusal(&e))?;
        Ok((media, hold))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.write_back.finish()?;
        self.file.sync_all()
    }
}

/// A temporary file's name. Removed with it, unless the file has another name by then.
#[derive(Debug)]
struct TmpFile(PathBuf);

impl Drop for TmpFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                log::warn!("media: {}: {e}; it goes at the next start", self.0.display());
            }
            _ => {}
        }
    }
}

/// Brings a growing file to the disk in the background, one stretch at a time: whoever writes faster than
/// the disk waits for it here, not at the end.
#[derive(Debug, Default)]
struct WriteBack {
    begun_at: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl WriteBack {
    fn after(&mut self, file: &File, size: u64) -> io::Result<()> {
        if size - self.begun_at < WRITE_BACK {
            return Ok(());
        }
        self.finish()?;
        let file = file.try_clone()?;
        self.begun_at = size;
        let thread = thread::Builder::new().name("media-sync".to_owned());
        self.running = Some(thread.spawn(move || file.sync_data())?);
        Ok(())
    }

    /// The system reports a failed write to one sync only, so the outcome of each counts.
    fn finish(&mut self) -> io::Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.join().unwrap_or_else(|_| Err(io::Error::other("the sync panicked")))
    }
}

/// What the bytes are, if they are of the kind.
fn describe(id: MediaId, head: &Head, file: &File, size: u64) -> io::Result<Result<Media, Refusal>> {
    let kind = head.kind();
    Ok(head.mime(file)?.map(|mime| {
        let measure::Measures { duration_ms, width, height } = measure::file(kind, file, size);
        Media { id, kind, size, mime: mime.into(), duration_ms, width, height }
    }))
}

fn bad_media() -> Refusal {
    Refusal::new(
        Code::BadMedia,
        "these bytes are not what they claim to be: VOICE is MP3, VIDEO MP4, IMAGE JPEG, PNG, WebP or GIF",
    )
}
