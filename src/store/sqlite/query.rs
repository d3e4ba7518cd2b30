//! What is only read: on connections of their own, many at once, each from one snapshot.

use super::Readers;
use super::chat::{self, LAST_SEQ, MAX_SEQ, id_at, message_id, sql};
use super::fault::{self, Done, Fault};
use super::row::{COLUMNS, Finisher, Stored};
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Seq, UserId};
use crate::store::{
    ChatKind, ChatRow, HistoryPage, HistoryQuery, Listed, Media, MemberRow, Message, RoomRow, Target,
};
use chatwire_codec::Code;
use rusqlite::{Connection, params};

/// Rows of a page, if nothing or more is asked for.
const PAGE_ROWS: u16 = 200;
/// What a message weighs on a page beside its texts: about what its FROM and frame headers take.
pub(super) const MESSAGE_WEIGHT: usize = 128;

/// Runs `ask` on a reader, in one snapshot: no commit comes between its statements.
pub(super) fn read<T>(readers: &Readers, ask: impl FnOnce(&Connection) -> Done<T>) -> Result<T, Refusal> {
    let mut db = readers.get().map_err(|e| {
        log::error!("store: no connection to read with: {e}");
        Refusal::internal()
    })?;
    let answer = db.transaction().map_err(Fault::Sql).and_then(|snapshot| ask(&snapshot));
    answer.map_err(|fault| match fault {
        Fault::Refused(refusal) => refusal,
        Fault::Sql(error) => {
            log::error!("store: a read failed: {}", fault::told(&error));
            fault::refusal(&error)
        }
    })
}

pub(super) fn history(
    db: &Connection,
    asker: UserId,
    chat: ChatId,
    query: HistoryQuery,
) -> Done<HistoryPage> {
    let head = chat::admit(db, asker, chat)?;
    let range = Range {
        chat,
        kind: head.kind,
        from: query.after.saturating_add(1),
        to: if query.before == 0 { MAX_SEQ } else { query.before - 1 },
        limit: page_rows(query.limit),
        max_bytes: query.max_bytes,
    };
    let (mut messages, more) = if query.oldest { ascending(db, &range)? } else { descending(db, &range)? };
    if !query.oldest {
        messages.reverse();
    }
    let first_seq = chat::first_seq(db, chat, head.last_seq)?;
    Ok(HistoryPage { first_seq, last_seq: head.last_seq, more, messages })
}

pub(super) fn messages(
    db: &Connection,
    chat: ChatId,
    after: Seq,
    upto: Seq,
    max_bytes: usize,
) -> Done<Vec<Message>> {
    let Some(head) = chat::head(db, chat)? else { return Ok(Vec::new()) };
    let from = after.saturating_add(1);
    let range = Range { chat, kind: head.kind, from, to: upto, limit: usize::MAX, max_bytes };
    Ok(ascending(db, &range)?.0)
}

