//! The index of words, filled behind the messages: to index a message in its own transaction would cost the writer
//! twice what the message does, many at a time less than half of it. So the writing thread does it in steps, when nobody
//! waits for it. What is not in the index yet, a search ([`super::search`]) looks through by itself.
//!
//! A step is a transaction of its own, and moves `chats.indexed_seq` with the words: whatever ends the process,
//! both say the same. It does not wait for the disk, since what is lost of it is only done again.

use super::chat::{self, MAX_SEQ, id_at, message_id, seq_of, sql};
use super::fault;
use super::writer::Writer;
use crate::id::{ChatId, Seq};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

/// What is searched of a message: its text, or its file's name. Empty: nothing.
pub(super) const TEXT: &str = "iif(kind IN (0, 16), body, name)";

/// Messages of one step: so many that one costs little, so few that it takes about a millisecond.
const STEP: usize = 256;
/// Bytes of text in one step, for the same reason.
const STEP_BYTES: usize = 32 << 10;
/// With so many messages or bytes that are not in the index, the writer does a step though others wait: what a
/// search has to look through by itself stays bounded.
const MOST: usize = 32 * 1024;
const MOST_BYTES: usize = 16 << 20;
/// SQLite's number for a commit that does not wait for the disk.
const NORMAL: i64 = 1;

/// Messages that are not in the index yet.
#[derive(Default)]
pub(super) struct Backlog {
    /// Where they are. In the order of ids, in which the index takes them best.
    chats: BTreeSet<ChatId>,
    /// How many, at most: those of a transaction that was undone count too.
    messages: usize,
    bytes: usize,
}

