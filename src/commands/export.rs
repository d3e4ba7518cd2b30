//! `chatwire export`

use super::{Error, say};
use chatwire::clock;
use chatwire::store::sqlite::care::{self, Counts, Media};
use clap::Args;
use std::path::{Path, PathBuf};

/// Where to.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportCommand {
    /// The folder for the export. It is made, or empty.
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Copy the files of media also where both folders are on one file system. Else they have a second name there (a
    /// hard link), which takes no room.
    #[arg(long)]
    copy: bool,
}

impl ExportCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        let media = if self.copy { Media::Copied } else { Media::Linked };
        let counts = care::export(data, &self.to, media, clock::wall())?;
        let Counts { users, chats, members, messages, missing } = counts;
        say(&format!(
            "exported into {}: {users} users, {chats} chats, {members} members, {messages} messages",
            self.to.display()
        ))?;
        if missing > 0 { Err(Error::Missing(missing)) } else { Ok(()) }
    }
}
