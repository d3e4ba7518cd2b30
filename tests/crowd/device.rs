//! One connection after the other of one client, and its book. It sends without waiting for more than [`WINDOW`]
//! answers, checks each answer by what the book has, and remembers it over every crash.

use super::book::{Goal, Said};
use super::transfers::{Chunks, Half};
use super::*;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// Messages and requests that wait for their answers.
const WINDOW: usize = 12;
/// How far back it looks for a message of its own to do something with.
const BACK: u64 = 400;

/// What is known of a thing that was asked for: what was last confirmed, and what was asked for since.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub confirmed: u64,
    pub asked: u64,
}

/// A request that is not answered yet.
enum Asked {
    Delete { nonce: u64, place: Place },
    Read { chat: u64 },
    Join,
    Leave,
    Upload,
    Fetch(Chunks),
    History,
    Search(Place),
}

/// A client over all its connections.
pub struct Device {
    pub n: u64,
    pub name: &'static str,
    /// With whom it has a direct chat.
    other: &'static str,
    pub user: u64,
    pub home: u64,
    pub token: &'static str,
    pub book: BTreeMap<u64, Said>,
    next_nonce: u64,
    /// How far it has read each room.
    pub reads: HashMap<u64, Known>,
    /// Whether it is in the lounge, if it knows.
    in_lounge: Option<bool>,
    lounge: u64,
    /// Its half upload.
    pub(super) half: Option<Half>,
    /// What it has STORED.
    pub(super) stored: Vec<u64>,
    life: Life,
}

/// What ends with a connection.
#[derive(Default)]
struct Life {
    /// Messages whose answers are to come, in this order, and whether each was never sent before.
    awaiting: VecDeque<(u64, bool)>,
    asked: HashMap<u32, Asked>,
    /// The last message of each chat's stream.
    stream: HashMap<u64, u64>,
    /// Its own, of which it got STATUS.
    own: HashSet<(u64, u64)>,
    /// Messages that are left of a page, and which is the only one that may be there.
    page: (u16, Option<Place>),
}

impl Device {
    pub fn new(n: u64, name: &'static str, me: &Welcome<'static>, other: &'static str) -> Device {
        Device {
            n,
            name,
            other,
            user: me.user,
            home: me.home,
            token: me.token,
            book: BTreeMap::new(),
            next_nonce: n << 40,
            reads: HashMap::new(),
            in_lounge: Some(false),
            lounge: 0,
            half: None,
            stored: Vec::new(),
            life: Life::default(),
        }
    }

    pub fn connect(&self, server: &Server, random: &mut Random) -> Peer {
        let inline_limit = random.pick(&[0, 20_000]);
        let hello = Hello { auth: 2, secret: self.token, inline_limit, ..Hello::default() };
        let peer = Peer::hello(server, hello).without_members();
        assert_eq!((peer.me().user, peer.me().home), (self.user, self.home));
        peer
    }

    /// A connection to compare by: nothing comes that was not asked for.
    pub fn connect_quietly(&self, server: &Server) -> Peer {
        let hello = Hello { auth: 2, secret: self.token, flags: 1, ..Hello::default() };
        Peer::hello(server, hello).without_members()
    }

    /// The device of a user that does what a user does, and not a device.
    pub fn is_first(&self) -> bool {
        self.n < USERS.len() as u64
    }

    /// The lounge is, or is not, among its chats; that must be as it was told.
    #[track_caller]
    pub fn is_in_lounge(&mut self, chat: Option<u64>) {
        let told = self.in_lounge.replace(chat.is_some());
        assert_eq!(told.unwrap_or(chat.is_some()), chat.is_some(), "whether {} is in the lounge", self.name);
        self.lounge = chat.unwrap_or(self.lounge);
    }

    /// Does everything until the connection ends.
    pub fn run(&mut self, world: &World, peer: &mut Peer, random: &mut Random) {
        self.life = Life::default();
        let mut goes_on = true;
        loop {
            while goes_on && self.life.awaiting.len() + self.life.asked.len() < WINDOW {
                goes_on = self.act(world, peer, random);
            }
            match peer.next_raw() {
                Some((kind, payload)) => self.take(world, peer, kind, &payload),
                None => return,
            }
        }
    }

