//! The one that writes: takes what waited, carries it out in one transaction, commits once, and hands on what
//! came of it. What each op does is in [`super::append`], [`super::login`], [`super::membership`],
//! [`super::group`], [`super::position`], [`super::removal`], [`super::retention`], [`super::upload`] and [`super::chores`].
//!
//! A transaction that fails is undone as a whole. What wrote in it, and what came after that and may have
//! seen it, is refused; SYNCs are asked again of what holds then, and on a full disk logins by token; a copy of what was
//! stored before is confirmed. Departures,
//! which nobody would ask for again, are carried out as soon as something can be written.

use super::Clock;
use super::cache::Cache;
use super::chat;
use super::fault::{self, Done, Fault};
use super::index::Backlog;
use super::open::BUSY;
use crate::error::Refusal;
use crate::id::{MediaId, Micros, UserId};
use crate::store::media::{Hold, MediaStore};
use crate::store::{
    Append, Appended, Chores, Committed, Consumer, Content, FirstRoom, Login, Op, Outcome, Sync, Synced, Who,
    storage_full,
};
use chatwire_codec::Code;
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Ops in one transaction: those behind them wait no longer than it takes.
const BATCH_OPS: usize = 4096;
/// Bytes of text in one transaction, for the same reason, and for the pages that it holds in memory.
const BATCH_BYTES: usize = 8 << 20;

/// At once, not with the first write: so nobody else's commit can make a later statement fail. A transaction that wrote
/// nothing costs no sync.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Departures that are made up for in one transaction: little is lost if it fails again.
const UNFINISHED_OPS: usize = 64;

/// The owner of the connection that writes.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) cache: Cache,
    clock: Clock,
    /// How far the clock is ahead of what is believed of it.
    pub(super) ahead: Arc<AtomicI64>,
    /// Why the running transaction must not be committed.
    doomed: Option<Refusal>,
    /// The files that came with messages of the running transaction, stored or refused.
    pub(super) holds: Vec<Hold>,
    /// Media whose rows the running transaction has deleted.
    pub(super) freed: Vec<MediaId>,
    /// Media whose rows are deleted, and whose files stay until a backup is made.
    pub(super) postponed: Vec<MediaId>,
    /// Where the files are.
    pub(super) files: Option<Arc<MediaStore>>,
    /// The last transaction failed: say once when it begins and once when it is over.
    failing: bool,
    /// Whose departure was undone or could not be written. No more than were ever online at once.
    pub(super) unfinished: BTreeSet<UserId>,
    /// What is to be put into the index of words.
    pub(super) backlog: Backlog,
}

/// What one transaction brings.
pub(super) struct Batch {
    consumer: Arc<dyn Consumer>,
    committed: Vec<Committed>,
    /// Who has logged in, which the consumer does not know yet, and on how many connections.
    arrived: HashMap<UserId, usize>,
    /// Those among them that can do without writing, by their place.
    reads: Vec<(usize, Read)>,
    /// The place of the first that wrote something, or failed so that all was undone.
    first_write: Option<usize>,
}

/// What can be answered without writing.
enum Read {
    Sync(Sync),
    /// By token, which leaves no trace then.
    Login(Login),
}

impl Writer {
    pub(super) fn new(db: Connection, clock: Clock, backlog: Backlog) -> Self {
        let (cache, unfinished) = (Cache::default(), BTreeSet::new());
        let (holds, freed, postponed, files) = (Vec::new(), Vec::new(), Vec::new(), None);
        let (doomed, failing, ahead) = (None, false, Arc::default());
        Writer {
            db,
            cache,
            clock,
            ahead,
            doomed,
            holds,
            freed,
            postponed,
            files,
            failing,
            unfinished,
            backlog,
        }
    }

    /// Carries out all these ops, and hands on what came of them.
    pub(super) fn carry_out_all(&mut self, ops: impl Iterator<Item = Op>, batch: &mut Batch) {
        let mut ops = ops.peekable();
        while ops.peek().is_some() {
            self.carry_out(&mut ops, batch);
            batch.hand_on();
            self.finish(batch);
        }
    }

    /// Makes up for departures, once something could be written again. In transactions of their own, so that
    /// nothing else is undone with them.
    fn finish(&mut self, batch: &mut Batch) {
        let users = std::mem::take(&mut self.unfinished);
        let mut users = users.into_iter().peekable();
        while !self.failing && users.peek().is_some() {
            let mut ops = users.by_ref().take(UNFINISHED_OPS).map(|user| Op::Departed { user });
            self.carry_out(&mut ops, batch);
            batch.hand_on();
        }
        self.unfinished.extend(users);
    }

