//! `chatwire gc`

use super::{Error, done, open, say};
use chatwire::clock;
use chatwire::store::sqlite::care::{self, Clutter, Pile};
use clap::Args;
use std::path::Path;
use std::sync::Arc;

/// Whether to clear up, or only to look.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct GcCommand {
    /// Say what would go, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

impl GcCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        let found = care::clutter(data, clock::wall())?;
        if self.dry_run {
            return say(&format!("would remove: {}", told(found)));
        }
        let mut admin = open(data)?;
        let is_done = if admin.is_served()? {
            done(admin.sweep()?, "")
        } else {
            drop(admin);
            care::clear(data, Arc::new(clock::wall))?;
            Ok(())
        };
        let left = care::clutter(data, clock::wall())?;
        say(&format!("removed: {}", told(found.less(left))))?;
        is_done
    }
}

fn told(clutter: Clutter) -> String {
    let Clutter { files, rows, uploads, halves, temporary } = clutter;
    let pile = |pile: Pile, what: &str| {
        (pile.files > 0).then(|| format!("{what}: {} ({} bytes)", pile.files, pile.bytes))
    };
    let count = |count: u64, what: &str| (count > 0).then(|| format!("{what}: {count}"));
    let parts = [
        pile(files, "files without a message"),
        count(uploads, "uploads that nobody has sent for 7 days"),
        count(rows, "rows of media that nobody needs"),
        pile(halves, "half uploads that nobody has gone on with for a day"),
        pile(temporary, "temporary files"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}
