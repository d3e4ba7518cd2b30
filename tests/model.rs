//! Random operations of several users on several devices, against a simple model of docs/PROTOCOL.md
//! ([`world`]): what every connection sees, and nothing else, in its order.
//!
//! A step is one operation. The next one begins when everybody has seen what they were to see of it, so what
//! comes is determined, and a failure is a seed that replays: CHATWIRE_TEST_SEED.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/world.rs"]
mod world;

mod support;

use random::Random;
use std::collections::BTreeMap;
use support::*;
use world::{ALL, MEDIA, Target, World};

/// Every request's number.
const REQ: u32 = 7;
const STEPS: usize = 4000;
const NAMES: [&str; 6] = ["Watcher", "Aya", "Bo", "Cy", "Di", "Ed"];
/// Those from here on have registered; the others are guests.
const REGISTERED: usize = 4;
const ROOMS: [&str; 4] = ["harbour", "quay", "pier", "all"];
/// Files that there are.
const FILES: usize = 4;
/// Devices that one user has at most.
const DEVICES: usize = 3;
/// Events of one connection: fewer than make it a flood.
const EVENTS: usize = 18;

/// A user that stays, and a group of theirs that everybody is in while connected: so it is seen when somebody's
/// memberships have ended.
const WATCHER: usize = 0;

struct Run {
    server: Server,
    world: World,
    random: Random,
    peers: BTreeMap<usize, Peer>,
    tokens: Vec<&'static str>,
    next_device: usize,
    events: BTreeMap<usize, usize>,
    lobby: u64,
    /// Every id of a chat that was seen, those of deleted ones too.
    chats: Vec<u64>,
    nonces: Vec<(usize, u64, String)>,
    step: usize,
    /// What was to be seen last, for a failure.
    expected: String,
}

impl Drop for Run {
    #[allow(clippy::print_stderr, reason = "shown for a test that fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in step {} was to be seen: {}", self.step, self.expected);
        }
    }
}

#[test]
fn every_connection_sees_what_the_page_says_and_nothing_else() {
    let mut run = Run::begin();
    for step in 0..STEPS {
        run.step = step;
        run.random_step();
        if step % 200 == 0 {
            run.expect_nothing();
        }
    }
    run.expect_nothing();
}

impl Run {
    fn begin() -> Run {
        let server = Server::with(&[("store.durability", "normal")]);
        let mut run = Run {
            server,
            world: World::new(),
            random: Random::new(),
            peers: BTreeMap::new(),
            tokens: Vec::new(),
            next_device: 0,
            events: BTreeMap::new(),
            lobby: 0,
            chats: vec![ALL, 0, 999_999, u64::MAX],
            nonces: Vec::new(),
            step: 0,
            expected: String::new(),
        };
        for (user, name) in NAMES.into_iter().enumerate() {
            let is_guest = user < REGISTERED;
            let (auth, secret) = if is_guest { (0, "") } else { (3, "correct horse") };
            let peer = Peer::hello(&run.server, Hello { user: name, auth, secret, ..Hello::default() });
            let me = peer.me().clone();
            run.tokens.push(me.token);
            run.world.add_user(name, me.user, me.home, is_guest);
            run.chats.push(me.home);
            run.settle_in(user, peer, true);
        }
        run
    }

    /// A device has come. Its user is in the lobby from then on.
    fn settle_in(&mut self, user: usize, mut peer: Peer, is_live: bool) {
        // What WELCOME leads to has happened.
        peer.expect_nothing();
        let id = self.next_device;
        self.next_device += 1;
        self.peers.insert(id, peer.with_presence());
        self.world.connect(id, user, is_live);
        self.settle();
        if id == 0 {
            self.create(id);
            self.lobby = *self.chats.last().unwrap();
        } else if !self.world.is_member(user, self.lobby) {
            self.invite(0, self.lobby, NAMES[user]);
        }
    }

    fn random_step(&mut self) {
        let ids: Vec<usize> = self.peers.keys().copied().collect();
        let id = self.random.pick(&ids);
        let chat = self.some_chat(id);
        let name = self.random.pick(&["Aya", "Bo", "Cy", "Di", "Ed", "Watcher", "Nobody", "assistant"]);
        match self.random.below(100) {
            0..24 => self.say(id, chat, name),
            24..28 => self.delete(id, chat),
            28..30 => self.upload(id),
            30..38 => self.resend(id, chat),
            38..46 => self.join(id),
            46..50 if chat != self.lobby => self.leave(id, chat),
            50..53 => self.create(id),
            53..60 => self.invite(id, chat, name),
            60..64 if chat != self.lobby => self.remove(id, chat, name),
            64..70 => self.read(id, chat),
            70..73 => self.typing(id, chat),
            73..76 => self.present(id),
            76..81 => self.disconnect(id),
            81..88 => self.connect(),
            88..93 => self.sync(id, chat),
            93..95 => self.history(id, chat),
            95..98 => self.participants(id, chat),
            98.. => self.list(id),
            _ => {}
        }
    }

