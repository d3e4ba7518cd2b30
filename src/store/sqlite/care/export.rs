//! `chatwire export`: all data for other programs to read, as lines of JSON and the files of media.
//!
//! docs/OPERATING.md describes the lines; [`VERSION`] changes when a reader of them would have to.

use super::super::admin::AdminError;
use super::super::chat::{LAST_SEQ, chat_of, id_at, seq_of};
use super::super::row::{GONE, REFERENCE, REPLY, TEXT};
use super::super::{OpenError, open};
use super::files::fault;
use super::{Media, copy};
use crate::id::{MediaId, Micros};
use crate::store::media::{keep, relative_path};
use chrono::{DateTime, SecondsFormat};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Of the format.
const VERSION: u32 = 1;
const LINES: &str = "export.jsonl";
const PART: &str = "export.jsonl.part";

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Users, guests and the assistant too.
    pub users: u64,
    /// Chats.
    pub chats: u64,
    /// Members of rooms, groups and direct chats.
    pub members: u64,
    /// Messages.
    pub messages: u64,
    /// Files of media that should be there and are not.
    pub missing: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Export {
        format: &'a str,
        version: u32,
        at: String,
    },
    User {
        id: u64,
        kind: &'a str,
        name: &'a str,
        created_at: String,
        last_seen: Option<String>,
        deleted_at: Option<String>,
        disabled_at: Option<String>,
    },
    Chat {
        id: u64,
        kind: &'a str,
        name: &'a str,
        users: Option<[u64; 2]>,
        created_at: String,
        last_seq: u64,
    },
    Member {
        chat: u64,
        user: u64,
        is_owner: bool,
        joined_at: String,
        read_seq: u64,
    },
    Message {
        chat: u64,
        seq: u64,
        at: String,
        user: u64,
        kind: &'a str,
        text: &'a str,
        name: &'a str,
        reply_to: Option<u64>,
        media: Vec<Piece>,
    },
    End(Counts),
}

#[derive(Serialize)]
struct Piece {
    kind: &'static str,
    digest: String,
    size: u64,
    mime: String,
    file: String,
}

/// Writes everything but secrets into a folder that is empty. What is not whole has no `export.jsonl`.
///
/// # Errors
/// When there is no data, the folder is not empty, or a disk fails.
pub fn export(data: &Path, to: &Path, media: Media, now: Micros) -> Result<Counts, AdminError> {
    if !open::database(data).exists() {
        return Err(AdminError::NoData(data.to_owned()));
    }
    let db = open::admin(data)?;
    copy::empty_folder(to)?;
    let kept = keep::keep(data).map_err(fault(data))?;
    let snapshot = db.unchecked_transaction()?;
    let part = to.join(PART);
    let file = File::create_new(&part).map_err(fault(&part))?;
    let mut writer = Lines { out: BufWriter::new(file), path: &part, counts: Counts::default() };
    writer.put(&Line::Export { format: "chatwire-export", version: VERSION, at: time(now) })?;
    writer.users(&snapshot)?;
    writer.chats(&snapshot)?;
    writer.members(&snapshot)?;
    writer.messages(&snapshot)?;
    writer.counts.missing = copy::media(data, to, &snapshot, media)?;
    let counts = writer.counts;
    writer.put(&Line::End(counts))?;
    writer.out.flush().map_err(fault(&part))?;
    drop(kept);
    copy::finish(&part, &to.join(LINES), to)?;
    Ok(counts)
}

struct Lines<'a> {
    out: BufWriter<File>,
    path: &'a Path,
    counts: Counts,
}

