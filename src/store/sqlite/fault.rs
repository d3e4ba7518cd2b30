//! Why something was not done: by a rule, or because the database failed. One place makes the second a first.

use crate::error::Refusal;
use crate::store::storage_full;
use chatwire_codec::Code;
use rusqlite::ErrorCode;
use rusqlite::ffi::{
    SQLITE_CONSTRAINT_UNIQUE, SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMLOCK,
    SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE,
};

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

/// Ends the process if a failed COMMIT may have stored what it was to store: all of it was written to the log, but the
/// disk, or the log's index, failed behind that. A crash would bring it back, so "nothing was stored" could be a lie, and
/// "stored" too; and the system reports a failed sync once and then says that all is well. At the next start the log is
/// what it is (`open::recover`), and clients send what was not answered again.
pub(super) fn end_if_in_doubt(error: &rusqlite::Error) {
    let in_doubt = [
        SQLITE_IOERR_FSYNC,
        SQLITE_IOERR_DIR_FSYNC,
        SQLITE_IOERR_SHMOPEN,
        SQLITE_IOERR_SHMSIZE,
        SQLITE_IOERR_SHMMAP,
        SQLITE_IOERR_SHMLOCK,
    ];
    if extended(error).is_some_and(|code| in_doubt.contains(&code)) {
        log::error!("store: nobody can know what of the last changes the disk has: {error}; the server ends");
        std::process::abort();
    }
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
