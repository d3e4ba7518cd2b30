//! A connection's send queue, bounded in bytes: where all others leave what its task is to send or to know.
//!
//! It has no thread and no socket. Whoever has something for a connection leaves it here and wakes its task;
//! the task takes all that waits at once. Live messages are refused when it is full: their chat then turns
//! `Behind` for this connection (see [`crate::hub`]), and the disk is the queue. Answers are always taken,
//! because a connection that has [`STOP_READING_AT`] bytes of them is not read from until they are sent.
//!
//! What all connections together have in memory is bounded by [`Budget`].

mod behind;
mod budget;
mod events;
mod line;
mod queue;
mod soon;

use crate::delivery::{Segment, Size};
use crate::session::Notice;
use behind::Behind;
pub use budget::{BYTES_IN_ALL, Budget, Held, SMALL_PAGE_BYTES};
use bytes::Bytes;
pub use events::EventKey;
use events::Waiting;
pub use queue::Queue;
pub use soon::Soon;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Bytes of unsent live messages that one connection may have.
pub const LIVE_BYTES: usize = 256 * 1024;
/// With so many unsent bytes a connection is not read from.
pub const STOP_READING_AT: usize = 1024 * 1024;
/// Below so many unsent bytes a connection that is behind gets its next page.
pub const FEED_BELOW: usize = 64 * 1024;
/// Up to so many bytes are copied behind what already waits; more are shared.
const COPY_UP_TO: usize = 2 * 1024;
/// A piece that others are copied behind grows no further than this.
const TAIL_BYTES: usize = 16 * 1024;
/// A piece has room for so much from the beginning: what is small seldom comes alone.
const ROOM_BYTES: usize = 512;

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
    budget: Arc<Budget>,
    soon: Arc<Soon>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Queue,
    /// Bytes pushed and not yet written to the socket.
    unsent: usize,
    /// Bytes of memory that pieces take that are nobody else's, here and with the task.
    own: usize,
    /// Nothing is taken any more: the last frame is in.
    is_sealed: bool,
    notices: Vec<Notice>,
    /// Messages that were answered since the task last looked.
    answered: u32,
    /// The chats that it is behind in; mostly there are none.
    behind: Option<Box<Behind>>,
    /// Events that wait until less is unsent; seldom any.
    events: Option<Box<Waiting>>,
    waker: Option<Waker>,
    /// The task will be woken soon in any case.
    is_soon: bool,
    /// It stands in line to be woken.
    is_in_line: bool,
}

impl Outbox {
    /// An empty queue that shares these with all others.
    #[must_use]
    pub fn new(budget: Arc<Budget>, soon: Arc<Soon>) -> Self {
        Outbox { inner: Mutex::default(), budget, soon }
    }

