//! What is made of things that happened: the frames that tell of them, in bytes.
//!
//! It decides nothing: not who gets a frame ([`crate::hub`]), nor whether something happened (the store).

use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Micros, Seq, UserId};
use crate::store::{Content, Joined, Left, Media, Message, Synced};
use bytes::Bytes;
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Payload, Said};

/// A piece of what is to be sent.
#[derive(Debug)]
pub enum Segment {
    /// Frames of this connection's own.
    Owned(Vec<u8>),
    /// Frames that others get too.
    Shared(Bytes),
    /// A message with media whole, whose body is read from its file as it is sent.
    File(Box<FilePart>),
}

/// What is left of a message with media whole.
#[derive(Debug)]
pub struct FilePart {
    /// The media.
    pub media: MediaId,
    /// FROM and the header of the content, until they are sent.
    pub head: Vec<u8>,
    /// The message by reference: sent instead if the file cannot be read when its turn has come, since the message
    /// may have been removed meanwhile.
    pub instead: Vec<u8>,
    /// Where to go on.
    pub offset: u64,
    /// Where to end.
    pub end: u64,
}

/// How much something is to send and to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes to be sent.
    pub bytes: usize,
    /// Bytes of memory that it takes from nobody but its connection. What is shared is counted where it was made, and what
    /// is still in its file takes none.
    pub memory: usize,
}

impl std::ops::Add for Size {
    type Output = Size;

    fn add(self, other: Size) -> Size {
        Size { bytes: self.bytes + other.bytes, memory: self.memory + other.memory }
    }
}

impl Segment {
    /// How much there is of it.
    #[must_use]
    pub fn size(&self) -> Size {
        let memory = match self {
            Segment::Owned(bytes) => bytes.capacity(),
            Segment::Shared(_) => 0,
            Segment::File(part) => size_of::<FilePart>() + part.head.capacity() + part.instead.capacity(),
        };
        Size { bytes: self.len(), memory }
    }

    /// Bytes to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Segment::Owned(bytes) => bytes.len(),
            Segment::Shared(bytes) => bytes.len(),
            Segment::File(part) => {
                part.head.len() + usize::try_from(part.end - part.offset).unwrap_or(usize::MAX)
            }
        }
    }

    /// Whether there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Appends a frame. All that the server writes is checked before it is stored, so it always fits; if it did
/// not, the frame would be missing and the log would say so.
pub fn put<'a, P: Payload<'a>>(out: &mut Vec<u8>, frame: &P) {
    if let Err(e) = frame.encode(out) {
        log::error!("a frame of type {:#04x} could not be written: {e}", P::KIND);
    }
}

/// A whole frame of its own.
pub fn bytes_of<'a, P: Payload<'a>>(frame: &P) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, frame);
    out
}

/// STATUS.
pub fn status(out: &mut Vec<u8>, nonce: u64, chat: ChatId, seq: Seq, at: Micros, duplicate: bool) {
    put(out, &frame::Status { nonce, chat: chat.0, seq, at, duplicate: duplicate.into() });
}

/// ERROR about the frame of type `about` with the nonce or `req` `reference`.
pub fn error(out: &mut Vec<u8>, about: u8, reference: u64, refusal: &Refusal) {
    let said = Said::text(&refusal.text);
    let (code, retry_ms) = (refusal.code as u16, refusal.retry_ms);
    put(out, &frame::Error { said, code, ref_: reference, about, retry_ms });
}

/// JOINED.
pub fn joined(out: &mut Vec<u8>, req: u32, joined: &Joined, last_seq: Seq) {
    let (chat, created, new_member) = (joined.chat.0, joined.created.into(), joined.is_new.into());
    put(out, &frame::Joined { req, chat, last_seq, room: &joined.room, created, new_member });
}

/// LEFT.
pub fn left(out: &mut Vec<u8>, req: u32, left: &Left) {
    put(out, &frame::Left { req, chat: left.chat.0, room: &left.room });
}

/// SYNCED.
pub fn synced(out: &mut Vec<u8>, req: u32, synced: &Synced) {
    let Synced { chat, first_seq, last_seq, .. } = *synced;
    put(out, &frame::Synced { req, chat: chat.0, first_seq, last_seq });
}

