//! What goes out of a session, and what comes in besides the client's bytes: its words with the rest of the house.

use super::{Rules, Wish};
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Micros, Seq, UserId};
use crate::presence::Presence;
use crate::store::{Op, Target};
use chatwire_codec::MediaKind;
use chatwire_codec::frame::kind;
use std::fmt;
use std::sync::Arc;

/// What is to be done for a connection.
#[derive(Debug)]
pub enum Effect {
    /// Queue these frames behind what waits.
    Send(Vec<u8>),
    /// Send these as soon as no unit is half sent: a PONG.
    Urgent(Vec<u8>),
    /// As `Urgent`; call [`handle_ping_sent`](super::Session::handle_ping_sent) when it was really written.
    Ping(Vec<u8>),
    /// Note what HELLO said, for the hub.
    Greet(Greeted),
    /// Find whether the password is right; then call [`handle_proof`](super::Session::handle_proof).
    Prove(Claim),
    /// Give this to the store. A message needs a permit first.
    Submit(Op),
    /// Find the answer, queue it, and then call [`handle_notice`](super::Session::handle_notice) with `Answered`.
    Query(Query),
    /// Tell the others in this chat that the user is writing, or has stopped.
    Typing(ChatId, bool),
    /// Tell of the user that it is there, or not, as this connection has it.
    Presence(Presence),
    /// Take the body that now comes into a file; at its end call [`handle_body`](super::Session::handle_body).
    OpenBody {
        /// What it is to be.
        kind: MediaKind,
        /// Its bytes.
        size: u32,
        /// Its message's.
        nonce: u64,
    },
    /// The body has ended: finish its file.
    CloseBody,
    /// Send no CHUNK of this transfer any more, then queue these frames.
    CancelFetch(u32, Vec<u8>),
    /// Find where this upload goes on, queue UPLOAD_READY, call
    /// [`handle_upload_begun`](super::Session::handle_upload_begun), and then
    /// [`handle_notice`](super::Session::handle_notice) with `Answered`; or queue ERROR, and then the same.
    BeginUpload(Wish),
    /// All bytes of this upload have come: check and keep it, then notify `Uploaded`.
    FinishUpload(u32),
    /// This upload takes no more bytes: keep those that came, and queue these frames.
    EndUpload(u32, Vec<u8>),
    /// Nothing live any more: the connection is ending.
    Mute,
    /// Queue these frames as the last ones, send all that waits, and close.
    Finish(Vec<u8>),
    /// Close at once, whatever waits.
    Abandon,
}

/// Somebody who says to be the user of a name.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The name, as names are compared.
    pub key: Box<str>,
    /// The password.
    pub password: Secret,
    /// Whether a name that nobody has is to be registered with this password.
    pub registers: bool,
    /// What is answered if the password is another.
    pub wrong: Refusal,
}

/// What came of a [`Claim`].
#[derive(Debug, PartialEq, Eq)]
pub enum Proven {
    /// This user's, by this hash.
    Known(UserId, Box<str>),
    /// Nobody has the name; the hash of the password.
    New(Box<str>),
}

/// A password: it does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A request that only reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The request's number.
    pub req: u32,
    /// Who asks.
    pub user: UserId,
    /// What.
    pub kind: QueryKind,
}

/// What a [`Query`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// ROOMS.
    Rooms {
        /// Behind this name, as names are compared.
        after: Box<str>,
        /// 1 to 200.
        limit: u16,
    },
    /// PARTICIPANTS.
    Participants {
        /// Of what.
        chat: Target,
        /// Behind this user.
        after: UserId,
        /// 1 to 200.
        limit: u16,
    },
    /// CHATS.
    Chats {
        /// Behind this chat.
        after: ChatId,
        /// 1 to 200.
        limit: u16,
    },
    /// HISTORY.
    History {
        /// Of what.
        chat: ChatId,
        /// Before this message; 0: no bound.
        before: Seq,
        /// Behind this message; 0: no bound.
        after: Seq,
        /// 1 to 200.
        limit: u16,
        /// The oldest, not the newest.
        oldest: bool,
    },
    /// SEARCH.
    Search {
        /// Of what; `None`: of all chats of who asks.
        chat: Option<ChatId>,
        /// The words.
        query: Box<str>,
        /// Behind this message: when, where, and its seq; the seq 0: no bound.
        before: (Micros, ChatId, Seq),
        /// 1 to 200.
        limit: u16,
    },
    /// FETCH.
    Fetch {
        /// What.
        media: MediaId,
        /// From where.
        offset: u64,
        /// How much; 0: to the end.
        length: u64,
    },
}

