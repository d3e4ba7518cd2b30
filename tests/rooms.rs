//! Rooms: who is in, who hears of it, and the lists (sections 6.1, 6.2 and 7 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const ALL: u64 = 1;
const JOINED: u8 = 1;
const LEFT: u8 = 2;

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

/// All rooms that are listed, by pages of this size: name, online, last_seq.
fn rooms(peer: &mut Peer, limit: u16) -> Vec<(&'static str, u32, u64)> {
    let mut found: Vec<(&str, u32, u64)> = Vec::new();
    loop {
        let after = found.last().map_or("", |room| room.0);
        peer.send(Rooms { req: 5, after, limit });
        let page: RoomList<'static> = peer.expect();
        assert!(page.rooms.len() <= usize::from(limit) && page.rooms.iter().all(|room| room.chat > 0));
        found.extend(page.rooms.iter().map(|room| (room.room, room.online, room.last_seq)));
        if page.more == 0 {
            return found;
        }
        assert_eq!(page.rooms.len(), usize::from(limit));
    }
}

#[test]
fn the_first_to_join_makes_the_room_and_names_it() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let made = aya.join("Harbour Café");
    assert_eq!((made.created, made.last_seq, made.room), (1, 0, "Harbour Café"));
    aya.say(To { nonce: 1, ..To::default() }, "first");
    for spelling in ["harbour café", "HARBOUR CAFE\u{301}", "Ｈarbour Café"] {
        let joined = bo.join(spelling);
        assert_eq!((joined.chat, joined.created), (made.chat, 0));
        assert_eq!((joined.last_seq, joined.room), (1, "Harbour Café"));
    }
    // Joining the current room again changed nothing.
    aya.expect_member(made.chat, JOINED, "Bo");
    aya.expect_nothing();
    bo.expect_nothing();
}

#[test]
fn a_room_cannot_have_a_bad_or_reserved_name() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let long = "a".repeat(65);
    for room in ["", " a", "a  b", "a/b", "assistant", "Assistant", "guest7", "😀", &long] {
        aya.refused(Join { req: 7, room, flags: 0 }, Code::Conflict, 7);
    }
    aya.send_bytes(&raw(kind::JOIN, b"\0\0\0\x07\x02\xFF\xFF\0"));
    aya.expect_fatal(Code::Malformed, kind::JOIN);
}

#[test]
fn joining_another_room_leaves_the_current_one_unless_told_to_stay() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let a = bo.join("a").chat;
    let b = bo.join_too("b").chat;
    let c = bo.join_too("c").chat;
    aya.join("a");
    bo.expect_member(a, JOINED, "Aya");
    aya.join_too("b");
    bo.expect_member(b, JOINED, "Aya");
    // The current room is `b`, so `a` is kept.
    aya.join("c");
    let mut two = [bo.expect::<Member<'_>>(), bo.expect()].map(|m| (m.chat, m.change, m.user_name));
    two.sort_unstable();
    assert_eq!(two, [(b, LEFT, "Aya"), (c, JOINED, "Aya")]);
    bo.say(to(a), "to a");
    bo.say(to(b), "to b");
    bo.say(to(c), "to c");
    assert_eq!((aya.next_text(), aya.next_text()), ("to a", "to c"));
    aya.say(to(a), "still here");
    assert_eq!(bo.next_text(), "still here");
    aya.text_to(to(b), "gone");
    aya.expect_error(Code::Forbidden, 0, kind::TEXT);
    // `all` is left by nobody, and is a room to come from.
    aya.join("all");
    bo.expect_member(c, LEFT, "Aya");
    aya.join("c");
    bo.expect_member(c, JOINED, "Aya");
    assert_eq!(aya.say(to(ALL), "still in all").chat, ALL);
}

#[test]
fn leaving_ends_what_comes_from_the_room() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let room = aya.join("harbour").chat;
    let mut device = aya.again(&server);
    device.join("harbour");
    bo.join("harbour");
    for peer in [&mut aya, &mut device] {
        peer.expect_member(room, JOINED, "Bo");
    }
    let left = aya.leave(0);
    assert_eq!((left.chat, left.room), (room, "harbour"));
    // Her other device is out too, and back in its home.
    device.expect_member(room, LEFT, "Aya");
    bo.expect_member(room, LEFT, "Aya");
    bo.say(to(room), "alone");
    for peer in [&mut aya, &mut device] {
        peer.text("at home");
        let home = peer.me().home;
        loop {
            match peer.next() {
                Frame::Status(status) => break assert_eq!(status.chat, home),
                Frame::From_(from) => assert_eq!((from.chat, peer.next().kind()), (home, kind::TEXT)),
                other => panic!("{other:?}"),
            }
        }
        peer.refused(History { req: 9, chat: room, ..History::default() }, Code::Forbidden, 9);
        peer.refused(Sync { req: 9, chat: room, after: 0 }, Code::Forbidden, 9);
        let wanted = Participants { req: 9, chat: room, ..Participants::default() };
        peer.refused(wanted, Code::Forbidden, 9);
    }
}

