//! What is read of the store: pages of messages, and rows of lists.

use super::{ChatKind, Message};
use crate::id::{ChatId, Micros, Seq, UserId};

/// What a HISTORY asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryQuery {
    /// Messages with a smaller `seq`; 0: no bound.
    pub before: Seq,
    /// Messages with a larger `seq`; 0: no bound.
    pub after: Seq,
    /// How many at most, 1 to 200.
    pub limit: u16,
    /// The oldest of them, not the newest.
    pub oldest: bool,
    /// An end to the page, in bytes of text; at least one message is on it.
    pub max_bytes: usize,
}

/// A page of a chat.
#[derive(Debug)]
pub struct HistoryPage {
    /// The chat's oldest message that is kept; `last_seq` + 1 if none is.
    pub first_seq: Seq,
    /// Its newest.
    pub last_seq: Seq,
    /// Whether there are others in the direction of reading.
    pub more: bool,
    /// In ascending order.
    pub messages: Vec<Message>,
}

/// What a SEARCH asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Where; `None`: in all chats of who asks.
    pub chat: Option<ChatId>,
    /// Words that a message must have.
    pub query: Box<str>,
    /// What comes behind this message in the order of the newest first; its seq 0: no bound. In one chat its seq
    /// alone counts.
    pub before: (Micros, ChatId, Seq),
    /// How many at most, 1 to 200.
    pub limit: u16,
    /// An end to the page, in bytes of text; at least one message is on it.
    pub max_bytes: usize,
}

/// A page of what was found.
#[derive(Debug)]
pub struct Found {
    /// Whether there are older ones.
    pub more: bool,
    /// The newest first.
    pub messages: Vec<Message>,
}

/// A row of ROOMS.
#[derive(Debug)]
pub struct RoomRow {
    /// Which.
    pub chat: ChatId,
    /// Its name.
    pub room: Box<str>,
    /// Its newest message.
    pub last_seq: Seq,
}

/// A row of PARTICIPANTS.
#[derive(Debug)]
pub struct MemberRow {
    /// Who.
    pub user: UserId,
    /// The name.
    pub user_name: Box<str>,
    /// Whether the user owns the group.
    pub owner: bool,
}

/// A part of a list, and whether there is more behind it.
#[derive(Debug)]
pub struct Listed<T> {
    /// In the list's order.
    pub rows: Vec<T>,
    /// Whether there are others behind.
    pub more: bool,
}

/// A row of CHATS.
#[derive(Debug)]
pub struct ChatRow {
    /// Which.
    pub chat: ChatId,
    /// What kind.
    pub kind: ChatKind,
    /// A room's name, a group's title, or the other side's name.
    pub title: Box<str>,
    /// Its newest message.
    pub last_seq: Seq,
    /// Up to where the user has read.
    pub read_seq: Seq,
}
