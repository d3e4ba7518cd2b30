//! Who is online and in which chat; turns what was committed into what each connection gets.
//!
//! A subscription is one connection's place in one chat. `Live`: what is committed goes straight to the
//! connection's outbox. `Behind(at)`: its messages come from the store, page by page, as its outbox has room;
//! when it has reached the chat's head it turns live, in one step, under the chat's lock. SYNC is "be behind
//! from here", a full outbox is "be behind from now". `Off`: the connection asked for no live messages.
//!
//! Locks, in this order: what was told of presence, the directory, a chat, the line, an outbox. None is held while
//! anything is waited for. The committed come from one thread, in order, so a chat's head is exactly what has
//! been delivered.
//!
//! The hub knows no SQL and no socket, and forgets everything with the process.

mod batch;
mod directory;
mod doors;
mod events;
mod line;
mod membership;
mod presence;
mod removal;
mod subs;
#[cfg(test)]
mod tests;

use crate::delivery::{self, Change, Segment};
use crate::error::Refusal;
use crate::id::{ChatId, ConnId, Micros, Seq, UserId};
use crate::outbox::{Budget, Outbox, STOP_READING_AT, Soon};
use crate::permits::Permits;
use crate::presence::Presence;
use crate::session::{Greeted, Notice};
use crate::store::{ChatHead, Committed, Consumer, LoggedIn, Message, Op, Store, Synced};
use batch::Batch;
use chatwire_codec::frame;
use chrono_tz::Tz;
use directory::{Chat, ChatState, Directory, Place, Sub};
pub use line::Line;
use presence::Told;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A connection as the others see it. The connection's task and the hub hold it; its end is [`Hub::leave`].
#[derive(Debug)]
pub struct Link {
    /// Which.
    pub id: ConnId,
    /// Where its other end is.
    pub address: IpAddr,
    /// What it is to send and to know.
    pub outbox: Outbox,
    /// Set before the login is asked for.
    pub greeted: OnceLock<Greeted>,
    /// Set when the login has succeeded.
    user: OnceLock<(UserId, Arc<str>)>,
    /// The chats that it has a place in.
    chats: Mutex<Box<[ChatId]>>,
    /// The room that it is in, as far as what was committed tells; 0: none.
    current: AtomicU64,
    /// Set when it is to get no place in a chat any more; changed under the directory's lock.
    is_muted: AtomicBool,
    /// How its client wishes its user to be seen: a [`Presence`].
    presence: AtomicU8,
}

impl Link {
    fn new(id: ConnId, address: IpAddr, budget: Arc<Budget>, soon: Arc<Soon>) -> Self {
        Link {
            id,
            address,
            outbox: Outbox::new(budget, soon),
            greeted: OnceLock::new(),
            user: OnceLock::new(),
            chats: Mutex::default(),
            current: AtomicU64::new(0),
            is_muted: AtomicBool::new(false),
            presence: AtomicU8::new(Presence::Online as u8),
        }
    }

    fn add_chat(&self, chat: ChatId) {
        let mut chats = lock(&self.chats);
        let mut list = std::mem::take(&mut *chats).into_vec();
        list.reserve_exact(1);
        list.push(chat);
        *chats = list.into();
    }

    fn remove_chat(&self, chat: ChatId) {
        let mut chats = lock(&self.chats);
        *chats = chats.iter().copied().filter(|other| *other != chat).collect();
    }

    /// Who it is, once that is known.
    #[must_use]
    pub fn user(&self) -> Option<&(UserId, Arc<str>)> {
        self.user.get()
    }

    /// The largest media to be pushed whole, in bytes.
    #[must_use]
    pub fn inline_limit(&self) -> u32 {
        self.greeted.get().map_or(0, |g| g.inline_limit)
    }

    /// An event that must not be dropped. Who reads none of them cannot make them pile up: the connection
    /// ends, and its client sees what holds when it comes back.
    fn tell_of_itself(&self, event: &[u8]) {
        if self.outbox.unsent() >= STOP_READING_AT {
            return self.outbox.notify(Notice::Overrun);
        }
        self.outbox.answer(|out| out.extend_from_slice(event));
    }

    fn wants_live(&self) -> bool {
        self.greeted.get().is_none_or(|g| g.live)
    }
}

