//! Messages: where they go, their answers and the order of these (sections 1.5 to 3.3 of docs/PROTOCOL.md).
//! Nonces have a file of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};
use support::*;

fn to_chat(nonce: u64, chat: u64) -> To<'static> {
    To { nonce, chat, ..To::default() }
}

fn to_user(nonce: u64, user: &str) -> To<'_> {
    To { nonce, user, ..To::default() }
}

#[test]
fn a_text_arrives_byte_for_byte() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let chat = aya.join("harbour").chat;
    bo.join("harbour");
    aya.expect::<Member<'_>>();
    let longest = "é".repeat(32 * 1024);
    for (text, nonce) in [(" \n\t ", 7), ("\0", 8), ("e\u{301} vs é 東京", 9), (&longest, u64::MAX)] {
        let status = aya.say(To { nonce, ..To::default() }, text);
        assert_eq!((status.chat, status.duplicate), (chat, 0));
        let message = bo.next_message();
        assert_eq!(message.text(), text);
        let from = &message.from;
        assert_eq!((from.chat, from.seq, from.at), (chat, status.seq, status.at));
        assert_eq!((from.user, from.user_name, from.nonce), (aya.me().user, "Aya", 0));
        assert_eq!((from.reply_to, from.name), (0, ""));
    }
    aya.expect_nothing();
}

#[test]
fn without_an_address_it_goes_to_the_current_chat() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    aya.text("netcat");
    assert_eq!((aya.expect::<Status>().chat, home), (home, home));
    let room = aya.join("harbour").chat;
    assert_eq!(aya.say(To { nonce: 1, ..To::default() }, "room").chat, room);
    aya.text("room");
    assert_eq!(aya.expect_status(0).chat, room);
    assert_eq!(aya.say(to_chat(2, home), "home").chat, home);
    aya.leave(0);
    aya.text("home");
    assert_eq!(aya.expect_status(0).chat, home);
}

#[test]
fn answers_come_in_the_order_of_the_messages_refused_or_not() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let max_text = usize::try_from(aya.me().max_text).unwrap();
    let to = |nonce| bytes_of(To { nonce, ..To::default() });
    let refusals: [(Code, u8, Vec<u8>); 7] = [
        (Code::BadMedia, kind::TEXT, raw(kind::TEXT, b"")),
        (Code::Unsupported, 0x07, raw(0x07, b"content of a later version")),
        (Code::Unsupported, kind::GONE, raw(kind::GONE, b"")),
        (Code::TooLarge, kind::TEXT, raw(kind::TEXT, &vec![b'a'; max_text + 1])),
        (Code::TooLarge, kind::MEDIA, raw(kind::MEDIA, &[0; 4097])),
        (Code::BadMedia, kind::IMAGE, raw(kind::IMAGE, b"not a picture")),
        (Code::NotFound, kind::MEDIA, bytes_of(Media { media_kind: 4, ..Media::default() })),
    ];
    let mut random = random::Random::new();
    let (mut bytes, mut plan) = (Vec::new(), Vec::new());
    for nonce in 1..300 {
        bytes.extend(to(nonce));
        let refusal = refusals.get(random.below(2 * refusals.len()));
        bytes.extend(refusal.map_or_else(|| bytes_of(Text { text: "taken" }), |(.., frame)| frame.clone()));
        plan.push((nonce, refusal));
    }
    let mut socket = aya.sender();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut socket, &bytes).unwrap());
    let mut seq = 0;
    for (nonce, refusal) in plan {
        match refusal {
            Some((code, about, _)) => drop(aya.expect_error(*code, nonce, *about)),
            None => {
                seq += 1;
                assert_eq!(aya.expect_status(nonce).seq, seq);
            }
        }
    }
    sending.join().unwrap();
    aya.expect_nothing();
}

#[test]
fn a_request_waits_for_the_answers_to_what_came_before() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    for round in 0..20 {
        let mut bytes = Vec::new();
        for _ in 0..10 {
            bytes.extend(bytes_of(Text { text: "before" }));
        }
        bytes.extend(bytes_of(History { req: 1, chat: home, limit: 1, ..History::default() }));
        bytes.extend(bytes_of(Text { text: "between" }));
        bytes.extend(bytes_of(Join { req: 2, room: "a/b", flags: 0 }));
        bytes.extend(bytes_of(Text { text: "between" }));
        bytes.extend(bytes_of(Cancel { req: 3, transfer: 9 }));
        bytes.extend(bytes_of(Text { text: "behind" }));
        aya.send_bytes(&bytes);
        for seq in 1..=10 {
            assert_eq!(aya.expect_status(0).seq, round * 13 + seq);
        }
        let page: HistoryPage = aya.expect();
        assert_eq!((page.req, page.last_seq, page.count), (1, round * 13 + 10, 1));
        assert_eq!(aya.next_message().from.seq, page.last_seq);
        aya.expect_status(0);
        aya.expect_error(Code::Conflict, 2, kind::JOIN);
        aya.expect_status(0);
        assert_eq!(aya.expect::<Cancelled>().req, 3);
        aya.expect_status(0);
    }
}

