//! WHAT is kept: users, chats, memberships, messages, media. HOW is the business of [`sqlite`] and [`media`].
//!
//! Whatever changes something is an [`Op`]. Ops go into one queue; the store carries them out in its order,
//! many in one transaction, and hands what came of each to the one [`Consumer`], in that order, once the
//! transaction is durable. So everybody who hears of a change hears of it after it is safe, and in the same
//! order as all others. Whatever only reads is a method that blocks, and is called from a blocking thread.
//!
//! The rules of who may do what to which chat are applied here, inside the transaction, because here alone
//! nothing can change between the check and the deed. The store knows no session, hub or socket: it knows a
//! connection as a number that it hands back.

mod account;
mod consumer;
mod group;
pub mod media;
mod membership;
mod page;
mod reading;
mod removal;
pub mod sqlite;
pub mod sweep;
mod upload;

use crate::error::Refusal;
use crate::id::{ChatId, ConnId, MediaId, Micros, Seq, UserId};
use crate::policy::bans::Bans;
use crate::policy::leap::Seen;
pub(crate) use account::wrong_password;
pub use account::{Account, Chores, DueChores, Farewell, FirstRoom, LoggedIn, Login, Who};
use chatwire_codec::{Code, MediaKind};
pub use consumer::Consumer;
pub use group::{Create, Entered, Invite, Invited, Remove};
pub use membership::{Join, Joined, Leave, Left};
pub use page::{ChatRow, Found, HistoryPage, HistoryQuery, Listed, MemberRow, RoomRow, Search};
pub use reading::{Read, Reading};
pub use removal::{Delete, Deleted, Expired};
use std::sync::Arc;
pub use upload::{Spare, UPLOAD_KEPT, Upload, Used};

/// A change that is asked for. `conn` is handed back in the [`Committed`] that answers it.
#[derive(Debug)]
pub enum Op {
    /// HELLO.
    Login(Login),
    /// A message.
    Append(Append),
    /// JOIN.
    Join(Join),
    /// LEAVE.
    Leave(Leave),
    /// CREATE.
    Create(Create),
    /// INVITE.
    Invite(Invite),
    /// REMOVE.
    Remove(Remove),
    /// READ.
    Read(Read),
    /// DELETE.
    Delete(Delete),
    /// SYNC: changes nothing, but takes its place in the order of changes.
    Sync(Sync),
    /// An UPLOAD is whole.
    Upload(Upload),
    /// A user's last connection has ended. A guest's memberships of rooms and groups end with it, unless the
    /// user has logged in again since.
    Departed {
        /// Who.
        user: UserId,
    },
    /// A token was in use until now.
    Used {
        /// Whose it is.
        user: UserId,
        /// Its hash.
        token: [u8; 32],
    },
    /// What is due by itself or by the operator's commands: see [`Chores`]. Some of it; the rest is due still.
    Chores {
        /// Orders of the operator's commands behind this one wait for the next time.
        upto: u64,
        /// By which time things are too old.
        now: Micros,
    },
    /// The oldest messages of these chats go, so far as they are from before a time.
    Expire {
        /// From before this.
        before: Micros,
        /// Where to look.
        chats: Vec<ChatId>,
        /// So many at most.
        most: usize,
    },
    /// Where the clock was seen to be: see [`leap`](crate::policy::leap).
    Seen(Seen),
    /// What [`sweep`] has found to be needed by nobody goes, where that is still so.
    Sweep {
        /// Files of media without a row.
        files: Vec<MediaId>,
        /// Rows of media without a message and an upload.
        rows: Vec<(MediaKind, MediaId)>,
        /// Orders to clear up are carried out with this, up to this one; 0: none.
        order: u64,
    },
}

impl Op {
    /// Whether it may be carried out a little later than what came behind it: nobody asks for anything else before it
    /// is done, or nobody waits for it.
    pub(crate) fn can_wait(&self) -> bool {
        matches!(self, Op::Login(_) | Op::Departed { .. } | Op::Used { .. })
    }

