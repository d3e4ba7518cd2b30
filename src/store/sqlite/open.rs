//! From a folder to connections: the lock, the settings of SQLite, the schema's version.

use super::Clock;
use crate::config::Durability;
use crate::id::MediaId;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What data has that is made now.
const SCHEMA: &str = include_str!("../../../schema.sql");
/// From each earlier version to the next, the first of them from version 1. Only ever appended to.
const STEPS: &[&str] =
    &[include_str!("steps/2.sql"), include_str!("steps/3.sql"), include_str!("steps/4.sql")];
/// The version of [`SCHEMA`].
const VERSION: usize = STEPS.len() + 1;

const DATABASE: &str = "chatwire.db";
const LOCK: &str = "chatwire.lock";

/// How often a server tries to lock the folder, and how long it rests in between: the operator's commands look
/// at the lock too.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How long a statement waits for another process (a backup, the operator's commands).
const BUSY: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps; more than there are.
const STATEMENTS: usize = 128;
/// Pages that the writer keeps, in KiB (negative, as SQLite counts it): the index of recent nonces and the ends
/// of busy chats stay in memory.
const WRITER_CACHE: i64 = -16_384;
/// The same for each reader.
const READER_CACHE: i64 = -2_048;
/// Pages in the log before it is copied into the database: 16 MiB, so that its two extra syncs are rare.
const CHECKPOINT_PAGES: i64 = 4_096;
/// Bytes that the log's file is cut back to after a burst.
const LOG_BYTES: i64 = 64 << 20;
/// Epochs are numbers on the wire that some clients hold in a double.
const EPOCH_BITS: u32 = 53;

/// Why the data cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has it open.
    #[error("{}: another server is running on this data folder; stop it, or choose another with --data", .0.display())]
    Locked(PathBuf),
    /// It was written by a newer server.
    #[error("{}: the data has version {found}, this server knows up to {known}; use a newer chatwire", .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// The folder or the lock file.
    #[error("{}: {source}", .path.display())]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// The database.
    #[error("{}: {source}", .path.display())]
    Sqlite {
        /// What was to be opened.
        path: PathBuf,
        /// Why it was not.
        source: rusqlite::Error,
    },
    /// The pool of readers.
    #[error("{}: {source}", .path.display())]
    Readers {
        /// What was to be opened.
        path: PathBuf,
        /// Why it was not.
        source: r2d2::Error,
    },
}

/// The database's file in this data folder.
pub(super) fn database(data: &Path) -> PathBuf {
    data.join(DATABASE)
}

/// Makes the folder if it is missing and locks it, for as long as the file lives.
pub(super) fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join(LOCK);
    let fault = |source| OpenError::Io { path: path.clone(), source };
    make_private(data).map_err(|source| OpenError::Io { path: data.to_owned(), source })?;
    // Not truncated: the file is empty, and another process may hold it.
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
    for again in (0..LOCK_TRIES).rev() {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // It may be a command, which holds it for a moment.
            Err(TryLockError::WouldBlock) if again > 0 => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
    }
    Err(OpenError::Locked(data.to_owned()))
}

