//! `policy.hours`: the times of the day at which messages are taken, by the client's own clock.

use crate::id::Micros;
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// Windows of local time, such as `08:00-12:00,13:00-17:00`. A window that ends before it begins goes on
/// over midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(Vec<Window>);

/// From a second of the day, to another, which is not in it. `from` is below a day; the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: i64,
    to: i64,
}

/// Why a text is no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// A window is not of the form.
    #[error("`{0}` is not of the form HH:MM-HH:MM")]
    Form(String),
    /// A window in which no time lies.
    #[error("`{0}` ends where it begins; all day is 00:00-24:00")]
    Empty(String),
}

impl Hours {
    /// How long it is until messages are taken, in milliseconds, rounded up; `None` if they are taken now.
    ///
    /// Follows the zone's changes of clock: when the clock jumps into a window, that is its opening.
    #[must_use]
    pub fn closed_for(&self, zone: Tz, now: Micros) -> Option<u32> {
        // Far beyond the years that a calendar knows there is no time of day, and so no closing.
        DateTime::from_timestamp_micros(now)?;
        let second = now.div_euclid(1_000_000);
        if self.is_open(zone, second) {
            return None;
        }
        let opening = self.next_opening(zone, second);
        let wait_ms = opening.saturating_mul(1000).saturating_sub(now.div_euclid(1000));
        Some(u32::try_from(wait_ms).unwrap_or(u32::MAX).max(1))
    }

    fn is_open(&self, zone: Tz, second: i64) -> bool {
        let clock = clock(zone, second);
        self.0.iter().any(|window| window.has(clock))
    }

    /// The first second behind `closed` that is open.
    fn next_opening(&self, zone: Tz, closed: i64) -> i64 {
        let mut second = closed;
        // A round ends at an opening or at a change of the zone's clock. No zone changes it often enough for
        // these rounds to run out before a day is over.
        for _ in 0..8 {
            let begin = second + self.to_next_begin(clock(zone, second));
            if offset(zone, begin) == offset(zone, second) {
                return begin;
            }
            second = first_change(zone, second, begin);
            if self.is_open(zone, second) {
                return second;
            }
        }
        second
    }

    /// Seconds from this time of day to the next at which a window begins: 1 second to a whole day.
    fn to_next_begin(&self, clock: i64) -> i64 {
        let to = |window: &Window| (window.from - clock - 1).rem_euclid(DAY) + 1;
        self.0.iter().map(to).min().unwrap_or(DAY)
    }
}

impl Default for Hours {
    /// All day.
    fn default() -> Self {
        Hours(vec![Window { from: 0, to: DAY }])
    }
}

impl Window {
    fn has(self, clock: i64) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&clock)
        } else {
            clock >= self.from || clock < self.to
        }
    }
}

/// What the zone's clock is ahead of UTC at a second since the epoch.
fn offset(zone: Tz, second: i64) -> i64 {
    let Some(utc) = DateTime::from_timestamp(second, 0) else { return 0 };
    zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc().into()
}

/// The second of the day that the zone's clock shows.
fn clock(zone: Tz, second: i64) -> i64 {
    (second + offset(zone, second)).rem_euclid(DAY)
}

/// The first second in (`before`, `after`] at which the zone's clock is set as it is at `after`, if it changes
/// once between them.
fn first_change(zone: Tz, before: i64, after: i64) -> i64 {
    let old = offset(zone, before);
    let (mut before, mut after) = (before, after);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset(zone, middle) == old {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

impl FromStr for Hours {
    type Err = HoursError;

    /// Reads windows with commas between them. 24:00 is taken as an end alone.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        text.split(',').map(|window| window.trim().parse()).collect::<Result<_, _>>().map(Hours)
    }
}

impl FromStr for Window {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let ends = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        match ends {
            Some((from, to)) if from == to => Err(HoursError::Empty(text.into())),
            Some((from, to)) if from < DAY => Ok(Window { from, to }),
            _ => Err(HoursError::Form(text.into())),
        }
    }
}

