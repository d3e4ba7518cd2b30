//! Uploads that are whole, and how much is kept.

use super::{Media, media};
use crate::id::{ConnId, MediaId, Micros, UserId};
use chatwire_codec::MediaKind;

/// How long a whole upload may be sent. Then it goes, unless a message has it.
pub const UPLOAD_KEPT: Micros = 7 * 24 * 3600 * 1_000_000;

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

/// What of media nobody needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// Files without a row.
    pub files: Vec<MediaId>,
    /// Rows without a message and an upload.
    pub rows: Vec<(MediaKind, MediaId)>,
}

/// Bytes of media that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Of all users.
    pub all: u64,
    /// Of one: what that user brought first.
    pub own: u64,
}
