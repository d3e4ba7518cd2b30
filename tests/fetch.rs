//! FETCH and CANCEL: ranges, several at once, and what passes them (section 6.6 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use support::*;

const SIZE: usize = 700_001;
/// More than the system's buffers take from a server whose client does not read.
const HUGE: usize = 48 << 20;

/// A user whose home has a file of so many bytes.
fn with_file(server: &Server, size: usize) -> (Peer, Vec<u8>, [u8; 32]) {
    let mut aya = Peer::guest(server);
    let bytes = random::Random::from(size as u64).bytes(size);
    aya.body_to(To::default(), kind::FILE, &bytes);
    aya.expect_status(0);
    let media = *blake3::hash(&bytes).as_bytes();
    (aya, bytes, media)
}

fn fetch(req: u32, media: [u8; 32]) -> Fetch {
    Fetch { req, media, ..Fetch::default() }
}

#[test]
fn a_range_is_byte_exact_and_ends_with_its_last_chunk() {
    let server = Server::start();
    let (mut aya, bytes, media) = with_file(&server, SIZE);
    let size = SIZE as u64;
    let ranges = [
        (0, 0),
        (0, 1),
        (1, 65_536),
        (65_535, 65_537),
        (65_536, 131_072),
        (size - 1, 0),
        (size - 1, 99),
        (size / 2, u64::MAX),
        (0, u64::MAX),
    ];
    for (offset, length) in ranges {
        aya.send(Fetch { offset, length, ..fetch(9, media) });
        let ready: FetchReady<'_> = aya.expect();
        assert_eq!((ready.req, ready.size), (9, size));
        let end = if length == 0 { size } else { offset.saturating_add(length).min(size) };
        let mut at = offset;
        while at < end {
            let chunk: Chunk<'_> = aya.expect();
            assert_eq!((chunk.transfer, chunk.offset), (9, at));
            assert!(chunk.bytes.len() <= 65_536 && !chunk.bytes.is_empty());
            let from = usize::try_from(at).unwrap();
            assert!(chunk.bytes == &bytes[from..from + chunk.bytes.len()], "at {at}");
            at += chunk.bytes.len() as u64;
        }
        assert_eq!(at, end);
        // The number is free again, and nothing more comes.
        aya.expect_nothing();
    }
    for offset in [size, size + 1, 1 << 53, u64::MAX] {
        aya.send(Fetch { offset, length: u64::MAX, ..fetch(9, media) });
        assert_eq!(aya.expect::<FetchReady<'_>>().size, size);
        aya.expect_nothing();
    }
}

#[test]
fn an_empty_file_has_no_chunk() {
    let server = Server::start();
    let (mut aya, _, media) = with_file(&server, 0);
    aya.send(fetch(1, media));
    assert_eq!(aya.expect::<FetchReady<'_>>().size, 0);
    aya.expect_nothing();
}

#[test]
fn four_run_at_once_and_a_fifth_does_not() {
    let server = Server::start();
    let (mut aya, bytes, media) = with_file(&server, HUGE);
    for req in 1..=4 {
        aya.send(Fetch { offset: u64::from(req) * 1000, length: 20 << 20, ..fetch(req, media) });
    }
    aya.send(fetch(5, media));
    aya.send(Text { text: "passes" });
    let mut got: HashMap<u32, u64> = HashMap::new();
    let (mut fifth, mut passed, mut chunks) = (false, None, 0);
    while !fifth || got.values().any(|n| *n < 20 << 20) {
        match aya.next() {
            Frame::FetchReady(ready) => drop(got.insert(ready.req, 0)),
            Frame::Chunk(chunk) => {
                let n = got.get_mut(&chunk.transfer).expect("FETCH_READY comes first");
                assert_eq!(chunk.offset, u64::from(chunk.transfer) * 1000 + *n);
                let at = usize::try_from(chunk.offset).unwrap();
                assert!(chunk.bytes == &bytes[at..at + chunk.bytes.len()]);
                *n += chunk.bytes.len() as u64;
                chunks += 1;
            }
            Frame::Error(error) => {
                assert_eq!((error.code, error.ref_, error.about), (Code::RateLimited as u16, 5, kind::FETCH));
                fifth = true;
            }
            Frame::Status(_) => passed = Some(chunks),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got.len(), 4);
    assert!(passed.expect("a STATUS") < chunks, "nothing passed the chunks");
    aya.fetch(media);
}

#[test]
fn what_else_is_sent_passes_a_running_fetch() {
    let server = Server::start();
    let (mut aya, bytes, media) = with_file(&server, HUGE);
    // It is not sent what the other writes.
    let mut bo = aya.again_with(&server, Hello { flags: 1, ..Hello::default() });
    let home = aya.me().home;
    aya.send(fetch(1, media));
    aya.expect::<FetchReady<'_>>();
    // Nothing of it has been read when the others are sent.
    aya.send(Ping { bytes: b"quick" });
    aya.send(Text { text: "mine" });
    bo.say(To::default(), "yours");
    aya.send(History { req: 2, chat: home, limit: 1, ..History::default() });
    let (mut at, mut passed) = (0, Vec::new());
    while at < HUGE {
        match aya.next() {
            Frame::Chunk(chunk) => {
                assert!(chunk.bytes == &bytes[at..at + chunk.bytes.len()]);
                at += chunk.bytes.len();
            }
            frame => passed.push((frame.kind(), at)),
        }
    }
    let kinds: Vec<u8> = passed.iter().map(|(kind, _)| *kind).collect();
    for kind in [kind::PONG, kind::STATUS, kind::FROM, kind::HISTORY_PAGE] {
        assert!(kinds.contains(&kind), "{kind:#04x} did not pass: {passed:?}");
    }
    // Of a body that is being fetched not much may be before them but what was on its way already.
    assert!(passed.iter().all(|(_, at)| *at < HUGE - (1 << 20)), "{passed:?}");
}

#[test]
fn behind_cancelled_no_chunk_comes() {
    let server = Server::start();
    let (mut aya, _, media) = with_file(&server, HUGE);
    for round in 0..10 {
        aya.send(fetch(7, media));
        aya.expect::<FetchReady<'_>>();
        for _ in 0..round {
            aya.expect::<Chunk<'_>>();
        }
        aya.send(Cancel { req: 8, transfer: 7 });
        loop {
            match aya.next() {
                Frame::Chunk(chunk) => assert_eq!(chunk.transfer, 7),
                Frame::Cancelled(cancelled) => break assert_eq!(cancelled.req, 8),
                other => panic!("{other:?}"),
            }
        }
        aya.expect_nothing();
    }
    // Of what is not running too.
    for transfer in [0, 7, 99, u32::MAX] {
        aya.send(Cancel { req: 8, transfer });
        assert_eq!(aya.expect::<Cancelled>().req, 8);
    }
}

#[test]
fn the_number_of_a_running_transfer_is_taken() {
    let server = Server::start();
    let (mut aya, _, media) = with_file(&server, HUGE);
    aya.send(fetch(7, media));
    aya.expect::<FetchReady<'_>>();
    aya.send(Rooms { req: 7, ..Rooms::default() });
    loop {
        match aya.next() {
            Frame::Chunk(_) => {}
            Frame::Error(error) => break assert_eq!((error.code, error.about), (400, kind::ROOMS)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_fetch_that_nobody_reads_costs_no_memory() {
    let server = Server::start();
    let (aya, _, media) = with_file(&server, HUGE);
    let mut peers: Vec<Peer> = (0..10).map(|_| aya.again(&server)).collect();
    let before = server.resident();
    for peer in &mut peers {
        for req in 1..=4 {
            peer.send(fetch(req, media));
        }
    }
    // They are served in turn, so when another has had its megabytes, these have had what they take.
    let mut reader = aya.again(&server);
    reader.fetch(media);
    let grown = server.resident().saturating_sub(before);
    // Forty times that would be 2 GB; a connection has 256 KiB, and the rest is the threads that read.
    assert!(grown < HUGE / 2, "it grew by {grown} bytes");
    peers[0].expect::<FetchReady<'_>>();
}