    /// Mostly one that the device's user is in.
    fn some_chat(&mut self, id: usize) -> u64 {
        let user = self.world.devices[&id].user;
        let own: Vec<u64> =
            self.world.chats.keys().copied().filter(|chat| self.world.is_member(user, *chat)).collect();
        if self.random.below(4) > 0 { self.random.pick(&own) } else { self.random.pick(&self.chats) }
    }

    fn send<'a>(&mut self, id: usize, frame: impl Into<Frame<'a>>) {
        self.peers.get_mut(&id).unwrap().send(frame);
    }

    /// The frame that the device sees next.
    fn next(&mut self, id: usize) -> Frame<'static> {
        self.peers.get_mut(&id).unwrap().next()
    }

    /// Everybody sees what is due.
    #[track_caller]
    fn settle(&mut self) {
        for (id, lines) in std::mem::take(&mut self.world.due) {
            for line in lines {
                self.expected = format!("{line}, by device {id}");
                let frame = self.next(id);
                self.check(id, frame, &line);
            }
        }
    }

    /// As [`Run::settle`], where one device has seen its first frame already.
    #[track_caller]
    fn settle_behind(&mut self, id: usize, first: Frame<'static>) {
        let line = self.world.due.get_mut(&id).unwrap().remove(0);
        self.check(id, first, &line);
        self.settle();
    }

    #[track_caller]
    fn check(&mut self, id: usize, frame: Frame<'static>, line: &str) {
        let seen = describe(self.peers.get_mut(&id).unwrap(), frame);
        let user = NAMES[self.world.devices[&id].user];
        assert_eq!(seen, line, "step {}, device {id} of {user}", self.step);
    }

    #[track_caller]
    fn expect_nothing(&mut self) {
        self.peers.values_mut().for_each(Peer::expect_nothing);
    }
}

/// Operations.
impl Run {
    fn say(&mut self, id: usize, chat: u64, name: &str) {
        let nonce = if self.random.below(3) == 0 { 0 } else { self.random.number() };
        let text = match self.random.below(5) {
            0 => format!("{MEDIA}{}", self.random.below(FILES)),
            _ => format!("text {}", self.step),
        };
        let room = self.random.pick(&ROOMS);
        let to = match self.random.below(6) {
            0 => Target::Current,
            1 => Target::User(name.into()),
            2 => Target::Room(room.into()),
            _ => Target::Chat(chat),
        };
        self.nonces.push((self.world.devices[&id].user, nonce, text.clone()));
        self.say_to(id, &to, nonce, &text);
    }

    fn resend(&mut self, id: usize, chat: u64) {
        let user = self.world.devices[&id].user;
        let own: Vec<usize> = (0..self.nonces.len()).filter(|n| self.nonces[*n].0 == user).collect();
        if own.is_empty() {
            return;
        }
        let (_, nonce, mut text) = self.nonces[self.random.pick(&own)].clone();
        if self.random.below(8) == 0 {
            text.push('!');
        }
        let to = if self.random.below(2) == 0 { Target::Current } else { Target::Chat(chat) };
        self.say_to(id, &to, nonce, &text);
    }

    fn say_to(&mut self, id: usize, target: &Target, nonce: u64, text: &str) {
        let to = match target {
            Target::Current => To { nonce, ..To::default() },
            Target::Chat(0) => return,
            Target::Chat(chat) => To { nonce, chat: *chat, ..To::default() },
            Target::Room(room) => To { nonce, room, ..To::default() },
            Target::User(user) => To { nonce, user, ..To::default() },
        };
        self.send(id, to);
        if text.starts_with(MEDIA) {
            self.send(id, Media { media_kind: kind::FILE, media: digest(text), ..Media::default() });
        } else {
            self.send(id, Text { text });
        }
        let answer = self.next(id);
        let made = match &answer {
            Frame::Status(status) => self.seen_chat(status.chat),
            _ => 0,
        };
        self.world.say(id, target, nonce, text, made);
        self.settle_behind(id, answer);
    }

