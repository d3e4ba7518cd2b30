//! READ, SEEN and the positions of CHATS (sections 6.2, 6.7 and 7 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const ALL: u64 = 1;

#[track_caller]
fn expect_seen(peer: &mut Peer, chat: u64, user: u64, seq: u64) {
    let seen: Seen = peer.expect();
    assert_eq!((seen.chat, seen.user, seen.seq), (chat, user, seq));
}

#[test]
fn a_position_moves_forward_is_kept_and_is_the_users() {
    let mut server = Server::start();
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    for _ in 0..3 {
        aya.say(To { chat: ALL, ..To::default() }, "hi");
    }
    assert_eq!(aya.read(home, 7), 0);
    assert_eq!(aya.read(ALL, 2), 2);
    assert_eq!(aya.read(ALL, 1), 2);
    let mut device = aya.again(&server);
    assert_eq!(device.chats(), [(ALL, 1, "all", 3, 2), (home, 0, "assistant", 0, 0)]);
    assert_eq!(device.read(ALL, u64::MAX), 3);
    server.restart();
    let mut aya = aya.again(&server);
    assert_eq!(aya.chats()[0], (ALL, 1, "all", 3, 3));
}

#[test]
fn who_reads_tells_their_other_devices_and_where_people_know_each_other_the_members() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let me = aya.me().user;
    let mut device = aya.again(&server);
    let direct = bo.say(To { user: "Aya", ..To::default() }, "hi").chat;
    let group = bo.create("the crew");
    bo.invite(group, "Aya");
    bo.say(To { chat: group, ..To::default() }, "hi");
    let room = bo.join("harbour").chat;
    bo.say(To::default(), "hi");
    for peer in [&mut aya, &mut device] {
        assert_eq!(peer.next_text(), "hi");
        peer.expect::<Member<'_>>();
        assert_eq!(peer.next_text(), "hi");
    }
    aya.join("harbour");
    device.expect::<Member<'_>>();
    bo.expect::<Member<'_>>();
    let home = aya.say(To { chat: aya.me().home, ..To::default() }, "at home").chat;
    device.next_text();

    for chat in [direct, group] {
        assert_eq!(aya.read(chat, 1), 1);
        expect_seen(&mut device, chat, me, 1);
        expect_seen(&mut bo, chat, me, 1);
    }
    for chat in [room, home] {
        assert_eq!(aya.read(chat, 1), 1);
        expect_seen(&mut device, chat, me, 1);
    }
    // What does not move is no news, and of `all` nobody is told.
    aya.read(direct, 1);
    aya.say(To { chat: ALL, ..To::default() }, "to all");
    aya.read(ALL, 1);
    for peer in [&mut bo, &mut device] {
        assert_eq!(peer.next_text(), "to all");
        peer.expect_nothing();
    }
    aya.expect_nothing();
}

#[test]
fn only_what_one_is_in_can_be_read() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let room = bo.join("harbour").chat;
    let group = bo.create("the crew");
    aya.refused(Read { req: 3, chat: room, seq: 1 }, Code::Forbidden, 3);
    for chat in [group, bo.me().home, 0, 999_999] {
        aya.refused(Read { req: 3, chat, seq: 1 }, Code::NotFound, 3);
    }
    bo.expect_nothing();
}

#[test]
fn chats_come_in_pages_by_id() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let mut expected = vec![ALL, aya.me().home];
    expected.extend((0..5).map(|n| aya.create(&format!("group {n}"))));
    for limit in [1, 2, 3, 7, 8] {
        let (mut listed, mut more) = (Vec::new(), 1);
        while more == 1 {
            let after = listed.last().copied().unwrap_or(0);
            aya.send(Chats { req: 4, after, limit });
            let page: ChatList<'_> = aya.expect();
            assert!(page.chats.len() <= usize::from(limit));
            listed.extend(page.chats.iter().map(|chat| chat.chat));
            more = page.more;
        }
        assert_eq!(listed, expected, "{limit}");
    }
}

#[test]
fn a_slow_reader_gets_how_far_others_have_read_at_last() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let direct = aya.say(To { user: "Bo", ..To::default() }, "hi").chat;
    bo.next_text();
    let texts = 200;
    for _ in 0..texts {
        bo.text_to(To { chat: direct, ..To::default() }, &"a".repeat(60_000));
    }
    for seq in 0..texts {
        assert_eq!(bo.expect_status(0).seq, seq + 2);
    }
    for seq in 1..=texts + 1 {
        bo.read(direct, seq);
    }
    let (mut seen, mut heard) = (0, 0);
    while seen < texts + 1 {
        if let Frame::Seen(event) = aya.next() {
            assert!(event.seq > seen);
            (seen, heard) = (event.seq, heard + 1);
        }
    }
    assert!(heard < 100, "{heard} events for a reader that stood still");
}
