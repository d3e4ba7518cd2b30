//! How large a payload may be, by direction and type (section 1.6).
//!
//! Only sizes: what becomes of a frame that is larger is the decoder's to say.

use crate::frame::{info, kind};
use core::fmt;

/// Bytes of the first frame's payload, whatever it is.
const FIRST: u64 = 2 * 1024;
/// Bytes of TO, MEDIA, a request or an event to a server.
const REQUEST: u64 = 4 * 1024;
const PING: u64 = 64;
const BYE: u64 = 1024;
/// `transfer | offset` and 64 KiB.
pub(crate) const CHUNK: u64 = 12 + 65_536;
/// Bytes of a frame to a server whose type it does not know.
const UNKNOWN: u64 = 1024 * 1024;
/// Bytes of inline media and whole replies to a client.
pub(crate) const INLINE: u64 = 1024 * 1024;
/// Bytes of all else to a client.
const REST_TO_CLIENT: u64 = 64 * 1024;
/// So many bytes over a limit a stream is not worth following.
pub(crate) const FAR_OVER: u64 = 16 * 1024 * 1024;

/// The limits that are the server's choice and that WELCOME tells a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest TEXT, in bytes.
    pub max_text: u32,
    /// The largest VOICE to FILE in one frame to a server, in bytes.
    pub max_media: u32,
}

impl Default for Limits {
    /// A server's defaults: 64 KiB and 1 GiB.
    fn default() -> Self {
        Limits { max_text: 64 * 1024, max_media: 1 << 30 }
    }
}

/// Who reads the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl Side {
    /// Whether the type has a meaning in this direction.
    pub(crate) const fn knows(self, kind: u8) -> bool {
        match (info(kind), self) {
            (None, _) => false,
            (Some(info), Side::Server) => info.direction.reaches_server(),
            (Some(info), Side::Client) => info.direction.reaches_client(),
        }
    }

    /// How many bytes of a payload have a meaning in this direction: what stands behind them is ignored.
    pub(crate) const fn reach(self, kind: u8) -> usize {
        match (self, kind) {
            (Side::Server, kind::TYPING) => 9,
            (Side::Server, kind::PRESENCE) => 1,
            _ => usize::MAX,
        }
    }

    /// The largest payload of a frame of this type; of the `first` frame to a server, whatever it is.
    pub(crate) fn limit(self, kind: u8, first: bool, limits: Limits) -> u64 {
        match (self, kind) {
            (Side::Server, _) if first => FIRST,
            (_, kind::TEXT) => limits.max_text.into(),
            (Side::Server, kind::VOICE..=kind::FILE) => limits.max_media.into(),
            _ => self.fixed_limit(kind),
        }
    }

    /// The limit of a type for which it is the same on every connection.
    const fn fixed_limit(self, kind: u8) -> u64 {
        match (self, kind) {
            (Side::Server, _) if !self.knows(kind) => UNKNOWN,
            (_, kind::CHUNK) => CHUNK,
            (Side::Server, kind::PING | kind::PONG) => PING,
            (Side::Server, kind::BYE) => BYE,
            (Side::Server, kind::HELLO) => FIRST,
            (Side::Server, _) => REQUEST,
            (Side::Client, kind::VOICE..=kind::FILE | kind::REPLY_TEXT..=kind::REPLY_IMAGE) => INLINE,
            (Side::Client, _) => REST_TO_CLIENT,
        }
    }
}

/// For each type: payloads of fewer bytes than this are whole frames that break no rule of their place, so
/// that one comparison tells. 0: the type needs a closer look. TEXT has [`Limits::max_text`] besides.
pub(crate) struct Plain(pub(crate) [u32; 256]);

/// No frame is whole and plain, where none comes next.
pub(crate) static NOTHING: Plain = Plain([0; 256]);
pub(crate) static TO_SERVER: Plain = plain(Side::Server, 0xFF);
/// Behind TO stands content.
pub(crate) static BEHIND_TO: Plain = plain(Side::Server, kind::GONE);
pub(crate) static TO_CLIENT: Plain = plain(Side::Client, 0xFF);

const fn plain(side: Side, last: u8) -> Plain {
    let mut below = [0; 256];
    let mut kind = 0;
    loop {
        let in_pieces = matches!(kind, kind::VOICE..=kind::FILE);
        if kind == kind::TEXT {
            below[kind as usize] = u32::MAX;
        } else if side.knows(kind) && !in_pieces && side.reach(kind) == usize::MAX {
            // Fixed limits are a few MiB at most.
            #[allow(clippy::cast_possible_truncation, reason = "checked as the table is made")]
            {
                assert!(side.fixed_limit(kind) < FAR_OVER);
                below[kind as usize] = side.fixed_limit(kind) as u32 + 1;
            }
        }
        if kind == last {
            return Plain(below);
        }
        kind += 1;
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
