//! UPLOAD: bytes of CHUNKs on their way into files, and what is told of them.
//!
//! Of each upload some pieces are written and synced on a thread for that, while the next ones come; so whatever else
//! the client sends is served meanwhile. What is not confirmed is all that is in memory.

use super::{Connection, Shared};
use crate::delivery;
use crate::error::Refusal;
use crate::hub::Link;
use crate::jobs::Jobs;
use crate::outbox::Held;
use crate::session::{Notice, Wish};
use crate::store::media::Hold;
use crate::store::{Media, Op, Upload};
use crate::uploads::{Begun, Work};
use chatwire_codec::Code;
use chatwire_codec::frame::{self, kind};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Bytes that are confirmed together.
const PIECE_BYTES: usize = 256 * 1024;
/// Bytes that a client may leave unconfirmed. With more of one upload the connection is not read from.
const UNCONFIRMED_BYTES: usize = 1024 * 1024;

/// The running uploads of a connection.
pub(super) struct Uploads {
    shared: Arc<Shared>,
    link: Arc<Link>,
    beginning: Option<(Wish, JoinHandle<Result<Begun, Refusal>>)>,
    running: Vec<Running>,
}

struct Running {
    ticket: u32,
    stage: Stage,
    pieces: Pieces,
    /// All bytes have come.
    is_whole: bool,
    taken_over: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

enum Stage {
    Idle(Box<Work>),
    There(Box<Media>, Box<Hold>),
    Writing(JoinHandle<Written>),
    /// What comes of it, its session hears from elsewhere.
    Finishing(JoinHandle<()>),
    Failed(Refusal),
}

/// The work, the pieces that were written, and whether that succeeded.
type Written = (Box<Work>, Vec<Vec<u8>>, Result<(), Refusal>);

/// Bytes that wait to be written.
struct Pieces {
    /// All but the last are full.
    waiting: Vec<Vec<u8>>,
    /// Pieces that were written, to be filled again.
    spare: Vec<Vec<u8>>,
    /// Bytes that wait or are being written.
    unconfirmed: usize,
    /// They are in the budget of all connections.
    held: Held,
}

/// Something to be told.
enum News {
    Begun(Wish, Result<u64, Refusal>),
    Received(u32, u64),
    Ended(u32, Refusal),
}

impl Uploads {
    fn new(shared: Arc<Shared>, link: Arc<Link>) -> Self {
        Uploads { shared, link, beginning: None, running: Vec::new() }
    }

    /// Whether there is room for what a client may send.
    pub(super) fn has_room(&self) -> bool {
        self.running.iter().all(|running| running.pieces.has_room())
    }

    fn is_empty(&self) -> bool {
        self.beginning.is_none() && self.running.is_empty()
    }

    fn begin(&mut self, wish: Wish) {
        let Some(&(user, _)) = self.link.user() else { return };
        let job = tokio::spawn(self.shared.uploads.clone().begin(user, wish.clone()));
        self.beginning = Some((wish, job));
    }

    pub(super) fn write(&mut self, ticket: u32, bytes: &[u8]) {
        if let Some(running) = self.running.iter_mut().find(|running| running.ticket == ticket) {
            running.pieces.add(bytes);
        }
    }

    fn finish(&mut self, ticket: u32) {
        if let Some(running) = self.running.iter_mut().find(|running| running.ticket == ticket) {
            running.is_whole = true;
        }
    }

    /// Takes no more bytes of an upload; those that have come are kept.
    fn end(&mut self, ticket: u32) {
        if let Some(at) = self.running.iter().position(|running| running.ticket == ticket) {
            self.running.swap_remove(at).let_go(self.shared.jobs);
        }
    }

    /// Moves what can be moved; tells what came of it, and whether anything did.
    fn poll(&mut self, cx: &mut Context<'_>) -> (Vec<News>, bool) {
        let mut news = Vec::new();
        let mut moved = self.poll_beginning(cx, &mut news);
        let mut at = 0;
        while let Some(running) = self.running.get_mut(at) {
            if running.is_taken_over(cx) {
                let text = "another connection of this user has taken this upload over";
                news.push(News::Ended(running.ticket, Refusal::new(Code::Conflict, text)));
                self.running.swap_remove(at).let_go(self.shared.jobs);
                moved = true;
                continue;
            }
            let (is_over, has_moved) = running.poll(cx, &self.shared, &self.link, &mut news);
            moved |= has_moved;
            if is_over {
                self.running.swap_remove(at);
            } else {
                at += 1;
            }
        }
        (news, moved)
    }

