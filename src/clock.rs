//! The only asker of the time. Everything that decides takes it as an argument.

use crate::id::{Micros, Now};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// This moment.
#[must_use]
pub fn now() -> Now {
    Now { instant: instant(), wall: wall() }
}

/// This moment, by the clock for spans alone: that of the runtime's timers, which a simulation moves.
#[must_use]
pub fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// This moment, by the clock for people alone. A clock set before 1970 reads as 1970.
#[must_use]
pub fn wall() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
