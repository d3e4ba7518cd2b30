//! Connections that have something to send soon, but not at once.
//!
//! Events come in bursts, to many at a time: who comes into a room of fifty is told of to fifty, and each of them would
//! be woken, and write a few bytes, for every one who comes. Ten milliseconds later it is one write for all that came
//! meanwhile. What somebody waits for is not put off, and takes what waits with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long events may wait to be joined by others.
const SOON: Duration = Duration::from_millis(10);

/// See the module. One for all connections.
#[derive(Debug)]
pub struct Soon {
    /// `None`: there is nothing to wait with, so soon is at once.
    runtime: Option<Handle>,
    /// Connections' tasks, each once; if there are any, a task is about to wake them.
    waiting: Mutex<Vec<Waker>>,
}

impl Default for Soon {
    /// Waits on the runtime in which it is made.
    fn default() -> Self {
        Soon { runtime: Handle::try_current().ok(), waiting: Mutex::default() }
    }
}

impl Soon {
    /// Wakes a task soon.
    pub(super) fn wake(self: &Arc<Self>, waker: Waker) {
        let Some(runtime) = &self.runtime else { return waker.wake() };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(waker);
        if waiting.len() == 1 {
            let soon = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(SOON).await;
                soon.wake_all();
            });
        }
    }

    fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}