    fn upload(&mut self, id: usize) {
        let body = format!("{MEDIA}{}", self.random.below(FILES));
        let user = self.world.devices[&id].user;
        let size = body.len() as u64;
        let wish = Upload { req: REQ, media_kind: kind::FILE, size, digest: digest(&body), name: "" };
        self.send(id, wish);
        let Frame::UploadReady(ready) = self.next(id) else { panic!("step {}", self.step) };
        assert_eq!(ready.offset, if self.world.may_refer(user, &body) { size } else { 0 });
        if ready.offset == 0 {
            self.send(id, Chunk { transfer: REQ, offset: 0, bytes: body.as_bytes() });
        }
        while !matches!(self.next(id), Frame::Stored(_)) {}
        self.world.stored.insert((user, body));
    }

    fn seen_chat(&mut self, chat: u64) -> u64 {
        if !self.chats.contains(&chat) {
            self.chats.push(chat);
        }
        chat
    }

    fn join(&mut self, id: usize) {
        let room = self.random.pick(&ROOMS);
        let flags = u8::from(self.random.below(2) == 0);
        self.send(id, Join { req: REQ, room, flags });
        let answer = self.next(id);
        let Frame::Joined(joined) = &answer else { panic!("step {}: {answer:?}", self.step) };
        assert!(joined.created == 0 || !self.chats.contains(&joined.chat), "an id is given again");
        let made = self.seen_chat(joined.chat);
        self.world.join(id, room, flags == 1, made);
        self.settle_behind(id, answer);
    }

    fn leave(&mut self, id: usize, chat: u64) {
        let chat = if self.random.below(3) == 0 { 0 } else { chat };
        self.send(id, Leave { req: REQ, chat });
        self.world.leave(id, chat, kind::LEAVE, REQ.into());
        self.settle();
    }

    fn create(&mut self, id: usize) {
        let title = format!("group {}", self.step);
        self.send(id, Create { req: REQ, title: &title });
        let answer = self.next(id);
        let Frame::Created(created) = &answer else { panic!("step {}: {answer:?}", self.step) };
        assert!(!self.chats.contains(&created.chat), "an id is given again");
        let made = self.seen_chat(created.chat);
        self.world.create(id, &title, made);
        self.settle_behind(id, answer);
    }

    fn invite(&mut self, id: usize, chat: u64, user: &str) {
        self.send(id, Invite { req: REQ, chat, user });
        self.world.invite(id, chat, user, kind::INVITE, REQ.into());
        self.settle();
    }

    fn remove(&mut self, id: usize, chat: u64, user: &str) {
        self.send(id, Remove { req: REQ, chat, user });
        self.world.remove(id, chat, user, kind::REMOVE, REQ.into());
        self.settle();
    }

    fn read(&mut self, id: usize, chat: u64) {
        let seq = self.random.below(30) as u64;
        self.send(id, Read { req: REQ, chat, seq });
        self.world.read(id, chat, seq, kind::READ, REQ.into());
        self.settle();
    }

    fn delete(&mut self, id: usize, chat: u64) {
        let last = self.world.chats.get(&chat).map_or(0, world::Chat::last_seq);
        let seq = self.random.number() % (last + 2);
        self.send(id, Delete { req: REQ, chat, seq });
        self.world.delete(id, chat, seq, kind::DELETE, REQ.into());
        self.settle();
    }

    /// Whether the device may send one more event.
    fn may_tell(&mut self, id: usize) -> bool {
        let told = self.events.entry(id).or_default();
        *told += 1;
        *told <= EVENTS
    }

    fn typing(&mut self, id: usize, chat: u64) {
        if self.may_tell(id) {
            let on = u8::from(self.random.below(2) == 0);
            self.send(id, Typing { chat, on, ..Typing::default() });
            self.world.typing(id, chat, on);
            self.done(id);
        }
    }

    fn present(&mut self, id: usize) {
        if self.may_tell(id) {
            let presence = self.random.pick(&[0, 1, 2]);
            self.send(id, Presence { presence, ..Presence::default() });
            self.world.present(id, presence);
            self.done(id);
        }
    }

    /// What nothing answers has happened when what is behind it is answered.
    fn done(&mut self, id: usize) {
        self.peers.get_mut(&id).unwrap().expect_nothing();
        self.settle();
    }

    fn connect(&mut self) {
        let user = 1 + self.random.below(NAMES.len() - 1);
        if self.world.devices_of(user).len() < DEVICES {
            let is_live = self.random.below(3) > 0;
            let flags = u8::from(!is_live);
            let hello = Hello { auth: 2, secret: self.tokens[user], flags, ..Hello::default() };
            let peer = Peer::hello(&self.server, hello);
            self.settle_in(user, peer, is_live);
        }
    }

    fn disconnect(&mut self, id: usize) {
        let user = self.world.devices[&id].user;
        if user == WATCHER {
            return;
        }
        let peer = self.peers.remove(&id).unwrap();
        // Of a user's last connection the watcher sees the end; of others it is behind BYE.
        if self.world.devices_of(user).len() > 1 || self.random.below(2) == 0 {
            peer.bye();
        } else {
            drop(peer);
        }
        self.world.disconnect(id);
        self.settle();
    }

