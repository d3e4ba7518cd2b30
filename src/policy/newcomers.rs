//! How many new users an address may bring: guests, and accounts.

use super::rate::{Rate, Used};
use super::source::Exempt;
use crate::error::Refusal;
use chatwire_codec::Code;
use core::net::IpAddr;
use std::time::{Duration, Instant};

/// The spans of `limits.guests_per_minute` and `limits.registrations_per_hour`.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Who is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomer {
    /// A guest that has not been here before.
    Guest,
    /// Somebody who makes an account.
    Registration,
}

/// How many may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `limits.guests_per_minute`; 0: no limit.
    pub guests_per_minute: usize,
    /// `limits.registrations_per_hour`; 0: no limit.
    pub registrations_per_hour: usize,
    /// `limits.exempt_addresses`.
    pub exempt: Exempt,
}

/// Who has come. See the module.
#[derive(Debug, Default)]
pub struct Newcomers {
    bounds: Bounds,
    guests: Used,
    registrations: Used,
}

impl Newcomers {
    /// Other bounds from now on.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Counts one more from there.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn admit(&mut self, who: Newcomer, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let Bounds { guests_per_minute, registrations_per_hour, exempt } = &self.bounds;
        let (used, count, span, text) = match who {
            Newcomer::Guest => (
                &mut self.guests,
                *guests_per_minute,
                MINUTE,
                "too many new guests come from this address; come back as one that you were, or later",
            ),
            Newcomer::Registration => (
                &mut self.registrations,
                *registrations_per_hour,
                HOUR,
                "too many accounts are made from this address; try again later",
            ),
        };
        let (Some(rate), Some(source)) = (Rate::within(count, span), exempt.source(address)) else {
            return Ok(());
        };
        used.take(rate, source, now).map_err(|early| Refusal::too_early(Code::RateLimited, text, early))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_and_accounts_are_counted_apart_by_address_and_as_is_set() {
        let mut newcomers = Newcomers::default();
        let (now, home) = (Instant::now(), "192.0.2.7".parse().unwrap());
        assert_eq!(newcomers.admit(Newcomer::Guest, home, now), Ok(()), "0: no limit");
        let exempt = "198.51.100.0/24".parse().unwrap();
        newcomers.set_bounds(Bounds { guests_per_minute: 2, registrations_per_hour: 1, exempt });
        for _ in 0..2 {
            assert_eq!(newcomers.admit(Newcomer::Guest, home, now), Ok(()));
        }
        let refusal = newcomers.admit(Newcomer::Guest, home, now).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_ms), (Code::RateLimited, 30_001));
        assert_eq!(newcomers.admit(Newcomer::Registration, home, now), Ok(()));
        let refusal = newcomers.admit(Newcomer::Registration, home, now).unwrap_err();
        assert_eq!(refusal.retry_ms, 3_600_001);
        assert_eq!(newcomers.admit(Newcomer::Guest, home, now + MINUTE / 2), Ok(()));
        for address in ["192.0.2.8", "198.51.100.9", "198.51.100.9", "198.51.100.9"] {
            assert_eq!(newcomers.admit(Newcomer::Guest, address.parse().unwrap(), now), Ok(()));
        }
    }
}
