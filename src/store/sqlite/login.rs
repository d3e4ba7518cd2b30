//! Who a connection is: a new guest or user, whoever holds a token or knows a password. And the home chat that
//! everybody has.

use super::bans;
use super::chat::{self, id_at, new_id, sql};
use super::fault::{Done, Fault};
use super::writer::Writer;
use crate::error::Refusal;
use crate::id::{ChatId, Micros, UserId};
use crate::names;
use crate::store::{
    Account, ChatHead, ChatKind, Committed, LoggedIn, Login, Who, storage_full, wrong_password,
};
use chatwire_codec::Code;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

const HOUR: Micros = 3_600_000_000;
/// How long a token is good for after its last use.
pub(super) const TOKEN_LIFE: Micros = 30 * 24 * HOUR;
/// How long a guest's token is good for after the guest's last connection.
pub(super) const GUEST_LIFE: Micros = 24 * HOUR;
/// Tokens that one user may have: more than anybody has devices.
const TOKENS: i64 = 100;

/// Whether a user may have another connection.
pub(super) type Admits<'a> = &'a dyn Fn(UserId) -> Done<()>;

/// The holder of a token.
struct Holder {
    name: Arc<str>,
    device: Box<str>,
    /// `None`: a guest's.
    last_used: Option<Micros>,
    /// Deleted or disabled.
    is_out: bool,
    /// `None`: connected.
    last_seen: Option<Micros>,
}

impl Writer {
    pub(super) fn login(&mut self, login: &Login, admits: Admits<'_>) -> Committed {
        let done = match &login.who {
            Who::Guest { name } => self.new_guest(login, name.as_deref()),
            Who::Token { user, hash } => self.come_back(login, *user, hash, admits),
            Who::Password { user, hash } => self.by_password(login, *user, hash, admits),
            Who::Register { name, hash } => self.register(login, name, hash),
        };
        let done = self.settle(done);
        let is_full = done.as_ref().is_err_and(|refusal| refusal.code == Code::StorageFull);
        // A transaction that has ended with this is undone first, and then the writer asks again.
        if is_full && !self.is_doomed() {
            self.login_unnoted(login, admits)
        } else {
            Committed::Login(login.conn, done)
        }
    }

    /// A login on a full disk, which notes nowhere that the token was used: reading needs no room.
    pub(super) fn login_unnoted(&mut self, login: &Login, admits: Admits<'_>) -> Committed {
        let done = match &login.who {
            Who::Token { user, hash } => self.come_back_unnoted(login, *user, hash, admits),
            // These give out a token, which cannot be kept.
            Who::Guest { .. } | Who::Password { .. } | Who::Register { .. } => Err(storage_full().into()),
        };
        Committed::Login(login.conn, self.settle(done))
    }

    /// A token was in use until now. A failure is in the log; then it was used when it was used before.
    pub(super) fn used(&mut self, user: UserId, token: &[u8; 32]) -> Committed {
        let touched = self.touch(user, token, self.now());
        let _ = self.settle(touched);
        Committed::Used
    }

