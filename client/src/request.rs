//! The requests and their answers: one entry of the table below ties them together.

use crate::message::Message;
use chatwire_codec::{Frame, Payload, frame};

/// A request: its frame without a number. [`crate::Client::request`] fills in the number and gives the answer.
pub trait Request<'a>: Payload<'a> + Into<Frame<'a>> + sealed::Sealed {
    /// What the server answers.
    type Answer: Send + 'static;
    #[doc(hidden)]
    fn answer(answer: Answer) -> Option<Self::Answer>;
}

mod sealed {
    pub trait Sealed {}
}

/// The table: `Request => Answer`.
macro_rules! requests {
    ($($request:ident $(<$lt:lifetime>)? => $variant:ident($answer:ty),)*) => {
        /// Any answer.
        #[doc(hidden)]
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is the struct that it holds")]
        pub enum Answer {
            $($variant($answer),)*
        }

        $(
            impl $(<$lt>)? sealed::Sealed for frame::$request $(<$lt>)? {}

            impl<'a> Request<'a> for frame::$request $(<$lt>)? {
                type Answer = $answer;
                fn answer(answer: Answer) -> Option<$answer> {
                    match answer {
                        Answer::$variant(answer) => Some(answer),
                        _ => None,
                    }
                }
            }
        )*
    };
}

requests! {
    Join<'a> => Joined(Joined),
    Leave => Left(Left),
    Rooms<'a> => Rooms(List<Room>),
    Participants<'a> => Participants(List<Participant>),
    Chats => Chats(List<Chat>),
    Create<'a> => Created(frame::Created),
    Invite<'a> => Invited(frame::Invited),
    Remove<'a> => Removed(frame::Removed),
    History => History(Page),
    Search<'a> => Found(Found),
    Sync => Synced(frame::Synced),
    Read => ReadUpTo(frame::ReadUpTo),
    Delete => Deleted(frame::Deleted),
    Upload<'a> => UploadReady(frame::UploadReady),
    Fetch => FetchReady(FetchReady),
    Cancel => Cancelled(frame::Cancelled),
}

/// JOIN's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The room.
    pub chat: u64,
    /// Its newest message.
    pub last_seq: u64,
    /// Its name, as it was first spelled.
    pub room: String,
    /// Whether this made it.
    pub created: bool,
    /// Whether this made the user a member; `last_seq` is the position in the room then.
    pub new_member: bool,
}

/// LEAVE's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The chat.
    pub chat: u64,
    /// Its name.
    pub room: String,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// Whether there are others behind.
    pub more: bool,
    /// In order.
    pub items: Vec<T>,
}

/// One room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The room.
    pub chat: u64,
    /// Its name.
    pub room: String,
    /// Members that are online.
    pub online: u32,
    /// Its newest message.
    pub last_seq: u64,
}

/// One member of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Who.
    pub user: u64,
    /// Who.
    pub user_name: String,
    /// 0 offline, 1 online, 2 away.
    pub presence: u8,
    /// 0 member, 1 owner.
    pub role: u8,
}

/// One of the user's chats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// The chat.
    pub chat: u64,
    /// 0 home, 1 room, 2 group, 3 direct.
    pub kind: u8,
    /// Its name, its title, or the other's name.
    pub title: String,
    /// Its newest message.
    pub last_seq: u64,
    /// Up to where the user has read.
    pub read_seq: u64,
}

/// A page of a chat's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The chat.
    pub chat: u64,
    /// Its oldest message that is kept.
    pub first_seq: u64,
    /// Its newest.
    pub last_seq: u64,
    /// Whether there are others in the direction of reading.
    pub more: bool,
    /// In order.
    pub messages: Vec<Message>,
}

/// A page of what a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether there are older ones: ask on with the last message's `seq`, `chat` and `at`.
    pub more: bool,
    /// The newest first.
    pub messages: Vec<Message>,
}

/// FETCH's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReady {
    /// The whole media's, in bytes.
    pub size: u64,
    /// Its media type.
    pub mime: String,
}

impl Answer {
    /// The answer that a frame is, with its number; HISTORY_PAGE and SEARCH_PAGE are one only with their
    /// messages.
    pub(crate) fn of(frame: Frame<'_>) -> Option<(u32, Answer)> {
        Some(match frame {
            Frame::Joined(f) => (f.req, Answer::Joined(f.into())),
            Frame::Left(f) => (f.req, Answer::Left(Left { chat: f.chat, room: f.room.to_owned() })),
            Frame::RoomList(f) => (f.req, Answer::Rooms(list(f.more, f.rooms))),
            Frame::ParticipantList(f) => (f.req, Answer::Participants(list(f.more, f.participants))),
            Frame::ChatList(f) => (f.req, Answer::Chats(list(f.more, f.chats))),
            Frame::Created(f) => (f.req, Answer::Created(f)),
            Frame::Invited(f) => (f.req, Answer::Invited(f)),
            Frame::Removed(f) => (f.req, Answer::Removed(f)),
            Frame::Synced(f) => (f.req, Answer::Synced(f)),
            Frame::ReadUpTo(f) => (f.req, Answer::ReadUpTo(f)),
            Frame::Deleted(f) => (f.req, Answer::Deleted(f)),
            Frame::FetchReady(f) => {
                (f.req, Answer::FetchReady(FetchReady { size: f.size, mime: f.mime.to_owned() }))
            }
            Frame::UploadReady(f) => (f.req, Answer::UploadReady(f)),
            Frame::Cancelled(f) => (f.req, Answer::Cancelled(f)),
            _ => return None,
        })
    }
}

impl FetchReady {
    /// Where a transfer from `offset` ends.
    pub(crate) fn end(&self, offset: u64, length: u64) -> u64 {
        if length == 0 { self.size } else { self.size.min(offset.saturating_add(length)) }
    }
}

fn list<F, T: From<F>>(more: u8, items: Vec<F>) -> List<T> {
    List { more: more != 0, items: items.into_iter().map(T::from).collect() }
}

impl From<frame::Joined<'_>> for Joined {
    fn from(f: frame::Joined<'_>) -> Self {
        Joined {
            chat: f.chat,
            last_seq: f.last_seq,
            room: f.room.to_owned(),
            created: f.created != 0,
            new_member: f.new_member != 0,
        }
    }
}

impl From<frame::RoomItem<'_>> for Room {
    fn from(f: frame::RoomItem<'_>) -> Self {
        Room { chat: f.chat, room: f.room.to_owned(), online: f.online, last_seq: f.last_seq }
    }
}

impl From<frame::ParticipantItem<'_>> for Participant {
    fn from(f: frame::ParticipantItem<'_>) -> Self {
        Participant { user: f.user, user_name: f.user_name.to_owned(), presence: f.presence, role: f.role }
    }
}

impl From<frame::ChatItem<'_>> for Chat {
    fn from(f: frame::ChatItem<'_>) -> Self {
        Chat {
            chat: f.chat,
            kind: f.chat_kind,
            title: f.title.to_owned(),
            last_seq: f.last_seq,
            read_seq: f.read_seq,
        }
    }
}
