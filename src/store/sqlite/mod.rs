//! HOW it is kept: one SQLite database in the data folder, beside the files of [`super::media`].
//!
//! One connection writes (`writer`) and carries out every [`Op`], many in one transaction; who sits at it, a
//! thread of its own or whoever brought the op, is the business of `seat`. Readers (`query`) have connections of their own and, since the log is written ahead, wait
//! for nobody. What both need to know of chats and rights is in `chat`.
//!
//! The tables are described where they are made: `schema.sql`.

pub mod admin;
mod append;
mod bans;
mod cache;
pub mod care;
mod chat;
mod chores;
mod fault;
mod group;
mod index;
mod login;
mod membership;
mod open;
mod position;
mod query;
mod removal;
mod retention;
mod row;
mod search;
mod seat;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
mod upload;
mod writer;

pub use open::OpenError;

use super::{
    Account, ChatRow, DueChores, Expired, Found, HistoryPage, HistoryQuery, Listed, Media, MemberRow,
    Message, Op, RoomRow, Search, Spare, Store, Target, Used,
};
use crate::config::Durability;
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Micros, Seq, UserId};
use crate::policy::bans::Bans;
use crate::policy::leap::Seen;
use crate::store::Consumer;
use crate::store::media::MediaStore;
use index::Backlog;
use seat::Desk;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use writer::Writer;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Micros + Send + Sync>;

type Readers = r2d2::Pool<r2d2_sqlite::SqliteConnectionManager>;

/// What a store is opened with.
#[derive(Clone)]
pub struct Options {
    /// The folder that everything is kept in; made if it is missing.
    pub data: PathBuf,
    /// Whether a commit waits for the disk.
    pub durability: Durability,
    /// Connections that read, which is how many reads run at once.
    pub readers: u32,
    /// The time of messages, memberships and logins.
    pub clock: Clock,
}

/// The store on SQLite.
///
/// Life: [`open`](Self::open), [`frees`](Self::frees), then [`start`](Self::start) with the consumer, then
/// [`close`](Self::close), or drop, which does the same. Ops that are submitted before the start wait for
/// it; ops that are submitted after the close are lost, so stop whoever submits first.
pub struct SqliteStore {
    desk: Arc<Desk>,
    readers: Readers,
    /// See [`Store::set_ahead`].
    ahead: Arc<AtomicI64>,
    epoch: u64,
    state: Mutex<State>,
    /// Held for life; freed with the file. A second server on the same folder is refused by it.
    _lock: File,
}

/// Where the writer is.
enum State {
    Opened(Box<Writer>),
    Running(JoinHandle<()>),
    Closed,
}

impl SqliteStore {
    /// Makes or opens the data, brings it to the newest schema, ends what the last run left open.
    ///
    /// # Errors
    /// When another server has the folder, a newer one wrote it, or the disk fails.
    pub fn open(options: Options) -> Result<SqliteStore, OpenError> {
        let lock = open::lock(&options.data)?;
        let path = open::database(&options.data);
        let (db, freed) = open::writer(&path, options.durability, &options.clock)?;
        let epoch = open::epoch(&db, &path)?;
        let readers = open::readers(&path, options.readers)?;
        let backlog = Backlog::of(&db).map_err(open::sqlite(&path))?;
        let mut writer = Writer::new(db, options.clock, backlog);
        writer.freed = freed;
        let ahead = writer.ahead.clone();
        Ok(SqliteStore {
            ahead,
            desk: Arc::new(Desk::new()),
            readers,
            epoch,
            state: Mutex::new(State::Opened(Box::new(writer))),
            _lock: lock,
        })
    }

    /// Has the files of media go with the last message that refers to them. To be called before the start;
    /// without it they stay.
    pub fn frees(&self, files: Arc<MediaStore>) {
        if let State::Opened(writer) = &mut *self.state() {
            writer.files = Some(files);
        }
    }

