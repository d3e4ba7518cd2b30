//! SYNC, live, and readers that are slow: every message once and in order (sections 3.5 and 6.5 of
//! docs/PROTOCOL.md). Most of it happens in the room `all`, which everybody is in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write;
use std::thread;
use support::*;

const ALL: u64 = 1;
const MEBIBYTE: usize = 1 << 20;

/// HELLO's flag: no live messages but from chats that SYNC asked for.
const NO_LIVE: u8 = 1;

fn quiet(server: &Server) -> Peer {
    Peer::hello(server, Hello { flags: NO_LIVE, ..Hello::default() })
}

fn to_all(text: &str) -> Vec<u8> {
    [bytes_of(To { chat: ALL, ..To::default() }), bytes_of(Text { text })].concat()
}

/// Writes so many texts to `all` in one go, reading the answers meanwhile.
fn write(writer: &mut Peer, count: u64, text: &str) {
    let sending = send_in_background(writer, to_all(text).repeat(usize::try_from(count).unwrap()));
    for _ in 0..count {
        writer.expect_status(0);
    }
    sending.join().unwrap();
}

fn send_in_background(peer: &Peer, bytes: Vec<u8>) -> thread::JoinHandle<()> {
    let mut socket = peer.sender();
    thread::spawn(move || socket.write_all(&bytes).unwrap())
}

/// The next messages are those of `all` from `from` to `to`.
#[track_caller]
fn expect_seqs(peer: &mut Peer, from: u64, to: u64) {
    for seq in from..=to {
        let (_, payload) = peer.next_raw().expect("a FROM");
        let message = From_::parse(&payload).unwrap();
        assert_eq!((message.chat, message.seq), (ALL, seq));
        assert_eq!(peer.next_raw().expect("a TEXT").0, kind::TEXT);
    }
}

/// What a client has of `all`, by the table of section 3.5.
struct Position {
    at: u64,
    own: u64,
}

