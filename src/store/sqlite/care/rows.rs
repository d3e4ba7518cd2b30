//! Whether the database is sound by itself: as SQLite sees it, and by what `schema.sql` says of rows. In one snapshot.

use super::super::chat::{LAST_SEQ, MAX_SEQ, id_at};
use super::super::{fault, open};
use super::{Look, Report, Tally};
use crate::store::sqlite::OpenError;
use crate::store::sqlite::admin::AdminError;
use rusqlite::Connection;
use std::path::Path;

/// Of what SQLite finds damaged so many lines are shown.
const LINES: usize = 10;
/// What can be done about rows that contradict each other.
const OUR_FAULT: &str = "A server never leaves it so: this is a fault of Chatwire, or somebody else has changed the database. Keep a \
     copy of the folder and report it; the last sound backup has what was before.";
/// What can be done about a file that is not what was written.
const DAMAGE: &str = "The disk, the file system or another program did that. Stop the server, keep a copy of the \
                      folder, and restore the last backup; look after the disk before the data goes back on it.";

/// Rows that must not be: a count and an example, what they are, and what of them there is one.
const NEVER: &[(&str, &str)] = &[
    (
        "SELECT count(*), min(\"table\" || ' without its ' || parent) FROM pragma_foreign_key_check",
        "rows refer to rows that are not there",
    ),
    (
        "SELECT count(*), min((id >> 32) || '/' || (id & 4294967295)) FROM messages m
          WHERE NOT EXISTS (SELECT 1 FROM chats WHERE id = m.id >> 32)",
        "messages stand in chats that are not there",
    ),
    (
        "SELECT count(*), min((id >> 32) || '/' || (id & 4294967295)) FROM messages m
          WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = m.user)",
        "messages have senders that are not there",
    ),
    (
        "SELECT count(*), min((id >> 32) || '/' || (id & 4294967295)) FROM messages m
          WHERE kind IN (1, 2, 3, 4, 5) AND NOT EXISTS (SELECT 1 FROM media_refs WHERE message = m.id)",
        "messages of media have none",
    ),
    (
        "SELECT count(*), min(lower(hex(id))) FROM media
          WHERE path <> 'media/' || lower(substr(hex(id), 1, 2)) || '/' || lower(substr(hex(id), 3))",
        "pieces of media are said to lie elsewhere than where their digest puts them",
    ),
    (
        "WITH files AS (SELECT DISTINCT id, size, owner FROM media),
              real (owner, bytes) AS (SELECT 0, coalesce(sum(size), 0) FROM files
                                      UNION ALL SELECT owner, sum(size) FROM files GROUP BY owner)
         SELECT count(*), min('owner ' || coalesce(s.owner, r.owner) || ': ' || coalesce(s.bytes, 'nothing')
                              || ' instead of ' || coalesce(r.bytes, 0))
           FROM storage s FULL JOIN real r ON r.owner = s.owner
          WHERE coalesce(s.bytes, -1) <> coalesce(r.bytes, 0)",
        "sums of the bytes that users keep are wrong",
    ),
    (
        "SELECT count(*) = 0, 'epoch' FROM meta WHERE key = 'epoch' AND value > 0",
        "facts about the data are missing",
    ),
];

/// Whether the rest can be relied on.
pub(super) fn check(database: &Path, look: Look, report: &mut Report) -> Result<bool, AdminError> {
    match check_all(database, look, report) {
        Err(AdminError::Open(OpenError::Damaged { why, .. })) => {
            report.wrong.push(format!("{}: damaged: {why}. {DAMAGE}", database.display()));
            Ok(false)
        }
        Err(AdminError::Sqlite(error)) if fault::is_damage(&error) => {
            report.wrong.push(format!("{}: damaged: SQLite says: {error}. {DAMAGE}", database.display()));
            Ok(false)
        }
        done => done,
    }
}

