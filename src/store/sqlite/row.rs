//! From rows to messages and media, and the numbers of kinds in them.

use super::chat::{chat_of, id_at, seq_of, sql};
use crate::id::{MediaId, Micros, Seq, UserId};
use crate::store::{ChatKind, Content, Media, Message};
use chatwire_codec::MediaKind;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;
use std::sync::Arc;

/// `messages.kind` of text.
pub(super) const TEXT: u8 = 0x00;
/// `messages.kind` of media that was sent as a reference; what kind of media it is, its reference says.
pub(super) const REFERENCE: u8 = 0x05;
/// `messages.kind` of a removed message.
pub(super) const GONE: u8 = 0x0F;
/// `messages.kind` of the assistant's answers.
pub(super) const REPLY: u8 = 0x10;

/// The columns that [`Stored`] is read from.
pub(super) const COLUMNS: &str = "id, at, user, kind, nonce, reply_to, name, body";

/// A row of `messages`, before its media and its sender's name are looked up.
pub(super) struct Stored {
    pub(super) id: i64,
    at: Micros,
    user: UserId,
    kind: u8,
    nonce: u64,
    reply_to: Seq,
    name: Box<str>,
    body: Box<str>,
}

impl Stored {
    /// Columns as in [`COLUMNS`].
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
        Ok(Stored {
            id: row.get(0)?,
            at: row.get(1)?,
            user: UserId(id_at(row, 2)?),
            kind: row.get(3)?,
            nonce: id_at(row, 4)?,
            reply_to: id_at(row, 5)?,
            name: row.get(6)?,
            body: row.get(7)?,
        })
    }

    /// Bytes of text that it brings to a page.
    pub(super) fn weight(&self) -> usize {
        self.name.len() + self.body.len()
    }

    fn has_media(&self) -> bool {
        matches!(self.kind, REPLY | REFERENCE) || kind(self.kind).is_some()
    }

    fn content(self, media: Vec<Arc<Media>>) -> Content {
        match self.kind {
            TEXT => Content::Text(self.body),
            REPLY => Content::Reply(self.body, media),
            GONE => Content::Gone,
            // Media without its row can only be media that was removed.
            _ => media.into_iter().next().map_or(Content::Gone, Content::Media),
        }
    }
}

/// Makes messages of rows. Remembers the names of their senders, who are few on a page.
pub(super) struct Finisher<'a> {
    db: &'a Connection,
    chat_kind: ChatKind,
    names: HashMap<UserId, Arc<str>>,
}

impl<'a> Finisher<'a> {
    pub(super) fn new(db: &'a Connection, chat_kind: ChatKind) -> Self {
        Finisher { db, chat_kind, names: HashMap::new() }
    }

    /// From here on of a chat of this kind.
    pub(super) fn in_chat(&mut self, kind: ChatKind) -> &mut Self {
        self.chat_kind = kind;
        self
    }

    pub(super) fn finish(&mut self, mut stored: Stored) -> rusqlite::Result<Message> {
        let media = if stored.has_media() { media_of(self.db, stored.id)? } else { Vec::new() };
        Ok(Message {
            chat: chat_of(stored.id),
            chat_kind: self.chat_kind,
            seq: seq_of(stored.id),
            at: stored.at,
            user: stored.user,
            user_name: self.name(stored.user)?,
            nonce: stored.nonce,
            reply_to: stored.reply_to,
            name: std::mem::take(&mut stored.name),
            content: stored.content(media),
        })
    }

    fn name(&mut self, user: UserId) -> rusqlite::Result<Arc<str>> {
        if let Some(name) = self.names.get(&user) {
            return Ok(Arc::clone(name));
        }
        let name: Option<Arc<str>> = self
            .db
            .prepare_cached("SELECT name FROM users WHERE id = ?1")?
            .query_row(params![sql(user.0)], |row| row.get(0))
            .optional()?;
        let name = name.unwrap_or_default();
        self.names.insert(user, Arc::clone(&name));
        Ok(name)
    }
}

/// Columns: id, kind, size, mime, duration_ms, width, height.
pub(super) fn media(row: &Row<'_>) -> rusqlite::Result<Media> {
    let number: u8 = row.get(1)?;
    Ok(Media {
        id: MediaId(row.get(0)?),
        kind: kind(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, number.into()))?,
        size: id_at(row, 2)?,
        mime: row.get(3)?,
        duration_ms: row.get(4)?,
        width: row.get(5)?,
        height: row.get(6)?,
    })
}

/// The digest and kind of the message's first media.
pub(super) fn first_media(db: &Connection, message: i64) -> rusqlite::Result<Option<(MediaKind, MediaId)>> {
    db.prepare_cached("SELECT kind, media FROM media_refs WHERE message = ?1 AND part = 0")?
        .query_row(params![message], media_ref)
        .optional()
}

/// All media of these messages, by the first id and the last.
pub(super) fn media_refs(db: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<(MediaKind, MediaId)>> {
    db.prepare_cached("SELECT DISTINCT kind, media FROM media_refs WHERE message BETWEEN ?1 AND ?2")?
        .query_map(params![from, to], media_ref)?
        .collect()
}

/// Columns: kind, media.
pub(super) fn media_ref(row: &Row<'_>) -> rusqlite::Result<(MediaKind, MediaId)> {
    let number: u8 = row.get(0)?;
    let kind = kind(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number.into()))?;
    Ok((kind, MediaId(row.get(1)?)))
}

fn media_of(db: &Connection, message: i64) -> rusqlite::Result<Vec<Arc<Media>>> {
    db.prepare_cached(
        "SELECT m.id, m.kind, m.size, m.mime, m.duration_ms, m.width, m.height
           FROM media_refs r JOIN media m ON m.id = r.media AND m.kind = r.kind
          WHERE r.message = ?1 ORDER BY r.part",
    )?
    .query_map(params![message], |row| media(row).map(Arc::new))?
    .collect()
}

fn kind(number: u8) -> Option<MediaKind> {
    MediaKind::from_number(number)
}
