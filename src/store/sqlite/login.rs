//! Who a connection is: a new guest, or whoever holds a token. And the home chat that everybody has.

use super::chat::{self, id_at, sql};
use super::fault::{Done, Fault};
use super::writer::Writer;
use crate::error::Refusal;
use crate::id::{ChatId, Micros, UserId};
use crate::names;
use crate::store::{ChatKind, Committed, LoggedIn, Login, Who, storage_full};
use chatwire_codec::Code;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

const HOUR: Micros = 3_600_000_000;
/// How long a token is good for after its last use.
const TOKEN_LIFE: Micros = 30 * 24 * HOUR;
/// How long a guest's token is good for after the guest's last connection.
const GUEST_LIFE: Micros = 24 * HOUR;

/// The holder of a token.
struct Holder {
    user: UserId,
    name: Arc<str>,
    device: Box<str>,
    last_used: Micros,
    is_guest: bool,
    is_deleted: bool,
    /// `None`: connected.
    last_seen: Option<Micros>,
}

impl Writer {
    pub(super) fn login(&mut self, login: &Login) -> Committed {
        let done = match &login.who {
            Who::Guest { name } => self.new_guest(login, name.as_deref()),
            Who::Token { hash } => self.come_back(login, hash),
        };
        let done = self.settle(done);
        let is_full = done.as_ref().is_err_and(|refusal| refusal.code == Code::StorageFull);
        // A transaction that has ended with this is undone first, and then the writer asks again.
        if is_full && !self.is_doomed() {
            self.login_unnoted(login)
        } else {
            Committed::Login(login.conn, done)
        }
    }

    /// A login on a full disk, which notes nowhere that the token was used: reading needs no room.
    pub(super) fn login_unnoted(&mut self, login: &Login) -> Committed {
        let done = match &login.who {
            Who::Guest { .. } => Err(storage_full().into()),
            Who::Token { hash } => self.come_back_unnoted(login, hash),
        };
        Committed::Login(login.conn, self.settle(done))
    }

    /// Makes the chat of two users, with both in it; with the assistant, the other's home, which only that
    /// one is a member of.
    pub(super) fn open_pair(&mut self, kind: ChatKind, one: UserId, other: UserId) -> Done<ChatId> {
        let now = self.now();
        let (low, high) = (one.min(other), one.max(other));
        let chat = self
            .db
            .prepare_cached(
                "INSERT INTO chats (kind, low, high, created_at) VALUES (?1, ?2, ?3, ?4) RETURNING id",
            )?
            .query_row(params![kind as u8, sql(low.0), sql(high.0), now], |row| id_at(row, 0).map(ChatId))?;
        for user in [low, high] {
            if user != UserId::ASSISTANT {
                self.add_member(chat, user, now)?;
            }
        }
        Ok(chat)
    }

    fn new_guest(&mut self, login: &Login, wish: Option<&str>) -> Done<LoggedIn> {
        if let Some(name) = wish
            && self.is_name_taken(name)?
        {
            return Err(Fault::new(Code::Conflict, "this name is taken; choose another"));
        }
        let now = self.now();
        let (user, name, home) = self.atomically(|writer| {
            let (user, name) = writer.add_guest(wish, now)?;
            let home = writer.open_pair(ChatKind::Home, UserId::ASSISTANT, user)?;
            writer.add_token(login, user, now)?;
            Ok((user, name, home))
        })?;
        self.logged_in(user, name, home, true)
    }

    fn come_back(&mut self, login: &Login, hash: &[u8; 32]) -> Done<LoggedIn> {
        let now = self.now();
        let Holder { user, name, .. } = self.holder(login, hash, now)?;
        let home = self.cache.pair(&self.db, UserId::ASSISTANT, user)?;
        let home = self.atomically(|writer| {
            writer.touch(user, hash, now)?;
            match home {
                Some(home) => Ok(home),
                None => writer.open_pair(ChatKind::Home, UserId::ASSISTANT, user),
            }
        })?;
        self.logged_in(user, name, home, false)
    }