impl QueryKind {
    /// The type of its request.
    #[must_use]
    pub const fn about(&self) -> u8 {
        match self {
            QueryKind::Rooms { .. } => kind::ROOMS,
            QueryKind::Participants { .. } => kind::PARTICIPANTS,
            QueryKind::Chats { .. } => kind::CHATS,
            QueryKind::History { .. } => kind::HISTORY,
            QueryKind::Search { .. } => kind::SEARCH,
            QueryKind::Fetch { .. } => kind::FETCH,
        }
    }
}

/// What a connection told of itself in HELLO, as far as others must know it.
#[derive(Debug)]
pub struct Greeted {
    /// The highest common version.
    pub version: u8,
    /// Where the client says it is.
    pub zone: chrono_tz::Tz,
    /// The largest media to be pushed whole, in bytes.
    pub inline_limit: u32,
    /// Whether live messages are wanted from chats that no SYNC has asked for.
    pub live: bool,
    /// When it said so.
    pub at: Micros,
    /// The token that the connection uses.
    pub token: Token,
}

/// A connection's token: the one that it logs in with, or else a new one.
#[derive(Debug)]
pub enum Token {
    /// The hash of what it came with.
    Known([u8; 32]),
    /// The random bits of what is given out if the login succeeds.
    New([u8; 16]),
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// `internal` if the system gives no random numbers.
    pub fn new() -> Result<Token, Refusal> {
        let mut bits = [0; 16];
        match getrandom::fill(&mut bits) {
            Ok(()) => Ok(Token::New(bits)),
            Err(e) => {
                log::error!("the system gives no random numbers: {e}");
                Err(Refusal::internal())
            }
        }
    }

    /// As a client keeps it, if it is new. It names its user, so that the store need not look among all tokens.
    #[must_use]
    pub fn text(&self, user: UserId) -> Option<String> {
        match self {
            Token::Known(_) => None,
            Token::New(bits) => Some(format!("{user}-{}", hex(bits))),
        }
    }

    /// As the store keeps it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        match self {
            Token::Known(hash) => *hash,
            Token::New(bits) => hash(&hex(bits)),
        }
    }
}

/// Whose a token says it is, and the hash of what proves it. What is no token is nobody's.
pub(super) fn named(token: &str) -> (UserId, [u8; 32]) {
    let (user, secret) = token.split_once('-').unwrap_or(("", token));
    (UserId(user.parse().unwrap_or(0)), hash(secret))
}

fn hex(bits: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bits))
}

/// A token has 128 random bits, so a fast hash without salt gives nothing away.
fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// Something that a connection's session must know.
#[derive(Debug)]
pub enum Notice {
    /// The login has succeeded; WELCOME is in the queue.
    Welcomed {
        /// Who the connection is.
        user: UserId,
        /// By this name.
        name: Arc<str>,
    },
    /// The login was refused.
    LoginRefused(Refusal),
    /// The user is in this room by this connection's JOIN, and its answer is in the queue.
    Joined(ChatId),
    /// The user is no longer in this chat, by whosever doing.
    Left(ChatId),
    /// The answer to the request that was under way is in the queue.
    Answered,
    /// The upload of this ticket has ended: it is durable, or has failed.
    Uploaded(u32, Result<MediaId, Refusal>),
    /// So much waits for the client that something that must not be dropped did not fit.
    Overrun,
    /// This user or address may not stay.
    Banned(Refusal),
    /// The operator has ended the user's connections.
    Kicked,
    /// The settings have changed.
    Rules(Arc<Rules>),
    /// The server stops.
    Shutdown,
}