/// Whether a server works on this data folder.
pub(super) fn is_locked(data: &Path) -> Result<bool, OpenError> {
    let path = data.join(LOCK);
    let fault = |source| OpenError::Io { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

/// Makes a folder that only the server's own user may look into. One that is there stays as it is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// The connection that writes, on a database of the newest version; and the media whose files may go.
pub(super) fn writer(
    path: &Path,
    durability: Durability,
    clock: &Clock,
) -> Result<(Connection, Vec<MediaId>), OpenError> {
    let mut db = Connection::open(path).map_err(sqlite(path))?;
    set_up(&db, WRITER_CACHE).map_err(sqlite(path))?;
    set_up_writer(&db, durability).map_err(sqlite(path))?;
    migrate(&mut db, path)?;
    let freed = end_last_run(&mut db, clock()).map_err(sqlite(path))?;
    Ok((db, freed))
}

/// A connection for the operator's commands, beside a server's or alone. Data of an older version is brought to
/// the newest one, for which no server may be working on it.
pub(super) fn admin(data: &Path) -> Result<Connection, OpenError> {
    let path = database(data);
    if version(&path)? != VERSION as i64 {
        let _lock = lock(data)?;
        let mut db = Connection::open(&path).map_err(sqlite(&path))?;
        set_up(&db, READER_CACHE).map_err(sqlite(&path))?;
        set_up_writer(&db, Durability::Full).map_err(sqlite(&path))?;
        migrate(&mut db, &path)?;
    }
    let db = Connection::open(&path).map_err(sqlite(&path))?;
    set_up(&db, READER_CACHE).map_err(sqlite(&path))?;
    set_up_writer(&db, Durability::Full).map_err(sqlite(&path))?;
    Ok(db)
}

/// The version of the schema; 0 if there is no database.
fn version(path: &Path) -> Result<i64, OpenError> {
    if !path.exists() {
        return Ok(0);
    }
    let db = Connection::open(path).map_err(sqlite(path))?;
    db.busy_timeout(BUSY).map_err(sqlite(path))?;
    db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite(path))
}

/// Connections that read.
pub(super) fn readers(path: &Path, count: u32) -> Result<super::Readers, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let manager = r2d2_sqlite::SqliteConnectionManager::file(path).with_flags(flags).with_init(
        |db: &mut Connection| {
            set_up(db, READER_CACHE)?;
            // Not SQLITE_OPEN_READ_ONLY: a reader must be able to recover the log's index.
            db.pragma_update(None, "query_only", true)
        },
    );
    r2d2::Pool::builder()
        .max_size(count.max(1))
        .min_idle(Some(1))
        .test_on_check_out(false)
        .connection_timeout(BUSY)
        .build(manager)
        .map_err(|source| OpenError::Readers { path: path.to_owned(), source })
}

/// The random number that the data was given when it was made.
pub(super) fn epoch(db: &Connection, path: &Path) -> Result<u64, OpenError> {
    let epoch: i64 = db
        .query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
        .map_err(sqlite(path))?;
    Ok(epoch.unsigned_abs())
}

pub(super) fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> OpenError {
    move |source| OpenError::Sqlite { path: path.to_owned(), source }
}

/// No `mmap_size`: with it a disk that fails to read ends the process instead of one statement.
fn set_up(db: &Connection, cache: i64) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "cache_size", cache)
}

fn set_up_writer(db: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::Full => "full",
        Durability::Normal => "normal",
    };
    db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    db.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))
}

/// Each step in a transaction of its own, with the version that it leads to.
fn migrate(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite(path))?;
    match usize::try_from(found) {
        Ok(0) => carry_out(db, SCHEMA, VERSION).map_err(sqlite(path)),
        Ok(done) if done <= VERSION => {
            for (step, sql) in STEPS.iter().enumerate().skip(done - 1) {
                carry_out(db, sql, step + 2).map_err(sqlite(path))?;
            }
            Ok(())
        }
        _ => Err(OpenError::Newer { path: path.to_owned(), found, known: VERSION as i64 }),
    }
}

/// Makes a database of this version.
fn carry_out(db: &mut Connection, sql: &str, version: usize) -> rusqlite::Result<()> {
    let step = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    step.execute_batch(sql)?;
    let epoch = random_epoch()?;
    step.execute(
        "INSERT INTO meta (key, value) VALUES ('epoch', ?1) ON CONFLICT DO NOTHING",
        params![epoch],
    )?;
    step.pragma_update(None, "user_version", version as i64)?;
    step.commit()
}

/// Not 0, which is what a client has that was never here.
fn random_epoch() -> rusqlite::Result<i64> {
    let random = getrandom::u64()
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(io::Error::other(e))))?;
    let epoch = (random >> (u64::BITS - EPOCH_BITS)).max(1);
    Ok(epoch.cast_signed())
}

/// All connections ended with the process that they were connected to: at the latest now.
fn end_last_run(db: &mut Connection, now: i64) -> rusqlite::Result<Vec<MediaId>> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let freed = super::membership::end_of_all_guests(&transaction)?;
    transaction
        .execute("UPDATE users SET last_seen = ?1 WHERE last_seen IS NULL AND kind <> 2", params![now])?;
    transaction.commit()?;
    Ok(freed)
}
