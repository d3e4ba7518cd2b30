//! Where ops wait, and who carries them out: the writing thread, or, where that is quicker, whoever brought them.
//!
//! Waking a thread takes as long as half a commit. So a connection that has brought one message, and knows that
//! nothing follows, carries it out itself, if nobody is writing and the last commits were small and quick. With
//! more to do, or a slow disk, the writing thread does it, and those who bring something go on meanwhile. It also
//! is who waits where another program has the database: a task that stood still would keep a thread of the runtime,
//! and perhaps the one that looks for what clients send.
//!
//! Ops are taken from the inbox by whoever has the seat, and by nobody else, so their order is that of the inbox.
//!
//! But logins and departures stand in a queue of their own while messages come. Each changes more pages than a message
//! does, so a crowd that comes and goes would keep the seat most of the time. They go together then, now and then, and
//! most messages find the seat free. Nothing depends on their place: a connection brings nothing before its login has been
//! answered, and a departure that a login has overtaken is none.

use super::writer::{Batch, Writer};
use crate::clock;
use crate::id::Micros;
use crate::store::{Consumer, Op};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// With more ops than this in one go they come faster than they should be carried out one by one.
const FEW: usize = 4;
/// A connection's task may stand still for about so long.
const QUICK: Micros = 1_000;
/// While messages come, logins and departures are carried out once in so long.
const GATHERS: Duration = Duration::from_millis(10);
/// Messages come for so long after the last one.
const LATELY: Duration = Duration::from_millis(20);

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
    /// Those that are gathered.
    gathered: Vec<Op>,
    /// When the last of those were taken, or one came that needed not wait.
    gathered_at: Option<Instant>,
    /// When the last messages were taken.
    messages_at: Option<Instant>,
    is_closed: bool,
}

