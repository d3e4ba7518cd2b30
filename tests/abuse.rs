//! Clients that mean harm, or nothing at all: they hurt themselves alone. Each story ends with others being
//! served, and a server that panicked fails it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use support::random::Random;
use support::*;

const MEBIBYTE: usize = 1 << 20;

/// Says these bytes and reads all that comes, until the server ends it.
fn say_all(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut reader = socket.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut got = Vec::new();
        match reader.read_to_end(&mut got) {
            Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("the server did not end it: {e}"),
            _ => got,
        }
    });
    // It may be told to go before it has said all.
    if socket.write_all(bytes).is_ok() {
        let _ = socket.shutdown(Shutdown::Write);
    }
    reading.join().unwrap()
}

/// What comes from a server is always whole frames, whatever went in (the last may be cut by a reset).
fn check_frames(bytes: &[u8]) {
    let mut decoder = chatwire_codec::Decoder::client(chatwire_codec::Limits::default());
    let mut input = bytes;
    loop {
        match decoder.next(&mut input) {
            Ok(Some(chatwire_codec::Event::Skipped { kind, .. })) => {
                panic!("a frame of type {kind:#04x} came")
            }
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(e) => panic!("a bad frame came: {e}"),
        }
    }
}

/// Two strangers can talk.
#[track_caller]
fn serves_others(server: &Server) {
    let (mut aya, mut bo) = (Peer::guest(server), Peer::guest(server));
    let to = bo.me().user_name;
    aya.say(To { user: to, ..To::default() }, "are you well?");
    while bo.next_message().content != Frame::Text(Text { text: "are you well?" }) {}
    aya.body_to(To { user: to, ..To::default() }, kind::IMAGE, &sample("image.gif"));
    aya.expect_status(0);
    assert_eq!(bo.next_message().media().size, 2184);
    bo.ping();
}

fn hello() -> Vec<u8> {
    bytes_of(Peer::filled(Hello { inline_limit: 1 << 20, ..Hello::default() }))
}

/// One of each frame that a client may send, with numbers from the edges of what they can be.
fn some_frame(random: &mut Random) -> Vec<u8> {
    let edges =
        [0, 1, 2, 3, 7, 255, 65_535, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 53, 1 << 63, u64::MAX];
    let names = ["", "all", "assistant", "guest2", "harbour", "a/b", "é", "\u{0}", " "];
    let mut n = || random.pick(&edges);
    let (a, b, c, req) = (n(), n(), n(), 1 + u32::try_from(n() & 0xFFFF).unwrap());
    let limit = u16::try_from(n() & 0xFFFF).unwrap();
    let flags = limit.to_be_bytes()[1];
    let (name, other) = (random.pick(&names), random.pick(&names));
    let body = random.below(300);
    let bytes = random.bytes(body);
    match random.below(26) {
        0..3 => bytes_of(Text { text: name }),
        3 => raw(kind::VOICE, &sample("voice.mp3")),
        4 => raw(kind::VIDEO, &sample("video.mp4")[..4000]),
        5 => raw(kind::IMAGE, &bytes),
        6 => raw(kind::FILE, &bytes),
        7 => bytes_of(Media { media_kind: flags, media: [flags; 32], ..Media::default() }),
        8 => bytes_of(To { nonce: a, chat: b, reply_to: c, name, ..To::default() }),
        9 => bytes_of(To { nonce: a, room: name, name: other, ..To::default() }),
        10 => bytes_of(To { user: name, reply_to: a, ..To::default() }),
        11..13 => bytes_of(Join { req, room: name, flags }),
        13 => bytes_of(Leave { req, chat: a }),
        14 => bytes_of(Rooms { req, after: name, limit }),
        15 => bytes_of(Participants { req, chat: a, after: b, limit, ..Participants::default() }),
        16 => bytes_of(Participants { req, room: name, after: b, limit, ..Participants::default() }),
        17 => bytes_of(History { req, chat: a, before: b, after: c, limit, flags }),
        18 => bytes_of(Sync { req, chat: a, after: b }),
        19 => bytes_of(Fetch { req, media: [flags; 32], offset: a, length: b }),
        20 => bytes_of(Cancel { req, transfer: limit.into() }),
        21 => bytes_of(Upload { req, media_kind: flags, size: a, name, ..Upload::default() }),
        22 => bytes_of(Chunk { transfer: req, offset: a, bytes: &bytes }),
        23 => bytes_of(Typing { chat: a, on: flags, ..Typing::default() }),
        24 => bytes_of(Ping { bytes: &bytes[..bytes.len().min(64)] }),
        _ => raw(flags, &bytes),
    }
}

#[test]
fn random_bytes_end_the_connection_that_sent_them() {
    let server = Server::start();
    let mut random = Random::new();
    for n in 0..150 {
        let len = random.below(5000);
        let mut bytes = if n % 2 == 0 { Vec::new() } else { hello() };
        bytes.extend(random.bytes(len));
        check_frames(&say_all(&server, &bytes));
    }
    serves_others(&server);
}

#[test]
fn frames_with_numbers_from_the_edges_are_answered() {
    let server = Server::with(&[("assistant.kind", "builtin")]);
    let mut random = Random::new();
    for _ in 0..150 {
        let mut bytes = hello();
        for _ in 0..40 {
            bytes.extend(some_frame(&mut random));
        }
        let got = say_all(&server, &bytes);
        assert!([kind::WELCOME, kind::PONG].contains(&got[0]), "{:#04x} came first", got[0]);
        check_frames(&got);
    }
    serves_others(&server);
}

