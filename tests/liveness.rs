//! PING, silence, frames that do not end, and readers that stand still (section 5.5 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const ALL: u64 = 1;

#[test]
fn a_ping_comes_back_with_its_bytes() {
    let server = Server::start();
    let mut aya = Peer::connect(&server);
    aya.send_bytes(&[bytes_of(Peer::filled(Hello::default())), raw(kind::PING, b"early")].concat());
    // A PONG waits for nothing, not even for WELCOME.
    let mut first = [aya.next(), aya.next()];
    first.sort_unstable_by_key(Frame::kind);
    assert!(matches!(first, [Frame::Welcome(_), Frame::Pong(Pong { bytes: b"early" })]), "{first:?}");
    for bytes in [&b""[..], b"\0", &[0xFF; 64]] {
        aya.send(Ping { bytes });
        assert_eq!(aya.expect::<Pong<'_>>().bytes, bytes);
    }
    let pings: Vec<u8> = (0..1000_u32).flat_map(|n| bytes_of(Ping { bytes: &n.to_be_bytes() })).collect();
    aya.send_bytes(&pings);
    for n in 0..1000_u32 {
        assert_eq!(aya.expect::<Pong<'_>>().bytes, n.to_be_bytes());
    }
}

#[test]
fn a_pong_goes_ahead_of_what_waits_and_stands_inside_no_unit() {
    let server = Server::start();
    let mut writer = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    // More than the system's buffers take: the rest waits in the server.
    const FILES: u64 = 60;
    let body = random::Random::from(3).bytes(1 << 20);
    writer.join("all");
    for _ in 0..FILES {
        writer.body_to(To::default(), kind::FILE, &body);
        writer.expect_status(0);
    }
    let mut slow = Peer::hello(&server, Hello { flags: 1, inline_limit: 1 << 20, ..Hello::default() });
    slow.send(Sync { req: 1, chat: ALL, after: 0 });
    slow.expect::<Synced>();
    slow.send(Ping { bytes: b"quick" });
    let (mut seq, mut passed) = (0, None);
    while seq < FILES {
        match slow.next() {
            Frame::From_(from) => {
                assert_eq!(from.seq, seq + 1);
                assert!(slow.expect::<File<'_>>().body == body);
                seq += 1;
            }
            Frame::Pong(pong) => {
                assert_eq!(pong.bytes, b"quick");
                passed = Some(seq);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(passed.is_some_and(|seq| seq < FILES), "{passed:?}");
}

#[test]
fn silence_brings_a_ping_and_then_the_end() {
    let server = Server::with(&[("timing.heartbeat_secs", "0.8")]);
    let mut aya = Peer::guest(&server);
    assert_eq!(aya.me().heartbeat, 1, "it is told in whole seconds");
    // Any byte is a sign of life.
    for answer in [bytes_of(Pong { bytes: b"" }), raw(0x90, b""), bytes_of(Ping { bytes: b"" })] {
        assert!(aya.expect::<Ping<'_>>().bytes.len() <= 64);
        aya.send_bytes(&answer);
    }
    aya.expect::<Pong<'_>>();
    aya.expect::<Ping<'_>>();
    aya.expect_fatal(Code::Timeout, NOTHING);
}

#[test]
fn a_byte_inside_a_frame_is_a_sign_of_life_too() {
    let server = Server::with(&[("timing.heartbeat_secs", "0.8")]);
    let mut aya = Peer::guest(&server);
    let text = bytes_of(Text { text: "a" });
    for byte in &text {
        aya.expect::<Ping<'_>>();
        aya.send_bytes(&[*byte]);
    }
    aya.expect_status(0);
}

#[test]
fn a_frame_that_stands_still_is_over() {
    let server = Server::with(&[("timing.frame_secs", "0.2")]);
    let begun = [
        bytes_of(Text { text: "hello" })[..7].to_vec(),
        vec![kind::TEXT],
        header(kind::FILE, 100).to_vec(),
        [&header(kind::FILE, 1 << 20)[..], &[0; 300_000]].concat(),
    ];
    for bytes in begun {
        let mut aya = Peer::guest(&server);
        aya.text("before");
        aya.send_bytes(&bytes);
        aya.expect_status(0);
        aya.expect_fatal(Code::Timeout, NOTHING);

        // Also where the server made a pause within what came.
        let mut aya = Peer::guest(&server);
        aya.send_bytes(&[bytes_of(Rooms { req: 1, ..Rooms::default() }), bytes].concat());
        aya.expect::<RoomList<'_>>();
        aya.expect_fatal(Code::Timeout, NOTHING);
    }
    // So is one that is passed over.
    let mut aya = Peer::guest(&server);
    aya.send_bytes(&header(kind::TEXT, 70_000));
    aya.expect_error(Code::TooLarge, 0, kind::TEXT);
    aya.expect_fatal(Code::Timeout, NOTHING);
    assert_eq!(files(&server.data().join("tmp")).len(), 0);
}

#[test]
fn between_frames_one_may_be_silent_as_long_as_one_answers() {
    let server = Server::with(&[("timing.frame_secs", "0.1"), ("timing.heartbeat_secs", "0.8")]);
    let mut aya = Peer::guest(&server);
    for _ in 0..4 {
        aya.expect::<Ping<'_>>();
        aya.send(Pong { bytes: b"" });
    }
    aya.text("still here");
    aya.expect_status(0);
}

#[test]
fn a_reader_that_stands_still_is_let_go() {
    let server = Server::with(&[("timing.stall_secs", "0.3"), ("limits.connections", "2")]);
    let mut writer = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    let body = random::Random::from(4).bytes(1 << 20);
    writer.join("all");
    for _ in 0..60 {
        writer.body_to(To::default(), kind::FILE, &body);
        writer.expect_status(0);
    }
    let mut still = Peer::hello(&server, Hello { flags: 1, inline_limit: 1 << 20, ..Hello::default() });
    still.send(Sync { req: 1, chat: ALL, after: 0 });
    // Its place becomes free, though it has not gone.
    let mut next = Peer::connect(&server);
    next.send_hello(Hello::default());
    next.expect_welcome();
    // It finds the stream cut off, within a frame for all it knows.
    let mut frames = 0;
    while still.next_raw().is_some() {
        frames += 1;
    }
    assert!(frames < 121, "it got everything");
    next.ping();
}
