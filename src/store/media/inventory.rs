//! What lies in the folders of media, whatever the database says of it: for those who look after the data as a whole.

use super::half::named;
use super::shelf::place;
use super::{HALF, MEDIA, TMP};
use crate::id::{MediaId, Micros, UserId};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A file, and what its name says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Lying<T> {
    /// `None`: its name is none that a server gives.
    pub(in crate::store) what: Option<T>,
    pub(in crate::store) path: PathBuf,
    pub(in crate::store) bytes: u64,
    /// When it was last written to.
    pub(in crate::store) touched_at: Micros,
}

/// The folders of whole files; each holds about a 256th of them.
pub(in crate::store) fn shelves(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = entries(&data.join(MEDIA))?;
    folders.sort();
    Ok(folders)
}

/// The whole files of one folder, by their names.
pub(in crate::store) fn on_shelf(shelf: &Path) -> io::Result<Vec<Lying<MediaId>>> {
    if !shelf.is_dir() {
        return Ok(lying(shelf.to_owned(), None).into_iter().collect());
    }
    let mut found = Vec::new();
    for path in entries(shelf)? {
        let id = media_at(&path);
        found.extend(lying(path, id));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The half uploads.
pub(in crate::store) fn halves(data: &Path) -> io::Result<Vec<Lying<(UserId, MediaId)>>> {
    let mut found = Vec::new();
    for path in entries(&data.join(HALF))? {
        let what = path.file_name().and_then(|name| name.to_str()).and_then(named);
        found.extend(lying(path, what));
    }
    Ok(found)
}

/// What is on its way, or was when a server crashed.
pub(in crate::store) fn temporary(data: &Path) -> io::Result<Vec<Lying<()>>> {
    let paths = entries(&data.join(TMP))?;
    Ok(paths.into_iter().filter_map(|path| lying(path, Some(()))).collect())
}

/// The digest of a file's bytes, and how many they are.
pub(in crate::store) fn digest(path: &Path) -> io::Result<(MediaId, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok((MediaId(*hasher.finalize().as_bytes()), hasher.count()))
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// `None`: it has gone since the folder was read.
pub(in crate::store) fn lying<T>(path: PathBuf, what: Option<T>) -> Option<Lying<T>> {
    let found = fs::symlink_metadata(&path).ok()?;
    let what = what.filter(|_| found.is_file());
    Some(Lying { what, path, bytes: found.len(), touched_at: touched_at(&found) })
}

fn touched_at(found: &Metadata) -> Micros {
    let since = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// The media whose file has this name in this folder.
fn media_at(path: &Path) -> Option<MediaId> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.file_name()?.to_str()?;
    let digest = blake3::Hash::from_hex(format!("{folder}{name}")).ok()?;
    let media = MediaId(*digest.as_bytes());
    // The only spelling that is looked for.
    (place(&media) == (folder.to_owned(), name.to_owned())).then_some(media)
}
