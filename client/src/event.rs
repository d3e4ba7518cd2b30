//! What the server tells unasked.

use crate::error::{End, Refusal};
use crate::limits::EVENT_COST;
use crate::message::Message;
use chatwire_codec::frame;

/// What the server tells unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message, in its chat's order, each once.
    Message(Message),
    /// A chat's membership changed.
    Member(Member),
    /// Somebody is writing, or has stopped.
    Typing(Typing),
    /// Somebody came, went, or is away.
    Presence(Presence),
    /// A user has read up to a message.
    Seen(Seen),
    /// A message was removed: what a program shows of it is to go. It may be one that never came.
    Gone(Gone),
    /// An ERROR that answers nothing that still waits.
    ServerError(Refusal),
    /// The connection has ended; nothing comes after it.
    Disconnected(End),
}

/// A change of a chat's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where.
    pub chat: u64,
    /// 1 joined, 2 left, 3 invited, 4 removed.
    pub change: u8,
    /// Who.
    pub user: u64,
    /// Who.
    pub user_name: String,
    /// When: microseconds since the Unix epoch.
    pub at: i64,
}

/// Somebody is writing, or has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Where.
    pub chat: u64,
    /// Is writing.
    pub on: bool,
    /// Who.
    pub user: u64,
    /// Who.
    pub user_name: String,
}

/// Somebody came, went, or is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// 0 offline, 1 online, 2 away.
    pub presence: u8,
    /// Who.
    pub user: u64,
    /// Who.
    pub user_name: String,
    /// When the user was last seen: microseconds since the Unix epoch.
    pub last_seen: i64,
}

/// How far a user has read.
pub type Seen = frame::Seen;

/// A message that was removed. Who was not connected is not told: HISTORY has [`crate::Content::Gone`] in its place.
pub type Gone = frame::MessageGone;

impl Event {
    /// Bytes that it counts for while it waits.
    pub(crate) fn cost(&self) -> u32 {
        let text = match self {
            Event::Message(message) => message.weight(),
            Event::Member(member) => member.user_name.len(),
            Event::Typing(typing) => typing.user_name.len(),
            Event::Presence(presence) => presence.user_name.len(),
            Event::ServerError(refusal) => refusal.text.len(),
            Event::Seen(_) | Event::Gone(_) | Event::Disconnected(_) => 0,
        };
        u32::try_from(text).unwrap_or(u32::MAX).saturating_add(EVENT_COST)
    }
}

impl From<frame::Member<'_>> for Member {
    fn from(f: frame::Member<'_>) -> Self {
        Member { chat: f.chat, change: f.change, user: f.user, user_name: f.user_name.to_owned(), at: f.at }
    }
}

impl From<frame::Typing<'_>> for Typing {
    fn from(f: frame::Typing<'_>) -> Self {
        Typing { chat: f.chat, on: f.on != 0, user: f.user, user_name: f.user_name.to_owned() }
    }
}

impl From<frame::Presence<'_>> for Presence {
    fn from(f: frame::Presence<'_>) -> Self {
        Presence {
            presence: f.presence,
            user: f.user,
            user_name: f.user_name.to_owned(),
            last_seen: f.last_seen,
        }
    }
}
