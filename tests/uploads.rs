//! UPLOAD: chunks in, what is confirmed, and how each ends (section 6.6 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use support::uploading::*;
use support::*;

#[test]
fn what_is_stored_may_be_sent_and_is_measured() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let samples = [
        (kind::VOICE, "voice.mp3", "audio/mpeg", [1045, 0, 0]),
        (kind::VIDEO, "video.mp4", "video/mp4", [1000, 64, 48]),
        (kind::IMAGE, "image.jpg", "image/jpeg", [0, 64, 48]),
        (kind::FILE, "README.md", "application/octet-stream", [0, 0, 0]),
    ];
    for (kind, name, mime, [duration_ms, width, height]) in samples {
        let bytes = sample(name);
        aya.send(reference(kind, &bytes));
        aya.expect_error(Code::NotFound, 0, kind::MEDIA);
        store(&mut aya, kind, &bytes);
        // To her alone it is there.
        bo.send(reference(kind, &bytes));
        bo.expect_error(Code::NotFound, 0, kind::MEDIA);
        bo.send(Fetch { req: 1, media: digest(&bytes), ..Fetch::default() });
        bo.expect_error(Code::NotFound, 1, kind::FETCH);
        assert!(aya.fetch(digest(&bytes)).1 == bytes);
        aya.send(To { user: "Bo", name, ..To::default() });
        aya.send(reference(kind, &bytes));
        aya.expect_status(0);
        let media = bo.next_message().media().clone();
        let size = bytes.len() as u64;
        assert!(media.duration_ms.abs_diff(duration_ms) <= 50, "{media:?}");
        let want =
            Media { media_kind: kind, media: digest(&bytes), size, mime, name, duration_ms, width, height };
        assert_eq!(Media { duration_ms, ..media }, want);
        assert!(bo.fetch(want.media).1 == bytes, "{name}");
    }
    assert_eq!(halves(&server).len(), 0);
}

#[test]
fn what_is_confirmed_comes_every_256_kib_and_all_of_it_is_stored() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    for size in [0, 1, CHUNK, CHUNK + 1, 262_143, 262_144, 262_145, 3 * MEBIBYTE, 5 * MEBIBYTE + 77] {
        let bytes = random_bytes(size as u64, size);
        let req = aya.req();
        assert_eq!(begin(&mut aya, upload(req, kind::FILE, &bytes)), 0);
        let mut safe = send_chunks(&mut aya, req, &bytes, 0, size);
        while safe < size {
            safe = received(&mut aya, req, safe);
        }
        let stored: Stored = aya.expect();
        assert_eq!((stored.transfer, stored.media), (req, digest(&bytes)));
        assert!(aya.fetch(digest(&bytes)).1 == bytes, "{size}");
    }
}

#[test]
fn chunks_of_any_size_may_come_in_any_pieces() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let bytes = random_bytes(9, 100_000);
    let mut random = random::Random::new();
    assert_eq!(begin(&mut aya, upload(3, kind::FILE, &bytes)), 0);
    let (mut at, mut wire) = (0, Vec::new());
    while at < bytes.len() {
        let n = (1 + random.below(3000)).min(bytes.len() - at);
        wire.extend(chunk(3, at, &bytes[at..at + n]));
        at += n;
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(500)));
        aya.send_bytes(piece);
        rest = behind;
    }
    expect_stored(&mut aya, 3, &bytes);
}

#[test]
fn a_hole_an_overlap_and_excess_are_conflicts_and_the_bytes_are_kept() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let bytes = random_bytes(1, 50_000);
    let half = 20_000;
    for (offset, n) in [(half + 1, 10), (half - 1, 10), (0, 10), (half, 30_001), (usize::MAX >> 1, 1)] {
        let at = begin(&mut aya, upload(3, kind::FILE, &bytes));
        aya.send_bytes(&chunk(3, at, &bytes[at..half.max(at + 1)]));
        let half = half.max(at + 1);
        let (offset, n) = if offset == 20_000 { (half, bytes.len() - half + 1) } else { (offset, n) };
        aya.send_bytes(&chunk(3, offset, &vec![7; n]));
        expect_failed(&mut aya, 3, Code::Conflict);
        // Of what runs no more, chunks are ignored.
        aya.send_bytes(&chunk(3, half, &bytes[half..]));
        aya.expect_nothing();
        assert_eq!(begin(&mut aya, upload(4, kind::FILE, &bytes)), half);
        aya.send(Cancel { req: 5, transfer: 4 });
        assert_eq!(aya.expect::<Cancelled>().req, 5);
    }
    store(&mut aya, kind::FILE, &bytes);
}

