//! SIGKILL in the middle of everything: what was confirmed is there, once, and nothing is there twice
//! (sections 3.3 and 3.4 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use support::*;

const CLIENTS: usize = 4;
const ROOMS: [&str; 2] = ["harbour", "quay"];
const EACH: u64 = 1200;
/// Of so many messages one is a file.
const FILE_EVERY: u64 = 40;
const OLDEST: u8 = 1;

/// Where a message went, and when.
type Place = (u64, u64, i64);

/// A client over the rounds: who it is, and what it was told of each of its messages.
struct Client {
    token: &'static str,
    rooms: [u64; 2],
    /// By nonce; `None`: not answered yet.
    sent: BTreeMap<u64, Option<Place>>,
}

fn text_of(nonce: u64) -> String {
    format!("message {nonce} of a burst")
}

fn file_of(nonce: u64) -> Vec<u8> {
    random::Random::from(nonce).bytes(2000 + usize::try_from(nonce % 7).unwrap() * 10_000)
}

impl Client {
    fn new(server: &Server) -> Client {
        let mut peer = Peer::hello(server, Hello { flags: 1, ..Hello::default() });
        let rooms = ROOMS.map(|room| peer.join_too(room).chat);
        // So that the rooms stay when nobody is in them.
        for chat in rooms {
            peer.say(To { chat, ..To::default() }, "I was here");
        }
        Client { token: peer.me().token, rooms, sent: BTreeMap::new() }
    }

    fn back(&self, server: &Server) -> Peer {
        let hello = Hello { auth: 2, secret: self.token, flags: 1, ..Hello::default() };
        let mut peer = Peer::hello(server, hello);
        for (room, chat) in ROOMS.iter().zip(self.rooms) {
            assert_eq!(peer.join_too(room).chat, chat, "a room has another id");
        }
        peer
    }

    fn message(&self, nonce: u64) -> Vec<u8> {
        let chat = self.rooms[usize::try_from(nonce % 2).unwrap()];
        let content = if nonce.is_multiple_of(FILE_EVERY) {
            raw(kind::FILE, &file_of(nonce))
        } else {
            bytes_of(Text { text: &text_of(nonce) })
        };
        [bytes_of(To { nonce, chat, ..To::default() }), content].concat()
    }

    /// Sends without waiting, and notes the answers until the server is gone.
    fn burst(&mut self, peer: &mut Peer, nonces: std::ops::Range<u64>, answered: &AtomicU64) {
        let bytes: Vec<Vec<u8>> = nonces.clone().map(|nonce| self.message(nonce)).collect();
        self.sent.extend(nonces.map(|nonce| (nonce, None)));
        let mut socket = peer.sender();
        let sending = thread::spawn(move || {
            let _ = bytes.iter().try_for_each(|bytes| std::io::Write::write_all(&mut socket, bytes));
        });
        while let Some((kind, payload)) = peer.next_raw() {
            assert_eq!(kind, kind::STATUS);
            let status = Status::parse(&payload).unwrap();
            assert_eq!(status.duplicate, 0);
            self.sent.insert(status.nonce, Some((status.chat, status.seq, status.at)));
            answered.fetch_add(1, Ordering::Relaxed);
        }
        sending.join().unwrap();
    }

    /// Sends everything again: what was confirmed is confirmed as it was, and the rest at last.
    fn resend(&mut self, peer: &mut Peer) {
        for (nonce, place) in self.sent.clone() {
            peer.send_bytes(&self.message(nonce));
            let status = peer.expect_status(nonce);
            let now = (status.chat, status.seq, status.at);
            if let Some(told) = place {
                assert_eq!((now, status.duplicate), (told, 1), "nonce {nonce}");
            }
            self.sent.insert(nonce, Some(now));
        }
    }
}

/// All of a room: the sender and nonce of each message are in its text or file.
fn all_of(peer: &mut Peer, chat: u64) -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    loop {
        let after = all.len() as u64;
        let (head, page) = peer.history(History { chat, after, flags: OLDEST, ..History::default() });
        all.extend(page);
        if head.more == 0 {
            assert_eq!(head.last_seq, all.len() as u64);
            return all;
        }
    }
}

