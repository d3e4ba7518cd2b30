//! What the operator's commands read and change in the data folder, while a server works on it or none does.
//!
//! They touch only rows that the writer remembers nothing of: users, tokens, bans. What follows for
//! connections, memberships and chats is left to the server as an order (see `chores`), in the same
//! transaction. A server that runs carries it out within a second, one that does not when it starts.

use super::bans::ban_at;
use super::chat::{id_at, sql};
use super::chores::{end_tokens, leave_order};
use super::fault::Fault;
use super::{Clock, OpenError, login, open};
use crate::error::Refusal;
use crate::id::{Micros, UserId};
use crate::names;
use crate::policy::bans::{Ban, Network};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Bans of addresses: more would make each look for one slow to load, and are a firewall's work.
const ADDRESS_BANS: i64 = 10_000;
/// How often, and how many times, it is looked whether the server has acted: three seconds in all.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOKS: u32 = 150;
/// The same for clearing up, which may have a million files to look at: ten minutes.
const SWEEP_LOOKS: u32 = 30_000;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The data.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// There is nothing there.
    #[error("{}: there is no data of a Chatwire server in this folder; name another with --data", .0.display())]
    NoData(PathBuf),
    /// There is none there.
    #[error("{}: there is no backup in this folder: `chatwire backup` makes them, and a folder that a server works on \
             is none", .0.display())]
    NoBackup(PathBuf),
    /// A rule.
    #[error("{0}")]
    Refused(Box<str>),
    /// Nobody has this name.
    #[error("there is no user `{0}`; `chatwire user list` shows them all")]
    NoUser(Box<str>),
    /// Nobody is banned so.
    #[error("there is no such ban; `chatwire ban list` shows them all")]
    NoBan,
    /// There are too many.
    #[error("there are {ADDRESS_BANS} bans of addresses already; ban a network instead, or remove some")]
    TooManyBans,
}

impl From<Fault> for AdminError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refusal) => refusal.into(),
            Fault::Sql(error) => error.into(),
        }
    }
}

impl From<Refusal> for AdminError {
    fn from(refusal: Refusal) -> Self {
        AdminError::Refused(refusal.text.into())
    }
}

/// Whether a change is in force for those who are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The server has acted on it, or there is none.
    Now,
    /// A server has the folder and has not acted on it yet.
    Later,
}

/// A user, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Which.
    pub user: UserId,
    /// The name.
    pub name: Box<str>,
    /// Not registered.
    pub is_guest: bool,
    /// May not log in.
    pub is_disabled: bool,
    /// When it was made.
    pub created_at: Micros,
    /// The end of the last connection; `None`: connected.
    pub last_seen: Option<Micros>,
}

/// A device that may log in without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its name.
    pub device: Box<str>,
    /// Since when.
    pub created_at: Micros,
    /// When it did so last.
    pub last_used: Micros,
}

/// A ban, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRow {
    /// The user's name, or the network.
    pub whom: Box<str>,
    /// Whether it is a user.
    pub is_user: bool,
    /// Since when.
    pub created_at: Micros,
    /// Until when and why.
    pub ban: Ban,
}

/// Whom a ban hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The user of this name.
    User(Box<str>),
    /// Whoever comes from there.
    Network(Network),
}

/// The data folder in the operator's hands.
pub struct Admin {
    db: Connection,
    data: PathBuf,
    clock: Clock,
}

impl Admin {
    /// Opens the data.
    ///
    /// # Errors
    /// When there is none, another version of the server works on it, or the disk fails.
    pub fn open(data: &Path, clock: Clock) -> Result<Admin, AdminError> {
        if !open::database(data).exists() {
            return Err(AdminError::NoData(data.to_owned()));
        }
        Admin::open_or_make(data, clock)
    }

    /// Opens the data, and makes it if there is none yet.
    ///
    /// # Errors
    /// When another version of the server works on it, or the disk fails.
    pub fn open_or_make(data: &Path, clock: Clock) -> Result<Admin, AdminError> {
        let db = open::admin(data)?;
        Ok(Admin { db, data: data.to_owned(), clock })
    }

