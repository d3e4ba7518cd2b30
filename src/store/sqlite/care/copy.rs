//! Copies of data: into a folder that was empty, under names that nothing takes for data until all of it is there.

use super::super::admin::AdminError;
use super::super::{OpenError, open};
use super::files::{fault, rows_behind};
use crate::id::MediaId;
use crate::store::media::relative_path;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Whether a file of media may have two names, where both are on one file system: that takes no room and no time, and
/// since such files never change, one is as good as two. Only a disk that fails loses both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Another name for the same file, where that can be; a copy elsewhere.
    Linked,
    /// The bytes once more.
    Copied,
}

/// Makes a folder that only its owner may look into, or takes an empty one.
pub(super) fn empty_folder(folder: &Path) -> Result<(), AdminError> {
    open::make_private(folder).map_err(fault(folder))?;
    if fs::read_dir(folder).map_err(fault(folder))?.next().is_some() {
        let text =
            format!("{}: there is something in this folder already; name an empty one", folder.display());
        return Err(AdminError::Refused(text.into()));
    }
    Ok(())
}

/// Gives all media that this database has a file under the same name in another folder. Gives how many files are
/// missing.
pub(super) fn media(from: &Path, to: &Path, db: &Connection, media: Media) -> Result<u64, AdminError> {
    let (mut shelves, mut missing) = (BTreeSet::new(), 0);
    let mut behind: Vec<u8> = Vec::new();
    loop {
        let rows = rows_behind(db, &behind)?;
        let Some((last, _)) = rows.last() else { break };
        behind = last.0.to_vec();
        for (id, _) in &rows {
            match one(from, to, id, media)? {
                Some(shelf) => drop(shelves.insert(shelf)),
                None => missing += 1,
            }
        }
    }
    // A name lasts when the folder that it stands in is synced, and that one's name in its own.
    let above =
        shelves.iter().filter_map(|shelf| shelf.parent().map(Path::to_owned)).collect::<BTreeSet<_>>();
    shelves.iter().chain(&above).try_for_each(|folder| sync_folder(folder))?;
    Ok(missing)
}

/// One file; the folder that it is in then, unless it is missing.
fn one(from: &Path, to: &Path, id: &MediaId, media: Media) -> Result<Option<PathBuf>, AdminError> {
    let name = relative_path(id);
    let (from, to) = (from.join(&name), to.join(&name));
    let Some(shelf) = to.parent() else { return Ok(None) };
    fs::create_dir_all(shelf).map_err(fault(shelf))?;
    if media == Media::Linked && fs::hard_link(&from, &to).is_ok() {
        return Ok(Some(shelf.to_owned()));
    }
    match fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all()) {
        Ok(()) => Ok(Some(shelf.to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Io { path: to, source }.into()),
    }
}

/// Gives a database that is whole, and checked, its name. From then on the folder is what it is to be.
pub(super) fn finish(part: &Path, database: &Path, folder: &Path) -> Result<(), AdminError> {
    File::open(part).and_then(|file| file.sync_all()).map_err(fault(part))?;
    sync_folder(folder)?;
    fs::rename(part, database).map_err(fault(database))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), AdminError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault(folder))
}
