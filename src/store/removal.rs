//! What goes into and comes out of the removal of messages: by DELETE, and because they are old.

use crate::id::{ChatId, ConnId, Seq, UserId};

/// Chats with messages that are older than they are kept.
#[derive(Debug)]
pub struct Expired {
    /// Some of them, by id.
    pub chats: Vec<ChatId>,
    /// Up to and with this chat all were looked at; `None`: there are none behind.
    pub next: Option<ChatId>,
}

/// DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The chat.
    pub chat: ChatId,
    /// The message's place there.
    pub seq: Seq,
}

/// A message that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Where.
    pub chat: ChatId,
    /// Where there.
    pub seq: Seq,
    /// Whether it was there until now: then others are told.
    pub is_new: bool,
}
