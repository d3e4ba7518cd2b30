//! Clearing up: files of media that no row tells of, and rows of media that nobody needs, a folder at a time.
//!
//! A crash between the end of a row and the end of its file leaves such files, and so does a backup, while which no file
//! goes. Here they are only looked for; the store's writer lets them go, since it alone knows that nobody is about
//! to refer to one.

use crate::error::Refusal;
use crate::store::media::MediaStore;
use crate::store::{Op, Store};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

/// Files and rows that one [`Op::Sweep`] takes: what waits behind it waits no longer than they take.
const SPARE: usize = 256;

/// A walk through all folders of media.
#[derive(Debug)]
pub struct Sweep {
    shelves: VecDeque<PathBuf>,
    /// What the operator's commands have ordered is done up to this order, when it is over.
    order: u64,
}

impl Sweep {
    /// Begins one. Blocks on the disk.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub fn begin(media: &MediaStore, order: u64) -> io::Result<Sweep> {
        Ok(Sweep { shelves: media.shelves()?.into(), order })
    }

    /// One with nothing left to see to, but to say once more that the order is carried out.
    #[must_use]
    pub fn ended(order: u64) -> Sweep {
        Sweep { shelves: VecDeque::new(), order }
    }

    /// The last order that it carries out; 0: none.
    #[must_use]
    pub fn order(&self) -> u64 {
        self.order
    }

    /// Sees to the next folder; `false`: there was none left, and it is over. Blocks on the disk.
    ///
    /// # Errors
    /// `internal`.
    pub fn step(&mut self, store: &dyn Store, media: &MediaStore) -> Result<bool, Refusal> {
        let Some(shelf) = self.shelves.pop_front() else {
            store.submit(Op::Sweep { files: Vec::new(), rows: Vec::new(), order: self.order });
            return Ok(false);
        };
        let files = match media.on_shelf(&shelf) {
            Ok(files) => files,
            Err(e) => {
                log::error!("{}: {e}; it is not cleared up", shelf.display());
                return Ok(true);
            }
        };
        let spare = store.spare(&files)?;
        for files in spare.files.chunks(SPARE) {
            store.submit(Op::Sweep { files: files.to_vec(), rows: Vec::new(), order: 0 });
        }
        for rows in spare.rows.chunks(SPARE) {
            store.submit(Op::Sweep { files: Vec::new(), rows: rows.to_vec(), order: 0 });
        }
        Ok(true)
    }
}
