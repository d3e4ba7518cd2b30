//! Scripts against a store in a folder of its own: do, expect.

mod accounts;
mod append;
mod chores;
mod failure;
mod groups;
mod login;
mod positions;
mod query;
mod removal;
mod retention;
mod rooms;
mod search;
mod sweep;
mod uploads;
mod versions;

use super::admin::{Admin, AdminError};
use super::{Options, SqliteStore};
use crate::config::Durability;
use crate::error::Refusal;
use crate::id::{ChatId, ConnId, MediaId, Micros, Seq, UserId};
use crate::names;
use crate::store::{
    Append, Appended, ChatKind, Chores, Committed, Consumer, Content, Create, Entered, Invite, Invited, Join,
    Joined, Leave, Left, LoggedIn, Login, Media, Message, Op, Outcome, Read, Reading, Remove, Store, Sync,
    Synced, Target, Who,
};
use chatwire_codec::{Code, MediaKind};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const CONN: ConnId = ConnId(7);
const REQ: u32 = 42;
const PERMIT: u32 = 3;
const SECOND: Micros = 1_000_000;
const HOUR: Micros = 3600 * SECOND;
/// Connections that a user may have.
const PLACES: usize = 3;
/// When a test begins.
const DAWN: Micros = 1_700_000_000 * SECOND;

/// A store, its clock, and what it has committed.
struct Rig {
    store: SqliteStore,
    now: Arc<AtomicI64>,
    /// Who has a connection, by the hub's books.
    online: Arc<Mutex<HashSet<UserId>>>,
    batches: Receiver<Vec<Committed>>,
    sender: Sender<Vec<Committed>>,
    came: VecDeque<Committed>,
    /// Whose the tokens are that were given out.
    holders: HashMap<u8, UserId>,
    dir: TempDir,
}

impl Rig {
    fn new() -> Rig {
        let rig = Rig::unstarted();
        rig.start();
        rig
    }

    /// What is submitted before the start comes in one batch.
    fn unstarted() -> Rig {
        let now = Arc::new(AtomicI64::new(DAWN));
        Rig::on(tempfile::tempdir().unwrap(), now)
    }

    fn on(dir: TempDir, now: Arc<AtomicI64>) -> Rig {
        let (sender, batches) = channel();
        let store = SqliteStore::open(options(dir.path().to_owned(), &now)).unwrap();
        Rig {
            store,
            now,
            online: Arc::default(),
            batches,
            sender,
            came: VecDeque::new(),
            holders: HashMap::new(),
            dir,
        }
    }

    fn start(&self) {
        self.store.start(Arc::new(self.collector())).unwrap();
    }

    fn collector(&self) -> Collector {
        Collector { batches: Mutex::new(self.sender.clone()), online: Arc::clone(&self.online) }
    }

    /// Ends the run and begins another on the same data.
    fn reopen(self) -> Rig {
        let rig = self.reopen_unstarted();
        rig.start();
        rig
    }

    /// The same, not started, with what this guest is in kept.
    fn reopen_with(self, guest: UserId) -> Rig {
        let set_kind = "UPDATE users SET kind = ?2 WHERE id = ?1";
        self.other().execute(set_kind, [guest.0.cast_signed(), 1]).unwrap();
        let rig = self.reopen_unstarted();
        rig.other().execute(set_kind, [guest.0.cast_signed(), 0]).unwrap();
        rig
    }

    fn reopen_unstarted(self) -> Rig {
        let Rig { store, now, dir, holders, .. } = self;
        drop(store);
        Rig { holders, ..Rig::on(dir, now) }
    }

    fn time(&self) -> Micros {
        self.now.load(Ordering::Relaxed)
    }

    fn pass(&self, time: Micros) {
        self.now.fetch_add(time, Ordering::Relaxed);
    }

