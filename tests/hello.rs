//! HELLO and WELCOME: who comes in, as whom, and who does not (sections 5.2 to 5.4 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

#[track_caller]
fn refused(server: &Server, hello: Hello<'_>, code: Code) -> String {
    let mut peer = Peer::connect(server);
    peer.send(hello);
    peer.expect_fatal(code, kind::HELLO).said.text.to_string()
}

#[track_caller]
fn bytes_refused(server: &Server, bytes: &[u8], code: Code, about: u8) {
    let mut peer = Peer::connect(server);
    peer.send_bytes(bytes);
    peer.expect_fatal(code, about);
}

#[test]
fn a_zone_is_admitted_as_the_table_spells_it() {
    let server = Server::start();
    for timezone in ["Asia/Calcutta", "UTC", "America/Argentina/Buenos_Aires"] {
        Peer::hello(&server, Hello { timezone, ..Hello::default() });
    }
    for timezone in ["", "asia/tokyo", "Asia/Tokyo ", "Mars/Olympus", "+09:00"] {
        refused(&server, Hello { version: 1, timezone, ..Hello::default() }, Code::BadTimezone);
    }
}

#[test]
fn policy_says_which_zones_are_admitted() {
    let server = Server::with(&[("policy.timezones", "Asia/*")]);
    Peer::hello(&server, Hello { timezone: "Asia/Calcutta", ..Hello::default() });
    refused(&server, Hello { version: 1, timezone: "Europe/Berlin", ..Hello::default() }, Code::BadTimezone);
}

#[test]
fn the_highest_common_version_is_taken() {
    let server = Server::start();
    for version in [1, 2, 255] {
        let peer = Peer::hello(&server, Hello { version, ..Hello::default() });
        assert_eq!(peer.me().version, 1);
    }
    // The version is looked at before the zone.
    let text = refused(
        &server,
        Hello { version: 0, timezone: "Mars/Olympus", ..Hello::default() },
        Code::BadVersion,
    );
    assert!(text.contains('1'), "{text}");
}

#[test]
fn guests_get_the_next_id_and_its_name() {
    let server = Server::start();
    let guests: Vec<Peer> = (0..5).map(|_| Peer::guest(&server)).collect();
    for pair in guests.windows(2) {
        assert_eq!(pair[1].me().user, pair[0].me().user + 1);
        assert_ne!(pair[1].me().home, pair[0].me().home);
        assert_ne!(pair[1].me().session, pair[0].me().session);
        assert_ne!(pair[1].me().token, pair[0].me().token);
        assert_eq!(pair[1].me().epoch, pair[0].me().epoch);
    }
    for guest in &guests {
        assert_eq!(guest.me().user_name, format!("guest{}", guest.me().user));
    }
}

#[test]
fn ids_go_on_behind_a_crash() {
    let mut server = Server::start();
    let (user, home) = (Peer::guest(&server).me().user, Peer::guest(&server).me().home);
    server.restart();
    let next = Peer::guest(&server);
    assert!(next.me().user == user + 2 && next.me().home > home, "{:?}", next.me());
}

#[test]
fn a_name_that_is_wished_for_is_given_once() {
    let server = Server::start();
    let aya = Peer::named(&server, "Aya");
    assert_eq!(aya.me().user_name, "Aya");
    aya.bye();
    // Its token is still good, so the name is still taken, however it is spelled.
    for user in ["Aya", "aya", "AYA", "Ａｙａ"] {
        refused(&server, Peer::filled(Hello { user, ..Hello::default() }), Code::Conflict);
    }
}

#[test]
fn bad_and_reserved_names_are_given_to_nobody() {
    let server = Server::start();
    let long = "a".repeat(65);
    for user in [
        "all",
        "ALL",
        "assistant",
        "Assistant",
        "guest7",
        "GUEST7",
        " a",
        "a ",
        "a  b",
        "a/b",
        "a\nb",
        "😀",
        &long,
    ] {
        refused(&server, Peer::filled(Hello { user, ..Hello::default() }), Code::Conflict);
    }
    for user in ["a b", "naïve", "漢字", "guest", "guest7a", "a.b-c_d", &long[1..]] {
        assert_eq!(Peer::named(&server, user).me().user_name, user);
    }
}

