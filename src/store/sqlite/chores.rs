//! What the store does without a client's asking, a bounded part of it at a time: it retires guests who are
//! over, forgets tokens that are, and carries out what the operator's commands ([`super::admin`]) have left to
//! it in `orders`.

use super::bans;
use super::chat::{id_at, sql};
use super::fault::Done;
use super::login::{GUEST_LIFE, TOKEN_LIFE};
use super::membership::passing;
use super::row;
use super::writer::Writer;
use crate::id::{Micros, UserId};
use crate::store::{Chores, Committed, DueChores, Farewell, UPLOAD_KEPT};
use rusqlite::{Connection, params};

/// How long the name of a guest stays taken behind the end of its token.
const NAME_KEPT: Micros = TOKEN_LIFE;
/// Orders that are looked at in one transaction: what waits behind it waits no longer than it takes.
const ORDERS: i64 = 256;
/// Messages of home chats that are deleted in one transaction, for the same reason.
const MESSAGES: usize = 2000;
/// Guests who are retired at once. Fewer than [`ORDERS`], so that no command of the operator's waits behind them.
const GUESTS: i64 = 64;
/// Names and tokens in one transaction.
const ROWS: i64 = 256;

/// Whether there is anything to do.
pub(super) fn due(db: &Connection, now: Micros) -> Done<Option<DueChores>> {
    let has_any: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM orders)
                 OR EXISTS (SELECT 1 FROM users WHERE kind = 0 AND deleted_at IS NULL AND last_seen < ?1)
                 OR EXISTS (SELECT 1 FROM users WHERE kind = 0 AND deleted_at IS NOT NULL
                               AND name_key IS NOT NULL AND last_seen < ?2)
                 OR EXISTS (SELECT 1 FROM tokens t JOIN users u ON u.id = t.user
                             WHERE t.last_used < ?3 AND u.last_seen IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM uploads WHERE stored_at < ?4)",
        )?
        .query_row(
            params![now - GUEST_LIFE, now - GUEST_LIFE - NAME_KEPT, now - TOKEN_LIFE, now - UPLOAD_KEPT],
            |row| row.get(0),
        )?;
    if !has_any {
        return Ok(None);
    }
    let (upto, sweep) = db
        .prepare_cached("SELECT coalesce(max(id), 0), max(iif(sweep = 1, id, NULL)) FROM orders")?
        .query_row([], |row| Ok((id_at(row, 0)?, row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned))))?;
    Ok(Some(DueChores { upto, sweep, bans: bans::of_addresses(db)? }))
}

impl Writer {
    pub(super) fn chores(&mut self, upto: u64, now: Micros, is_online: impl Fn(UserId) -> bool) -> Committed {
        let done = self.atomically(|writer| {
            let (chores, is_all) = writer.obey(upto)?;
            if is_all {
                writer.retire_guests(now, is_online)?;
            }
            writer.free_names(now)?;
            writer.forget_tokens(now)?;
            writer.forget_uploads(now)?;
            Ok(chores)
        });
        // There is nobody to be told of a failure, and it is in the log.
        Committed::Chores(self.settle(done).unwrap_or_default())
    }

