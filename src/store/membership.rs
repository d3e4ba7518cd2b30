//! What goes into and comes out of memberships of rooms: JOIN and LEAVE.

use crate::id::{ChatId, ConnId, Micros, Seq, UserId};
use std::sync::Arc;

/// JOIN.
#[derive(Debug)]
pub struct Join {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The room's name, checked.
    pub room: Box<str>,
    /// The room that the user leaves for it, if it is another one.
    pub leave: Option<ChatId>,
}

/// LEAVE.
#[derive(Debug)]
pub struct Leave {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// What to leave; `None`: the home chat, which is refused.
    pub chat: Option<ChatId>,
}

/// A user in a room.
#[derive(Debug)]
pub struct Joined {
    /// Who.
    pub user: UserId,
    /// By this name.
    pub user_name: Arc<str>,
    /// The room.
    pub chat: ChatId,
    /// Its newest message.
    pub last_seq: Seq,
    /// Its name, as it was first spelled.
    pub room: Arc<str>,
    /// Whether it was made for this.
    pub created: bool,
    /// Whether the user was no member before.
    pub is_new: bool,
    /// When.
    pub at: Micros,
    /// The room that the user left for it.
    pub left: Option<Left>,
}

/// A membership that has ended.
#[derive(Debug)]
pub struct Left {
    /// Who.
    pub user: UserId,
    /// By this name.
    pub user_name: Arc<str>,
    /// Of what.
    pub chat: ChatId,
    /// Its name or title.
    pub room: Arc<str>,
    /// When.
    pub at: Micros,
}