    pub(super) fn now(&self) -> Micros {
        (self.clock)()
    }

    /// By this time things may be too old.
    pub(super) fn believed(&self) -> Micros {
        self.now().saturating_sub(self.ahead.load(Ordering::Relaxed))
    }

    /// Begins the next transaction, unless somebody else has the database now. What fails otherwise will fail again for
    /// who does wait, and be told there.
    pub(super) fn begin_at_once(&self) -> bool {
        let patience = |span| self.db.busy_timeout(span).is_ok();
        let has_begun = patience(Duration::ZERO) && self.execute(BEGIN).is_ok();
        patience(BUSY) && has_begun
    }

    /// Undoes the running transaction, if there is one. One that stayed would be committed with the next, though all that
    /// is in it was refused: then there is better no server.
    pub(super) fn undo(&mut self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            log::error!("store: a transaction cannot be undone: {error}; the server ends");
            std::process::abort();
        }
    }

    /// Runs several statements of which either all or none hold. Rules are checked before: in here only the
    /// database can fail, and then what is remembered may be of what was undone.
    pub(super) fn atomically<T>(&mut self, change: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        self.execute("SAVEPOINT op")?;
        let fault = match change(self) {
            Ok(done) => {
                self.execute("RELEASE op")?;
                return Ok(done);
            }
            Err(fault) => fault,
        };
        self.cache.clear();
        // Where SQLite has ended the transaction by itself nothing is left to be undone, and the fault says why.
        if !self.db.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK TO op").and_then(|()| self.execute("RELEASE op"))
        {
            self.doom(&error);
        }
        Err(fault)
    }

    /// Has the running transaction undone, since part of it could not be.
    pub(super) fn doom(&mut self, error: &rusqlite::Error) {
        let refusal = self.failed(error);
        self.doomed.get_or_insert(refusal);
    }

    /// Whether the running transaction is to be undone.
    pub(super) fn is_doomed(&self) -> bool {
        self.doomed.is_some()
    }

    /// Ends an op: what came of it, or what its client is told.
    pub(super) fn settle<T>(&mut self, done: Done<T>) -> Result<T, Refusal> {
        match done {
            Ok(done) => Ok(done),
            Err(Fault::Refused(refusal)) => Err(refusal),
            Err(Fault::Sql(error)) => {
                let refusal = self.failed(&error);
                // Some failures make SQLite end the transaction by itself.
                if self.db.is_autocommit() {
                    self.doomed = Some(refusal.clone());
                }
                Err(refusal)
            }
        }
    }

    /// As many ops as fit into one transaction, at least one.
    fn carry_out(&mut self, ops: &mut impl Iterator<Item = Op>, batch: &mut Batch) {
        let Err(refusal) = self.transact(ops, batch) else { return };
        self.undo();
        self.cache.clear();
        self.holds.clear();
        self.freed.clear();
        self.unfinished.extend(batch.undone().iter().filter_map(Committed::departed));
        batch.refuse(&refusal, |committed| self.is_copy_of_kept(committed));
        batch.arrived.clear();
        for (place, read) in std::mem::take(&mut batch.reads) {
            let committed = match read {
                Read::Sync(sync) => self.sync(sync),
                Read::Login(login) if refusal.code == Code::StorageFull => {
                    self.login_unnoted(&login, &|user| batch.admits(user))
                }
                Read::Login(_) => continue,
            };
            batch.note_arrival(&committed);
            batch.committed[place] = committed;
        }
        // Whatever failed in here, the next transaction is a new one.
        self.doomed = None;
    }

    fn transact(&mut self, ops: &mut impl Iterator<Item = Op>, batch: &mut Batch) -> Result<(), Refusal> {
        if self.db.is_autocommit()
            && let Err(error) = self.execute(BEGIN)
        {
            batch.refused(ops);
            return Err(self.failed(&error));
        }
        let before = self.db.total_changes();
        let mut bytes = 0;
        while batch.committed.len() < BATCH_OPS && bytes < BATCH_BYTES {
            let Some(op) = ops.next() else { break };
            bytes += weight(&op);
            let place = batch.committed.len();
            self.apply(op, batch);
            let doomed = self.doomed.take();
            if batch.first_write.is_none() && (doomed.is_some() || self.db.total_changes() != before) {
                batch.first_write = Some(place);
            }
            if let Some(refusal) = doomed {
                return Err(refusal);
            }
        }
        if let Err(error) = self.execute("COMMIT") {
            fault::end_if_in_doubt(&error);
            return Err(self.failed(&error));
        }
        if batch.first_write.is_some() {
            log::debug!("store: committed {} ops", batch.committed.len());
        }
        self.settle_files();
        self.worked(batch.first_write.is_some());
        Ok(())
    }

    fn apply(&mut self, op: Op, batch: &mut Batch) {
        let committed = match op {
            Op::Append(append) => Committed::Append(self.append(append)),
            Op::Sync(sync) => {
                batch.reads.push((batch.committed.len(), Read::Sync(sync)));
                self.sync(sync)
            }
            Op::Login(login) => return self.arrive(login, batch),
            Op::Join(join) => self.join(&join),
            Op::Leave(leave) => self.leave(&leave),
            Op::Create(create) => self.create(&create),
            Op::Invite(invite) => self.invite(&invite),
            Op::Remove(remove) => self.remove(&remove),
            Op::Read(read) => self.read(read),
            Op::Delete(delete) => self.delete(delete),
            Op::Upload(upload) => self.upload(upload),
            Op::Departed { user } if batch.is_back(user) => Committed::Departed(user, Vec::new()),
            Op::Departed { user } => self.departed(user),
            Op::Used { user, token } => self.used(user, &token),
            Op::Chores { upto, now } => self.chores(upto, now, |user| batch.is_back(user)),
            Op::Seen(seen) => self.seen(seen),
            Op::Expire { before, chats, most } => self.expire(before, &chats, most),
            Op::Sweep { files, rows, order } => self.sweep(files, &rows, order),
        };
        batch.committed.push(committed);
    }

    /// A login, and the JOIN that came with it.
    fn arrive(&mut self, mut login: Login, batch: &mut Batch) {
        let first = login.first_room.take();
        let (conn, committed) = (login.conn, self.login(&login, &|user| batch.admits(user)));
        let joined = first.map(|FirstRoom { req, room }| {
            let done = match &committed {
                Committed::Login(_, Ok(login)) => self.join_first(login, &room),
                // Should the login be asked for again and succeed, the JOIN has still failed.
                _ => Err(storage_full().into()),
            };
            Committed::Join(conn, req, self.settle(done))
        });
        batch.note_arrival(&committed);
        batch.may_read(login);
        batch.committed.push(committed);
        batch.committed.extend(joined);
    }

    fn sync(&mut self, sync: Sync) -> Committed {
        let found = self.find_place(sync);
        Committed::Sync(sync.conn, sync.req, self.settle(found))
    }

    fn find_place(&mut self, sync: Sync) -> Done<Synced> {
        let head = self.cache.admit(&self.db, sync.user, sync.chat)?;
        let (kind, last_seq) = (head.kind, head.last_seq);
        if sync.after > last_seq {
            return Err(Fault::new(Code::NotFound, "this position was never given here; begin anew"));
        }
        let first_seq = chat::first_seq(&self.db, sync.chat, last_seq)?;
        let after = sync.after.max(first_seq - 1);
        Ok(Synced { chat: sync.chat, kind, first_seq, last_seq, after })
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Notes a failure of the database.
    pub(super) fn failed(&mut self, error: &rusqlite::Error) -> Refusal {
        if !self.failing {
            log::error!("store: cannot write: {}", fault::told(error));
        }
        self.failing = true;
        fault::refusal(error)
    }

    fn worked(&mut self, wrote: bool) {
        if self.failing && wrote {
            log::info!("store: can write again");
            self.failing = false;
        }
    }

    /// Brings the log into the database, so that the next start has nothing to recover.
    pub(super) fn check_in(&self) {
        if let Err(error) = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            log::warn!("store: the log stays behind for the next start: {error}");
        }
    }
}