/// HH:MM, 00:00 to 24:00, in seconds.
fn time(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let second = (hour * 60 + minute) * MINUTE;
    (minute < 60 && second <= DAY).then_some(second)
}

fn two_digits(text: &str) -> Option<i64> {
    let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, window) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            show_time(window.from, f)?;
            f.write_str("-")?;
            show_time(window.to, f)?;
        }
        Ok(())
    }
}

fn show_time(second: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let minutes = second / MINUTE;
    write!(f, "{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDateTime;
    use proptest::prelude::*;

    /// Microseconds of a time in UTC.
    fn utc(text: &str) -> Micros {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        time.and_utc().timestamp_micros()
    }

    /// That from `now` on it is closed until just before `opening`.
    #[track_caller]
    fn opens(hours: &str, zone: Tz, now: &str, opening: &str) {
        let hours: Hours = hours.parse().unwrap();
        let wait_ms = hours.closed_for(zone, utc(now));
        assert_eq!(wait_ms.map(i64::from), Some((utc(opening) - utc(now)) / 1000));
        assert!(hours.closed_for(zone, utc(opening) - 1).is_some());
        assert_eq!(hours.closed_for(zone, utc(opening)), None);
    }

    #[track_caller]
    fn is_open(hours: &str, zone: Tz, now: &str) {
        assert_eq!(hours.parse::<Hours>().unwrap().closed_for(zone, utc(now)), None);
    }

    #[test]
    fn all_day_is_always_open() {
        for now in
            ["2026-03-29 00:59:59", "2026-03-29 01:00:00", "2026-10-25 23:59:59", "1900-01-01 00:00:00"]
        {
            is_open("00:00-24:00", Tz::Europe__Berlin, now);
        }
        assert_eq!(Hours::default().to_string(), "00:00-24:00");
        assert_eq!(Hours::default().closed_for(Tz::UTC, Micros::MAX), None);
        assert_eq!(Hours::default().closed_for(Tz::UTC, Micros::MIN), None);
    }

    #[test]
    fn it_is_the_clients_clock_that_counts() {
        // Kolkata is 5:30 ahead.
        opens("09:00-17:00", Tz::Asia__Kolkata, "2026-01-05 00:00:00", "2026-01-05 03:30:00");
        is_open("09:00-17:00", Tz::Asia__Kolkata, "2026-01-05 11:29:59");
        opens("09:00-17:00", Tz::Asia__Kolkata, "2026-01-05 11:30:00", "2026-01-06 03:30:00");
        // Berlin in winter and in summer.
        opens("09:00-17:00", Tz::Europe__Berlin, "2026-01-05 07:59:59", "2026-01-05 08:00:00");
        opens("09:00-17:00", Tz::Europe__Berlin, "2026-07-05 06:59:59", "2026-07-05 07:00:00");
    }

    #[test]
    fn a_window_may_run_over_midnight() {
        let hours = "22:00-06:00";
        is_open(hours, Tz::UTC, "2026-01-05 22:00:00");
        is_open(hours, Tz::UTC, "2026-01-05 23:59:59");
        is_open(hours, Tz::UTC, "2026-01-06 05:59:59");
        opens(hours, Tz::UTC, "2026-01-06 06:00:00", "2026-01-06 22:00:00");
    }

    #[test]
    fn a_window_may_end_at_midnight_by_either_name() {
        for hours in ["08:00-24:00", "08:00-00:00"] {
            is_open(hours, Tz::UTC, "2026-01-05 23:59:59");
            opens(hours, Tz::UTC, "2026-01-06 00:00:00", "2026-01-06 08:00:00");
        }
    }

    #[test]
    fn the_next_of_several_windows_counts() {
        let hours = "08:00-12:00,13:00-17:00";
        opens(hours, Tz::UTC, "2026-01-05 12:30:00", "2026-01-05 13:00:00");
        opens(hours, Tz::UTC, "2026-01-05 18:00:00", "2026-01-06 08:00:00");
    }

    #[test]
    fn the_wait_over_a_change_of_clock_is_an_hour_shorter_or_longer() {
        let (hours, berlin) = ("09:00-17:00", Tz::Europe__Berlin);
        // The clock goes from 02:00 to 03:00 on 29 March, from 03:00 to 02:00 on 25 October.
        opens(hours, berlin, "2026-03-28 16:00:00", "2026-03-29 07:00:00");
        opens(hours, berlin, "2026-10-24 15:00:00", "2026-10-25 08:00:00");
    }

    #[test]
    fn a_beginning_that_the_clock_skips_opens_at_the_skip() {
        opens("02:30-05:00", Tz::Europe__Berlin, "2026-03-29 00:00:00", "2026-03-29 01:00:00");
    }

    #[test]
    fn a_window_that_the_clock_skips_whole_opens_the_day_after() {
        opens("02:10-02:50", Tz::Europe__Berlin, "2026-03-29 00:00:00", "2026-03-30 00:10:00");
    }

    #[test]
    fn a_clock_set_back_into_a_window_opens_it_again() {
        // 02:30 comes twice, at 00:30 and 01:30 UTC; at 01:00 UTC the clock goes back to 02:00.
        let hours = "02:00-02:30";
        is_open(hours, Tz::Europe__Berlin, "2026-10-25 00:29:59");
        opens(hours, Tz::Europe__Berlin, "2026-10-25 00:45:00", "2026-10-25 01:00:00");
        opens("01:00-02:30", Tz::Europe__Berlin, "2026-10-25 00:30:00", "2026-10-25 01:00:00");
    }

    #[test]
    fn a_day_that_a_zone_left_out_is_no_trap() {
        // Samoa went from 29 December 2011, 24:00, to 31 December: from 10 hours behind to 14 ahead.
        opens("09:00-17:00", Tz::Pacific__Apia, "2011-12-30 04:00:00", "2011-12-30 19:00:00");
    }

    #[test]
    fn what_is_no_hours_is_refused() {
        for text in [
            "",
            "-",
            "9:00-17:00",
            "09:00",
            "09:00-",
            "09:00-17",
            "24:00-06:00",
            "09:00-24:01",
            "09:60-10:00",
            "25:00-26:00",
            "09:00-17:00,",
            "09:00–17:00",
            "+9:00-17:00",
            "09:00-17:00-18:00",
            "09:00:00-17:00",
        ] {
            assert!(matches!(text.parse::<Hours>(), Err(HoursError::Form(_))), "{text}");
        }
        assert_eq!("09:00-09:00".parse::<Hours>(), Err(HoursError::Empty("09:00-09:00".into())));
    }

    proptest! {
        #[test]
        fn hours_are_shown_as_they_are_read(from in 0..1440u32, to in 0..=1440u32) {
            prop_assume!(from != to);
            let text = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60);
            prop_assert_eq!(text.parse::<Hours>().unwrap().to_string(), text);
        }

        /// Against the slow and simple way: look at every minute.
        #[test]
        fn the_opening_is_the_first_open_minute(
            zone in proptest::sample::select(&chrono_tz::TZ_VARIANTS[..]),
            now in 1_600_000_000..1_900_000_000i64,
            from in 0..96i64,
            long in 1..96i64,
        ) {
            let (from, now) = (from * 900, now - now % 60);
            let hours = Hours(vec![Window { from, to: (from + long * 900) % DAY }]);
            prop_assume!(hours.0[0].from != hours.0[0].to);
            let slow = (0..).find(|minute| hours.is_open(zone, now + minute * MINUTE)).unwrap();
            let fast = hours.closed_for(zone, now * 1_000_000).map_or(0, i64::from);
            prop_assert_eq!(fast, slow * MINUTE * 1000);
        }
    }
}