    /// Does one thing; false if the server is gone.
    fn act(&mut self, world: &World, peer: &mut Peer, random: &mut Random) -> bool {
        (world.pause)();
        let bytes = match random.below(100) {
            0..60 => self.say(random, world, Body::Text(self.next_nonce)),
            60..74 => self.say(random, world, Body::file(self.next_nonce)),
            74..78 => self.repeat(random),
            78..84 => self.delete(random, world, peer.req()),
            84..88 => self.upload(random, peer.req()),
            88..90 => self.refer(random, world),
            90..92 => self.fetch(random, peer.req()),
            92..94 => self.read(random, world, peer.req()),
            94..96 => self.change_lounge(peer.req()),
            96..98 => self.history(random, world, peer.req()),
            98 => self.search(random, peer.req()),
            _ => Some(bytes_of(Ping { bytes: b"?" })),
        };
        bytes.is_none_or(|bytes| peer.try_send_bytes(&bytes))
    }

    fn goal(&self, random: &mut Random, world: &World) -> Goal {
        match random.below(10) {
            0 => Goal::User(self.other),
            1 => Goal::Chat(self.home),
            _ => Goal::Chat(random.pick(&world.rooms)),
        }
    }

    fn say(&mut self, random: &mut Random, world: &World, body: Body) -> Option<Vec<u8>> {
        let (nonce, said) = (self.next_nonce, Said::new(self.goal(random, world), body));
        self.next_nonce += 1;
        self.book.insert(nonce, said);
        self.life.awaiting.push_back((nonce, true));
        Some(said.unit(nonce))
    }

    /// One of its own messages.
    fn any_said(&self, random: &mut Random) -> Option<(u64, Said)> {
        let nonce = self.next_nonce.saturating_sub(random.number() % BACK).max(self.n << 40);
        self.book.range(nonce..).next().map(|(nonce, said)| (*nonce, *said))
    }

    /// One that is stored, and that nobody wants to be removed.
    fn any_stored(&self, random: &mut Random) -> Option<(u64, Said, Place)> {
        match self.any_said(random)? {
            (nonce, said @ Said { fate: Fate::Stored(place), removal: None, .. }) => {
                Some((nonce, said, place))
            }
            _ => None,
        }
    }

    /// Sends something again, whether or not it was answered.
    fn repeat(&mut self, random: &mut Random) -> Option<Vec<u8>> {
        let (nonce, said) = self.any_said(random)?;
        // What was refused may be stored now, and the answer to that be lost.
        if said.fate == Fate::Refused {
            self.book.get_mut(&nonce)?.fate = Fate::Unanswered;
        }
        self.life.awaiting.push_back((nonce, false));
        Some(said.unit(nonce))
    }

    fn refer(&mut self, random: &mut Random, world: &World) -> Option<Vec<u8>> {
        if self.stored.is_empty() {
            return None;
        }
        let body = Body::Reference(random.pick(&self.stored));
        self.say(random, world, body)
    }

