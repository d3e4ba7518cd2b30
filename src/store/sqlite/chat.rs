//! What both the writer and the readers know of chats: their heads, who is in them, who may read what.
//!
//! Knows no cache: [`super::cache`] stands in front of it for the writer.

use super::fault::{Done, Fault};
use crate::id::{ChatId, MediaId, Micros, Seq, UserId};
use crate::store::{ChatHead, ChatKind, Media};
use chatwire_codec::{Code, MediaKind};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

/// Bits of a message's id that hold its `seq`.
const SEQ_BITS: u32 = 32;
/// The largest `seq` that a chat can give.
pub(super) const MAX_SEQ: Seq = (1 << SEQ_BITS) - 1;
/// The largest id of a chat; the schema checks it.
const MAX_CHAT: u64 = (1 << 31) - 1;

/// The newest seq of the chat `c`: one look at the end of its messages.
pub(super) const LAST_SEQ: &str = "max(c.last_seq, coalesce(
    (SELECT m.id & 4294967295 FROM messages m
      WHERE m.id BETWEEN c.id << 32 AND c.id << 32 | 4294967295 ORDER BY m.id DESC LIMIT 1), 0))";

/// A chat and its newest message.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) kind: ChatKind,
    /// A room's name, a group's title, or empty.
    pub(super) name: Arc<str>,
    pub(super) last_seq: Seq,
    pub(super) last_at: Micros,
}

/// A user who was found by name.
pub(super) struct Named {
    pub(super) id: UserId,
    pub(super) is_deleted: bool,
}

/// `chat << 32 | seq`. A client may name chats and seqs that cannot be: those become ids that are not.
pub(super) fn message_id(chat: ChatId, seq: Seq) -> i64 {
    let id = chat.0.min(MAX_CHAT + 1) << SEQ_BITS | seq.min(MAX_SEQ);
    // The chat that cannot be shifts into the sign, and no message has a negative id.
    id.cast_signed()
}

/// The `seq` in a message's id.
pub(super) fn seq_of(id: i64) -> Seq {
    id.cast_unsigned() & MAX_SEQ
}

/// The chat in a message's id.
pub(super) fn chat_of(id: i64) -> ChatId {
    ChatId(id.cast_unsigned() >> SEQ_BITS)
}

