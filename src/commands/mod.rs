//! The operator's commands: they read and change the data folder, beside a server that works on it or alone. (`cert`
//! needs none.)
//! What they lead to is the business of [`chatwire::store::sqlite::admin`].

mod backup;
mod ban;
mod cert;
mod check;
mod export;
mod gc;
mod secret;
mod user;

pub(crate) use backup::{BackupCommand, RestoreCommand};
pub(crate) use ban::BanCommand;
pub(crate) use cert::CertCommand;
use chatwire::clock;
use chatwire::id::Micros;
use chatwire::store::sqlite::admin::{Admin, AdminError, Effect};
pub(crate) use check::CheckCommand;
use chrono::{DateTime, SecondsFormat};
pub(crate) use export::ExportCommand;
pub(crate) use gc::GcCommand;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
pub(crate) use user::UserCommand;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{0}")]
    Secret(&'static str),
    #[error("{0}")]
    Cert(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the change is stored, but the running server has not acted on it yet: is it in trouble?")]
    Later,
    #[error("{}", if *.0 == 1 { "1 thing is wrong".to_owned() } else { format!("{} things are wrong", .0) })]
    Unsound(usize),
    #[error("{0} files of media are missing from the data, and so from here; `chatwire check` names them")]
    Missing(u64),
}

fn open(data: &Path) -> Result<Admin, Error> {
    Ok(Admin::open(data, Arc::new(clock::wall))?)
}

/// The first user may be there before the server is.
fn open_or_make(data: &Path) -> Result<Admin, Error> {
    Ok(Admin::open_or_make(data, Arc::new(clock::wall))?)
}

/// Says what was done, once it is in force.
fn done(effect: Effect, text: &str) -> Result<(), Error> {
    match effect {
        Effect::Now if text.is_empty() => Ok(()),
        Effect::Now => say(text),
        Effect::Later => Err(Error::Later),
    }
}

fn say(text: &str) -> Result<(), Error> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Rows under a head, in columns that are as wide as they must be.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Result<(), Error> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    let head = head.map(str::to_owned);
    for row in [&head].into_iter().chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(text, "{}", line.trim_end()).map_err(io::Error::other)?;
    }
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// A time, to the second.
fn time(at: Micros) -> String {
    DateTime::from_timestamp_micros(at)
        .map_or_else(|| at.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