    fn sync(&mut self, id: usize, chat: u64) {
        let last = self.world.chats.get(&chat).map_or(0, world::Chat::last_seq);
        let after = self.random.number() % (last + 2);
        self.send(id, Sync { req: REQ, chat, after });
        self.world.sync(id, chat, after, kind::SYNC, REQ.into());
        self.settle();
        // It is live again: what is passing is dropped for who is behind.
        self.peers.get_mut(&id).unwrap().expect_nothing();
    }

    fn history(&mut self, id: usize, chat: u64) {
        let (before, limit) = (self.random.below(20) as u64, 1 + self.random.below(9));
        let limit = u16::try_from(limit).unwrap();
        self.send(id, History { req: REQ, chat, before, limit, ..History::default() });
        self.world.history(id, chat, before, limit.into(), kind::HISTORY, REQ.into());
        self.settle();
    }

    fn participants(&mut self, id: usize, chat: u64) {
        if chat != 0 {
            self.send(id, Participants { req: REQ, chat, ..Participants::default() });
            self.world.participants(id, chat, kind::PARTICIPANTS, REQ.into());
            self.settle();
        }
    }

    fn list(&mut self, id: usize) {
        self.send(id, Chats { req: REQ, ..Chats::default() });
        self.world.chats(id);
        self.settle();
    }
}

fn digest(body: &str) -> [u8; 32] {
    *blake3::hash(body.as_bytes()).as_bytes()
}

/// The file of this digest.
fn named(media: [u8; 32]) -> String {
    (0..FILES).map(|n| format!("{MEDIA}{n}")).find(|body| digest(body) == media).expect("a file")
}

/// A frame as the model has it; of a FROM with what stands behind it.
fn describe(peer: &mut Peer, frame: Frame<'static>) -> String {
    match frame {
        Frame::From_(f) => {
            let text = match peer.next() {
                Frame::Text(text) => text.text.to_owned(),
                Frame::Gone(_) => world::GONE.to_owned(),
                Frame::Media(media) => named(media.media),
                other => panic!("{other:?}"),
            };
            format!("FROM {}/{} {} n{}: {text}", f.chat, f.seq, f.user_name, f.nonce)
        }
        Frame::Status(f) => format!("STATUS n{} {}/{} {}", f.nonce, f.chat, f.seq, f.duplicate),
        Frame::Error(f) => format!("ERROR {} {:#04x} {}", f.code, f.about, f.ref_),
        Frame::Member(f) => format!("MEMBER {} {} {}", f.chat, f.change, f.user_name),
        Frame::Presence(f) => format!("PRESENCE {} {}", f.user_name, f.presence),
        Frame::Typing(f) => format!("TYPING {} {} {}", f.chat, f.on, f.user_name),
        Frame::Seen(f) => format!("SEEN {} {} {}", f.chat, f.user, f.seq),
        Frame::Joined(f) => {
            format!("JOINED {} {} {} {} {}", f.chat, f.last_seq, f.room, f.created, f.new_member)
        }
        Frame::Left(f) => format!("LEFT {} {}", f.chat, f.room),
        Frame::Created(f) => format!("CREATED {}", f.chat),
        Frame::Invited(f) => format!("INVITED {}", f.user),
        Frame::Removed(f) => format!("REMOVED {}", f.user),
        Frame::Deleted(f) => format!("DELETED {} {}", f.chat, f.seq),
        Frame::MessageGone(f) => format!("MESSAGE_GONE {} {}", f.chat, f.seq),
        Frame::ReadUpTo(f) => format!("READ_UP_TO {} {}", f.chat, f.seq),
        Frame::Synced(f) => format!("SYNCED {} {} {}", f.chat, f.first_seq, f.last_seq),
        Frame::HistoryPage(f) => {
            format!("PAGE {} {} {} {} {}", f.chat, f.first_seq, f.last_seq, f.more, f.count)
        }
        Frame::ParticipantList(f) => {
            let items = f.participants.iter().map(|p| format!(" {}/{}/{}", p.user_name, p.presence, p.role));
            format!("PARTICIPANTS{}", items.collect::<String>())
        }
        Frame::ChatList(f) => {
            let item = |c: &ChatItem<'_>| {
                format!(" {}/{}/{}/{}/{}", c.chat, c.chat_kind, c.title, c.last_seq, c.read_seq)
            };
            format!("CHATS{}", f.chats.iter().map(item).collect::<String>())
        }
        other => format!("{other:?}"),
    }
}
