//! What nobody needs: how much of it there is, and clearing it up where no server does that by itself.

use super::super::admin::AdminError;
use super::super::{Clock, OpenError, Options, SqliteStore, open};
use super::files::{fault, unlisted, unused};
use crate::config::Durability;
use crate::id::Micros;
use crate::store::media::inventory::{self, Lying};
use crate::store::media::{HALF_KEPT, MediaStore};
use crate::store::sqlite::chat::id_at;
use crate::store::sweep::Sweep;
use crate::store::{Committed, Consumer, Op, Store, UPLOAD_KEPT};
use rusqlite::params;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Chores are done so many times at most: each does hundreds of things, and one that fails does not end by itself.
const ROUNDS: usize = 100_000;

/// Some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pile {
    /// How many.
    pub files: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// What nobody needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clutter {
    /// Files of media without a row: a crash has left them, or a backup kept them.
    pub files: Pile,
    /// Rows of media without a message and an upload.
    pub rows: u64,
    /// Whole uploads that nobody has sent in time.
    pub uploads: u64,
    /// Half uploads that nobody has gone on with in time.
    pub halves: Pile,
    /// Temporary files that no server works on.
    pub temporary: Pile,
}

impl Pile {
    fn add<T>(&mut self, file: &Lying<T>) {
        self.files += 1;
        self.bytes += file.bytes;
    }

    fn less(self, other: Pile) -> Pile {
        let (files, bytes) = (self.files.saturating_sub(other.files), self.bytes.saturating_sub(other.bytes));
        Pile { files, bytes }
    }
}

impl Clutter {
    /// What is not there any more of it.
    #[must_use]
    pub fn less(self, left: Clutter) -> Clutter {
        Clutter {
            files: self.files.less(left.files),
            rows: self.rows.saturating_sub(left.rows),
            uploads: self.uploads.saturating_sub(left.uploads),
            halves: self.halves.less(left.halves),
            temporary: self.temporary.less(left.temporary),
        }
    }
}

/// What there is that nobody needs. Changes nothing. Beside a server that runs a file that has just come may count,
/// which is about to get its row.
///
/// # Errors
/// When there is no data, it is of another version or damaged, or the disk fails.
pub fn clutter(data: &Path, now: Micros) -> Result<Clutter, AdminError> {
    let path = open::database(data);
    if !path.exists() {
        return Err(AdminError::NoData(data.to_owned()));
    }
    let db = open::observer(&path)?;
    if !open::is_newest(open::found_version(&db, &path)?) {
        let text =
            "the data is of an earlier version; a server, or `chatwire user list`, brings it up to date";
        return Err(AdminError::Refused(text.into()));
    }
    let mut found = Clutter { rows: unused(&db)?, ..Clutter::default() };
    found.uploads = db.query_row(
        "SELECT count(*) FROM uploads WHERE stored_at < ?1",
        params![now - UPLOAD_KEPT],
        |row| id_at(row, 0),
    )?;
    for shelf in inventory::shelves(data).map_err(fault(data))? {
        let files = inventory::on_shelf(&shelf).map_err(fault(&shelf))?;
        let spare = unlisted(&db, files)?;
        spare.iter().filter(|file| file.what.is_some()).for_each(|file| found.files.add(file));
    }
    let halves = inventory::halves(data).map_err(fault(data))?;
    let over = halves.iter().filter(|half| half.what.is_some() && now - half.touched_at > HALF_KEPT);
    over.for_each(|half| found.halves.add(half));
    if !open::is_locked(data)? {
        let temporary = inventory::temporary(data).map_err(fault(data))?;
        temporary.iter().for_each(|file| found.temporary.add(file));
    }
    Ok(found)
}

/// Does what a server does by itself, where none runs: clears up, and whatever else is due.
///
/// # Errors
/// When a server has the folder, the data is damaged, or the disk fails.
pub fn clear(data: &Path, clock: Clock) -> Result<(), AdminError> {
    let now = clock();
    let store = SqliteStore::open(Options {
        data: data.to_owned(),
        durability: Durability::Full,
        readers: 1,
        clock,
    })?;
    let media = Arc::new(MediaStore::open(data).map_err(fault(data))?);
    let (sender, done) = sync_channel(1);
    store.frees(media.clone());
    store.start(Arc::new(Waiter(Mutex::new(sender)))).map_err(fault(data))?;
    for half in media.halves().map_err(fault(data))?.iter().filter(|half| now - half.touched_at > HALF_KEPT) {
        media.remove_half(half.user, &half.media);
    }
    let mut sweep = Sweep::begin(&media, u64::MAX).map_err(fault(data))?;
    while sweep.step(&store, &media)? {}
    for _ in 0..ROUNDS {
        // Its outcome comes behind those of all that was found before.
        store.submit(Op::Chores { upto: u64::MAX, now });
        if done.recv().is_err() || store.due_chores(now)?.is_none() {
            break;
        }
    }
    store.close();
    // What had a name under media/ a moment ago has one here, and loses that too; another thread may be quicker.
    for file in inventory::temporary(data).map_err(fault(data))? {
        match fs::remove_file(&file.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Io { path: file.path, source }.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Tells when chores are done. There is nobody else to be told.
struct Waiter(Mutex<SyncSender<()>>);

impl Consumer for Waiter {
    fn committed(&self, batch: &mut Vec<Committed>) {
        let done = batch.drain(..).filter(|committed| matches!(committed, Committed::Chores(_)));
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One is asked for at a time, so there is room.
        done.for_each(|_| {
            let _ = sender.try_send(());
        });
    }
}