impl Lines<'_> {
    fn put(&mut self, line: &Line<'_>) -> Result<(), AdminError> {
        let done = serde_json::to_writer(&mut self.out, line).map_err(io::Error::from);
        let done = done.and_then(|()| self.out.write_all(b"\n"));
        done.map_err(|source| OpenError::Io { path: self.path.to_owned(), source }.into())
    }

    fn users(&mut self, db: &Connection) -> Result<(), AdminError> {
        let mut select = db.prepare(
            "SELECT id, kind, name, created_at, last_seen, deleted_at, disabled_at FROM users ORDER BY id",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            self.counts.users += 1;
            self.put(&Line::User {
                id: id_at(row, 0)?,
                kind: named(&["guest", "registered", "assistant"], row, 1)?,
                name: row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?,
                created_at: time(row.get(3)?),
                last_seen: row.get::<_, Option<_>>(4)?.map(time),
                deleted_at: row.get::<_, Option<_>>(5)?.map(time),
                disabled_at: row.get::<_, Option<_>>(6)?.map(time),
            })?;
        }
        Ok(())
    }

    fn chats(&mut self, db: &Connection) -> Result<(), AdminError> {
        let mut select = db.prepare(&format!(
            "SELECT id, kind, name, low, high, created_at, {LAST_SEQ} FROM chats c ORDER BY id"
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            self.counts.chats += 1;
            let pair = row.get::<_, Option<i64>>(3)?.zip(row.get::<_, Option<i64>>(4)?);
            self.put(&Line::Chat {
                id: id_at(row, 0)?,
                kind: named(&["home", "room", "group", "direct"], row, 1)?,
                name: row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?,
                users: pair.map(|(low, high)| [low.cast_unsigned(), high.cast_unsigned()]),
                created_at: time(row.get(5)?),
                last_seq: id_at(row, 6)?,
            })?;
        }
        Ok(())
    }

    fn members(&mut self, db: &Connection) -> Result<(), AdminError> {
        let mut select = db.prepare(
            "SELECT m.chat, m.user, m.role = 1, m.joined_at, coalesce(p.read_seq, 0) FROM members m
               LEFT JOIN positions p ON p.user = m.user AND p.chat = m.chat ORDER BY m.chat, m.user",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            self.counts.members += 1;
            self.put(&Line::Member {
                chat: id_at(row, 0)?,
                user: id_at(row, 1)?,
                is_owner: row.get(2)?,
                joined_at: time(row.get(3)?),
                read_seq: id_at(row, 4)?,
            })?;
        }
        Ok(())
    }

    fn messages(&mut self, db: &Connection) -> Result<(), AdminError> {
        let mut select =
            db.prepare("SELECT id, at, user, kind, reply_to, name, body FROM messages ORDER BY id")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            self.counts.messages += 1;
            let (id, kind): (i64, u8) = (row.get(0)?, row.get(3)?);
            let media = if matches!(kind, TEXT | GONE) { Vec::new() } else { pieces(db, id)? };
            let kind = match kind {
                TEXT => "text",
                GONE => "gone",
                REPLY => "reply",
                // What kind of media a reference is says what it refers to.
                REFERENCE => media.first().map_or("gone", |piece| piece.kind),
                _ => named(&["", "voice", "video", "image", "file"], row, 3)?,
            };
            let reply_to = id_at(row, 4)?;
            self.put(&Line::Message {
                chat: chat_of(id).0,
                seq: seq_of(id),
                at: time(row.get(1)?),
                user: id_at(row, 2)?,
                kind,
                text: row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?,
                name: row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?,
                reply_to: (reply_to > 0).then_some(reply_to),
                media,
            })?;
        }
        Ok(())
    }
}

/// The media of a message, in its order.
fn pieces(db: &Connection, message: i64) -> rusqlite::Result<Vec<Piece>> {
    db.prepare_cached(
        "SELECT r.kind, r.media, m.size, m.mime FROM media_refs r
           JOIN media m ON m.id = r.media AND m.kind = r.kind WHERE r.message = ?1 ORDER BY r.part",
    )?
    .query_map(params![message], |row| {
        let id = MediaId(row.get(1)?);
        Ok(Piece {
            kind: named(&["", "voice", "video", "image", "file"], row, 0)?,
            digest: id.to_string(),
            size: id_at(row, 2)?,
            mime: row.get(3)?,
            file: relative_path(&id),
        })
    })?
    .collect()
}

/// The name of a number in this column.
fn named(names: &[&'static str], row: &Row<'_>, column: usize) -> rusqlite::Result<&'static str> {
    let number: i64 = row.get(column)?;
    let name = usize::try_from(number).ok().and_then(|number| names.get(number));
    name.copied().ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn time(at: Micros) -> String {
    DateTime::from_timestamp_micros(at)
        .map_or_else(|| at.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Micros, true))
}
