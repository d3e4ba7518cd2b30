//! Media: bodies in one frame, references and their rights, pushes (section 2 of docs/PROTOCOL.md).
//! FETCH has a file of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const MEBIBYTE: usize = 1 << 20;

fn digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

fn nonce(nonce: u64) -> To<'static> {
    To { nonce, ..To::default() }
}

/// A reference to these bytes, as a client makes it.
fn reference(kind: u8, bytes: &[u8]) -> Media<'static> {
    Media { media_kind: kind, media: digest(bytes), ..Media::default() }
}

fn files_of(server: &Server) -> Vec<std::path::PathBuf> {
    files(&server.data().join("media"))
}

/// Two in a room, the other with this limit.
fn two(server: &Server, inline_limit: u32) -> (Peer, Peer) {
    let mut aya = Peer::named(server, "Aya");
    let mut bo = Peer::hello(server, Hello { user: "Bo", inline_limit, ..Hello::default() });
    bo.join("harbour");
    aya.join("harbour");
    bo.expect::<Member<'_>>();
    (aya, bo)
}

#[test]
fn each_kind_is_measured_and_comes_back_as_it_was() {
    let server = Server::start();
    let (mut aya, mut bo) = two(&server, 0);
    let samples = [
        (kind::VOICE, "voice.mp3", "audio/mpeg", [1045, 0, 0]),
        (kind::VOICE, "voice-tagged.mp3", "audio/mpeg", [1045, 0, 0]),
        (kind::VIDEO, "video.mp4", "video/mp4", [1000, 64, 48]),
        (kind::IMAGE, "image.jpg", "image/jpeg", [0, 64, 48]),
        (kind::IMAGE, "image.png", "image/png", [0, 64, 48]),
        (kind::IMAGE, "image.webp", "image/webp", [0, 64, 48]),
        (kind::IMAGE, "image.gif", "image/gif", [0, 64, 48]),
        (kind::FILE, "README.md", "application/octet-stream", [0, 0, 0]),
    ];
    for (kind, name, mime, [duration_ms, width, height]) in samples {
        let bytes = sample(name);
        aya.body_to(To { name, ..To::default() }, kind, &bytes);
        aya.expect_status(0);
        let media = bo.next_message().media().clone();
        let size = bytes.len() as u64;
        let want =
            Media { media_kind: kind, media: digest(&bytes), size, mime, name, duration_ms, width, height };
        let close = media.duration_ms.abs_diff(duration_ms) <= 50;
        assert!(close, "{media:?}");
        assert_eq!(Media { duration_ms, ..media.clone() }, want);
        let (ready, fetched) = bo.fetch(media.media);
        assert_eq!((ready.size, ready.mime), (size, mime));
        assert!(fetched == bytes, "{name}");
    }
}

#[test]
fn bytes_of_another_kind_are_refused_and_leave_nothing() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let (voice, video, image) = (sample("voice.mp3"), sample("video.mp4"), sample("image.png"));
    let text = b"just a text that is long enough to be looked at".to_vec();
    let wrong = [
        (kind::VOICE, &video),
        (kind::VOICE, &image),
        (kind::VOICE, &text),
        (kind::VIDEO, &voice),
        (kind::VIDEO, &image),
        (kind::IMAGE, &voice),
        (kind::IMAGE, &video),
        (kind::IMAGE, &text),
    ];
    for (kind, bytes) in wrong {
        let large = bytes.repeat(2 * MEBIBYTE / bytes.len());
        for body in [bytes, &large, &Vec::new(), &bytes[..1].to_vec()] {
            aya.body_to(nonce(3), kind, body);
            aya.expect_error(Code::BadMedia, 3, kind);
        }
    }
    assert_eq!(files_of(&server).len(), 0);
    assert_eq!(files(&server.data().join("tmp")).len(), 0);
    // A file is any bytes, also none.
    for body in [&b""[..], b"\0", &image] {
        aya.body_to(To::default(), kind::FILE, body);
        aya.expect_status(0);
    }
    assert_eq!(files_of(&server).len(), 3);
}

