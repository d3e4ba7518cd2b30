//! Where a steady client keeps what it has to come back to: in memory, in a file, or wherever a program wants.

mod file;
mod record;

pub use file::FileStorage;

use crate::kept::{Change, Kept};
use std::io;

/// Keeps what a client has to come back to. Its calls may block: they are made on a thread of their own.
pub trait Storage: Send + 'static {
    /// What was kept; [`Kept::default`] if nothing was.
    ///
    /// # Errors
    /// It cannot be read; the client does not start then.
    fn load(&mut self) -> io::Result<Kept>;

    /// Keeps these steps, in order. What it has said to keep outlives a crash, if anything kept here does.
    ///
    /// # Errors
    /// They are not kept, or not all. The client goes on, and tries them again with the next: a step that is
    /// taken twice has to do no harm.
    fn save(&mut self, changes: &[Change]) -> io::Result<()>;
}

/// Keeps everything as long as the program runs.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    kept: Kept,
}

impl MemoryStorage {
    /// Beginning with this.
    #[must_use]
    pub fn new(kept: Kept) -> Self {
        MemoryStorage { kept }
    }
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> io::Result<Kept> {
        Ok(self.kept.clone())
    }

    fn save(&mut self, changes: &[Change]) -> io::Result<()> {
        changes.iter().for_each(|change| self.kept.apply(change));
        Ok(())
    }
}
