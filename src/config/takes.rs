//! What a setting takes: the reading, checking and showing of one kind of value, and the field that it is for.

use super::{AssistantKind, Config, Durability};
use crate::policy::{Hours, Zones};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A field of [`Config`].
type Field<T> = fn(&mut Config) -> &mut T;

/// What a setting takes, and the field that it is for. Shown, it says what is accepted.
#[derive(Clone, Debug)]
pub enum Takes {
    /// A path.
    Path(Field<PathBuf>),
    /// An address and a port.
    Address(Field<SocketAddr>),
    /// Yes or no.
    Flag(Field<bool>),
    /// A whole number within bounds.
    Count(RangeInclusive<u64>, Field<usize>),
    /// A size within bounds.
    Bytes(RangeInclusive<u64>, Field<u32>),
    /// How much may be kept, of any size.
    Volume(Field<u64>),
    /// A time within bounds.
    Seconds(RangeInclusive<f64>, Field<Duration>),
    /// Patterns of time zones.
    Zones(Field<Zones>),
    /// Times of the day.
    Hours(Field<Hours>),
    /// How durable is durable.
    Durability(Field<Durability>),
    /// Which assistant.
    Assistant(Field<AssistantKind>),
    /// Nothing but this, which asks for nothing: the feature does not exist yet.
    NotYet(&'static str),
}

/// Sizes are numbers of files, which are signed.
const MAX_VOLUME: u64 = i64::MAX as u64;

const DURABILITIES: &[(&str, Durability)] = &[("full", Durability::Full), ("normal", Durability::Normal)];

const ASSISTANTS: &[(&str, AssistantKind)] =
    &[("builtin", AssistantKind::Builtin), ("echo", AssistantKind::Echo), ("none", AssistantKind::None)];

const FLAGS: &[(&str, bool)] = &[("true", true), ("false", false)];

impl Takes {
    /// Reads a value and puts it into its field.
    ///
    /// # Errors
    /// Why it is not accepted; what is accepted is `self`, shown.
    pub fn put(&self, text: &str, config: &mut Config) -> Result<(), String> {
        match self {
            Takes::Path(field) => *field(config) = path(text)?,
            Takes::Address(field) => {
                *field(config) = text.parse().map_err(|_| "not an address and a port")?;
            }
            Takes::Flag(field) => *field(config) = choice(FLAGS, text)?,
            Takes::Count(bounds, field) => *field(config) = within(bounds, whole(text)?)?,
            Takes::Bytes(bounds, field) => *field(config) = within(bounds, bytes(text)?)?,
            Takes::Volume(field) => *field(config) = within(&(0..=MAX_VOLUME), bytes(text)?)?,
            Takes::Seconds(bounds, field) => *field(config) = seconds(bounds, text)?,
            Takes::Zones(field) => *field(config) = parsed(&self.list(text)?)?,
            Takes::Hours(field) => *field(config) = parsed(&self.list(text)?)?,
            Takes::Durability(field) => *field(config) = choice(DURABILITIES, text)?,
            Takes::Assistant(field) => *field(config) = choice(ASSISTANTS, text)?,
            Takes::NotYet(only) if text == *only => {}
            Takes::NotYet(_) => return Err("this server cannot do that yet".into()),
        }
        Ok(())
    }

    /// A list as the files have it, `["a", "b"]`, where a flag or a variable has it.
    fn list(&self, text: &str) -> Result<String, String> {
        if !text.trim_start().starts_with('[') {
            return Ok(text.to_owned());
        }
        let value = text.parse::<toml::Value>().ok();
        value.and_then(|value| self.spell(&value)).ok_or_else(|| "not a list of texts".to_owned())
    }

    /// The field's value, for a TOML file.
    pub(super) fn show(&self, config: &mut Config) -> toml::Value {
        match self {
            Takes::Path(field) => field(config).display().to_string().into(),
            Takes::Address(field) => field(config).to_string().into(),
            Takes::Flag(field) => (*field(config)).into(),
            Takes::Count(_, field) => integer(*field(config)),
            Takes::Bytes(_, field) => integer(*field(config)),
            Takes::Volume(field) => integer(*field(config)),
            Takes::Seconds(_, field) => show_seconds(*field(config)),
            Takes::Zones(field) => field(config).patterns().map(toml::Value::from).collect::<Vec<_>>().into(),
            Takes::Hours(field) => field(config).to_string().into(),
            Takes::Durability(field) => chosen(DURABILITIES, field(config)).into(),
            Takes::Assistant(field) => chosen(ASSISTANTS, field(config)).into(),
            Takes::NotYet(only) => only.parse::<i64>().map_or_else(|_| (*only).into(), toml::Value::from),
        }
    }