#[test]
fn messages_of_one_connection_keep_their_order_in_each_chat() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let mut bo = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    let rooms = [aya.join("a").chat, aya.join_too("b").chat];
    bo.join("a");
    bo.join_too("b");
    aya.expect::<Member<'_>>();
    aya.expect::<Member<'_>>();
    let mut random = random::Random::new();
    let plan: Vec<u64> = (0..600).map(|_| random.pick(&rooms)).collect();
    let mut bytes = Vec::new();
    for (nonce, chat) in (1..).zip(&plan) {
        bytes.extend(bytes_of(to_chat(nonce, *chat)));
        bytes.extend(bytes_of(Text { text: &nonce.to_string() }));
    }
    aya.send_bytes(&bytes);
    let mut seqs = [0, 0];
    let mut at = 0;
    for (nonce, chat) in (1..).zip(&plan) {
        let status = aya.expect_status(nonce);
        let seq = &mut seqs[usize::from(*chat == rooms[1])];
        *seq += 1;
        assert_eq!((status.chat, status.seq), (*chat, *seq));
        assert!(status.at >= at);
        at = status.at;
    }
    for (room, n) in rooms.iter().zip(seqs) {
        let sent = (1..).zip(&plan).filter(|(_, chat)| *chat == room).map(|(n, _): (u64, _)| n.to_string());
        let read = bo.history(History { chat: *room, limit: 200, flags: 1, ..History::default() }).1;
        assert_eq!(read.iter().map(Message::text).collect::<Vec<_>>(), sent.take(200).collect::<Vec<_>>());
        assert!(n > 200);
    }
}

#[test]
fn an_address_is_refused_without_telling_what_exists() {
    let server = Server::start();
    let mut aya = Peer::named(&server, "Aya");
    let (mut bo, mut cy) = (Peer::named(&server, "Bo"), Peer::named(&server, "Cy"));
    let room = bo.join("harbour").chat;
    let direct = bo.say(to_user(1, "cy"), "between us").chat;
    cy.next_text();
    let to_room = |room| To { nonce: 1, room, ..To::default() };
    let bo_home = bo.me().home;
    let mut refused = |to: To<'_>, code| {
        aya.text_to(To { nonce: 1, ..to }, "hi");
        aya.expect_error(code, 1, kind::TEXT).said.text
    };
    refused(to_chat(1, room), Code::Forbidden);
    refused(to_room("HARBOUR"), Code::Forbidden);
    refused(to_room("nowhere"), Code::NotFound);
    refused(to_room("a/b"), Code::NotFound);
    let nobody = refused(to_user(1, "nobody"), Code::NotFound);
    assert_eq!(refused(to_user(1, "aya"), Code::NotFound), nobody);
    assert_eq!(refused(to_user(1, "guest999"), Code::NotFound), nobody);
    let nothing = refused(to_chat(1, 999_999), Code::NotFound);
    for chat in [bo_home, direct, 1 << 53, u64::MAX] {
        assert_eq!(refused(to_chat(1, chat), Code::NotFound), nothing);
    }
    // A number that is taken by nobody is as good as one that is taken.
    refused(To { reply_to: 1, ..to_chat(1, bo_home) }, Code::NotFound);
    refused(To { reply_to: 1, ..to_chat(1, room) }, Code::Forbidden);
    bo.expect_nothing();
    cy.expect_nothing();
}

#[test]
fn a_direct_chat_begins_with_its_first_message() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let mut bo_too = bo.again(&server);
    let first = aya.say(to_user(1, "BO"), "hello");
    assert_eq!(first.seq, 1);
    for device in [&mut bo, &mut bo_too] {
        let message = device.next_message();
        assert_eq!((message.from.chat, message.from.user_name, message.text()), (first.chat, "Aya", "hello"));
    }
    let answer = bo.say(To { reply_to: 1, ..to_user(1, "aya") }, "hello you");
    assert_eq!((answer.chat, answer.seq), (first.chat, 2));
    assert_eq!(aya.next_message().from.reply_to, 1);
    let seen = bo_too.next_message().from;
    assert_eq!((seen.nonce, seen.user), (1, bo.me().user));
    assert_eq!(aya.say(to_chat(2, first.chat), "by its number").seq, 3);
    assert_eq!((bo.next_text(), bo_too.next_text()), ("by its number", "by its number"));
}

