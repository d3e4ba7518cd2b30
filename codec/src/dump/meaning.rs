//! What a value stands for: a time, a code, a frame type, or one of those that the field's description lists.

use super::Part;
use super::parts::What;
use crate::error::Code;
use crate::frame::{FRAMES, info};
use crate::table::FieldInfo;
use crate::value::Value;
use alloc::format;
use alloc::string::{String, ToString};

/// What stands behind the number of a field, if it is more than a number: `2026-01-01T00:00:00Z`, `not_found`, `TEXT`.
#[must_use]
pub fn meaning(part: &Part<'_, '_>) -> Option<String> {
    match part.what {
        What::Value(Value::Signed(at)) if at != 0 => time(at),
        What::Value(Value::Unsigned(n)) => {
            let name = part.path.rsplit('.').next().unwrap_or_default();
            listed(part.doc, n).map(ToString::to_string).or_else(|| match name {
                "code" => u16::try_from(n).ok().and_then(Code::from_number).map(|code| code.name().into()),
                "about" if n == 0xFF => Some("no frame".into()),
                "about" => u8::try_from(n).ok().and_then(info).map(|info| info.name.into()),
                _ => None,
            })
        }
        _ => None,
    }
}

/// The number that a word stands for in a field, the other way round: 404 of `not_found` in `code`, 3 of `register` in
/// `auth`. Case means nothing.
#[must_use]
pub fn number_named(field: &FieldInfo, word: &str) -> Option<u64> {
    let listed = choices(field.doc).find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(n, _)| n);
    listed.or_else(|| match field.name {
        "code" => Code::ALL.iter().find(|code| code.name() == word).map(|&code| code as u64),
        "about" if word == "no frame" => Some(0xFF),
        "about" => {
            FRAMES.iter().find(|info| info.name.eq_ignore_ascii_case(word)).map(|info| info.kind.into())
        }
        _ => None,
    })
}

/// `guest` of "0 guest, 1 password, 2 token." for 0.
fn listed(doc: &'static str, n: u64) -> Option<&'static str> {
    choices(doc).find(|(number, _)| *number == n).map(|(_, name)| name)
}

/// The numbers and names that a description lists.
fn choices(doc: &'static str) -> impl Iterator<Item = (u64, &'static str)> {
    let sentences = doc.trim_end_matches('.').split(". ").flat_map(|sentence| sentence.split("; "));
    let choices = sentences.flat_map(|sentence| sentence.split(", "));
    let pairs = choices.filter_map(|choice| choice.split_once(' '));
    let is_name = |name: &str| name.chars().all(|c| c.is_alphabetic() || c == ' ');
    pairs.filter_map(move |(n, name)| n.parse().ok().filter(|_| is_name(name)).map(|n| (n, name)))
}

/// Microseconds since 1970 as a date and time, for the years that have four digits.
fn time(at: i64) -> Option<String> {
    let (seconds, micros) = (at.div_euclid(1_000_000), at.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Year, month and day of a number of days since 1970, counted in eras of 400 years that begin on the first of March, so
/// that the leap day is a year's last.
const fn date(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::{date, listed, time};

    #[test]
    fn choices_are_read_from_the_description() {
        assert_eq!(listed("0 guest, 1 password, 2 token, 3 register.", 2), Some("token"));
        assert_eq!(
            listed("0 done, 1 shutting down, 2 replaced, or an error code.", 1),
            Some("shutting down")
        );
        assert_eq!(listed("1 to 200; 0: 200.", 0), None);
        assert_eq!(listed("1 to 200; 0: 200.", 1), None);
        assert_eq!(listed("1 to 65,536 bytes.", 536), None);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(11_017), (2000, 3, 1));
        assert_eq!(date(-1), (1969, 12, 31));
        assert_eq!(date(47_540), (2100, 2, 28));
        assert_eq!(date(47_541), (2100, 3, 1));
        assert_eq!(time(1_767_225_601_500_000).as_deref(), Some("2026-01-01T00:00:01.500000Z"));
        assert_eq!(time(i64::MAX), None);
        assert_eq!(time(i64::MIN), None);
    }
}
