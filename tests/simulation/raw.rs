//! A client without a library: it says what it likes, many things at once, and again, and from anywhere.

use crate::disk::Account;
use crate::random::Random;
use crate::truth::Truth;
use crate::watch::Watch;
use chatwire_codec::Payload;
use chatwire_codec::frame::{
    Bye, Chats, Create, Delete, Hello, History, Invite, Join, Leave, Participants, Ping, Pong, Presence,
    Read, Remove, Rooms, Sync, Text, To, Typing,
};

pub(crate) const ROOMS: [&str; 3] = ["harbour", "quay", "all"];
/// Bytes of a text that is none of the large ones.
const SHORT: usize = 10_000;
/// HELLO's flag.
const NO_LIVE: u8 = 1;

/// A message that was said.
#[derive(Clone)]
struct Saying {
    nonce: u64,
    chat: u64,
    text: String,
}

pub(crate) struct Raw {
    /// With which it comes back; a guest has none before its first WELCOME, and comes as another each time.
    account: Option<(Account, usize)>,
    /// No live messages but where it asks for them.
    pub(crate) is_quiet: bool,
    number: u64,
    nonces: u64,
    reqs: u32,
    said: Vec<Saying>,
}

impl Raw {
    pub(crate) fn new(account: Option<(&Account, usize)>, number: u64, is_quiet: bool) -> Raw {
        let account = account.map(|(account, device)| (account.clone(), device));
        Raw { account, is_quiet, number, nonces: 0, reqs: 0, said: Vec::new() }
    }

    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let flags = if self.is_quiet { NO_LIVE } else { 0 };
        let hello = Hello { version: 1, timezone: "UTC", flags, ..Hello::default() };
        match &self.account {
            Some((account, device)) => {
                let device = device.to_string();
                let secret = &account.tokens[device.parse::<usize>().unwrap()];
                Hello { auth: 2, secret, device: &device, ..hello }.encode(&mut out).unwrap();
            }
            None => hello.encode(&mut out).unwrap(),
        }
        out
    }

    fn req(&mut self) -> u32 {
        self.reqs += 1;
        self.reqs
    }

    /// Something, or a few things at once.
    pub(crate) fn speak(&mut self, random: &mut Random, watch: &Watch, truth: &Truth, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..1 + random.below(4) {
            self.say_one(random, watch, truth, max, &mut out);
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
            38 => Presence { presence: flag + 1, ..Presence::default() }.encode(out).unwrap(),
            _ => Ping { bytes: b"?" }.encode(out).unwrap(),
        }
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
        self.nonces += 1;
        let nonce = if random.below(8) == 0 { 0 } else { self.number << 40 | self.nonces };
        let text = words(random, max);
        match random.below(8) {
            0 if nonce == 0 => {}
            0 => To { nonce, ..To::default() }.encode(out).unwrap(),
            1 => To { nonce, room, ..To::default() }.encode(out).unwrap(),
            2 => To { nonce, user: name, ..To::default() }.encode(out).unwrap(),
            _ => To { nonce, chat, ..To::default() }.encode(out).unwrap(),
        }
        Text { text: &text }.encode(out).unwrap();
        if nonce != 0 {
            self.said.push(Saying { nonce, chat, text });
        }
    }

    /// What it said before, as it was, or another thing by the same name.
    fn again(&mut self, random: &mut Random, out: &mut Vec<u8>) {
        if self.said.is_empty() {
            return;
        }
        let Saying { nonce, chat, mut text } = self.said[random.below(self.said.len())].clone();
        if random.below(6) == 0 {
            text.push('!');
        }
        let chat = if random.below(3) == 0 { 0 } else { chat };
        To { nonce, chat, ..To::default() }.encode(out).unwrap();
        Text { text: &text }.encode(out).unwrap();
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
