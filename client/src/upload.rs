//! Sends media in chunks, so that what else is sent need not wait, and goes on where an earlier try broke off.

use crate::client::{Client, open_file, settled};
use crate::core::{Ask, Confirmed};
use crate::error::Error;
use crate::limits::{CHUNK_BYTES, READ_BYTES, UNCONFIRMED_BYTES};
use crate::message::MediaRef;
use crate::request::Answer;
use chatwire_codec::{MediaKind, Payload, frame};
use std::path::PathBuf;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

/// A file to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The file. It must not change meanwhile.
    pub path: PathBuf,
    /// As what it goes; `None`: what its first bytes say.
    pub kind: Option<MediaKind>,
}

impl Upload {
    /// A file, as what its first bytes say that it is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Upload { path: path.into(), kind: None }
    }
}

/// A running UPLOAD: dropped before its end it is cancelled.
struct Uploading<'a> {
    client: &'a Client,
    transfer: u32,
    confirmed: watch::Receiver<Confirmed>,
}

impl Drop for Uploading<'_> {
    fn drop(&mut self) {
        self.client.abandon(self.transfer);
    }
}

impl Client {
    /// Uploads a file, after which it can be sent with [`crate::Outgoing::reference`] by this user. It goes on with
    /// what the server has of it from an earlier try of the same user. `progress` is told of bytes that are safe and
    /// bytes in all. Dropping it cancels it, and the server keeps what it has for a day.
    ///
    /// Four run at once, more wait. What else is sent goes before their bytes.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::TooLarge`], or as [`Client::request`]; `conflict`: another connection of the user
    /// uploads the same, or the file changed. [`chatwire_codec::Code::BadMedia`]: upload it as [`MediaKind::File`].
    pub async fn upload(
        &self,
        upload: Upload,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<MediaRef, Error> {
        let place = self.upload_place().await?;
        let (mut file, size, sniffed) = open_file(&upload.path).await?;
        let limit = self.welcome().max_media;
        if limit > 0 && size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        let kind = upload.kind.unwrap_or(sniffed);
        let digest = digest(&mut file).await.map_err(|error| Error::file(&upload.path, &error))?;
        let request = frame::Upload { req: 0, media_kind: kind as u8, size, digest, name: "" };
        let (sender, confirmed) = watch::channel(Confirmed::default());
        let (transfer, answer) = self.ask(Ask::upload(&request, sender)?).await?;
        let mut uploading = Uploading { client: self, transfer, confirmed };
        let Answer::UploadReady(ready) = settled(answer.await)? else {
            return Err(Error::Violation("an answer to another request"));
        };
        progress(ready.offset, size);
        let sent = uploading.send(&mut file, ready.offset, size, &mut progress).await;
        let media = match sent {
            Ok(()) => uploading.end(size, &mut progress).await?,
            Err(Broken::Ended) => uploading.end(size, &mut progress).await?,
            Err(Broken::File(error)) => return Err(Error::file(&upload.path, &error)),
        };
        drop(place);
        if media != digest {
            return Err(Error::Violation("another digest than that of the upload"));
        }
        let name = upload.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (name, mime) = (name.unwrap_or_default(), String::new());
        Ok(MediaRef { kind, media, size, mime, name, duration_ms: 0, width: 0, height: 0 })
    }
}

/// Why not all was sent.
enum Broken {
    /// What the server has said of it tells.
    Ended,
    File(std::io::Error),
}

impl Uploading<'_> {
    /// Sends all that is missing, never more ahead of what is safe than a client may.
    async fn send(
        &mut self,
        file: &mut File,
        from: u64,
        size: u64,
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<(), Broken> {
        file.seek(std::io::SeekFrom::Start(from)).await.map_err(Broken::File)?;
        let (mut at, mut safe) = (from, from);
        let mut piece = vec![0; CHUNK_BYTES];
        while at < size {
            let n = usize::try_from(size - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            file.read_exact(&mut piece[..n]).await.map_err(Broken::File)?;
            while at + n as u64 - safe > UNCONFIRMED_BYTES {
                self.confirmed.changed().await.map_err(|_| Broken::Ended)?;
                safe = self.safe(from)?;
                progress(safe, size);
            }
            let mut chunk = Vec::with_capacity(n + 32);
            let frame = frame::Chunk { transfer: self.transfer, offset: at, bytes: &piece[..n] };
            frame.encode(&mut chunk).map_err(|_| Broken::Ended)?;
            self.client.send_chunk(chunk).await.map_err(|_| Broken::Ended)?;
            at += n as u64;
        }
        Ok(())
    }

    fn safe(&mut self, from: u64) -> Result<u64, Broken> {
        let confirmed = self.confirmed.borrow_and_update();
        if confirmed.end.is_some() { Err(Broken::Ended) } else { Ok(confirmed.safe.max(from)) }
    }

    /// Waits for STORED, or for why there is none.
    async fn end(
        &mut self,
        size: u64,
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<[u8; 32], Error> {
        loop {
            let (safe, end) = {
                let confirmed = self.confirmed.borrow_and_update();
                (confirmed.safe, confirmed.end.clone())
            };
            match end {
                Some(Ok(media)) => {
                    progress(size, size);
                    return Ok(media);
                }
                Some(Err(why)) => return Err(why),
                None if safe > 0 => progress(safe, size),
                None => {}
            }
            if self.confirmed.changed().await.is_err() {
                let end = self.confirmed.borrow().end.clone();
                return end.unwrap_or_else(|| Err(self.client.why_ended()));
            }
        }
    }
}

/// The digest of the whole file.
async fn digest(file: &mut File) -> std::io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update(&buffer[..read]);
    }
}
