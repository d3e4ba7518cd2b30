//! THE table: number, name, direction and fields of every frame type (sections 2 to 7).
//!
//! A new frame type is one entry here, which names the section of the page that it follows. Its struct, its reading
//! and writing, its [`Frame`] variant, its constant in [`kind`] and its row in [`FRAMES`] follow from the entry; a test holds docs/PROTOCOL.md to it.
//! Fields before the `;` are required; a payload may end before any of the others.

use crate::error::{DecodeError, EncodeError, Rule};
use crate::reader::{self, Reader};
#[cfg(feature = "arbitrary")]
use crate::table::any_field;
use crate::table::{
    Direction, FieldInfo, FrameInfo, Payload, doc_text, field_info, field_name, frames, item_fields, items,
    payload, read_field, rust_type, tail_field, write_field,
};
use crate::value::{Fields, HasFields, Show};
use crate::writer::{self, Buffer};
use alloc::vec::Vec;

frames! {
    // Content: the payload is the body and nothing else.

    /// A text message. Not empty; kept byte for byte.
    0x00 TEXT Text<'a>: Both, 2 {
        ;
        /// The whole payload.
        text: text
    }
    /// A voice message: MP3.
    0x01 VOICE Voice<'a>: Both, 2 {
        ;
        /// The whole payload.
        body: rest
    }
    /// A video: MP4.
    0x02 VIDEO Video<'a>: Both, 2 {
        ;
        /// The whole payload.
        body: rest
    }
    /// A picture: JPEG, PNG, WebP or GIF.
    0x03 IMAGE Image<'a>: Both, 2 {
        ;
        /// The whole payload.
        body: rest
    }
    /// Any bytes, also none.
    0x04 FILE File<'a>: Both, 2 {
        ;
        /// The whole payload.
        body: rest
    }
    /// A reference to media that the server has.
    0x05 MEDIA Media<'a>: Both, 2 {
        /// 1 VOICE, 2 VIDEO, 3 IMAGE, 4 FILE.
        media_kind: u8,
        /// The BLAKE3 digest of its bytes.
        media: id32;
        /// Bytes.
        size: u64,
        /// Its media type, such as `video/mp4`.
        mime: str8,
        /// The file's name, if it has one.
        name: str16,
        /// Milliseconds; 0 if it has no duration or none was measured.
        duration_ms: u32,
        /// Pixels; 0 if unknown.
        width: u32,
        /// Pixels; 0 if unknown.
        height: u32
    }
    /// Stands for a message that was removed.
    0x0F GONE Gone: ToClient, 2 { ; }

    // Replies.

    /// The assistant's answer as text, perhaps with media.
    0x10 REPLY_TEXT ReplyText<'a>: ToClient, 4.1 {
        /// The text; no voice.
        said: said;
        /// References, the voice first.
        attachments: items[Media<'a>]
    }
    /// The assistant's answer, spoken.
    0x11 REPLY_VOICE ReplyVoice<'a>: ToClient, 4.1 {
        /// The text and the voice, MP3.
        said: said;
    }
    /// The assistant's answer, spoken, with a picture.
    0x12 REPLY_IMAGE ReplyImage<'a>: ToClient, 4.1 {
        /// The text and the voice, MP3.
        said: said;
        /// JPEG.
        image: rest
    }
    /// Something was refused or went wrong (section 8).
    0x13 ERROR Error<'a>: ToClient, 4.2 {
        /// The text is for people; no voice.
        said: said;
        /// An error code (section 8).
        code: u16,
        /// The nonce or `req` of what it answers, else 0.
        ref_: u64,
        /// The type of the frame that it answers; 0xFF: none.
        about: u8,
        /// When to try again, in milliseconds; 0: no such time.
        retry_ms: u32
    }

    // Connection.

    /// The first frame of a client.
    0x20 HELLO Hello<'a>: ToServer, 5.2 {
        /// The highest version that the client speaks.
        version: u8,
        /// An IANA time zone name, spelled exactly.
        timezone: str8;
        /// A name, or empty.
        user: str8,
        /// 0 guest, 1 password, 2 token, 3 register.
        auth: u8,
        /// The password or token.
        secret: str16,
        /// The device's name.
        device: str8,
        /// The largest media that the server may push as VOICE to FILE, in bytes.
        inline_limit: u32,
        /// 1: no live messages but from chats that SYNC asked for. 2: replies as references too.
        flags: u8
    }
    /// The answer to HELLO.
    0x21 WELCOME Welcome<'a>: ToClient, 5.2 {
        /// The highest common version.
        version: u8,
        /// Who the client is.
        user: u64,
        /// This connection's number.
        session: u64,
        /// The server's time.
        at: i64;
        /// Changes when the server's data was restored: forget positions and nonces then.
        epoch: u64,
        /// Seconds of silence before a PING.
        heartbeat: u16,
        /// The largest TEXT, in bytes.
        max_text: u32,
        /// The largest media, in bytes.
        max_media: u64,
        /// HELLO's, as the server cut it.
        inline_limit: u32,
        /// The user's home chat.
        home: u64,
        /// The user's name.
        user_name: str8,
        /// A new token, or empty after a login by token.
        token: str8
    }
    /// Asks for a PONG.
    0x22 PING Ping<'a>: Both, 5.5 {
        ;
        /// Comes back in the PONG.
        bytes: rest
    }
    /// Answers a PING.
    0x23 PONG Pong<'a>: Both, 5.5 {
        ;
        /// The PING's.
        bytes: rest
    }
    /// The end of a connection.
    0x24 BYE Bye<'a>: Both, 5.6 {
        ;
        /// 0 done, 1 shutting down, 2 replaced, 3 kicked, or an error code.
        code: u16,
        /// For people.
        reason: str16
    }

    // Addressing.

    /// Stands immediately before a content frame and says where it goes.
    0x30 TO To<'a>: ToServer, 3.1 {
        ;
        /// The message's name among its sender's; 0: none.
        nonce: u64,
        /// A chat, or 0.
        chat: u64,
        /// A room's name, or empty.
        room: str8,
        /// The other side of a direct chat, or empty.
        user: str8,
        /// The message's `seq` that it answers, or 0.
        reply_to: u64,
        /// A file's name, or empty.
        name: str16
    }
    /// Stands immediately before a content frame and says where it comes from.
    0x31 FROM From_<'a>: ToClient, 3.2 {
        /// The chat.
        chat: u64,
        /// The message's place in its chat, from 1.
        seq: u64,
        /// When the server took it.
        at: i64,
        /// Who sent it.
        user: u64;
        /// Its nonce, for its sender's own devices; else 0.
        nonce: u64,
        /// The `seq` that it answers, or 0.
        reply_to: u64,
        /// The sender's name.
        user_name: str8,
        /// A file's name, or empty.
        name: str16
    }
    /// The message is stored and survives power loss.
    0x32 STATUS Status: ToClient, 3.3 {
        /// The message's.
        nonce: u64,
        /// Where it went.
        chat: u64,
        /// Its place there.
        seq: u64,
        /// When the server took it.
        at: i64;
        /// 1: it was stored by an earlier copy.
        duplicate: u8
    }

    // Requests.

    /// Enters a room, and makes it if it is missing.
    0x40 JOIN Join<'a>: ToServer, 6.1 {
        /// The request's number.
        req: u32,
        /// The room's name.
        room: str8;
        /// 1: stay in the connection's current room too.
        flags: u8
    }
    /// Leaves a room or group.
    0x41 LEAVE Leave: ToServer, 6.1 {
        /// The request's number.
        req: u32;
        /// 0: the current room.
        chat: u64
    }
    /// Lists rooms, by name.
    0x42 ROOMS Rooms<'a>: ToServer, 6.2 {
        /// The request's number.
        req: u32;
        /// Begin behind this name.
        after: str8,
        /// 1 to 200; 0: 200.
        limit: u16
    }
    /// Lists a chat's members, by id.
    0x43 PARTICIPANTS Participants<'a>: ToServer, 6.2 {
        /// The request's number.
        req: u32;
        /// A chat, or 0.
        chat: u64,
        /// A room's name, or empty.
        room: str8,
        /// Begin behind this user.
        after: u64,
        /// 1 to 200; 0: 200.
        limit: u16
    }
    /// Lists the user's chats, by id.
    0x44 CHATS Chats: ToServer, 6.2 {
        /// The request's number.
        req: u32;
        /// Begin behind this chat.
        after: u64,
        /// 1 to 200; 0: 200.
        limit: u16
    }
    /// Makes a private group.
    0x45 CREATE Create<'a>: ToServer, 6.3 {
        /// The request's number.
        req: u32;
        /// The group's title.
        title: str8
    }
    /// Makes a user a member of a group.
    0x46 INVITE Invite<'a>: ToServer, 6.3 {
        /// The request's number.
        req: u32,
        /// The group.
        chat: u64,
        /// The user's name.
        user: str8;
    }
    /// Ends a user's membership of a group.
    0x47 REMOVE Remove<'a>: ToServer, 6.3 {
        /// The request's number.
        req: u32,
        /// The group.
        chat: u64,
        /// The user's name.
        user: str8;
    }
    /// Reads a page of a chat's messages.
    0x50 HISTORY History: ToServer, 6.4 {
        /// The request's number.
        req: u32,
        /// The chat.
        chat: u64;
        /// Messages with a smaller `seq`; 0: no bound.
        before: u64,
        /// Messages with a larger `seq`; 0: no bound.
        after: u64,
        /// 1 to 200; 0: 200.
        limit: u16,
        /// 1: the oldest of them, not the newest.
        flags: u8
    }
    /// Asks for a chat's messages from a position on, running into live.
    0x51 SYNC Sync: ToServer, 6.5 {
        /// The request's number.
        req: u32,
        /// The chat.
        chat: u64;
        /// The last `seq` that the client has.
        after: u64
    }
    /// Says up to where the user has read.
    0x52 READ Read: ToServer, 6.7 {
        /// The request's number.
        req: u32,
        /// The chat.
        chat: u64,
        /// The last `seq` read.
        seq: u64;
    }
    /// Looks for messages with these words, newest first.
    0x53 SEARCH Search<'a>: ToServer, 6.8 {
        /// The request's number.
        req: u32,
        /// The chat; 0: all of the user's.
        chat: u64,
        /// Words that a message must have, all of them.
        query: str16;
        /// To go on: the `seq` of the last message that came; 0: from the newest.
        before: u64,
        /// 1 to 200; 0: 200.
        limit: u16,
        /// To go on where `chat` is 0: that message's chat.
        before_chat: u64,
        /// To go on where `chat` is 0: that message's time.
        before_at: i64
    }

    /// Removes a message.
    0x54 DELETE Delete: ToServer, 6.9 {
        /// The request's number.
        req: u32,
        /// The chat.
        chat: u64,
        /// The message's place there.
        seq: u64;
    }

    // Transfers.

    /// Begins to send media in chunks, or goes on.
    0x60 UPLOAD Upload<'a>: ToServer, 6.6 {
        /// The request's number, then the transfer's.
        req: u32,
        /// 1 VOICE, 2 VIDEO, 3 IMAGE, 4 FILE.
        media_kind: u8,
        /// Bytes in all.
        size: u64,
        /// The BLAKE3 digest of all bytes.
        digest: id32;
        /// The file's name, or empty.
        name: str16
    }
    /// A piece of a transfer: 1 to 65,536 bytes.
    0x61 CHUNK Chunk<'a>: Both, 6.6 {
        /// The `req` of UPLOAD or FETCH.
        transfer: u32,
        /// Where in the media it begins.
        offset: u64;
        /// The piece.
        bytes: rest
    }
    /// Asks for media, which comes in chunks.
    0x62 FETCH Fetch: ToServer, 6.6 {
        /// The request's number, then the transfer's.
        req: u32,
        /// The media.
        media: id32;
        /// Where to begin.
        offset: u64,
        /// How many bytes; 0: to the end.
        length: u64
    }
    /// Ends a transfer.
    0x63 CANCEL Cancel: ToServer, 6.6 {
        /// The request's number.
        req: u32,
        /// The transfer's.
        transfer: u32;
    }

    // Events.

    /// Somebody is writing, or has stopped.
    0x70 TYPING Typing<'a>: Both, 7 {
        /// Where.
        chat: u64,
        /// 1: is writing.
        on: u8;
        /// Who; from the server alone.
        user: u64,
        /// Who; from the server alone.
        user_name: str8
    }
    /// Somebody came, went, or is away.
    0x71 PRESENCE Presence<'a>: Both, 7 {
        /// 0 offline, 1 online, 2 away.
        presence: u8;
        /// Who; from the server alone.
        user: u64,
        /// Who; from the server alone.
        user_name: str8,
        /// When the user was last seen; from the server alone.
        last_seen: i64
    }
    /// A chat's membership changed.
    0x72 MEMBER Member<'a>: ToClient, 7 {
        /// Where.
        chat: u64,
        /// 1 joined, 2 left, 3 invited, 4 removed.
        change: u8;
        /// Who.
        user: u64,
        /// Who.
        user_name: str8,
        /// When.
        at: i64
    }
    /// A user has read up to a message.
    0x73 SEEN Seen: ToClient, 7 {
        /// Where.
        chat: u64,
        /// Who.
        user: u64,
        /// The last `seq` read.
        seq: u64;
    }

    /// A message was removed.
    0x74 MESSAGE_GONE MessageGone: ToClient, 7 {
        /// Where.
        chat: u64,
        /// Its place there.
        seq: u64;
    }

    // Answers: the request's type + 0x80.

    /// Answers JOIN.
    0xC0 JOINED Joined<'a>: ToClient, 6.1 {
        /// The request's.
        req: u32;
        /// The room.
        chat: u64,
        /// Its newest message.
        last_seq: u64,
        /// Its name, as it was first spelled.
        room: str8,
        /// 1: this JOIN made it.
        created: u8,
        /// 1: this JOIN made the user a member, so `last_seq` is a position.
        new_member: u8
    }
    /// Answers LEAVE.
    0xC1 LEFT Left<'a>: ToClient, 6.1 {
        /// The request's.
        req: u32;
        /// The chat.
        chat: u64,
        /// Its name.
        room: str8
    }
    /// Answers ROOMS.
    0xC2 ROOM_LIST RoomList<'a>: ToClient, 6.2 {
        /// The request's.
        req: u32;
        /// 1: there are others behind.
        more: u8,
        /// By name.
        rooms: list[RoomItem<'a>]
    }
    /// Answers PARTICIPANTS.
    0xC3 PARTICIPANT_LIST ParticipantList<'a>: ToClient, 6.2 {
        /// The request's.
        req: u32;
        /// 1: there are others behind.
        more: u8,
        /// By id.
        participants: list[ParticipantItem<'a>]
    }
    /// Answers CHATS.
    0xC4 CHAT_LIST ChatList<'a>: ToClient, 6.2 {
        /// The request's.
        req: u32;
        /// 1: there are others behind.
        more: u8,
        /// By id.
        chats: list[ChatItem<'a>]
    }
    /// Answers CREATE.
    0xC5 CREATED Created: ToClient, 6.3 {
        /// The request's.
        req: u32;
        /// The new group.
        chat: u64
    }
    /// Answers INVITE.
    0xC6 INVITED Invited: ToClient, 6.3 {
        /// The request's.
        req: u32;
        /// Who was invited.
        user: u64
    }
    /// Answers REMOVE.
    0xC7 REMOVED Removed: ToClient, 6.3 {
        /// The request's.
        req: u32;
        /// Who was removed.
        user: u64
    }
    /// Answers HISTORY; `count` pairs of FROM and content stand immediately behind it.
    0xD0 HISTORY_PAGE HistoryPage: ToClient, 6.4 {
        /// The request's.
        req: u32;
        /// The chat.
        chat: u64,
        /// Its oldest message that is kept.
        first_seq: u64,
        /// Its newest.
        last_seq: u64,
        /// 1: there are others in the direction of reading.
        more: u8,
        /// Pairs that follow.
        count: u16
    }
    /// Answers SYNC; the messages follow as they fit.
    0xD1 SYNCED Synced: ToClient, 6.5 {
        /// The request's.
        req: u32;
        /// The chat.
        chat: u64,
        /// Its oldest message that is kept.
        first_seq: u64,
        /// Its newest.
        last_seq: u64
    }
    /// Answers READ.
    0xD2 READ_UP_TO ReadUpTo: ToClient, 6.7 {
        /// The request's.
        req: u32;
        /// The chat.
        chat: u64,
        /// What now holds.
        seq: u64
    }
    /// Answers SEARCH; `count` pairs of FROM and content stand immediately behind it, newest first.
    0xD3 SEARCH_PAGE SearchPage: ToClient, 6.8 {
        /// The request's.
        req: u32;
        /// 1: there are older ones.
        more: u8,
        /// Pairs that follow.
        count: u16
    }
    /// Answers DELETE.
    0xD4 DELETED Deleted: ToClient, 6.9 {
        /// The request's.
        req: u32;
        /// The chat.
        chat: u64,
        /// The message that is gone.
        seq: u64
    }
    /// Answers UPLOAD: send chunks from here on.
    0xE0 UPLOAD_READY UploadReady: ToClient, 6.6 {
        /// The request's.
        req: u32;
        /// Where to go on.
        offset: u64
    }
    /// An upload is whole, its digest checked, and durable.
    0xE1 STORED Stored: ToClient, 6.6 {
        /// The upload's.
        transfer: u32,
        /// The media.
        media: id32;
    }
    /// Answers FETCH; chunks follow.
    0xE2 FETCH_READY FetchReady<'a>: ToClient, 6.6 {
        /// The request's.
        req: u32;
        /// The whole media's, in bytes.
        size: u64,
        /// Its media type.
        mime: str8
    }
    /// Answers CANCEL: no chunk comes after it.
    0xE3 CANCELLED Cancelled: ToClient, 6.6 {
        /// The request's.
        req: u32;
    }
    /// How much of an upload has come.
    0xE4 RECEIVED Received: ToClient, 6.6 {
        /// The upload's.
        transfer: u32,
        /// Bytes, from the media's beginning.
        offset: u64;
    }
}