impl Inbox {
    /// Adds an op. If `is_last` does not say that [`Desk::carry_out`] comes at once, tells the writing thread.
    fn push(&self, op: Op, is_last: bool) {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            if op.comes_again() {
                log::debug!("store: what is done now and then is done after the next start");
            } else {
                log::error!("store: a change came after the close and is lost");
            }
            return;
        }
        if op.can_wait() && waiting.gathers(clock::instant()) {
            waiting.gathered.push(op);
            if waiting.gathered.len() == 1 {
                // The writing thread is to look when it is time.
                self.arrived.notify_one();
            }
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

    /// Waits until there are ops, and for those that are gathered until it is time. False: there are none, and never
    /// will be.
    fn wait(&self) -> bool {
        let mut waiting = self.waiting();
        while !waiting.is_announced && !waiting.is_closed {
            waiting = match waiting.gathers_for(clock::instant()) {
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return true,
                Some(left) => {
                    self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        !waiting.is_empty() || !waiting.is_closed
    }

    /// Swaps what waits for the empty `ops`, but for what is gathered.
    fn take(&self, ops: &mut Vec<Op>) {
        self.waiting().take(ops);
    }

    /// The same, and what is gathered for the empty `gathered`, if it is time or nothing else waits. Both in one step: what
    /// a connection has brought before its departure is taken before it.
    fn take_all(&self, ops: &mut Vec<Op>, gathered: &mut Vec<Op>) {
        let mut waiting = self.waiting();
        waiting.take(ops);
        if waiting.gathered.is_empty() {
            return;
        }
        let now = clock::instant();
        if ops.is_empty() || waiting.gathers_for(now) == Some(Duration::ZERO) {
            waiting.gathered_at = Some(now);
            std::mem::swap(&mut waiting.gathered, gathered);
        }
    }

    /// Whether nothing is to be carried out now.
    fn is_idle(&self) -> bool {
        let waiting = self.waiting();
        waiting.ops.is_empty() && waiting.gathers_for(clock::instant()) != Some(Duration::ZERO)
    }

    /// A list of ops is whole whoever panicked while holding it.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self, ops: &mut Vec<Op>) {
        self.is_announced = false;
        std::mem::swap(&mut self.ops, ops);
        if ops.iter().any(|op| matches!(op, Op::Append(_))) {
            self.messages_at = Some(clock::instant());
        }
    }

    fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.gathered.is_empty()
    }

    /// Whether an op that can wait has to.
    fn gathers(&mut self, now: Instant) -> bool {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let gathers = since(self.messages_at).is_some_and(|since| since <= LATELY)
            && since(self.gathered_at).is_some_and(|since| since < GATHERS);
        if !gathers && self.gathered.is_empty() {
            self.gathered_at = Some(now);
        }
        gathers || !self.gathered.is_empty()
    }

    /// How long is left for those that are gathered, if there are any.
    fn gathers_for(&self, now: Instant) -> Option<Duration> {
        let at = self.gathered_at.filter(|_| !self.gathered.is_empty())?;
        Some(GATHERS.saturating_sub(now.saturating_duration_since(at)))
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
    /// What was gathered: it comes behind those.
    gathered: Vec<Op>,
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
            self.inbox.take(&mut seat.ops);
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
        *self.sit() =
            Some(Seat { writer, batch: Batch::new(consumer), ops: Vec::new(), gathered: Vec::new() });
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
        let _lost = {
            let mut waiting = self.inbox.waiting();
            (std::mem::take(&mut waiting.ops), std::mem::take(&mut waiting.gathered))
        };
        let seat = self.sit().take();
        if let Some(seat) = seat {
            seat.writer.check_in();
        }
    }

    /// Carries out what waits, and then what can be done while nothing does.
    pub(super) fn turn(&self) {
        if let Some(seat) = self.sit().as_mut() {
            self.inbox.take_all(&mut seat.ops, &mut seat.gathered);
            self.work(seat);
            std::mem::swap(&mut seat.ops, &mut seat.gathered);
            seat.carry_out();
            while seat.writer.index(self.inbox.is_idle()) {}
        }
    }

    /// Whether the writing thread would have been told of something.
    pub(super) fn is_due(&self) -> bool {
        let waiting = self.inbox.waiting();
        waiting.is_announced || !waiting.gathered.is_empty()
    }

    /// Whether the last ops were few, and quickly done.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.inbox.close();
    }

    /// Carries out what was taken, but for what was gathered.
    fn work(&self, seat: &mut Seat) {
        let (count, began) = (seat.ops.len(), seat.writer.now());
        seat.carry_out();
        let took = seat.writer.now() - began;
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

impl Seat {
    fn carry_out(&mut self) {
        let _guard = AbortOnPanic;
        self.writer.carry_out_all(self.ops.drain(..), &mut self.batch);
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
    use crate::error::Refusal;
    use crate::id::UserId;
    use crate::store::{Append, Target};
    use tokio::time::advance;

    fn op() -> Op {
        Op::Departed { user: UserId(2) }
    }

    fn message() -> Op {
        Op::Append(Append {
            conn: None,
            user: UserId(2),
            user_name: "".into(),
            nonce: 0,
            target: Target::Current(None),
            reply_to: 0,
            name: "".into(),
            about: 0,
            permit: 0,
            hold: None,
            content: Err(Refusal::internal()),
            refused: None,
        })
    }

    /// How many wait, and how many of them are gathered.
    fn waiting(desk: &Desk) -> (usize, usize) {
        let waiting = desk.inbox.waiting();
        (waiting.ops.len() + waiting.gathered.len(), waiting.gathered.len())
    }

    fn take(desk: &Desk) -> usize {
        let mut ops = Vec::new();
        desk.inbox.take(&mut ops);
        ops.len()
    }

    /// How many of both.
    fn take_all(desk: &Desk) -> (usize, usize) {
        let (mut ops, mut gathered) = (Vec::new(), Vec::new());
        desk.inbox.take_all(&mut ops, &mut gathered);
        (ops.len(), gathered.len())
    }

    #[tokio::test(start_paused = true)]
    async fn departures_wait_for_each_other_only_while_messages_come_and_one_has_just_been() {
        let desk = Desk::new();
        desk.submit(op());
        desk.submit(op());
        assert_eq!((waiting(&desk), take(&desk)), ((2, 0), 2), "no message has come");
        desk.submit(message());
        assert_eq!(take(&desk), 1);
        desk.submit(op());
        assert_eq!((waiting(&desk), take(&desk)), ((1, 1), 0));
        // Its turn comes when nothing else is to do, and ends what the first has begun.
        assert_eq!(take_all(&desk), (0, 1));
        advance(GATHERS).await;
        desk.submit(op());
        assert_eq!((waiting(&desk), take(&desk)), ((1, 0), 1), "none has just been");
        desk.submit(op());
        assert_eq!(waiting(&desk), (1, 1));
        assert_eq!(take_all(&desk), (0, 1));
        advance(LATELY).await;
        desk.submit(op());
        desk.submit(op());
        assert_eq!(waiting(&desk), (2, 0), "no message has come lately");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gathered_goes_when_it_is_time_and_in_its_order() {
        let desk = Desk::new();
        desk.submit(message());
        assert_eq!(take(&desk), 1);
        desk.submit(op());
        desk.submit(op());
        desk.submit(message());
        assert_eq!(
            (waiting(&desk), take_all(&desk)),
            ((3, 1), (2, 0)),
            "it is not time, and there is other work"
        );
        assert!(desk.inbox.is_idle());
        advance(GATHERS + LATELY).await;
        // One that comes now would not have to wait, but the other came first.
        desk.submit(op());
        assert_eq!(waiting(&desk), (2, 2));
        assert!(desk.inbox.wait() && desk.is_due() && !desk.inbox.is_idle());
        desk.bring(message());
        assert_eq!(take_all(&desk), (1, 2));
        assert!(!desk.is_due() && desk.inbox.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gathered_is_not_lost_with_the_close_but_with_the_leaving() {
        let desk = Desk::new();
        desk.submit(message());
        assert_eq!(take(&desk), 1);
        (0..3).for_each(|_| desk.submit(op()));
        assert_eq!(take(&desk), 1);
        desk.close();
        assert!(desk.inbox.wait());
        assert_eq!(take_all(&desk), (0, 2));
        assert!(!desk.inbox.wait());
        let desk = Desk::new();
        desk.submit(message());
        assert_eq!(take(&desk), 1);
        (0..3).for_each(|_| desk.submit(op()));
        desk.leave();
        assert_eq!(waiting(&desk), (0, 0));
    }

    #[test]
    fn the_writing_thread_is_told_of_what_is_not_carried_out_here() {
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