#[test]
fn the_assistants_name_means_ones_home() {
    let server = Server::with(&[("assistant.kind", "echo")]);
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    assert_eq!(aya.say(to_user(1, "Assistant"), "hello").chat, home);
    let reply = aya.next_message();
    assert_eq!((reply.from.chat, reply.from.user, reply.from.user_name), (home, 1, "assistant"));
    assert_eq!((reply.from.seq, reply.from.reply_to), (2, 1));
    let Frame::ReplyText(said) = reply.content else { panic!("{reply:?}") };
    assert_eq!((said.said.text, said.attachments.len()), ("hello", 0));
}

#[test]
fn the_assistant_answers_each_message_at_home_behind_its_status() {
    let server = Server::with(&[("assistant.kind", "echo")]);
    let mut aya = Peer::guest(&server);
    let texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for text in &texts {
        aya.text(text);
    }
    let (mut statuses, mut replies) = (Vec::new(), Vec::new());
    while replies.len() < texts.len() {
        match aya.next() {
            Frame::Status(status) => statuses.push(status.seq),
            Frame::From_(from) => {
                let reply: ReplyText<'_> = aya.expect();
                let asked =
                    statuses.iter().position(|seq| *seq == from.reply_to).expect("its STATUS came first");
                assert_eq!((asked, reply.said.text), (replies.len(), &*texts[asked]));
                replies.push(from.seq);
            }
            other => panic!("{other:?}"),
        }
    }
    let mut all = [statuses, replies].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>());
    aya.join("harbour");
    aya.text("nobody answers here");
    aya.expect_status(0);
    aya.expect_nothing();
}

#[test]
fn one_may_reply_to_what_is_there() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let reply = |nonce, reply_to| To { nonce, reply_to, ..To::default() };
    aya.text_to(reply(1, 1), "to nothing");
    aya.expect_error(Code::NotFound, 1, kind::TEXT);
    aya.say(reply(2, 0), "first");
    let mut other = aya.again(&server);
    aya.say(reply(3, 1), "to the first");
    assert_eq!(other.next_message().from.reply_to, 1);
    for beyond in [3, 1 << 32, 1 << 53, u64::MAX] {
        aya.text_to(reply(4, beyond), "too early");
        aya.expect_error(Code::NotFound, 4, kind::TEXT);
    }
    // Two of one burst: the second may name the first.
    aya.text("seq 3");
    aya.text_to(reply(5, 3), "seq 4");
    aya.expect_status(0);
    assert_eq!(aya.expect_status(5).seq, 4);
}

#[test]
fn outside_the_hours_of_the_clients_day_nothing_is_taken() {
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3600;
    // Open in four to nine hours from now, which is now six hours to the east, and not soon in Greenwich.
    let hours = format!("{:02}:00-{:02}:00", (hour + 4) % 24, (hour + 9) % 24);
    let server = Server::with(&[("policy.hours", &hours)]);
    let mut west = Peer::hello(&server, Hello { timezone: "UTC", ..Hello::default() });
    let mut east = Peer::hello(&server, Hello { timezone: "Etc/GMT-6", ..Hello::default() });
    west.text_to(To { nonce: 1, ..To::default() }, "early");
    let retry = west.expect_error(Code::OutsideHours, 1, kind::TEXT).retry_ms;
    assert!((3 * 3_600_000 - 60_000..=4 * 3_600_000).contains(&retry), "{retry}");
    for nonce in [0, 2] {
        west.body_to(To { nonce, ..To::default() }, kind::FILE, b"a body");
        west.expect_error(Code::OutsideHours, nonce, kind::FILE);
    }
    west.join("harbour");
    east.join("harbour");
    west.expect::<Member<'_>>();
    east.say(To { nonce: 3, ..To::default() }, "at noon");
    assert_eq!(west.next_text(), "at noon");
    assert_eq!(east.say(To { nonce: 4, ..To::default() }, "seq 2").seq, 2);
}

#[test]
fn a_text_over_the_limit_is_refused_by_its_header_and_passed_over() {
    let server = Server::with(&[("limits.text_bytes", "100"), ("limits.media_bytes", "1000")]);
    let mut aya = Peer::guest(&server);
    aya.text(&"a".repeat(100));
    aya.expect_status(0);
    for (kind, limit) in [(kind::TEXT, 100), (kind::FILE, 1000), (kind::VOICE, 1000), (kind::MEDIA, 4096)] {
        aya.send(To { nonce: 9, ..To::default() });
        aya.send_bytes(&header(kind, limit + 1));
        aya.expect_error(Code::TooLarge, 9, kind);
        // As if it were frames.
        aya.send_bytes(&bytes_of(Bye::default()).repeat(1000)[..limit as usize + 1]);
        aya.text("goes on");
        aya.expect_status(0);
    }
    aya.send_bytes(&header(kind::TEXT, 100 + (16 << 20) + 1));
    aya.expect_fatal(Code::TooLarge, kind::TEXT);
}