#[test]
fn a_token_brings_back_the_same_guest_on_the_same_device() {
    let mut server = Server::start();
    let hello = Hello { device: "phone", ..Hello::default() };
    let first = Peer::hello(&server, hello.clone());
    let me = first.me().clone();
    assert!(me.token.len() >= 16 && me.token.bytes().all(|b| b.is_ascii_graphic()), "{}", me.token);
    first.bye();

    let token = Hello { auth: 2, secret: me.token, ..hello };
    for _ in 0..2 {
        let back = Peer::hello(&server, token.clone());
        assert_eq!((back.me().user, back.me().home, back.me().user_name), (me.user, me.home, me.user_name));
        assert_eq!((back.me().token, back.me().epoch), ("", me.epoch));
        // What `user` says does not matter.
        let other = Peer::hello(&server, Hello { user: "all", ..token.clone() });
        assert_eq!(other.me().user, me.user);
        server.restart();
    }
    let mut texts = Vec::new();
    for device in ["", "Phone", "laptop"] {
        texts.push(refused(&server, Peer::filled(Hello { device, ..token.clone() }), Code::Unauthenticated));
    }
    for secret in ["", "0", &me.token[1..]] {
        texts.push(refused(&server, Peer::filled(Hello { secret, ..token.clone() }), Code::Unauthenticated));
    }
    // Whoever guesses learns nothing.
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[test]
fn other_ways_to_log_in_are_refused() {
    let server = Server::start();
    for auth in [4, 255] {
        let hello = Hello { user: "aya", auth, secret: "secret", ..Hello::default() };
        refused(&server, Peer::filled(hello), Code::Unauthenticated);
    }
}

#[test]
fn guests_come_in_only_where_policy_says_so() {
    let server = Server::with(&[("policy.guests", "false")]);
    refused(&server, Peer::filled(Hello::default()), Code::Unauthenticated);
}

#[test]
fn welcome_says_what_is_in_force() {
    let server = Server::with(&[
        ("limits.text_bytes", "1000"),
        ("limits.media_bytes", "5000"),
        ("timing.heartbeat_secs", "77"),
    ]);
    for (wish, inline_limit) in [(0, 0), (1, 1), (1 << 20, 1 << 20), (u32::MAX, 1 << 20)] {
        let peer = Peer::hello(&server, Hello { inline_limit: wish, ..Hello::default() });
        let me = peer.me();
        assert_eq!((me.inline_limit, me.max_text, me.max_media), (inline_limit, 1000, 5000));
        assert_eq!(me.heartbeat, 77);
    }
}

#[test]
fn what_is_pipelined_behind_hello_is_served() {
    let server = Server::start();
    let mut peer = Peer::connect(&server);
    let mut bytes = bytes_of(Peer::filled(Hello::default()));
    bytes.extend(bytes_of(Text { text: "to my home" }));
    bytes.extend(bytes_of(Join { req: 1, room: "harbour", flags: 0 }));
    bytes.extend(bytes_of(Text { text: "to the room" }));
    peer.send_bytes(&bytes);
    let home = peer.expect_welcome().home;
    assert_eq!(peer.expect_status(0).chat, home);
    let joined: Joined<'_> = peer.expect();
    assert_eq!((joined.last_seq, joined.created), (0, 1));
    assert_eq!(peer.expect_status(0).chat, joined.chat);
}

#[test]
fn hello_may_come_byte_by_byte_and_grown() {
    let server = Server::start();
    let mut payload = bytes_of(Peer::filled(Hello::default())).split_off(HEADER_LEN);
    payload.extend(b"a field of a later version");
    let mut peer = Peer::connect(&server);
    for byte in raw(kind::HELLO, &payload) {
        peer.send_bytes(&[byte]);
    }
    peer.expect_welcome();
    let mut peer = Peer::connect(&server);
    peer.send_bytes(&raw(kind::HELLO, b"\x01\x03UTC"));
    peer.expect_welcome();
}

#[test]
fn anything_else_first_is_refused() {
    let server = Server::start();
    bytes_refused(&server, &bytes_of(Text { text: "hi" }), Code::HelloExpected, kind::TEXT);
    bytes_refused(&server, &raw(kind::PING, b""), Code::HelloExpected, kind::PING);
    bytes_refused(&server, &raw(0x6E, b""), Code::HelloExpected, 0x6E);
    bytes_refused(&server, &raw(0xC0, b""), Code::HelloExpected, 0xC0);
    // The header is enough.
    bytes_refused(&server, &header(kind::TEXT, 1 << 20), Code::HelloExpected, kind::TEXT);
    bytes_refused(&server, b"GET / HTTP/1.1\r\n\r\n", Code::TooLarge, b'G');
}

#[test]
fn a_hello_that_cannot_be_read_is_malformed() {
    let server = Server::start();
    let bad: [&[u8]; 6] =
        [b"", b"\x01", b"\x01\x05UTC", b"\x01\x03UT\xFF", b"\x01\x03UTC\x02a", b"\x01\x03UTC\x00\x00\x00"];
    for payload in bad {
        bytes_refused(&server, &raw(kind::HELLO, payload), Code::Malformed, kind::HELLO);
    }
    bytes_refused(&server, &header(kind::HELLO, 2049), Code::Malformed, kind::HELLO);
    bytes_refused(&server, &header(kind::HELLO, u32::MAX), Code::TooLarge, kind::HELLO);
    let mut peer = Peer::guest(&server);
    peer.send_hello(Hello::default());
    peer.expect_fatal(Code::Malformed, kind::HELLO);
}

#[test]
fn hello_must_be_whole_in_time() {
    let server = Server::with(&[("timing.hello_secs", "0.8")]);
    let hello = bytes_of(Peer::filled(Hello::default()));
    let begun = [0, 1, HEADER_LEN, hello.len() - 1].map(|end| {
        let mut peer = Peer::connect(&server);
        peer.send_bytes(&hello[..end]);
        peer
    });
    for mut peer in begun {
        peer.expect_fatal(Code::Timeout, NOTHING);
    }
    // It is over with the HELLO.
    let mut peer = Peer::guest(&server);
    let mut silent = Peer::connect(&server);
    silent.expect_fatal(Code::Timeout, NOTHING);
    peer.ping();
}

#[test]
fn whoever_finds_no_place_in_time_is_told() {
    let server = Server::with(&[("limits.connections", "2"), ("limits.wait_secs", "0.05")]);
    let (mut one, _two) = (Peer::guest(&server), Peer::guest(&server));
    let mut three = Peer::connect(&server);
    assert!(three.expect_busy().retry_ms > 0);
    one.ping();
}

#[test]
fn a_place_that_becomes_free_goes_to_whoever_waits() {
    let server = Server::with(&[("limits.connections", "1"), ("limits.wait_secs", "20")]);
    let first = Peer::guest(&server);
    let mut second = Peer::connect(&server);
    second.send_hello(Hello::default());
    first.bye();
    second.expect_welcome();
    // Nor does it matter how it became free.
    let mut third = Peer::connect(&server);
    third.send_hello(Hello::default());
    drop(second);
    third.expect_welcome();
}

#[test]
fn a_user_has_no_more_connections_than_allowed() {
    let server = Server::with(&[("limits.connections_per_user", "2")]);
    let (one, others) = (Peer::guest(&server), Peer::guest(&server));
    let mut two = one.again(&server);
    let token = Peer::filled(Hello { auth: 2, secret: one.me().token, ..Hello::default() });
    let mut late = Peer::connect(&server);
    late.send_bytes(&[bytes_of(token.clone()), bytes_of(Join { req: 1, room: "tea", flags: 0 })].concat());
    late.expect_fatal(Code::Busy, kind::HELLO);
    two.ping();
    assert_eq!(two.chats().len(), 2, "nothing of what it brought was done");
    two.bye();
    one.again(&server).ping();
    drop(others);
}

#[test]
fn what_is_sent_with_hello_is_served_in_its_order() {
    let server = Server::start();
    let hello = |token: &'static str| Hello {
        auth: 2 * u8::from(!token.is_empty()),
        secret: token,
        ..Hello::default()
    };
    let all = |token, room| {
        let join = Join { req: 1, room, flags: 0 };
        let frames = [bytes_of(Peer::filled(hello(token))), bytes_of(join), bytes_of(Text { text: "hi" })];
        frames.concat()
    };
    let mut peer = Peer::connect(&server);
    peer.send_bytes(&all("", "tea"));
    peer.expect_welcome();
    let tea = peer.expect::<Joined>();
    assert_eq!((tea.req, tea.room, tea.created), (1, "tea", 1));
    assert_eq!(peer.expect::<Status>().chat, tea.chat);

    // The JOIN of a device that comes back changes nothing.
    let token = peer.me().token;
    let mut back = Peer::connect(&server);
    back.send_bytes(&all(token, "TEA"));
    back.expect_welcome();
    let again = back.expect::<Joined>();
    assert_eq!((again.chat, again.last_seq, again.created), (tea.chat, 1, 0));

    // Cut at any byte, it is the same.
    let whole = all("", "tea");
    for cut in [10, 30, 40, whole.len() - 7] {
        let mut peer = Peer::connect(&server);
        peer.send_bytes(&whole[..cut]);
        peer.send_bytes(&whole[cut..]);
        peer.expect_welcome();
        assert_eq!(peer.expect::<Joined>().chat, tea.chat);
    }
}

#[test]
fn of_a_join_with_a_hello_that_is_refused_nothing_is_heard() {
    let server = Server::start();
    for (secret, room) in [("2-00", "tea"), ("2-00", "guest7")] {
        let mut peer = Peer::connect(&server);
        let hello = bytes_of(Peer::filled(Hello { auth: 2, secret, ..Hello::default() }));
        peer.send_bytes(&[hello, bytes_of(Join { req: 1, room, flags: 0 })].concat());
        peer.expect_fatal(Code::Unauthenticated, kind::HELLO);
    }
    let mut peer = Peer::connect(&server);
    let join = Join { req: 7, room: "guest7", flags: 0 };
    peer.send_bytes(&[bytes_of(Peer::filled(Hello::default())), bytes_of(join)].concat());
    peer.expect_welcome();
    peer.expect_error(Code::Conflict, 7, kind::JOIN);
    assert!(peer.join("tea").created == 1, "nobody has made it before");
}