    /// What all connections together have.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Queues frames that must not be lost: answers, and events about the connection itself.
    pub fn answer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.with(|inner| inner.write(&self.budget, write));
    }

    /// As [`Outbox::answer`], with what the session is to know of it.
    pub fn answer_and_notify(
        &self,
        notices: impl IntoIterator<Item = Notice>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.with(|inner| inner.answer(&self.budget, notices, write));
    }

    /// The same without waking the task: whoever begins an answer wakes it, or queues more.
    pub fn begin_answer(&self, notices: impl IntoIterator<Item = Notice>, write: impl FnOnce(&mut Vec<u8>)) {
        self.lock().answer(&self.budget, notices, write);
    }

    /// Wakes the task.
    pub fn wake(&self) {
        self.with(|_| ());
    }

    /// As [`Outbox::answer`], for the answers to `count` messages.
    pub fn answer_messages(&self, count: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.with(|inner| {
            inner.answered += count;
            inner.write(&self.budget, write);
        });
    }

    /// Queues the last frames: what comes behind them is dropped.
    pub fn seal(&self, last: &[u8]) {
        self.with(|inner| {
            inner.write(&self.budget, |tail| tail.extend_from_slice(last));
            inner.is_sealed = true;
        });
    }

    /// Queues whole segments, in order: a page, an answer made elsewhere.
    pub fn segments(&self, segments: impl IntoIterator<Item = Segment>) {
        self.with(|inner| {
            for segment in segments {
                inner.push(&self.budget, segment);
            }
        });
    }

    /// Queues live messages that others get too, if there is room.
    #[must_use]
    pub fn live(&self, bytes: &Bytes) -> bool {
        self.with(|inner| inner.live(&self.budget, bytes))
    }

    /// As [`Outbox::live`], for what nobody waits for.
    #[must_use]
    pub fn live_soon(&self, bytes: &Bytes) -> bool {
        self.with_soon(|inner| inner.live(&self.budget, bytes))
    }

    /// Queues live segments that belong together and have at most `bytes`, if there is room, and counts
    /// `answered` messages either way.
    #[must_use]
    pub fn live_segments(
        &self,
        answered: u32,
        bytes: usize,
        segments: impl IntoIterator<Item = Segment>,
    ) -> bool {
        self.with(|inner| {
            inner.answered += answered;
            if !inner.has_room(&self.budget, bytes) {
                return false;
            }
            for segment in segments {
                match segment {
                    Segment::Owned(piece) if bytes <= COPY_UP_TO => inner.copy(&self.budget, &piece),
                    Segment::Shared(piece) if bytes <= COPY_UP_TO => inner.copy(&self.budget, &piece),
                    segment => inner.push(&self.budget, segment),
                }
            }
            true
        })
    }

    /// Tells the session something.
    pub fn notify(&self, notice: Notice) {
        self.with(|inner| inner.notices.push(notice));
    }

    /// Whether the connection has so much unsent that nothing more may be asked for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let inner = self.lock();
        inner.unsent >= STOP_READING_AT || inner.own > self.budget.share()
    }

    /// Takes the notices, and has `cx` woken by the next change.
    #[must_use]
    pub fn poll(&self, cx: &Context<'_>) -> Taken {
        let mut inner = self.lock();
        if !inner.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        inner.is_soon = false;
        Taken { notices: std::mem::take(&mut inner.notices), answered: std::mem::take(&mut inner.answered) }
    }

    /// Moves what waits behind `to`, and tells how many bytes are unsent, those in `to` included.
    pub fn take_into(&self, to: &mut Queue) -> usize {
        let mut inner = self.lock();
        inner.queue_events(&self.budget);
        to.append(&mut inner.queue);
        inner.unsent
    }

    /// Notes that `n` bytes have left, and with them pieces that took `freed` bytes of memory.
    pub fn sent(&self, n: usize, freed: usize) {
        let mut inner = self.lock();
        inner.unsent = inner.unsent.saturating_sub(n);
        inner.free(&self.budget, freed);
    }

    /// Notes that the task has put something else in the place of what it has taken.
    pub fn exchanged(&self, before: Size, after: Size) {
        let mut inner = self.lock();
        inner.unsent = (inner.unsent + after.bytes).saturating_sub(before.bytes);
        inner.hold(&self.budget, after.memory);
        inner.free(&self.budget, before.memory);
    }

    /// Bytes that wait, those that the task has taken and not yet sent included.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.lock().unsent
    }

    /// Drops what waits and takes nothing more: the connection is over.
    pub fn close(&self) {
        let mut inner = self.lock();
        let own = inner.own;
        inner.free(&self.budget, own);
        *inner = Inner { is_sealed: true, ..Inner::default() };
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

    /// Changes the queue and has its task woken soon.
    fn with_soon<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let waker = if inner.is_soon { None } else { inner.waker.clone() };
        inner.is_soon |= waker.is_some();
        let result = change(&mut inner);
        drop(inner);
        if let Some(waker) = waker {
            self.soon.wake(waker);
        }
        result
    }
}

impl Inner {
    fn answer(
        &mut self,
        budget: &Budget,
        notices: impl IntoIterator<Item = Notice>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.write(budget, write);
        self.notices.extend(notices);
    }