/// What WELCOME says that is the same for all.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    /// The store's.
    pub epoch: u64,
    /// Seconds.
    pub heartbeat: u16,
    /// Bytes.
    pub max_text: u32,
    /// Bytes.
    pub max_media: u32,
}

/// Who hears of the messages in home chats.
pub trait Listener: Send + Sync {
    /// A user's message in their home chat, which is durable and confirmed. Must not block.
    fn heard(&self, message: &Message, zone: Option<Tz>);
}

/// See the module.
pub struct Hub {
    store: Arc<dyn Store>,
    greeting: Greeting,
    permits: Permits,
    assistant: Option<Arc<dyn Listener>>,
    now: fn() -> Micros,
    /// At once; 0: no limit.
    connections_per_user: AtomicUsize,
    next_conn: AtomicU64,
    next_round: AtomicU64,
    budget: Arc<Budget>,
    soon: Arc<Soon>,
    line: Arc<Line>,
    directory: Mutex<Directory>,
    told: Mutex<Told>,
    batch: Mutex<Batch>,
    is_stopping: AtomicBool,
    /// Whether an [`Op::Chores`] is on its way.
    has_chores: AtomicBool,
}

/// A page that is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Of which chat.
    pub chat: ChatId,
    /// Messages behind this one.
    pub after: Seq,
    /// Up to and with this one.
    pub upto: Seq,
    round: u64,
}

impl Hub {
    /// A hub over a store whose outcomes it will be given.
    pub fn new(
        store: Arc<dyn Store>,
        greeting: Greeting,
        permits: Permits,
        assistant: Option<Arc<dyn Listener>>,
        now: fn() -> Micros,
    ) -> Self {
        Hub {
            store,
            greeting,
            permits,
            assistant,
            now,
            connections_per_user: AtomicUsize::new(0),
            next_conn: AtomicU64::new(1),
            next_round: AtomicU64::new(1),
            budget: Arc::default(),
            soon: Arc::default(),
            line: Arc::default(),
            directory: Mutex::default(),
            told: Mutex::default(),
            batch: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            has_chores: AtomicBool::new(false),
        }
    }

