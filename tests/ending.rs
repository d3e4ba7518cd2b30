//! The end of connections, and of the server (section 5.6 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Read;
use support::*;

const ALL: u64 = 1;

#[test]
fn what_came_before_bye_is_answered_and_what_comes_behind_is_not() {
    let mut server = Server::start();
    let mut aya = Peer::guest(&server);
    let text = bytes_of(Text { text: "counts" });
    let rooms = bytes_of(Rooms { req: 1, ..Rooms::default() });
    let bye = bytes_of(Bye { code: 0, reason: "enough" });
    aya.send_bytes(&[&text.repeat(300), &rooms[..], &text, &bye, &text, &rooms].concat());
    for _ in 0..300 {
        aya.expect_status(0);
    }
    aya.expect::<RoomList<'_>>();
    aya.expect_status(0);
    aya.expect_bye(0);
    let mut back = aya.again(&server);
    let home = back.me().home;
    assert_eq!(back.sync(home, 301).last_seq, 301);
    drop((aya, back));
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn the_end_of_the_sending_side_is_a_bye_wherever_it_stands() {
    let server = Server::start();
    let body = [&header(kind::FILE, 1000)[..], b"half a body"].concat();
    let cut: [&[u8]; 8] = [
        b"",
        &[kind::TEXT],
        &bytes_of(Text { text: "cut" })[..4],
        &bytes_of(Text { text: "cut" })[..7],
        &bytes_of(To { nonce: 5, ..To::default() }),
        &[&bytes_of(To { nonce: 5, ..To::default() })[..], &header(kind::TEXT, 2)].concat(),
        &body,
        &bytes_of(Join { req: 1, room: "harbour", flags: 0 })[..8],
    ];
    for piece in cut {
        let mut aya = Peer::guest(&server);
        let before = bytes_of(Text { text: "before" });
        aya.send_bytes(&[&before[..], &before, piece].concat());
        aya.finish_sending();
        assert_eq!(aya.expect_status(0).seq, 1);
        assert_eq!(aya.expect_status(0).seq, 2);
        aya.expect_bye(0);
        let mut back = aya.again(&server);
        let home = back.me().home;
        assert_eq!(back.sync(home, 2).last_seq, 2);
    }
}

/// That the log has no error is looked at when a `Server` is dropped.
#[test]
fn stopping_while_the_server_has_only_just_begun_is_no_failure() {
    let mut server = Server::start();
    for _ in 0..20 {
        assert_eq!(server.terminate().code(), Some(0));
        server.start_again();
    }
}

#[test]
fn a_frame_too_large_that_is_cut_has_its_answer_all_the_same() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.send_bytes(&[&header(kind::TEXT, 70_000)[..], b"only so much"].concat());
    aya.finish_sending();
    aya.expect_error(Code::TooLarge, 0, kind::TEXT);
    aya.expect_bye(0);
}

#[test]
fn before_a_whole_hello_the_server_just_closes() {
    let server = Server::start();
    let hello = bytes_of(Peer::filled(Hello::default()));
    for end in [0, 1, 5, hello.len() - 1] {
        let mut peer = Peer::connect(&server);
        peer.send_bytes(&hello[..end]);
        peer.finish_sending();
        peer.expect_end();
    }
    // The smallest session there is.
    let mut peer = Peer::connect(&server);
    peer.send_bytes(&[&hello[..], &bytes_of(Text { text: "hi" })].concat());
    peer.finish_sending();
    peer.expect_welcome();
    assert_eq!(peer.expect_status(0).seq, 1);
    peer.expect_bye(0);
}

#[test]
fn a_half_closed_asker_gets_its_answers_and_a_whole_body_counts() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    let body = random::Random::from(5).bytes(3 << 20);
    aya.body_to(To { nonce: 1, ..To::default() }, kind::FILE, &body);
    aya.send(History { req: 2, chat: home, ..History::default() });
    aya.send(Cancel { req: 3, transfer: 1 });
    aya.finish_sending();
    aya.expect_status(1);
    let page: HistoryPage = aya.expect();
    assert_eq!((page.last_seq, page.count), (1, 1));
    assert_eq!(aya.next_message().media().size, body.len() as u64);
    aya.expect::<Cancelled>();
    aya.expect_bye(0);
}

#[test]
fn a_fatal_error_waits_for_the_answers_before_it_and_ends_all_behind_it() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let text = bytes_of(Text { text: "before" });
    let bad = raw(kind::TEXT, b"\xFF");
    aya.send_bytes(&[&text.repeat(100), &bad[..], &text.repeat(100)].concat());
    for _ in 0..100 {
        aya.expect_status(0);
    }
    aya.expect_fatal(Code::Malformed, kind::TEXT);
    let mut back = aya.again(&server);
    let home = back.me().home;
    assert_eq!(back.sync(home, 100).last_seq, 100);
}

#[test]
fn the_last_frame_arrives_though_the_client_goes_on_sending() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.send_bytes(&[raw(kind::TEXT, b"\xFF"), bytes_of(Text { text: "more" }).repeat(50_000)].concat());
    aya.expect_fatal(Code::Malformed, kind::TEXT);
}

