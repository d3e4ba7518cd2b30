//! Messages as a program keeps them: owned, and made of FROM and the content behind it.

use chatwire_codec::{Frame, MediaKind, frame};

/// A message of a chat. (`chat`, `seq`) is its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The chat.
    pub chat: u64,
    /// Its place there, from 1.
    pub seq: u64,
    /// When the server took it: microseconds since the Unix epoch, UTC.
    pub at: i64,
    /// Who sent it; the assistant is 1.
    pub user: u64,
    /// Who sent it.
    pub user_name: String,
    /// Its nonce, for its sender's own devices; else 0.
    pub nonce: u64,
    /// The `seq` that it answers, or 0.
    pub reply_to: u64,
    /// A file's name, or empty. It comes from a stranger: never a path to write to.
    pub name: String,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Text, as it was sent: it may hold control characters.
    Text(String),
    /// Media that the server has; see [`crate::Client::fetch`].
    Media(MediaRef),
    /// Media pushed whole, within `inline_limit`.
    Inline {
        /// What the server says that it is.
        kind: MediaKind,
        /// 1 MiB at most.
        bytes: Vec<u8>,
    },
    /// The assistant's answer.
    Reply(Reply),
    /// It was removed.
    Gone,
    /// A type that this version does not know, or one too large.
    Unknown(u8),
}

/// An answer of the assistant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// In words.
    pub text: String,
    /// Spoken: MP3, or empty.
    pub voice: Vec<u8>,
    /// A JPEG, or empty.
    pub image: Vec<u8>,
    /// The same as references, the voice first.
    pub attachments: Vec<MediaRef>,
}

/// Names media that the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRef {
    /// What it is; a number that this version does not know counts as a file.
    pub kind: MediaKind,
    /// The BLAKE3 digest of its bytes.
    pub media: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// Its media type, such as `video/mp4`.
    pub mime: String,
    /// The file's name, or empty. It comes from a stranger: never a path to write to.
    pub name: String,
    /// Milliseconds, or 0.
    pub duration_ms: u32,
    /// Pixels, or 0.
    pub width: u32,
    /// Pixels, or 0.
    pub height: u32,
}

impl Message {
    /// The message that FROM announces, its content still to come.
    pub(crate) fn announced(from: &frame::From_<'_>) -> Self {
        Message {
            chat: from.chat,
            seq: from.seq,
            at: from.at,
            user: from.user,
            user_name: from.user_name.to_owned(),
            nonce: from.nonce,
            reply_to: from.reply_to,
            name: from.name.to_owned(),
            content: Content::Unknown(0xFF),
        }
    }

    /// Bytes of what it holds of variable length.
    pub(crate) fn weight(&self) -> usize {
        self.user_name.len() + self.name.len() + self.content.weight()
    }
}

impl Content {
    /// What a content frame says; nothing if the frame is no content.
    pub(crate) fn of(frame: &Frame<'_>) -> Option<Self> {
        Some(match frame {
            Frame::Text(text) => Content::Text(text.text.to_owned()),
            Frame::Media(media) => Content::Media(media.into()),
            Frame::Gone(_) => Content::Gone,
            Frame::ReplyText(reply) => Content::Reply(Reply {
                text: reply.said.text.to_owned(),
                attachments: reply.attachments.iter().map(MediaRef::from).collect(),
                ..Reply::default()
            }),
            Frame::ReplyVoice(reply) => Content::Reply(spoken(reply.said, &[])),
            Frame::ReplyImage(reply) => Content::Reply(spoken(reply.said, reply.image)),
            _ => return None,
        })
    }

    fn weight(&self) -> usize {
        match self {
            Content::Text(text) => text.len(),
            Content::Media(media) => media.weight(),
            Content::Inline { bytes, .. } => bytes.len(),
            Content::Reply(reply) => {
                let attachments: usize = reply.attachments.iter().map(MediaRef::weight).sum();
                reply.text.len() + reply.voice.len() + reply.image.len() + attachments
            }
            Content::Gone | Content::Unknown(_) => 0,
        }
    }
}

fn spoken(said: frame::Said<'_>, image: &[u8]) -> Reply {
    Reply {
        text: said.text.to_owned(),
        voice: said.voice.to_vec(),
        image: image.to_vec(),
        attachments: Vec::new(),
    }
}

impl MediaRef {
    /// As it goes over the wire.
    pub(crate) fn frame(&self) -> frame::Media<'_> {
        frame::Media {
            media_kind: self.kind as u8,
            media: self.media,
            size: self.size,
            mime: &self.mime,
            name: &self.name,
            duration_ms: self.duration_ms,
            width: self.width,
            height: self.height,
        }
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.mime.len() + self.name.len()
    }
}

impl From<&frame::Media<'_>> for MediaRef {
    fn from(media: &frame::Media<'_>) -> Self {
        MediaRef {
            kind: MediaKind::from_number(media.media_kind).unwrap_or(MediaKind::File),
            media: media.media,
            size: media.size,
            mime: media.mime.to_owned(),
            name: media.name.to_owned(),
            duration_ms: media.duration_ms,
            width: media.width,
            height: media.height,
        }
    }
}
