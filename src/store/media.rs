//! The files of media: streamed to a temporary name, checked, synced, and only then given their final one.
//!
//! A file under `media/` is whole: its name is the digest of its bytes. A file under `tmp/` belongs to a
//! [`Spool`] of this run, and goes with it. What the database says of media is none of this module's
//! business; who may read it neither. Everything here blocks on the disk.

mod hold;
mod measure;
mod sniff;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

use crate::error::Refusal;
use crate::id::MediaId;
use crate::store::{Media, storage_full};
use chatwire_codec::{Code, MediaKind};
pub use hold::Hold;
use hold::Holds;
use sniff::{HEAD_LEN, Verdict};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

const MEDIA: &str = "media";
const TMP: &str = "tmp";

/// Bytes after which a spool begins to bring its file to the disk, so that the sync at its end is short and
/// the dirty pages of a large upload do not fill the machine's memory.
const WRITE_BACK: u64 = 32 << 20;

/// The folders that media is kept in.
#[derive(Debug)]
pub struct MediaStore {
    data: PathBuf,
    /// The number of the next temporary file.
    next: AtomicU64,
    holds: Arc<Holds>,
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
        sync_folder(&data)?;
        let holds = Arc::new(Holds::new(data.clone()));
        Ok(MediaStore { data, next: AtomicU64::new(0), holds })
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
            kind,
            file,
            tmp: TmpFile(path),
            data: self.data.clone(),
            holds: self.holds.clone(),
            hasher: blake3::Hasher::new(),
            size: 0,
            head: Vec::new(),
            verdict: Verdict::NeedMore,
            write_back: WriteBack::default(),
        })
    }

    /// Where the file of this media is, if it is stored.
    #[must_use]
    pub fn path(&self, id: &MediaId) -> PathBuf {
        self.data.join(relative_path(id))
    }

    /// Removes the file of media that no row tells of any more. If somebody has just stored the same bytes, it
    /// stays for them.
    pub fn free(&self, id: &MediaId) {
        self.holds.free(id, &self.path(id));
    }

    /// Opens the file of this media for reading.
    ///
    /// # Errors
    /// `NotFound` when it is not stored, or another when the disk fails.
    pub fn open_file(&self, id: &MediaId) -> io::Result<File> {
        File::open(self.path(id))
    }
}

/// Where the file of this media is within the data folder.
pub(super) fn relative_path(id: &MediaId) -> String {
    let (folder, name) = place(id);
    format!("{MEDIA}/{folder}/{name}")
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
    kind: MediaKind,
    file: File,
    tmp: TmpFile,
    data: PathBuf,
    holds: Arc<Holds>,
    hasher: blake3::Hasher,
    size: u64,
    /// The first bytes, which tell the kind: at most [`HEAD_LEN`].
    head: Vec<u8>,
    verdict: Verdict,
    write_back: WriteBack,
}

impl Spool {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `bad_media` as soon as the bytes are seen to be of another kind, `storage_full`, `internal`. After an
    /// error the spool is of no use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.look_at(bytes)?;
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
        let mime = match std::mem::replace(&mut self.verdict, Verdict::NeedMore) {
            Verdict::NeedMore => sniff::at_end(self.kind, &self.head),
            verdict => verdict,
        };
        let Verdict::Is(mime) = mime else { return Err(bad_media()) };
        let measures = measure::file(self.kind, &self.file, self.size);
        let id = MediaId(*self.hasher.finalize().as_bytes());
        let hold = self.keep(&id).map_err(|e| refusal(&e))?;
        let media = Media {
            id,
            kind: self.kind,
            size: self.size,
            mime: mime.into(),
            duration_ms: measures.duration_ms,
            width: measures.width,
            height: measures.height,
        };
        Ok((media, hold))
    }

    fn look_at(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if !matches!(self.verdict, Verdict::NeedMore) {
            return Ok(());
        }
        let missing = HEAD_LEN - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.verdict = if self.head.len() == HEAD_LEN {
            sniff::at_end(self.kind, &self.head)
        } else {
            sniff::so_far(self.kind, &self.head)
        };
        if matches!(self.verdict, Verdict::IsNot) { Err(bad_media()) } else { Ok(()) }
    }

    /// A name lasts when the folder that it stands in is synced, and that one's name in its own. Both are,
    /// whether or not they are new: who made them may have crashed before.
    fn keep(&mut self, id: &MediaId) -> io::Result<Hold> {
        let (folder, name) = place(id);
        let media = self.data.join(MEDIA);
        let folder = media.join(folder);
        let path = folder.join(name);
        let was_there = self.is_there(&path);
        if !was_there {
            self.sync()?;
        }
        let holds = self.holds.clone();
        let hold = holds.hold(*id, path.clone(), |holding| {
            if self.is_there(&path) {
                return Ok(());
            }
            if was_there {
                self.sync()?;
            }
            make_folder(&folder)?;
            fs::rename(&self.tmp.0, &path)?;
            holding.is_new = true;
            Ok(())
        })?;
        sync_folder(&folder)?;
        sync_folder(&media)?;
        Ok(hold)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.write_back.finish()?;
        self.file.sync_all()
    }

    /// Whether the same bytes have been stored before. What has a final name is whole, so to replace it would
    /// cost a sync and the freeing of the old file, and change nothing. The size guards against a file that
    /// was cut by hand.
    fn is_there(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|stored| stored.len() == self.size)
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

/// The folder under `media/` and the file's name in it: the digest's first byte and the rest.
fn place(id: &MediaId) -> (String, String) {
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

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn bad_media() -> Refusal {
    Refusal::new(
        Code::BadMedia,
        "these bytes are not what they claim to be: VOICE is MP3, VIDEO MP4, IMAGE JPEG, PNG, WebP or GIF",
    )
}