    /// Makes the chat of two users, with both in it; with the assistant, the other's home, which only that
    /// one is a member of.
    pub(super) fn open_pair(&mut self, kind: ChatKind, one: UserId, other: UserId) -> Done<ChatId> {
        let now = self.now();
        let (low, high) = (one.min(other), one.max(other));
        self.db
            .prepare_cached("INSERT INTO chats (kind, low, high, created_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![kind as u8, sql(low.0), sql(high.0), now])?;
        let chat = ChatId(new_id(&self.db));
        if kind == ChatKind::Direct {
            self.add_member(chat, low, now)?;
            self.add_member(chat, high, now)?;
        }
        Ok(chat)
    }

    fn new_guest(&mut self, login: &Login, wish: Option<&str>) -> Done<LoggedIn> {
        if let Some(name) = wish {
            may_be_named(&self.db, name)?;
        }
        let now = self.now();
        let all = self.cache.head(&self.db, ChatId::ALL)?.ok_or_else(chat::no_chat)?.last_seq;
        let (user, name) = self.add_guest(wish, now)?;
        // Undone by hand: most logins are of new guests, and a savepoint keeps a copy of each page that they change.
        let home = self.settle_guest(login, user, now).inspect_err(|_| self.unmake_guest(user))?;
        // Those that everybody has: there was no time yet to be in others.
        let chats = vec![
            ChatHead { chat: ChatId::ALL, kind: ChatKind::Room, last_seq: all },
            ChatHead { chat: home, kind: ChatKind::Home, last_seq: 0 },
        ];
        Ok(LoggedIn { user, name, home, token_given: true, chats })
    }

    /// What a new guest has.
    fn settle_guest(&mut self, login: &Login, user: UserId, now: Micros) -> Done<ChatId> {
        let home = self.open_pair(ChatKind::Home, UserId::ASSISTANT, user)?;
        self.add_token(login, user, None, now)?;
        Ok(home)
    }

    /// Takes a guest away who was made in this transaction, and whatever of [`Writer::settle_guest`] was done.
    fn unmake_guest(&mut self, user: UserId) {
        if self.db.is_autocommit() {
            // SQLite has ended the transaction: all is undone, and the id may be somebody else's by now.
            return;
        }
        let undone = ["DELETE FROM chats WHERE low = 1 AND high = ?1", "DELETE FROM users WHERE id = ?1"]
            .into_iter()
            .try_for_each(|sql| self.db.prepare_cached(sql)?.execute(params![chat::sql(user.0)]).map(drop));
        if let Err(error) = undone {
            self.doom(&error);
        }
    }

    fn register(&mut self, login: &Login, name: &str, hash: &str) -> Done<LoggedIn> {
        may_be_named(&self.db, name)?;
        let now = self.now();
        let (user, home) = self.atomically(|writer| {
            let user = add_user(&writer.db, name, hash, now)?;
            let home = writer.open_pair(ChatKind::Home, UserId::ASSISTANT, user)?;
            writer.add_token(login, user, Some(now), now)?;
            Ok((user, home))
        })?;
        self.logged_in(user, name.into(), home, true)
    }

    /// The password was found to be right while others changed what they liked: so it is looked at again.
    fn by_password(&mut self, login: &Login, user: UserId, hash: &str, admits: Admits<'_>) -> Done<LoggedIn> {
        let name: Option<Arc<str>> = self
            .db
            .prepare_cached(
                "SELECT name FROM users WHERE id = ?1 AND kind = 1 AND password = ?2
                    AND deleted_at IS NULL AND disabled_at IS NULL",
            )?
            .query_row(params![sql(user.0), hash], |row| row.get(0))
            .optional()?;
        let name = name.ok_or_else(wrong_password)?;
        let now = self.now();
        self.may_come_in(user, admits)?;
        let home = self.cache.pair(&self.db, UserId::ASSISTANT, user)?;
        let home = self.atomically(|writer| {
            writer.is_here(user)?;
            writer.add_token(login, user, Some(now), now)?;
            writer.forget_oldest_tokens(login, user)?;
            writer.home(user, home)
        })?;
        self.logged_in(user, name, home, true)
    }

    fn come_back(
        &mut self,
        login: &Login,
        user: UserId,
        hash: &[u8; 32],
        admits: Admits<'_>,
    ) -> Done<LoggedIn> {
        let Holder { name, .. } = self.holder(login, user, hash, admits)?;
        let now = self.now();
        let home = self.cache.pair(&self.db, UserId::ASSISTANT, user)?;
        let home = self.atomically(|writer| {
            writer.touch(user, hash, now)?;
            writer.is_here(user)?;
            writer.home(user, home)
        })?;
        self.logged_in(user, name, home, false)
    }

    fn come_back_unnoted(
        &mut self,
        login: &Login,
        user: UserId,
        hash: &[u8; 32],
        admits: Admits<'_>,
    ) -> Done<LoggedIn> {
        let Holder { name, .. } = self.holder(login, user, hash, admits)?;
        let home = self.cache.pair(&self.db, UserId::ASSISTANT, user)?.ok_or_else(storage_full)?;
        self.logged_in(user, name, home, false)
    }

    fn logged_in(&mut self, user: UserId, name: Arc<str>, home: ChatId, token_given: bool) -> Done<LoggedIn> {
        let chats = chat::all_of(&self.db, user)?;
        Ok(LoggedIn { user, name, home, token_given, chats })
    }

    /// The home that was found, or a new one.
    fn home(&mut self, user: UserId, found: Option<ChatId>) -> Done<ChatId> {
        match found {
            Some(home) => Ok(home),
            None => self.open_pair(ChatKind::Home, UserId::ASSISTANT, user),
        }
    }

    /// Refuses who is banned, or has enough connections.
    fn may_come_in(&self, user: UserId, admits: Admits<'_>) -> Done<()> {
        bans::of_user(&self.db, user, self.now())?.map_or_else(|| admits(user), |refusal| Err(refusal.into()))
    }

    fn add_guest(&mut self, wish: Option<&str>, now: Micros) -> Done<(UserId, Arc<str>)> {
        // The name has the id in it: what AUTOINCREMENT is about to give.
        let user = self
            .db
            .prepare_cached("SELECT seq + 1 FROM sqlite_sequence WHERE name = 'users'")?
            .query_row([], |row| id_at(row, 0).map(UserId))?;
        let name: Arc<str> = wish.map_or_else(|| format!("guest{user}").into(), Into::into);
        self.db
            .prepare_cached(
                "INSERT INTO users (id, kind, name, name_key, created_at) VALUES (?1, 0, ?2, ?3, ?4)",
            )?
            .execute(params![sql(user.0), name, names::key(&name), now])?;
        Ok((user, name))
    }

    /// The token that was made for this login. Only of a registered user's is noted when it was used.
    fn add_token(&mut self, login: &Login, user: UserId, used: Option<Micros>, now: Micros) -> Done<()> {
        self.db
            .prepare_cached(
                "INSERT INTO tokens (user, hash, device, created_at, last_used) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![sql(user.0), login.new_token, login.device, now, used])?;
        Ok(())
    }

    /// Forgets the tokens that a user has too many of. The new one stays, also among others of the same moment.
    fn forget_oldest_tokens(&mut self, login: &Login, user: UserId) -> Done<()> {
        self.db
            .prepare_cached(
                "DELETE FROM tokens WHERE user = ?1 AND hash IN (SELECT hash FROM tokens WHERE user = ?1
                     ORDER BY last_used DESC, hash = ?2 DESC LIMIT -1 OFFSET ?3)",
            )?
            .execute(params![sql(user.0), login.new_token, TOKENS])?;
        Ok(())
    }

    /// The holder of this token, who may come back with it.
    fn holder(&self, login: &Login, user: UserId, hash: &[u8; 32], admits: Admits<'_>) -> Done<Holder> {
        let found = self
            .db
            .prepare_cached(
                "SELECT u.name, t.device, t.last_used,
                        u.deleted_at IS NOT NULL OR u.disabled_at IS NOT NULL, u.last_seen
                   FROM tokens t JOIN users u ON u.id = t.user WHERE t.user = ?1 AND t.hash = ?2",
            )?
            .query_row(params![sql(user.0), hash], |row| {
                Ok(Holder {
                    name: row.get(0)?,
                    device: row.get(1)?,
                    last_used: row.get(2)?,
                    is_out: row.get(3)?,
                    last_seen: row.get(4)?,
                })
            })
            .optional()?;
        let holder = found.filter(|holder| holder.may_come_back(&login.device, self.believed()));
        let holder = holder.ok_or_else(bad_token)?;
        self.may_come_in(user, admits)?;
        Ok(holder)
    }

    /// The token was used, if that matters.
    fn touch(&mut self, user: UserId, hash: &[u8; 32], now: Micros) -> Done<()> {
        self.db
            .prepare_cached(
                "UPDATE tokens SET last_used = ?3 WHERE user = ?1 AND hash = ?2 AND last_used IS NOT NULL",
            )?
            .execute(params![sql(user.0), hash, now])?;
        Ok(())
    }

    /// The user is connected.
    fn is_here(&mut self, user: UserId) -> Done<()> {
        self.db
            .prepare_cached("UPDATE users SET last_seen = NULL WHERE id = ?1 AND last_seen IS NOT NULL")?
            .execute(params![sql(user.0)])?;
        Ok(())
    }
}

impl Holder {
    fn may_come_back(&self, device: &str, now: Micros) -> bool {
        // Of a guest it is the last connection that counts, of a token its last use; who is connected uses it.
        let (since, life) =
            self.last_used.map_or((self.last_seen, GUEST_LIFE), |used| (Some(used), TOKEN_LIFE));
        let unused_for =
            since.filter(|_| self.last_seen.is_some()).map_or(0, |since| now.saturating_sub(since));
        !self.is_out && *self.device == *device && unused_for <= life
    }
}

/// A new registered user.
pub(super) fn add_user(db: &Connection, name: &str, hash: &str, now: Micros) -> rusqlite::Result<UserId> {
    db.prepare_cached(
        "INSERT INTO users (kind, name, name_key, password, created_at) VALUES (1, ?1, ?2, ?3, ?4)",
    )?
    .execute(params![name, names::key(name), hash, now])?;
    Ok(UserId(new_id(db)))
}

/// Refuses a name that somebody has, or that is kept for who had it.
pub(super) fn may_be_named(db: &Connection, name: &str) -> Done<()> {
    let is_taken =
        db.prepare_cached("SELECT 1 FROM users WHERE name_key = ?1")?.exists(params![names::key(name)])?;
    if is_taken { Err(Fault::new(Code::Conflict, "this name is taken; choose another")) } else { Ok(()) }
}

/// Whoever has the name of this key.
pub(super) fn account(db: &Connection, key: &str) -> Done<Option<Account>> {
    let found = db
        .prepare_cached(
            "SELECT id, iif(kind = 1 AND deleted_at IS NULL AND disabled_at IS NULL, password, NULL)
               FROM users WHERE name_key = ?1",
        )?
        .query_row(params![key], |row| Ok(Account { user: UserId(id_at(row, 0)?), password: row.get(1)? }))
        .optional()?;
    Ok(found)
}

/// One text for all reasons: whoever guesses learns nothing.
fn bad_token() -> Refusal {
    Refusal::new(Code::Unauthenticated, "this token is not good, or not any more; log in in another way")
}
