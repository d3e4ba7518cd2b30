//! Whether the clock is to be believed where things go by it that nothing brings back.
//!
//! A machine may wake up in another year, and everything is too old then. Nobody can tell that from a server that was
//! off for so long. But who looks after the machine, or sets its clock, needs a while; so a clock that has leapt forward
//! is believed when it has stayed where it is for a day.

use crate::id::Micros;
use std::time::{Duration, Instant};

/// So much further than when it was last seen the clock may be.
const LEAP: Micros = 24 * 3600 * 1_000_000;
/// How long it has then to be put right, while a server runs.
const WAIT: Micros = 24 * 3600 * 1_000_000;
/// How often it is to be written down where the clock is.
const NOTE: Micros = 3600 * 1_000_000;

/// Where the clock is: what is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it was when it was last believed.
    pub at: Micros,
    /// That it is not believed now.
    pub doubt: Option<Doubt>,
}

/// A clock that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Where it was last.
    pub at: Micros,
    /// How long it has been waited for who might put it right.
    pub waited: Micros,
}

/// The clock as it was seen.
#[derive(Debug)]
pub struct Leap {
    /// When it was last believed; `None`: never.
    seen: Option<Micros>,
    noted: Option<Seen>,
    doubt: Option<Doubt>,
    /// When it was looked at last.
    looked: Option<Instant>,
}

/// What comes of a look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Things may go for being too old by this time: the clock's, or if it is not believed when it last was.
    pub believed: Micros,
    /// It has just been found to be so far ahead.
    pub leapt: Option<Micros>,
    /// This is to be written down.
    pub note: Option<Seen>,
}

impl Leap {
    /// With what was written down last.
    #[must_use]
    pub fn new(noted: Option<Seen>) -> Leap {
        Leap {
            seen: noted.map(|seen| seen.at),
            noted,
            doubt: noted.and_then(|seen| seen.doubt),
            looked: None,
        }
    }

    /// Looks at the clock for people; `now`: on one that nobody sets.
    pub fn look(&mut self, wall: Micros, now: Instant) -> Look {
        let seen = self.seen.unwrap_or(wall);
        let looked = self.looked.replace(now);
        let ahead = wall.saturating_sub(seen);
        if ahead > LEAP {
            let passed = looked.map_or(0, |looked| micros(now.saturating_duration_since(looked)));
            let far = |at: Micros| wall.saturating_sub(at).saturating_sub(passed).saturating_abs();
            let went_on = self.doubt.filter(|doubt| far(doubt.at) <= LEAP);
            let waited = went_on.map_or(0, |doubt| doubt.waited.saturating_add(passed));
            let doubt = Doubt { at: wall, waited };
            self.doubt = Some(doubt);
            if waited < WAIT {
                let leapt = (went_on.is_none() || looked.is_none()).then_some(ahead);
                let noted = self.noted.and_then(|noted| noted.doubt).map_or(0, |doubt| doubt.waited);
                // Less than is written down: that was another doubt.
                let is_due = waited.saturating_sub(noted) >= NOTE || waited < noted;
                return Look {
                    believed: seen,
                    leapt,
                    note: self.note(is_due, Seen { at: seen, doubt: self.doubt }),
                };
            }
        }
        (self.seen, self.doubt) = (Some(wall), None);
        let is_far = |noted: Seen| wall.saturating_sub(noted.at).saturating_abs() >= NOTE;
        let is_due = self.noted.is_none_or(|noted| noted.doubt.is_some() || is_far(noted));
        Look { believed: wall, leapt: None, note: self.note(is_due, Seen { at: wall, doubt: None }) }
    }

    fn note(&mut self, is_due: bool, seen: Seen) -> Option<Seen> {
        let note = is_due.then_some(seen);
        self.noted = note.or(self.noted);
        note
    }
}

fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX)
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

    fn seen(at: Micros) -> Seen {
        Seen { at, doubt: None }
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_and_written_down_once_an_hour() {
        let (mut leap, begun) = (Leap::new(None), Instant::now());
        for hour in 0..100 {
            let now = begun + hours(hour);
            let wall = YEAR + i64::try_from(hour).unwrap() * HOUR;
            assert_eq!(leap.look(wall, now), Look { believed: wall, leapt: None, note: Some(seen(wall)) });
            assert_eq!(leap.look(wall + 1, now), Look { believed: wall + 1, leapt: None, note: None });
        }
    }

    #[test]
    fn a_clock_that_has_leapt_is_believed_after_a_day() {
        for year in [YEAR, 2 * YEAR] {
            let (mut leap, begun) = (Leap::new(Some(seen(year))), Instant::now());
            let last = year + DAY;
            assert_eq!(leap.look(last, begun).believed, last);
            let far = year + 74 * YEAR;
            let doubted = Look { believed: last, leapt: Some(far - last), note: None };
            assert_eq!(leap.look(far, begun), doubted);
            // It is told once, and written down once an hour.
            let after = |hour: Micros| (far + hour * HOUR, begun + hours(hour.unsigned_abs()));
            for hour in 1..24 {
                let ((at, now), waited) = (after(hour), hour * HOUR);
                let note = Some(Seen { at: last, doubt: Some(Doubt { at, waited }) });
                assert_eq!(leap.look(at, now), Look { believed: last, leapt: None, note });
                assert_eq!(leap.look(at, now), Look { believed: last, leapt: None, note: None });
            }
            let (at, now) = after(24);
            assert_eq!(leap.look(at, now), Look { believed: at, leapt: None, note: Some(seen(at)) });
            assert_eq!(leap.look(at + 1, now), Look { believed: at + 1, leapt: None, note: None });
        }
    }

    #[test]
    fn a_server_that_begins_anew_goes_on_waiting_for_as_long_as_it_runs() {
        let (mut noted, begun) = (Some(seen(YEAR)), Instant::now());
        // After some days off it is off every night.
        let mut run = |wall: Micros| {
            let mut leap = Leap::new(noted);
            let mut believed = Vec::new();
            for hour in 0..=11 {
                let at = wall + hour * HOUR;
                let look = leap.look(at, begun + hours(hour.unsigned_abs()));
                believed.push(look.believed == at);
                assert_eq!(look.leapt.is_some(), hour == 0 && !believed[0], "it is told at each start");
                noted = look.note.or(noted);
            }
            believed
        };
        assert_eq!(run(YEAR + 3 * DAY), [false; 12]);
        assert_eq!(run(YEAR + 4 * DAY), [false; 12]);
        assert_eq!(run(YEAR + 5 * DAY), [[false; 2].as_slice(), &[true; 10]].concat());
        assert_eq!(run(YEAR + 6 * DAY), [true; 12]);
    }

    #[test]
    fn a_clock_that_leaps_again_is_waited_for_again() {
        let (mut leap, begun) = (Leap::new(Some(seen(YEAR))), Instant::now());
        let mut believed = |wall, hour| leap.look(wall, begun + hours(hour)).believed;
        assert_eq!(believed(YEAR + 2 * DAY, 0), YEAR);
        assert_eq!(believed(YEAR + 2 * DAY + 23 * HOUR, 23), YEAR);
        assert_eq!(believed(50 * YEAR, 24), YEAR);
        assert_eq!(believed(50 * YEAR + 23 * HOUR, 47), YEAR);
        assert_eq!(believed(50 * YEAR + DAY, 48), 50 * YEAR + DAY);
    }

    #[test]
    fn a_clock_that_is_put_right_is_believed_at_once() {
        let (mut leap, begun) = (Leap::new(Some(seen(YEAR))), Instant::now());
        let mut believed = |wall, hour| leap.look(wall, begun + hours(hour)).believed;
        assert_eq!(believed(50 * YEAR, 0), YEAR);
        assert_eq!(believed(YEAR + HOUR, 1), YEAR + HOUR);
        // The next leap has a day of its own.
        assert_eq!(believed(50 * YEAR, 2), YEAR + HOUR);
        assert_eq!(believed(50 * YEAR + 23 * HOUR, 25), YEAR + HOUR);
        // It may be set back as far as anybody likes.
        assert_eq!(believed(-YEAR, 25), -YEAR);
        assert_eq!(believed(-YEAR + HOUR, 26), -YEAR + HOUR);
    }
}
