//! Where ops wait, and who carries them out: the writing thread, or, where that is quicker, whoever brought them.
//!
//! Waking a thread takes as long as half a commit. So a connection that has brought one message, and knows that
//! nothing follows, carries it out itself, if nobody is writing and the last commits were small and quick. With
//! more to do, or a slow disk, the writing thread does it, and those who bring something go on meanwhile. It also
//! is who waits where another program has the database: a task that stood still would keep a thread of the runtime,
//! and perhaps the one that looks for what clients send.
//!
//! Ops are taken from the inbox by whoever has the seat, and by nobody else, so their order is that of the inbox.

use super::writer::{Batch, Writer};
use crate::id::Micros;
use crate::store::{Consumer, Op};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

/// With more ops than this in one go they come faster than they should be carried out one by one.
const FEW: usize = 4;
/// A connection's task may stand still for about so long.
const QUICK: Micros = 1_000;

/// Where ops wait. Holds as many as its users submit: they bound what is in flight.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    ops: Vec<Op>,
    /// The writing thread has been told of them.
    is_announced: bool,
    is_closed: bool,
}

impl Inbox {
    /// Adds an op. If `is_last` does not say that [`Desk::carry_out`] comes at once, tells the writing thread.
    fn push(&self, op: Op, is_last: bool) {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            log::error!("store: a change came after the close and is lost");
            return;
        }
        waiting.ops.push(op);
        if !is_last || waiting.ops.len() > 1 {
            self.announce(&mut waiting);
        }
    }

    fn announce(&self, waiting: &mut Waiting) {
        if !std::mem::replace(&mut waiting.is_announced, true) {
            self.arrived.notify_one();
        }
    }

    fn close(&self) {
        self.waiting().is_closed = true;
        self.arrived.notify_one();
    }

    /// Waits until there are ops. False: there are none, and never will be.
    fn wait(&self) -> bool {
        let mut waiting = self.waiting();
        while !waiting.is_announced && !waiting.is_closed {
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        !waiting.ops.is_empty() || !waiting.is_closed
    }

    /// Swaps what waits for the empty `ops`.
    fn take(&self, ops: &mut Vec<Op>) {
        let mut waiting = self.waiting();
        waiting.is_announced = false;
        std::mem::swap(&mut waiting.ops, ops);
    }

    fn is_empty(&self) -> bool {
        self.waiting().ops.is_empty()
    }

    /// A list of ops is whole whoever panicked while holding it.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inbox and the seat beside it.
pub(super) struct Desk {
    inbox: Inbox,
    /// `None` before the start and after the end.
    seat: Mutex<Option<Seat>>,
    /// The last ops were few, and quickly done.
    is_calm: AtomicBool,
}

struct Seat {
    writer: Writer,
    batch: Batch,
    ops: Vec<Op>,
}

impl Desk {
    pub(super) fn new() -> Self {
        Desk { inbox: Inbox::default(), seat: Mutex::new(None), is_calm: AtomicBool::new(false) }
    }

    /// Adds an op, which the writing thread will carry out.
    pub(super) fn submit(&self, op: Op) {
        self.inbox.push(op, false);
    }

    /// Adds an op that [`Desk::carry_out`] will follow.
    pub(super) fn bring(&self, op: Op) {
        self.inbox.push(op, true);
    }

    /// Sees to what was brought: here, or by telling the writing thread.
    pub(super) fn carry_out(&self) {
        {
            let waiting = self.inbox.waiting();
            if waiting.is_announced || waiting.ops.is_empty() {
                return;
            }
        }
        if self.is_calm.load(Ordering::Relaxed)
            && let Some(mut seat) = self.try_sit()
            && let Some(seat) = seat.as_mut()
            && seat.writer.begin_at_once()
        {
            self.work(seat);
            // Another may have taken all there was before the seat was free.
            seat.writer.undo();
            if !seat.writer.has_to_index() {
                return;
            }
        }
        self.inbox.announce(&mut self.inbox.waiting());
    }

    /// Takes the seat for good.
    pub(super) fn open(&self, writer: Writer, consumer: Arc<dyn Consumer>) {
        *self.sit() = Some(Seat { writer, batch: Batch::new(consumer), ops: Vec::new() });
    }

    /// The writing thread: runs until the inbox is closed and empty.
    pub(super) fn run(&self) {
        let _guard = AbortOnPanic;
        while self.inbox.wait() {
            self.turn();
        }
        self.leave();
    }

    /// Gives the seat up, and the consumer with it, and what nobody will carry out now.
    pub(super) fn leave(&self) {
        // Whoever consumes may own the store, which must not be dropped under a lock; nor what ops hold.
        let _lost = std::mem::take(&mut self.inbox.waiting().ops);
        let seat = self.sit().take();
        if let Some(seat) = seat {
            seat.writer.check_in();
        }
    }

    /// Carries out what waits, and then what can be done while nothing does.
    pub(super) fn turn(&self) {
        if let Some(seat) = self.sit().as_mut() {
            self.work(seat);
            while seat.writer.index(self.inbox.is_empty()) {}
        }
    }

    /// Whether the writing thread would have been told of something.
    pub(super) fn is_due(&self) -> bool {
        self.inbox.waiting().is_announced
    }

    /// Whether the last ops were few, and quickly done.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.inbox.close();
    }

    fn work(&self, seat: &mut Seat) {
        let _guard = AbortOnPanic;
        let Seat { writer, batch, ops } = seat;
        self.inbox.take(ops);
        let (count, began) = (ops.len(), writer.now());
        writer.carry_out_all(ops.drain(..), batch);
        let took = writer.now() - began;
        self.is_calm.store(count <= FEW && took <= QUICK, Ordering::Relaxed);
    }

    fn sit(&self) -> MutexGuard<'_, Option<Seat>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seat, if it is free. It is not where the consumer itself brings something.
    fn try_sit(&self) -> Option<MutexGuard<'_, Option<Seat>>> {
        match self.seat.try_lock() {
            Ok(seat) => Some(seat),
            Err(TryLockError::Poisoned(seat)) => Some(seat.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A writer that panicked may have lost what it was asked, and nobody would be answered any more. Better to
/// end the process: what was confirmed is safe, and clients send the rest again.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            log::error!("the store panicked while writing; the server ends");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    #[test]
    fn the_writing_thread_is_told_of_what_is_not_carried_out_here() {
        let op = || Op::Departed { user: UserId(2) };
        let is_announced = |desk: &Desk| desk.inbox.waiting().is_announced;
        for is_calm in [false, true] {
            // Nobody has the seat yet, so nobody can take it here.
            let desk = Desk::new();
            desk.is_calm.store(is_calm, Ordering::Relaxed);
            desk.bring(op());
            assert!(!is_announced(&desk), "it is about to be seen to");
            desk.carry_out();
            assert!(is_announced(&desk));
        }
        let desk = Desk::new();
        desk.bring(op());
        desk.bring(op());
        assert!(is_announced(&desk), "two are enough for the thread");
    }
}