    /// A connection of another process, such as the operator's.
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(super::open::database(self.dir.path())).unwrap()
    }

    fn ask(&mut self, op: Op) -> Committed {
        self.store.submit(op);
        self.next()
    }

    fn next(&mut self) -> Committed {
        self.peek();
        self.came.pop_front().unwrap()
    }

    /// Chores, until there are none; what came of them all.
    fn chores(&mut self) -> Chores {
        let mut all = Chores::default();
        while self.store.due_chores(self.time()).unwrap().is_some() {
            match self.ask(Op::Chores { upto: u64::MAX, now: self.time() }) {
                Committed::Chores(Chores { ended, left }) => {
                    all.ended.extend(ended);
                    all.left.extend(left);
                }
                other => panic!("no chores: {other:?}"),
            }
        }
        all
    }

    /// A command of the operator's, which waits until the chores are done; and those.
    fn command<T: Send>(
        &mut self,
        command: impl FnOnce(&mut Admin) -> Result<T, AdminError> + Send,
    ) -> (Result<T, AdminError>, Chores) {
        let mut admin = self.admin();
        std::thread::scope(|scope| {
            let command = scope.spawn(move || command(&mut admin));
            let mut all = Chores::default();
            while !command.is_finished() {
                let Chores { ended, left } = self.chores();
                all.ended.extend(ended);
                all.left.extend(left);
                std::thread::yield_now();
            }
            (command.join().unwrap(), all)
        })
    }

    fn admin(&self) -> Admin {
        Admin::open(self.dir.path(), options(self.dir.path().to_owned(), &self.now).clock).unwrap()
    }

    /// A user who has registered with this hash of a password.
    fn user(&mut self, name: &str, hash: &str) -> UserId {
        let who = Who::Register { name: name.into(), hash: hash.into() };
        self.login(who, "phone", token_of(name)).unwrap().user
    }

    fn peek(&mut self) -> Option<&Committed> {
        while self.came.is_empty() {
            self.came.extend(self.batches.recv_timeout(Duration::from_secs(20)).unwrap());
        }
        self.came.front()
    }

    fn login(&mut self, who: Who, device: &str, token: u8) -> Result<LoggedIn, Refusal> {
        let login =
            Login { conn: CONN, who, device: device.into(), new_token: [token; 32], first_room: None };
        match self.ask(Op::Login(login)) {
            Committed::Login(CONN, done) => {
                let given = done.as_ref().ok().filter(|login| login.token_given);
                self.holders.extend(given.map(|login| (token, login.user)));
                done
            }
            other => panic!("not a login: {other:?}"),
        }
    }

    /// The token of this number; of one that nobody was given, a guess at the first guest's.
    fn token(&self, number: u8) -> Who {
        let user = self.holders.get(&number).copied().unwrap_or(UserId(2));
        Who::Token { user, hash: [number; 32] }
    }

    /// A login of a guest who has logged in before.
    fn come_back(&self, name: &str) {
        let who = self.token(token_of(name));
        self.store.submit(Op::Login(Login {
            conn: CONN,
            who,
            device: "phone".into(),
            new_token: [0; 32],
            first_room: None,
        }));
    }

    /// A guest who chose this name.
    fn guest(&mut self, name: &str) -> UserId {
        self.login(Who::Guest { name: Some(name.into()) }, "phone", token_of(name)).unwrap().user
    }

    fn send(&mut self, append: Append) -> Outcome {
        self.store.submit(Op::Append(append));
        self.outcome()
    }

    fn outcome(&mut self) -> Outcome {
        match self.next() {
            Committed::Append(Appended { permit: PERMIT, outcome, .. }) => outcome,
            other => panic!("not a message: {other:?}"),
        }
    }

    fn say(&mut self, user: UserId, target: Target, text: &str) -> Message {
        stored(self.send(said(user, target, 0, text)))
    }

    fn join(&mut self, user: UserId, room: &str, leave: Option<ChatId>) -> Joined {
        self.try_join(user, room, leave).unwrap()
    }

    fn try_join(&mut self, user: UserId, room: &str, leave: Option<ChatId>) -> Result<Joined, Refusal> {
        let join = Join { conn: CONN, user, req: REQ, room: room.into(), leave };
        match self.ask(Op::Join(join)) {
            Committed::Join(CONN, REQ, done) => done,
            other => panic!("not a join: {other:?}"),
        }
    }

    fn leave(&mut self, user: UserId, chat: Option<ChatId>) -> Result<Left, Refusal> {
        match self.ask(Op::Leave(Leave { conn: CONN, user, req: REQ, chat })) {
            Committed::Leave(CONN, REQ, done) => done,
            other => panic!("not a leave: {other:?}"),
        }
    }

    fn create(&mut self, user: UserId, title: &str) -> Result<Entered, Refusal> {
        match self.ask(Op::Create(Create { conn: CONN, user, req: REQ, title: title.into() })) {
            Committed::Create(CONN, REQ, done) => done,
            other => panic!("not a group: {other:?}"),
        }
    }

    fn invite(&mut self, user: UserId, chat: ChatId, name: &str) -> Result<Invited, Refusal> {
        let guest = names::key(name);
        match self.ask(Op::Invite(Invite { conn: CONN, user, req: REQ, chat, guest })) {
            Committed::Invite(CONN, REQ, done) => done,
            other => panic!("not an invitation: {other:?}"),
        }
    }

    fn remove(&mut self, user: UserId, chat: ChatId, name: &str) -> Result<Left, Refusal> {
        let member = names::key(name);
        match self.ask(Op::Remove(Remove { conn: CONN, user, req: REQ, chat, member })) {
            Committed::Remove(CONN, REQ, done) => done,
            other => panic!("not a removal: {other:?}"),
        }
    }

    /// A group of its owner and these.
    fn group(&mut self, owner: UserId, others: &[&str]) -> ChatId {
        let chat = self.create(owner, "ours").unwrap().head.chat;
        for other in others {
            self.pass(1);
            self.invite(owner, chat, other).unwrap();
        }
        chat
    }

    fn read(&mut self, user: UserId, chat: ChatId, seq: Seq) -> Result<Reading, Refusal> {
        match self.ask(Op::Read(Read { conn: CONN, user, req: REQ, chat, seq })) {
            Committed::Read(CONN, REQ, done) => done,
            other => panic!("not a position: {other:?}"),
        }
    }

    fn depart(&mut self, user: UserId) -> Vec<ChatId> {
        self.store.submit(Op::Departed { user });
        self.departed(user)
    }

    fn departed(&mut self, user: UserId) -> Vec<ChatId> {
        match self.next() {
            Committed::Departed(who, left) if who == user => left.into_iter().map(|left| left.chat).collect(),
            other => panic!("not a departure: {other:?}"),
        }
    }

    fn sync(&mut self, user: UserId, chat: ChatId, after: Seq) -> Result<Synced, Refusal> {
        match self.ask(Op::Sync(Sync { conn: CONN, user, req: REQ, chat, after })) {
            Committed::Sync(CONN, REQ, done) => done,
            other => panic!("not a sync: {other:?}"),
        }
    }

    /// Every message of a chat.
    fn all_of(&self, chat: ChatId) -> Vec<Message> {
        self.store.messages(chat, 0, Seq::MAX, usize::MAX).unwrap()
    }
}

