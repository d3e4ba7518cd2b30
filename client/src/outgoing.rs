//! What a client sends: where to, and what.

use crate::error::Error;
use crate::limits::REQUEST_BYTES;
use crate::message::MediaRef;
use chatwire_codec::{HEADER_LEN, MediaKind, Payload, frame, header};
use std::borrow::Cow;
use std::path::PathBuf;

/// Bytes of a file's name.
const NAME_BYTES: usize = 255;

/// Where a message goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The room that this connection joined last, else the home chat.
    #[default]
    Current,
    /// A chat.
    Chat(u64),
    /// A room that the user is in, by its name.
    Room(String),
    /// The direct chat with a user, by its name.
    User(String),
}

/// A text or reference to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub target: Target,
    /// 0: the client makes one. Else that of an earlier try, so that the message is stored once.
    pub nonce: u64,
    /// The `seq` of the message that it answers, or 0.
    pub reply_to: u64,
    /// A file's name, or empty.
    pub name: String,
    /// What it says.
    pub body: Body,
}

/// What an outgoing message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Text, not empty.
    Text(String),
    /// Media that the server has.
    Reference(MediaRef),
}

impl Body {
    /// Whether its sender can make the message of it from its STATUS. (What a reference refers to the server describes.)
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Body::Text(_))
    }
}

impl Outgoing {
    /// A text, and nothing special about it.
    pub fn text(target: Target, text: impl Into<String>) -> Self {
        Outgoing { target, nonce: 0, reply_to: 0, name: String::new(), body: Body::Text(text.into()) }
    }

    /// Media that the server has, with its own name.
    #[must_use]
    pub fn reference(target: Target, media: MediaRef) -> Self {
        let name = media.name.clone();
        Outgoing { target, nonce: 0, reply_to: 0, name, body: Body::Reference(media) }
    }

    /// Bytes of what it holds of variable length.
    pub(crate) fn weight(&self) -> usize {
        let body = match &self.body {
            Body::Text(text) => text.len(),
            Body::Reference(media) => media.weight(),
        };
        self.name.len() + body
    }

    /// TO and the content behind it.
    pub(crate) fn encode(&self, nonce: u64, max_text: u32) -> Result<Vec<u8>, Error> {
        let mut bytes = to(&self.target, nonce, self.reply_to, &self.name)?;
        match &self.body {
            Body::Text(text) if text.is_empty() => return Err(Error::Invalid("an empty text says nothing")),
            Body::Text(text) if max_text > 0 && text.len() > max_text as usize => {
                return Err(Error::TooLarge { size: text.len() as u64, limit: max_text.into() });
            }
            Body::Text(text) => frame::Text { text }.encode(&mut bytes)?,
            Body::Reference(media) => {
                let start = bytes.len();
                media.frame().encode(&mut bytes)?;
                within_request(bytes.len() - start)?;
            }
        }
        Ok(bytes)
    }
}

/// A file to be sent, read as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingFile {
    /// The file.
    pub path: PathBuf,
    /// Where to.
    pub target: Target,
    /// 0: the client makes one. Else that of an earlier try, so that the message is stored once.
    pub nonce: u64,
    /// The `seq` of the message that it answers, or 0.
    pub reply_to: u64,
    /// As the file is to be called; empty: the last part of its path.
    pub name: String,
    /// As what it goes; `None`: what its first bytes say.
    pub kind: Option<MediaKind>,
}

impl OutgoingFile {
    /// A file under its own name, as what its first bytes say that it is.
    pub fn new(target: Target, path: impl Into<PathBuf>) -> Self {
        OutgoingFile { path: path.into(), target, nonce: 0, reply_to: 0, name: String::new(), kind: None }
    }

    /// TO and the header of the content frame.
    pub(crate) fn head(&self, nonce: u64, kind: MediaKind, size: u32) -> Result<Vec<u8>, Error> {
        let mut bytes = to(&self.target, nonce, self.reply_to, &self.called())?;
        bytes.extend_from_slice(&header(kind as u8, size));
        Ok(bytes)
    }
}

impl OutgoingFile {
    /// The message, once the file is on the server as this media.
    pub(crate) fn refer(self, media: MediaRef) -> Outgoing {
        let name = self.called().into_owned();
        let OutgoingFile { target, nonce, reply_to, .. } = self;
        Outgoing { target, nonce, reply_to, name, body: Body::Reference(media) }
    }

    fn called(&self) -> Cow<'_, str> {
        if self.name.is_empty() {
            return self.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        }
        Cow::Borrowed(&self.name)
    }
}

fn to(target: &Target, nonce: u64, reply_to: u64, name: &str) -> Result<Vec<u8>, Error> {
    if name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Error::Invalid("a file's name is at most 255 bytes, without control characters"));
    }
    let mut to = frame::To { nonce, reply_to, name, ..frame::To::default() };
    match target {
        Target::Current => {}
        Target::Chat(0) => return Err(Error::Invalid("there is no chat 0")),
        Target::Chat(chat) => to.chat = *chat,
        Target::Room(room) if room.is_empty() => return Err(Error::Invalid("a room's name is not empty")),
        Target::Room(room) => to.room = room,
        Target::User(user) if user.is_empty() => return Err(Error::Invalid("a user's name is not empty")),
        Target::User(user) => to.user = user,
    }
    let mut bytes = Vec::new();
    to.encode(&mut bytes)?;
    within_request(bytes.len())?;
    Ok(bytes)
}

/// Whether a frame, header included, is as small as TO, MEDIA and requests must be.
pub(crate) fn within_request(bytes: usize) -> Result<(), Error> {
    if bytes > HEADER_LEN + REQUEST_BYTES { Err(Error::Invalid("too long for one request")) } else { Ok(()) }
}
