//! Uploads that are whole, and how much is kept.

use super::{Media, media};
use crate::id::{ConnId, UserId};

/// An upload that is whole, as a file that is held. Its user may send it from now on.
#[derive(Debug)]
pub struct Upload {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The upload, as the connection's session names it.
    pub ticket: u32,
    /// What it is.
    pub media: Media,
    /// Its file, which goes if this fails.
    pub hold: Box<media::Hold>,
}

/// Bytes of media that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Of all users.
    pub all: u64,
    /// Of one: what that user brought first.
    pub own: u64,
}