    fn poll_beginning(&mut self, cx: &mut Context<'_>, news: &mut Vec<News>) -> bool {
        let Some((_, job)) = &mut self.beginning else { return false };
        let Poll::Ready(result) = Pin::new(job).poll(cx) else { return false };
        let Some((wish, _)) = self.beginning.take() else { return false };
        let begun = result.unwrap_or_else(|_| Err(Refusal::internal())).map(|begun| {
            let pieces = Pieces::new(Held::new(self.link.outbox.budget()));
            let (offset, stage, taken_over) = match begun {
                Begun::There(media, hold) => (wish.size, Stage::There(media, hold), None),
                Begun::Half(work) => {
                    let taken_over = Box::pin(work.taken_over().cancelled_owned());
                    (work.len(), Stage::Idle(work), Some(taken_over))
                }
            };
            self.running.push(Running { ticket: wish.ticket, stage, pieces, is_whole: false, taken_over });
            offset
        });
        news.push(News::Begun(wish, begun));
        true
    }
}

/// However the connection has ended, what came of its uploads is kept.
impl Drop for Uploads {
    fn drop(&mut self) {
        let jobs = self.shared.jobs;
        self.running.drain(..).for_each(|running| running.let_go(jobs));
    }
}

impl Running {
    /// Whether another wants to go on with it, and there is anything to go on with.
    fn is_taken_over(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.stage, Stage::Finishing(_) | Stage::Failed(_)) {
            return false;
        }
        self.taken_over.as_mut().is_some_and(|taken_over| taken_over.as_mut().poll(cx).is_ready())
    }

    /// Whether it is over, and whether it has moved.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Arc<Shared>,
        link: &Arc<Link>,
        news: &mut Vec<News>,
    ) -> (bool, bool) {
        let mut moved = false;
        loop {
            let stage = std::mem::replace(&mut self.stage, Stage::Failed(Refusal::internal()));
            self.stage = match stage {
                Stage::Idle(work) if self.pieces.are_due(self.is_whole) => {
                    self.pieces.write(work, shared.jobs)
                }
                Stage::Idle(work) if self.is_whole => finish(work, self.ticket, shared.clone(), link.clone()),
                Stage::There(media, hold) if self.is_whole => {
                    submit(*media, hold, self.ticket, shared, link);
                    return (true, true);
                }
                stage @ (Stage::Idle(_) | Stage::There(..)) => {
                    self.stage = stage;
                    return (false, moved);
                }
                Stage::Writing(mut job) => match Pin::new(&mut job).poll(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Writing(job);
                        return (false, moved);
                    }
                    Poll::Ready(Ok((work, written, Ok(())))) => {
                        let len = work.len();
                        let offsets = self.pieces.written(len, written);
                        news.extend(offsets.map(|offset| News::Received(self.ticket, offset)));
                        Stage::Idle(work)
                    }
                    Poll::Ready(Ok((work, _, Err(refusal)))) => {
                        drop(shared.jobs.begin(move || work.leave()));
                        Stage::Failed(refusal)
                    }
                    Poll::Ready(Err(e)) => Stage::Failed(failed(&e)),
                },
                Stage::Finishing(mut job) => match Pin::new(&mut job).poll(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Finishing(job);
                        return (false, moved);
                    }
                    Poll::Ready(Ok(())) => return (true, true),
                    Poll::Ready(Err(e)) => Stage::Failed(failed(&e)),
                },
                Stage::Failed(refusal) => {
                    news.push(News::Ended(self.ticket, refusal));
                    return (true, true);
                }
            };
            moved = true;
        }
    }

    /// Brings what has come to the disk, and then gives the upload back.
    fn let_go(self, jobs: Jobs) {
        let rest = self.pieces.waiting;
        // There is none when the whole server ends at once.
        let Ok(runtime) = Handle::try_current() else { return };
        match self.stage {
            Stage::Idle(work) => drop(jobs.begin(move || leave(work, &rest))),
            Stage::Writing(job) => drop(runtime.spawn(async move {
                if let Ok((work, _, Ok(()))) = job.await {
                    // If it fails that is in the log, and nobody is there to be told.
                    let _ = jobs.begin(move || leave(work, &rest)).await;
                }
            })),
            // The one goes on by itself, and of the others there is nothing to be brought anywhere.
            Stage::Finishing(_) | Stage::There(..) | Stage::Failed(_) => {}
        }
    }
}

impl Pieces {
    fn new(held: Held) -> Self {
        Pieces { waiting: Vec::new(), spare: Vec::new(), unconfirmed: 0, held }
    }

    fn has_room(&self) -> bool {
        self.unconfirmed <= UNCONFIRMED_BYTES && (self.unconfirmed == 0 || self.held.has_room())
    }

    fn add(&mut self, mut bytes: &[u8]) {
        self.unconfirmed += bytes.len();
        while !bytes.is_empty() {
            let has_room = self.waiting.last().is_some_and(|piece| piece.len() < PIECE_BYTES);
            if !has_room {
                let piece = self.spare.pop();
                self.waiting.push(piece.unwrap_or_default());
            }
            let Some(piece) = self.waiting.last_mut() else { return };
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(now);
            bytes = later;
        }
        self.count();
    }