    fn has_room(&self, budget: &Budget, n: usize) -> bool {
        let unsent = self.unsent + n;
        !self.is_sealed && unsent <= LIVE_BYTES && (self.unsent == 0 || unsent <= budget.share())
    }

    fn live(&mut self, budget: &Budget, bytes: &Bytes) -> bool {
        if !self.has_room(budget, bytes.len()) {
            return false;
        }
        if bytes.len() <= COPY_UP_TO {
            self.copy(budget, bytes);
        } else {
            self.push(budget, Segment::Shared(bytes.clone()));
        }
        true
    }

    /// Writes behind the last piece if that is this connection's own and small, else into a new one.
    fn write(&mut self, budget: &Budget, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_sealed {
            return;
        }
        if !matches!(self.queue.back_mut(), Some(Segment::Owned(tail)) if tail.len() < TAIL_BYTES) {
            self.queue.push_back(Segment::Owned(Vec::with_capacity(ROOM_BYTES)));
        }
        let Some(Segment::Owned(tail)) = self.queue.back_mut() else { return };
        let (len, room) = (tail.len(), if tail.is_empty() { 0 } else { tail.capacity() });
        write(tail);
        let (more, grown) = (tail.len() - len, tail.capacity() - room);
        if tail.is_empty() {
            self.queue.pop_back();
            return;
        }
        self.unsent += more;
        self.hold(budget, grown);
    }

    fn copy(&mut self, budget: &Budget, bytes: &[u8]) {
        self.write(budget, |tail| tail.extend_from_slice(bytes));
    }

    fn push(&mut self, budget: &Budget, segment: Segment) {
        if self.is_sealed || segment.is_empty() {
            return;
        }
        let Size { bytes, memory } = segment.size();
        self.hold(budget, memory);
        self.unsent += bytes;
        self.queue.push_back(segment);
    }

    fn hold(&mut self, budget: &Budget, bytes: usize) {
        self.own += bytes;
        budget.add(bytes);
    }