    /// Carries out orders; and whether none is left.
    fn obey(&mut self, upto: u64) -> Done<(Chores, bool)> {
        let now = self.now();
        let orders: Vec<(i64, Option<i64>)> = self
            .db
            .prepare_cached("SELECT id, user FROM orders WHERE id <= ?1 AND sweep = 0 ORDER BY id LIMIT ?2")?
            .query_map(params![sql(upto), ORDERS], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut chores = Chores::default();
        let (mut messages, mut done) = (MESSAGES, 0);
        let found = orders.len();
        for (order, user) in orders {
            if let Some(user) = user.map(|id| UserId(id.cast_unsigned())) {
                let banned = bans::of_user(&self.db, user, now)?;
                chores.ended.push((user, banned.map_or(Farewell::Kicked, Farewell::Banned)));
                if self.is_deleted(user)? && !self.clear(user, &mut chores, &mut messages)? {
                    // What is left of it is for the next time; who is behind it is not to wait for that.
                    continue;
                }
            }
            done += self.db.prepare_cached("DELETE FROM orders WHERE id = ?1")?.execute(params![order])?;
        }
        Ok((chores, done == found && found < usize::try_from(ORDERS).unwrap_or(0)))
    }

    fn is_deleted(&self, user: UserId) -> Done<bool> {
        let mut deleted = self.db.prepare_cached("SELECT deleted_at IS NOT NULL FROM users WHERE id = ?1")?;
        Ok(deleted.query_row(params![sql(user.0)], |row| row.get(0))?)
    }

    /// Ends what a deleted user was in, and deletes its home chat: of that at most so many `messages`. Whether
    /// it is done.
    fn clear(&mut self, user: UserId, chores: &mut Chores, messages: &mut usize) -> Done<bool> {
        let at = self.now();
        for (chat, _) in passing(&self.db, user)? {
            chores.left.extend(self.end_membership(user, chat, at)?);
        }
        self.db.prepare_cached("DELETE FROM positions WHERE user = ?1")?.execute(params![sql(user.0)])?;
        let Some(home) = self.cache.pair(&self.db, UserId::ASSISTANT, user)? else { return Ok(true) };
        if let Some(last) = self.last_to_go(home, Micros::MAX, *messages)? {
            *messages -= self.delete_messages(home, last.id)?;
        }
        if self.last_to_go(home, Micros::MAX, 1)?.is_some() {
            return Ok(false);
        }
        self.db.prepare_cached("DELETE FROM chats WHERE id = ?1")?.execute(params![sql(home.0)])?;
        self.cache.home_deleted(user, home);
        Ok(true)
    }

    /// Guests who may not come back any more are deleted; clearing up behind them is an order of its own.
    fn retire_guests(&mut self, now: Micros, is_online: impl Fn(UserId) -> bool) -> Done<()> {
        let over: Vec<UserId> = self
            .db
            .prepare_cached(
                "SELECT id FROM users WHERE kind = 0 AND deleted_at IS NULL AND last_seen < ?1
                  ORDER BY last_seen LIMIT ?2",
            )?
            .query_map(params![now - GUEST_LIFE, GUESTS], |row| id_at(row, 0).map(UserId))?
            .collect::<rusqlite::Result<_>>()?;
        for user in over {
            // Of who came back while nothing could be written, the row does not know.
            let retired = if is_online(user) { None } else { Some(self.now()) };
            self.db
                .prepare_cached(
                    "UPDATE users SET deleted_at = ?2, last_seen = iif(?2 IS NULL, NULL, last_seen)
                      WHERE id = ?1",
                )?
                .execute(params![sql(user.0), retired])?;
            if retired.is_some() {
                end_tokens(&self.db, user)?;
                leave_order(&self.db, Some(user))?;
            }
        }
        Ok(())
    }

    fn free_names(&mut self, now: Micros) -> Done<()> {
        self.db
            .prepare_cached(
                "UPDATE users SET name_key = NULL WHERE id IN
                     (SELECT id FROM users WHERE kind = 0 AND deleted_at IS NOT NULL AND name_key IS NOT NULL
                         AND last_seen < ?1 LIMIT ?2)",
            )?
            .execute(params![now - GUEST_LIFE - NAME_KEPT, ROWS])?;
        Ok(())
    }

    fn forget_tokens(&mut self, now: Micros) -> Done<()> {
        self.db
            .prepare_cached(
                "DELETE FROM tokens WHERE (user, hash) IN
                     (SELECT t.user, t.hash FROM tokens t JOIN users u ON u.id = t.user
                       WHERE t.last_used < ?1 AND u.last_seen IS NOT NULL LIMIT ?2)",
            )?
            .execute(params![now - TOKEN_LIFE, ROWS])?;
        Ok(())
    }

    /// Whole uploads that nobody has sent in time, with what only they kept.
    fn forget_uploads(&mut self, now: Micros) -> Done<()> {
        let over = self
            .db
            .prepare_cached(
                "DELETE FROM uploads WHERE (user, media, kind) IN
                     (SELECT user, media, kind FROM uploads WHERE stored_at < ?1 LIMIT ?2)
                 RETURNING kind, media",
            )?
            .query_map(params![now - UPLOAD_KEPT, ROWS], row::media_ref)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        self.free(&over)
    }
}

/// Nobody logs in with a token of this user any more.
pub(super) fn end_tokens(db: &Connection, user: UserId) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM tokens WHERE user = ?1")?.execute(params![sql(user.0)])
}

/// Leaves it to the server to act on a change of this user, or of the bans of addresses. Tells its number.
pub(super) fn leave_order(db: &Connection, user: Option<UserId>) -> rusqlite::Result<i64> {
    db.prepare_cached("INSERT INTO orders (user) VALUES (?1)")?
        .execute(params![user.map(|user| sql(user.0))])?;
    Ok(db.last_insert_rowid())
}
