//! What a client has said, and what came of it.

use super::*;

/// Where a message stands, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub chat: u64,
    pub seq: u64,
    pub at: i64,
}

/// What its sender knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Unanswered,
    Stored(Place),
    /// By ERROR, so nothing was stored.
    Refused,
}

/// Where a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Chat(u64),
    User(&'static str),
}

/// What was in it. Bytes are made from a number again when they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Text(u64),
    /// In one frame.
    File(u64),
    /// By the digest of what was uploaded before.
    Reference(u64),
}

/// A message, under its nonce in the book.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub goal: Goal,
    pub body: Body,
    pub fate: Fate,
    /// It was asked for to be removed, and once that was confirmed.
    pub removal: Option<bool>,
}

/// Of so many files everybody sends the same, so that they come, go and come again.
const COMMON_FILES: u64 = 6;

impl Body {
    pub fn text(nonce: u64) -> String {
        let long = if nonce.is_multiple_of(37) { 6000 } else { nonce % 50 };
        format!("word{nonce} {}", "and so on ".repeat(usize::try_from(long / 10).unwrap()))
    }

    /// The number of a file: of a common one for some.
    pub fn file(nonce: u64) -> Body {
        Body::File(if nonce.is_multiple_of(3) { nonce } else { nonce % COMMON_FILES })
    }

    pub fn bytes(self) -> Vec<u8> {
        match self {
            Body::Text(n) => Body::text(n).into_bytes(),
            Body::File(n) => bytes(n, usize::try_from(n % 11).unwrap() * 2500),
            Body::Reference(n) => bytes(n, 70_000 + usize::try_from(n % 7).unwrap() * 60_000),
        }
    }

    /// What tells it from all others, whichever way it comes.
    pub fn digest(self) -> [u8; 32] {
        *blake3::hash(&self.bytes()).as_bytes()
    }

    pub fn kind(self) -> u8 {
        match self {
            Body::Text(_) => kind::TEXT,
            Body::File(_) => kind::FILE,
            Body::Reference(_) => kind::MEDIA,
        }
    }

    /// Its frame.
    pub fn frame(self) -> Vec<u8> {
        match self {
            Body::Text(n) => bytes_of(Text { text: &Body::text(n) }),
            Body::File(_) => raw(kind::FILE, &self.bytes()),
            Body::Reference(_) => {
                bytes_of(Media { media_kind: kind::FILE, media: self.digest(), ..Media::default() })
            }
        }
    }
}

/// Bytes that a number stands for. Hashed rather than drawn, which is quicker in a debug build.
fn bytes(n: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&n.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

impl Said {
    pub fn new(goal: Goal, body: Body) -> Said {
        Said { goal, body, fate: Fate::Unanswered, removal: None }
    }

    /// TO and content.
    pub fn unit(&self, nonce: u64) -> Vec<u8> {
        let to = match self.goal {
            Goal::Chat(chat) => To { nonce, chat, ..To::default() },
            Goal::User(user) => To { nonce, user, ..To::default() },
        };
        [bytes_of(to), self.body.frame()].concat()
    }
}
