//! From the outbox and the fetches into the socket, in as few system calls as possible.
//!
//! Three lanes: what is urgent (PONG, PING) goes first wherever a unit has ended; then what waits in the
//! outbox; chunks of fetches only when nothing else does.

use super::{Connection, Member, Shared};
use crate::delivery::{Segment, Size};
use crate::hub::Link;
use crate::outbox::{Budget, Held, Outbox, Queue};
use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// Segments that one system call takes.
const SLICES: usize = 32;
/// Bytes of an inline body that are read ahead, where memory is not short, and where it is.
const FILE_PIECE: usize = 64 * 1024;
const SMALL_FILE_PIECE: usize = 4 * 1024;
/// With so many unsent bytes of PONGs a connection is not read from.
const URGENT_BYTES: usize = 4 * 1024;
/// Bytes of a CHUNK frame before the bytes of media.
const CHUNK_HEAD: usize = chatwire_codec::HEADER_LEN + 12;
/// Bytes of media in unsent chunks that one connection may have.
const CHUNK_BYTES: usize = 256 * 1024;

/// What is being sent.
#[derive(Debug, Default)]
pub(super) struct Output {
    urgent: Vec<u8>,
    /// Some bytes of `urgent` were sent, and those that are left begin inside a frame.
    is_inside_urgent: bool,
    /// Whether a PING is in `urgent` whose sending the session waits for.
    has_ping: bool,
    main: Queue,
    /// Bytes of the first segment of `main` that were sent.
    main_sent: usize,
    /// The file that the front of `main` comes from, or is about to.
    file: Option<OpenFile>,
    chunks: Option<Box<Chunks>>,
    /// Whether WELCOME, or the refusal in its place, has gone out: nothing stands before it.
    has_begun: bool,
    /// Whether something waited when the session was last told.
    waited: bool,
    /// Whether the stream keeps some of what it took, as one over TLS may.
    is_unflushed: bool,
}

/// A CHUNK frame.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) transfer: u32,
    pub(super) frame: Vec<u8>,
}

/// The chunks that wait: at least one.
#[derive(Debug)]
struct Chunks {
    queue: VecDeque<Chunk>,
    /// Bytes of the first that were sent.
    sent: usize,
    /// They are in the budget of all connections.
    held: Held,
}

#[derive(Debug)]
enum OpenFile {
    Reading(JoinHandle<io::Result<(File, Vec<u8>)>>),
    Idle(File),
}

impl Output {
    pub(super) fn urgent(&mut self, frames: &[u8], is_ping: bool) {
        self.urgent.extend_from_slice(frames);
        self.has_ping |= is_ping;
    }

    /// What is urgent, to be queued before the last frames instead. (What is half sent goes on where it is.)
    pub(super) fn take_urgent(&mut self) -> Vec<u8> {
        if self.is_inside_urgent { Vec::new() } else { std::mem::take(&mut self.urgent) }
    }

    pub(super) fn has_room(&self) -> bool {
        self.urgent.len() < URGENT_BYTES
    }

    pub(super) fn is_empty(&self, link: &Link) -> bool {
        self.main.is_empty() && !self.is_unflushed && link.outbox.unsent() == 0
    }

    pub(super) fn chunk(&mut self, chunk: Chunk, budget: &Arc<Budget>) {
        self.chunks.get_or_insert_with(|| Box::new(Chunks::new(budget))).push(chunk);
    }

    /// Whether more chunks may be read ahead.
    pub(super) fn has_room_for_chunks(&self, bytes: usize) -> bool {
        self.chunks.as_ref().is_none_or(|chunks| chunks.has_room(bytes))
    }

    /// Drops the chunks of a transfer, but for one that is half sent.
    pub(super) fn drop_chunks(&mut self, transfer: u32) {
        self.retain_chunks(|chunk| chunk.transfer != transfer);
    }

    pub(super) fn drop_all_chunks(&mut self) {
        self.retain_chunks(|_| false);
    }

    fn retain_chunks(&mut self, keep: impl Fn(&Chunk) -> bool) {
        self.chunks = self.chunks.take().and_then(|mut chunks| chunks.retain(keep).then_some(chunks));
    }

    /// Whether a frame of another lane may be sent now.
    fn at_boundary(&self) -> bool {
        self.has_begun && self.main_sent == 0 && !self.is_inside_chunk() && !self.is_inside_file()
    }