#[test]
fn media_up_to_the_limit_is_pushed_byte_for_byte() {
    let server = Server::start();
    let (mut aya, mut bo) = two(&server, 100_000);
    let mut other = Peer::named(&server, "Cy");
    other.join("harbour");
    aya.expect::<Member<'_>>();
    bo.expect::<Member<'_>>();
    let mut random = random::Random::new();
    for size in [0, 1, 65_535, 65_536, 65_537, 99_999, 100_000, 100_001, 300_000] {
        let bytes = random.bytes(size);
        aya.body_to(To { name: "some.bin", ..nonce(size as u64 + 1) }, kind::FILE, &bytes);
        aya.text("behind it");
        aya.expect_status(size as u64 + 1);
        aya.expect_status(0);
        let pushed = bo.next_message();
        match &pushed.content {
            Frame::File(file) if size <= 100_000 => {
                assert!(file.body == bytes && pushed.from.name == "some.bin", "{size}");
            }
            Frame::Media(media) if size > 100_000 => assert_eq!(media.media, digest(&bytes)),
            other => panic!("{size}: {}", other.kind()),
        }
        assert_eq!(bo.next_text(), "behind it");
        assert_eq!(other.next_message().media().size, size as u64);
        assert_eq!(other.next_text(), "behind it");
    }
    let picture = sample("image.webp");
    aya.body_to(To::default(), kind::IMAGE, &picture);
    assert_eq!(bo.next_message().content, Frame::Image(Image { body: picture.leak() }));
}

#[test]
fn a_body_may_come_in_the_smallest_pieces_with_others_in_between() {
    let server = Server::start();
    let (mut aya, mut bo) = two(&server, 1 << 20);
    let voice = sample("voice.mp3");
    let bytes = [bytes_of(nonce(1)), raw(kind::VOICE, &voice), bytes_of(Text { text: "behind" })].concat();
    let mut random = random::Random::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(20)));
        aya.send_bytes(piece);
        rest = behind;
        bo.ping();
    }
    aya.expect_status(1);
    aya.expect_status(0);
    assert_eq!(bo.next_message().content, Frame::Voice(Voice { body: voice.leak() }));
    assert_eq!(bo.next_text(), "behind");
}

#[test]
fn a_large_body_is_never_whole_in_memory() {
    const SIZE: usize = 96 * MEBIBYTE;
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.ping();
    let before = server.resident();
    let piece = random::Random::from(1).bytes(MEBIBYTE);
    aya.send(nonce(1));
    aya.send_bytes(&header(kind::FILE, u32::try_from(SIZE).unwrap()));
    let mut most = 0;
    let mut hasher = blake3::Hasher::new();
    for _ in 0..SIZE / MEBIBYTE {
        aya.send_bytes(&piece);
        hasher.update(&piece);
        most = most.max(server.resident());
    }
    aya.expect_status(1);
    assert!(most - before < 24 * MEBIBYTE, "it grew by {} bytes", most - before);
    let stored = &files_of(&server)[0];
    assert_eq!(std::fs::metadata(stored).unwrap().len(), SIZE as u64);
    let name = stored.to_string_lossy().replace('/', "");
    assert!(name.ends_with(&hasher.finalize().to_hex().to_string()), "{name}");
}

#[test]
fn the_same_bytes_are_kept_once() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let picture = sample("image.jpg");
    for peer in [&mut aya, &mut bo] {
        for kind in [kind::IMAGE, kind::IMAGE, kind::FILE] {
            peer.body_to(To::default(), kind, &picture);
            peer.expect_status(0);
        }
    }
    let kept = files_of(&server);
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), picture);
}

#[test]
fn an_aborted_body_leaves_no_temporary_file() {
    let mut server = Server::start();
    let body = random::Random::from(2).bytes(MEBIBYTE);
    let tmp = server.data().join("tmp");
    for end in 0..3 {
        let mut aya = Peer::guest(&server);
        aya.send(nonce(1));
        aya.send_bytes(&header(kind::FILE, 2 << 20));
        aya.send_bytes(&body);
        until("the body is on its way to the disk", || !files(&tmp).is_empty());
        match end {
            0 => drop(aya),
            1 => {
                aya.finish_sending();
                aya.expect_bye(0);
            }
            _ => server.restart(),
        }
        until("the temporary file is gone", || files(&tmp).is_empty());
        assert_eq!(files_of(&server).len(), 0);
    }
}