#[test]
fn bytes_of_another_digest_are_thrown_away() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let bytes = random_bytes(1, 300_000);
    let mut wrong = bytes.clone();
    wrong[299_999] ^= 1;
    for _ in 0..2 {
        assert_eq!(begin(&mut aya, upload(3, kind::FILE, &bytes)), 0);
        send_chunks(&mut aya, 3, &wrong, 0, wrong.len());
        expect_failed(&mut aya, 3, Code::Conflict);
    }
    assert_eq!((halves(&server).len(), files(&server.data().join("media")).len()), (0, 0));
    // So is what was half there and goes on wrongly.
    assert_eq!(begin(&mut aya, upload(3, kind::FILE, &bytes)), 0);
    aya.send_bytes(&chunk(3, 0, &bytes[..60_000]));
    aya.send(Cancel { req: 4, transfer: 3 });
    assert_eq!(aya.expect::<Cancelled>().req, 4);
    let at = begin(&mut aya, upload(3, kind::FILE, &bytes));
    assert_eq!(at, 60_000);
    send_chunks(&mut aya, 3, &wrong, at, wrong.len());
    expect_failed(&mut aya, 3, Code::Conflict);
    assert_eq!(halves(&server).len(), 0);
    store(&mut aya, kind::FILE, &bytes);
}

#[test]
fn bytes_of_another_kind_are_refused_and_leave_nothing() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    for (kind, name) in [(kind::VOICE, "image.png"), (kind::IMAGE, "voice.mp3"), (kind::VIDEO, "image.gif")] {
        let bytes = sample(name).repeat(700);
        assert_eq!(begin(&mut aya, upload(3, kind, &bytes)), 0);
        send_chunks(&mut aya, 3, &bytes, 0, CONFIRMED);
        expect_failed(&mut aya, 3, Code::BadMedia);
        // An empty one is of no kind either.
        assert_eq!(begin(&mut aya, upload(3, kind, b"")), 0);
        expect_failed(&mut aya, 3, Code::BadMedia);
    }
    assert_eq!((halves(&server).len(), files(&server.data().join("media")).len()), (0, 0));
}

#[test]
fn what_cannot_be_is_refused_before_it_begins() {
    let server = Server::with(&[("limits.media_bytes", "1000")]);
    let mut aya = Peer::guest(&server);
    let wish = upload(3, kind::FILE, b"bytes");
    for media_kind in [0, 5, 16, 255] {
        aya.refused(Upload { media_kind, ..wish.clone() }, Code::BadMedia, 3);
    }
    for size in [1001, 1 << 32, u64::MAX] {
        aya.refused(Upload { size, ..wish.clone() }, Code::TooLarge, 3);
    }
    aya.refused(Upload { name: "a\nb", ..wish.clone() }, Code::Conflict, 3);
    let long = "a".repeat(256);
    aya.refused(Upload { name: &long, ..wish.clone() }, Code::Conflict, 3);
    assert_eq!(begin(&mut aya, Upload { size: 1000, name: "a/b.txt", ..wish }), 0);
    assert_eq!(halves(&server).len(), 1);
}

#[test]
fn an_empty_chunk_of_a_running_upload_is_malformed() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.send_bytes(&chunk(3, 0, b""));
    aya.send_bytes(&chunk(3, 0, b"of nothing"));
    aya.expect_nothing();
    begin(&mut aya, upload(3, kind::FILE, b"bytes"));
    aya.send_bytes(&chunk(3, 0, b""));
    aya.expect_fatal(Code::Malformed, kind::CHUNK);
}

#[test]
fn the_number_of_a_running_upload_is_taken() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    begin(&mut aya, upload(3, kind::FILE, b"bytes"));
    aya.send(Rooms { req: 3, ..Rooms::default() });
    aya.expect_fatal(Code::Malformed, kind::ROOMS);
}

#[test]
fn who_may_read_it_already_need_not_send_it() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let picture = sample("image.png");
    aya.body_to(To { user: "Bo", ..To::default() }, kind::IMAGE, &picture);
    aya.expect_status(0);
    bo.next_message();
    for (media_kind, times) in [(kind::IMAGE, 2), (kind::FILE, 2)] {
        for _ in 0..times {
            assert_eq!(begin(&mut bo, upload(3, media_kind, &picture)), picture.len());
            expect_stored(&mut bo, 3, &picture);
        }
    }
    // Not as what it is not, nor with another size.
    bo.refused(upload(3, kind::VOICE, &picture), Code::BadMedia, 3);
    let larger = Upload { size: picture.len() as u64 + 1, ..upload(3, kind::IMAGE, &picture) };
    assert_eq!(begin(&mut bo, larger), 0);
    // A stranger sends it all.
    let mut cy = Peer::guest(&server);
    assert_eq!(begin(&mut cy, upload(3, kind::IMAGE, &picture)), 0);
    cy.send_bytes(&chunk(3, 0, &picture));
    expect_stored(&mut cy, 3, &picture);
    assert_eq!(files(&server.data().join("media")).len(), 1);
}

