//! How often a login may fail: from one address, in a span of time.
//!
//! Bounded: it knows a number of addresses, and forgets the one that has been quiet longest for a new one.

use super::source::Source;
use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Failures from one address in [`SPELL`] that are answered as such; whoever has made so many is told to wait.
pub const FAILURES: usize = 10;
/// How long a failure counts.
pub const SPELL: Duration = Duration::from_secs(10 * 60);
/// Addresses that are remembered: a few MiB. Whoever has more of them than this can guess as fast as passwords
/// are hashed.
const ADDRESSES: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub struct Failures {
    /// The times of the newest failures, the oldest first. Never empty, and never more than [`FAILURES`].
    of: HashMap<Source, VecDeque<Instant>>,
}

impl Failures {
    /// Whether a login from this address may be looked at.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(times) = self.of.get(&address.into()) else { return Ok(()) };
        match times.front() {
            Some(oldest) if times.len() >= FAILURES && *oldest + SPELL > now => {
                Err((*oldest + SPELL).duration_since(now))
            }
            _ => Ok(()),
        }
    }

    /// A login from this address has failed.
    pub fn note(&mut self, address: IpAddr, now: Instant) {
        let source = Source::from(address);
        if !self.of.contains_key(&source) && self.of.len() >= ADDRESSES {
            self.make_room(now);
        }
        let times = self.of.entry(source).or_default();
        if times.len() >= FAILURES {
            times.pop_front();
        }
        times.push_back(now);
    }

    /// Forgets what does not count any more, or else the address whose last failure is the longest ago.
    fn make_room(&mut self, now: Instant) {
        self.of.retain(|_, times| times.back().is_some_and(|newest| *newest + SPELL > now));
        if self.of.len() < ADDRESSES {
            return;
        }
        let quietest = self.of.iter().min_by_key(|(_, times)| times.back().copied());
        if let Some(quietest) = quietest.map(|(source, _)| *source) {
            self.of.remove(&quietest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.0.2.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn failing(from: &str, times: usize, now: Instant) -> Failures {
        let mut failures = Failures::default();
        (0..times).for_each(|_| failures.note(ip(from), now));
        failures
    }

    #[test]
    fn ten_failures_shut_an_address_out_for_ten_minutes_from_the_first() {
        let begin = Instant::now();
        let mut failures = failing(HOME, 9, begin);
        assert_eq!(failures.admit(ip(HOME), begin), Ok(()));
        failures.note(ip(HOME), begin + SPELL / 2);
        assert_eq!(failures.admit(ip(HOME), begin + SPELL / 2), Err(SPELL / 2));
        assert_eq!(failures.admit(ip("192.0.2.8"), begin), Ok(()));
        assert_eq!(failures.admit(ip(HOME), begin + SPELL), Ok(()));
        // The one in the middle still counts: nine more and it is over again.
        (0..9).for_each(|_| failures.note(ip(HOME), begin + SPELL));
        assert_eq!(failures.admit(ip(HOME), begin + SPELL), Err(SPELL / 2));
    }

    #[test]
    fn a_source_is_one_address() {
        let now = Instant::now();
        let failures = failing("2001:db8:1:2::1", FAILURES, now);
        assert!(failures.admit(ip("2001:db8:1:2:ffff::9"), now).is_err());
        assert!(failures.admit(ip("2001:db8:1:3::1"), now).is_ok());
    }

    #[test]
    fn however_many_addresses_fail_only_so_many_are_remembered() {
        let now = Instant::now();
        let mut failures = failing(HOME, FAILURES, now + Duration::from_secs(1));
        for address in (0..).map(core::net::Ipv4Addr::from_bits).take(ADDRESSES + 100) {
            failures.note(address.into(), now);
        }
        assert_eq!(failures.of.len(), ADDRESSES);
        assert!(failures.admit(ip(HOME), now).is_err(), "the quiet go first");
        failures.note(ip("198.51.100.1"), now + 2 * SPELL);
        assert_eq!(failures.of.len(), 1, "what does not count any more goes with them");
    }
}