#[test]
fn a_connection_that_ended_gets_nothing_live_behind_its_bye() {
    let server = Server::start();
    let mut writer = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    let mut aya = Peer::guest(&server);
    let text = [bytes_of(To { chat: ALL, ..To::default() }), bytes_of(Text { text: "live" })].concat();
    writer.send_bytes(&text.repeat(500));
    aya.send(Bye::default());
    let mut frames = Vec::new();
    while let Some(frame) = aya.poll() {
        frames.push(frame.kind());
    }
    assert_eq!(frames.pop(), Some(kind::BYE));
    assert!(!frames.contains(&kind::BYE));
}

#[test]
fn sigterm_says_bye_to_all_and_ends_with_0() {
    let mut server = Server::start();
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::guest(&server)).collect();
    let mut silent = Peer::connect(&server);
    server.signal_term();
    for peer in &mut peers {
        peer.expect_bye(1);
    }
    // It has not said HELLO: no frame is promised, but an end.
    while silent.poll().is_some() {}
    drop((peers, silent));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sigterm_answers_what_is_in_flight() {
    const EACH: usize = 2000;
    let mut server = Server::with(&[("store.durability", "normal")]);
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::guest(&server)).collect();
    for peer in &mut peers {
        let burst: Vec<u8> = (1..=EACH as u64)
            .flat_map(|nonce| {
                [bytes_of(To { nonce, ..To::default() }), bytes_of(Text { text: "burst" })].concat()
            })
            .collect();
        peer.send_bytes(&burst);
    }
    peers[0].expect_status(1);
    server.signal_term();
    let mut confirmed = Vec::new();
    for (n, peer) in peers.iter_mut().enumerate() {
        let mut last = u64::from(n == 0);
        loop {
            match peer.next() {
                Frame::Status(status) => {
                    assert_eq!((status.nonce, status.seq), (last + 1, last + 1));
                    last += 1;
                }
                Frame::Bye(bye) => break assert_eq!(bye.code, 1),
                other => panic!("{other:?}"),
            }
        }
        peer.expect_end();
        confirmed.push((peer.me().token, last));
    }
    drop(peers);
    assert_eq!(server.wait().code(), Some(0));
    server.start_again();
    for (secret, last) in confirmed {
        let mut peer = Peer::hello(&server, Hello { auth: 2, secret, ..Hello::default() });
        let home = peer.me().home;
        let (page, _) = peer.history(History { chat: home, ..History::default() });
        assert_eq!(page.last_seq, last, "what is stored is what was confirmed");
    }
}

#[test]
fn a_body_that_sigterm_finds_is_answered_if_it_is_kept() {
    let mut server = Server::start();
    for _ in 0..5 {
        let mut aya = Peer::guest(&server);
        let body = random::Random::new().bytes(4 << 20);
        let before = files(&server.data().join("media")).len();
        aya.body_to(To { nonce: 1, ..To::default() }, kind::FILE, &body);
        server.signal_term();
        let mut answered = 0;
        while let Some(frame) = aya.poll() {
            answered += usize::from(frame.kind() == kind::STATUS);
        }
        drop(aya);
        assert_eq!(server.wait().code(), Some(0));
        server.start_again();
        let kept = || files(&server.data().join("media")).len() - before;
        until("what was not answered is not kept", || kept() == answered);
    }
}

/// Readers of the room `all` for whom much waits that they do not read.
fn readers_that_stand_still(server: &Server, count: usize) -> Vec<Peer> {
    let mut writer = Peer::hello(server, Hello { flags: 1, ..Hello::default() });
    let still = (0..count).map(|_| Peer::guest(server)).collect();
    let text = "a".repeat(60_000);
    for _ in 0..500 {
        writer.say(To { chat: ALL, ..To::default() }, &text);
    }
    still
}

#[test]
fn readers_that_stand_still_do_not_hold_up_the_end() {
    let mut server = Server::start();
    let still = readers_that_stand_still(&server, 5);
    let mut reads = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    let mut halfway = Peer::connect(&server);
    halfway.send_bytes(&[kind::HELLO]);
    let begun = std::time::Instant::now();
    server.signal_term();
    reads.expect_bye(1);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(!server.log().contains("did not end in time"), "each is let go, and none is left over");
    drop(still);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start();
    let still = readers_that_stand_still(&server, 1);
    server.signal_term();
    server.logs("stopping;");
    server.signal_term();
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("stopped by a second signal"));
    drop(still);
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let mut second = server.command().spawn().unwrap();
    let status = second.wait().unwrap();
    let mut said = String::new();
    second.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    let folder = server.data().display().to_string();
    assert!(said.contains("another server") && said.contains(&folder), "{said}");
    aya.ping();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let server = Server::start();
    let address = server.address().to_string();
    let other = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chatwire"))
        .args(["serve", "--listen", &address, "--data"])
        .arg(other.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(&address), "{said}");
}