    /// Whether it is time to write: a piece is full, or nothing more comes, or memory is short.
    fn are_due(&self, is_whole: bool) -> bool {
        let is_full = self.waiting.first().is_some_and(|piece| piece.len() >= PIECE_BYTES);
        is_full || (!self.waiting.is_empty() && (is_whole || !self.held.has_room()))
    }

    fn write(&mut self, mut work: Box<Work>, jobs: Jobs) -> Stage {
        let pieces = std::mem::take(&mut self.waiting);
        Stage::Writing(jobs.begin(move || {
            let result = work.write(&pieces);
            (work, pieces, result)
        }))
    }

    /// Takes pieces back that were written, and tells where in the upload each ends; the last at `len`.
    fn written(&mut self, len: u64, mut pieces: Vec<Vec<u8>>) -> impl Iterator<Item = u64> + use<> {
        let bytes: usize = pieces.iter().map(Vec::len).sum();
        self.unconfirmed -= bytes;
        let mut at = len - bytes as u64;
        let ends: Vec<u64> = pieces
            .iter()
            .map(|piece| {
                at += piece.len() as u64;
                at
            })
            .collect();
        pieces.iter_mut().for_each(Vec::clear);
        self.spare = if self.held.has_room() { pieces } else { Vec::new() };
        self.count();
        ends.into_iter()
    }

    fn count(&mut self) {
        self.held.set(self.unconfirmed + self.spare.len() * PIECE_BYTES);
    }
}

/// Checks and keeps it. If its connection has gone meanwhile it is kept all the same.
fn finish(work: Box<Work>, ticket: u32, shared: Arc<Shared>, link: Arc<Link>) -> Stage {
    let jobs = shared.jobs;
    Stage::Finishing(jobs.begin(move || match work.finish() {
        Ok((media, hold)) => submit(media, hold, ticket, &shared, &link),
        Err(refusal) => link.outbox.notify(Notice::Uploaded(ticket, Err(refusal))),
    }))
}

fn submit(media: Media, hold: Box<Hold>, ticket: u32, shared: &Shared, link: &Link) {
    if let Some(&(user, _)) = link.user() {
        shared.store.submit(Op::Upload(Upload { conn: link.id, user, ticket, media, hold }));
    }
}

/// What fails is in the log, and nobody is there to be told.
fn leave(mut work: Box<Work>, rest: &[Vec<u8>]) {
    let _ = work.write(rest);
    work.leave();
}

fn failed(e: &tokio::task::JoinError) -> Refusal {
    log::error!("an upload failed: {e}");
    Refusal::internal()
}

/// What the connection has to do with it.
impl<S> Connection<S> {
    pub(super) fn begin_upload(&mut self, wish: Wish) {
        let (shared, link) = (&self.member.shared, &self.member.link);
        let uploads =
            self.uploads.get_or_insert_with(|| Box::new(Uploads::new(shared.clone(), link.clone())));
        uploads.begin(wish);
    }

    pub(super) fn finish_upload(&mut self, ticket: u32) {
        if let Some(uploads) = &mut self.uploads {
            uploads.finish(ticket);
        }
    }

    pub(super) fn end_upload(&mut self, ticket: u32, frames: &[u8]) {
        if let Some(uploads) = &mut self.uploads {
            uploads.end(ticket);
        }
        self.member.link.outbox.answer(|out| out.extend_from_slice(frames));
    }

    pub(super) fn poll_uploads(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(uploads) = &mut self.uploads else { return false };
        let (news, moved) = uploads.poll(cx);
        if uploads.is_empty() {
            self.uploads = None;
        }
        for news in news {
            match news {
                News::Received(ticket, offset) => self.session.handle_received(ticket, offset),
                News::Ended(ticket, refusal) => self.session.handle_uploaded(ticket, Err(refusal)),
                News::Begun(wish, begun) => self.upload_begun(now, &wish, begun),
            }
        }
        moved
    }

    fn upload_begun(&mut self, now: Instant, wish: &Wish, begun: Result<u64, Refusal>) {
        let outbox = &self.member.link.outbox;
        match begun {
            Ok(offset) => {
                let ready = frame::UploadReady { req: wish.req, offset };
                outbox.answer(|out| delivery::put(out, &ready));
                self.session.handle_upload_begun(wish, offset);
            }
            Err(refusal) => {
                log::debug!("connection {}: an upload is refused: {refusal}", self.member.link.id);
                outbox.answer(|out| delivery::error(out, kind::UPLOAD, wish.req.into(), &refusal));
            }
        }
        self.session.handle_notice(now, Notice::Answered);
    }
}
