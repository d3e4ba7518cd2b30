//! `chatwire check`

use super::{Error, say};
use chatwire::clock;
use chatwire::store::sqlite::care::{self, Look, Report};
use clap::Args;
use std::path::Path;

/// How to look at the data.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckCommand {
    /// Read neither the bytes of media nor the indexes: whatever its size, this takes a moment for each GiB of database.
    #[arg(long)]
    quick: bool,
}

impl CheckCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        let report = care::check(data, Look { quick: self.quick, now: clock::wall() })?;
        tell(&report, self.quick)
    }
}

/// Says what was found, and fails if anything is wrong.
pub(super) fn tell(report: &Report, quick: bool) -> Result<(), Error> {
    report.wrong.iter().try_for_each(|wrong| say(&format!("WRONG: {wrong}")))?;
    report.spare.iter().try_for_each(|spare| say(&format!("spare: {spare}")))?;
    match report.wrong.len() {
        0 => say(&sound(report, quick)),
        count => Err(Error::Unsound(count)),
    }
}

fn sound(report: &Report, quick: bool) -> String {
    let Report { users, chats, messages, files, bytes, .. } = report;
    let how = if quick { "; the bytes of media were not read" } else { "" };
    format!("sound: {users} users, {chats} chats, {messages} messages, {files} files of {bytes} bytes{how}")
}