#[test]
fn a_reference_is_for_who_may_read_the_media() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let mut cy = Peer::named(&server, "Cy");
    let picture = sample("image.png");
    aya.body_to(To { name: "mine.png", ..nonce(1) }, kind::IMAGE, &picture);
    aya.expect_status(1);
    let media = reference(kind::IMAGE, &picture);
    let nobody_may = |peer: &mut Peer| {
        peer.send(media.clone());
        let told = peer.expect_error(Code::NotFound, 0, kind::MEDIA).said.text;
        peer.send(reference(kind::IMAGE, b"never sent"));
        assert_eq!(peer.expect_error(Code::NotFound, 0, kind::MEDIA).said.text, told);
        peer.send(Fetch { req: 1, media: media.media, ..Fetch::default() });
        let told = peer.expect_error(Code::NotFound, 1, kind::FETCH).said.text;
        peer.send(Fetch { req: 1, media: [7; 32], ..Fetch::default() });
        assert_eq!(peer.expect_error(Code::NotFound, 1, kind::FETCH).said.text, told);
    };
    nobody_may(&mut bo);
    // She passes it on, by reference; what else she says of it does not count.
    let lies = Media { size: 1, mime: "a/b", name: "yours.png", width: 9, duration_ms: 9, ..media.clone() };
    aya.send(To { user: "Bo", ..nonce(2) });
    aya.send(lies);
    aya.expect_status(2);
    let got = bo.next_message();
    let want =
        Media { size: 469, mime: "image/png", name: "yours.png", width: 64, height: 48, ..media.clone() };
    assert_eq!(*got.media(), want);
    assert!(bo.fetch(media.media).1 == picture);
    nobody_may(&mut cy);
    // Bo may pass it on too. TO's name is the one that counts.
    bo.send(To { user: "Cy", name: "../theirs.png", ..nonce(1) });
    bo.send(Media { name: "yours.png", ..media.clone() });
    bo.expect_status(1);
    assert_eq!(cy.next_message().media().name, "theirs.png");
    assert!(cy.fetch(media.media).1 == picture);
}

#[test]
fn rights_are_looked_at_each_time() {
    let server = Server::start();
    let (mut aya, mut bo) = two(&server, 0);
    let file = b"only for who is in the room";
    aya.body_to(To::default(), kind::FILE, file);
    let media = bo.next_message().media().media;
    assert_eq!(bo.fetch(media).1, file);
    bo.leave(0);
    bo.send(Fetch { req: 1, media, ..Fetch::default() });
    bo.expect_error(Code::NotFound, 1, kind::FETCH);
    bo.send(reference(kind::FILE, file));
    bo.expect_error(Code::NotFound, 0, kind::MEDIA);
    bo.join("harbour");
    assert_eq!(bo.fetch(media).1, file);
}

#[test]
fn a_reference_of_the_wrong_kind_is_refused() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let picture = sample("image.png");
    aya.body_to(To::default(), kind::IMAGE, &picture);
    aya.expect_status(0);
    for media_kind in [0, 5, 16, 255, kind::VOICE, kind::VIDEO] {
        aya.send(nonce(4));
        aya.send(reference(media_kind, &picture));
        aya.expect_error(Code::BadMedia, 4, kind::MEDIA);
    }
    // Anything may be sent as a file.
    let mut other = aya.again(&server);
    aya.send(reference(kind::FILE, &picture));
    aya.expect_status(0);
    let file = other.next_message().media().clone();
    assert_eq!((file.media_kind, file.size, file.width, file.height), (kind::FILE, 469, 0, 0));
}

#[test]
fn a_reference_goes_with_its_nonce_like_any_message() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let picture = sample("image.png");
    aya.body_to(nonce(1), kind::IMAGE, &picture);
    aya.expect_status(1);
    for duplicate in [0, 1] {
        aya.send(nonce(2));
        aya.send(reference(kind::IMAGE, &picture));
        let status = aya.expect_status(2);
        assert_eq!((status.seq, status.duplicate), (2, duplicate));
    }
    // Whether whole or by reference, it is the same media.
    aya.send(nonce(2));
    aya.send(reference(kind::IMAGE, b"another"));
    aya.expect_error(Code::Conflict, 2, kind::MEDIA);
}

#[test]
fn a_bad_file_name_refuses_the_message() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let long = "a".repeat(256);
    for name in ["a\nb", "dir/\u{7}", &long] {
        aya.body_to(To { name, ..nonce(1) }, kind::FILE, b"bytes");
        aya.expect_error(Code::Conflict, 1, kind::FILE);
        assert_eq!(aya.say(To { name, ..To::default() }, "ignored before a text").duplicate, 0);
    }
    aya.body_to(To { name: "C:\\dir\\file.txt", ..nonce(1) }, kind::FILE, b"bytes");
    aya.expect_status(1);
    let home = aya.me().home;
    assert_eq!(
        aya.history(History { chat: home, limit: 1, ..History::default() }).1[0].media().name,
        "file.txt"
    );
}
