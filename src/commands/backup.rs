//! `chatwire backup` and `chatwire restore`

use super::check::tell;
use super::{Error, say};
use chatwire::clock;
use chatwire::store::sqlite::care::{self, Look, Media};
use clap::Args;
use std::path::{Path, PathBuf};

/// Where to, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackupCommand {
    /// The folder for the backup. It is made, or empty.
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    how: How,
}

/// From where, and how. Where to says --data.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestoreCommand {
    /// The folder of the backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
struct How {
    /// Copy the files of media also where both folders are on one file system. Else they have a second name there (a
    /// hard link), which takes no room.
    #[arg(long)]
    copy: bool,
    /// Check the copy without reading the bytes of media again.
    #[arg(long)]
    quick: bool,
}

impl How {
    fn media(self) -> Media {
        if self.copy { Media::Copied } else { Media::Linked }
    }

    fn look(self) -> Look {
        Look { quick: self.quick, now: clock::wall() }
    }
}

impl BackupCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        let report = care::backup(data, &self.to, self.how.media(), self.how.look())?;
        if !report.wrong.is_empty() {
            say(&format!("{}: this is no backup; look after the data first", self.to.display()))?;
        }
        tell(&report, self.how.quick)?;
        say(&format!("backed up into {}", self.to.display()))
    }
}

impl RestoreCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        let report = care::restore(&self.from, data, self.how.media(), self.how.look())?;
        if !report.wrong.is_empty() {
            say(&format!("{}: this is no data; try another backup", data.display()))?;
        }
        tell(&report, self.how.quick)?;
        say(&format!("restored into {}: a server may be started on it", data.display()))
    }
}
