//! Hours, zones, guests, bans, failed logins, rates, places, clocks that leap: pure rules, asked with the time as an argument.

pub mod bans;
pub mod failures;
mod hours;
pub mod leap;
pub mod newcomers;
pub mod places;
pub mod rate;
pub mod source;
mod zones;

pub use hours::{Hours, HoursError};
pub use zones::{Zones, ZonesError};

use crate::error::Refusal;
use crate::id::Micros;
use chatwire_codec::Code;
use chrono_tz::Tz;

/// `policy.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `policy.guests`: whether guests are admitted.
    pub guests: bool,
    /// `policy.registration`: whether a client may make an account.
    pub registration: bool,
    /// `policy.plaintext_secrets`: whether passwords and tokens are taken over an open network in the clear.
    pub plaintext_secrets: bool,
    /// `policy.timezones`: the zones that are admitted.
    pub zones: Zones,
    /// `policy.hours`: when messages are taken, in the client's local time.
    pub hours: Hours,
}

impl Default for Policy {
    /// Everybody, at all hours; secrets never in the clear.
    fn default() -> Self {
        Policy {
            guests: true,
            registration: true,
            plaintext_secrets: false,
            zones: Zones::default(),
            hours: Hours::default(),
        }
    }
}

impl Policy {
    /// The zone of that name, if it exists and is admitted. Names are taken as IANA spells them, links
    /// (such as `Asia/Calcutta`) included.
    ///
    /// # Errors
    /// `bad_timezone`.
    pub fn admit_zone(&self, name: &str) -> Result<Tz, Refusal> {
        let Ok(zone) = name.parse::<Tz>() else {
            let text = "unknown time zone: send an IANA name such as Europe/Berlin, spelled exactly";
            return Err(Refusal::new(Code::BadTimezone, text));
        };
        if !self.zones.admit(name) {
            let text = format!("this server does not admit clients of the time zone {}", zone.name());
            return Err(Refusal::new(Code::BadTimezone, text));
        }
        Ok(zone)
    }

    /// Whether messages are taken at this time of the client's day.
    ///
    /// # Errors
    /// `outside_hours`, with `retry_ms` until the next opening.
    pub fn admit_hour(&self, zone: Tz, now: Micros) -> Result<(), Refusal> {
        let Some(wait_ms) = self.hours.closed_for(zone, now) else { return Ok(()) };
        let text = format!("messages are taken from {} by the clocks of {}", self.hours, zone.name());
        Err(Refusal { retry_ms: wait_ms, ..Refusal::new(Code::OutsideHours, text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(zones: &str, hours: &str) -> Policy {
        Policy { zones: zones.parse().unwrap(), hours: hours.parse().unwrap(), ..Policy::default() }
    }

    #[test]
    fn zones_are_taken_as_they_are_spelled() {
        let open = Policy::default();
        for name in ["Asia/Kolkata", "Asia/Calcutta", "Etc/UTC", "UTC", "America/Argentina/Buenos_Aires"] {
            assert_eq!(open.admit_zone(name).unwrap().name(), name);
        }
        for name in ["", "asia/kolkata", "Asia/Kolkata ", "Mars/Olympus", "+05:30", "*", "Asia/*"] {
            let refusal = open.admit_zone(name).unwrap_err();
            assert_eq!(refusal.code, Code::BadTimezone, "{name:?}");
            assert!(refusal.text.contains("unknown"), "{refusal}");
        }
    }

    #[test]
    fn a_zone_that_no_pattern_admits_is_told_so() {
        let refusal = policy("Asia/*", "00:00-24:00").admit_zone("Europe/Berlin").unwrap_err();
        assert_eq!(refusal.code, Code::BadTimezone);
        assert!(refusal.text.contains("does not admit"), "{refusal}");
    }

    #[test]
    fn outside_the_hours_the_client_learns_when_to_come_back() {
        let policy = policy("*", "09:00-17:00");
        let zone = policy.admit_zone("Asia/Kolkata").unwrap();
        // 03:29 UTC is 08:59 in Kolkata.
        let before = (3 * 60 + 29) * 60_000_000;
        let refusal = policy.admit_hour(zone, before).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_ms), (Code::OutsideHours, 60_000));
        assert!(refusal.text.contains("09:00-17:00") && refusal.text.contains("Asia/Kolkata"), "{refusal}");
        assert_eq!(policy.admit_hour(zone, before + 60_000_000), Ok(()));
    }
}
