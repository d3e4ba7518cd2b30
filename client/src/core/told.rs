//! What one connection tells whoever stands above it, in the order in which it happened.

use crate::error::Refusal;
use crate::event::Event;
use crate::request::Joined;
use chatwire_codec::frame;

/// Who takes what a connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A program that has one connection: its events alone.
    Program,
    /// Whoever keeps a place over many connections: all of [`Told`], and every message, its own too.
    Steady,
}

/// A chat as an earlier connection left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) chat: u64,
    pub(crate) pos: Option<u64>,
    /// To be entered again under this name; empty: no need.
    pub(crate) room: String,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Event(Event),
    /// A message is stored. `in_place`: its STATUS stood where the message would, which will not come.
    Stored {
        status: frame::Status,
        in_place: bool,
    },
    /// A message is not stored.
    Refused {
        nonce: u64,
        refusal: Refusal,
    },
    /// The user is in a room, and in another no more. `pos`: the position there, if this sets it.
    Joined {
        joined: Joined,
        pos: Option<u64>,
        left: Option<u64>,
    },
    Left {
        chat: u64,
    },
    /// A chat's messages come from behind `pos`, which was `after` unless retention has taken some.
    Synced {
        chat: u64,
        after: u64,
        pos: u64,
    },
    /// The server knows no such position, or the user is not in the chat any more.
    Lost {
        chat: u64,
        refusal: Refusal,
    },
}
