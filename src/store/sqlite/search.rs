//! SEARCH: which messages have these words, the newest first, over all chats of who asks.
//!
//! The index ([`super::index`]) is asked once for all chats, and knows messages in the order of their ids: by
//! chat, and in each chat by seq. Of each chat only as many are looked at as may be among the newest of all.
//! What is not in the index yet is put into one in memory, which is asked the same question: so both have the
//! same idea of a word, and whatever is confirmed is found.

use super::chat::{self, MAX_SEQ, chat_of, id_at, kind_at, message_id, seq_of, sql};
use super::fault::{Done, Fault};
use super::index::TEXT;
use super::query::{MESSAGE_WEIGHT, page_rows};
use super::row::{COLUMNS, Finisher, Stored};
use crate::id::{ChatId, Micros, Seq, UserId};
use crate::store::{ChatKind, Found, Search};
use chatwire_codec::Code;
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write;

/// Matches that are passed over, one by one, before the index is asked again from where one may count: about what
/// asking costs.
const PASSED_OVER: usize = 256;

/// Matches among these ids, the newest of each chat first.
const MATCHES: &str =
    "SELECT rowid FROM words WHERE words MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC";

pub(super) fn search(db: &Connection, asker: UserId, wanted: &Search) -> Done<Found> {
    let mut chats = chats(db, asker, wanted.chat)?;
    let fresh = Fresh::new()?;
    let words = fresh.words_of(&wanted.query)?;
    let limit = page_rows(wanted.limit);
    let mut newest = Newest { room: limit + 1, heap: BinaryHeap::new() };
    if fresh.fill(db, &chats)? {
        collect(&fresh.0, db, &words, wanted, &mut chats, &mut newest)?;
    }
    collect(db, db, &words, wanted, &mut chats, &mut newest)?;
    page(db, newest, &chats, limit, wanted.max_bytes)
}

/// A chat that is searched.
struct Searched {
    kind: ChatKind,
    /// Up to here it is in the index.
    indexed: Seq,
    /// The newest message that may be on the page, once it was asked for.
    upto: Option<i64>,
    /// Nothing older of it can be on the page.
    is_done: bool,
}

