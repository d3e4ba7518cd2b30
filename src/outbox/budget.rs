//! Memory that all connections share, and how much of it one may have.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all connections may have together in memory: live messages, answers, pages, chunks, bodies, frames that
/// have not come whole.
pub const BYTES_IN_ALL: usize = 32 * 1024 * 1024;
/// A connection may have one in so many of the bytes that are left.
const SHARES: usize = 8;
/// What a page may hold however short memory is, in bytes of text.
pub const SMALL_PAGE_BYTES: usize = 4 * 1024;

/// What all connections together have in memory, and how much of it one may have.
///
/// That is a part of what is left, so the more there are who want much, the less each of them gets, and there is always
/// something left for who wants little. What is queued for many is counted once.
#[derive(Debug, Default)]
pub struct Budget {
    used: AtomicUsize,
}

impl Budget {
    /// Bytes that one connection may have now.
    #[must_use]
    pub fn share(&self) -> usize {
        BYTES_IN_ALL.saturating_sub(self.used.load(Ordering::Relaxed)) / SHARES
    }

    /// Bytes of text that a page may hold now: `wanted`, or fewer where memory is short. Who has nothing unsent gets a
    /// page always, so then it is small.
    #[must_use]
    pub fn page_bytes(&self, wanted: usize) -> usize {
        self.share().clamp(SMALL_PAGE_BYTES, wanted)
    }

    /// Bytes in all, now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes for many connections, in the budget until the last of them has sent them.
    #[must_use]
    pub fn shared(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        struct Counted {
            bytes: Vec<u8>,
            _held: Held,
        }
        impl AsRef<[u8]> for Counted {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        let mut held = Held::new(self);
        held.set(bytes.capacity());
        Bytes::from_owner(Counted { bytes, _held: held })
    }
}

/// Memory that is not in an outbox, in the budget for as long as this lives.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// None yet.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Held { budget: budget.clone(), bytes: 0 }
    }

    /// It is so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        self.budget.add(bytes);
        self.budget.remove(self.bytes);
        self.bytes = bytes;
    }

    /// How many bytes it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is no more than one connection may have.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes <= self.budget.share()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Outbox, Queue};

    #[test]
    fn what_many_get_is_counted_once_until_the_last_has_sent_it() {
        let budget = Arc::new(Budget::default());
        let outboxes =
            [Outbox::new(budget.clone(), Arc::default()), Outbox::new(budget.clone(), Arc::default())];
        let run = budget.shared(vec![0; 5000]);
        for outbox in &outboxes {
            assert!(outbox.live(&run.slice(1000..)));
        }
        drop(run);
        for outbox in &outboxes {
            assert_eq!(budget.used(), 5000);
            let _ = outbox.take_into(&mut Queue::default());
            outbox.sent(4000, 0);
        }
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn those_who_take_all_they_can_get_leave_enough_for_who_wants_little() {
        let budget = Arc::new(Budget::default());
        let greedy: Vec<Outbox> = (0..10_000).map(|_| Outbox::new(budget.clone(), Arc::default())).collect();
        let mut rounds = 0;
        while greedy.iter().filter(|outbox| !outbox.is_full()).fold(false, |_, outbox| {
            outbox.answer(|out| out.extend_from_slice(&[0; 100]));
            true
        }) {
            rounds += 1;
            assert!(rounds < 1000, "they never have enough");
        }
        let used = budget.used();
        assert!(used <= BYTES_IN_ALL && budget.share() > 0, "{used}");
        let modest = Outbox::new(budget.clone(), Arc::default());
        assert!(!modest.is_full() && modest.live(&Bytes::from_static(b"hello")));
    }
}
