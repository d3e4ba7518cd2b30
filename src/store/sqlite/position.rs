//! How far users have read: READ.

use super::chat::{id_at, sql};
use super::fault::Done;
use super::writer::Writer;
use crate::id::{ChatId, Seq, UserId};
use crate::store::{Committed, Read, Reading};
use rusqlite::{OptionalExtension, params};

impl Writer {
    pub(super) fn read(&mut self, read: Read) -> Committed {
        let done = self.move_position(read);
        Committed::Read(read.conn, read.req, self.settle(done))
    }

    /// Moves the position forward, never beyond the newest message and never back.
    fn move_position(&mut self, read: Read) -> Done<Reading> {
        let Read { user, chat, .. } = read;
        let head = self.cache.admit(&self.db, user, chat)?;
        let (kind, wanted) = (head.kind, read.seq.min(head.last_seq));
        let held = self.read_seq(user, chat)?;
        let has_moved = wanted > held;
        if has_moved {
            self.db
                .prepare_cached(
                    "INSERT INTO positions (user, chat, read_seq) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET read_seq = excluded.read_seq",
                )?
                .execute(params![sql(user.0), sql(chat.0), sql(wanted)])?;
        }
        Ok(Reading { user, chat, kind, seq: wanted.max(held), has_moved })
    }

    fn read_seq(&self, user: UserId, chat: ChatId) -> rusqlite::Result<Seq> {
        let held = self
            .db
            .prepare_cached("SELECT read_seq FROM positions WHERE user = ?1 AND chat = ?2")?
            .query_row(params![sql(user.0), sql(chat.0)], |row| id_at(row, 0))
            .optional()?;
        Ok(held.unwrap_or(0))
    }
}