    fn ask<'a>(&mut self, req: u32, asked: Asked, request: impl Into<Frame<'a>>) -> Option<Vec<u8>> {
        self.life.asked.insert(req, asked);
        Some(bytes_of(request))
    }

    fn delete(&mut self, random: &mut Random, world: &World, req: u32) -> Option<Vec<u8>> {
        let (nonce, _, place) = self.any_stored(random)?;
        self.book.get_mut(&nonce)?.removal = Some(false);
        world.witness.lock().unwrap().unwanted(place.chat, place.seq);
        let Place { chat, seq, .. } = place;
        self.ask(req, Asked::Delete { nonce, place }, Delete { req, chat, seq })
    }

    fn upload(&mut self, random: &mut Random, req: u32) -> Option<Vec<u8>> {
        if self.half.as_ref().is_some_and(|half| half.is_running) {
            return None;
        }
        let common = random.number() % 3 + if self.is_first() { 0 } else { 10 };
        let file = if random.below(2) == 0 { self.next_nonce } else { common };
        let half = self.half.get_or_insert_with(|| Half::new(file));
        let upload = half.begin(req);
        self.ask(req, Asked::Upload, upload)
    }

    fn fetch(&mut self, random: &mut Random, req: u32) -> Option<Vec<u8>> {
        let (_, said, _) = self.any_stored(random)?;
        if matches!(said.body, Body::Text(_)) {
            return None;
        }
        let fetch = Fetch { req, media: said.body.digest(), ..Fetch::default() };
        self.ask(req, Asked::Fetch(Chunks::of(said.body)), fetch)
    }

    fn read(&mut self, random: &mut Random, world: &World, req: u32) -> Option<Vec<u8>> {
        let chat = random.pick(&world.rooms);
        let seq = *self.life.stream.get(&chat)?;
        if !self.is_first() {
            return None;
        }
        let known = self.reads.entry(chat).or_default();
        known.asked = known.asked.max(seq);
        self.ask(req, Asked::Read { chat }, Read { req, chat, seq })
    }

    fn change_lounge(&mut self, req: u32) -> Option<Vec<u8>> {
        if !self.is_first() {
            return None;
        }
        match self.in_lounge.take()? {
            true => self.ask(req, Asked::Leave, Leave { req, chat: self.lounge }),
            false => self.ask(req, Asked::Join, Join { req, room: LOUNGE, flags: 1 }),
        }
    }

    fn history(&mut self, random: &mut Random, world: &World, req: u32) -> Option<Vec<u8>> {
        let chat = random.pick(&world.rooms);
        self.ask(req, Asked::History, History { req, chat, limit: 20, ..History::default() })
    }

    fn search(&mut self, random: &mut Random, req: u32) -> Option<Vec<u8>> {
        let (nonce, said, place) = self.any_stored(random)?;
        let Body::Text(_) = said.body else { return None };
        let query = &format!("word{nonce}");
        self.ask(req, Asked::Search(place), Search { req, query, ..Search::default() })
    }

    #[track_caller]
    fn asked(&mut self, req: u32) -> Asked {
        self.life
            .asked
            .remove(&req)
            .unwrap_or_else(|| panic!("request {req} is answered twice, or never was made"))
    }

    /// A frame that came.
    fn take(&mut self, world: &World, peer: &mut Peer, kind: u8, payload: &[u8]) {
        let frame = Frame::parse(kind, payload).unwrap_or_else(|e| panic!("a bad frame came: {e}"));
        match frame {
            Frame::Status(status) => self.confirmed(world, &status),
            Frame::Error(error) => self.refused(world, &error),
            Frame::From_(from) => self.message(world, peer, &from),
            Frame::MessageGone(gone) => {
                return world.witness.lock().unwrap().gone(gone.chat, gone.seq);
            }
            Frame::Deleted(deleted) => self.deleted(world, deleted.req),
            Frame::ReadUpTo(read) => match self.asked(read.req) {
                Asked::Read { chat } => self.reads.entry(chat).or_default().confirmed = read.seq,
                _ => panic!("{read:?}"),
            },
            Frame::Joined(joined) => {
                self.asked(joined.req);
                (self.lounge, self.in_lounge) = (joined.chat, Some(true));
            }
            Frame::Left(left) => {
                self.asked(left.req);
                self.in_lounge = Some(false);
            }
            Frame::UploadReady(ready) => {
                self.asked(ready.req);
                let half = self.half.as_mut().expect("an upload");
                half.go_on(peer, ready.offset);
            }
            Frame::Received(received) => return self.half.as_mut().expect("an upload").received(&received),
            Frame::Stored(stored) => {
                self.stored.push(self.half.take().expect("an upload").stored(&stored));
            }
            Frame::FetchReady(ready) => return self.fetched(ready.req, |chunks| chunks.begin(ready.size)),
            Frame::Chunk(chunk) => return self.fetched(chunk.transfer, |chunks| chunks.take(&chunk)),
            Frame::HistoryPage(page) => {
                self.asked(page.req);
                self.life.page = (page.count, None);
            }
            Frame::SearchPage(page) => {
                let Asked::Search(place) = self.asked(page.req) else { panic!("{page:?}") };
                assert_eq!(page.count, 1, "a search does not find the one message at {place:?}");
                self.life.page = (page.count, Some(place));
            }
            Frame::Pong(_) | Frame::Ping(_) | Frame::Seen(_) | Frame::Bye(_) => return,
            other => panic!("{other:?}"),
        }
        world.answered();
    }

    /// A part of a fetch, which may have been the last.
    #[track_caller]
    fn fetched(&mut self, req: u32, take: impl FnOnce(&mut Chunks) -> bool) {
        let Some(Asked::Fetch(chunks)) = self.life.asked.get_mut(&req) else { panic!("no fetch {req} runs") };
        if take(chunks) {
            self.life.asked.remove(&req);
        }
    }

    /// The next message that waits for its answer is this one.
    #[track_caller]
    fn next_answered(&mut self, nonce: u64) -> bool {
        let (first, is_new) = self.life.awaiting.pop_front().expect("a message that waits");
        assert_eq!(first, nonce, "the answers come in another order than the messages");
        is_new
    }

    fn confirmed(&mut self, world: &World, status: &Status) {
        let is_new = self.next_answered(status.nonce);
        let place = Place { chat: status.chat, seq: status.seq, at: status.at };
        self.is_stored(status.nonce, place, status.duplicate == 1, is_new);
        let body = self.book[&status.nonce].body;
        world.witness.lock().unwrap().confirmed(self.user, status.nonce, place, body);
        self.life.own.insert((place.chat, place.seq));
    }

    /// Notes where a message is; it must be where it was.
    #[track_caller]
    pub fn is_stored(&mut self, nonce: u64, place: Place, is_duplicate: bool, is_new: bool) {
        let said = self.book.get_mut(&nonce).expect("a message of its own");
        match said.fate {
            Fate::Stored(was) => assert_eq!((was, true), (place, is_duplicate), "nonce {nonce} is elsewhere"),
            Fate::Refused | Fate::Unanswered => assert!(!(is_new && is_duplicate), "nonce {nonce} was new"),
        }
        said.fate = Fate::Stored(place);
    }

    fn refused(&mut self, world: &World, error: &Error<'_>) {
        if self.half.as_mut().is_some_and(|half| half.begins_anew(error)) {
            self.life.asked.remove(&u32::try_from(error.ref_).expect("a request's number"));
            return;
        }
        let disk = [Code::StorageFull as u16, Code::Internal as u16];
        assert!(world.may_refuse && disk.contains(&error.code), "{} ({}): {error:?}", self.name, self.n);
        if error.about > kind::MEDIA {
            let req = u32::try_from(error.ref_).expect("a request's number");
            self.life.asked.remove(&req);
            if let Some(half) = &mut self.half {
                half.failed(req);
            }
            return;
        }
        let is_new = self.next_answered(error.ref_);
        let said = self.book.get_mut(&error.ref_).expect("a message of its own");
        // Of a copy of what was sent before it says nothing that would hold for the first; and a copy that is on its way may
        // be stored, and the answer to that be lost.
        let has_copy = self.life.awaiting.iter().any(|(nonce, _)| *nonce == error.ref_);
        if is_new && !has_copy {
            said.fate = Fate::Refused;
        }
    }

    fn deleted(&mut self, world: &World, req: u32) {
        let Asked::Delete { nonce, place } = self.asked(req) else { panic!("not a removal: {req}") };
        self.book.get_mut(&nonce).expect("a message of its own").removal = Some(true);
        world.witness.lock().unwrap().gone(place.chat, place.seq);
    }

    /// FROM came; what it is about is behind it, unless the server is gone.
    fn message(&mut self, world: &World, peer: &mut Peer, from: &From_<'_>) {
        let Some((kind, payload)) = peer.next_raw() else { return };
        let content = Frame::parse(kind, &payload).unwrap_or_else(|e| panic!("a bad frame came: {e}"));
        world.witness.lock().unwrap().saw(from, &content);
        if self.life.page.0 > 0 {
            self.life.page.0 -= 1;
            if let Some(place) = self.life.page.1 {
                assert_eq!((from.chat, from.seq), (place.chat, place.seq), "a search finds something else");
            }
            return;
        }
        // Live: in order, each once; what is missing in between are its own, which were confirmed.
        let last = self.life.stream.insert(from.chat, from.seq).unwrap_or(from.seq - 1);
        assert!(from.seq > last, "{}/{} came behind {last}", from.chat, from.seq);
        for missing in last + 1..from.seq {
            assert!(self.life.own.contains(&(from.chat, missing)), "{}/{missing} did not come", from.chat);
        }
    }
}