fn token_of(name: &str) -> u8 {
    name.bytes().fold(0, u8::wrapping_add)
}

fn options(data: std::path::PathBuf, now: &Arc<AtomicI64>) -> Options {
    let now = Arc::clone(now);
    let clock = Arc::new(move || now.load(Ordering::Relaxed));
    Options { data, durability: Durability::Normal, readers: 2, clock }
}

struct Collector {
    batches: Mutex<Sender<Vec<Committed>>>,
    online: Arc<Mutex<HashSet<UserId>>>,
}

impl Consumer for Collector {
    fn committed(&self, batch: &mut Vec<Committed>) {
        let _ = self.batches.lock().unwrap().send(std::mem::take(batch));
    }

    fn is_online(&self, user: UserId) -> bool {
        self.online.lock().unwrap().contains(&user)
    }

    fn admits(&self, user: UserId, coming: usize) -> Result<(), Refusal> {
        let there = usize::from(self.is_online(user));
        if there + coming < PLACES { Ok(()) } else { Err(Refusal::new(Code::Busy, "enough")) }
    }
}

fn said(user: UserId, target: Target, nonce: u64, text: &str) -> Append {
    sent(user, target, nonce, Content::Text(text.into()))
}

fn sent(user: UserId, target: Target, nonce: u64, content: Content) -> Append {
    Append {
        conn: Some(CONN),
        user,
        user_name: format!("user {user}").into(),
        nonce,
        target,
        reply_to: 0,
        name: "".into(),
        about: if matches!(content, Content::Reference(..)) { super::row::REFERENCE } else { 0 },
        permit: PERMIT,
        hold: None,
        content: Ok(content),
        refused: None,
    }
}

fn stored(outcome: Outcome) -> Message {
    match outcome {
        Outcome::Stored(message) => message,
        other => panic!("not stored: {other:?}"),
    }
}

fn opened(outcome: Outcome) -> (Message, [UserId; 2]) {
    match outcome {
        Outcome::Opened(message, users) => (message, users),
        other => panic!("not opened: {other:?}"),
    }
}

fn duplicate(outcome: Outcome) -> (ChatId, Seq) {
    match outcome {
        Outcome::Duplicate { chat, seq, .. } => (chat, seq),
        other => panic!("no duplicate: {other:?}"),
    }
}

fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn code(outcome: Outcome) -> Code {
    refused(outcome).code
}

fn all() -> Target {
    Target::Chat(ChatId::ALL)
}

fn room(name: &str) -> Target {
    Target::Room(names::key(name))
}

fn to(name: &str) -> Target {
    Target::User(names::key(name))
}

fn picture(byte: u8) -> Media {
    Media {
        id: MediaId([byte; 32]),
        kind: MediaKind::Image,
        size: 1234,
        mime: "image/png".into(),
        duration_ms: 0,
        width: 640,
        height: 480,
    }
}

fn seqs(messages: &[Message]) -> Vec<Seq> {
    messages.iter().map(|message| message.seq).collect()
}

fn text(message: &Message) -> &str {
    match &message.content {
        Content::Text(text) | Content::Reply(text, _) => text,
        other => panic!("no text: {other:?}"),
    }
}
