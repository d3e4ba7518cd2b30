//! `policy.timezones`: which zones are admitted.

use chrono_tz::{TZ_VARIANTS, Tz};
use std::fmt;
use std::str::FromStr;

/// Patterns over the names of zones: `*`, `Asia/*`, or a name. Each matches one known zone at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones(Vec<Box<str>>);

/// Why a list of patterns is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZonesError {
    /// It would admit nobody.
    #[error("no pattern at all would admit nobody")]
    Empty,
    /// Most likely a slip of the keyboard.
    #[error("`{0}` matches no time zone")]
    MatchesNone(String),
}

impl Zones {
    /// Takes patterns as they are listed.
    ///
    /// # Errors
    /// If there is none, or one that matches no known zone.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ZonesError> {
        let patterns: Vec<Box<str>> = patterns.into_iter().map(|p| p.trim().into()).collect();
        if patterns.is_empty() {
            return Err(ZonesError::Empty);
        }
        match patterns.iter().find(|p| !TZ_VARIANTS.iter().any(|zone| matches(p, zone.name()))) {
            Some(stray) => Err(ZonesError::MatchesNone(stray.to_string())),
            None => Ok(Zones(patterns)),
        }
    }

    /// Whether the zone of this name is admitted. A link counts by its own name, not by what it links to.
    #[must_use]
    pub fn admit(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// The patterns, as they were listed.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| &**pattern)
    }
}

impl Default for Zones {
    /// Every zone.
    fn default() -> Self {
        Zones(vec!["*".into()])
    }
}

impl FromStr for Zones {
    type Err = ZonesError;

    /// Reads patterns with commas between them.
    fn from_str(list: &str) -> Result<Self, ZonesError> {
        if list.trim().is_empty() {
            return Err(ZonesError::Empty);
        }
        Zones::new(list.split(','))
    }
}

impl fmt::Display for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(area) => area.ends_with('/') && name.starts_with(area),
        None => pattern == name && name.parse::<Tz>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_admits_all_an_area_or_one() {
        let zones: Zones = "Asia/*, America/Argentina/*,Europe/Berlin".parse().unwrap();
        for name in ["Asia/Kolkata", "Asia/Calcutta", "America/Argentina/Salta", "Europe/Berlin"] {
            assert!(zones.admit(name), "{name}");
        }
        for name in ["Europe/Paris", "America/Lima", "Asia", "Etc/UTC", "europe/berlin"] {
            assert!(!zones.admit(name), "{name}");
        }
        assert!(Zones::default().admit("Etc/UTC"));
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused() {
        for list in ["Asien/*", "asia/*", "Asia*", "Asia/", "Europe/Berln", "*/Berlin", "Europe/**", "*,,*"] {
            assert!(matches!(list.parse::<Zones>(), Err(ZonesError::MatchesNone(_))), "{list}");
        }
        for list in ["", " "] {
            assert_eq!(list.parse::<Zones>(), Err(ZonesError::Empty));
        }
        assert_eq!(Zones::new([]), Err(ZonesError::Empty));
    }

    #[test]
    fn patterns_are_shown_as_they_are_read() {
        let zones: Zones = "Asia/*,Etc/UTC".parse().unwrap();
        assert_eq!(zones.to_string().parse(), Ok(zones));
    }
}
