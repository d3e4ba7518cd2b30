//! THE table: key, default, meaning and check of every setting.
//!
//! A new setting is one entry here. Its variable, its line in `chatwire config`, its check and its messages
//! follow from the entry; a test holds docs/OPERATING.md to it. A key whose feature does not exist yet is here
//! too, so that it is not free for anything else: it takes only the value that asks for nothing.

pub use super::takes::Takes;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in files and flags, such as `limits.text_bytes`.
    pub key: &'static str,
    /// What is in force where nobody says otherwise.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// What it takes, and where that goes.
    pub takes: Takes,
    /// From when on another value is in force.
    pub from: From,
}

/// From when on another value of a setting is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// SIGHUP.
    Reload,
    /// The next start.
    Start,
}

impl Setting {
    /// The setting of that name, if there is one.
    #[must_use]
    pub fn named(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The known name that is most like this one.
    #[must_use]
    pub fn nearest(key: &str) -> &'static str {
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, key);
        // Of two that are equally near, `max_by` takes the last: the one that the table has first.
        let keys = SETTINGS.iter().rev().map(|setting| setting.key);
        keys.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
    }

    /// Its environment variable, such as `CHATWIRE_LIMITS_TEXT_BYTES`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// What the names of all environment variables of the settings begin with.
pub const VARIABLE_PREFIX: &str = "CHATWIRE_";

/// The largest `limits.text_bytes`: a TEXT is held whole in memory, on both sides.
pub const MAX_TEXT_BYTES: u64 = 1 << 20;

/// The largest `store.retention_days`: a hundred years.
const MAX_DAYS: u64 = 36_500;

const DAY_SECS: f64 = 86_400.0;
const HOUR_SECS: f64 = 3600.0;
/// The shortest of the spells of silence and patience.
const BLINK_SECS: f64 = 0.05;