#[test]
fn only_rooms_that_one_is_in_can_be_left() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let direct = aya.say(To { user: "Bo", ..To::default() }, "hi").chat;
    bo.next_text();
    let room = bo.join("harbour").chat;
    let (home, other) = (aya.me().home, bo.me().home);
    for (chat, code) in [
        (0, Code::Forbidden),
        (home, Code::Forbidden),
        (direct, Code::Forbidden),
        (ALL, Code::Forbidden),
        (room, Code::Forbidden),
        (other, Code::NotFound),
        (999_999, Code::NotFound),
    ] {
        aya.refused(Leave { req: 3, chat }, code, 3);
    }
    aya.join("all");
    aya.refused(Leave { req: 3, chat: 0 }, Code::Forbidden, 3);
}

#[test]
fn member_comes_before_the_members_first_message() {
    let server = Server::start();
    let mut bo = Peer::named(&server, "Bo");
    let room = bo.join("harbour").chat;
    for n in 0..20 {
        let mut aya = Peer::guest(&server);
        let name = aya.me().user_name;
        let mut bytes = bytes_of(Join { req: 1, room: "harbour", flags: 0 });
        bytes.extend(bytes_of(Text { text: "hello" }));
        bytes.extend(bytes_of(Leave { req: 2, chat: 0 }));
        aya.send_bytes(&bytes);
        bo.expect_member(room, JOINED, name);
        assert_eq!((bo.next_text(), n), ("hello", n));
        bo.expect_member(room, LEFT, name);
        assert_eq!(aya.expect::<Joined<'_>>().last_seq, n);
        aya.expect_status(0);
        aya.expect::<Left<'_>>();
    }
}

#[test]
fn a_membership_is_the_users_and_the_current_chat_the_connections() {
    let server = Server::start();
    let mut one = Peer::named(&server, "Aya");
    let mut two = one.again(&server);
    let room = one.join("harbour").chat;
    // What the other device did is told.
    two.expect_member(room, JOINED, "Aya");
    two.text("at home");
    assert_eq!(two.expect_status(0).chat, two.me().home);
    assert_eq!(one.next_text(), "at home");
    one.text("in the room");
    assert_eq!(one.expect_status(0).chat, room);
    assert_eq!(two.next_text(), "in the room");
    two.say(to(room), "here too");
    assert_eq!(one.next_text(), "here too");
    // A third one is in all rooms from its WELCOME on.
    let mut three = one.again(&server);
    one.say(to(room), "welcome");
    assert_eq!(three.next_text(), "welcome");
}

#[test]
fn a_guests_memberships_end_with_the_last_connection() {
    let mut server = Server::start();
    let (mut one, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let room = bo.join("harbour").chat;
    one.join("harbour");
    bo.expect_member(room, JOINED, "Aya");
    let two = one.again(&server);
    let last = one.again(&server);
    one.bye();
    two.bye();
    assert_eq!(bo.participants(room), ["Aya", "Bo"]);
    // Without a word.
    drop(last);
    bo.expect_member(room, LEFT, "Aya");
    assert_eq!(bo.participants(room), ["Bo"]);

    // And with the server.
    bo.say(to(room), "so that the room stays");
    server.restart();
    let mut bo = bo.again(&server);
    bo.text_to(to(room), "out");
    bo.expect_error(Code::Forbidden, 0, kind::TEXT);
    assert_eq!(bo.join("harbour").last_seq, 1);
}

#[test]
fn a_room_without_members_and_messages_is_deleted() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let first = aya.join("harbour").chat;
    aya.leave(0);
    assert_eq!(rooms(&mut aya, 200), [("all", 1, 0)]);
    let second = aya.join("Harbour");
    assert!(second.created == 1 && second.chat > first && second.room == "Harbour");
    aya.say(To::default(), "now it has a message");
    // Left for another room, which is empty in its turn.
    aya.join("quay");
    assert_eq!(rooms(&mut aya, 200), [("all", 1, 0), ("Harbour", 0, 1), ("quay", 1, 0)]);
    aya.bye();
    let mut bo = Peer::guest(&server);
    until("the room is gone", || rooms(&mut bo, 200) == [("all", 1, 0), ("Harbour", 0, 1)]);
    let again = bo.join("harbour");
    assert_eq!((again.created, again.last_seq, again.chat), (0, 1, second.chat));
}

#[test]
fn rooms_are_listed_by_name_in_pages_of_any_size() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let names = ["Zoo", "b", "ab", "B2", "aB", "Ä", "z", "10", "9"];
    for name in names {
        aya.join_too(name);
    }
    // As they are compared, by bytes: `ab` and `aB` are one.
    let sorted = ["10", "9", "ab", "all", "b", "B2", "z", "Zoo", "Ä"];
    for limit in [1, 2, 3, 8, 9, 10, 200, 0, u16::MAX] {
        let listed: Vec<&str> = match limit {
            0 | u16::MAX => {
                aya.send(Rooms { req: 1, after: "", limit });
                aya.expect::<RoomList<'static>>().rooms.iter().map(|room| room.room).collect()
            }
            _ => rooms(&mut aya, limit).iter().map(|room| room.0).collect(),
        };
        assert_eq!(listed, sorted, "{limit}");
    }
    // From behind a name that is none.
    aya.send(Rooms { req: 1, after: "AC", limit: 1 });
    let page: RoomList<'_> = aya.expect();
    assert_eq!((page.rooms[0].room, page.rooms[0].online, page.more), ("all", 1, 1));
    aya.send(Rooms { req: 1, after: "ÄÄ", limit: 1 });
    let page: RoomList<'_> = aya.expect();
    assert_eq!((page.rooms.len(), page.more), (0, 0));
}

