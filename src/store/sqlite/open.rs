//! From a folder to connections: the lock, the settings of SQLite, the schema's version.

use super::Clock;
use super::fault;
use crate::config::Durability;
use crate::id::MediaId;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What data has that is made now.
const SCHEMA: &str = include_str!("../../../schema.sql");
/// From each earlier version to the next, the first of them from version 1. Only ever appended to.
const STEPS: &[&str] = &[
    include_str!("steps/2.sql"),
    include_str!("steps/3.sql"),
    include_str!("steps/4.sql"),
    include_str!("steps/5.sql"),
];
/// The version of [`SCHEMA`].
const VERSION: usize = STEPS.len() + 1;

const DATABASE: &str = "chatwire.db";
/// A database that is being made, until it has all that a new one has.
const NEW: &str = "chatwire.db.new";
/// One that is copied, until all that belongs to it is there too.
const PART: &str = "chatwire.db.part";
/// The fact about the data that it is a backup: since when.
pub(super) const BACKUP_MARK: &str = "backup";
const LOCK: &str = "chatwire.lock";

/// How often a server tries to lock the folder, and how long it rests in between: the operator's commands look
/// at the lock too.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How long a statement waits for another process (a backup, the operator's commands).
pub(super) const BUSY: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps; more than there are.
const STATEMENTS: usize = 128;
/// Pages that the writer keeps, in KiB (negative, as SQLite counts it): the index of recent nonces and the ends
/// of busy chats stay in memory.
const WRITER_CACHE: i64 = -16_384;
/// The same for each reader.
const READER_CACHE: i64 = -2_048;
/// A reader that nobody has needed for so long is closed.
const READER_IDLE: Duration = Duration::from_secs(600);
/// Pages in the log before it is copied into the database: 16 MiB, so that its two extra syncs are rare.
const CHECKPOINT_PAGES: i32 = 4_096;
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
    /// It is not what a server wrote there.
    #[error("{}: the database is damaged: {why}. A server does not do that: the disk, the file system or another \
             program did. Nothing was changed. Stop what works on this folder and keep a copy of it; `chatwire check \
             --data {}` says what is wrong with it; `chatwire restore` makes data of a backup.", .path.display(), folder(.path).display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// How that is known.
        why: String,
    },
    /// It is gone, and what belonged to it is not.
    #[error("{}: the database is missing, and beside it lies {remains}. No new one is made here: bring the file \
             back, or take the folder {} away to start anew.", .path.display(), folder(.path).display())]
    Missing {
        /// Where it was.
        path: PathBuf,
        /// What is still there.
        remains: &'static str,
    },
    /// It is a backup.
    #[error("{}: this is a backup, which stays as it is; `chatwire restore {} --data NEW` makes data of it in the \
             folder NEW", .0.display(), folder(.0).display())]
    Backup(PathBuf),
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

/// The database in a folder into which data is being copied.
pub(super) fn part(data: &Path) -> PathBuf {
    data.join(PART)
}

/// The folder that a database is in.
fn folder(database: &Path) -> &Path {
    database.parent().unwrap_or(database)
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

/// Makes a folder that only the server's own user may look into, and whose name lasts. One that is there stays as it
/// is.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let missing = folder.ancestors().take_while(|folder| !folder.exists()).count();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&folder)?;
    // The folder's own name too where it was there before: who made it may have crashed.
    for parent in folder.ancestors().skip(1).take(missing.max(1)) {
        match File::open(parent) {
            Ok(parent) => parent.sync_all()?,
            // Somebody else made the folder then.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The connection that writes, on a database of the newest version; and the media whose files may go.
pub(super) fn writer(
    path: &Path,
    durability: Durability,
    clock: &Clock,
) -> Result<(Connection, Vec<MediaId>), OpenError> {
    make_if_missing(path)?;
    let mut db = Connection::open(path).map_err(sqlite(path))?;
    set_up(&db, WRITER_CACHE).map_err(sqlite(path))?;
    migrate(&mut db, path, durability)?;
    let freed = end_last_run(&mut db, clock()).map_err(sqlite(path))?;
    Ok((db, freed))
}

/// A connection for the operator's commands, beside a server's or alone. Data of an older version is brought to
/// the newest one, for which no server may be working on it.
pub(super) fn admin(data: &Path) -> Result<Connection, OpenError> {
    let path = database(data);
    if !path.exists() || version(&path)? != VERSION as i64 {
        let _lock = lock(data)?;
        make_if_missing(&path)?;
        let mut db = Connection::open(&path).map_err(sqlite(&path))?;
        set_up(&db, READER_CACHE).map_err(sqlite(&path))?;
        migrate(&mut db, &path, Durability::Full)?;
    }
    let db = Connection::open(&path).map_err(sqlite(&path))?;
    set_up(&db, READER_CACHE).map_err(sqlite(&path))?;
    is_no_backup(&db, &path)?;
    set_up_writer(&db, Durability::Full).map_err(sqlite(&path))?;
    Ok(db)
}

/// A connection that changes nothing, whatever is asked: on a folder that cannot be written too.
pub(super) fn observer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    is_no_empty_file(path)?;
    let db = Connection::open_with_flags(path, flags).map_err(sqlite(path))?;
    set_up(&db, READER_CACHE).map_err(sqlite(path))?;
    Ok(db)
}

/// The version of the schema.
fn version(path: &Path) -> Result<i64, OpenError> {
    let db = observer(path)?;
    found_version(&db, path)
}

/// The version of the schema: one that this server, or an earlier one, has made.
///
/// # Errors
/// When it is none of those.
pub(super) fn found_version(db: &Connection, path: &Path) -> Result<i64, OpenError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite(path))?;
    match found {
        // A database gets its name when it is whole, so that nobody takes one that lost everything for a new one.
        ..=0 => {
            Err(OpenError::Damaged { path: path.to_owned(), why: "it has no data of Chatwire in it".into() })
        }
        _ if found > VERSION as i64 => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: VERSION as i64 })
        }
        _ => Ok(found),
    }
}