#[test]
fn four_run_at_once_and_a_fifth_does_not() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let bodies: Vec<Vec<u8>> = [0, 1, 2, 3, 4].map(|n| random_bytes(n as u64, 3 * MEBIBYTE + n)).into();
    for (req, bytes) in (1..5).zip(&bodies) {
        assert_eq!(begin(&mut aya, upload(req, kind::FILE, bytes)), 0);
    }
    aya.send(upload(5, kind::FILE, &bodies[4]));
    let refused = aya.expect_error(Code::RateLimited, 5, kind::UPLOAD);
    assert!(refused.retry_ms > 0);
    // In turns, each as far ahead as it may be.
    let mut state: HashMap<u32, (usize, usize)> = (1..5).map(|req| (req, (0, 0))).collect();
    let mut stored = 0;
    while stored < 4 {
        for (req, bytes) in (1..5).zip(&bodies) {
            let (at, safe) = state.get_mut(&req).unwrap();
            let n = CHUNK.min(bytes.len() - *at);
            if n > 0 && *at + n - *safe <= WINDOW {
                aya.send_bytes(&chunk(req, *at, &bytes[*at..*at + n]));
                *at += n;
            }
        }
        let all_wait = (1..5).zip(&bodies).all(|(req, bytes)| {
            let (at, safe) = state[&req];
            at == bytes.len() || at + CHUNK - safe > WINDOW
        });
        if !all_wait {
            continue;
        }
        match aya.next() {
            Frame::Received(received) => {
                state.get_mut(&received.transfer).unwrap().1 = usize::try_from(received.offset).unwrap();
            }
            Frame::Stored(end) => {
                assert_eq!(end.media, digest(&bodies[end.transfer as usize - 1]));
                stored += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    store(&mut aya, kind::FILE, &bodies[4]);
}

#[test]
fn what_else_is_sent_passes_a_running_upload() {
    const SIZE: usize = 24 * MEBIBYTE;
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let bytes = random_bytes(2, SIZE);
    begin(&mut aya, upload(3, kind::FILE, &bytes));
    // Between any two chunks there is room for others, and each is answered while most is still to come.
    let (mut at, mut safe, mut pongs, mut nonce) = (0, 0, 0, 0);
    while at < SIZE {
        aya.send_bytes(&chunk(3, at, &bytes[at..at + CHUNK]));
        at += CHUNK;
        nonce += 1;
        aya.send(Ping { bytes: b"quick" });
        aya.text_to(To { nonce, chat: 1, ..To::default() }, "passes");
        let (mut answered, mut ponged) = (false, false);
        while !answered || !ponged || at - safe > WINDOW - CHUNK {
            match aya.next() {
                Frame::Received(received) => safe = usize::try_from(received.offset).unwrap(),
                Frame::Pong(_) => (ponged, pongs) = (true, pongs + 1),
                Frame::Status(status) => answered = status.nonce == nonce,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bo.next_text(), "passes");
    }
    expect_stored(&mut aya, 3, &bytes);
    assert_eq!(pongs, SIZE / CHUNK);
}

#[test]
fn who_sends_without_waiting_costs_no_memory() {
    const SIZE: usize = 64 * MEBIBYTE;
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.ping();
    let piece = random_bytes(3, CHUNK);
    let mut hasher = blake3::Hasher::new();
    (0..SIZE / CHUNK).for_each(|_| {
        hasher.update(&piece);
    });
    let wish =
        Upload { digest: *hasher.finalize().as_bytes(), size: SIZE as u64, ..upload(3, kind::FILE, b"") };
    assert_eq!(begin(&mut aya, wish), 0);
    let before = server.resident();
    let mut most = 0;
    for n in 0..SIZE / CHUNK {
        aya.send_bytes(&chunk(3, n * CHUNK, &piece));
        most = most.max(server.resident());
    }
    let mut safe = 0;
    while safe < SIZE {
        safe = received(&mut aya, 3, safe);
    }
    assert_eq!(aya.expect::<Stored>().transfer, 3);
    let grown = most.saturating_sub(before);
    assert!(grown < 16 * MEBIBYTE, "it grew by {grown} bytes");
}