    /// Whether it is done now and then, so that nothing is lost with it.
    pub(crate) fn comes_again(&self) -> bool {
        matches!(self, Op::Chores { .. } | Op::Expire { .. } | Op::Seen(_) | Op::Sweep { .. })
    }
}

/// Where a message is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing was named: the connection's current room, or the user's home chat if `None`.
    Current(Option<ChatId>),
    /// TO's `chat`.
    Chat(ChatId),
    /// TO's `room`: a room that the sender is in, by its name as names are compared ([`crate::names::key`]).
    Room(Box<str>),
    /// TO's `user`, by the name as names are compared: the other side of a direct chat, which is made if it is
    /// missing.
    User(Box<str>),
}

/// A message to be stored.
#[derive(Debug)]
pub struct Append {
    /// The connection that sent it, or `None` for the server's own (the assistant's).
    pub conn: Option<ConnId>,
    /// Its sender.
    pub user: UserId,
    /// Its sender's name, for those who get it live.
    pub user_name: Arc<str>,
    /// Its name among its sender's messages; 0: none.
    pub nonce: u64,
    /// Where it goes.
    pub target: Target,
    /// The message that it answers, or 0.
    pub reply_to: Seq,
    /// The file's name, or empty.
    pub name: Box<str>,
    /// The type of its content frame, for an ERROR about it.
    pub about: u8,
    /// What it costs while it is in flight, handed back with its outcome.
    pub permit: u32,
    /// Its media's file, which goes if the message is refused.
    pub hold: Option<Box<media::Hold>>,
    /// What it is, or why there is nothing to store.
    pub content: Result<Content, Refusal>,
    /// Why it may not be stored now, though a copy that was stored before is still confirmed.
    pub refused: Option<Refusal>,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// TEXT.
    Text(Box<str>),
    /// VOICE to FILE, stored under its final name; its row need not exist yet.
    Media(Arc<Media>),
    /// MEDIA as it was sent: a reference, to be looked up. Never in what comes out of the store.
    Reference(MediaKind, MediaId),
    /// REPLY_TEXT: the assistant's answer, with what it refers to, the voice first.
    Reply(Box<str>, Vec<Arc<Media>>),
    /// A message that was removed.
    Gone,
}

/// Media that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The digest of its bytes.
    pub id: MediaId,
    /// What it claims to be and was checked for.
    pub kind: MediaKind,
    /// Bytes.
    pub size: u64,
    /// Its media type.
    pub mime: Box<str>,
    /// Milliseconds; 0 if unknown.
    pub duration_ms: u32,
    /// Pixels; 0 if unknown.
    pub width: u32,
    /// Pixels; 0 if unknown.
    pub height: u32,
}

/// SYNC.
#[derive(Clone, Copy, Debug)]
pub struct Sync {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request.
    pub req: u32,
    /// The chat.
    pub chat: ChatId,
    /// The last message that the client has.
    pub after: Seq,
}

/// What came of an [`Op`]: durable, or refused.
#[derive(Debug)]
pub enum Committed {
    /// Of [`Op::Login`].
    Login(ConnId, Result<LoggedIn, Refusal>),
    /// Of [`Op::Append`].
    Append(Appended),
    /// Of [`Op::Join`]: connection, request.
    Join(ConnId, u32, Result<Joined, Refusal>),
    /// Of [`Op::Leave`]: connection, request.
    Leave(ConnId, u32, Result<Left, Refusal>),
    /// Of [`Op::Create`]: connection, request, and its maker's membership.
    Create(ConnId, u32, Result<Entered, Refusal>),
    /// Of [`Op::Invite`]: connection, request.
    Invite(ConnId, u32, Result<Invited, Refusal>),
    /// Of [`Op::Remove`]: connection, request.
    Remove(ConnId, u32, Result<Left, Refusal>),
    /// Of [`Op::Read`]: connection, request.
    Read(ConnId, u32, Result<Reading, Refusal>),
    /// Of [`Op::Delete`]: connection, request.
    Delete(ConnId, u32, Result<Deleted, Refusal>),
    /// Of [`Op::Sync`]: connection, request.
    Sync(ConnId, u32, Result<Synced, Refusal>),
    /// Of [`Op::Upload`]: connection, ticket.
    Upload(ConnId, u32, Result<MediaId, Refusal>),
    /// Of [`Op::Departed`]: what the user is no member of any more. If the store failed that is nothing for
    /// now, and this comes again once the store can write; at the latest, a guest's memberships end at the next
    /// start.
    Departed(UserId, Vec<Left>),
    /// Of [`Op::Used`] and [`Op::Seen`].
    Used,
    /// Of [`Op::Chores`]. Nothing if the store failed: then it is due still.
    Chores(Chores),
    /// Of [`Op::Expire`]. If the store failed they are there still.
    Expired,
    /// Of [`Op::Sweep`].
    Swept,
}

