//! Nonces in the order of time: milliseconds in the upper 42 bits, a counter in the lower 22.

use crate::Result;
use std::time::{SystemTime, UNIX_EPOCH};

const COUNTER_BITS: u32 = 22;
/// After so many nonces the clock is asked again.
const PER_LOOK: u64 = 64;

/// Makes nonces that no other maker makes for the same user.
#[derive(Debug)]
pub(crate) struct Nonces {
    millis: u64,
    counter: u64,
    left: u64,
}

impl Nonces {
    pub(crate) fn new() -> Result<Nonces> {
        Ok(Nonces { millis: millis(), counter: getrandom::u64()?, left: PER_LOOK })
    }

    pub(crate) fn next(&mut self) -> u64 {
        if self.left == 0 {
            self.millis = millis().max(self.millis);
            self.left = PER_LOOK;
        }
        self.left -= 1;
        self.counter = self.counter.wrapping_add(1);
        self.millis << COUNTER_BITS | self.counter & ((1 << COUNTER_BITS) - 1)
    }
}

fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nonces_do_not_repeat_and_are_not_zero() {
        let mut nonces = Nonces::new().unwrap();
        let made: HashSet<u64> = (0..100_000).map(|_| nonces.next()).collect();
        assert_eq!(made.len(), 100_000);
        assert!(!made.contains(&0));
    }

    #[test]
    fn the_upper_bits_are_the_time() {
        let before = millis();
        let nonce = Nonces::new().unwrap().next();
        assert!((before..=millis()).contains(&(nonce >> COUNTER_BITS)));
    }
}
