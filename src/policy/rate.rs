//! How often something may happen: some at once, and then one each while. Arithmetic on one instant, which says up
//! to when what may happen is used up; and such instants for many addresses.

use super::source::Source;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Addresses that are remembered, for each kind of thing: about a MiB. Whoever comes from more of them than this
/// is not slowed.
const ADDRESSES: usize = 16_384;

/// So many at once, and then one in each `pace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    burst: u32,
    pace: Duration,
}

impl Rate {
    /// `burst` at once, which is at least 1, and then one in each `pace`.
    #[must_use]
    pub const fn new(burst: u32, pace: Duration) -> Self {
        Rate { burst, pace }
    }

    /// `count` in each `span`, all of them at once if need be; none where `count` is 0, which means no limit.
    #[must_use]
    pub fn within(count: usize, span: Duration) -> Option<Self> {
        let burst = u32::try_from(count).unwrap_or(u32::MAX);
        Some(Rate { burst, pace: span.checked_div(burst)? })
    }

    /// Another one, now: up to when what may happen is used up then. `until`: up to when it was before.
    ///
    /// # Errors
    /// How long it is too early.
    pub fn take(&self, until: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let until = self.charge(until, now, 1);
        match self.excess(until, now) {
            Some(early) => Err(early),
            None => Ok(until),
        }
    }

    /// `cost` at once, whether they may or not; but more than a burst counts as one.
    #[must_use]
    pub fn charge(&self, until: Option<Instant>, now: Instant, cost: u32) -> Instant {
        until.map_or(now, |until| until.max(now)) + self.pace * cost.min(self.burst)
    }

    /// How long it takes until no more is used up than may be.
    #[must_use]
    pub fn excess(&self, until: Instant, now: Instant) -> Option<Duration> {
        let used = until.saturating_duration_since(now);
        used.checked_sub(self.pace * self.burst).filter(|early| !early.is_zero())
    }
}

/// How much each address has used up.
#[derive(Debug, Default)]
pub struct Used {
    until: HashMap<Source, Instant>,
}

impl Used {
    /// Another one from there.
    ///
    /// # Errors
    /// How long it is too early.
    pub fn take(&mut self, rate: Rate, from: Source, now: Instant) -> Result<(), Duration> {
        let until = rate.take(self.until.get(&from).copied(), now)?;
        if self.until.len() >= ADDRESSES && !self.until.contains_key(&from) {
            self.make_room(now);
        }
        self.until.insert(from, until);
        Ok(())
    }

    /// Forgets who has all of it again, or else who will have it first.
    fn make_room(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() < ADDRESSES {
            return;
        }
        let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(from, _)| *from);
        if let Some(first) = first {
            self.until.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    const SECOND: Duration = Duration::from_secs(1);

    fn from(number: u32) -> Source {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn a_burst_may_come_at_once_and_then_one_in_each_while() {
        let rate = Rate::within(4, SECOND).unwrap();
        let now = Instant::now();
        let mut until = None;
        for _ in 0..4 {
            until = Some(rate.take(until, now).unwrap());
        }
        assert_eq!(rate.take(until, now), Err(SECOND / 4));
        assert_eq!(rate.take(until, now + SECOND / 8), Err(SECOND / 8));
        until = Some(rate.take(until, now + SECOND / 4).unwrap());
        assert!(rate.take(until, now + SECOND / 4).is_err());
        // A long rest gives no more than the burst.
        let later = now + 100 * SECOND;
        for _ in 0..4 {
            until = Some(rate.take(until, later).unwrap());
        }
        assert!(rate.take(until, later).is_err());
    }

    #[test]
    fn what_is_refused_uses_nothing_up_and_what_is_charged_does() {
        let rate = Rate::new(2, SECOND);
        let now = Instant::now();
        let until = rate.charge(Some(rate.charge(None, now, 1)), now, 5);
        assert_eq!(rate.excess(until, now), Some(SECOND));
        assert_eq!(rate.take(Some(until), now), Err(2 * SECOND));
        assert_eq!(rate.excess(until, now + SECOND), None);
    }

    #[test]
    fn no_limit_is_no_rate() {
        assert_eq!(Rate::within(0, SECOND), None);
    }

    #[test]
    fn each_address_has_its_own_and_only_so_many_are_remembered() {
        let rate = Rate::new(1, SECOND);
        let (mut used, now) = (Used::default(), Instant::now());
        used.take(rate, from(0), now + SECOND).unwrap();
        for number in 1..=u32::try_from(ADDRESSES).unwrap() + 100 {
            assert_eq!(used.take(rate, from(number), now), Ok(()));
        }
        assert_eq!(used.until.len(), ADDRESSES);
        assert!(used.take(rate, from(0), now + SECOND).is_err(), "who has used the most is remembered");
        used.take(rate, from(1), now + 10 * SECOND).unwrap();
        assert!(used.until.len() <= ADDRESSES);
    }
}
