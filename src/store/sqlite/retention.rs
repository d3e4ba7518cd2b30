//! Retention: messages go that are older than the operator wants them to be kept, the oldest of a chat first, a bounded
//! number of them at a time.
//!
//! What is to go is looked for by a reader; the writer only deletes. A chat's messages have times that never run
//! backwards, so what is over is a beginning of the chat: nothing is searched for, and no index by time is needed.
//! What a chat has given stays given: its newest seq and time are written down before the messages go.

use super::chat::{MAX_SEQ, id_at, message_id, seq_of, sql};
use super::fault::Done;
use super::membership::delete_unused_room;
use super::writer::Writer;
use super::{index, row};
use crate::id::{ChatId, Micros, Seq};
use crate::names;
use crate::policy::leap::{Doubt, Seen};
use crate::store::{ChatKind, Committed, Expired};
use rusqlite::{Connection, OptionalExtension, params};

/// Chats that are looked at for one answer: their oldest messages are spread over the database.
const LOOKED_AT: i64 = 2048;
/// Chats that one answer names.
const NAMED: usize = 256;
/// Bytes of text that are taken out of the index in one transaction, but for one message.
const BYTES: i64 = 1 << 20;

/// Chats behind `after` with messages from before `before`.
pub(super) fn expired(db: &Connection, before: Micros, after: ChatId) -> Done<Expired> {
    let mut select = db.prepare_cached(
        "SELECT c.id, (SELECT m.at FROM messages m WHERE m.id BETWEEN c.id << 32 AND c.id << 32 | 4294967295
                        ORDER BY m.id LIMIT 1)
           FROM chats c WHERE c.id > ?1 ORDER BY c.id LIMIT ?2",
    )?;
    let mut rows = select.query(params![sql(after.0), LOOKED_AT])?;
    let mut found = Expired { chats: Vec::new(), next: None };
    while let Some(row) = rows.next()? {
        let chat = ChatId(id_at(row, 0)?);
        found.next = Some(chat);
        if row.get::<_, Option<Micros>>(1)?.is_some_and(|oldest| oldest < before) {
            found.chats.push(chat);
            if found.chats.len() == NAMED {
                break;
            }
        }
    }
    Ok(found)
}

/// Where the clock was seen to be.
pub(super) fn seen(db: &Connection) -> Done<Option<Seen>> {
    let mut select = db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let mut fact = |key| select.query_row([key], |row| row.get::<_, Micros>(0)).optional();
    let doubt = fact("doubted_at")?.zip(fact("doubted_for")?).map(|(at, waited)| Doubt { at, waited });
    Ok(fact("seen_at")?.map(|at| Seen { at, doubt }))
}

/// The newest of the messages that go.
pub(super) struct Last {
    pub(super) id: i64,
    at: Micros,
    count: usize,
}

impl Writer {
    pub(super) fn seen(&mut self, seen: Seen) -> Committed {
        let noted = self.atomically(|writer| {
            let mut delete = writer.db.prepare_cached("DELETE FROM meta WHERE key = ?1")?;
            let mut insert = writer.db.prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
            let mut note = |key, fact: Option<Micros>| {
                delete.execute([key])?;
                fact.map_or(Ok(0), |fact| insert.execute(params![key, fact]))
            };
            note("seen_at", Some(seen.at))?;
            note("doubted_at", seen.doubt.map(|doubt| doubt.at))?;
            Ok(note("doubted_for", seen.doubt.map(|doubt| doubt.waited))?)
        });
        // What fails is in the log. After the next start it may then be waited for a day.
        let _ = self.settle(noted);
        Committed::Used
    }

    /// Deletes messages of these chats from before a time, so many at most.
    pub(super) fn expire(&mut self, before: Micros, chats: &[ChatId], most: usize) -> Committed {
        let done = self.atomically(|writer| {
            let mut left = most;
            for chat in chats {
                left -= writer.expire_chat(*chat, before, left)?;
                if left == 0 {
                    break;
                }
            }
            Ok(())
        });
        // There is nobody to be told of a failure, and it is in the log.
        let _ = self.settle(done);
        Committed::Expired
    }

    fn expire_chat(&mut self, chat: ChatId, before: Micros, most: usize) -> Done<usize> {
        let Some(last) = self.last_to_go(chat, before, most)? else { return Ok(0) };
        self.delete_messages(chat, last.id)?;
        self.db
            .prepare_cached(
                "UPDATE chats SET last_seq = max(last_seq, ?2), last_at = max(last_at, ?3),
                                  indexed_seq = max(indexed_seq, ?2) WHERE id = ?1",
            )?
            .execute(params![sql(chat.0), sql(seq_of(last.id)), last.at])?;
        // A room without members and messages is none.
        let room = self.cache.head(&self.db, chat)?.filter(|head| head.kind == ChatKind::Room);
        if let Some(name) = room.map(|head| head.name.clone())
            && delete_unused_room(&self.db, chat)?
        {
            self.cache.deleted(chat, &names::key(&name));
        }
        Ok(last.count)
    }

    /// Up to where the oldest messages of a chat go: so many at most, and not more text than is quickly taken out of
    /// the index.
    pub(super) fn last_to_go(
        &self,
        chat: ChatId,
        before: Micros,
        most: usize,
    ) -> rusqlite::Result<Option<Last>> {
        self.db
            .prepare_cached(
                "SELECT id, at, number FROM
                     (SELECT id, at, row_number() OVER rows AS number,
                             sum(octet_length(body)) OVER rows AS bytes
                        FROM (SELECT id, at, body FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3)
                      WINDOW rows AS (ORDER BY id))
                  WHERE at < ?4 AND (bytes <= ?5 OR number = 1) ORDER BY id DESC LIMIT 1",
            )?
            .query_row(
                params![message_id(chat, 0), message_id(chat, MAX_SEQ), sql(most as u64), before, BYTES],
                |row| {
                    let count = usize::try_from(id_at(row, 2)?).unwrap_or(most);
                    Ok(Last { id: row.get(0)?, at: row.get(1)?, count })
                },
            )
            .optional()
    }

    /// Deletes a chat's messages up to and with this one: their rows, their words, and the media that only they had.
    pub(super) fn delete_messages(&mut self, chat: ChatId, last: i64) -> Done<usize> {
        let indexed: Seq = index::indexed_seq(&self.db, chat)?.unwrap_or(0);
        index::forget(&self.db, chat, indexed.min(seq_of(last)))?;
        let first = message_id(chat, 0);
        let media = row::media_refs(&self.db, first, last)?;
        let deleted = self
            .db
            .prepare_cached("DELETE FROM messages WHERE id BETWEEN ?1 AND ?2")?
            .execute(params![first, last])?;
        self.free(&media)?;
        Ok(deleted)
    }
}