    fn free(&mut self, budget: &Budget, bytes: usize) {
        // What is closed has nothing more to free.
        let freed = bytes.min(self.own);
        self.own -= freed;
        budget.remove(freed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::FilePart;
    use crate::id::ChatId;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    /// How often a task was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn outbox() -> Outbox {
        Outbox::new(Arc::default(), Arc::default())
    }

    fn counted(outbox: &Outbox) -> usize {
        outbox.budget.used()
    }

    /// What a task would write, and then has written.
    fn drain(outbox: &Outbox) -> Vec<u8> {
        let mut queue = Queue::default();
        let unsent = outbox.take_into(&mut queue);
        let mut bytes = Vec::new();
        let memory = queue.iter().map(|segment| segment.size().memory).sum();
        for segment in queue.iter() {
            match segment {
                Segment::Owned(own) => bytes.extend_from_slice(own),
                Segment::Shared(shared) => bytes.extend_from_slice(shared),
                Segment::File(_) => {}
            }
        }
        outbox.sent(unsent, memory);
        assert_eq!(outbox.unsent(), 0);
        bytes
    }

    #[test]
    fn what_is_queued_comes_out_in_order_whoever_it_is_of() {
        let outbox = outbox();
        outbox.answer(|out| out.extend_from_slice(b"one "));
        assert!(outbox.live(&Bytes::from_static(b"two ")));
        outbox.segments([Segment::Owned(b"three ".to_vec()), Segment::Owned(Vec::new())]);
        assert!(outbox.live(&Bytes::from(vec![b'x'; COPY_UP_TO + 1])));
        outbox.answer_messages(2, |out| out.extend_from_slice(b" four"));
        assert_eq!(outbox.poll(&Context::from_waker(Waker::noop())).answered, 2);
        let expected = [&b"one two three "[..], &vec![b'x'; COPY_UP_TO + 1], b" four"].concat();
        assert_eq!(drain(&outbox), expected);
        assert_eq!(counted(&outbox), 0);
    }

    #[test]
    fn live_messages_are_refused_when_there_is_no_room_and_answers_never() {
        let outbox = outbox();
        let half = Bytes::from(vec![0; LIVE_BYTES / 2]);
        assert!(outbox.live(&half) && outbox.live(&half));
        assert!(!outbox.live(&Bytes::from_static(b"x")));
        outbox.answer(|out| out.push(b'x'));
        assert_eq!((outbox.unsent(), counted(&outbox)), (LIVE_BYTES + 1, ROOM_BYTES));
        drain(&outbox);
        assert!(outbox.live(&half));
    }

    #[test]
    fn nothing_follows_the_last_frame() {
        let outbox = outbox();
        outbox.seal(b"bye");
        outbox.answer_messages(1, |out| out.extend_from_slice(b"late"));
        outbox.segments([Segment::Owned(b"late".to_vec())]);
        assert!(!outbox.live(&Bytes::from_static(b"late")));
        assert_eq!(drain(&outbox), b"bye");
        assert_eq!(outbox.poll(&Context::from_waker(Waker::noop())).answered, 1);
    }

    #[test]
    fn a_connection_that_ends_gives_back_what_was_counted_for_it() {
        let outbox = outbox();
        let run = outbox.budget.shared(vec![0; 5000]);
        assert!(outbox.live(&run));
        outbox.answer(|out| out.extend_from_slice(&[0; 300]));
        let media = crate::id::MediaId([0; 32]);
        let part = FilePart { media, head: Vec::new(), instead: Vec::new(), offset: 0, end: 1 << 20 };
        outbox.segments([Segment::File(Box::new(part))]);
        let memory = 5000 + ROOM_BYTES + size_of::<FilePart>();
        assert_eq!(counted(&outbox), memory, "what is in a file takes none");
        outbox.close();
        assert_eq!((outbox.unsent(), counted(&outbox)), (0, 5000), "it is somebody else's too");
        drop(run);
        assert_eq!(counted(&outbox), 0);
    }

    #[test]
    fn where_memory_is_short_who_has_something_unsent_waits_and_others_get_small_pages() {
        let budget = Arc::new(Budget::default());
        let (waiting, idle) =
            (Outbox::new(budget.clone(), Arc::default()), Outbox::new(budget.clone(), Arc::default()));
        waiting.answer(|out| out.push(0));
        [&waiting, &idle].into_iter().for_each(|outbox| outbox.add_behind(ChatId(1)));
        let mut held = Held::new(&budget);
        assert!(!waiting.is_full() && budget.page_bytes(1 << 20) == 1 << 20);
        held.set(BYTES_IN_ALL);
        assert!(waiting.is_full() && !idle.is_full());
        assert_eq!((waiting.next_behind(), idle.next_behind()), (None, Some(ChatId(1))));
        assert_eq!(budget.page_bytes(1 << 20), SMALL_PAGE_BYTES);
        let message = Bytes::from_static(b"x");
        assert_eq!((waiting.live(&message), idle.live(&message)), (false, true));
        drop(held);
        assert!(!waiting.is_full());
    }

    #[test]
    fn a_task_is_woken_once_for_all_that_came_since_it_looked() {
        let (outbox, count) = (outbox(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let _ = outbox.poll(&Context::from_waker(&waker));
        outbox.notify(Notice::Answered);
        outbox.answer(|out| out.push(0));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let _ = outbox.poll(&Context::from_waker(&waker));
        outbox.answer(|out| out.push(0));
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_answer_that_has_only_begun_wakes_nobody_until_it_is_to() {
        let (outbox, count) = (outbox(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let _ = outbox.poll(&Context::from_waker(&waker));
        outbox.begin_answer([Notice::Answered], |out| out.push(1));
        outbox.begin_answer([], |out| out.push(2));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        outbox.wake();
        outbox.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(outbox.poll(&Context::from_waker(&waker)).notices.len(), 1);
        assert_eq!(drain(&outbox), [1, 2]);
    }
}