impl Batch {
    pub(super) fn new(consumer: Arc<dyn Consumer>) -> Self {
        let (committed, reads) = (Vec::new(), Vec::new());
        Batch { consumer, committed, arrived: HashMap::new(), reads, first_write: None }
    }

    /// Notes a login, the next to be answered, if it can do without writing.
    fn may_read(&mut self, login: Login) {
        if matches!(login.who, Who::Token { .. }) {
            self.reads.push((self.committed.len(), Read::Login(login)));
        }
    }

    /// Whether a departure of this user has been overtaken by a login.
    fn is_back(&self, user: UserId) -> bool {
        self.arrived.contains_key(&user) || self.consumer.is_online(user)
    }

    fn admits(&self, user: UserId) -> Done<()> {
        let coming = self.arrived.get(&user).copied().unwrap_or(0);
        Ok(self.consumer.admits(user, coming)?)
    }

    fn note_arrival(&mut self, committed: &Committed) {
        if let Committed::Login(_, Ok(login)) = committed {
            *self.arrived.entry(login.user).or_default() += 1;
        }
    }

    /// Refuses all that may be undone: from the first that wrote. Leaves the reads that are to be asked again.
    /// What holds all the same stays.
    fn refuse(&mut self, refusal: &Refusal, holds: impl Fn(&Committed) -> bool) {
        let first = self.committed.len() - self.undone().len();
        self.reads.retain(|(place, _)| *place >= first);
        for committed in self.undone().iter_mut().filter(|committed| !holds(committed)) {
            committed.refuse(refusal);
        }
    }

