//! Files of media stay while somebody copies them: a lock on the data folder that backups share.
//!
//! A server removes the rows of media first, and their files when that is committed. Behind the commit it looks at this
//! lock: held, the files stay for now. Free, nobody has begun to copy before the rows were gone, so nobody will look for
//! the files.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

const LOCK: &str = "backup.lock";

/// Keeps all files, until what this gives is dropped.
pub(in crate::store) fn keep(data: &Path) -> io::Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(data.join(LOCK))?;
    lock.lock_shared()?;
    Ok(lock)
}

/// Whether somebody keeps them. Where that cannot be known, they are kept.
pub(super) fn are_kept(data: &Path) -> bool {
    let lock = match File::open(data.join(LOCK)) {
        Ok(lock) => lock,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return false,
        Err(e) => {
            log::warn!("media: {LOCK}: {e}; files that nobody needs stay");
            return true;
        }
    };
    match lock.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(e)) => {
            log::warn!("media: {LOCK}: {e}; files that nobody needs stay");
            true
        }
    }
}
