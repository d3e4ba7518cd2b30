//! `chatwire ban …`

use super::{Error, done, open, table, time};
use chatwire::clock;
use chatwire::id::Micros;
use chatwire::policy::bans::{Ban, Network};
use chatwire::store::sqlite::admin::{BanRow, Whom};
use clap::{Args, Subcommand};
use std::path::Path;

/// What is to be done with bans.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum BanCommand {
    /// Keep somebody out, and end the connections that are there.
    Add {
        #[command(flatten)]
        whom: Named,
        /// What those are told who are kept out.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// For how long, such as 90m, 12h or 30d; if it is not given, for ever.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: Option<Micros>,
    },
    /// List the bans.
    List,
    /// Let somebody in again.
    Remove {
        #[command(flatten)]
        whom: Named,
    },
}

/// Whom a ban hits, as it is said on the command line.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// An address (192.0.2.7, 2001:db8::1), a network (192.0.2.0/24) or else the name of a user.
    #[arg(value_name = "WHOM")]
    whom: String,
    /// It is the name of a user, though it looks like an address.
    #[arg(long)]
    user: bool,
}

impl BanCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        match self {
            BanCommand::Add { whom, reason, span } => {
                let until = span.map(|span| clock::wall().saturating_add(span));
                let ban = Ban { until, reason: reason.as_str().into() };
                let until = until.map_or_else(String::new, |until| format!(" until {}", time(until)));
                let text = format!("{} is banned{until}.", whom.whom);
                done(open(data)?.ban(&whom.parse(), &ban)?, &text)
            }
            BanCommand::List => list(data),
            BanCommand::Remove { whom } => {
                done(open(data)?.unban(&whom.parse())?, &format!("{} is not banned any more.", whom.whom))
            }
        }
    }
}

impl Named {
    fn parse(&self) -> Whom {
        match self.whom.parse::<Network>() {
            Ok(network) if !self.user => Whom::Network(network),
            _ => Whom::User(self.whom.as_str().into()),
        }
    }
}

fn list(data: &Path) -> Result<(), Error> {
    let row = |row: &BanRow| {
        let kind = if row.is_user { "user" } else { "address" };
        let until = row.ban.until.map_or_else(|| "for ever".to_owned(), time);
        [kind.to_owned(), row.whom.to_string(), time(row.created_at), until, row.ban.reason.to_string()]
    };
    let rows: Vec<_> = open(data)?.bans()?.iter().map(row).collect();
    table(["KIND", "WHOM", "SINCE", "UNTIL", "REASON"], &rows)
}

/// A span such as `90m`, in microseconds.
fn span(text: &str) -> Result<Micros, &'static str> {
    const FORM: &str = "a time is a number and one of the units s, m, h, d, such as 12h";
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
    let seconds: Micros = match &text[at..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(FORM),
    };
    let number: Micros = text[..at].parse().map_err(|_| FORM)?;
    let span = number.checked_mul(seconds * 1_000_000).ok_or("this is longer than anybody lives")?;
    if span > 0 { Ok(span) } else { Err("a ban lasts longer than that") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_units() {
        assert_eq!(span("90m"), Ok(5_400_000_000));
        assert_eq!(span("2d"), span("48h"));
        for text in ["", "m", "90", "1w", "-1h", "1.5h", "0s", "99999999999999d", "1h30m"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_looks_like_an_address_is_one_unless_it_is_said_to_be_a_user() {
        let named = |whom: &str, user| Named { whom: whom.into(), user }.parse();
        assert_eq!(named("10.0.0.0/8", false), Whom::Network("10.0.0.0/8".parse().unwrap()));
        assert_eq!(named("10.0.0.1", true), Whom::User("10.0.0.1".into()));
        assert_eq!(named("ann", false), Whom::User("ann".into()));
    }
}