    /// A value of a TOML file as [`Takes::put`] reads it; `None` if it is of a kind that does not belong here.
    pub(super) fn spell(&self, value: &toml::Value) -> Option<String> {
        use toml::Value::{Array, Boolean, Float, Integer, String};
        match (self, value) {
            (_, String(text)) => Some(text.clone()),
            (Takes::Flag(_), Boolean(_))
            | (
                Takes::Count(..) | Takes::Bytes(..) | Takes::Volume(_) | Takes::Seconds(..),
                Integer(_) | Float(_),
            )
            | (Takes::NotYet(_), Boolean(_) | Integer(_) | Float(_)) => Some(value.to_string()),
            (Takes::Zones(_) | Takes::Hours(_), Array(items)) => {
                items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>().map(|items| items.join(","))
            }
            _ => None,
        }
    }
}

impl Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Takes::Path(_) => f.write_str("a path"),
            Takes::Address(_) => f.write_str("an IP address and a port, such as 0.0.0.0:8000 or [::1]:8000"),
            Takes::Flag(_) => names(FLAGS, f),
            Takes::Count(bounds, _) => write!(f, "a whole number, {} to {}", bounds.start(), bounds.end()),
            Takes::Bytes(bounds, _) => {
                write!(
                    f,
                    "bytes, {} to {}, or a size such as 64KiB, 1MiB, 2GiB",
                    bounds.start(),
                    bounds.end()
                )
            }
            Takes::Volume(_) => f.write_str("bytes, 0 for no limit, or a size such as 500MiB, 20GiB"),
            Takes::Seconds(bounds, _) => {
                write!(f, "seconds, {} to {}, also with a fraction", bounds.start(), bounds.end())
            }
            Takes::Zones(_) => f.write_str(
                "a list of *, Asia/* or names such as Europe/Berlin (in a flag with commas between)",
            ),
            Takes::Hours(_) => {
                f.write_str("HH:MM-HH:MM, over midnight too, or several of them with commas between")
            }
            Takes::Durability(_) => names(DURABILITIES, f),
            Takes::Assistant(_) => names(ASSISTANTS, f),
            Takes::NotYet("") => f.write_str("nothing but the empty text so far"),
            Takes::NotYet(only) => write!(f, "nothing but {only} so far"),
        }
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') { Err("not a path".into()) } else { Ok(text.into()) }
}

fn parsed<T: std::str::FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn whole(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        return Err("not a whole number".into());
    }
    text.parse().map_err(|_| "out of bounds".into())
}

fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    for (unit, factor) in units {
        if let Some(number) = text.strip_suffix(unit) {
            return whole(number.trim_end())?.checked_mul(factor).ok_or_else(|| "out of bounds".into());
        }
    }
    whole(text)
}

fn within<T: TryFrom<u64>>(bounds: &RangeInclusive<u64>, number: u64) -> Result<T, String> {
    let checked = bounds.contains(&number).then(|| T::try_from(number).ok()).flatten();
    checked.ok_or_else(|| "out of bounds".into())
}

fn seconds(bounds: &RangeInclusive<f64>, text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    if !bounds.contains(&number) {
        return Err("out of bounds".into());
    }
    Duration::try_from_secs_f64(number).map_err(|_| "out of bounds".into())
}

fn choice<T: Copy>(named: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = named.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| "not one of those".into())
}

fn chosen<T: PartialEq>(named: &[(&'static str, T)], value: &T) -> &'static str {
    named.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name)
}

fn names<T>(named: &[(&str, T)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
    f.write_str(&names.join(" or "))
}

fn integer(number: impl TryInto<i64>) -> toml::Value {
    // No bound of the table comes near the end of i64.
    toml::Value::Integer(number.try_into().unwrap_or(i64::MAX))
}

fn show_seconds(time: Duration) -> toml::Value {
    if time.subsec_nanos() == 0 { integer(time.as_secs()) } else { time.as_secs_f64().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_plain_or_in_powers_of_1024() {
        for (text, want) in [
            ("1", 1),
            ("65536", 65536),
            ("64KiB", 65536),
            ("64 KiB", 65536),
            ("1MiB", 1 << 20),
            ("3GiB", 3 << 30),
        ] {
            assert_eq!(bytes(text), Ok(want), "{text}");
        }
        for text in [
            "",
            "KiB",
            "1K",
            "1kB",
            "1KB",
            "-1",
            "+1",
            "1.5MiB",
            "0x10",
            "1e3",
            "KiB1",
            "18446744073709551616",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(bytes("17179869184GiB"), Err("out of bounds".into()));
    }

    #[test]
    fn bounds_belong_to_what_is_accepted() {
        assert_eq!(within::<u32>(&(1..=10), 1), Ok(1));
        assert_eq!(within::<u32>(&(1..=10), 10), Ok(10));
        assert!(within::<u32>(&(1..=10), 0).is_err());
        assert!(within::<u32>(&(1..=10), 11).is_err());
        assert!(within::<u8>(&(1..=1000), 256).is_err());
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        let bounds = 0.05..=3600.0;
        assert_eq!(seconds(&bounds, "0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(seconds(&bounds, "3600"), Ok(Duration::from_secs(3600)));
        for text in ["", "0", "0.01", "3600.1", "-1", "nan", "inf", "1s", "1,5"] {
            assert!(seconds(&bounds, text).is_err(), "{text}");
        }
    }
}
