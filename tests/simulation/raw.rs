//! A client without a library: it says what it likes, many things at once, and again, and from anywhere.

use crate::disk::Account;
use crate::media;
use crate::random::Random;
use crate::truth::Truth;
use crate::watch::Watch;
use chatwire_codec::Payload;
use chatwire_codec::frame::{
    self, Bye, Cancel, Chats, Create, Delete, Fetch, Hello, History, Invite, Join, Leave, Media,
    Participants, Ping, Pong, Presence, Read, Remove, Rooms, Search, Sync, Text, To, Typing, kind,
};
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) const ROOMS: [&str; 3] = ["harbour", "quay", "all"];
/// Bytes of a text that is none of the large ones.
const SHORT: usize = 10_000;
/// Bytes of a word that is searched for.
const WORD: usize = 200;
/// HELLO's flag.
const NO_LIVE: u8 = 1;
/// JOIN's flag: the user stays in the former room.
const STAY: u8 = 1;

/// Where a message goes.
#[derive(Clone, Copy)]
enum Target<'a> {
    Current,
    Room(&'a str),
    User(&'a str),
    Chat,
}

/// A message that was said.
#[derive(Clone)]
struct Saying {
    nonce: u64,
    chat: u64,
    /// Its frame.
    content: Vec<u8>,
}

/// The token of a guest, as soon as one of its clients has it.
pub(crate) type Guest = Rc<RefCell<String>>;

pub(crate) struct Raw {
    /// With which it comes; a guest has none.
    account: Option<(Account, usize)>,
    /// With which a guest comes back, and others who are the same guest.
    guest: Guest,
    /// No live messages but where it asks for them.
    pub(crate) is_quiet: bool,
    /// Media up to this size is to be pushed whole.
    pub(crate) inline_limit: u32,
    /// It sends so many different files.
    files: usize,
    number: u64,
    nonces: u64,
    reqs: u32,
    said: Vec<Saying>,
}

impl Raw {
    pub(crate) fn new(
        account: Option<(&Account, usize)>,
        guest: Guest,
        number: u64,
        files: usize,
        random: &mut Random,
    ) -> Raw {
        let account = account.map(|(account, device)| (account.clone(), device));
        let is_quiet = random.below(4) == 0;
        let inline_limit = random.pick(&[0, 0, 1000]);
        Raw { account, guest, is_quiet, inline_limit, files, number, nonces: 0, reqs: 0, said: Vec::new() }
    }

    /// HELLO, and a JOIN right behind it or none.
    pub(crate) fn hello(&mut self, random: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let flags = if self.is_quiet { NO_LIVE } else { 0 };
        let inline_limit = self.inline_limit;
        let hello = Hello { version: 1, timezone: "UTC", flags, inline_limit, ..Hello::default() };
        match &self.account {
            Some((account, device)) => {
                let device = device.to_string();
                let secret = &account.tokens[device.parse::<usize>().unwrap()];
                Hello { auth: 2, secret, device: &device, ..hello }.encode(&mut out).unwrap();
            }
            None if self.guest.borrow().is_empty() => hello.encode(&mut out).unwrap(),
            None => Hello { auth: 2, secret: &self.guest.borrow(), ..hello }.encode(&mut out).unwrap(),
        }
        if random.is_multiple_of(2) {
            let room = ROOMS[usize::from(random.is_multiple_of(4))];
            Join { req: self.req(), room, flags: STAY }.encode(&mut out).unwrap();
        }
        out
    }

    /// It was let in. A guest comes back as who it was.
    pub(crate) fn is_welcome(&self, token: &str) {
        if self.account.is_none() && !token.is_empty() {
            token.clone_into(&mut self.guest.borrow_mut());
        }
    }

    fn req(&mut self) -> u32 {
        self.reqs += 1;
        self.reqs
    }

    /// Something, or a few things at once.
    pub(crate) fn speak(&mut self, random: &mut Random, watch: &Watch, truth: &Truth, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        if random.below(2) == 0 {
            watch.transfers.chunks(random, &mut out);
        }
        for _ in 0..1 + random.below(4) {
            if self.files > 0 && random.below(6) == 0 {
                self.transfer(random, watch, &mut out);
            } else {
                self.say_one(random, watch, truth, max, &mut out);
            }
        }
        out
    }

    fn say_one(&mut self, random: &mut Random, watch: &Watch, truth: &Truth, max: usize, out: &mut Vec<u8>) {
        let chats = watch.chats();
        let chat = if chats.is_empty() { 0 } else { random.pick(&chats) };
        let head = usize::try_from(truth.head(chat)).unwrap();
        let mut some_seq = || random.below(head + 2) as u64;
        let (seq, other) = (some_seq(), some_seq());
        let names: Vec<&String> = truth.names.values().collect();
        let name = if names.is_empty() { "Ann" } else { names[random.below(names.len())] };
        let room = random.pick(&ROOMS);
        let flag = u8::from(random.below(2) == 0);
        let req = self.req();
        match random.below(40) {
            0..14 => self.text(random, chat, room, name, max, out),
            14..17 => self.again(random, out),
            17..20 => Join { req, room, flags: flag }.encode(out).unwrap(),
            20 => Leave { req, chat }.encode(out).unwrap(),
            21 => Create { req, title: "group" }.encode(out).unwrap(),
            22..24 => Invite { req, chat, user: name }.encode(out).unwrap(),
            24 => Remove { req, chat, user: name }.encode(out).unwrap(),
            25..28 => Sync { req, chat, after: seq }.encode(out).unwrap(),
            28..30 => {
                let (before, after) = (random.pick(&[0, seq]), random.pick(&[0, other]));
                let limit = random.pick(&[0, 1, 3]);
                History { req, chat, before, after, limit, flags: flag }.encode(out).unwrap();
            }
            30..33 => {
                let is_own = |seq: &u64| truth.said(chat, *seq).is_some_and(|said| said.user == watch.user());
                let own: Vec<u64> = (1..=truth.head(chat)).filter(is_own).collect();
                let seq = if own.is_empty() || flag == 0 { seq } else { random.pick(&own) };
                Delete { req, chat, seq }.encode(out).unwrap();
            }
            33 => Read { req, chat, seq }.encode(out).unwrap(),
            34 => Chats { req, after: 0, limit: 0 }.encode(out).unwrap(),
            35 => Rooms { req, after: "", limit: 0 }.encode(out).unwrap(),
            36 => Participants { req, chat, ..Participants::default() }.encode(out).unwrap(),
            37 => Typing { chat, on: flag, ..Typing::default() }.encode(out).unwrap(),
            38 if flag == 0 => self.search(random, chat, truth, out),
            38 => Presence { presence: flag + 1, ..Presence::default() }.encode(out).unwrap(),
            _ => Ping { bytes: b"?" }.encode(out).unwrap(),
        }
    }

    /// A file in one frame, or a reference to one, or an upload, or a fetch.
    fn transfer(&mut self, random: &mut Random, watch: &Watch, out: &mut Vec<u8>) {
        let (n, req) = (random.below(self.files), self.req());
        let file = media::file(n);
        let chats = watch.chats();
        let chat = if chats.is_empty() { 0 } else { random.pick(&chats) };
        match random.below(16) {
            0..5 => self.say(chat, Target::Chat, random, &frame::File { body: &file.bytes }, out),
            5..8 => {
                let (media_kind, size) = (kind::FILE, file.bytes.len() as u64);
                let media = Media { media_kind, media: file.digest, size, ..Media::default() };
                self.say(chat, Target::Chat, random, &media, out);
            }
            8..12 if watch.user() != 0 => media::upload(req, n).encode(out).unwrap(),
            12..15 => {
                let (offset, length) = (random.pick(&[0, 0, 30]), random.pick(&[0, 0, 500]));
                Fetch { req, media: file.digest, offset, length }.encode(out).unwrap();
            }
            _ => {
                let transfer = watch.transfers.any(random).unwrap_or(req);
                Cancel { req, transfer }.encode(out).unwrap();
            }
        }
    }

    /// A word that somebody has said, or nobody.
    fn search(&mut self, random: &mut Random, chat: u64, truth: &Truth, out: &mut Vec<u8>) {
        let said = truth.said(chat, 1 + random.below(usize::try_from(truth.head(chat)).unwrap() + 1) as u64);
        let word = said.and_then(|said| said.text.as_deref()).and_then(|text| text.split(' ').next());
        let word = word.filter(|word| word.len() <= WORD && word.chars().all(char::is_alphanumeric));
        let (query, limit) = (word.unwrap_or("nobody"), random.pick(&[0, 1, 3]));
        let chat = if random.below(2) == 0 { 0 } else { chat };
        Search { req: self.req(), chat, query, limit, ..Search::default() }.encode(out).unwrap();
    }

    fn text(
        &mut self,
        random: &mut Random,
        chat: u64,
        room: &str,
        name: &str,
        max: usize,
        out: &mut Vec<u8>,
    ) {
        let text = words(random, max);
        let text = Text { text: &text };
        match random.below(8) {
            0 => self.say(0, Target::Current, random, &text, out),
            1 => self.say(0, Target::Room(room), random, &text, out),
            2 => self.say(0, Target::User(name), random, &text, out),
            _ => self.say(chat, Target::Chat, random, &text, out),
        }
    }

    fn say<'a>(
        &mut self,
        chat: u64,
        target: Target<'_>,
        random: &mut Random,
        content: &impl Payload<'a>,
        out: &mut Vec<u8>,
    ) {
        self.nonces += 1;
        let nonce = if random.below(8) == 0 { 0 } else { self.number << 40 | self.nonces };
        match target {
            // Without anything to say of it there is no TO.
            Target::Current if nonce == 0 => {}
            Target::Current => To { nonce, ..To::default() }.encode(out).unwrap(),
            Target::Room(room) => To { nonce, room, ..To::default() }.encode(out).unwrap(),
            Target::User(user) => To { nonce, user, ..To::default() }.encode(out).unwrap(),
            Target::Chat => To { nonce, chat, ..To::default() }.encode(out).unwrap(),
        }
        let mut bytes = Vec::new();
        content.encode(&mut bytes).unwrap();
        out.extend_from_slice(&bytes);
        if nonce != 0 {
            self.said.push(Saying { nonce, chat, content: bytes });
        }
    }

    /// What it said before, as it was, or another thing by the same name.
    fn again(&mut self, random: &mut Random, out: &mut Vec<u8>) {
        if self.said.is_empty() {
            return;
        }
        let Saying { nonce, chat, content } = self.said[random.below(self.said.len())].clone();
        let chat = if random.below(3) == 0 { 0 } else { chat };
        To { nonce, chat, ..To::default() }.encode(out).unwrap();
        if random.below(6) == 0 {
            Text { text: "another" }.encode(out).unwrap();
        } else {
            out.extend_from_slice(&content);
        }
    }

    /// What a PING is answered with.
    pub(crate) fn pong(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Pong { bytes }.encode(&mut out).unwrap();
        out
    }

    pub(crate) fn bye() -> Vec<u8> {
        let mut out = Vec::new();
        Bye::default().encode(&mut out).unwrap();
        out
    }
}

/// A text, mostly a short one, of at most so many bytes.
pub(crate) fn words(random: &mut Random, max: usize) -> String {
    let is_large = max > SHORT;
    let size = match random.below(4) {
        0 => 1 + random.below(max),
        1 if is_large => max / 2 + random.below(max / 2),
        _ => 1 + random.below(max.min(40)),
    };
    let letter = char::from(b'a' + u8::try_from(random.below(26)).unwrap());
    letter.to_string().repeat(size)
}
