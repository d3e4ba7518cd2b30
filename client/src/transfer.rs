//! Fetches media to a file: under a temporary name first, under its own only when its digest is right.

use crate::client::{Client, settled};
use crate::core::{Ask, Piece};
use crate::error::Error;
use crate::limits::{FETCH_QUEUE, READ_BYTES};
use crate::request::{Answer, FetchReady};
use chatwire_codec::frame;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// What to fetch, and where to put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The media: the BLAKE3 digest of its bytes.
    pub media: [u8; 32],
    /// The file, which must not exist. Until it is whole it is called `<path>.<digest>.part`.
    pub path: PathBuf,
    /// Go on with such a part if there is one, and keep it if this breaks off.
    pub resume: bool,
    /// Refuse media of more bytes; [`crate::MediaRef::size`] says what to expect.
    pub max_size: u64,
}

impl Download {
    /// Media of any size, from its beginning.
    pub fn new(media: [u8; 32], path: impl Into<PathBuf>) -> Self {
        Download { media, path: path.into(), resume: false, max_size: u64::MAX }
    }

    fn part_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        let mut digest = String::new();
        for byte in &self.media[..8] {
            let _ = write!(digest, "{byte:02x}");
        }
        name.push(format!(".{digest}.part"));
        name.into()
    }
}

/// The bytes that are there so far.
struct Part {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    done: u64,
}

/// A running FETCH: dropped before its end it is cancelled.
struct Fetching<'a> {
    client: &'a Client,
    transfer: u32,
    pieces: mpsc::Receiver<Piece>,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.client.abandon(self.transfer);
    }
}

impl Client {
    /// Fetches media to a file. `progress` is told of bytes done and bytes in all. Dropping it cancels it and
    /// leaves the part where it is.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::File`], [`Error::TooLarge`], [`Error::WrongDigest`], or as
    /// [`Client::request`]. The file is there whole or not at all.
    pub async fn fetch(
        &self,
        download: Download,
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<FetchReady, Error> {
        if fs::try_exists(&download.path).await.map_err(|error| Error::file(&download.path, &error))? {
            return Err(Error::Exists(download.path));
        }
        let mut part = Part::open(&download).await?;
        let fetched = match self.fill(&download, &mut part, progress).await {
            Ok(ready) => part.publish(&download).await.map(|()| ready),
            Err(error) => Err(error),
        };
        let keep = download.resume && fetched.as_ref().is_err_and(|error| !is_final(error));
        if !keep {
            // Published, it has another name already; else it is not worth keeping.
            let _ = fs::remove_file(&part.path).await;
        }
        fetched
    }

    async fn fill(
        &self,
        download: &Download,
        part: &mut Part,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<FetchReady, Error> {
        let (sender, pieces) = mpsc::channel(FETCH_QUEUE);
        let request = frame::Fetch { media: download.media, offset: part.done, ..frame::Fetch::default() };
        let (transfer, answer) = self.ask(Ask::new(request, Some(sender))?).await?;
        let mut fetching = Fetching { client: self, transfer, pieces };
        let Answer::FetchReady(ready) = settled(answer.await)? else {
            return Err(Error::Violation("an answer to another request"));
        };
        if ready.size > download.max_size {
            return Err(Error::TooLarge { size: ready.size, limit: download.max_size });
        }
        progress(part.done, ready.size);
        while part.done < ready.size {
            let piece = fetching.pieces.recv().await.ok_or_else(|| self.why_ended())??;
            part.append(&piece).await?;
            progress(part.done, ready.size);
        }
        Ok(ready)
    }
}

impl Part {
    async fn open(download: &Download) -> Result<Self, Error> {
        let path = download.part_path();
        if !download.resume {
            let _ = fs::remove_file(&path).await;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(download.resume).create_new(!download.resume);
        let file = options.open(&path).await.map_err(|error| Error::file(&path, &error))?;
        let mut part = Part { path, file, hasher: blake3::Hasher::new(), done: 0 };
        part.read_in().await?;
        Ok(part)
    }

    /// Counts and digests what an earlier try has left.
    async fn read_in(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = self.file.read(&mut buffer).await.map_err(|error| Error::file(&self.path, &error))?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
            self.done += read as u64;
        }
    }

    async fn append(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.write_all(piece).await.map_err(|error| Error::file(&self.path, &error))?;
        self.hasher.update(piece);
        self.done += piece.len() as u64;
        Ok(())
    }

    /// Gives the file its own name, if it is what was asked for.
    async fn publish(&mut self, download: &Download) -> Result<(), Error> {
        if self.hasher.finalize() != blake3::Hash::from_bytes(download.media) {
            return Err(Error::WrongDigest);
        }
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(|error| Error::file(&self.path, &error))?;
        name_file(&self.path, &download.path).await
    }
}

/// Whether trying again with the same part would end the same way.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::WrongDigest | Error::Refused(_) | Error::TooLarge { .. })
}

/// A link, unlike a renaming, never replaces a file that came into being meanwhile.
async fn name_file(part: &Path, path: &Path) -> Result<(), Error> {
    let exists = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    match fs::hard_link(part, path).await {
        Ok(()) => Ok(()),
        Err(error) if exists(&error) => Err(Error::Exists(path.to_owned())),
        // File systems without links.
        Err(_) if !path.exists() => fs::rename(part, path).await.map_err(|error| Error::file(path, &error)),
        Err(_) => Err(Error::Exists(path.to_owned())),
    }
}
