//! What is asked of groups, and what comes of it.

use super::ChatHead;
use crate::id::{ChatId, ConnId, Micros, UserId};
use std::sync::Arc;

/// CREATE.
#[derive(Debug)]
pub struct Create {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The group's title, checked.
    pub title: Box<str>,
}

/// INVITE.
#[derive(Debug)]
pub struct Invite {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The group.
    pub chat: ChatId,
    /// Who is invited, by the name as names are compared.
    pub guest: Box<str>,
}

/// REMOVE.
#[derive(Debug)]
pub struct Remove {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The group.
    pub chat: ChatId,
    /// Who is removed, by the name as names are compared.
    pub member: Box<str>,
}

/// A membership that has begun.
#[derive(Debug)]
pub struct Entered {
    /// Who.
    pub user: UserId,
    /// By this name.
    pub user_name: Arc<str>,
    /// Of what.
    pub head: ChatHead,
    /// When.
    pub at: Micros,
}

/// What came of an invitation.
#[derive(Debug)]
pub struct Invited {
    /// Who was invited.
    pub user: UserId,
    /// Their membership, unless they were a member before.
    pub entered: Option<Entered>,
}