/// Whether this is a backup.
pub(super) fn is_backup(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare("SELECT 1 FROM meta WHERE key = ?1")?.exists([BACKUP_MARK])
}

fn is_no_backup(db: &Connection, path: &Path) -> Result<(), OpenError> {
    if is_backup(db).map_err(sqlite(path))? { Err(OpenError::Backup(path.to_owned())) } else { Ok(()) }
}

/// Makes data of the copy of a backup: it is no backup any more, its epoch is new, and its schema the newest. It stays
/// one file, without a log.
pub(super) fn renew(path: &Path) -> Result<(), OpenError> {
    let mut db = Connection::open(path).map_err(sqlite(path))?;
    set_up(&db, READER_CACHE).map_err(sqlite(path))?;
    let renewed = db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|change| {
        change.execute("DELETE FROM meta WHERE key = ?1", [BACKUP_MARK])?;
        change.execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [random_epoch()?])?;
        change.commit()
    });
    renewed.map_err(sqlite(path))?;
    migrate(&mut db, path, Durability::Full)?;
    db.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(sqlite(path))?;
    db.close().map_err(|(_, e)| sqlite(path)(e))
}

/// Whether the schema is the newest one.
pub(super) fn is_newest(found: i64) -> bool {
    found == VERSION as i64
}

/// SQLite takes an empty file for a new database, and then throws the log away that belonged to it.
fn is_no_empty_file(path: &Path) -> Result<(), OpenError> {
    let fault = |source| OpenError::Io { path: path.to_owned(), source };
    if fs::metadata(path).map_err(fault)?.len() > 0 {
        return Ok(());
    }
    Err(OpenError::Damaged { path: path.to_owned(), why: "the file is empty".into() })
}

/// Makes an empty database, if there is none and nothing says that there was one. It is made under another name
/// first: whatever has its own is whole.
fn make_if_missing(path: &Path) -> Result<(), OpenError> {
    if path.exists() {
        return is_no_empty_file(path);
    }
    let fault = |source| OpenError::Io { path: path.to_owned(), source };
    if let Some(remains) = remains(path) {
        return Err(OpenError::Missing { path: path.to_owned(), remains });
    }
    let new = folder(path).join(NEW);
    for leftover in ["", "-wal", "-shm"].map(|tail| folder(path).join(format!("{NEW}{tail}"))) {
        match fs::remove_file(leftover) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fault(e)),
            _ => {}
        }
    }
    let mut db = Connection::open(&new).map_err(sqlite(&new))?;
    set_up_writer(&db, Durability::Full).map_err(sqlite(&new))?;
    carry_out(&mut db, SCHEMA, VERSION).map_err(sqlite(&new))?;
    db.close().map_err(|(_, e)| sqlite(&new)(e))?;
    let synced = File::open(&new).and_then(|file| file.sync_all());
    synced.and_then(|()| fs::rename(&new, path)).map_err(fault)?;
    File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(fault)
}

/// What there is of a database that is gone.
fn remains(path: &Path) -> Option<&'static str> {
    let has_any = |folder: PathBuf| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let log = folder(path).join(format!("{DATABASE}-wal"));
    if folder(path).join(PART).exists() {
        Some("a copy that was never finished (chatwire.db.part)")
    } else if fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        Some("its log (chatwire.db-wal)")
    } else if has_any(folder(path).join("media")) {
        Some("media (media/)")
    } else {
        None
    }
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
        // Of several, those that nobody needs give their memory back; one alone stays, and needs nobody to look after it.
        .idle_timeout((count > 1).then_some(READER_IDLE))
        .max_lifetime(None)
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
    move |source| match fault::is_damage(&source) {
        true => OpenError::Damaged { path: path.to_owned(), why: format!("SQLite says: {source}") },
        false => OpenError::Sqlite { path: path.to_owned(), source },
    }
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
    // SQLite's own would say nothing of a sync that failed.
    db.wal_hook(Some(|log, pages| {
        if pages >= CHECKPOINT_PAGES
            && let Err(error) = log.checkpoint()
        {
            fault::end_if_in_doubt(&error);
        }
        Ok(())
    }));
    db.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))
}

/// Brings all that the last run has left in the log into the database, and both to the disk. What is read from now on
/// may be told, so it must be durable; but a log that was written and not synced, since the process ended in between or
/// the disk failed, looks as if it were, and what came behind a hole in it would be lost with the power.
fn recover(db: &Connection) -> rusqlite::Result<()> {
    let is_busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let why = "another program has read in it for too long; end that one, and start again";
        return Err(rusqlite::Error::SqliteFailure(busy, Some(why.to_owned())));
    }
    Ok(())
}

/// Each step in a transaction of its own, with the version that it leads to. Nothing is written before the version is
/// known to be one of ours.
fn migrate(db: &mut Connection, path: &Path, durability: Durability) -> Result<(), OpenError> {
    let found = found_version(db, path)?;
    is_no_backup(db, path)?;
    set_up_writer(db, durability).map_err(sqlite(path))?;
    recover(db).map_err(sqlite(path))?;
    let done = usize::try_from(found).unwrap_or(VERSION);
    for (step, sql) in STEPS.iter().enumerate().skip(done - 1) {
        carry_out(db, sql, step + 2).map_err(sqlite(path))?;
    }
    Ok(())
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
