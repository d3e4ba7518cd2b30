//! Connections that have something to send soon, but not at once.
//!
//! Events come in bursts, to many at a time: who comes into a room of fifty is told of to fifty, and each of them would
//! be woken, and write a few bytes, for every one who comes. A moment later it is one write for all that came
//! meanwhile. What somebody waits for is not put off, and takes what waits with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long events may wait to be joined by others.
const SOON: Duration = Duration::from_millis(25);

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

#[cfg(test)]
mod tests {
    use crate::id::UserId;
    use crate::outbox::{EventKey, Outbox, Soon};
    use bytes::Bytes;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicUsize, tokio::sync::Notify);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.notify_one();
        }
    }

    #[tokio::test]
    async fn events_of_a_moment_wake_a_task_once_and_what_is_waited_for_wakes_it_at_once() {
        let soon = Arc::new(Soon::default());
        let outbox = Outbox::new(Arc::default(), soon);
        let (count, event) = (Arc::new(Count::default()), Bytes::from_static(b"event"));
        let waker = Waker::from(count.clone());
        let woken = || count.0.load(Ordering::Relaxed);
        let _ = outbox.poll(&Context::from_waker(&waker));
        for user in 1..4 {
            outbox.event(EventKey::Presence(UserId(user)), &event);
            assert!(outbox.live_soon(&event));
        }
        assert_eq!(woken(), 0);
        count.1.notified().await;
        assert_eq!(woken(), 1);
        let _ = outbox.poll(&Context::from_waker(&waker));
        outbox.passing_event(&event);
        assert_eq!(woken(), 1);
        assert!(outbox.live(&event));
        assert_eq!(woken(), 2);
    }

    #[test]
    fn without_a_runtime_soon_is_at_once() {
        let outbox = Outbox::new(Arc::default(), Arc::default());
        let count = Arc::new(Count::default());
        let _ = outbox.poll(&Context::from_waker(&Waker::from(count.clone())));
        outbox.passing_event(&Bytes::from_static(b"event"));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