/// Every setting, in the order of the operator's page.
pub static SETTINGS: &[Setting] = &[
    Setting {
        key: "data",
        default: "./chatwire-data",
        doc: "The folder that everything is kept in. It is made if it is missing.",
        takes: Takes::Path(|config| &mut config.data),
        from: From::Start,
    },
    Setting {
        key: "listen.tcp",
        default: "127.0.0.1:8000",
        doc: "Where clients connect over plain TCP. Port 0 takes any free port; off: nowhere.",
        takes: Takes::Door(|config| &mut config.listen_tcp),
        from: From::Start,
    },
    Setting {
        key: "listen.tls",
        default: "off",
        doc: "Where clients connect over TLS; it takes tls.cert and tls.key.",
        takes: Takes::Door(|config| &mut config.listen_tls),
        from: From::Start,
    },
    Setting {
        key: "listen.http",
        default: "off",
        doc: "Where browsers and tools connect over HTTP.",
        takes: Takes::NotYet("off"),
        from: From::Start,
    },
    Setting {
        key: "tls.cert",
        default: "",
        doc: "The PEM file of the certificate chain, the server's own first. Read again at SIGHUP.",
        takes: Takes::File(|config| &mut config.tls.cert),
        from: From::Reload,
    },
    Setting {
        key: "tls.key",
        default: "",
        doc: "The PEM file of the certificate's private key. Read again at SIGHUP.",
        takes: Takes::File(|config| &mut config.tls.key),
        from: From::Reload,
    },
    Setting {
        key: "store.durability",
        default: "full",
        doc: "What a confirmed message survives: full: power loss; normal: a crash of the server, not of the machine.",
        takes: Takes::Durability(|config| &mut config.durability),
        from: From::Start,
    },
    Setting {
        key: "store.retention_days",
        default: "0",
        doc: "How many days messages are kept; 0: for ever.",
        takes: Takes::Count(0..=MAX_DAYS, |config| &mut config.retention_days),
        from: From::Reload,
    },
    Setting {
        key: "policy.timezones",
        default: "*",
        doc: "The time zones of clients that are admitted, by the name that the client sends.",
        takes: Takes::Zones(|config| &mut config.policy.zones),
        from: From::Reload,
    },
    Setting {
        key: "policy.hours",
        default: "00:00-24:00",
        doc: "When messages are taken, by the client's own clock.",
        takes: Takes::Hours(|config| &mut config.policy.hours),
        from: From::Reload,
    },
    Setting {
        key: "policy.guests",
        default: "true",
        doc: "Whether clients without an account are admitted.",
        takes: Takes::Flag(|config| &mut config.policy.guests),
        from: From::Reload,
    },
    Setting {
        key: "policy.registration",
        default: "true",
        doc: "Whether clients may make accounts.",
        takes: Takes::Flag(|config| &mut config.policy.registration),
        from: From::Reload,
    },
    Setting {
        key: "policy.plaintext_secrets",
        default: "false",
        doc: "Whether secrets are taken over unencrypted connections that are not of this machine.",
        takes: Takes::Flag(|config| &mut config.policy.plaintext_secrets),
        from: From::Reload,
    },
    Setting {
        key: "limits.connections",
        default: "10000",
        doc: "Connections at once.",
        takes: Takes::Count(1..=1_000_000, |config| &mut config.limits.connections),
        from: From::Reload,
    },
    Setting {
        key: "limits.connections_per_address",
        default: "0",
        doc: "Connections at once from one address; 0: no limit.",
        takes: Takes::Count(0..=1_000_000, |config| &mut config.limits.connections_per_address),
        from: From::Reload,
    },
    Setting {
        key: "limits.connections_per_user",
        default: "20",
        doc: "Connections at once of one user; 0: no limit.",
        takes: Takes::Count(0..=1_000_000, |config| &mut config.limits.connections_per_user),
        from: From::Reload,
    },
    Setting {
        key: "limits.wait_secs",
        default: "5",
        doc: "How long a new connection waits for a place when all are taken.",
        takes: Takes::Seconds(0.0..=HOUR_SECS, |config| &mut config.limits.wait),
        from: From::Reload,
    },
    Setting {
        key: "limits.messages_in_flight",
        default: "4096",
        doc: "Messages taken and not yet answered, of all connections; at the limit the server reads more slowly.",
        takes: Takes::Count(1..=1_000_000, |config| &mut config.limits.messages_in_flight),
        from: From::Start,
    },
    Setting {
        key: "limits.messages_per_sec",
        default: "0",
        doc: "Messages a second of one connection; 0: no limit.",
        takes: Takes::Count(0..=1_000_000, |config| &mut config.limits.messages_per_sec),
        from: From::Reload,
    },
    Setting {
        key: "limits.guests_per_minute",
        default: "60",
        doc: "New guests a minute from one address; 0: no limit.",
        takes: Takes::Count(0..=1_000_000, |config| &mut config.limits.newcomers.guests_per_minute),
        from: From::Reload,
    },
    Setting {
        key: "limits.registrations_per_hour",
        default: "20",
        doc: "Accounts that clients make an hour from one address; 0: no limit.",
        takes: Takes::Count(0..=1_000_000, |config| &mut config.limits.newcomers.registrations_per_hour),
        from: From::Reload,
    },
    Setting {
        key: "limits.exempt_addresses",
        default: "127.0.0.0/8,::1",
        doc: "Addresses and networks for which the three limits for each address do not hold.",
        takes: Takes::Exempt(|config| &mut config.limits.newcomers.exempt),
        from: From::Reload,
    },
    Setting {
        key: "limits.text_bytes",
        default: "65536",
        doc: "The largest text message.",
        takes: Takes::Bytes(1..=MAX_TEXT_BYTES, |config| &mut config.limits.text_bytes),
        from: From::Start,
    },
    Setting {
        key: "limits.media_bytes",
        default: "1073741824",
        doc: "The largest piece of media.",
        takes: Takes::Bytes(1..=u32::MAX as u64, |config| &mut config.limits.media_bytes),
        from: From::Start,
    },
    Setting {
        key: "limits.storage_bytes",
        default: "0",
        doc: "All media that is kept; 0: no limit but the disk.",
        takes: Takes::Volume(|config| &mut config.limits.storage.all),
        from: From::Start,
    },
    Setting {
        key: "limits.storage_bytes_per_user",
        default: "0",
        doc: "All media that is kept of one user; 0: no limit.",
        takes: Takes::Volume(|config| &mut config.limits.storage.own),
        from: From::Start,
    },
    Setting {
        key: "timing.heartbeat_secs",
        default: "30",
        doc: "Silence before the server asks whether a client is there, and again before it gives up.",
        takes: Takes::Seconds(BLINK_SECS..=HOUR_SECS, |config| &mut config.timing.heartbeat),
        from: From::Start,
    },
    Setting {
        key: "timing.hello_secs",
        default: "10",
        doc: "How long a new connection may take to say who it is.",
        takes: Takes::Seconds(BLINK_SECS..=HOUR_SECS, |config| &mut config.timing.hello),
        from: From::Reload,
    },
    Setting {
        key: "timing.frame_secs",
        default: "30",
        doc: "How long a frame that has begun may stand still.",
        takes: Takes::Seconds(BLINK_SECS..=HOUR_SECS, |config| &mut config.timing.frame),
        from: From::Reload,
    },
    Setting {
        key: "timing.stall_secs",
        default: "300",
        doc: "How long a client may take nothing of what waits for it.",
        takes: Takes::Seconds(BLINK_SECS..=DAY_SECS, |config| &mut config.timing.stall),
        from: From::Reload,
    },
    Setting {
        key: "assistant.kind",
        default: "builtin",
        doc: "Who answers in home chats: builtin: a small helper; echo: whatever was said; none: nobody.",
        takes: Takes::Assistant(|config| &mut config.assistant),
        from: From::Start,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::HashSet;

    #[test]
    fn every_default_is_accepted() {
        for setting in SETTINGS {
            let outcome = setting.takes.put(setting.default, &mut Config::blank());
            assert_eq!(outcome, Ok(()), "{}", setting.key);
        }
    }

    #[test]
    fn no_two_settings_share_a_key_or_a_variable() {
        let keys: HashSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        let variables: HashSet<_> = SETTINGS.iter().map(Setting::variable).collect();
        assert_eq!((keys.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
    }

    #[test]
    fn a_slip_of_the_keyboard_is_near_what_was_meant() {
        for (slip, meant) in [
            ("limits.text_byte", "limits.text_bytes"),
            ("limit.text_bytes", "limits.text_bytes"),
            ("text_bytes", "limits.text_bytes"),
            ("listen", "listen.tcp"),
            ("policy.timezone", "policy.timezones"),
            ("timing.hearbeat_secs", "timing.heartbeat_secs"),
            ("dtaa", "data"),
        ] {
            assert_eq!(Setting::nearest(slip), meant, "{slip}");
        }
    }
}