#[test]
fn a_list_has_no_more_than_200() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    for n in 0..205 {
        aya.send(Join { req: n + 1, room: &format!("room {n}"), flags: 1 });
    }
    for _ in 0..205 {
        aya.expect::<Joined<'_>>();
    }
    for limit in [0, 201, u16::MAX] {
        aya.send(Rooms { req: 1, after: "", limit });
        let page: RoomList<'_> = aya.expect();
        assert_eq!((page.rooms.len(), page.more), (200, 1));
    }
    assert_eq!(rooms(&mut aya, 200).len(), 206);
}

#[test]
fn participants_are_listed_by_id() {
    let server = Server::with(&[("assistant.kind", "echo")]);
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::guest(&server)).collect();
    let ids: Vec<u64> = peers.iter().map(|peer| peer.me().user).collect();
    let room = peers[0].join("harbour").chat;
    for n in 1..4 {
        peers[n].join("harbour");
        for earlier in &mut peers[..n] {
            earlier.expect::<Member<'_>>();
        }
    }
    let asker = &mut peers[0];
    let mut ask = |chat, room, after, limit| {
        asker.send(Participants { req: 4, chat, room, after, limit });
        let list: ParticipantList<'_> = asker.expect();
        assert!(list.participants.iter().all(|p| p.presence == 1 && p.role == 0), "{list:?}");
        (list.participants.iter().map(|p| p.user).collect::<Vec<_>>(), list.more)
    };
    for (chat, name) in [(room, ""), (0, "HARBOUR"), (0, "")] {
        assert_eq!(ask(chat, name, 0, 0), (ids[..4].to_vec(), 0));
        assert_eq!(ask(chat, name, 0, 2), (ids[..2].to_vec(), 1));
        assert_eq!(ask(chat, name, ids[1], 2), (ids[2..4].to_vec(), 0));
        assert_eq!(ask(chat, name, u64::MAX, 2), (vec![], 0));
    }
    for (chat, name) in [(ALL, ""), (0, "all")] {
        assert_eq!(ask(chat, name, 0, 0), (ids.clone(), 0));
        assert_eq!(ask(chat, name, ids[0], 3), (ids[1..4].to_vec(), 1));
        assert_eq!(ask(chat, name, u64::MAX, 2), (vec![], 0));
    }
    let home = peers[4].me().home;
    assert_eq!(peers[4].participants(home), ["assistant", peers[4].me().user_name]);
    assert_eq!(peers[4].participants(0), ["assistant", peers[4].me().user_name]);
    let outsider = &mut peers[4];
    let of = |chat, room| Participants { req: 4, chat, room, ..Participants::default() };
    outsider.refused(of(room, ""), Code::Forbidden, 4);
    outsider.refused(of(0, "harbour"), Code::Forbidden, 4);
    outsider.refused(of(0, "nowhere"), Code::NotFound, 4);
    outsider.refused(of(999_999, ""), Code::NotFound, 4);
    outsider.refused(of(home - 1, ""), Code::NotFound, 4);
}

#[test]
fn everybody_is_in_all_and_nobody_is_told_who_comes() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let joined = aya.join("ALL");
    assert_eq!((joined.chat, joined.room, joined.created), (ALL, "all", 0));
    aya.text("to all");
    assert_eq!(aya.expect_status(0).chat, ALL);
    assert_eq!(bo.next_text(), "to all");
    drop(aya);
    let (mut cy, mut di) = (Peer::guest(&server), Peer::guest(&server));
    bo.say(To { room: "All", ..To::default() }, "to all");
    assert_eq!((cy.next_text(), di.next_text()), ("to all", "to all"));
    bo.expect_nothing();
    assert_eq!(di.history(History { chat: ALL, ..History::default() }).1.len(), 2);
}