items! {
    /// One room of ROOM_LIST.
    RoomItem<'a> {
        ;
        /// The room.
        chat: u64,
        /// Its name.
        room: str8,
        /// Members that are online.
        online: u32,
        /// Its newest message.
        last_seq: u64
    }
    /// One member of PARTICIPANT_LIST.
    ParticipantItem<'a> {
        ;
        /// Who.
        user: u64,
        /// Who.
        user_name: str8,
        /// 0 offline, 1 online, 2 away.
        presence: u8,
        /// 0 member, 1 owner.
        role: u8
    }
    /// One chat of CHAT_LIST.
    ChatItem<'a> {
        ;
        /// The chat.
        chat: u64,
        /// 0 home, 1 room, 2 group, 3 direct.
        chat_kind: u8,
        /// Its name, its title, or the other's name.
        title: str8,
        /// Its newest message.
        last_seq: u64,
        /// Up to where the user has read.
        read_seq: u64
    }
}

/// The text and the voice that every reply begins with: `text_size | voice_size | text | voice`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// What is said.
    pub text: &'a str,
    /// The same as MP3, or empty.
    pub voice: &'a [u8],
}

impl<'a> Said<'a> {
    /// Text alone.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Said { text, voice: &[] }
    }
}

/// The kinds of media: the content types VOICE to FILE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MediaKind {
    /// MP3.
    Voice = kind::VOICE,
    /// MP4.
    Video = kind::VIDEO,
    /// JPEG, PNG, WebP or GIF.
    Image = kind::IMAGE,
    /// Any bytes.
    File = kind::FILE,
}

impl MediaKind {
    /// The kind with this number, which is its content type's too.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            kind::VOICE => Some(MediaKind::Voice),
            kind::VIDEO => Some(MediaKind::Video),
            kind::IMAGE => Some(MediaKind::Image),
            kind::FILE => Some(MediaKind::File),
            _ => None,
        }
    }
}
