//! Who somebody is: logins and accounts, and what becomes of users without their asking.

use super::{ChatHead, Left};
use crate::error::Refusal;
use crate::id::{ChatId, ConnId, UserId};
use crate::policy::bans::Bans;
use chatwire_codec::Code;
use std::sync::Arc;

/// A connection that says who it is.
#[derive(Debug)]
pub struct Login {
    /// The connection.
    pub conn: ConnId,
    /// How.
    pub who: Who,
    /// The device's name, which a token is bound to.
    pub device: Box<str>,
    /// The hash of the token to be given out, unless the login is by token.
    pub new_token: [u8; 32],
    /// A JOIN that stood right behind: it is carried out with the login, and comes as a JOIN of its own.
    pub first_room: Option<FirstRoom>,
}

/// A JOIN of somebody who is about to log in.
#[derive(Debug)]
pub struct FirstRoom {
    /// The request.
    pub req: u32,
    /// The room's name, checked.
    pub room: Box<str>,
}

/// How a connection says who it is.
#[derive(Debug)]
pub enum Who {
    /// A new guest, with a wished-for name (checked, not reserved) or none.
    Guest {
        /// The name.
        name: Option<Box<str>>,
    },
    /// The holder of a token.
    Token {
        /// Who it says that its holder is.
        user: UserId,
        /// Its hash.
        hash: [u8; 32],
    },
    /// A registered user who has given the password of this hash.
    Password {
        /// Who.
        user: UserId,
        /// The hash, which must still be the user's.
        hash: Box<str>,
    },
    /// A new user, registered from now on.
    Register {
        /// The name: checked, not reserved.
        name: Box<str>,
        /// The hash of its password.
        hash: Box<str>,
    },
}

/// A user that is known now.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who.
    pub user: UserId,
    /// The name.
    pub name: Arc<str>,
    /// The home chat.
    pub home: ChatId,
    /// Whether the login gave out the new token.
    pub token_given: bool,
    /// Every chat of the user, the home chat and `all` included, with its newest message.
    pub chats: Vec<ChatHead>,
}

/// Whoever has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub user: UserId,
    /// The hash of the password; `None`: nobody can log in to it with one. A guest, a user that was deleted or
    /// that the operator has disabled.
    pub password: Option<Box<str>>,
}

/// That there is something to do for an [`Op::Chores`](super::Op::Chores).
#[derive(Debug)]
pub struct DueChores {
    /// The last order of the operator's commands.
    pub upto: u64,
    /// The last order to clear up, if there is one.
    pub sweep: Option<u64>,
    /// The addresses that are banned, as of that order.
    pub bans: Bans,
}

/// What came of [`Op::Chores`](super::Op::Chores): guests that are over were retired, tokens that are over
/// deleted, and what the operator's commands have left to do was done.
#[derive(Debug, Default)]
pub struct Chores {
    /// Whose connections are to end, and how.
    pub ended: Vec<(UserId, Farewell)>,
    /// Memberships that have ended with their users.
    pub left: Vec<Left>,
}

/// How the connections of a user end who may not stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The operator has ended them.
    Kicked,
    /// With this error.
    Banned(Refusal),
}

/// What is said of a name that nobody has and of a password that is another, so that nobody learns which.
pub(crate) fn wrong_password() -> Refusal {
    Refusal::new(Code::Unauthenticated, "no user of this name has this password")
}
