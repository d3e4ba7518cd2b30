//! The small values that every part shares: the numbers that things are known by, and moments.

use std::fmt;
use std::time::Instant;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A user.
    UserId;
    /// A chat: a home, a room, a group or a direct chat.
    ChatId;
    /// A connection to this process, from 1; WELCOME calls it the session.
    ConnId;
}

impl UserId {
    /// The assistant.
    pub const ASSISTANT: UserId = UserId(1);
}

impl ChatId {
    /// The room that every connection is in.
    pub const ALL: ChatId = ChatId(1);
}

/// A piece of media: the BLAKE3 digest of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaId(pub [u8; 32]);

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message's place in its chat, from 1, without a gap; 0 stands before the first.
pub type Seq = u64;

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For spans: never goes back.
    pub instant: Instant,
    /// For people: may be set.
    pub wall: Micros,
}