    /// A new connection.
    pub fn enter(&self, address: IpAddr) -> Arc<Link> {
        let id = ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed));
        let link = Arc::new(Link::new(id, address, self.budget.clone(), self.soon.clone()));
        self.directory().links.insert(id, link.clone());
        if self.is_stopping.load(Ordering::SeqCst) {
            link.outbox.notify(Notice::Shutdown);
        }
        link
    }

    /// Takes a connection out of all its chats: nothing live comes any more, answers still do.
    pub fn mute(&self, link: &Link) {
        let mut directory = self.directory();
        link.is_muted.store(true, Ordering::Relaxed);
        let Some((user, name)) = link.user() else { return };
        let chats = std::mem::take(&mut *lock(&link.chats));
        for id in &chats {
            directory.unsubscribe(*id, (*user, link.id));
        }
        drop(directory);
        self.tell_presence(*user, name, &chats);
    }

    /// The end of a connection. If it was the user's last, the store is told.
    pub fn leave(&self, link: &Link) {
        self.mute(link);
        self.used(link);
        let mut directory = self.directory();
        directory.links.remove(&link.id);
        let Some(&(user, _)) = link.user() else { return };
        let Some(links) = directory.users.get_mut(&user) else { return };
        links.retain(|other| other.id != link.id);
        if links.is_empty() {
            directory.users.remove(&user);
            drop(directory);
            self.store.submit(Op::Departed { user });
        }
    }

    /// Tells every connection that the server stops, and how many there are.
    pub fn shut_down(&self) -> usize {
        self.is_stopping.store(true, Ordering::SeqCst);
        let links: Vec<_> = self.directory().links.values().cloned().collect();
        for link in &links {
            link.outbox.notify(Notice::Shutdown);
        }
        links.len()
    }

    /// What all connections together have in memory.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// How many members of a chat are online.
    #[must_use]
    pub fn online(&self, chat: ChatId) -> u32 {
        let chat = self.directory().chats.get(&chat).cloned();
        chat.map_or(0, |chat| u32::try_from(lock(&chat.state).users).unwrap_or(u32::MAX))
    }

    /// Whether a user is online.
    #[must_use]
    pub fn is_online(&self, user: UserId) -> bool {
        self.directory().users.contains_key(&user)
    }

    /// The users that are online, by id, behind `after`: at most `limit`, and whether there are others.
    #[must_use]
    pub fn everybody(&self, after: UserId, limit: usize) -> (Vec<(UserId, Arc<str>)>, bool) {
        let Some(all) = self.directory().chats.get(&ChatId::ALL).cloned() else { return (Vec::new(), false) };
        let mut found: Vec<(UserId, Arc<str>)> = Vec::new();
        let state = lock(&all.state);
        for ((user, _), sub) in state.subs.behind((after, ConnId(u64::MAX))) {
            if found.last().is_some_and(|(last, _)| *last == user) {
                continue;
            }
            if found.len() == limit {
                return (found, true);
            }
            found.extend(sub.link.user().cloned());
        }
        (found, false)
    }

    /// The page that a connection is to get next, if one is due.
    #[must_use]
    pub fn due(&self, link: &Link) -> Option<Due> {
        let &(user, _) = link.user()?;
        while let Some(id) = link.outbox.next_behind() {
            let Some(chat) = self.chat(id) else { continue };
            let mut state = lock(&chat.state);
            let head = state.head;
            let Some(sub) = state.subs.get_mut((user, link.id)) else { continue };
            let Place::Behind { at, round } = sub.place else { continue };
            if at < head {
                return Some(Due { chat: id, after: at, upto: head, round });
            }
            sub.place = Place::Live;
        }
        None
    }

    /// Gives a connection the page that was due: the messages up to and with `at`.
    pub fn catch_up(&self, link: &Link, due: &Due, at: Seq, page: Vec<Segment>) {
        let (Some(&(user, _)), Some(chat)) = (link.user(), self.chat(due.chat)) else { return };
        let mut state = lock(&chat.state);
        // Under the chat's lock: what is told from here on is told of a page that has come.
        let late = link.outbox.end_page();
        let head = state.head;
        let Some(sub) = state.subs.get_mut((user, link.id)) else { return };
        if !matches!(sub.place, Place::Behind { round, .. } if round == due.round) {
            return;
        }
        link.outbox.segments(page.into_iter().chain([Segment::Owned(late)]));
        if at < head {
            sub.place = Place::Behind { at, round: due.round };
            link.outbox.add_behind(due.chat);
        } else {
            sub.place = Place::Live;
        }
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    fn chat(&self, id: ChatId) -> Option<Arc<Chat>> {
        self.directory().chats.get(&id).cloned()
    }

    fn new_round(&self) -> u64 {
        self.next_round.fetch_add(1, Ordering::Relaxed)
    }

    fn link(&self, id: ConnId) -> Option<Arc<Link>> {
        self.directory().links.get(&id).cloned()
    }
}

impl Consumer for Hub {
    fn committed(&self, committed: &mut Vec<Committed>) {
        let mut batch = lock(&self.batch);
        for outcome in committed.drain(..) {
            match outcome {
                Committed::Append(appended) => batch.add(self, appended),
                other => {
                    batch.deliver(self);
                    let came_in = self.apply(other);
                    batch.wake_soon(came_in);
                }
            }
        }
        batch.deliver(self);
        batch.wake();
        batch.give_back(&self.permits);
    }

    fn is_online(&self, user: UserId) -> bool {
        Hub::is_online(self, user)
    }

    fn admits(&self, user: UserId, coming: usize) -> Result<(), Refusal> {
        self.admit_connection(user, coming)
    }
}

/// What is committed besides messages.
impl Hub {
    /// Gives whom to wake soon: with an answer that has begun.
    fn apply(&self, committed: Committed) -> Option<Arc<Link>> {
        match committed {
            Committed::Login(conn, result) => return self.logged_in(conn, result),
            Committed::Join(conn, req, result) => return self.joined(conn, req, result),
            Committed::Append(_) | Committed::Used | Committed::Swept => {}
            Committed::Leave(conn, req, result) => self.left(conn, req, result),
            Committed::Sync(conn, req, result) => self.synced(conn, req, result),
            Committed::Create(conn, req, result) => self.created(conn, req, result),
            Committed::Invite(conn, req, result) => self.invited(conn, req, result),
            Committed::Remove(conn, req, result) => self.removed(conn, req, result),
            Committed::Read(conn, req, result) => self.read(conn, req, result),
            Committed::Delete(conn, req, result) => self.deleted(conn, req, result),
            Committed::Upload(conn, ticket, result) => {
                if let Some(link) = self.link(conn) {
                    link.outbox.notify(Notice::Uploaded(ticket, result));
                }
            }
            Committed::Chores(chores) => self.chores_done(&chores),
            Committed::Expired => self.end_chores(),
            Committed::Departed(_, all) => all.iter().for_each(|left| self.ended(left, Change::Left, None)),
        }
        None
    }