impl Position {
    /// Takes one frame, and the content behind a FROM. A gap fails.
    #[track_caller]
    fn take(&mut self, peer: &mut Peer) {
        match peer.next() {
            Frame::From_(from) => {
                peer.next();
                assert!(from.seq <= self.at + 1, "a gap: {} behind {}", from.seq, self.at);
                self.at = self.at.max(from.seq);
            }
            Frame::Status(status) => {
                self.own += 1;
                // Beyond the next, it will come again in the stream.
                if status.seq == self.at + 1 {
                    self.at = status.seq;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn sync_gives_all_behind_a_position_and_runs_into_live() {
    let server = Server::start();
    let mut writer = quiet(&server);
    write(&mut writer, 500, "stored");
    let mut last = 500;
    for after in [0, 1, 250, 499, 500] {
        let mut peer = quiet(&server);
        let synced = peer.sync(ALL, after);
        assert_eq!((synced.first_seq, synced.last_seq), (1, last));
        expect_seqs(&mut peer, after + 1, last);
        writer.say(To { chat: ALL, ..To::default() }, "live");
        last += 1;
        expect_seqs(&mut peer, last, last);
        peer.expect_nothing();
    }
}

#[test]
fn from_every_position_while_others_write_there_is_no_gap_and_no_repeat() {
    const WRITERS: u64 = 3;
    const EACH: u64 = 1500;
    const LAST: u64 = WRITERS * EACH + 1;
    let server = Server::start();
    write(&mut quiet(&server), 1, "first");
    let mut random = random::Random::new();
    let mut live = Peer::guest(&server);
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            let mut peer = quiet(&server);
            scope.spawn(move || {
                for round in 1..=EACH / 50 {
                    write(&mut peer, 50, &format!("round {round}"));
                }
            });
        }
        scope.spawn(|| {
            let first = live.next_message().from.seq;
            expect_seqs(&mut live, first + 1, LAST);
        });
        let mut known = 1;
        for _ in 0..30 {
            let after = random.number() % (known + 1);
            let mut peer = quiet(&server);
            let synced = peer.sync(ALL, after);
            known = synced.last_seq;
            scope.spawn(move || {
                expect_seqs(&mut peer, after + 1, LAST);
                peer.expect_nothing();
            });
        }
    });
}

#[test]
fn without_sync_a_quiet_connection_gets_nothing_but_its_answers() {
    let server = Server::start();
    let (mut peer, mut writer) = (quiet(&server), quiet(&server));
    let room = peer.join("harbour").chat;
    writer.join("harbour");
    write(&mut writer, 10, "to all");
    writer.say(To { room: "harbour", ..To::default() }, "to the room");
    peer.say(To::default(), "mine");
    peer.expect_nothing();
    // Of one chat, and still not of the other.
    peer.sync(ALL, 10);
    writer.say(To { room: "harbour", ..To::default() }, "to the room");
    write(&mut writer, 1, "to all");
    expect_seqs(&mut peer, 11, 11);
    peer.sync(room, 1);
    let own = peer.next_message();
    assert_eq!((own.from.chat, own.from.seq, own.from.user), (room, 2, peer.me().user));
    assert_eq!(peer.next_message().from.seq, 3);
    peer.expect_nothing();
}

#[test]
fn a_second_sync_begins_anew() {
    let server = Server::start();
    write(&mut quiet(&server), 1000, "some text, so that a page is not all");
    let mut peer = quiet(&server);
    peer.sync(ALL, 0);
    expect_seqs(&mut peer, 1, 10);
    let bytes: Vec<u8> =
        [990, 500].iter().flat_map(|after| bytes_of(Sync { req: 7, chat: ALL, after: *after })).collect();
    peer.send_bytes(&bytes);
    let mut seq = 10;
    let mut synced = 0;
    while seq != 1000 || synced != 2 {
        match peer.next() {
            Frame::Synced(_) => {
                seq = [990, 500][synced];
                synced += 1;
            }
            Frame::From_(from) => {
                peer.expect::<Text<'_>>();
                assert_eq!(from.seq, seq + 1);
                seq += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    peer.expect_nothing();
}

#[test]
fn a_position_that_was_never_given_is_not_found() {
    let server = Server::start();
    let mut peer = quiet(&server);
    write(&mut peer, 3, "text");
    for after in [4, 5, 1 << 32, 1 << 53, u64::MAX] {
        peer.send(Sync { req: 1, chat: ALL, after });
        peer.expect_error(Code::NotFound, 1, kind::SYNC);
    }
    let home = peer.me().home;
    let synced = peer.sync(home, 0);
    assert_eq!((synced.first_seq, synced.last_seq), (1, 0));
}

#[test]
fn leaving_ends_a_sync() {
    let server = Server::start();
    let (mut peer, mut writer) = (quiet(&server), quiet(&server));
    let room = writer.join("harbour").chat;
    peer.join("harbour");
    let text = "a".repeat(1000);
    let burst = bytes_of(Text { text: &text }).repeat(2000);
    let sending = send_in_background(&writer, burst);
    for _ in 0..2000 {
        writer.expect_status(0);
    }
    sending.join().unwrap();
    peer.send_bytes(
        &[bytes_of(Sync { req: 1, chat: room, after: 0 }), bytes_of(Leave { req: 2, chat: room })].concat(),
    );
    peer.expect::<Synced>();
    loop {
        match peer.next() {
            Frame::From_(_) | Frame::Text(_) => {}
            Frame::Left(left) => break assert_eq!(left.chat, room),
            other => panic!("{other:?}"),
        }
    }
    peer.expect_nothing();
}

#[test]
fn a_client_comes_back_with_one_burst() {
    let server = Server::start();
    let (mut first, mut bo) = (Peer::guest(&server), quiet(&server));
    let room = bo.join("harbour").chat;
    first.join("harbour");
    for _ in 0..3 {
        bo.say(To { chat: room, ..To::default() }, "to the room");
        bo.say(To { chat: ALL, ..To::default() }, "to all");
        first.next_message();
        first.next_message();
    }
    let mut peer = Peer::connect(&server);
    let hello = Hello { auth: 2, secret: first.me().token, flags: NO_LIVE, ..Hello::default() };
    let mut bytes = bytes_of(Peer::filled(hello));
    bytes.extend(bytes_of(Sync { req: 1, chat: room, after: 1 }));
    bytes.extend(bytes_of(Sync { req: 2, chat: ALL, after: 2 }));
    bytes.extend(to_all("one's own"));
    peer.send_bytes(&bytes);
    peer.expect_welcome();
    let (mut of_room, mut of_all, mut status) = (Vec::new(), Vec::new(), 0);
    while of_room != [2, 3] || !of_all.starts_with(&[3]) || status == 0 {
        match peer.next() {
            Frame::Synced(synced) => assert_eq!(synced.req, if synced.chat == ALL { 2 } else { 1 }),
            Frame::From_(from) if from.chat == ALL => of_all.push(from.seq),
            Frame::From_(from) => of_room.push(from.seq),
            Frame::Text(_) => {}
            Frame::Status(confirmed) => status = confirmed.seq,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(status, 4);
    assert!(of_all.len() < 3 && of_all.iter().zip(3..).all(|(a, b)| *a == b), "{of_all:?}");
}

#[test]
fn a_reader_that_stands_still_costs_little_slows_nobody_and_misses_nothing() {
    const MESSAGES: u64 = 50_000;
    let server = Server::start();
    let mut writer = quiet(&server);
    let mut slow = Peer::guest(&server);
    let mut fast = Peer::guest(&server);
    let text = &"a text of a usual length, such as people write. ".repeat(6);
    write(&mut writer, 1000, text);
    expect_seqs(&mut fast, 1, 1000);
    expect_seqs(&mut slow, 1, 10);
    let before = server.resident();
    let most = thread::scope(|scope| {
        let reading = scope.spawn(|| expect_seqs(&mut fast, 1001, 1000 + MESSAGES));
        let writing = scope.spawn(|| write(&mut writer, MESSAGES, text));
        let mut most = 0;
        while !(reading.is_finished() && writing.is_finished()) {
            most = most.max(server.resident());
            thread::yield_now();
        }
        most
    });
    let grown = most.saturating_sub(before);
    assert!(grown < 32 * MEBIBYTE, "the server grew by {grown} bytes");
    expect_seqs(&mut slow, 11, 1000 + MESSAGES);
    write(&mut writer, 1, "live again");
    expect_seqs(&mut slow, 1001 + MESSAGES, 1001 + MESSAGES);
    slow.expect_nothing();
}

#[test]
fn a_senders_stream_has_each_message_in_its_place() {
    const EACH: u64 = 1500;
    let many = usize::try_from(EACH).unwrap();
    let server = Server::start();
    let mut one = Peer::guest(&server);
    let mut peers = vec![one.again(&server), Peer::guest(&server), Peer::guest(&server)];
    one.expect_nothing();
    peers.push(one);
    thread::scope(|scope| {
        for mut peer in peers {
            scope.spawn(move || {
                let sending = send_in_background(&peer, to_all("from one of four").repeat(many));
                let mut position = Position { at: 0, own: 0 };
                while position.at < 4 * EACH || position.own < EACH {
                    position.take(&mut peer);
                }
                sending.join().unwrap();
                peer.expect_nothing();
            });
        }
    });
}

#[test]
fn a_sender_that_does_not_read_finds_all_in_its_stream() {
    const EACH: u64 = 3000;
    let many = usize::try_from(EACH).unwrap();
    let server = Server::start();
    let (mut still, mut other) = (Peer::guest(&server), quiet(&server));
    let text = "a".repeat(2000);
    let sending = send_in_background(&still, to_all("mine").repeat(many));
    write(&mut other, EACH, &text);
    let mut position = Position { at: 0, own: 0 };
    while position.at < 2 * EACH || position.own < EACH {
        position.take(&mut still);
    }
    sending.join().unwrap();
}

#[test]
fn what_concerns_a_slow_readers_own_user_is_never_dropped() {
    let server = Server::start();
    let (mut slow, mut writer) = (Peer::named(&server, "Aya"), quiet(&server));
    let mut device = slow.again_with(&server, Hello { flags: NO_LIVE, ..Hello::default() });
    write(&mut writer, 8000, &"a".repeat(1000));
    let room = device.join("quay").chat;
    write(&mut writer, 1, "last");
    device.leave(room);
    let (mut changes, mut seq) = (Vec::new(), 0);
    while changes.len() < 2 || seq < 8001 {
        match slow.next() {
            Frame::From_(from) => {
                slow.expect::<Text<'_>>();
                assert_eq!(from.seq, seq + 1);
                seq += 1;
            }
            Frame::Member(member) => changes.push((member.chat, member.change, member.user_name)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(changes, [(room, 1, "Aya"), (room, 2, "Aya")]);
}