pub(super) fn rooms(db: &Connection, after: &str, limit: u16) -> Done<Listed<RoomRow>> {
    let limit = page_rows(limit);
    let rows = db
        .prepare_cached(&format!(
            "SELECT c.id, c.name, {LAST_SEQ} FROM chats c
              WHERE c.kind = 1 AND c.name_key > ?1
              ORDER BY c.name_key LIMIT ?2"
        ))?
        .query_map(params![after, one_more(limit)], |row| {
            Ok(RoomRow { chat: ChatId(id_at(row, 0)?), room: row.get(1)?, last_seq: id_at(row, 2)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(listed(rows, limit))
}

pub(super) fn chats(db: &Connection, user: UserId, after: ChatId, limit: u16) -> Done<Listed<ChatRow>> {
    let limit = page_rows(limit);
    let rows = db
        .prepare_cached(&format!(
            "SELECT c.id, c.kind, {LAST_SEQ}, coalesce(p.read_seq, 0),
                    CASE WHEN c.low IS NULL THEN c.name ELSE coalesce(u.name, '') END
               FROM (SELECT chat FROM memberships WHERE user = ?1 AND chat > ?2 ORDER BY chat LIMIT ?3) mine
                    CROSS JOIN chats c ON c.id = mine.chat
                    LEFT JOIN positions p ON p.user = ?1 AND p.chat = c.id
                    LEFT JOIN users u ON u.id = iif(c.low = ?1, c.high, c.low)
              ORDER BY c.id"
        ))?
        .query_map(params![sql(user.0), sql(after.0), one_more(limit)], |row| {
            Ok(ChatRow {
                chat: ChatId(id_at(row, 0)?),
                kind: chat::kind_at(row, 1)?,
                last_seq: id_at(row, 2)?,
                read_seq: id_at(row, 3)?,
                title: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(listed(rows, limit))
}

pub(super) fn members(
    db: &Connection,
    asker: UserId,
    target: &Target,
    after: UserId,
    limit: u16,
) -> Done<(ChatId, Listed<MemberRow>)> {
    let chat = named(db, asker, target)?;
    chat::admit(db, asker, chat)?;
    let limit = page_rows(limit);
    let rows = db
        .prepare_cached(
            "SELECT u.id, u.name, m.role = 1
               FROM (SELECT user, role FROM members WHERE chat = ?1 AND user > ?2
                     UNION ALL SELECT low, 0 FROM chats WHERE id = ?1 AND kind = 0 AND low > ?2
                     UNION ALL SELECT high, 0 FROM chats WHERE id = ?1 AND kind = 0 AND high > ?2) m
               JOIN users u ON u.id = m.user ORDER BY m.user LIMIT ?3",
        )?
        .query_map(params![sql(chat.0), sql(after.0), one_more(limit)], |row| {
            Ok(MemberRow { user: UserId(id_at(row, 0)?), user_name: row.get(1)?, owner: row.get(2)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((chat, listed(rows, limit)))
}

pub(super) fn media(db: &Connection, asker: UserId, id: MediaId) -> Done<Media> {
    chat::readable_media(db, asker, id, None)?.ok_or_else(no_media)
}

/// What one says of media that is not there, and of media that the asker may not read.
pub(super) fn no_media() -> Fault {
    Fault::new(Code::NotFound, "there is no such media")
}

/// The chat that a target names, whether or not the asker is in it.
fn named(db: &Connection, asker: UserId, target: &Target) -> Done<ChatId> {
    match target {
        Target::Current(Some(chat)) | Target::Chat(chat) => Ok(*chat),
        Target::Current(None) => chat::of_pair(db, UserId::ASSISTANT, asker)?.ok_or_else(chat::no_chat),
        Target::Room(key) => chat::room(db, key)?.ok_or_else(chat::no_chat),
        Target::User(key) => {
            let other = chat::user(db, key)?.ok_or_else(chat::no_chat)?;
            chat::of_pair(db, asker, other.id)?.ok_or_else(chat::no_chat)
        }
    }
}

/// A part of a chat.
struct Range {
    chat: ChatId,
    kind: ChatKind,
    /// The first seq.
    from: Seq,
    /// The last seq.
    to: Seq,
    limit: usize,
    max_bytes: usize,
}

fn ascending(db: &Connection, range: &Range) -> rusqlite::Result<(Vec<Message>, bool)> {
    page(db, range, &format!("SELECT {COLUMNS} FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id"))
}

fn descending(db: &Connection, range: &Range) -> rusqlite::Result<(Vec<Message>, bool)> {
    page(db, range, &format!("SELECT {COLUMNS} FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC"))
}

/// Takes rows until the page is full. Says whether there was another: rows are read one by one, so what is
/// not taken costs nothing.
fn page(db: &Connection, range: &Range, select: &str) -> rusqlite::Result<(Vec<Message>, bool)> {
    if range.from > range.to || range.from > MAX_SEQ {
        return Ok((Vec::new(), false));
    }
    let mut finisher = Finisher::new(db, range.kind);
    let mut statement = db.prepare_cached(select)?;
    let mut rows =
        statement.query(params![message_id(range.chat, range.from), message_id(range.chat, range.to)])?;
    let mut messages = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if messages.len() == range.limit {
            return Ok((messages, true));
        }
        let stored = Stored::read(row)?;
        bytes += stored.weight() + MESSAGE_WEIGHT;
        if bytes > range.max_bytes && !messages.is_empty() {
            return Ok((messages, true));
        }
        messages.push(finisher.finish(stored)?);
    }
    Ok((messages, false))
}

pub(super) fn page_rows(limit: u16) -> usize {
    usize::from(if limit == 0 { PAGE_ROWS } else { limit.min(PAGE_ROWS) })
}

/// One row more than asked for tells whether there are others.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1))
}

fn listed<T>(mut rows: Vec<T>, limit: usize) -> Listed<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    Listed { rows, more }
}
