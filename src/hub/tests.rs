//! The hub that tests of its parts begin with.

#![allow(clippy::unwrap_used)]

use super::{Greeting, Hub};
use crate::config::Durability;
use crate::permits::Permits;
use crate::store::sqlite::{Options, SqliteStore};
use std::sync::Arc;

/// One with nobody there, over a store that is not started, and the folder of that.
pub(super) fn alone() -> (tempfile::TempDir, Hub) {
    let dir = tempfile::tempdir().unwrap();
    let (data, clock) = (dir.path().to_owned(), Arc::new(|| 0));
    let options = Options { data, durability: Durability::Normal, readers: 1, clock };
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let greeting = Greeting { epoch: 1, heartbeat: 30, max_text: 9, max_media: 9 };
    (dir, Hub::new(store, greeting, Permits::new(9), None, || 0))
}
