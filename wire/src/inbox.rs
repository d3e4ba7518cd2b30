//! The frames that have come and were not asked for yet: between the thread that reads a connection and the script.

use crate::seen::Seen;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many frames are kept; of more, the oldest are forgotten.
const MAX_FRAMES: usize = 10_000;
/// So many bytes of payload are kept.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Seen>,
    bytes: u64,
    has_ended: bool,
}

/// What there is to take.
#[derive(Debug)]
pub(crate) enum Taken {
    Frame(Box<Seen>),
    /// Nothing more will come.
    End,
    /// Nothing came in time.
    Nothing,
}

impl Inbox {
    pub(crate) fn put(&self, seen: Seen) {
        let mut state = self.lock();
        state.bytes += u64::from(seen.size);
        state.frames.push_back(seen);
        while state.frames.len() > MAX_FRAMES || state.bytes > MAX_BYTES && state.frames.len() > 1 {
            state.forget_first();
        }
        self.changed.notify_all();
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
    }

    /// The oldest frame, waited for until `deadline`.
    pub(crate) fn take(&self, deadline: Instant) -> Taken {
        let mut state = self.lock();
        loop {
            if let Some(seen) = state.forget_first() {
                return Taken::Frame(Box::new(seen));
            }
            if state.has_ended {
                return Taken::End;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            state = self.wait(state, left);
        }
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_first(&mut self) -> Option<Seen> {
        let seen = self.frames.pop_front()?;
        self.bytes -= u64::from(seen.size);
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, MAX_FRAMES, Taken};
    use crate::seen::Seen;
    use std::time::Instant;

    fn frame(at: u64) -> Seen {
        let (fields, left_out) = (Vec::new(), Vec::new());
        Seen { at, kind: Some(0), size: 1, fields, left_out, body: None, trouble: None }
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_from_the_oldest_on() {
        let inbox = Inbox::default();
        (0..=MAX_FRAMES as u64).for_each(|at| inbox.put(frame(at)));
        assert!(matches!(inbox.take(Instant::now()), Taken::Frame(seen) if seen.at == 1));
    }

    #[test]
    fn what_came_before_the_end_is_still_there() {
        let inbox = Inbox::default();
        assert!(matches!(inbox.take(Instant::now()), Taken::Nothing));
        inbox.put(frame(0));
        inbox.end();
        assert!(matches!(inbox.take(Instant::now()), Taken::Frame(_)));
        assert!(matches!(inbox.take(Instant::now()), Taken::End));
    }
}