    /// Registers a user.
    ///
    /// # Errors
    /// When the name is bad, reserved or taken.
    pub fn add_user(&mut self, name: &str, hash: &str) -> Result<UserId, AdminError> {
        let name = names::free(name)?;
        let now = (self.clock)();
        self.change(|db| {
            login::may_be_named(db, &name)?;
            let user = login::add_user(db, &name, hash, now)?;
            // So far it has had no connection, and so has none now.
            db.execute("UPDATE users SET last_seen = created_at WHERE id = ?1", params![sql(user.0)])?;
            Ok(user)
        })
    }

    /// The users, by id: those who are registered, and the guests who may come back.
    ///
    /// # Errors
    /// The database's.
    pub fn users(&self) -> Result<Vec<UserRow>, AdminError> {
        let mut users = self.db.prepare(
            "SELECT id, name, kind = 0, disabled_at IS NOT NULL, created_at, last_seen FROM users
              WHERE kind IN (0, 1) AND deleted_at IS NULL ORDER BY id",
        )?;
        let rows = users.query_map([], |row| {
            Ok(UserRow {
                user: UserId(id_at(row, 0)?),
                name: row.get(1)?,
                is_guest: row.get(2)?,
                is_disabled: row.get(3)?,
                created_at: row.get(4)?,
                last_seen: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Gives a user a new password, and ends all sessions.
    ///
    /// # Errors
    /// When there is no such registered user.
    pub fn set_password(&mut self, name: &str, hash: &str) -> Result<Effect, AdminError> {
        let no_user = AdminError::NoUser(name.into());
        self.order(|db| {
            let user = user(db, name)?;
            let set = db.execute(
                "UPDATE users SET password = ?2 WHERE id = ?1 AND kind = 1",
                params![sql(user.0), hash],
            )?;
            if set == 0 {
                return Err(no_user);
            }
            end_tokens(db, user)?;
            Ok(leave_order(db, Some(user))?)
        })
    }

    /// Lets a user not log in, and ends all sessions.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn disable(&mut self, name: &str) -> Result<Effect, AdminError> {
        let now = (self.clock)();
        self.order(|db| {
            let user = user(db, name)?;
            db.execute(
                "UPDATE users SET disabled_at = coalesce(disabled_at, ?2) WHERE id = ?1",
                params![sql(user.0), now],
            )?;
            end_tokens(db, user)?;
            Ok(leave_order(db, Some(user))?)
        })
    }

    /// Lets a user log in again.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn enable(&mut self, name: &str) -> Result<(), AdminError> {
        self.change(|db| {
            let user = user(db, name)?;
            db.execute("UPDATE users SET disabled_at = NULL WHERE id = ?1", params![sql(user.0)])?;
            Ok(())
        })
    }

    /// Ends a user for ever. Its row stays, for the name of its messages; the name is not given again.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn delete(&mut self, name: &str) -> Result<Effect, AdminError> {
        let now = (self.clock)();
        self.order(|db| {
            let user = user(db, name)?;
            db.execute(
                "UPDATE users SET deleted_at = ?2, password = NULL WHERE id = ?1",
                params![sql(user.0), now],
            )?;
            end_tokens(db, user)?;
            db.execute("DELETE FROM bans WHERE user = ?1", params![sql(user.0)])?;
            Ok(leave_order(db, Some(user))?)
        })
    }

    /// The devices of a user that may log in without a password, the latest first.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn sessions(&self, name: &str) -> Result<Vec<SessionRow>, AdminError> {
        let user = user(&self.db, name)?;
        let mut sessions = self.db.prepare(
            "SELECT t.device, t.created_at, coalesce(t.last_used, u.last_seen, ?2)
               FROM tokens t JOIN users u ON u.id = t.user WHERE u.id = ?1 ORDER BY 3 DESC",
        )?;
        let rows = sessions.query_map(params![sql(user.0), (self.clock)()], |row| {
            Ok(SessionRow { device: row.get(0)?, created_at: row.get(1)?, last_used: row.get(2)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ends a user's connections and tokens.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn end_sessions(&mut self, name: &str) -> Result<Effect, AdminError> {
        self.order(|db| {
            let user = user(db, name)?;
            end_tokens(db, user)?;
            Ok(leave_order(db, Some(user))?)
        })
    }

    /// Keeps somebody out. A ban of the same takes the place of the earlier one.
    ///
    /// # Errors
    /// When there is no such user, the reason is no line of at most 255 bytes, or there are too many bans.
    pub fn ban(&mut self, whom: &Whom, ban: &Ban) -> Result<Effect, AdminError> {
        let now = (self.clock)();
        let reason = names::label(&ban.reason)?;
        self.order(|db| {
            remove_ban(db, whom)?;
            let (user, address) = match whom {
                Whom::User(name) => (Some(user(db, name)?), None),
                Whom::Network(network) => (None, Some(network.to_string())),
            };
            let count: i64 =
                db.query_row("SELECT count(*) FROM bans WHERE address IS NOT NULL", [], |row| row.get(0))?;
            if address.is_some() && count >= ADDRESS_BANS {
                return Err(AdminError::TooManyBans);
            }
            db.execute(
                "INSERT INTO bans (user, address, reason, created_at, until) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![user.map(|user| sql(user.0)), address, reason, now, ban.until],
            )?;
            Ok(leave_order(db, user)?)
        })
    }

    /// The bans, in the order in which they were made.
    ///
    /// # Errors
    /// The database's.
    pub fn bans(&self) -> Result<Vec<BanRow>, AdminError> {
        let mut bans = self.db.prepare(
            "SELECT b.until, b.reason, coalesce(u.name, b.address), u.id IS NOT NULL, b.created_at
               FROM bans b LEFT JOIN users u ON u.id = b.user ORDER BY b.id",
        )?;
        let rows = bans.query_map([], |row| {
            let (whom, is_user, created_at) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(BanRow { whom, is_user, created_at, ban: ban_at(row, 0)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Lets somebody in again.
    ///
    /// # Errors
    /// When there is no such ban.
    pub fn unban(&mut self, whom: &Whom) -> Result<Effect, AdminError> {
        self.order(|db| match remove_ban(db, whom)? {
            0 => Err(AdminError::NoBan),
            _ => Ok(leave_order(db, None)?),
        })
    }

    /// Whether a server works on the data.
    ///
    /// # Errors
    /// The disk's.
    pub fn is_served(&self) -> Result<bool, AdminError> {
        Ok(open::is_locked(&self.data)?)
    }

    /// Has the server that works on the data clear up, and waits until it has.
    ///
    /// # Errors
    /// The database's.
    pub fn sweep(&mut self) -> Result<Effect, AdminError> {
        let order = self.change(|db| {
            db.execute("INSERT INTO orders (sweep) VALUES (1)", [])?;
            Ok(db.last_insert_rowid())
        })?;
        self.wait_for(order, SWEEP_LOOKS)
    }

    /// A change that a server must act on: waits until it has.
    fn order(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<i64, AdminError>,
    ) -> Result<Effect, AdminError> {
        let order = self.change(change)?;
        self.wait_for(order, LOOKS)
    }

    fn wait_for(&self, order: i64, looks: u32) -> Result<Effect, AdminError> {
        for _ in 0..looks {
            let is_due = self.db.prepare_cached("SELECT 1 FROM orders WHERE id = ?1")?.exists([order])?;
            if !is_due || !open::is_locked(&self.data)? {
                return Ok(Effect::Now);
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(Effect::Later)
    }

    fn change<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = change(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// The user of this name, who is not deleted and not the assistant.
fn user(db: &Connection, name: &str) -> Result<UserId, AdminError> {
    db.prepare_cached("SELECT id FROM users WHERE name_key = ?1 AND kind <> 2 AND deleted_at IS NULL")?
        .query_row(params![names::key(name)], |row| id_at(row, 0).map(UserId))
        .optional()?
        .ok_or_else(|| AdminError::NoUser(name.into()))
}

fn remove_ban(db: &Connection, whom: &Whom) -> Result<usize, AdminError> {
    Ok(match whom {
        Whom::User(name) => db.execute("DELETE FROM bans WHERE user = ?1", [sql(user(db, name)?.0)])?,
        Whom::Network(network) => db.execute("DELETE FROM bans WHERE address = ?1", [network.to_string()])?,
    })
}
