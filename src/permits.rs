//! Messages in flight: taken from clients and not yet answered, bounded by count and by bytes for all together.
//!
//! Who finds no permit waits, and is not read from while it does; so a full server slows its senders and
//! grows no queue. The permits come back when the messages are answered, many at once.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes of messages in flight, of all connections.
const BYTES_IN_FLIGHT: usize = 16 * 1024 * 1024;

/// Both bounds.
#[derive(Clone, Debug)]
pub struct Permits {
    count: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Permits {
    /// As many permits as `limits.messages_in_flight`.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        Permits {
            count: Arc::new(Semaphore::new(messages)),
            bytes: Arc::new(Semaphore::new(BYTES_IN_FLIGHT)),
        }
    }

    /// How many more messages may be in flight, and bytes.
    #[must_use]
    pub fn left(&self) -> (usize, usize) {
        (self.count.available_permits(), self.bytes.available_permits())
    }

    /// Takes a permit if there is one.
    #[must_use]
    pub fn try_take(&self, cost: u32) -> bool {
        let Ok(count) = self.count.try_acquire() else { return false };
        let Ok(bytes) = self.bytes.try_acquire_many(cost) else { return false };
        count.forget();
        bytes.forget();
        true
    }

    /// Waits for a permit and takes it, in the order of those who wait.
    pub async fn take(self, cost: u32) {
        // Neither semaphore is ever closed, so neither can fail.
        if let Ok(count) = self.count.acquire().await {
            if let Ok(bytes) = self.bytes.acquire_many(cost).await {
                bytes.forget();
            }
            count.forget();
        }
    }

    /// Gives back the permits of `count` messages that cost `cost` together.
    pub fn give_back(&self, count: usize, cost: usize) {
        self.count.add_permits(count);
        self.bytes.add_permits(cost);
    }
}