/// Every confirmed message is where its STATUS said, exactly once; without a gap; as it was sent.
fn check(server: &Server, clients: &[Client]) {
    for (n, chat) in clients[0].rooms.into_iter().enumerate() {
        let mut seen: HashMap<(u64, String), u64> = HashMap::new();
        let mut reader = clients[0].back(server);
        let all = all_of(&mut reader, chat);
        let mut at = 0;
        for (message, seq) in all.iter().zip(1..) {
            assert_eq!(message.from.seq, seq, "a gap");
            assert!(message.from.at >= at, "the time ran backwards");
            at = message.from.at;
            let body = match &message.content {
                Frame::Text(text) => text.text.to_string(),
                Frame::Media(media) => format!("{:?}", media.media),
                other => panic!("{other:?}"),
            };
            assert!(seen.insert((message.from.user, body), seq).is_none(), "twice: {message:?}");
        }
        for client in clients {
            let mut peer = client.back(server);
            let user = peer.me().user;
            for (nonce, place) in client.sent.iter().filter(|(nonce, _)| *nonce % 2 == n as u64) {
                let Some((of, seq, at)) = *place else { continue };
                let message = &all[usize::try_from(seq).unwrap() - 1];
                assert_eq!((of, message.from.at, message.from.user), (chat, at, user));
                match &message.content {
                    Frame::Text(text) => assert_eq!(text.text, text_of(*nonce)),
                    Frame::Media(media) => assert!(peer.fetch(media.media).1 == file_of(*nonce)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// Every row of media has its file, whole, under the name of its digest.
fn check_files(server: &Server) {
    let db = rusqlite::Connection::open(server.data().join("chatwire.db")).unwrap();
    let mut rows = db.prepare("SELECT id, size, path FROM media").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    for row in rows {
        let (id, size, path): (Vec<u8>, u32, String) = row.unwrap();
        let bytes = std::fs::read(server.data().join(path)).unwrap();
        assert_eq!(bytes.len(), size as usize);
        assert_eq!(blake3::hash(&bytes).as_bytes()[..], id[..]);
    }
    let whole: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    assert_eq!(files(&server.data().join("tmp")).len(), 0, "a temporary file outlived the crash");
    for file in files(&server.data().join("media")) {
        let name = file.strip_prefix(server.data().join("media")).unwrap().to_string_lossy().replace('/', "");
        assert_eq!(blake3::hash(&std::fs::read(&file).unwrap()).to_hex().to_string(), name);
    }
}

#[test]
fn what_was_confirmed_survives_sigkill_and_resends_store_nothing_twice() {
    let mut random = random::Random::new();
    let mut server = Server::start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(&server)).collect();
    let epoch = Peer::guest(&server).me().epoch;
    for round in 0..4 {
        let answered = AtomicU64::new(0);
        let nonces = 1 + round * EACH..1 + (round + 1) * EACH;
        let enough = 50 + random.number() % (EACH * CLIENTS as u64 / 2);
        thread::scope(|scope| {
            for client in &mut clients {
                let mut peer = client.back(&server);
                let (nonces, answered) = (nonces.clone(), &answered);
                scope.spawn(move || client.burst(&mut peer, nonces, answered));
            }
            until("enough is answered", || answered.load(Ordering::Relaxed) >= enough);
            server.kill();
        });
        server.start_again();
        assert_eq!(Peer::guest(&server).me().epoch, epoch);
        check(&server, &clients);
        check_files(&server);
        thread::scope(|scope| {
            for client in &mut clients {
                let mut peer = client.back(&server);
                scope.spawn(move || client.resend(&mut peer));
            }
        });
        check(&server, &clients);
    }
}

#[test]
fn what_a_reader_has_seen_is_there_behind_the_crash() {
    let mut server = Server::start();
    for _ in 0..3 {
        let mut writer = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
        let mut reader = Peer::guest(&server);
        let mut back = Vec::new();
        let text =
            |n: u64| [bytes_of(To { chat: 1, ..To::default() }), bytes_of(Text { text: &n.to_string() })];
        writer.send_bytes(&(0..3000).flat_map(text).collect::<Vec<_>>().concat());
        while back.len() < 500 {
            back.push(reader.next_message());
        }
        server.kill();
        // What was on its way to the reader counts too.
        while let Some(Frame::From_(from)) = reader.poll() {
            let Some(content) = reader.next_raw() else { break };
            back.push(Message { from, content: Frame::parse(content.0, content.1.leak()).unwrap() });
        }
        server.start_again();
        let mut peer = reader.again_with(&server, Hello { flags: 1, ..Hello::default() });
        let synced = peer.sync(1, back[0].from.seq - 1);
        assert!(synced.last_seq >= back[back.len() - 1].from.seq);
        for message in back {
            assert_eq!(peer.next_message(), message);
        }
    }
}

#[test]
fn nothing_that_was_seen_is_given_again() {
    let mut server = Server::start();
    let (mut users, mut chats) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut peers: Vec<Peer> = (0..5).map(|_| Peer::guest(&server)).collect();
        users.extend(peers.iter().map(|peer| peer.me().user));
        chats.extend(peers.iter().map(|peer| peer.me().home));
        // An empty room, which is deleted.
        chats.push(peers[0].join("harbour").chat);
        peers[0].leave(0);
        server.restart();
    }
    for ids in [users, chats] {
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1] || pair[0] != pair[1]), "{ids:?}");
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{ids:?}");
    }
}