    /// A message with its media whole has begun once a piece of its file is there.
    fn is_inside_file(&self) -> bool {
        match self.main.front() {
            Some(Segment::File(part)) => part.offset > 0,
            _ => self.file.is_some(),
        }
    }

    fn is_inside_chunk(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.sent > 0)
    }

    /// Notes that `n` bytes of `main` were sent, and tells how much memory that has freed.
    fn main_sent(&mut self, n: usize) -> usize {
        let mut freed = 0;
        self.has_begun = true;
        self.main_sent += n;
        while let Some(front) = self.main.front() {
            let Size { bytes, memory } = front.size();
            if self.main_sent < bytes || matches!(front, Segment::File(_)) {
                break;
            }
            self.main_sent -= bytes;
            freed += memory;
            self.main.pop_front();
            if !matches!(self.main.front(), Some(Segment::File(part)) if part.offset > 0) {
                self.file = None;
            }
        }
        freed
    }

    fn slices(&self) -> ([IoSlice<'_>; SLICES], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut n = 0;
        let mut skip = self.main_sent;
        // What is urgent waits for the end of a segment: so no more of them are begun.
        let count = if self.urgent.is_empty() { SLICES } else { 1 };
        for segment in self.main.iter().take(count) {
            let bytes: &[u8] = match segment {
                Segment::Owned(bytes) => bytes,
                Segment::Shared(bytes) => bytes,
                Segment::File(_) => break,
            };
            slices[n] = IoSlice::new(&bytes[skip..]);
            skip = 0;
            n += 1;
        }
        (slices, n)
    }

    /// Puts the next piece of an inline body before what is left of it. A message of which nothing is sent yet, and
    /// whose file cannot be read, goes by reference.
    fn poll_file(&mut self, cx: &mut Context<'_>, shared: &Shared, outbox: &Outbox) -> Poll<io::Result<()>> {
        let before = self.main.front().map(Segment::size).unwrap_or_default();
        let Some(Segment::File(part)) = self.main.front_mut() else {
            return Poll::Ready(Ok(()));
        };
        let file = match self.file.take() {
            Some(OpenFile::Reading(job)) => job,
            idle => {
                let most = outbox.budget().share().clamp(SMALL_FILE_PIECE, FILE_PIECE);
                let (at, n) = (part.offset, (part.end - part.offset).min(most as u64));
                let (path, head) = (shared.media.path(&part.media), part.head.clone());
                shared.jobs.begin(move || match idle {
                    Some(OpenFile::Idle(file)) => read_behind(head, file, at, n),
                    _ => read_behind(head, File::open(path)?, at, n),
                })
            }
        };
        let mut job = file;
        let Poll::Ready(read) = Pin::new(&mut job).poll(cx) else {
            self.file = Some(OpenFile::Reading(job));
            return Poll::Pending;
        };
        let (file, piece) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(e)) if part.offset == 0 => {
                log::debug!("media {}: goes by reference, since its file cannot be read: {e}", part.media);
                let instead = Segment::Owned(std::mem::take(&mut part.instead));
                outbox.exchanged(before, instead.size());
                self.main.pop_front();
                self.main.push_front(instead);
                return Poll::Ready(Ok(()));
            }
            Ok(Err(e)) => return Poll::Ready(Err(e)),
            Err(e) => return Poll::Ready(Err(io::Error::other(e))),
        };
        part.offset += (piece.len() - part.head.len()) as u64;
        (part.head, part.instead) = (Vec::new(), Vec::new());
        let mut rest = Size::default();
        if part.offset == part.end {
            self.main.pop_front();
        } else {
            rest = self.main.front().map(Segment::size).unwrap_or_default();
        }
        let piece = Segment::Owned(piece);
        outbox.exchanged(before, piece.size() + rest);
        self.main.push_front(piece);
        self.file = Some(OpenFile::Idle(file));
        Poll::Ready(Ok(()))
    }
}

impl Chunks {
    fn new(budget: &Arc<Budget>) -> Self {
        Chunks { queue: VecDeque::new(), sent: 0, held: Held::new(budget) }
    }

    fn push(&mut self, chunk: Chunk) {
        self.queue.push_back(chunk);
        self.held.set(self.bytes());
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.bytes() + bytes <= CHUNK_BYTES && self.held.has_room()
    }

