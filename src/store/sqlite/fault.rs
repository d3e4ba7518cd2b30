//! Why something was not done: by a rule, or because the database failed. One place makes the second a first.

use crate::error::Refusal;
use crate::store::storage_full;
use chatwire_codec::Code;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_CONSTRAINT_UNIQUE, SQLITE_IOERR_SHMSIZE};

pub(super) type Done<T> = Result<T, Fault>;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// A rule forbids it.
    Refused(Refusal),
    /// The database failed.
    Sql(rusqlite::Error),
}

impl Fault {
    pub(super) fn new(code: Code, text: &'static str) -> Self {
        Fault::Refused(Refusal::new(code, text))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Fault::Refused(refusal)
    }
}

/// What a client is told of a failure. The cause is for the log.
pub(super) fn refusal(error: &rusqlite::Error) -> Refusal {
    // The shared index of the log is a file too, whose growth SQLite reports in a way of its own.
    if code(error) == Some(ErrorCode::DiskFull) || extended(error) == Some(SQLITE_IOERR_SHMSIZE) {
        return storage_full();
    }
    Refusal::internal()
}

/// Whether the database is not what was written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A failure, for the log: with what the operator can do about it.
pub(super) fn told(error: &rusqlite::Error) -> String {
    let advice = if is_damage(error) {
        "; the database is damaged, which the disk, the file system or another program did: stop the server and \
         run `chatwire check`"
    } else {
        ""
    };
    format!("{error}{advice}")
}

/// Whether a row was refused because a unique index has it already.
pub(super) fn is_taken(error: &rusqlite::Error) -> bool {
    extended(error) == Some(SQLITE_CONSTRAINT_UNIQUE)
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

fn extended(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|e| e.extended_code)
}