fn chats(db: &Connection, asker: UserId, chat: Option<ChatId>) -> Done<BTreeMap<ChatId, Searched>> {
    if let Some(chat) = chat {
        chat::admit(db, asker, chat)?;
    }
    let found = db
        .prepare_cached(
            "SELECT id, kind, indexed_seq FROM chats
              WHERE id = ?2 OR ?2 IS NULL AND id IN (SELECT chat FROM memberships WHERE user = ?1)",
        )?
        .query_map(params![sql(asker.0), chat.map(|chat| sql(chat.0))], |row| {
            let (kind, indexed) = (kind_at(row, 1)?, id_at(row, 2)?);
            Ok((ChatId(id_at(row, 0)?), Searched { kind, indexed, upto: None, is_done: false }))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// What the index is asked.
struct Words {
    /// In its language.
    expression: String,
    /// Asking costs what all words that begin so cost.
    has_prefix: bool,
}

/// An index in memory, for what is not in the other one, and to find what is a word.
struct Fresh(Connection);

impl Fresh {
    fn new() -> rusqlite::Result<Fresh> {
        let db = Connection::open_in_memory()?;
        db.execute_batch(
            r#"CREATE VIRTUAL TABLE words USING fts5 (
                   body, content = '', columnsize = 0, tokenize = "unicode61 remove_diacritics 2");
               CREATE VIRTUAL TABLE terms USING fts5vocab (words, instance);"#,
        )?;
        Ok(Fresh(db))
    }

    /// The words of a query. The tokenizer itself says what they are, so that the index is never asked for
    /// anything but words.
    fn words_of(&self, query: &str) -> Done<Words> {
        let pieces: Vec<&str> = query.split_whitespace().collect();
        self.put((0..).zip(&pieces).map(|(number, piece)| Ok((number, (*piece).into()))))?;
        let mut expression = String::new();
        let mut has_prefix = false;
        let mut select = self.0.prepare("SELECT doc, term FROM terms ORDER BY doc, offset")?;
        let terms = select.query_map([], |row| Ok((id_at(row, 0)?, row.get::<_, String>(1)?)))?;
        let terms = terms.collect::<rusqlite::Result<Vec<_>>>()?;
        for (at, (number, term)) in terms.iter().enumerate() {
            let is_last = terms.get(at + 1).is_none_or(|(next, _)| next != number);
            let piece = usize::try_from(*number).ok().and_then(|number| pieces.get(number));
            let is_prefix = is_last && piece.is_some_and(|piece| piece.ends_with('*'));
            let (and, star) = (if at > 0 { " AND " } else { "" }, if is_prefix { "*" } else { "" });
            // Cannot fail: it is a String.
            let _ = write!(expression, "{and}\"{}\"{star}", term.replace('"', "\"\""));
            has_prefix |= is_prefix;
        }
        if expression.is_empty() {
            return Err(Fault::new(Code::BadMedia, "there is no word to look for: letters or digits"));
        }
        self.0.execute("INSERT INTO words (words) VALUES ('delete-all')", [])?;
        Ok(Words { expression, has_prefix })
    }

    /// Takes what of these chats is not in the index. Whether there was anything.
    fn fill(&self, db: &Connection, chats: &BTreeMap<ChatId, Searched>) -> rusqlite::Result<bool> {
        let mut select = db.prepare_cached(&format!(
            "SELECT id, {TEXT} FROM messages WHERE id BETWEEN ?1 AND ?2 AND {TEXT} <> '' ORDER BY id"
        ))?;
        let mut count = 0;
        for (chat, searched) in chats {
            let range = params![message_id(*chat, searched.indexed + 1), message_id(*chat, MAX_SEQ)];
            count += self.put(select.query_map(range, |row| Ok((row.get(0)?, row.get(1)?)))?)?;
        }
        Ok(count > 0)
    }

    fn put(&self, rows: impl Iterator<Item = rusqlite::Result<(i64, String)>>) -> rusqlite::Result<usize> {
        let transaction = self.0.unchecked_transaction()?;
        let mut insert = self.0.prepare_cached("INSERT INTO words (rowid, body) VALUES (?1, ?2)")?;
        let mut count = 0;
        for row in rows {
            insert.execute(row?)?;
            count += 1;
        }
        transaction.commit()?;
        Ok(count)
    }
}

/// The newest that were found.
struct Newest {
    /// How many count.
    room: usize,
    /// The oldest of them on top.
    heap: BinaryHeap<Reverse<(Micros, i64)>>,
}

impl Newest {
    /// Takes a match if it is among the newest. An id sorts by chat, then by seq.
    fn offer(&mut self, at: Micros, id: i64) -> bool {
        if self.heap.len() == self.room {
            match self.heap.peek() {
                Some(Reverse(oldest)) if *oldest < (at, id) => self.heap.pop(),
                _ => return false,
            };
        }
        self.heap.push(Reverse((at, id)));
        true
    }
}

/// Takes the newest matches of `index`, a chat at a time.
fn collect(
    index: &Connection,
    db: &Connection,
    words: &Words,
    wanted: &Search,
    chats: &mut BTreeMap<ChatId, Searched>,
    newest: &mut Newest,
) -> rusqlite::Result<()> {
    let Some(lowest) = chats.first_key_value().map(|(chat, _)| message_id(*chat, 0)) else { return Ok(()) };
    let mut matches = index.prepare_cached(MATCHES)?;
    let mut from = i64::MAX;
    // Where the next match may count, at most.
    while let Some((&chat, _)) = chats.range(..=chat_of(from)).rev().find(|(_, searched)| !searched.is_done) {
        let upto = bound(db, chat, wanted, chats)?;
        let mut rows = matches.query(params![words.expression, lowest, from.min(upto)])?;
        let mut passed_over = 0;
        from = loop {
            let Some(row) = rows.next()? else { return Ok(()) };
            let id = row.get(0)?;
            if counts(db, id, wanted, chats, newest)? {
                passed_over = 0;
                continue;
            }
            passed_over += 1;
            if passed_over >= PASSED_OVER && !words.has_prefix {
                break id - 1;
            }
        };
    }
    Ok(())
}

/// Whether this match is among the newest; the chat is done when one is not.
fn counts(
    db: &Connection,
    id: i64,
    wanted: &Search,
    chats: &mut BTreeMap<ChatId, Searched>,
    newest: &mut Newest,
) -> rusqlite::Result<bool> {
    let chat = chat_of(id);
    if chats.get(&chat).is_none_or(|searched| searched.is_done) || id > bound(db, chat, wanted, chats)? {
        return Ok(false);
    }
    let Some(at) = at(db, id)? else { return Ok(false) };
    let is_taken = newest.offer(at, id);
    if let Some(searched) = chats.get_mut(&chat) {
        searched.is_done = !is_taken;
    }
    Ok(is_taken)
}

/// The newest message of a chat that may be on the page.
fn bound(
    db: &Connection,
    chat: ChatId,
    wanted: &Search,
    chats: &mut BTreeMap<ChatId, Searched>,
) -> rusqlite::Result<i64> {
    if let Some(upto) = chats.get(&chat).and_then(|searched| searched.upto) {
        return Ok(upto);
    }
    let seq = match wanted.before {
        (_, _, 0) => MAX_SEQ,
        (_, _, seq) if wanted.chat.is_some() => seq - 1,
        before => last_before(db, chat, before)?,
    };
    let upto = message_id(chat, seq);
    if let Some(searched) = chats.get_mut(&chat) {
        searched.upto = Some(upto);
    }
    Ok(upto)
}

/// The last seq of a chat that comes before this place in the order of (time, chat, seq), which within a chat is
/// the order of seqs; 0 if none does.
fn last_before(db: &Connection, chat: ChatId, before: (Micros, ChatId, Seq)) -> rusqlite::Result<Seq> {
    let newest = |above: Seq, upto: Seq| {
        db.prepare_cached("SELECT id, at FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1")?
            .query_row(params![message_id(chat, above + 1), message_id(chat, upto)], |row| {
                Ok((seq_of(row.get(0)?), row.get(1)?))
            })
            .optional()
    };
    let Some((mut high, _)) = newest(0, MAX_SEQ)? else { return Ok(0) };
    let mut low = 0;
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match newest(low, middle)? {
            Some((seq, at)) if (at, chat, seq) >= before => high = seq - 1,
            _ => low = middle,
        }
    }
    Ok(low)
}

fn at(db: &Connection, id: i64) -> rusqlite::Result<Option<Micros>> {
    db.prepare_cached("SELECT at FROM messages WHERE id = ?1")?
        .query_row(params![id], |row| row.get(0))
        .optional()
}

/// The page, and whether there is more than is on it.
fn page(
    db: &Connection,
    newest: Newest,
    chats: &BTreeMap<ChatId, Searched>,
    limit: usize,
    max_bytes: usize,
) -> Done<Found> {
    let found = newest.heap.into_sorted_vec();
    let mut finisher = Finisher::new(db, ChatKind::Home);
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE id = ?1"))?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for Reverse((_, id)) in found {
        let stored = select.query_row(params![id], Stored::read)?;
        bytes += stored.weight() + MESSAGE_WEIGHT;
        if messages.len() == limit || bytes > max_bytes && !messages.is_empty() {
            return Ok(Found { more: true, messages });
        }
        let kind = chats.get(&chat_of(id)).map(|searched| searched.kind);
        messages.push(finisher.in_chat(kind.unwrap_or(ChatKind::Home)).finish(stored)?);
    }
    Ok(Found { more: false, messages })
}