/// A chat as the hub knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatHead {
    /// Which.
    pub chat: ChatId,
    /// What kind.
    pub kind: ChatKind,
    /// Its newest message.
    pub last_seq: Seq,
}

/// The kinds of chats, by their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChatKind {
    /// A user's own, with the assistant.
    Home = 0,
    /// Open to everybody, found by its name.
    Room = 1,
    /// Private, by invitation.
    Group = 2,
    /// Of two users.
    Direct = 3,
}

/// What came of a message.
#[derive(Debug)]
pub struct Appended {
    /// The connection that sent it, if one did.
    pub conn: Option<ConnId>,
    /// Its nonce.
    pub nonce: u64,
    /// The type of its content frame.
    pub about: u8,
    /// What it cost while it was in flight.
    pub permit: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a message.
#[derive(Debug)]
pub enum Outcome {
    /// It was stored.
    Stored(Message),
    /// It was stored and is the first of a direct chat, which these two users are members of.
    Opened(Message, [UserId; 2]),
    /// A copy of it had been stored before.
    Duplicate {
        /// Where.
        chat: ChatId,
        /// Where there.
        seq: Seq,
        /// When.
        at: Micros,
    },
    /// It was not stored.
    Refused(Refusal),
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub chat: ChatId,
    /// What kind of chat that is.
    pub chat_kind: ChatKind,
    /// Where there.
    pub seq: Seq,
    /// When it was taken.
    pub at: Micros,
    /// Its sender.
    pub user: UserId,
    /// Its sender's name.
    pub user_name: Arc<str>,
    /// Its name among its sender's messages; 0: none.
    pub nonce: u64,
    /// The message that it answers, or 0.
    pub reply_to: Seq,
    /// The file's name, or empty.
    pub name: Box<str>,
    /// What it is. Never [`Content::Reference`].
    pub content: Content,
}

/// A place in a chat to go on from.
#[derive(Debug)]
pub struct Synced {
    /// The chat.
    pub chat: ChatId,
    /// What kind it is.
    pub kind: ChatKind,
    /// Its oldest message that is kept; `last_seq` + 1 if none is.
    pub first_seq: Seq,
    /// Its newest.
    pub last_seq: Seq,
    /// Where to go on: the larger of what was asked for and `first_seq` - 1.
    pub after: Seq,
}

/// What every store can do. The methods that return something block on the disk.
pub trait Store: Send + std::marker::Sync {
    /// Queues a change. Its outcome goes to the [`Consumer`], always: also when the store has failed.
    fn submit(&self, op: Op);

    /// Queues a change that [`Store::carry_out`] follows, from the same thread and without anything in between
    /// that waits.
    fn bring(&self, op: Op);

    /// Sees to what was brought. May carry it out before it returns, where that takes no longer than to wake
    /// another thread.
    fn carry_out(&self);

    /// Whether a read would begin at once, without waiting for others to end. What it finds may change at once.
    fn has_reader(&self) -> bool;

    /// Random since the data was made or restored.
    fn epoch(&self) -> u64;

    /// A page of a chat that `asker` may read.
    ///
    /// # Errors
    /// `not_found` or `forbidden` by the page's rule, or `internal`.
    fn history(&self, asker: UserId, chat: ChatId, query: HistoryQuery) -> Result<HistoryPage, Refusal>;