impl Backlog {
    /// What the last run has left.
    pub(super) fn of(db: &Connection) -> rusqlite::Result<Backlog> {
        let mut backlog = Backlog::default();
        let mut select = db.prepare(&format!(
            "SELECT id, behind FROM (SELECT c.id, {} - c.indexed_seq AS behind FROM chats c) WHERE behind > 0",
            chat::LAST_SEQ
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            backlog.chats.insert(ChatId(id_at(row, 0)?));
            backlog.messages += usize::try_from(id_at(row, 1)?).unwrap_or(usize::MAX);
        }
        Ok(backlog)
    }

    pub(super) fn add(&mut self, chat: ChatId, bytes: usize) {
        self.chats.insert(chat);
        self.messages += 1;
        self.bytes += bytes;
    }

    fn is_worth_a_step(&self, is_idle: bool) -> bool {
        let (messages, bytes) = if is_idle { (STEP, STEP_BYTES) } else { (MOST, MOST_BYTES) };
        self.messages >= messages || self.bytes >= bytes
    }

    fn has_indexed(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.chats.is_empty() {
            *self = Backlog::default();
        }
    }
}

/// What of a step is left.
struct Step {
    messages: usize,
    bytes: usize,
}

impl Writer {
    /// Brings the index a step further if there is enough to do, and nobody else waits or it must be. Whether it
    /// did: then ask again. Of the writing thread alone: it takes longer than a connection may stand still.
    pub(super) fn index(&mut self, is_idle: bool) -> bool {
        if !self.backlog.is_worth_a_step(is_idle) {
            return false;
        }
        match self.index_step() {
            Ok(()) => true,
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Whether there is enough for a step of the index.
    pub(super) fn has_to_index(&self) -> bool {
        self.backlog.is_worth_a_step(true)
    }

    fn index_step(&mut self) -> rusqlite::Result<()> {
        let waits: i64 = self.db.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        self.db.pragma_update(None, "synchronous", NORMAL)?;
        let done = self.index_some();
        if done.is_err()
            && !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            log::error!("store: a step of the index cannot be undone: {error}");
        }
        if let Err(error) = self.db.pragma_update(None, "synchronous", waits) {
            // From here on messages would be confirmed before they are safe. Better no server than one that lies.
            log::error!("store: cannot wait for the disk any more: {error}; the server ends");
            std::process::abort();
        }
        done
    }

    fn index_some(&mut self) -> rusqlite::Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut left = Step { messages: STEP, bytes: STEP_BYTES };
        let mut whole = Vec::new();
        for &chat in &self.backlog.chats {
            if !index_chat(&self.db, chat, &mut left)? {
                break;
            }
            whole.push(chat);
        }
        self.db.prepare_cached("COMMIT")?.execute([]).inspect_err(fault::end_if_in_doubt)?;
        for chat in whole {
            self.backlog.chats.remove(&chat);
        }
        self.backlog.has_indexed(STEP - left.messages, STEP_BYTES.saturating_sub(left.bytes));
        Ok(())
    }
}

/// Puts a chat's next messages into the index. Whether that was all of them.
fn index_chat(db: &Connection, chat: ChatId, left: &mut Step) -> rusqlite::Result<bool> {
    let Some(done) = indexed_seq(db, chat)? else { return Ok(true) };
    let mut select = db
        .prepare_cached(&format!("SELECT id, {TEXT} FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id"))?;
    let mut insert = db.prepare_cached("INSERT INTO words (rowid, body) VALUES (?1, ?2)")?;
    let mut rows = select.query(params![message_id(chat, done + 1), message_id(chat, MAX_SEQ)])?;
    let (mut upto, mut is_all) = (done, true);
    while let Some(row) = rows.next()? {
        if left.messages == 0 || left.bytes == 0 {
            is_all = false;
            break;
        }
        let (id, text) = (row.get::<_, i64>(0)?, row.get_ref(1)?);
        let bytes = text.as_bytes()?.len();
        if bytes > 0 {
            insert.execute(params![id, ToSqlOutput::Borrowed(text)])?;
        }
        upto = seq_of(id);
        left.messages -= 1;
        left.bytes = left.bytes.saturating_sub(bytes);
    }
    if upto > done {
        db.prepare_cached("UPDATE chats SET indexed_seq = ?2 WHERE id = ?1")?
            .execute(params![sql(chat.0), sql(upto)])?;
    }
    Ok(is_all)
}

/// Up to where a chat's messages are in the index; `None` if there is no such chat.
pub(super) fn indexed_seq(db: &Connection, chat: ChatId) -> rusqlite::Result<Option<Seq>> {
    db.prepare_cached("SELECT indexed_seq FROM chats WHERE id = ?1")?
        .query_row(params![sql(chat.0)], |row| id_at(row, 0))
        .optional()
}

/// Takes the words of a chat's messages up to and with `upto` out of the index, which must all be in it. To be called
/// before the messages are deleted, since their text says which words.
pub(super) fn forget(db: &Connection, chat: ChatId, upto: Seq) -> rusqlite::Result<()> {
    db.prepare_cached(&format!(
        "INSERT INTO words (words, rowid, body)
         SELECT 'delete', id, {TEXT} FROM messages WHERE id BETWEEN ?1 AND ?2 AND {TEXT} <> '' ORDER BY id"
    ))?
    .execute(params![message_id(chat, 0), message_id(chat, upto)])?;
    Ok(())
}

/// Takes the words of one message out of the index. To be called before its text goes, and only where it is in it.
pub(super) fn forget_one(db: &Connection, message: i64) -> rusqlite::Result<()> {
    db.prepare_cached(&format!(
        "INSERT INTO words (words, rowid, body)
         SELECT 'delete', id, {TEXT} FROM messages WHERE id = ?1 AND {TEXT} <> ''"
    ))?
    .execute(params![message])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_waits_for_a_quiet_moment_but_not_for_ever() {
        let mut backlog = Backlog::default();
        let mut steps = |messages: usize, bytes: usize| {
            (0..messages).for_each(|_| backlog.add(ChatId(1), bytes));
            (backlog.is_worth_a_step(true), backlog.is_worth_a_step(false))
        };
        assert_eq!(steps(STEP - 1, 10), (false, false));
        assert_eq!(steps(1, 10), (true, false));
        assert_eq!(steps(MOST - STEP - 1, 10), (true, false));
        assert_eq!(steps(1, 10), (true, true));
        let mut backlog = Backlog::default();
        backlog.add(ChatId(1), STEP_BYTES);
        assert!(backlog.is_worth_a_step(true) && !backlog.is_worth_a_step(false));
        backlog.add(ChatId(1), MOST_BYTES);
        assert!(backlog.is_worth_a_step(false));
        backlog.chats.clear();
        backlog.has_indexed(1, 1);
        assert!(!backlog.is_worth_a_step(true), "what was undone counts for ever");
    }
}
