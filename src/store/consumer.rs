//! Who is told what came of changes.

use super::Committed;
use crate::error::Refusal;
use crate::id::UserId;

/// Takes what came of the ops, in their order.
pub trait Consumer: Send + Sync {
    /// Takes one batch, which is durable, and leaves `batch` empty. Called on the store's writing thread or
    /// within [`Store::carry_out`](super::Store::carry_out), so it must neither block nor ask the store to wait.
    fn committed(&self, batch: &mut Vec<Committed>);

    /// Whether the user has a connection, as far as what was committed tells. An [`Op::Departed`](super::Op::Departed) of one who
    /// has is out of date: a login came before it in the queue. Called on the writing thread as well.
    fn is_online(&self, _user: UserId) -> bool {
        false
    }

    /// Whether a user may have another connection, beside so many that are about to be told of. Asked before a login
    /// changes anything.
    ///
    /// # Errors
    /// `busy`.
    fn admits(&self, _user: UserId, _coming: usize) -> Result<(), Refusal> {
        Ok(())
    }
}