#[test]
fn unknown_frames_are_named_or_passed_over() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let req = [0, 0, 0, 10, 1, 2];
    for kind in [0x6E, 0x55, 0x5F, 0x4F] {
        aya.send_bytes(&raw(kind, &req));
        aya.expect_error(Code::Unsupported, 10, kind);
        aya.send_bytes(&raw(kind, &req[..3]));
        aya.expect_error(Code::Unsupported, 0, kind);
    }
    for kind in [0x10, 0x13, 0x1F, 0x2F, 0x3F, 0x72, 0x7F, kind::WELCOME, kind::FROM, kind::STATUS] {
        aya.send_bytes(&raw(kind, &req));
        aya.expect_error(Code::Unsupported, 0, kind);
    }
    for kind in [0x80, 0xC0, 0xD1, 0xFF] {
        aya.send_bytes(&raw(kind, &req));
    }
    aya.expect_nothing();
    aya.send_bytes(&raw(0x0E, &req));
    aya.expect_error(Code::Unsupported, 0, 0x0E);
    aya.send_bytes(&header(0x6E, (1 << 20) + 1));
    aya.expect_error(Code::TooLarge, 0, 0x6E);
    aya.send_bytes(&vec![0; (1 << 20) + 1]);
    // What nobody hears of, and nothing answers.
    aya.send(Typing { chat: 1, on: 1, ..Typing::default() });
    aya.send(Presence { presence: 9, ..Presence::default() });
    aya.send(Chunk { transfer: 1, ..Chunk::default() });
    aya.send(Chunk { transfer: 1, bytes: b"of no transfer", ..Chunk::default() });
    aya.send(Pong { bytes: b"nobody asked" });
    aya.expect_nothing();
}

#[test]
fn to_is_followed_by_content_and_nothing_else() {
    let server = Server::start();
    let to = bytes_of(To { nonce: 7, ..To::default() });
    let others = [
        to.clone(),
        bytes_of(Ping { bytes: b"" }),
        bytes_of(Pong { bytes: b"" }),
        bytes_of(Bye::default()),
        bytes_of(Rooms { req: 1, ..Rooms::default() }),
        bytes_of(Typing { chat: 1, on: 1, ..Typing::default() }),
        raw(kind::REPLY_TEXT, b""),
        raw(kind::ERROR, b""),
        raw(0x6E, &[0, 0, 0, 1]),
        raw(0x7F, b""),
        raw(0x90, b""),
    ];
    for other in others {
        let mut aya = Peer::guest(&server);
        aya.text("before");
        aya.send_bytes(&[&to, &other, &bytes_of(Text { text: "has no effect" })[..]].concat());
        aya.expect_status(0);
        aya.expect_fatal(Code::Malformed, other[0]);
    }
}

#[test]
fn what_cannot_be_read_ends_the_connection_behind_the_answers() {
    let server = Server::start();
    let two = To { chat: 1, room: "all", ..To::default() };
    let bad = [
        (kind::TO, bytes_of(two)),
        (kind::TO, bytes_of(To { room: "all", user: "aya", ..To::default() })),
        (kind::TO, raw(kind::TO, &[0; 4097])),
        (kind::TO, raw(kind::TO, &[0; 7])),
        (kind::TEXT, raw(kind::TEXT, b"\xC3\x28")),
        (kind::MEDIA, raw(kind::MEDIA, &[4; 32])),
        (kind::PING, raw(kind::PING, &[0; 65])),
        (kind::BYE, raw(kind::BYE, &[0; 1025])),
        (kind::JOIN, raw(kind::JOIN, b"\0\0\0\x01")),
        (kind::JOIN, raw(kind::JOIN, b"\0\0\0\0\x01a")),
        (kind::LEAVE, bytes_of(Leave { req: 0, chat: 1 })),
        (kind::CHUNK, raw(kind::CHUNK, &vec![0; 65_536 + 13])),
        (
            kind::PARTICIPANTS,
            bytes_of(Participants { req: 1, chat: 1, room: "all", ..Participants::default() }),
        ),
    ];
    for (about, frame) in bad {
        let mut aya = Peer::guest(&server);
        let text = bytes_of(Text { text: "before" });
        aya.send_bytes(&[&text.repeat(20), &frame[..], &text].concat());
        for _ in 0..20 {
            aya.expect_status(0);
        }
        aya.expect_fatal(Code::Malformed, about);
        let mut back = aya.again(&server);
        let home = back.me().home;
        assert_eq!(back.history(History { chat: home, ..History::default() }).0.last_seq, 20);
    }
}
