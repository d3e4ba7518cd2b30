//! How long to wait before the next try: twice as long after each, and not when all others do.

use crate::steady::Pace;
use std::time::Duration;

/// Counts rounds in which no address gave a lasting connection.
#[derive(Debug)]
pub(crate) struct Backoff {
    pace: Pace,
    rounds: u32,
}

impl Backoff {
    pub(crate) fn new(pace: Pace) -> Self {
        Backoff { pace, rounds: 0 }
    }

    /// The next pause: between half of it and all of it, as chance has it, so that clients that lost their
    /// server together do not come back together.
    pub(crate) fn pause(&mut self, random: u64) -> Duration {
        let doubled = self.pace.first.saturating_mul(1_u32.checked_shl(self.rounds).unwrap_or(u32::MAX));
        self.rounds = (self.rounds + 1).min(u32::BITS);
        let whole = doubled.min(self.pace.most);
        whole / 2 + share(whole / 2, random)
    }

    /// A connection has lasted.
    pub(crate) fn reset(&mut self) {
        self.rounds = 0;
    }
}

/// A share of a time, as chance has it.
pub(crate) fn share(of: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(of.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random % nanos.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BACKOFF_FIRST, BACKOFF_MOST};

    #[test]
    fn pauses_double_to_a_bound_and_chance_moves_them_by_half() {
        let new = || Backoff::new(Pace::default());
        let mut backoff = new();
        let shortest: Vec<_> = (0..40).map(|_| backoff.pause(0)).collect();
        assert_eq!(shortest[..3], [BACKOFF_FIRST / 2, BACKOFF_FIRST, BACKOFF_FIRST * 2]);
        assert_eq!(shortest[39], BACKOFF_MOST / 2);
        for random in [0, 1, 77_777_777_777, u64::MAX] {
            backoff.reset();
            let pause = backoff.pause(random);
            assert!(pause >= BACKOFF_FIRST / 2 && pause <= BACKOFF_FIRST, "{pause:?}");
        }
        assert_ne!(new().pause(1_000), new().pause(2_000));
    }
}