    /// Starts the writing thread, which hands what it commits to `consumer` and holds it until the close.
    ///
    /// # Errors
    /// When there is no thread to be had, or the store was started before.
    pub fn start(&self, consumer: Arc<dyn Consumer>) -> io::Result<()> {
        self.attend(consumer)?;
        let desk = Arc::clone(&self.desk);
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || desk.run())?;
        *self.state() = State::Running(thread);
        Ok(())
    }

    /// As [`start`](Self::start), but without the thread: what is queued is carried out by whoever calls
    /// [`turn`](Self::turn), and is lost with the close. For a simulation, which decides what happens when.
    ///
    /// # Errors
    /// When the store was started before.
    pub fn attend(&self, consumer: Arc<dyn Consumer>) -> io::Result<()> {
        let mut state = self.state();
        let State::Opened(writer) = std::mem::replace(&mut *state, State::Closed) else {
            return Err(io::Error::other("a store can be started only once"));
        };
        self.desk.open(*writer, consumer);
        Ok(())
    }

    /// Carries out what is queued, where no thread does.
    pub fn turn(&self) {
        self.desk.turn();
    }

    /// Whether a [`turn`](Self::turn) is wanted.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.desk.is_due()
    }

    /// Carries out what is queued, ends the writing thread and lets go of the consumer. What is only read
    /// can be read on.
    pub fn close(&self) {
        self.desk.close();
        let state = std::mem::replace(&mut *self.state(), State::Closed);
        let State::Running(thread) = state else { return self.desk.leave() };
        // The last owner may be the consumer itself, which the writing thread lets go of.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        if thread.join().is_err() {
            log::error!("the store's writing thread ended badly");
        }
    }

    /// A lock that a panic elsewhere has poisoned still guards a whole value.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for SqliteStore {
    fn submit(&self, op: Op) {
        self.desk.submit(op);
    }

    fn bring(&self, op: Op) {
        self.desk.bring(op);
    }

    fn carry_out(&self) {
        self.desk.carry_out();
    }

    fn has_reader(&self) -> bool {
        self.readers.state().idle_connections > 0
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn history(&self, asker: UserId, chat: ChatId, query: HistoryQuery) -> Result<HistoryPage, Refusal> {
        query::read(&self.readers, |db| query::history(db, asker, chat, query))
    }

    fn search(&self, asker: UserId, wanted: &Search) -> Result<Found, Refusal> {
        query::read(&self.readers, |db| search::search(db, asker, wanted))
    }

    fn messages(
        &self,
        chat: ChatId,
        after: Seq,
        upto: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Message>, Refusal> {
        query::read(&self.readers, |db| query::messages(db, chat, after, upto, max_bytes))
    }

    fn rooms(&self, after: &str, limit: u16) -> Result<Listed<RoomRow>, Refusal> {
        query::read(&self.readers, |db| query::rooms(db, after, limit))
    }

    fn members(
        &self,
        asker: UserId,
        chat: &Target,
        after: UserId,
        limit: u16,
    ) -> Result<(ChatId, Listed<MemberRow>), Refusal> {
        query::read(&self.readers, |db| query::members(db, asker, chat, after, limit))
    }

    fn chats(&self, user: UserId, after: ChatId, limit: u16) -> Result<Listed<ChatRow>, Refusal> {
        query::read(&self.readers, |db| query::chats(db, user, after, limit))
    }

    fn media(&self, asker: UserId, id: MediaId) -> Result<Media, Refusal> {
        query::read(&self.readers, |db| query::media(db, asker, id))
    }

    fn used(&self, user: UserId) -> Result<Used, Refusal> {
        query::read(&self.readers, |db| upload::used(db, user))
    }

    fn has_nonce(&self, user: UserId, nonce: u64) -> Result<bool, Refusal> {
        query::read(&self.readers, |db| upload::has_nonce(db, user, nonce))
    }

    fn account(&self, key: &str) -> Result<Option<Account>, Refusal> {
        query::read(&self.readers, |db| login::account(db, key))
    }

    fn bans(&self) -> Result<Bans, Refusal> {
        query::read(&self.readers, bans::of_addresses)
    }

    fn spare(&self, files: &[MediaId]) -> Result<Spare, Refusal> {
        query::read(&self.readers, |db| upload::spare(db, files))
    }

    fn expired(&self, before: Micros, after: ChatId) -> Result<Expired, Refusal> {
        query::read(&self.readers, |db| retention::expired(db, before, after))
    }

    fn is_calm(&self) -> bool {
        self.desk.is_calm()
    }

    fn seen(&self) -> Result<Option<Seen>, Refusal> {
        query::read(&self.readers, retention::seen)
    }

    fn set_ahead(&self, by: Micros) {
        self.ahead.store(by, Ordering::Relaxed);
    }

    fn due_chores(&self, now: Micros) -> Result<Option<DueChores>, Refusal> {
        query::read(&self.readers, |db| chores::due(db, now))
    }
}