/// Ids as SQLite has them. One that a client made up and that is too large names nothing.
pub(super) fn sql(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// A column that holds an id.
pub(super) fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The id that the last INSERT gave. Not with RETURNING, for which SQLite keeps copies of pages as for a trigger.
pub(super) fn new_id(db: &Connection) -> u64 {
    db.last_insert_rowid().cast_unsigned()
}

/// A column that holds a kind of chat.
pub(super) fn kind_at(row: &Row<'_>, column: usize) -> rusqlite::Result<ChatKind> {
    match row.get::<_, i64>(column)? {
        0 => Ok(ChatKind::Home),
        1 => Ok(ChatKind::Room),
        2 => Ok(ChatKind::Group),
        3 => Ok(ChatKind::Direct),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}

/// A chat, if it exists.
pub(super) fn head(db: &Connection, chat: ChatId) -> rusqlite::Result<Option<Head>> {
    let found = db
        .prepare_cached("SELECT kind, name, last_seq, last_at FROM chats WHERE id = ?1")?
        .query_row(params![sql(chat.0)], |row| {
            Ok(Head {
                kind: kind_at(row, 0)?,
                name: row.get(1)?,
                last_seq: id_at(row, 2)?,
                last_at: row.get(3)?,
            })
        })
        .optional()?;
    let Some(mut head) = found else { return Ok(None) };
    if let Some((seq, at)) = newest(db, chat)? {
        head.last_seq = head.last_seq.max(seq);
        head.last_at = head.last_at.max(at);
    }
    Ok(Some(head))
}

/// The oldest message that is kept of a chat; `last_seq` + 1 if there is none.
pub(super) fn first_seq(db: &Connection, chat: ChatId, last_seq: Seq) -> rusqlite::Result<Seq> {
    let first = db
        .prepare_cached("SELECT id FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1")?
        .query_row(params![message_id(chat, 0), message_id(chat, MAX_SEQ)], |row| row.get(0))
        .optional()?;
    Ok(first.map_or(last_seq + 1, seq_of))
}

/// Whether the user is in the chat. Everybody is in `all`, and the assistant is wherever somebody talks.
pub(super) fn is_member(db: &Connection, user: UserId, chat: ChatId) -> rusqlite::Result<bool> {
    if chat == ChatId::ALL || user == UserId::ASSISTANT {
        return Ok(true);
    }
    db.prepare_cached(
        "SELECT 1 FROM members WHERE chat = ?1 AND user = ?2
         UNION ALL SELECT 1 FROM chats WHERE id = ?1 AND low = 1 AND high = ?2",
    )?
    .exists(params![sql(chat.0), sql(user.0)])
}

/// Whether the user owns the group.
pub(super) fn owns(db: &Connection, user: UserId, chat: ChatId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM members WHERE chat = ?1 AND user = ?2 AND role = 1")?
        .exists(params![sql(chat.0), sql(user.0)])
}

/// The chat, for somebody who is in it. To others a room says so; all else does not exist.
pub(super) fn admit(db: &Connection, user: UserId, chat: ChatId) -> Done<Head> {
    let head = head(db, chat)?.ok_or_else(no_chat)?;
    if is_member(db, user, chat)? {
        return Ok(head);
    }
    Err(if head.kind == ChatKind::Room { not_in_room() } else { no_chat() })
}

/// The room whose name has this key.
pub(super) fn room(db: &Connection, key: &str) -> rusqlite::Result<Option<ChatId>> {
    db.prepare_cached("SELECT id FROM chats WHERE kind = 1 AND name_key = ?1")?
        .query_row(params![key], |row| id_at(row, 0).map(ChatId))
        .optional()
}

/// The user whose name has this key.
pub(super) fn user(db: &Connection, key: &str) -> rusqlite::Result<Option<Named>> {
    db.prepare_cached("SELECT id, deleted_at IS NOT NULL FROM users WHERE name_key = ?1")?
        .query_row(params![key], |row| Ok(Named { id: UserId(id_at(row, 0)?), is_deleted: row.get(1)? }))
        .optional()
}

/// The chat of two users; with the assistant, a user's home.
pub(super) fn of_pair(db: &Connection, one: UserId, other: UserId) -> rusqlite::Result<Option<ChatId>> {
    db.prepare_cached("SELECT id FROM chats WHERE low = ?1 AND high = ?2")?
        .query_row(params![sql(one.min(other).0), sql(one.max(other).0)], |row| id_at(row, 0).map(ChatId))
        .optional()
}

/// Every chat of a user, `all` included, by id.
pub(super) fn all_of(db: &Connection, user: UserId) -> rusqlite::Result<Vec<ChatHead>> {
    db.prepare_cached(&format!(
        "SELECT c.id, c.kind, {LAST_SEQ} FROM chats c
          WHERE c.id IN (SELECT chat FROM memberships WHERE user = ?1)
          ORDER BY c.id"
    ))?
    .query_map(params![sql(user.0)], |row| {
        Ok(ChatHead { chat: ChatId(id_at(row, 0)?), kind: kind_at(row, 1)?, last_seq: id_at(row, 2)? })
    })?
    .collect()
}

/// Media that the user may read: it stands in a chat of theirs, or they have uploaded it. Of the kind that is
/// wished for, if that is among what they may read, else of the first kind that is.
pub(super) fn readable_media(
    db: &Connection,
    user: UserId,
    id: MediaId,
    wish: Option<MediaKind>,
) -> rusqlite::Result<Option<Media>> {
    db.prepare_cached(READABLE_MEDIA)?
        .query_row(params![sql(user.0), id.0, wish.map(|kind| kind as u8)], super::row::media)
        .optional()
}

/// Asked from the user's side, one search for each chat of theirs and each kind, whether or not there is such
/// media: what others have sent costs nothing, and what is hidden takes as long as what is missing.
pub(super) const READABLE_MEDIA: &str = "
    SELECT m.id, m.kind, m.size, m.mime, m.duration_ms, m.width, m.height
      FROM (SELECT column1 AS kind FROM (VALUES (1), (2), (3), (4))) k
           CROSS JOIN media m ON m.id = ?2 AND m.kind = k.kind
     WHERE EXISTS (SELECT 1 FROM memberships c
                          CROSS JOIN media_refs r
                    WHERE c.user = ?1 AND r.media = ?2 AND r.kind = k.kind
                      AND r.message BETWEEN c.chat << 32 AND c.chat << 32 | 4294967295)
        OR EXISTS (SELECT 1 FROM uploads u
                    WHERE u.user = ?1 AND u.media = ?2 AND u.kind = k.kind)
     ORDER BY k.kind <> ?3, k.kind LIMIT 1";

/// What one says of a chat that is not there, and of a private one that the asker is not in.
pub(super) fn no_chat() -> Fault {
    Fault::new(Code::NotFound, "there is no such chat")
}

/// What one says of a room to somebody who is not in it.
pub(super) fn not_in_room() -> Fault {
    Fault::new(Code::Forbidden, "you are not in this room; join it first")
}

/// The newest message's seq and time.
fn newest(db: &Connection, chat: ChatId) -> rusqlite::Result<Option<(Seq, Micros)>> {
    db.prepare_cached("SELECT id, at FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1")?
        .query_row(params![message_id(chat, 0), message_id(chat, MAX_SEQ)], |row| {
            Ok((seq_of(row.get(0)?), row.get(1)?))
        })
        .optional()
}
