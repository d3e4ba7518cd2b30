//! A connection's send queue, bounded in bytes: where all others leave what its task is to send or to know.
//!
//! It has no thread and no socket. Whoever has something for a connection leaves it here and wakes its task;
//! the task takes all that waits at once. Live messages are refused when it is full: their chat then turns
//! `Behind` for this connection (see [`crate::hub`]), and the disk is the queue. Answers are always taken,
//! because a connection that has [`STOP_READING_AT`] bytes of them is not read from until they are sent.

use crate::delivery::Segment;
use crate::id::ChatId;
use crate::session::Notice;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Bytes of unsent live messages that one connection may have.
pub const LIVE_BYTES: usize = 256 * 1024;
/// Bytes of unsent live messages that all connections may have together.
pub const LIVE_BYTES_IN_ALL: usize = 512 * 1024 * 1024;
/// With so many unsent bytes a connection is not read from.
pub const STOP_READING_AT: usize = 1024 * 1024;
/// Below so many unsent bytes a connection that is behind gets its next page.
pub const FEED_BELOW: usize = 64 * 1024;
/// Up to so many bytes are copied behind what already waits; more are shared.
const COPY_UP_TO: usize = 2 * 1024;
/// A piece that others are copied behind grows no further than this.
const TAIL_BYTES: usize = 16 * 1024;

/// What a connection's task takes out.
#[derive(Debug, Default)]
pub struct Taken {
    /// In order.
    pub notices: Vec<Notice>,
    /// How many messages were answered since the last time.
    pub answered: u32,
}

/// The queue. See the module.
#[derive(Debug)]
pub struct Outbox {
    inner: Mutex<Inner>,
    /// Unsent live bytes of all connections.
    in_all: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Segment>,
    /// Bytes pushed and not yet written to the socket.
    unsent: usize,
    taken: Taken,
    /// Chats that are behind and wait for their next page.
    behind: VecDeque<ChatId>,
    waker: Option<Waker>,
    closed: bool,
}

impl Outbox {
    /// An empty queue that shares the bound `in_all` with all others.
    #[must_use]
    pub fn new(in_all: Arc<AtomicUsize>) -> Self {
        Outbox { inner: Mutex::default(), in_all }
    }

    /// Queues frames that must not be lost: answers, and events about the connection itself.
    pub fn answer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.with(|inner| inner.write(&self.in_all, write));
    }

    /// As [`Outbox::answer`], for the answers to `count` messages.
    pub fn answer_messages(&self, count: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.with(|inner| {
            inner.taken.answered += count;
            inner.write(&self.in_all, write);
        });
    }

    /// Queues whole segments, in order: a page, an answer made elsewhere.
    pub fn segments(&self, segments: impl IntoIterator<Item = Segment>) {
        self.with(|inner| {
            for segment in segments {
                inner.push(&self.in_all, segment);
            }
        });
    }

    /// Queues live messages that others get too, if there is room.
    #[must_use]
    pub fn live(&self, bytes: &Bytes) -> bool {
        self.with(|inner| {
            if !inner.has_room(&self.in_all, bytes.len()) {
                return false;
            }
            if bytes.len() <= COPY_UP_TO {
                inner.write(&self.in_all, |tail| tail.extend_from_slice(bytes));
            } else {
                inner.push(&self.in_all, Segment::Shared(bytes.clone()));
            }
            true
        })
    }

    /// Queues live segments that belong together, if there is room, and counts `answered` messages either way.
    #[must_use]
    pub fn live_segments(&self, answered: u32, segments: Vec<Segment>) -> bool {
        self.with(|inner| {
            inner.taken.answered += answered;
            if !inner.has_room(&self.in_all, segments.iter().map(Segment::len).sum()) {
                return false;
            }
            for segment in segments {
                inner.push(&self.in_all, segment);
            }
            true
        })
    }

    /// Tells the session something.
    pub fn notify(&self, notice: Notice) {
        self.with(|inner| inner.taken.notices.push(notice));
    }

    /// Notes that a chat is behind and waits for its next page.
    pub fn add_behind(&self, chat: ChatId) {
        self.with(|inner| {
            if !inner.behind.contains(&chat) {
                inner.behind.push_back(chat);
            }
        });
    }

    /// The chat whose next page is due, if there is room for one.
    #[must_use]
    pub fn next_behind(&self) -> Option<ChatId> {
        let mut inner = self.lock();
        if inner.unsent >= FEED_BELOW { None } else { inner.behind.pop_front() }
    }

    /// Takes the notices, and has `cx` woken by the next change.
    #[must_use]
    pub fn poll(&self, cx: &Context<'_>) -> Taken {
        let mut inner = self.lock();
        if !inner.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        std::mem::take(&mut inner.taken)
    }

    /// Moves what waits behind `to`, and tells how many bytes are unsent, those in `to` included.
    pub fn take_into(&self, to: &mut VecDeque<Segment>) -> usize {
        let mut inner = self.lock();
        if to.is_empty() {
            std::mem::swap(&mut inner.queue, to);
        } else {
            to.append(&mut inner.queue);
        }
        inner.unsent
    }

    /// Notes that `n` bytes have left, and tells how many are unsent.
    pub fn sent(&self, n: usize) -> usize {
        let mut inner = self.lock();
        inner.unsent = inner.unsent.saturating_sub(n);
        self.in_all.fetch_sub(n, Ordering::Relaxed);
        inner.unsent
    }

    /// Bytes that wait, those that the task has taken and not yet sent included.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.lock().unsent
    }

    /// Drops what waits and takes nothing more: the connection is over.
    pub fn close(&self) {
        let mut inner = self.lock();
        self.in_all.fetch_sub(inner.unsent, Ordering::Relaxed);
        *inner = Inner { closed: true, ..Inner::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock can panic half way: what a panicking thread left is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue and wakes its task, after the lock is given back.
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = change(&mut inner);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl Inner {
    fn has_room(&self, in_all: &AtomicUsize, n: usize) -> bool {
        !self.closed
            && self.unsent + n <= LIVE_BYTES
            && in_all.load(Ordering::Relaxed) + n <= LIVE_BYTES_IN_ALL
    }

    /// Writes behind the last piece if that is this connection's own and small, else into a new one.
    fn write(&mut self, in_all: &AtomicUsize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.closed {
            return;
        }
        if !matches!(self.queue.back(), Some(Segment::Owned(tail)) if tail.len() < TAIL_BYTES) {
            self.queue.push_back(Segment::Owned(Vec::new()));
        }
        let Some(Segment::Owned(tail)) = self.queue.back_mut() else { return };
        let before = tail.len();
        write(tail);
        let n = tail.len() - before;
        if tail.is_empty() {
            self.queue.pop_back();
        }
        self.unsent += n;
        in_all.fetch_add(n, Ordering::Relaxed);
    }

    fn push(&mut self, in_all: &AtomicUsize, segment: Segment) {
        if self.closed || segment.is_empty() {
            return;
        }
        self.unsent += segment.len();
        in_all.fetch_add(segment.len(), Ordering::Relaxed);
        self.queue.push_back(segment);
    }
}
