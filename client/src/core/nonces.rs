//! Nonces: a message's name among its sender's, never used twice by any device of a user.
//!
//! ```text
//!  63                                  22 21                 0
//! ┌──────────────────────────────────────┬────────────────────┐
//! │ milliseconds since the Unix epoch    │ counts up          │
//! └──────────────────────────────────────┴────────────────────┘
//! ```

const COUNTER_BITS: u32 = 22;
const COUNTER_MASK: u64 = (1 << COUNTER_BITS) - 1;

/// Makes nonces. The counter begins at random when the client starts, so that devices need no agreement.
#[derive(Debug)]
pub(crate) struct Nonces {
    counter: u64,
}

impl Nonces {
    pub(crate) fn new(random: u32) -> Self {
        Nonces { counter: u64::from(random) & COUNTER_MASK }
    }

    /// The next one, never 0.
    pub(crate) fn next(&mut self, unix_ms: u64) -> u64 {
        self.counter = (self.counter + 1) & COUNTER_MASK;
        (unix_ms << COUNTER_BITS | self.counter).max(1)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::cast_possible_truncation, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn nonces_of_one_millisecond_differ_and_later_ones_sort_behind() {
        let mut nonces = Nonces::new(u32::MAX);
        let (a, b) = (nonces.next(1_000), nonces.next(1_000));
        assert_ne!(a, b);
        assert_eq!((a >> 22, b >> 22), (1_000, 1_000));
        assert!(nonces.next(1_001) > a.max(b));
        assert_ne!(Nonces::new(COUNTER_MASK as u32).next(0), 0);
    }
}
