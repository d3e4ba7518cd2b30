//! Uploads that go on: over connections, from one to another, behind a crash (section 6.6 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, SystemTime};
use support::uploading::*;
use support::*;

#[test]
fn half_an_upload_is_its_users_alone() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let bytes = random_bytes(5, 2 * MEBIBYTE);
    begin(&mut aya, upload(3, kind::FILE, &bytes));
    send_chunks(&mut aya, 3, &bytes, 0, MEBIBYTE + CHUNK);
    leave_half(&mut aya);
    assert_eq!(begin(&mut bo, upload(3, kind::FILE, &bytes)), 0);
    leave_half(&mut bo);
    let mut aya = aya.again(&server);
    assert_eq!(begin(&mut aya, upload(3, kind::FILE, &bytes)), MEBIBYTE + CHUNK);
}

#[test]
fn a_second_upload_of_the_same_takes_the_first_over() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let mut other = aya.again(&server);
    let bytes = random_bytes(4, MEBIBYTE + 5);
    let (part, more) = (60_000, 120_000);
    assert_eq!(begin(&mut aya, upload(3, kind::FILE, &bytes)), 0);
    aya.send_bytes(&chunk(3, 0, &bytes[..part]));
    aya.ping();
    // From another connection, with all that had come.
    assert_eq!(begin(&mut other, upload(7, kind::FILE, &bytes)), part);
    expect_failed(&mut aya, 3, Code::Conflict);
    aya.send_bytes(&chunk(3, part, &bytes[part..more]));
    aya.expect_nothing();
    other.send_bytes(&chunk(7, part, &bytes[part..more]));
    // And from the same.
    other.send(upload(8, kind::FILE, &bytes));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match other.next() {
            Frame::UploadReady(ready) => {
                assert_eq!((ready.req, ready.offset), (8, more as u64));
                seen.push(8);
            }
            Frame::Error(error) => {
                assert_eq!((error.code, error.ref_, error.about), (Code::Conflict as u16, 7, kind::UPLOAD));
                seen.push(7);
            }
            frame => panic!("{frame:?}"),
        }
    }
    send_chunks(&mut other, 8, &bytes, more, bytes.len());
    expect_stored(&mut other, 8, &bytes);
}

#[test]
fn many_who_take_one_upload_over_from_each_other_end_once_each() {
    let server = Server::start();
    let aya = Peer::guest(&server);
    let bytes = random_bytes(6, 2 * MEBIBYTE);
    let mut peers: Vec<Peer> = (0..8).map(|_| aya.again(&server)).collect();
    for peer in &mut peers {
        peer.send(upload(3, kind::FILE, &bytes));
    }
    let mut stored = 0;
    for peer in &mut peers {
        // Each is told where to go on, and goes on while it may.
        let at = usize::try_from(peer.expect::<UploadReady>().offset).unwrap();
        for at in (at..bytes.len()).step_by(CHUNK) {
            peer.send_bytes(&chunk(3, at, &bytes[at..bytes.len().min(at + CHUNK)]));
        }
    }
    for peer in &mut peers {
        let mut ends = 0;
        while ends == 0 {
            match peer.next() {
                Frame::Received(_) => {}
                Frame::Stored(_) => (ends, stored) = (1, stored + 1),
                Frame::Error(error) => {
                    assert_eq!(error.code, Code::Conflict as u16);
                    ends = 1;
                }
                other => panic!("{other:?}"),
            }
        }
        peer.expect_nothing();
    }
    assert!(stored > 0);
}

#[test]
fn cancelled_is_the_end_and_the_bytes_are_kept() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let bytes = random_bytes(7, MEBIBYTE);
    for round in 0..10 {
        let at = begin(&mut aya, upload(3, kind::FILE, &bytes));
        assert_eq!(at, round * 30_000);
        aya.send_bytes(&chunk(3, at, &bytes[at..at + 30_000]));
        aya.send(Cancel { req: 4, transfer: 3 });
        loop {
            match aya.next() {
                Frame::Received(_) => {}
                Frame::Cancelled(cancelled) => break assert_eq!(cancelled.req, 4),
                other => panic!("{other:?}"),
            }
        }
        aya.send_bytes(&chunk(3, at + 30_000, &bytes[..10]));
        aya.expect_nothing();
    }
    // One that is whole may be told as either, and then nothing more.
    let at = begin(&mut aya, upload(3, kind::FILE, &bytes));
    send_chunks(&mut aya, 3, &bytes, at, bytes.len());
    aya.send(Cancel { req: 4, transfer: 3 });
    let mut ends = Vec::new();
    while ends.last() != Some(&kind::CANCELLED) {
        match aya.next() {
            Frame::Received(_) => {}
            frame => ends.push(frame.kind()),
        }
    }
    assert!(ends == [kind::STORED, kind::CANCELLED] || ends == [kind::CANCELLED], "{ends:?}");
    aya.expect_nothing();
    // Whatever was told, all of it is there.
    assert_eq!(begin(&mut aya, upload(3, kind::FILE, &bytes)), bytes.len());
    expect_stored(&mut aya, 3, &bytes);
}

