//! Who does what may wait for the disk: other threads. Or, for a runtime of one thread on which all happens in an order
//! that can be had again, tasks of their own.

use tokio::task::{JoinHandle, spawn_blocking};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jobs {
    /// Threads that may wait.
    #[default]
    OnThreads,
    /// Tasks of the runtime.
    OnTasks,
}

impl Jobs {
    /// Has something done.
    pub fn begin<T: Send + 'static>(self, job: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self {
            Jobs::OnThreads => spawn_blocking(job),
            Jobs::OnTasks => tokio::spawn(async { job() }),
        }
    }
}