/// What MEMBER says of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Change {
    /// Came in by JOIN.
    Joined = 1,
    /// Went, by LEAVE or by the end of a guest's last connection.
    Left = 2,
    /// Came in by INVITE.
    Invited = 3,
    /// Was made to go by REMOVE.
    Removed = 4,
}

/// MEMBER.
#[must_use]
pub fn member(chat: ChatId, change: Change, user: UserId, user_name: &str, at: Micros) -> Bytes {
    let (chat, change, user) = (chat.0, change as u8, user.0);
    Bytes::from(bytes_of(&frame::Member { chat, change, user, user_name, at }))
}

/// FROM and its content, media by reference. The nonce is for the sender's own devices.
pub fn message(out: &mut Vec<u8>, message: &Message, own: bool) {
    from(out, message, own);
    match &message.content {
        Content::Text(text) => put(out, &frame::Text { text }),
        Content::Media(media) => put(out, &reference(media, &message.name)),
        Content::Reply(text, attachments) => {
            let attachments = attachments.iter().map(|m| reference(m, "")).collect();
            put(out, &frame::ReplyText { said: Said::text(text), attachments });
        }
        Content::Gone | Content::Reference(..) => put(out, &frame::Gone {}),
    }
}

/// FROM and its content as it goes to a connection that takes media of up to `inline_limit` bytes whole.
pub fn segments(out: &mut Vec<Segment>, msg: &Message, own: bool, inline_limit: u32) {
    let Some(media) = inline(msg, inline_limit) else {
        return write_behind(out, |tail| message(tail, msg, own));
    };
    let mut head = Vec::new();
    from(&mut head, msg, own);
    // At most `inline_limit`, so it fits.
    let size = u32::try_from(media.size).unwrap_or(u32::MAX);
    head.extend_from_slice(&chatwire_codec::header(media.kind as u8, size));
    if media.size == 0 {
        return write_behind(out, |tail| tail.extend_from_slice(&head));
    }
    let mut instead = Vec::new();
    message(&mut instead, msg, own);
    let part = FilePart { media: media.id, head, instead, offset: 0, end: media.size };
    out.push(Segment::File(Box::new(part)));
}

fn write_behind(out: &mut Vec<Segment>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut tail = match out.pop() {
        Some(Segment::Owned(tail)) => tail,
        other => {
            out.extend(other);
            Vec::new()
        }
    };
    write(&mut tail);
    out.push(Segment::Owned(tail));
}

/// The media of a message that goes inline to a connection with this limit.
#[must_use]
pub fn inline(message: &Message, inline_limit: u32) -> Option<&Media> {
    match &message.content {
        Content::Media(media) if inline_limit > 0 && media.size <= inline_limit.into() => Some(media),
        _ => None,
    }
}

fn from(out: &mut Vec<u8>, message: &Message, own: bool) {
    let inline_name = match message.content {
        Content::Media(_) => &*message.name,
        _ => "",
    };
    put(
        out,
        &frame::From_ {
            chat: message.chat.0,
            seq: message.seq,
            at: message.at,
            user: message.user.0,
            nonce: if own { message.nonce } else { 0 },
            reply_to: message.reply_to,
            user_name: &message.user_name,
            name: inline_name,
        },
    );
}

fn reference<'a>(media: &'a Media, name: &'a str) -> frame::Media<'a> {
    frame::Media {
        media_kind: media.kind as u8,
        media: media.id.0,
        size: media.size,
        mime: &media.mime,
        name,
        duration_ms: media.duration_ms,
        width: media.width,
        height: media.height,
    }
}

/// BYE.
#[must_use]
pub fn bye(code: u16, reason: &str) -> Vec<u8> {
    bytes_of(&frame::Bye { code, reason })
}

/// The frame type that an ERROR about no frame names.
pub const ABOUT_NOTHING: u8 = 0xFF;

/// The type of a request's answer.
#[must_use]
pub const fn is_content(frame: u8) -> bool {
    frame <= kind::GONE
}
