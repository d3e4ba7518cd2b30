//! The data as a whole, in the operator's hands: whether it is sound, what nobody needs,
//! and copies of it.
//!
//! Database and files are two things that a server keeps in step; here they are looked at together, beside a server
//! that runs or without one.

mod backup;
mod clear;
mod copy;
mod export;
mod files;
mod restore;
mod rows;

pub use backup::backup;
pub use clear::{Clutter, Pile, clear, clutter};
pub use copy::Media;
pub use export::{Counts, export};
pub use restore::restore;

use super::admin::AdminError;
use super::open;
use crate::id::Micros;
use std::path::Path;

/// Of things that are alike so many are named; the rest is counted.
const EXAMPLES: usize = 3;

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong: what it is, whose fault, what to do.
    pub wrong: Vec<String>,
    /// What costs room and does no harm.
    pub spare: Vec<String>,
    /// Users, deleted ones too.
    pub users: u64,
    /// Chats.
    pub chats: u64,
    /// Messages.
    pub messages: u64,
    /// Files of media.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Neither at the bytes of media nor into SQLite's indexes and the index of words: much less is read.
    pub quick: bool,
    /// This moment.
    pub now: Micros,
}

/// Whether the data is sound. Changes nothing. Beside a server that runs it sees what is committed.
///
/// # Errors
/// When there is no data, it is of a newer version, or it cannot be read at all.
pub fn check(data: &Path, look: Look) -> Result<Report, AdminError> {
    let database = open::database(data);
    let has_any = [&database, &open::part(data), &data.join(crate::store::media::FOLDER)]
        .iter()
        .any(|path| path.exists());
    if !has_any {
        return Err(AdminError::NoData(data.to_owned()));
    }
    check_as(data, &database, look)
}

/// The same with a database of another name.
fn check_as(data: &Path, database: &Path, look: Look) -> Result<Report, AdminError> {
    let mut report = Report::default();
    if !database.exists() && open::part(data).exists() {
        report.wrong.push(format!(
            "{}: this is a backup, or a folder that one was restored into, that was never finished. Remove the folder, \
             and begin anew with an empty one.",
            data.display()
        ));
        return Ok(report);
    }
    if !database.exists() {
        report.wrong.push(format!(
            "{}: the database is missing: it was removed, or the folder was not copied as a whole. Bring it back, or \
             restore a backup.",
            database.display()
        ));
        return Ok(report);
    }
    if rows::check(database, look, &mut report)? {
        files::check(data, database, look, &mut report)?;
    }
    Ok(report)
}

/// Things that are alike: how many there are, and a few of them.
#[derive(Default)]
struct Tally {
    count: u64,
    examples: Vec<String>,
}

impl Tally {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }

    /// What is said of them, if there are any.
    fn say(&self, to: &mut Vec<String>, what: &str, advice: &str) {
        if self.count > 0 {
            let more = if self.count > self.examples.len() as u64 { ", …" } else { "" };
            to.push(format!("{what} ({}): {}{more}. {advice}", self.count, self.examples.join(", ")));
        }
    }
}