fn check_all(database: &Path, look: Look, report: &mut Report) -> Result<bool, AdminError> {
    let mut db = open::observer(database)?;
    let found = open::found_version(&db, database)?;
    let snapshot = db.transaction()?;
    if !is_whole(&snapshot, database, look, report)? {
        return Ok(false);
    }
    if !open::is_newest(found) {
        report.wrong.push(format!(
            "{}: the data is of an earlier version ({found}), so only SQLite's own check was made, and it found \
             nothing. A server, or `chatwire user list`, brings it up to date; then check again.",
            database.display()
        ));
        return Ok(false);
    }
    for (sql, what) in NEVER {
        let (count, example): (u64, Option<String>) =
            snapshot.query_row(sql, [], |row| Ok((id_at(row, 0)?, row.get(1)?)))?;
        if count > 0 {
            let example = example.unwrap_or_default();
            report.wrong.push(format!("{what} ({count}), such as {example}. {OUR_FAULT}"));
        }
    }
    check_chats(&snapshot, report)?;
    if !look.quick {
        check_words(&snapshot, report)?;
    }
    report.users =
        snapshot.query_row("SELECT count(*) FROM users WHERE kind <> 2", [], |row| id_at(row, 0))?;
    Ok(true)
}

/// Whether SQLite finds nothing damaged.
fn is_whole(db: &Connection, database: &Path, look: Look, report: &mut Report) -> rusqlite::Result<bool> {
    let sql = if look.quick { "PRAGMA quick_check" } else { "PRAGMA integrity_check" };
    let mut select = db.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.extend(row.get::<_, String>(0)?.lines().map(|line| format!("\n  {line}")));
    }
    if lines.len() == 1 && lines[0].trim() == "ok" {
        return Ok(true);
    }
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.truncate(LINES);
        lines.push(format!("\n  and {more} more"));
    }
    report.wrong.push(format!("{}: damaged. {DAMAGE} SQLite says:{}", database.display(), lines.concat()));
    Ok(false)
}

/// A chat's messages have no gap, and nothing that is said of them is ahead of them.
fn check_chats(db: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let (mut gaps, mut cut, mut ahead) = (Tally::default(), Tally::default(), Tally::default());
    let mut select = db.prepare(&format!(
        "SELECT id, last_seq, indexed_seq, {LAST_SEQ},
                (SELECT count(*) FROM messages WHERE id BETWEEN c.id << 32 AND c.id << 32 | {MAX_SEQ}),
                (SELECT id & {MAX_SEQ} FROM messages WHERE id BETWEEN c.id << 32 AND c.id << 32 | {MAX_SEQ}
                  ORDER BY id LIMIT 1),
                (SELECT id & {MAX_SEQ} FROM messages WHERE id BETWEEN c.id << 32 AND c.id << 32 | {MAX_SEQ}
                  ORDER BY id DESC LIMIT 1)
           FROM chats c ORDER BY id"
    ))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (chat, floor, indexed, last, count) =
            (id_at(row, 0)?, id_at(row, 1)?, id_at(row, 2)?, id_at(row, 3)?, id_at(row, 4)?);
        report.chats += 1;
        report.messages += count;
        if indexed > last {
            ahead.add(|| format!("chat {chat} up to {indexed} of {last}"));
        }
        let (Some(first), Some(newest)) = (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<i64>>(6)?)
        else {
            continue;
        };
        let (first, newest) = (first.cast_unsigned(), newest.cast_unsigned());
        if first == 0 || newest - first + 1 != count {
            gaps.add(|| format!("chat {chat} has {count} messages from {first} to {newest}"));
        }
        if newest < floor {
            cut.add(|| format!("chat {chat} ends at {newest} and had {floor}"));
        }
    }
    gaps.say(&mut report.wrong, "chats have gaps", OUR_FAULT);
    cut.say(&mut report.wrong, "chats have lost their newest messages", OUR_FAULT);
    ahead.say(&mut report.wrong, "chats are said to be indexed further than they go", OUR_FAULT);
    Ok(())
}

/// The index of words knows only messages that are there and said to be in it.
fn check_words(db: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    db.execute_batch("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, words, instance)")?;
    let (count, example): (u64, Option<String>) = db.query_row(
        "SELECT count(DISTINCT doc), min((doc >> 32) || '/' || (doc & 4294967295)) FROM temp.terms t
          WHERE NOT EXISTS (SELECT 1 FROM chats c JOIN messages m ON m.id = t.doc
                             WHERE c.id = t.doc >> 32 AND t.doc & 4294967295 <= c.indexed_seq)",
        [],
        |row| Ok((id_at(row, 0)?, row.get(1)?)),
    )?;
    if let (1.., Some(example)) = (count, example) {
        report.wrong.push(format!(
            "messages are in the index of words and should not be ({count}), such as {example}: searches may fail. \
             {OUR_FAULT}"
        ));
    }
    Ok(())
}
