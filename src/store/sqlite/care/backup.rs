//! `chatwire backup`: all data in a folder of its own, as of one moment, while a server goes on.
//!
//! The database is copied in one snapshot, and then the files that it tells of. Meanwhile the server may delete rows; it
//! keeps their files as long as a backup holds the folder's other lock (`store/media/keep.rs`). The snapshot begins
//! behind the lock: what it tells of had its file then, and has it until the lock goes.

use super::super::admin::AdminError;
use super::super::open;
use super::{Look, Media, Report, check_as, copy};
use crate::id::Micros;
use crate::store::media::keep;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, params};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Pages that are copied at once.
const PAGES: i32 = 1024;
/// How often, and how many times, it is tried again while somebody keeps the database to themselves.
const PAUSE: Duration = Duration::from_millis(20);
const TRIES: u32 = 500;

/// Copies all data into a folder that is empty, and checks the copy. If that finds anything wrong, the folder is no backup.
///
/// # Errors
/// When there is no data, the folder is not empty, or a disk fails.
pub fn backup(data: &Path, to: &Path, media: Media, look: Look) -> Result<Report, AdminError> {
    if !open::database(data).exists() {
        return Err(AdminError::NoData(data.to_owned()));
    }
    let db = open::admin(data)?;
    copy::empty_folder(to)?;
    let part = open::part(to);
    let kept = keep::keep(data).map_err(super::files::fault(data))?;
    database(&db, &part, look.now)?;
    copy::media(data, to, &open::observer(&part)?, media)?;
    drop(kept);
    let report = check_as(to, &part, look)?;
    if report.wrong.is_empty() {
        copy::finish(&part, &open::database(to), to)?;
    }
    Ok(report)
}

/// Copies the database as it is at one moment, as one file, and writes down that it is a backup.
fn database(db: &Connection, part: &Path, now: Micros) -> Result<(), AdminError> {
    let mut copy = Connection::open(part)?;
    let snapshot = db.unchecked_transaction()?;
    // From here on it sees what is now, whatever is written.
    snapshot.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    let backup = Backup::new(&snapshot, &mut copy)?;
    let mut tries = 0;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ if tries == TRIES => return Err(AdminError::Refused("the database is busy; try again".into())),
            _ => {
                tries += 1;
                thread::sleep(PAUSE);
            }
        }
    }
    drop(backup);
    drop(snapshot);
    copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    copy.pragma_update(None, "synchronous", "full")?;
    copy.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
        params![open::BACKUP_MARK, now],
    )?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}
