//! Hours, zones, guests: pure rules, asked with the time as an argument.

use crate::error::Refusal;
use crate::id::Micros;
use chrono_tz::Tz;

/// `policy.*`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `policy.guests`: whether guests are admitted.
    pub guests: bool,
}

impl Policy {
    /// The zone of that name, if it exists and is admitted.
    ///
    /// # Errors
    /// `bad_timezone`.
    pub fn admit_zone(&self, name: &str) -> Result<Tz, Refusal> {
        todo!("{name}")
    }

    /// Whether messages are taken at this time of the client's day.
    ///
    /// # Errors
    /// `outside_hours`, with `retry_ms` until the next opening.
    pub fn admit_hour(&self, zone: Tz, now: Micros) -> Result<(), Refusal> {
        todo!("{zone} {now}")
    }
}