    /// All that may be undone.
    fn undone(&mut self) -> &mut [Committed] {
        let first = self.first_write.unwrap_or(self.committed.len());
        &mut self.committed[first..]
    }

    fn hand_on(&mut self) {
        self.consumer.committed(&mut self.committed);
        self.clear();
    }

    /// Takes ops that cannot even be tried, each answered with a refusal to be filled in.
    fn refused(&mut self, ops: &mut impl Iterator<Item = Op>) {
        self.first_write = Some(0);
        for op in ops.take(BATCH_OPS) {
            let committed = untried(&op);
            let mut first = None;
            match op {
                Op::Sync(sync) => self.reads.push((self.committed.len(), Read::Sync(sync))),
                Op::Login(mut login) => {
                    first = login.first_room.take().map(|first| (login.conn, first.req));
                    self.may_read(login);
                }
                _ => {}
            }
            self.committed.push(committed);
            self.committed
                .extend(first.map(|(conn, req)| Committed::Join(conn, req, Err(Refusal::internal()))));
        }
    }

    fn clear(&mut self) {
        self.committed.clear();
        self.arrived.clear();
        self.reads.clear();
        self.first_write = None;
    }
}

impl Committed {
    fn departed(&self) -> Option<UserId> {
        match self {
            Committed::Departed(user, _) => Some(*user),
            _ => None,
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let refusal = refusal.clone();
        match self {
            Committed::Login(_, done) => *done = Err(refusal),
            Committed::Append(appended) => appended.outcome = Outcome::Refused(refusal),
            Committed::Join(_, _, done) => *done = Err(refusal),
            Committed::Leave(_, _, done) | Committed::Remove(_, _, done) => *done = Err(refusal),
            Committed::Create(_, _, done) => *done = Err(refusal),
            Committed::Invite(_, _, done) => *done = Err(refusal),
            Committed::Read(_, _, done) => *done = Err(refusal),
            Committed::Delete(_, _, done) => *done = Err(refusal),
            Committed::Sync(_, _, done) => *done = Err(refusal),
            Committed::Upload(_, _, done) => *done = Err(refusal),
            Committed::Departed(_, left) => left.clear(),
            Committed::Used | Committed::Expired | Committed::Swept => {}
            Committed::Chores(chores) => *chores = Chores::default(),
        }
    }
}

fn untried(op: &Op) -> Committed {
    let refusal = Refusal::internal();
    match op {
        Op::Login(login) => Committed::Login(login.conn, Err(refusal)),
        &Op::Append(Append { conn, nonce, about, permit, .. }) => {
            let outcome = Outcome::Refused(refusal);
            Committed::Append(Appended { conn, nonce, about, permit, outcome })
        }
        Op::Join(join) => Committed::Join(join.conn, join.req, Err(refusal)),
        Op::Leave(leave) => Committed::Leave(leave.conn, leave.req, Err(refusal)),
        Op::Create(create) => Committed::Create(create.conn, create.req, Err(refusal)),
        Op::Invite(invite) => Committed::Invite(invite.conn, invite.req, Err(refusal)),
        Op::Remove(remove) => Committed::Remove(remove.conn, remove.req, Err(refusal)),
        Op::Read(read) => Committed::Read(read.conn, read.req, Err(refusal)),
        Op::Delete(delete) => Committed::Delete(delete.conn, delete.req, Err(refusal)),
        Op::Sync(sync) => Committed::Sync(sync.conn, sync.req, Err(refusal)),
        Op::Upload(upload) => Committed::Upload(upload.conn, upload.ticket, Err(refusal)),
        Op::Departed { user } => Committed::Departed(*user, Vec::new()),
        Op::Used { .. } | Op::Seen(_) => Committed::Used,
        Op::Chores { .. } => Committed::Chores(Chores::default()),
        Op::Expire { .. } => Committed::Expired,
        Op::Sweep { .. } => Committed::Swept,
    }
}

/// Bytes that an op brings into a transaction, beside what every row has.
fn weight(op: &Op) -> usize {
    match op {
        Op::Append(Append { content: Ok(Content::Text(text) | Content::Reply(text, _)), .. }) => text.len(),
        _ => 0,
    }
}