    fn come_back_unnoted(&mut self, login: &Login, hash: &[u8; 32]) -> Done<LoggedIn> {
        let Holder { user, name, .. } = self.holder(login, hash, self.now())?;
        let home = self.cache.pair(&self.db, UserId::ASSISTANT, user)?.ok_or_else(storage_full)?;
        self.logged_in(user, name, home, false)
    }

    fn logged_in(&mut self, user: UserId, name: Arc<str>, home: ChatId, token_given: bool) -> Done<LoggedIn> {
        let chats = chat::all_of(&self.db, user)?;
        Ok(LoggedIn { user, name, home, token_given, chats })
    }

    fn is_name_taken(&self, name: &str) -> rusqlite::Result<bool> {
        self.db.prepare_cached("SELECT 1 FROM users WHERE name_key = ?1")?.exists(params![names::key(name)])
    }

    fn add_guest(&mut self, wish: Option<&str>, now: Micros) -> Done<(UserId, Arc<str>)> {
        // In two steps: the name has the id in it.
        let user = self
            .db
            .prepare_cached("INSERT INTO users (kind, name, created_at) VALUES (0, '', ?1) RETURNING id")?
            .query_row(params![now], |row| id_at(row, 0).map(UserId))?;
        let name: Arc<str> = wish.map_or_else(|| format!("guest{user}").into(), Into::into);
        self.db
            .prepare_cached("UPDATE users SET name = ?2, name_key = ?3 WHERE id = ?1")?
            .execute(params![sql(user.0), name, names::key(&name)])?;
        Ok((user, name))
    }

    fn add_token(&mut self, login: &Login, user: UserId, now: Micros) -> Done<()> {
        self.db
            .prepare_cached(
                "INSERT INTO tokens (hash, user, device, created_at, last_used) VALUES (?1, ?2, ?3, ?4, ?4)",
            )?
            .execute(params![login.new_token, sql(user.0), login.device, now])?;
        Ok(())
    }

    /// The holder of this token, who may come back with it.
    fn holder(&self, login: &Login, hash: &[u8; 32], now: Micros) -> Done<Holder> {
        let found = self
            .db
            .prepare_cached(
                "SELECT u.id, u.name, t.device, t.last_used, u.kind = 0, u.deleted_at IS NOT NULL, u.last_seen
                   FROM tokens t JOIN users u ON u.id = t.user WHERE t.hash = ?1",
            )?
            .query_row(params![hash], |row| {
                Ok(Holder {
                    user: UserId(id_at(row, 0)?),
                    name: row.get(1)?,
                    device: row.get(2)?,
                    last_used: row.get(3)?,
                    is_guest: row.get(4)?,
                    is_deleted: row.get(5)?,
                    last_seen: row.get(6)?,
                })
            })
            .optional()?;
        let holder = found.filter(|holder| holder.may_come_back(&login.device, now));
        holder.ok_or_else(|| bad_token().into())
    }

    /// The token was used, and its user is connected.
    fn touch(&mut self, user: UserId, hash: &[u8; 32], now: Micros) -> Done<()> {
        self.db
            .prepare_cached("UPDATE tokens SET last_used = ?2 WHERE hash = ?1")?
            .execute(params![hash, now])?;
        self.db
            .prepare_cached("UPDATE users SET last_seen = NULL WHERE id = ?1 AND last_seen IS NOT NULL")?
            .execute(params![sql(user.0)])?;
        Ok(())
    }
}

impl Holder {
    fn may_come_back(&self, device: &str, now: Micros) -> bool {
        // A guest who is connected keeps the token fresh.
        let gone_for = self.last_seen.filter(|_| self.is_guest).map_or(0, |seen| now.saturating_sub(seen));
        let unused_for = if self.last_seen.is_none() { 0 } else { now.saturating_sub(self.last_used) };
        !self.is_deleted && *self.device == *device && gone_for <= GUEST_LIFE && unused_for <= TOKEN_LIFE
    }
}

/// One text for all reasons: whoever guesses learns nothing.
fn bad_token() -> Refusal {
    Refusal::new(Code::Unauthenticated, "this token is not good, or not any more; log in in another way")
}
