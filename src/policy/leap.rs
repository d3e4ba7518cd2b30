//! Whether the clock is to be believed where things go by it that nothing brings back.
//!
//! A machine may wake up in another year, and everything is too old then. Nobody can tell that from a server that was
//! off for so long. But who looks after the machine, or sets its clock, needs a while; so a clock that has leapt forward
//! is believed when it has stayed where it is for a day.

use crate::id::Micros;
use std::time::{Duration, Instant};

/// So much further than when it was last seen the clock may be.
const LEAP: Micros = 24 * 3600 * 1_000_000;
/// How long it has then to be put right.
const WAIT: Duration = Duration::from_secs(24 * 3600);
/// How often it is to be written down where the clock is.
const NOTE: Micros = 3600 * 1_000_000;

/// The clock as it was seen.
#[derive(Debug)]
pub struct Leap {
    /// When it was last believed; `None`: never.
    seen: Option<Micros>,
    noted: Option<Micros>,
    /// Since when it is waited.
    waits: Option<Instant>,
}

/// What comes of a look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Things may go for being too old by this time: the clock's, or if it is not believed when it last was.
    pub believed: Micros,
    /// It has just been found to be so far ahead.
    pub leapt: Option<Micros>,
    /// This is to be written down.
    pub note: Option<Micros>,
}

impl Leap {
    /// With what was written down last.
    #[must_use]
    pub fn new(noted: Option<Micros>) -> Leap {
        Leap { seen: noted, noted, waits: None }
    }

    /// Looks at the clock for people; `now`: on one that nobody sets.
    pub fn look(&mut self, wall: Micros, now: Instant) -> Look {
        let seen = self.seen.unwrap_or(wall);
        let ahead = wall.saturating_sub(seen);
        if ahead > LEAP {
            let is_new = self.waits.is_none();
            let since = *self.waits.get_or_insert(now);
            if now.saturating_duration_since(since) < WAIT {
                return Look { believed: seen, leapt: is_new.then_some(ahead), note: None };
            }
        }
        (self.seen, self.waits) = (Some(wall), None);
        let is_due = self.noted.is_none_or(|noted| wall.saturating_sub(noted).saturating_abs() >= NOTE);
        let note = is_due.then_some(wall);
        self.noted = note.or(self.noted);
        Look { believed: wall, leapt: None, note }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Micros = 3600 * 1_000_000;
    const DAY: Micros = 24 * HOUR;
    const YEAR: Micros = 365 * DAY;

    fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3600)
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_and_written_down_once_an_hour() {
        let (mut leap, begun) = (Leap::new(None), Instant::now());
        for hour in 0..100 {
            let now = begun + hours(hour);
            let wall = YEAR + i64::try_from(hour).unwrap() * HOUR;
            assert_eq!(leap.look(wall, now), Look { believed: wall, leapt: None, note: Some(wall) });
            assert_eq!(leap.look(wall + 1, now), Look { believed: wall + 1, leapt: None, note: None });
        }
    }

    #[test]
    fn a_clock_that_has_leapt_is_believed_after_a_day() {
        for seen in [YEAR, 2 * YEAR] {
            let (mut leap, begun) = (Leap::new(Some(seen)), Instant::now());
            let last = seen + DAY;
            assert_eq!(leap.look(last, begun).believed, last);
            let far = seen + 74 * YEAR;
            let mut doubted = Look { believed: last, leapt: Some(far - last), note: None };
            assert_eq!(leap.look(far, begun), doubted);
            // It is told once, and a server that begins anew waits anew.
            doubted.leapt = None;
            assert_eq!(leap.look(far + 23 * HOUR, begun + hours(23)), doubted);
            assert_eq!(Leap::new(Some(last)).look(far, begun + hours(25)).believed, last);
            assert_eq!(leap.look(far + DAY, begun + hours(24)).believed, far + DAY);
            assert_eq!(leap.look(far + DAY + 1, begun + hours(24)).believed, far + DAY + 1);
        }
    }

    #[test]
    fn a_clock_that_is_put_right_is_believed_at_once() {
        let (mut leap, begun) = (Leap::new(Some(YEAR)), Instant::now());
        let mut believed = |wall, hour| leap.look(wall, begun + hours(hour)).believed;
        assert_eq!(believed(50 * YEAR, 0), YEAR);
        assert_eq!(believed(YEAR + HOUR, 1), YEAR + HOUR);
        // The next leap has a day of its own.
        assert_eq!(believed(50 * YEAR, 2), YEAR + HOUR);
        assert_eq!(believed(50 * YEAR, 25), YEAR + HOUR);
        // It may be set back as far as anybody likes.
        assert_eq!(believed(-YEAR, 25), -YEAR);
        assert_eq!(believed(-YEAR + HOUR, 26), -YEAR + HOUR);
    }
}
