//! Nonces: exactly once, over connections, devices and restarts (section 3.4 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

fn named(nonce: u64) -> To<'static> {
    To { nonce, ..To::default() }
}

#[track_caller]
fn is_copy(status: &Status, first: &Status) {
    assert_eq!(*status, Status { duplicate: 1, ..first.clone() });
}

#[test]
fn a_copy_gets_the_first_status_again() {
    let mut server = Server::start();
    let mut aya = Peer::named(&server, "Aya");
    let first = aya.say(named(7), "hello");
    assert_eq!(first.duplicate, 0);
    aya.say(named(8), "in between");
    is_copy(&aya.say(named(7), "hello"), &first);
    let mut device = aya.again(&server);
    is_copy(&device.say(named(7), "hello"), &first);
    server.restart();
    let mut back = device.again(&server);
    is_copy(&back.say(named(7), "hello"), &first);
    assert_eq!(server.terminate().code(), Some(0));
    server.start_again();
    let mut back = device.again(&server);
    is_copy(&back.say(named(7), "hello"), &first);
    assert_eq!(back.say(named(9), "new").seq, 3);
}

#[test]
fn another_body_or_address_is_a_conflict() {
    let server = Server::start();
    let mut aya = Peer::named(&server, "Aya");
    let _bo = Peer::named(&server, "Bo");
    let home = aya.me().home;
    let room = aya.join("harbour").chat;
    let first = aya.say(To { chat: home, ..named(7) }, "hello");
    let matching = [
        // The current chat is no address that was named.
        named(7),
        To { chat: home, ..named(7) },
        To { user: "assistant", ..named(7) },
        To { reply_to: 1, ..named(7) },
        To { reply_to: 99, ..named(7) },
        To { name: "a.txt", ..named(7) },
    ];
    for to in matching {
        is_copy(&aya.say(to, "hello"), &first);
    }
    let conflicting = [
        (named(7), "hellO"),
        (To { chat: room, ..named(7) }, "hello"),
        (To { room: "harbour", ..named(7) }, "hello"),
        (To { chat: 999_999, ..named(7) }, "hello"),
        (To { room: "nowhere", ..named(7) }, "hello"),
        (To { user: "Bo", ..named(7) }, "hello"),
    ];
    for (to, text) in conflicting {
        aya.text_to(to, text);
        aya.expect_error(Code::Conflict, 7, kind::TEXT);
    }
    aya.body_to(named(7), kind::FILE, b"hello");
    aya.expect_error(Code::Conflict, 7, kind::FILE);
    aya.expect_nothing();
}

#[test]
fn a_copy_counts_also_where_one_may_not_write_any_more() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let room = aya.join("harbour").chat;
    let first = aya.say(To { chat: room, ..named(7) }, "hello");
    aya.leave(0);
    is_copy(&aya.say(To { chat: room, ..named(7) }, "hello"), &first);
    aya.text_to(To { chat: room, ..named(8) }, "hello");
    aya.expect_error(Code::Forbidden, 8, kind::TEXT);
}

#[test]
fn a_refused_message_leaves_its_nonce_free() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.text_to(To { chat: 999_999, ..named(7) }, "hello");
    aya.expect_error(Code::NotFound, 7, kind::TEXT);
    aya.text_to(named(7), "");
    aya.expect_error(Code::BadMedia, 7, kind::TEXT);
    aya.body_to(named(7), kind::VIDEO, b"not a video");
    aya.expect_error(Code::BadMedia, 7, kind::VIDEO);
    assert_eq!((aya.say(named(7), "hello").duplicate, aya.say(named(7), "hello").duplicate), (0, 1));
}

#[test]
fn nonces_of_two_users_are_strangers_and_none_is_none() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    for nonce in [1, 1 << 63, u64::MAX] {
        assert_eq!(aya.say(named(nonce), "hello").duplicate, 0);
        assert_eq!(bo.say(named(nonce), "hello").duplicate, 0);
    }
    let seqs: Vec<u64> = (0..3).map(|_| aya.say(named(0), "hello").seq).collect();
    assert_eq!(seqs, [4, 5, 6]);
}

#[test]
fn media_matches_by_its_bytes_and_kind() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let picture = sample("image.png");
    aya.body_to(named(7), kind::IMAGE, &picture);
    let first = aya.expect_status(7);
    aya.body_to(To { name: "another.png", ..named(7) }, kind::IMAGE, &picture);
    is_copy(&aya.expect_status(7), &first);
    aya.body_to(named(7), kind::FILE, &picture);
    aya.expect_error(Code::Conflict, 7, kind::FILE);
    aya.body_to(named(7), kind::IMAGE, &sample("image.gif"));
    aya.expect_error(Code::Conflict, 7, kind::IMAGE);
    assert_eq!(aya.say(named(8), "seq 2").seq, 2);
}

#[test]
fn copies_in_flight_on_two_connections_are_stored_once() {
    let server = Server::start();
    let mut one = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    let mut two = one.again_with(&server, Hello { flags: 1, ..Hello::default() });
    let nonces: Vec<u64> = (1..=300).collect();
    let burst: Vec<u8> = nonces
        .iter()
        .flat_map(|nonce| [bytes_of(named(*nonce)), bytes_of(Text { text: &nonce.to_string() })].concat())
        .collect();
    one.send_bytes(&burst);
    two.send_bytes(&burst);
    for nonce in nonces {
        let (a, b) = (one.expect_status(nonce), two.expect_status(nonce));
        assert_eq!((a.seq, a.at, a.duplicate + b.duplicate), (b.seq, b.at, 1));
        assert_eq!(a.seq, nonce);
    }
}

#[test]
fn a_copy_behind_its_first_in_one_burst_waits_for_it() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let message = [bytes_of(named(7)), bytes_of(Text { text: "hello" })].concat();
    let other = [bytes_of(named(7)), bytes_of(Text { text: "other" })].concat();
    aya.send_bytes(&[&message[..], &message, &other].concat());
    let first = aya.expect_status(7);
    is_copy(&aya.expect_status(7), &first);
    aya.expect_error(Code::Conflict, 7, kind::TEXT);
}
