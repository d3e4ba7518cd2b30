//! What comes for many at once: their tasks are not woken by the push but in the order of a line, which is
//! [`crate::hub`]'s.

use super::Outbox;
use bytes::Bytes;
use std::task::Waker;

impl Outbox {
    /// As [`Outbox::live`], for one of many: `stand` is to put it in line, where [`Outbox::wake_in_line`] comes to it.
    #[must_use]
    pub fn live_in_line(&self, bytes: &Bytes, stand: impl FnOnce()) -> bool {
        let mut inner = self.lock();
        let is_taken = inner.live(&self.budget, bytes);
        // Who has been woken already will find it.
        let stands = is_taken && inner.waker.is_some() && !inner.is_in_line;
        inner.is_in_line |= stands;
        drop(inner);
        if stands {
            stand();
        }
        is_taken
    }

    /// Its turn in line has come: wakes its task if something still waits for it, and tells whether it did.
    pub fn wake_in_line(&self) -> bool {
        let mut inner = self.lock();
        inner.is_in_line = false;
        let waker = if inner.queue.is_empty() { None } else { inner.waker.take() };
        drop(inner);
        waker.map(Waker::wake).is_some()
    }

    /// Whether its task will be woken, though not at once.
    #[must_use]
    pub fn is_woken_later(&self) -> bool {
        let inner = self.lock();
        inner.is_soon || inner.is_in_line
    }
}
