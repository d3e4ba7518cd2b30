//! What a steady client tells its program.

use crate::error::{Anew, Error, Problem, Refusal};
use crate::event::Event;
use crate::message::Message;
use crate::options::Welcome;
use chatwire_codec::frame;
use std::time::Duration;

/// What a steady client is doing.
#[derive(Clone, Debug)]
pub enum State {
    /// It tries an address.
    Connecting {
        /// Which.
        address: String,
    },
    /// It is connected, and was told this.
    Online(Welcome),
    /// It waits before it tries again.
    Waiting {
        /// How long, from now on.
        pause: Duration,
        /// What went wrong.
        why: Error,
    },
    /// It tries no more: trying again would end the same way. What was not sent is kept.
    Failed(Error),
    /// It was closed.
    Closed,
}

impl State {
    /// Whether nothing comes any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, State::Failed(_) | State::Closed)
    }
}

/// What happened, in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum News {
    /// The client's state changed.
    State(State),
    /// A message, in its chat's order, each once: one's own too, where it stands.
    Message(Message),
    /// A message of one's own was stored, or was not and will not be.
    Answered {
        /// Which.
        nonce: u64,
        /// Where it stands, or why not.
        answer: Result<frame::Status, Error>,
    },
    /// The user is in a room: because the program entered it, or because this client entered it again.
    Entered {
        /// The room.
        chat: u64,
        /// Its name, as it was first spelled.
        room: String,
    },
    /// Messages that the server keeps no longer, and that never came.
    Missed {
        /// Where.
        chat: u64,
        /// They lie behind this `seq`.
        after: u64,
        /// The next message that comes.
        next: u64,
    },
    /// The client has no place in this chat any more: the user is not in it, or it is gone.
    Forgotten {
        /// Which.
        chat: u64,
        /// Why.
        why: Refusal,
    },
    /// The token was refused; the client goes on with what its options say.
    TokenRefused(Refusal),
    /// All that was known is void: places are forgotten, and what was unsent was answered as not sent.
    Anew(Anew),
    /// What has to be kept could not be. The client goes on; after a crash it may know less.
    NotKept(Problem),
    /// What else the server tells: members, typing, presence, reading, errors.
    Event(Event),
}