    /// The messages with these words that `asker` may read, newest first.
    ///
    /// # Errors
    /// `bad_media` for a query without a word, `not_found` or `forbidden` by the page's rule, or `internal`.
    fn search(&self, asker: UserId, wanted: &Search) -> Result<Found, Refusal>;

    /// The messages of a chat in (`after`, `upto`], in order: as many as have `max_bytes` of text, at least
    /// one. Asks for no right: its user is one who holds a subscription.
    ///
    /// # Errors
    /// `internal`.
    fn messages(
        &self,
        chat: ChatId,
        after: Seq,
        upto: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Message>, Refusal>;

    /// Rooms in the order of their names as they are compared, behind `after`, which is such a name.
    ///
    /// # Errors
    /// `internal`.
    fn rooms(&self, after: &str, limit: u16) -> Result<Listed<RoomRow>, Refusal>;

    /// The members of a chat that `asker` is a member of, by id, behind `after`. Of [`ChatId::ALL`] it knows
    /// none: everybody is in it.
    ///
    /// # Errors
    /// `not_found` or `forbidden` by the page's rule, or `internal`.
    fn members(
        &self,
        asker: UserId,
        chat: &Target,
        after: UserId,
        limit: u16,
    ) -> Result<(ChatId, Listed<MemberRow>), Refusal>;

    /// The chats of a user, [`ChatId::ALL`] included, by id, behind `after`.
    ///
    /// # Errors
    /// `internal`.
    fn chats(&self, user: UserId, after: ChatId, limit: u16) -> Result<Listed<ChatRow>, Refusal>;

    /// Media that `asker` may read, because a message with it stands in a chat of theirs.
    ///
    /// # Errors
    /// `not_found` or `internal`.
    fn media(&self, asker: UserId, id: MediaId) -> Result<Media, Refusal>;

    /// Bytes of media that are kept, of all and of this user.
    ///
    /// # Errors
    /// `internal`.
    fn used(&self, user: UserId) -> Result<Used, Refusal>;

    /// Whether a message of this user has this nonce.
    ///
    /// # Errors
    /// `internal`.
    fn has_nonce(&self, user: UserId, nonce: u64) -> Result<bool, Refusal>;

    /// Who has this name, which is one as names are compared.
    ///
    /// # Errors
    /// `internal`.
    fn account(&self, key: &str) -> Result<Option<Account>, Refusal>;

    /// The addresses that are banned.
    ///
    /// # Errors
    /// `internal`.
    fn bans(&self) -> Result<Bans, Refusal>;

    /// Chats behind `after` with messages from before a time.
    ///
    /// # Errors
    /// `internal`.
    fn expired(&self, before: Micros, after: ChatId) -> Result<Expired, Refusal>;

    /// What the last [`Op::Seen`] said, if there was one.
    ///
    /// # Errors
    /// `internal`.
    fn seen(&self) -> Result<Option<Seen>, Refusal>;

    /// The clock is so far ahead of what is believed of it; 0, as at first: it is believed. No token is too old by what it is
    /// ahead.
    fn set_ahead(&self, by: Micros);

    /// Whether there is little to do.
    fn is_calm(&self) -> bool;

    /// What of media nobody needs: those of these files, all that are stored from the first of them to the last, that
    /// have no row, and the rows from the first to the last that have neither a message nor an upload.
    ///
    /// # Errors
    /// `internal`.
    fn spare(&self, files: &[MediaId]) -> Result<Spare, Refusal>;

    /// What an [`Op::Chores`] of this time would find to do; `None`: nothing.
    ///
    /// # Errors
    /// `internal`.
    fn due_chores(&self, now: Micros) -> Result<Option<DueChores>, Refusal>;
}

/// What a client is told when the disk is full, be it of a row or of a file.
fn storage_full() -> Refusal {
    Refusal::new(
        Code::StorageFull,
        "the server's disk is full; nothing was stored; its operator must make room",
    )
}
