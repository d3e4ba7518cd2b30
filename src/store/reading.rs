//! How far a user has read a chat.

use super::ChatKind;
use crate::id::{ChatId, ConnId, Seq, UserId};

/// READ.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The chat.
    pub chat: ChatId,
    /// The last message that the user has read.
    pub seq: Seq,
}

/// How far a user has read now.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Who.
    pub user: UserId,
    /// What.
    pub chat: ChatId,
    /// What kind of chat that is.
    pub kind: ChatKind,
    /// Up to and with this message.
    pub seq: Seq,
    /// Whether that is further than before.
    pub has_moved: bool,
}