#[test]
fn an_upload_goes_on_after_its_connection_was_lost() {
    let server = Server::start();
    let aya = Peer::guest(&server);
    let bytes = random_bytes(8, 3 * MEBIBYTE + 1);
    let mut random = random::Random::new();
    let mut kept = 0;
    for round in 0..12 {
        let mut peer = aya.again(&server);
        let at = begin(&mut peer, upload(3, kind::FILE, &bytes));
        assert!(at >= kept && at < bytes.len(), "round {round}: {at} of {kept}");
        let end = (at + random.below(2 * CONFIRMED)).min(bytes.len() - 1);
        let safe = send_chunks(&mut peer, 3, &bytes, at, end);
        match round % 3 {
            // What came before a goodbye is kept, all of it.
            0 => {
                leave_half(&mut peer);
                kept = end;
            }
            1 => {
                // So is what came before a connection that is reset.
                reset(peer);
                kept = end;
            }
            _ => {
                // In the middle of a chunk.
                let last = chunk(3, end, &bytes[end..(end + 900).min(bytes.len())]);
                peer.send_bytes(&last[..last.len() - 1]);
                drop(peer);
            }
        }
        kept = kept.max(safe);
    }
    store(&mut aya.again(&server), kind::FILE, &bytes);
}

#[test]
fn what_was_confirmed_survives_sigkill() {
    let mut server = Server::start();
    let mut aya = Peer::guest(&server);
    let bytes = random_bytes(10, 6 * MEBIBYTE);
    let mut random = random::Random::new();
    let mut kept = 0;
    while kept < 5 * MEBIBYTE {
        let at = begin(&mut aya, upload(3, kind::FILE, &bytes));
        assert!(at >= kept, "{kept} bytes were confirmed, and {at} are there");
        let mut socket = aya.sender();
        let (body, from) = (bytes.clone(), at);
        let sending = std::thread::spawn(move || {
            (from..body.len() - CHUNK).step_by(CHUNK).try_for_each(|at| {
                std::io::Write::write_all(&mut socket, &chunk(3, at, &body[at..at + CHUNK]))
            })
        });
        let enough = at + random.below(MEBIBYTE);
        let mut safe = at;
        while safe < enough.min(5 * MEBIBYTE) {
            safe = received(&mut aya, 3, safe);
        }
        server.kill();
        while let Some(frame) = aya.poll() {
            let Frame::Received(received) = frame else { panic!("{frame:?}") };
            safe = usize::try_from(received.offset).unwrap();
        }
        // It is cut off with the server.
        let _ = sending.join().unwrap();
        kept = safe;
        server.start_again();
        aya = aya.again(&server);
    }
    store(&mut aya, kind::FILE, &bytes);
    // What is stored is, too.
    server.restart();
    let mut aya = aya.again(&server);
    aya.send(reference(kind::FILE, &bytes));
    aya.expect_status(0);
    assert!(aya.fetch(digest(&bytes)).1 == bytes);
    assert_eq!(halves(&server).len(), 0);
}

#[test]
fn what_nobody_goes_on_with_for_a_day_is_removed() {
    let mut server = Server::start();
    let mut aya = Peer::guest(&server);
    let (old, new) = (random_bytes(1, 1000), random_bytes(2, 1000));
    for bytes in [&old, &new] {
        begin(&mut aya, upload(3, kind::FILE, bytes));
        aya.send_bytes(&chunk(3, 0, &bytes[..500]));
        aya.send(Cancel { req: 4, transfer: 3 });
        aya.expect::<Cancelled>();
    }
    aya.send(Bye::default());
    aya.expect_bye(0);
    until("both are there", || halves(&server).iter().all(|half| half.metadata().unwrap().len() == 500));
    server.kill();
    let hex = blake3::hash(&old).to_hex().to_string();
    let path = halves(&server).into_iter().find(|path| path.to_string_lossy().ends_with(&hex)).unwrap();
    let hours = |n: u64| SystemTime::now() - Duration::from_secs(n * 3600);
    let touch = |path: &std::path::Path, at| {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    };
    touch(&path, hours(25));
    let other = halves(&server).into_iter().find(|other| *other != path).unwrap();
    touch(&other, hours(23));
    server.start_again();
    until("the old one is removed", || !path.exists());
    let mut aya = aya.again(&server);
    assert_eq!(begin(&mut aya, upload(3, kind::FILE, &old)), 0);
    assert_eq!(begin(&mut aya, upload(4, kind::FILE, &new)), 500);
}
