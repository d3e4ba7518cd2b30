//! Whether the files of media are what their rows say, and each has a row.
//!
//! A server that runs removes rows first and files after, and makes files first and rows after. So a file that is
//! missing is looked for again in the rows of that moment, and one without a row counts only when it has lain a while.

use super::super::chat::id_at;
use super::super::{open, upload};
use super::{Look, Report, Tally};
use crate::id::{MediaId, Micros};
use crate::store::media::inventory::{self, Lying};
use crate::store::media::relative_path;
use crate::store::sqlite::OpenError;
use crate::store::sqlite::admin::AdminError;
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

/// Rows of media that are read at once.
const ROWS: usize = 1024;
/// A file that was written so long ago is not about to get a row.
pub(super) const SETTLED: Micros = 3600 * 1_000_000;

/// The system's number for a disk that fails.
const EIO: i32 = 5;

const LOST: &str = "The disk, the file system or another program did that. Their messages stay, and clients cannot \
                    fetch them. Bring the files back from a backup: they have the same names there.";
const SPARE: &str = "They cost room and nothing else; `chatwire gc` removes them.";
const STRANGE: &str = "No server made them, so nothing here removes them.";

pub(super) fn check(data: &Path, database: &Path, look: Look, report: &mut Report) -> Result<(), AdminError> {
    let db = open::observer(database)?;
    check_rows(data, &db, look, report)?;
    check_shelves(data, &db, look, report)?;
    let rows = unused(&db)?;
    if rows > 0 {
        report.spare.push(format!("rows of media that nobody needs ({rows}). {SPARE}"));
    }
    Ok(())
}

/// Each row has its file.
fn check_rows(data: &Path, db: &Connection, look: Look, report: &mut Report) -> Result<(), AdminError> {
    let (mut missing, mut other_length, mut other_bytes) =
        (Tally::default(), Tally::default(), Tally::default());
    let mut behind: Vec<u8> = Vec::new();
    loop {
        let rows = rows_behind(db, &behind)?;
        let Some((last, _)) = rows.last() else { break };
        behind = last.0.to_vec();
        for (id, size) in &rows {
            report.files += 1;
            report.bytes += size;
            let tally = match look_at(data, id, *size, look.quick)? {
                Found::Right => continue,
                Found::Missing => &mut missing,
                Found::OtherLength => &mut other_length,
                Found::OtherBytes => &mut other_bytes,
            };
            if is_listed(db, id)? {
                tally.add(|| relative_path(id));
            }
        }
    }
    missing.say(&mut report.wrong, "files of media are missing", LOST);
    other_length.say(&mut report.wrong, "files of media have another length than they had", LOST);
    other_bytes.say(&mut report.wrong, "files of media have other bytes than they had", LOST);
    Ok(())
}

/// What a file is, beside what it should be.
enum Found {
    Right,
    Missing,
    OtherLength,
    OtherBytes,
}

fn look_at(data: &Path, id: &MediaId, size: u64, quick: bool) -> Result<Found, AdminError> {
    let path = data.join(relative_path(id));
    let found = fs::metadata(&path).and_then(|found| match () {
        () if found.len() != size => Ok(Found::OtherLength),
        () if quick || inventory::digest(&path)? == (*id, size) => Ok(Found::Right),
        () => Ok(Found::OtherBytes),
    });
    match found {
        Ok(found) => Ok(found),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
        // A disk that does not give the bytes back has not kept them.
        Err(e) if e.raw_os_error() == Some(EIO) => Ok(Found::OtherBytes),
        Err(source) => Err(OpenError::Io { path, source }.into()),
    }
}

/// Pieces of media behind this one, each once.
pub(super) fn rows_behind(db: &Connection, id: &[u8]) -> rusqlite::Result<Vec<(MediaId, u64)>> {
    db.prepare_cached("SELECT id, max(size) FROM media WHERE id > ?1 GROUP BY id ORDER BY id LIMIT ?2")?
        .query_map(params![id, ROWS as i64], |row| Ok((MediaId(row.get(0)?), id_at(row, 1)?)))?
        .collect()
}

/// Rows of media that nobody needs.
pub(super) fn unused(db: &Connection) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM media m WHERE {}", upload::UNUSED);
    db.query_row(&sql, [], |row| id_at(row, 0))
}

fn is_listed(db: &Connection, id: &MediaId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM media WHERE id = ?1")?.exists(params![id.0])
}

/// Each file has its row.
fn check_shelves(data: &Path, db: &Connection, look: Look, report: &mut Report) -> Result<(), AdminError> {
    let (mut spare, mut strange, mut bytes) = (Tally::default(), Tally::default(), 0);
    for shelf in inventory::shelves(data).map_err(fault(data))? {
        let files = inventory::on_shelf(&shelf).map_err(fault(&shelf))?;
        for file in unlisted(db, files)? {
            if file.what.is_none() {
                strange.add(|| file.path.display().to_string());
            } else if look.now - file.touched_at > SETTLED {
                bytes += file.bytes;
                spare.add(|| file.path.display().to_string());
            }
        }
    }
    spare.say(&mut report.spare, &format!("files of {bytes} bytes in all belong to no message"), SPARE);
    strange.say(&mut report.spare, "files in media/ have names that no server gives", STRANGE);
    Ok(())
}

/// Those of one folder's files that have no row.
pub(super) fn unlisted(db: &Connection, files: Vec<Lying<MediaId>>) -> rusqlite::Result<Vec<Lying<MediaId>>> {
    let ids = || files.iter().filter_map(|file| file.what);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(files) };
    let listed: HashSet<MediaId> = db
        .prepare_cached("SELECT DISTINCT id FROM media WHERE id BETWEEN ?1 AND ?2")?
        .query_map(params![first.0, last.0], |row| row.get(0).map(MediaId))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(files.into_iter().filter(|file| file.what.is_none_or(|id| !listed.contains(&id))).collect())
}

pub(super) fn fault(path: &Path) -> impl FnOnce(io::Error) -> AdminError {
    move |source| OpenError::Io { path: path.to_owned(), source }.into()
}
