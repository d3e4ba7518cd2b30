//! A VOICE to FILE on its way into its file: one piece is written on the disk while the next one comes.
//!
//! Two pieces are all that is ever in memory. When both are full, the connection is not read from. Before the first is
//! written it is looked whether there is room for the whole; if not, all of it is thrown away as it comes.

use crate::error::Refusal;
use crate::id::UserId;
use crate::jobs::Jobs;
use crate::outbox::Held;
use crate::quota::{Quota, Reserved};
use crate::store::Media;
use crate::store::media::{self, Hold, MediaStore, Spool};
use chatwire_codec::MediaKind;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// Bytes that go to the disk at once.
const PIECE_BYTES: usize = 256 * 1024;

/// What a body wants room for.
#[derive(Clone)]
pub(super) struct Room {
    pub(super) quota: Arc<Quota>,
    pub(super) user: UserId,
    pub(super) size: u64,
    /// Its message's.
    pub(super) nonce: u64,
}

/// See the module.
pub(super) struct Body {
    media: Arc<MediaStore>,
    jobs: Jobs,
    kind: MediaKind,
    room: Room,
    filling: Vec<u8>,
    /// A buffer to fill next, unless memory is short.
    spare: Vec<u8>,
    /// Memory of the piece that is being written.
    writing: usize,
    stage: Stage,
    is_closed: bool,
    /// The two pieces, in the budget of all connections.
    held: Held,
}

enum Stage {
    /// Nothing is being written. `None`: the file has not been made.
    Idle(Option<Box<File>>),
    Writing(JoinHandle<Written>),
    Finishing(JoinHandle<Result<(Media, Hold), Refusal>>),
    /// It failed, and the rest is thrown away.
    Failed(Refusal),
}

/// The file so far, and the room that is set aside for it.
struct File {
    spool: Spool,
    reserved: Reserved,
}

/// The file so far, and the buffer that was written.
type Written = (Result<Box<File>, Refusal>, Vec<u8>);

impl Body {
    pub(super) fn new(media: Arc<MediaStore>, jobs: Jobs, kind: MediaKind, room: Room, held: Held) -> Self {
        let (filling, spare) = (Vec::new(), Vec::new());
        let stage = Stage::Idle(None);
        Body { media, jobs, kind, room, filling, spare, writing: 0, stage, is_closed: false, held }
    }

    /// Whether more may be handed in.
    pub(super) fn has_room(&self) -> bool {
        let has_room = self.filling.is_empty() || self.filling.len() < PIECE_BYTES && self.held.has_room();
        has_room || matches!(self.stage, Stage::Failed(_))
    }

    pub(super) fn write(&mut self, chunk: &[u8]) {
        if !matches!(self.stage, Stage::Failed(_)) {
            self.filling.extend_from_slice(chunk);
            self.count();
        }
    }

    fn count(&mut self) {
        self.held.set(self.filling.capacity() + self.spare.capacity() + self.writing);
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Ready when the body has ended and is stored, or has failed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Media, Hold), Refusal>> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Idle(None)) {
                Stage::Idle(file) => {
                    // Where memory is short, what there is goes to the disk at once.
                    let is_due = self.filling.len() >= PIECE_BYTES || !self.held.has_room();
                    if !self.is_closed && (!is_due || self.filling.is_empty()) {
                        self.stage = Stage::Idle(file);
                        return Poll::Pending;
                    }
                    self.stage = self.next_stage(file);
                }
                Stage::Writing(mut job) => match Pin::new(&mut job).poll(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Writing(job);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok((result, buffer))) => {
                        self.writing = 0;
                        if self.held.has_room() {
                            self.spare = buffer;
                        }
                        self.count();
                        self.stage = result.map_or_else(Stage::Failed, |file| Stage::Idle(Some(file)));
                    }
                    Poll::Ready(Err(e)) => self.stage = failed(&e),
                },
                Stage::Finishing(mut job) => match Pin::new(&mut job).poll(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Finishing(job);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(result)) => return Poll::Ready(result),
                    Poll::Ready(Err(e)) => self.stage = failed(&e),
                },
                Stage::Failed(refusal) => {
                    (self.filling, self.spare, self.writing) = (Vec::new(), Vec::new(), 0);
                    self.count();
                    if self.is_closed {
                        return Poll::Ready(Err(refusal));
                    }
                    self.stage = Stage::Failed(refusal);
                    return Poll::Pending;
                }
            }
        }
    }

    fn next_stage(&mut self, file: Option<Box<File>>) -> Stage {
        let (media, kind, room) = (self.media.clone(), self.kind, self.room.clone());
        let mut piece = std::mem::replace(&mut self.filling, std::mem::take(&mut self.spare));
        self.writing = piece.capacity();
        if self.is_closed {
            return Stage::Finishing(
                self.jobs
                    .begin(move || write(&media, kind, &room, file, &piece).and_then(|file| file.finish())),
            );
        }
        Stage::Writing(self.jobs.begin(move || {
            let result = write(&media, kind, &room, file, &piece);
            piece.clear();
            (result, piece)
        }))
    }
}

impl File {
    fn finish(self) -> Result<(Media, Hold), Refusal> {
        let (media, mut hold) = self.spool.finish()?;
        hold.carry(self.reserved);
        Ok((media, hold))
    }
}

fn write(
    files: &MediaStore,
    kind: MediaKind,
    room: &Room,
    file: Option<Box<File>>,
    piece: &[u8],
) -> Result<Box<File>, Refusal> {
    let mut file = match file {
        Some(file) => file,
        None => {
            let reserved = room.quota.reserve(room.user, room.size, room.nonce)?;
            Box::new(File { spool: files.spool(kind).map_err(|e| media::refusal(&e))?, reserved })
        }
    };
    file.spool.write(piece)?;
    Ok(file)
}

fn failed(e: &tokio::task::JoinError) -> Stage {
    log::error!("storing media failed: {e}");
    Stage::Failed(Refusal::internal())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::config::Durability;
    use crate::outbox::{BYTES_IN_ALL, Budget};
    use crate::quota::Allowed;
    use crate::store::sqlite::{Options, SqliteStore};
    use std::task::Waker;

    #[tokio::test]
    async fn where_memory_is_short_no_more_is_read_than_the_disk_takes() {
        let dir = tempfile::tempdir().unwrap();
        let (data, clock) = (dir.path().to_owned(), Arc::new(clock::wall));
        let options = Options { data, durability: Durability::Normal, readers: 1, clock };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let media = Arc::new(MediaStore::open(dir.path()).unwrap());
        let quota = Quota::new(store, Allowed::default(), &[]);
        let room = Room { quota, user: UserId(2), size: 1000, nonce: 0 };
        let budget = Arc::new(Budget::default());
        let mut body = Body::new(media, Jobs::OnTasks, MediaKind::File, room, Held::new(&budget));
        let mut others = Held::new(&budget);
        let mut cx = Context::from_waker(Waker::noop());
        for is_short in [false, true] {
            others.set(BYTES_IN_ALL * usize::from(is_short));
            body.write(&[7; 100]);
            assert!(body.poll(&mut cx).is_pending());
            // Where memory is short that is on its way to the disk now.
            body.write(&[7; 100]);
            assert_eq!(body.has_room(), !is_short);
        }
        while !body.has_room() {
            tokio::task::yield_now().await;
            assert!(body.poll(&mut cx).is_pending());
        }
        assert!(body.filling.is_empty());
    }
}