    fn logged_in(&self, conn: ConnId, result: Result<LoggedIn, Refusal>) -> Option<Arc<Link>> {
        let (link, login) = match (self.link(conn), result) {
            (Some(link), Ok(login)) => (link, login),
            (Some(link), Err(refusal)) => {
                link.outbox.notify(Notice::LoginRefused(refusal));
                return None;
            }
            (None, result) => {
                result.iter().for_each(|login| self.never_came(login.user));
                return None;
            }
        };
        let mut directory = self.directory();
        if link.is_muted.load(Ordering::Relaxed) {
            drop(directory);
            self.never_came(login.user);
            return None;
        }
        let links = directory.users.entry(login.user).or_default();
        // Most users have one connection, and those who have more do not come and go by the thousand.
        links.reserve_exact(1);
        links.push(link.clone());
        // Both are set once: a connection logs in once.
        let _ = link.user.set((login.user, login.name.clone()));
        let welcomed = Notice::Welcomed { user: login.user, name: login.name.clone() };
        link.outbox.begin_answer([welcomed], |out| self.welcome(out, &link, &login));
        for head in &login.chats {
            directory.subscribe(&link, head);
        }
        Some(link)
    }

    fn welcome(&self, out: &mut Vec<u8>, link: &Link, login: &LoggedIn) {
        let Some(greeted) = link.greeted.get() else { return };
        let Greeting { epoch, heartbeat, max_text, max_media, .. } = self.greeting;
        delivery::put(
            out,
            &frame::Welcome {
                version: greeted.version,
                user: login.user.0,
                session: link.id.0,
                at: (self.now)(),
                epoch,
                heartbeat,
                max_text,
                max_media: max_media.into(),
                inline_limit: greeted.inline_limit,
                home: login.home.0,
                user_name: &login.name,
                token: greeted
                    .token
                    .text(login.user)
                    .filter(|_| login.token_given)
                    .as_deref()
                    .unwrap_or_default(),
            },
        );
    }

    fn synced(&self, conn: ConnId, req: u32, result: Result<Synced, Refusal>) {
        let Some(link) = self.link(conn) else { return };
        let synced = match result {
            Ok(synced) => synced,
            Err(refusal) => return refuse(Some(&link), frame::kind::SYNC, req, &refusal),
        };
        let round = self.new_round();
        let head = ChatHead { chat: synced.chat, kind: synced.kind, last_seq: synced.last_seq };
        let mut directory = self.directory();
        directory.subscribe(&link, &head);
        let chat = directory.chats.get(&synced.chat).cloned();
        drop(directory);
        // Under the chat's lock, so that no page of an older SYNC comes between the answer and its own.
        let mut state = chat.as_ref().map(|chat| lock(&chat.state));
        let sub = match (&mut state, link.user()) {
            (Some(state), Some(&(user, _))) => state.subs.get_mut((user, conn)),
            _ => None,
        };
        if let Some(sub) = sub {
            sub.place = Place::Behind { at: synced.after, round };
            link.outbox.add_behind(synced.chat);
        }
        link.outbox.answer_and_notify([Notice::Answered], |out| delivery::synced(out, req, &synced));
    }
}

/// ERROR about a request.
fn refuse(link: Option<&Link>, about: u8, req: u32, refusal: &Refusal) {
    if let Some(link) = link {
        log::debug!("connection {}: request of type {about:#04x} refused: {refusal}", link.id);
        link.outbox
            .answer_and_notify([Notice::Answered], |out| delivery::error(out, about, req.into(), refusal));
    }
}

/// Locks. What a panicking thread left under these locks is whole: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
