//! The rows of media: of whole uploads, and of what messages refer to; and how much there is.

use super::chat::{id_at, sql};
use super::fault::Done;
use super::row;
use super::writer::Writer;
use crate::id::{MediaId, Micros, UserId};
use crate::store::media::relative_path;
use crate::store::{Committed, Media, Spare, Upload, Used};
use chatwire_codec::MediaKind;
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// What holds of the row `m` of media that no message has, and that nobody may send.
pub(super) const UNUSED: &str = "
    NOT EXISTS (SELECT 1 FROM media_refs WHERE media = m.id AND kind = m.kind)
    AND NOT EXISTS (SELECT 1 FROM uploads WHERE media = m.id AND kind = m.kind)";

impl Writer {
    pub(super) fn upload(&mut self, upload: Upload) -> Committed {
        let Upload { conn, user, ticket, media, hold } = upload;
        let at = self.now();
        let done = self.atomically(|writer| {
            writer.insert_media(&media, user, at)?;
            writer
                .db
                .prepare_cached(
                    "INSERT INTO uploads (user, media, kind, stored_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET stored_at = excluded.stored_at",
                )?
                .execute(params![sql(user.0), media.id.0, media.kind as u8, at])?;
            Ok(media.id)
        });
        let done = self.settle(done);
        if done.is_ok() {
            self.holds.push(*hold);
        }
        Committed::Upload(conn, ticket, done)
    }

    /// Lets go what nobody needs. The files go behind the commit, where that is still so then.
    pub(super) fn sweep(
        &mut self,
        files: Vec<MediaId>,
        rows: &[(MediaKind, MediaId)],
        order: u64,
    ) -> Committed {
        let done = self.atomically(|writer| {
            writer.free(rows)?;
            writer
                .db
                .prepare_cached("DELETE FROM orders WHERE id <= ?1 AND sweep = 1")?
                .execute(params![sql(order)])?;
            writer.freed.extend(files);
            Ok(())
        });
        // There is nobody to be told of a failure, and it is in the log.
        let _ = self.settle(done);
        Committed::Swept
    }

    /// The row of media that this user brings, if there is none yet.
    pub(super) fn insert_media(&self, media: &Media, owner: UserId, at: Micros) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO media (id, kind, size, mime, path, duration_ms, width, height, created_at, owner)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                         coalesce((SELECT owner FROM media WHERE id = ?1 LIMIT 1), ?10))
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                media.id.0,
                media.kind as u8,
                sql(media.size),
                media.mime,
                relative_path(&media.id),
                media.duration_ms,
                media.width,
                media.height,
                at,
                sql(owner.0)
            ])?;
        Ok(())
    }
}

pub(super) fn used(db: &Connection, user: UserId) -> Done<Used> {
    let used = db
        .prepare_cached(
            "SELECT coalesce((SELECT bytes FROM storage WHERE owner = 0), 0),
                    coalesce((SELECT bytes FROM storage WHERE owner = ?1), 0)",
        )?
        .query_row(params![sql(user.0)], |row| Ok(Used { all: id_at(row, 0)?, own: id_at(row, 1)? }))?;
    Ok(used)
}

pub(super) fn spare(db: &Connection, files: &[MediaId]) -> Done<Spare> {
    let (Some(first), Some(last)) = (files.iter().min(), files.iter().max()) else {
        return Ok(Spare::default());
    };
    let listed: HashSet<MediaId> = db
        .prepare_cached("SELECT DISTINCT id FROM media WHERE id BETWEEN ?1 AND ?2")?
        .query_map(params![first.0, last.0], |row| row.get(0).map(MediaId))?
        .collect::<rusqlite::Result<_>>()?;
    let rows = db
        .prepare_cached(&format!("SELECT kind, id FROM media m WHERE id BETWEEN ?1 AND ?2 AND {UNUSED}"))?
        .query_map(params![first.0, last.0], row::media_ref)?
        .collect::<rusqlite::Result<_>>()?;
    let files = files.iter().copied().filter(|id| !listed.contains(id)).collect();
    Ok(Spare { files, rows })
}

pub(super) fn has_nonce(db: &Connection, user: UserId, nonce: u64) -> Done<bool> {
    // `nonce <> 0` is what lets SQLite use the index.
    let mut found =
        db.prepare_cached("SELECT 1 FROM messages WHERE nonce = ?1 AND user = ?2 AND nonce <> 0")?;
    Ok(found.exists(params![nonce.cast_signed(), sql(user.0)])?)
}
