//! Staying in step (sections 3.4, 3.5 and 6.5 of docs/PROTOCOL.md): many send at once, and their connections
//! break at any point. Each device does what the page says a client does, and ends with everything, once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use random::Random;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::thread;
use support::*;

const ALL: u64 = 1;
const SENDERS: usize = 20;
/// Messages of each of them.
const EACH: usize = 150;
/// Messages that one sends before it looks at what has come.
const BURST: usize = 12;
/// One in so many frames is the last that a connection reads.
const BREAKS: usize = 60;

/// HELLO's flag: no live messages but from chats that SYNC asked for.
const NO_LIVE: u8 = 1;

/// What a client keeps over its connections.
struct Device<'a> {
    server: &'a Server,
    token: &'static str,
    user: u64,
    random: Random,
    peer: Peer,
    /// What it has of each chat, in order: its length is the position.
    has: BTreeMap<u64, Vec<String>>,
    /// The chats that this connection's SYNC was answered for.
    synced: HashSet<u64>,
    /// What was not answered, by nonce: chat and text.
    unanswered: BTreeMap<u64, (u64, String)>,
    breaks: usize,
}

#[test]
fn every_device_ends_with_the_same_messages_however_often_its_connection_breaks() {
    let server = Server::with(&[("store.durability", "normal")]);
    let mut seeds = Random::new();
    // They stay, so that no membership ends.
    let mut anchors: Vec<Peer> = (0..SENDERS)
        .map(|_| Peer::hello(&server, Hello { flags: NO_LIVE, ..Hello::default() }).without_members())
        .collect();
    let group = anchors[0].create("the crew");
    for n in 1..SENDERS {
        let name = anchors[n].me().user_name;
        anchors[0].invite(group, name);
    }
    let room = anchors.iter_mut().map(|peer| peer.join("harbour").chat).last().unwrap();
    let chats = [ALL, room, group];
    let devices: Vec<Device<'_>> = (anchors.iter())
        .map(|anchor| Device::new(&server, anchor, chats, Random::from(seeds.number())))
        .collect();
    let devices = at_once(devices.into_iter().enumerate(), |(n, mut device)| {
        device.send_all(n, chats);
        device
    });
    // All have sent.
    let devices = at_once(devices.into_iter(), |mut device| {
        device.catch_up(chats);
        (device.has, device.breaks)
    });
    let (first, _) = &devices[0];
    for (has, _) in &devices {
        assert_eq!(has, first);
    }
    let texts: Vec<&String> = first.values().flatten().collect();
    let different: BTreeSet<&String> = texts.iter().copied().collect();
    assert_eq!((texts.len(), different.len()), (SENDERS * EACH, SENDERS * EACH));
    assert!(devices.iter().map(|(_, breaks)| breaks).sum::<usize>() > SENDERS, "connections did break");
}

/// Does it with each, on a thread of its own.
fn at_once<T: Send, U: Send>(of: impl Iterator<Item = T>, act: impl Fn(T) -> U + Copy + Send) -> Vec<U> {
    thread::scope(|scope| {
        let threads: Vec<_> = of.map(|item| scope.spawn(move || act(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

impl<'a> Device<'a> {
    fn new(server: &'a Server, anchor: &Peer, chats: [u64; 3], random: Random) -> Device<'a> {
        let mut device = Device {
            server,
            token: anchor.me().token,
            user: anchor.me().user,
            random,
            peer: Peer::connect(server),
            has: chats.into_iter().map(|chat| (chat, Vec::new())).collect(),
            synced: HashSet::new(),
            unanswered: BTreeMap::new(),
            breaks: 0,
        };
        device.come_back();
        device
    }

    /// HELLO, a SYNC for each chat, and what was not answered once more: in one go.
    fn come_back(&mut self) {
        self.peer = Peer::connect(self.server).without_members();
        self.synced.clear();
        let flags = u8::from(self.random.below(2) == 0);
        let hello = Hello { auth: 2, secret: self.token, flags, ..Hello::default() };
        let mut bytes = bytes_of(Peer::filled(hello));
        for (req, (chat, has)) in (1..).zip(&self.has) {
            bytes.extend(bytes_of(Sync { req, chat: *chat, after: has.len() as u64 }));
        }
        for (nonce, (chat, text)) in &self.unanswered {
            bytes.extend(message(*nonce, *chat, text));
        }
        self.peer.send_bytes(&bytes);
        self.peer.expect_welcome();
    }

    /// The connection breaks, perhaps inside a frame.
    fn break_off(&mut self) {
        self.breaks += 1;
        let half = message(self.random.number(), ALL, "never whole");
        let n = self.random.below(half.len());
        self.peer.try_send_bytes(&half[..n]);
        self.come_back();
    }

    fn send_all(&mut self, sender: usize, chats: [u64; 3]) {
        let mut sent = 0;
        while sent < EACH || !self.unanswered.is_empty() {
            let burst = (1 + self.random.below(BURST)).min(EACH - sent);
            let mut bytes = Vec::new();
            for _ in 0..burst {
                let (nonce, chat) = (self.random.number() | 1, self.random.pick(&chats));
                let text = format!("message {sent} of {sender}");
                bytes.extend(message(nonce, chat, &text));
                self.unanswered.insert(nonce, (chat, text));
                sent += 1;
            }
            if !self.peer.try_send_bytes(&bytes) || self.random.below(8) == 0 {
                self.break_off();
            }
            while !self.unanswered.is_empty() {
                if self.random.below(BREAKS) == 0 {
                    self.break_off();
                }
                self.take();
            }
        }
    }

    /// All have sent: what is missing comes.
    fn catch_up(&mut self, chats: [u64; 3]) {
        self.break_off();
        while self.synced.len() < chats.len() {
            self.take();
        }
        for chat in chats {
            self.peer.send(History { req: 9, chat, limit: 1, ..History::default() });
            let last = loop {
                match self.peer.next() {
                    Frame::HistoryPage(page) => break page.last_seq,
                    frame => self.see(frame),
                }
            };
            self.peer.next_message();
            while (self.has[&chat].len() as u64) < last {
                self.take();
            }
        }
        self.peer.expect_nothing();
    }

    fn take(&mut self) {
        let frame = self.peer.next();
        self.see(frame);
    }

    /// The table of section 3.5.
    fn see(&mut self, frame: Frame<'static>) {
        match frame {
            Frame::From_(from) => {
                let text = self.peer.expect::<Text<'_>>().text;
                let has = self.has.get_mut(&from.chat).unwrap();
                let next = has.len() as u64 + 1;
                if !self.synced.contains(&from.chat) {
                    // Live before the answer to SYNC, which brings it again.
                    return;
                }
                if from.seq == next {
                    has.push(text.into());
                } else {
                    let is_known = from.seq < next && from.user == self.user;
                    assert!(is_known, "{} of chat {} where {next} was to come", from.seq, from.chat);
                    assert_eq!(has[usize::try_from(from.seq).unwrap() - 1], text);
                }
            }
            Frame::Status(status) => {
                let (chat, text) = self.unanswered.remove(&status.nonce).expect("a message of this device");
                assert_eq!(chat, status.chat);
                let has = self.has.get_mut(&chat).unwrap();
                if self.synced.contains(&chat) && status.seq == has.len() as u64 + 1 {
                    has.push(text);
                }
            }
            Frame::Synced(synced) => {
                assert!(self.synced.insert(synced.chat));
                assert_eq!(synced.first_seq, 1);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn message(nonce: u64, chat: u64, text: &str) -> Vec<u8> {
    [bytes_of(To { nonce, chat, ..To::default() }), bytes_of(Text { text })].concat()
}
