//! DELETE: a message becomes GONE, and what only it had goes with it: its words in the index, its media.
//!
//! Its row stays, and keeps its seq, time, sender, nonce and what it answers, so that nothing moves and a copy of it
//! that is sent again stores nothing. Media that nothing refers to any more loses its row here, in the same
//! transaction; its file goes once that is committed ([`Writer::settle_files`]).

use super::chat::{self, MAX_SEQ, id_at, message_id};
use super::fault::{Done, Fault};
use super::row::GONE;
use super::writer::Writer;
use super::{index, row};
use crate::id::{MediaId, UserId};
use crate::store::{ChatKind, Committed, Delete, Deleted};
use chatwire_codec::{Code, MediaKind};
use rusqlite::{Connection, OptionalExtension, params};

/// Files that are remembered while a backup is made, to go when it is.
const POSTPONED: usize = 65_536;

impl Writer {
    pub(super) fn delete(&mut self, delete: Delete) -> Committed {
        let done = self.may_delete(&delete).and_then(|is_new| {
            if is_new {
                self.atomically(|writer| writer.erase(&delete))?;
            }
            Ok(Deleted { chat: delete.chat, seq: delete.seq, is_new })
        });
        Committed::Delete(delete.conn, delete.req, self.settle(done))
    }

    /// Whether the user may: the message's sender, the owner of the group that it is in, and in a home chat its
    /// user. Tells whether there is still something to remove.
    fn may_delete(&mut self, delete: &Delete) -> Done<bool> {
        let &Delete { user, chat, seq, .. } = delete;
        let kind = self.cache.admit(&self.db, user, chat)?.kind;
        let (sender, content) = find(&self.db, delete)?
            .filter(|_| seq <= MAX_SEQ)
            .ok_or_else(|| Fault::new(Code::NotFound, "there is no such message"))?;
        let may = sender == user
            || kind == ChatKind::Home
            || kind == ChatKind::Group && chat::owns(&self.db, user, chat)?;
        if may {
            return Ok(content != GONE);
        }
        Err(Fault::new(Code::Forbidden, "only who sent a message, or owns its group, may delete it"))
    }

    fn erase(&mut self, delete: &Delete) -> Done<()> {
        let id = message_id(delete.chat, delete.seq);
        if index::indexed_seq(&self.db, delete.chat)?.is_some_and(|indexed| delete.seq <= indexed) {
            index::forget_one(&self.db, id)?;
        }
        let media = row::media_refs(&self.db, id, id)?;
        self.db.prepare_cached("DELETE FROM media_refs WHERE message = ?1")?.execute(params![id])?;
        self.db
            .prepare_cached("UPDATE messages SET kind = ?2, name = '', body = '' WHERE id = ?1")?
            .execute(params![id, GONE])?;
        self.free(&media)
    }

    /// Frees media of messages that are gone, where nothing else needs it.
    pub(super) fn free(&mut self, media: &[(MediaKind, MediaId)]) -> Done<()> {
        let freed = free(&self.db, media)?;
        self.freed.extend(freed);
        Ok(())
    }

    /// Behind a commit, before anything else is written: files that rows tell of now stay, and those that no row
    /// tells of any more go, unless somebody has just stored the same bytes and is about to send them. While a backup is
    /// made they stay (see [`crate::store::media::MediaStore::are_kept`]).
    pub(super) fn settle_files(&mut self) {
        for hold in std::mem::take(&mut self.holds) {
            if self.is_listed(hold.id()) {
                hold.keep();
            }
        }
        self.postponed.append(&mut self.freed);
        let Some(files) = self.files.as_ref().filter(|_| !self.postponed.is_empty()) else { return };
        if files.are_kept() {
            // The sweep at the next start, or of the operator's, finds what is too much to remember.
            self.postponed.truncate(POSTPONED);
            return;
        }
        let files = files.clone();
        for id in std::mem::take(&mut self.postponed) {
            if !self.is_listed(id) {
                files.free(&id);
            }
        }
    }

    /// Whether a row tells of this file. Where that cannot be known, it stays.
    fn is_listed(&self, id: MediaId) -> bool {
        let listed = self
            .db
            .prepare_cached("SELECT 1 FROM media WHERE id = ?1")
            .and_then(|mut select| select.exists(params![id.0]));
        listed.unwrap_or_else(|error| {
            log::error!("store: media {id} stays, since its rows cannot be read: {error}");
            true
        })
    }
}

/// Deletes the rows of media among these that no message has any more, and that nobody may send. Their files may go
/// once that is committed.
pub(super) fn free(db: &Connection, media: &[(MediaKind, MediaId)]) -> rusqlite::Result<Vec<MediaId>> {
    let mut freed = Vec::new();
    for (kind, id) in media {
        let deleted = db
            .prepare_cached(
                "DELETE FROM media WHERE id = ?1 AND kind = ?2
                    AND NOT EXISTS (SELECT 1 FROM media_refs WHERE media = ?1 AND kind = ?2)
                    AND NOT EXISTS (SELECT 1 FROM uploads WHERE media = ?1 AND kind = ?2)",
            )?
            .execute(params![id.0, *kind as u8])?;
        if deleted > 0 {
            freed.push(*id);
        }
    }
    Ok(freed)
}

/// Who sent a message, and the kind of its content.
fn find(db: &Connection, delete: &Delete) -> rusqlite::Result<Option<(UserId, u8)>> {
    db.prepare_cached("SELECT user, kind FROM messages WHERE id = ?1")?
        .query_row(params![message_id(delete.chat, delete.seq)], |row| {
            Ok((UserId(id_at(row, 0)?), row.get(1)?))
        })
        .optional()
}
