//! Saves what changes, many steps at once, on a thread that may block.

use super::{News, Shared};
use crate::error::Problem;
use crate::kept::Change;
use crate::limits::POSITIONS_SAVED;
use crate::storage::Storage;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

type Saved = (Box<dyn Storage>, Vec<Change>, io::Result<()>);

/// Saves until it is told to stop, and then a last time.
pub(super) struct Saver {
    /// Taken only while it works on another thread.
    storage: Option<Box<dyn Storage>>,
    shared: Arc<Shared>,
    news: mpsc::Sender<News>,
    fails: bool,
}

impl Saver {
    pub(super) fn new(storage: Box<dyn Storage>, shared: Arc<Shared>, news: mpsc::Sender<News>) -> Self {
        Saver { storage: Some(storage), shared, news, fails: false }
    }

    /// Saves whenever there is something. The last time is when `stop` comes, or its sender goes.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut stopped = false;
        while !stopped {
            tokio::select! {
                biased;
                _ = &mut stop => stopped = true,
                () = self.shared.save_now.notified() => {}
                () = self.shared.save_soon.notified() => {
                    // A moment, in which more comes, or something that cannot wait.
                    let _ = tokio::time::timeout(POSITIONS_SAVED, self.shared.save_now.notified()).await;
                }
            }
            self.save().await;
        }
    }

    /// Saves all that there is.
    async fn save(&mut self) {
        let ticket = *self.shared.asked();
        let changes = self.shared.journey().take_changes();
        if !changes.is_empty() {
            self.save_changes(changes).await;
        }
        self.shared.saved.send_replace(ticket);
        self.shared.feed.notify_one();
    }

    async fn save_changes(&mut self, changes: Vec<Change>) {
        // Without a storage an earlier one has panicked: nothing is kept, which was told.
        let Some(mut storage) = self.storage.take() else { return self.shared.journey().saved(&changes) };
        let saving = tokio::task::spawn_blocking(move || -> Saved {
            let saved = storage.save(&changes);
            (storage, changes, saved)
        });
        let Ok((storage, changes, saved)) = saving.await else {
            let problem = io::Error::other("the storage panicked");
            return self.tell((&problem).into());
        };
        self.storage = Some(storage);
        match saved {
            Ok(()) => {
                self.fails = false;
                self.shared.journey().saved(&changes);
            }
            Err(error) => {
                self.shared.journey().not_saved(changes);
                if !self.fails {
                    self.fails = true;
                    self.tell((&error).into());
                }
            }
        }
    }

    fn tell(&self, problem: Problem) {
        // Who takes no news is not told of this either.
        let _ = self.news.try_send(News::NotKept(problem));
    }
}