#[test]
fn frames_with_bytes_changed_lost_or_doubled_do_no_harm() {
    let server = Server::start();
    let mut random = Random::new();
    for _ in 0..150 {
        let mut bytes = hello();
        let begin = if random.below(4) == 0 { 0 } else { bytes.len() };
        for _ in 0..20 {
            bytes.extend(some_frame(&mut random));
        }
        for _ in 0..=random.below(5) {
            if bytes.len() == begin {
                break;
            }
            let at = begin + random.below(bytes.len() - begin);
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, bytes[at]),
                _ => bytes.truncate(at + 1),
            }
        }
        check_frames(&say_all(&server, &bytes));
    }
    serves_others(&server);
}

#[test]
fn hellos_of_all_kinds_are_taken_or_refused() {
    let server = Server::start();
    let mut random = Random::new();
    let names = ["", "Aya", "all", "\u{FDFA}", "ﬃ", "a\u{300}\u{301}\u{302}", "guest٣", "\u{202E}abc", "İ"];
    for _ in 0..300 {
        let number = random.number();
        let [a, b, c, d, ..] = number.to_be_bytes();
        let hello = Hello {
            version: 1 + a % 2,
            timezone: random.pick(&["UTC", "Asia/Tokyo", "", "Etc/GMT-14"]),
            user: random.pick(&names),
            auth: b % 5,
            secret: random.pick(&names),
            device: random.pick(&names),
            inline_limit: u32::from_be_bytes([a, b, c, d]),
            flags: c,
        };
        let got = say_all(&server, &bytes_of(hello));
        check_frames(&got);
        assert!(got.is_empty() || got[0] == kind::WELCOME || got[0] == kind::ERROR, "{got:?}");
    }
    serves_others(&server);
}

#[test]
fn thousands_that_say_nothing_or_half_a_hello_keep_nobody_out() {
    const MANY: usize = 3000;
    let server = Server::start();
    let hello = hello();
    serves_others(&server);
    let before = server.resident();
    let idle: Vec<TcpStream> = (0..MANY)
        .map(|n| {
            let mut socket = TcpStream::connect(server.address()).unwrap();
            socket.write_all(&hello[..n % hello.len()]).unwrap();
            socket
        })
        .collect();
    serves_others(&server);
    let grown = server.resident().saturating_sub(before);
    assert!(grown < MANY * 16 * 1024, "an idle connection costs {} bytes", grown / MANY);
    drop(idle);
    serves_others(&server);
}

#[test]
fn a_flood_of_pings_that_reads_nothing_stops_being_read() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let before = server.resident();
    let mut socket = aya.sender();
    socket.set_nonblocking(true).unwrap();
    let pings = bytes_of(Ping { bytes: &[7; 64] }).repeat(1000);
    let (mut sent, mut at, mut refused) = (0, 0, 0);
    // Until the server takes no more for a while: others are served in between.
    while refused < 50 && sent < 256 * MEBIBYTE {
        match socket.write(&pings[at..]) {
            Ok(n) => {
                (sent, at, refused) = (sent + n, (at + n) % pings.len(), 0);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                Peer::guest(&server).ping();
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < 256 * MEBIBYTE, "the server takes PINGs without end");
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * MEBIBYTE, "it grew by {grown} bytes");
    serves_others(&server);
    // It gets its PONGs when it reads.
    socket.set_nonblocking(false).unwrap();
    for _ in 0..sent / 69 {
        assert_eq!(aya.expect::<Pong<'_>>().bytes, [7; 64]);
    }
}

#[test]
fn a_flood_of_requests_that_reads_nothing_stops_being_read() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    for _ in 0..20 {
        aya.text(&"a".repeat(50_000));
        aya.expect_status(0);
    }
    let before = server.resident();
    let mut socket = aya.sender();
    socket.set_nonblocking(true).unwrap();
    let wanted = bytes_of(History { req: 1, chat: home, ..History::default() }).repeat(1000);
    let (mut sent, mut refused) = (0, 0);
    while refused < 50 && sent < 64 * MEBIBYTE {
        match socket.write(&wanted[sent % wanted.len()..]) {
            Ok(n) => (sent, refused) = (sent + n, 0),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                Peer::guest(&server).ping();
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < 64 * MEBIBYTE, "the server takes requests without end");
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 24 * MEBIBYTE, "it grew by {grown} bytes");
    serves_others(&server);
}

#[test]
fn messages_are_taken_no_faster_than_they_are_stored() {
    let server = Server::with(&[("limits.messages_in_flight", "16")]);
    let mut peers: Vec<Peer> = (0..8).map(|_| Peer::guest(&server)).collect();
    for peer in &mut peers {
        peer.send_bytes(&bytes_of(Text { text: "one of many" }).repeat(500));
    }
    for peer in &mut peers {
        for seq in 1..=500 {
            assert_eq!(peer.expect_status(0).seq, seq);
        }
    }
}

#[test]
fn connections_that_vanish_in_the_middle_leave_nothing_behind() {
    let server = Server::start();
    let mut random = Random::new();
    let mut watcher = Peer::guest(&server);
    let mut bytes = hello();
    bytes.extend(bytes_of(Join { req: 1, room: "harbour", flags: 0 }));
    bytes.extend(bytes_of(Text { text: "hello" }));
    bytes.extend(raw(kind::FILE, &random.bytes(100_000)));
    bytes.extend(bytes_of(Leave { req: 2, chat: 0 }));
    for _ in 0..200 {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let end = if random.below(2) == 0 { random.below(200) } else { random.below(bytes.len()) };
        socket.write_all(&bytes[..end]).unwrap();
    }
    until("all have left", || watcher.participants(1).len() == 1);
    until("no file is half there", || files(&server.data().join("tmp")).is_empty());
    serves_others(&server);
}