    fn bytes(&self) -> usize {
        self.queue.iter().map(|chunk| chunk.frame.len() - CHUNK_HEAD).sum()
    }

    /// Drops all others, but for one that is half sent; false if nothing is left.
    fn retain(&mut self, keep: impl Fn(&Chunk) -> bool) -> bool {
        let mut is_half_sent = self.sent > 0;
        self.queue.retain(|chunk| std::mem::take(&mut is_half_sent) || keep(chunk));
        self.held.set(self.bytes());
        !self.queue.is_empty()
    }

    /// Notes that `n` bytes of the first were sent; false if nothing is left.
    fn sent(&mut self, n: usize) -> bool {
        self.sent += n;
        if self.queue.front().is_some_and(|chunk| chunk.frame.len() == self.sent) {
            self.sent = 0;
            self.queue.pop_front();
            self.held.set(self.bytes());
        }
        !self.queue.is_empty()
    }
}

/// Exactly `n` bytes: a file that has become shorter is not what was promised.
pub(super) fn read_piece(file: File, at: u64, n: u64) -> io::Result<(File, Vec<u8>)> {
    read_behind(Vec::new(), file, at, n)
}

/// The same, behind these bytes.
fn read_behind(mut head: Vec<u8>, file: File, at: u64, n: u64) -> io::Result<(File, Vec<u8>)> {
    let from = head.len();
    head.resize(from + usize::try_from(n).map_err(io::Error::other)?, 0);
    file.read_exact_at(&mut head[from..], at)?;
    Ok((file, head))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sends as much as the socket takes.
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        loop {
            let unsent = self.member.link.outbox.take_into(&mut self.output.main);
            match self.poll_write(cx) {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(Ok(_)) => {
                    moved = true;
                    self.output.waited = unsent > 0;
                    self.session.handle_written(now, true);
                }
                Poll::Ready(Err(e)) => {
                    log::debug!("connection {}: writing failed: {e}", self.member.link.id);
                    self.is_dead = true;
                    return false;
                }
                Poll::Pending => {
                    if !self.output.waited {
                        self.output.waited = true;
                        self.session.handle_written(now, true);
                    }
                    return moved;
                }
            }
        }
        if moved || self.output.waited {
            self.output.waited = false;
            self.session.handle_written(now, false);
        }
        moved
    }

    /// Writes once, from the lane whose turn it is; 0 if there is nothing to send.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.output.urgent.is_empty() && self.output.at_boundary() {
            return self.poll_urgent(cx);
        }
        if self.output.is_inside_chunk() || self.output.main.is_empty() {
            return self.poll_chunk(cx);
        }
        if matches!(self.output.main.front(), Some(Segment::File(_))) {
            let Member { shared, link } = &self.member;
            std::task::ready!(self.output.poll_file(cx, shared, &link.outbox))?;
        }
        let (slices, n) = self.output.slices();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..n]);
        let n = std::task::ready!(written)?;
        let freed = self.output.main_sent(n);
        self.member.link.outbox.sent(n, freed);
        written_some(n)
    }

    fn poll_urgent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, &self.output.urgent);
        let n = std::task::ready!(written)?;
        self.output.urgent.drain(..n);
        self.output.is_inside_urgent = !self.output.urgent.is_empty();
        if self.output.urgent.is_empty() {
            self.output.urgent = Vec::new();
            if std::mem::take(&mut self.output.has_ping) {
                self.session.handle_ping_sent(crate::clock::instant());
            }
        }
        written_some(n)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(chunks) = &mut self.output.chunks else { return self.poll_flush(cx) };
        let Some(chunk) = chunks.queue.front() else { return Poll::Ready(Ok(0)) };
        let written = Pin::new(&mut self.stream).poll_write(cx, &chunk.frame[chunks.sent..]);
        let n = std::task::ready!(written)?;
        if !chunks.sent(n) {
            self.output.chunks = None;
        }
        written_some(n)
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Nothing is left to be written but what the stream may keep.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.output.is_unflushed = flushed.is_pending();
        flushed.map_ok(|()| 0)
    }
}

fn written_some(n: usize) -> Poll<io::Result<usize>> {
    Poll::Ready(if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) })
}
