//! TYPING and PRESENCE over several devices (section 7 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const ALL: u64 = 1;
const OFFLINE: u8 = 0;
const ONLINE: u8 = 1;
const AWAY: u8 = 2;

/// Two who have a direct chat.
fn friends(server: &Server) -> (Peer, Peer, u64) {
    let mut aya = Peer::named(server, "Aya").with_presence();
    let mut bo = Peer::named(server, "Bo").with_presence();
    let chat = bo.say(To { user: "Aya", ..To::default() }, "hi").chat;
    aya.next_text();
    (aya, bo, chat)
}

fn is(peer: &mut Peer, presence: u8) {
    peer.send(Presence { presence, ..Presence::default() });
}

#[track_caller]
fn expect_presence(peer: &mut Peer, name: &str, presence: u8) {
    let event: Presence<'_> = peer.expect();
    assert_eq!((event.user_name, event.presence), (name, presence));
    assert_eq!(event.last_seen > 0, presence == OFFLINE, "{event:?}");
}

#[track_caller]
fn expect_typing(peer: &mut Peer, chat: u64, name: &str, on: u8) {
    let event: Typing<'_> = peer.expect();
    assert_eq!((event.chat, event.user_name, event.on), (chat, name, on));
    assert!(event.user > 1);
}

/// As PARTICIPANTS has it.
fn listed(peer: &mut Peer, chat: u64, name: &str) -> u8 {
    peer.send(Participants { req: 5, chat, ..Participants::default() });
    let list: ParticipantList<'_> = peer.expect();
    list.participants.iter().find(|p| p.user_name == name).expect("a member").presence
}

#[test]
fn the_first_device_comes_and_the_last_goes() {
    let server = Server::start();
    let (mut aya, bo, _) = friends(&server);
    let second = bo.again(&server);
    let token = bo.me().token;
    bo.bye();
    aya.expect_nothing();
    // Without a word.
    drop(second);
    expect_presence(&mut aya, "Bo", OFFLINE);
    let back = Peer::hello(&server, Hello { auth: 2, secret: token, ..Hello::default() });
    expect_presence(&mut aya, "Bo", ONLINE);
    back.bye();
    expect_presence(&mut aya, "Bo", OFFLINE);
    aya.expect_nothing();
}

#[test]
fn the_highest_of_the_devices_counts() {
    let server = Server::start();
    let (mut aya, mut one, chat) = friends(&server);
    is(&mut one, AWAY);
    expect_presence(&mut aya, "Bo", AWAY);
    assert_eq!((listed(&mut aya, chat, "Bo"), listed(&mut aya, ALL, "Bo")), (AWAY, AWAY));
    let mut two = one.again(&server);
    expect_presence(&mut aya, "Bo", ONLINE);
    is(&mut two, AWAY);
    expect_presence(&mut aya, "Bo", AWAY);
    is(&mut one, OFFLINE);
    one.expect_nothing();
    is(&mut two, OFFLINE);
    expect_presence(&mut aya, "Bo", OFFLINE);
    assert_eq!(listed(&mut aya, chat, "Bo"), OFFLINE);
    is(&mut one, ONLINE);
    expect_presence(&mut aya, "Bo", ONLINE);
    // What is no presence is ignored.
    is(&mut one, 3);
    is(&mut one, 255);
    // The one that was online goes, another one stays.
    is(&mut two, AWAY);
    two.expect_nothing();
    one.bye();
    expect_presence(&mut aya, "Bo", AWAY);
    aya.expect_nothing();
}

#[test]
fn presence_goes_to_those_who_share_a_chat_once_each_and_to_no_one_else() {
    let server = Server::start();
    let (mut aya, mut bo, _) = friends(&server);
    let room = aya.join("harbour").chat;
    bo.join("harbour");
    aya.expect_member(room, 1, "Bo");
    let group = bo.create("the crew");
    bo.invite(group, "Aya");
    aya.expect_member(group, 3, "Aya");
    let mut other = Peer::guest(&server).with_presence();
    let mut device = bo.again(&server).with_presence();
    is(&mut bo, AWAY);
    is(&mut device, AWAY);
    expect_presence(&mut aya, "Bo", AWAY);
    for peer in [&mut aya, &mut bo, &mut device, &mut other] {
        peer.expect_nothing();
    }
}

#[test]
fn typing_goes_to_the_other_members() {
    let server = Server::start();
    let (mut aya, mut bo, chat) = friends(&server);
    let mut device = aya.again_with(&server, Hello { flags: 1, ..Hello::default() });
    let mut bos = bo.again(&server);
    let mut other = Peer::guest(&server);
    bo.send(Typing { chat, on: 1, ..Typing::default() });
    bo.send(Typing { chat, on: 0, ..Typing::default() });
    for peer in [&mut aya, &mut device] {
        expect_typing(peer, chat, "Bo", 1);
        expect_typing(peer, chat, "Bo", 0);
    }
    // What the client says of who it is counts for nothing.
    let forged = Typing { chat, on: 7, user: 1, user_name: "assistant" };
    bo.send(forged);
    for peer in [&mut aya, &mut device] {
        expect_typing(peer, chat, "Bo", 1);
    }
    // In what one is not in, nobody hears it; nor in `all`.
    other.send(Typing { chat, on: 1, ..Typing::default() });
    for nowhere in [ALL, 0, 999_999, u64::MAX] {
        bo.send(Typing { chat: nowhere, on: 1, ..Typing::default() });
    }
    for peer in [&mut bo, &mut bos, &mut other, &mut aya, &mut device] {
        peer.expect_nothing();
    }
}

#[test]
fn a_rooms_events_end_where_it_is_crowded() {
    let server = Server::with(&[("limits.connections_per_user", "0")]);
    let mut aya = Peer::named(&server, "Aya").with_presence();
    let room = aya.join("harbour").chat;
    let mut crowd: Vec<Peer> = Vec::new();
    for n in 2..=500 {
        let mut peer = Peer::guest(&server).without_members();
        peer.join("harbour");
        crowd.push(peer);
        aya.expect_member(room, 1, crowd[n - 2].me().user_name);
    }
    let typing = || Typing { chat: room, on: 1, ..Typing::default() };
    crowd[7].send(typing());
    let name = crowd[7].me().user_name;
    expect_typing(&mut aya, room, name, 1);
    is(&mut crowd[7], AWAY);
    expect_presence(&mut aya, name, AWAY);
    // One more is too many. That one's own devices are told all the same.
    let mut last = Peer::guest(&server);
    let mut device = last.again(&server);
    last.join("harbour");
    let name = last.me().user_name;
    device.expect_member(room, 1, name);
    aya.expect_member(room, 1, name);
    last.send(typing());
    is(&mut crowd[8], AWAY);
    last.expect_nothing();
    crowd[8].expect_nothing_but(|frame| matches!(frame, Frame::Typing(_)), |_| ());
    aya.expect_nothing();
    aya.say(To::default(), "hello");
    assert_eq!(last.next_text(), "hello");
    last.read(room, 1);
    assert_eq!((device.next_text(), device.expect::<Seen>().seq), ("hello", 1));
}

#[test]
fn a_reader_that_stands_still_gets_the_last_presence_and_all_messages() {
    let server = Server::start();
    let (mut aya, mut bo, chat) = friends(&server);
    for _ in 0..200 {
        bo.text_to(To { chat, ..To::default() }, &"a".repeat(60_000));
    }
    for _ in 0..200 {
        bo.expect_status(0);
    }
    // Aya has not read for a while: of these she needs the last.
    for presence in [AWAY, ONLINE, AWAY, OFFLINE, AWAY] {
        is(&mut bo, presence);
    }
    bo.expect_nothing();
    let (mut seq, mut last) = (1, ONLINE);
    while seq < 201 || last != AWAY {
        match aya.next() {
            Frame::From_(from) => {
                assert_eq!(from.seq, seq + 1);
                seq = from.seq;
                aya.expect::<Text<'_>>();
            }
            Frame::Presence(presence) => last = presence.presence,
            other => panic!("{other:?}"),
        }
    }
    aya.expect_nothing();
}

#[test]
fn a_flood_of_events_is_ignored_beyond_what_people_do() {
    let server = Server::start();
    let (mut aya, mut bo, chat) = friends(&server);
    let flood = bytes_of(Typing { chat, on: 1, ..Typing::default() }).repeat(1000);
    bo.send_bytes(&flood);
    bo.expect_nothing();
    let mut heard = 0;
    aya.expect_nothing_but(|frame| matches!(frame, Frame::Typing(_)), |_| heard += 1);
    assert!((20..100).contains(&heard), "{heard} of 1000");
}

#[test]
fn whatever_the_devices_do_at_once_what_is_told_last_is_the_truth() {
    const ROUNDS: usize = 150;
    const DEVICES: usize = 4;
    let server = Server::start();
    let (mut aya, mut bo, _) = friends(&server);
    is(&mut bo, OFFLINE);
    expect_presence(&mut aya, "Bo", OFFLINE);
    let mut seeds = random::Random::new();
    let mut told = vec![OFFLINE];
    for _ in 0..ROUNDS {
        std::thread::scope(|scope| {
            for _ in 0..DEVICES {
                let mut random = random::Random::from(seeds.number());
                let (bo, server) = (&bo, &server);
                scope.spawn(move || {
                    let mut device = bo.again(server);
                    for _ in 0..random.below(8) {
                        is(&mut device, random.pick(&[OFFLINE, ONLINE, AWAY]));
                    }
                    device.bye();
                });
            }
        });
        aya.expect_nothing_but(
            |frame| matches!(frame, Frame::Presence(_)),
            |frame| told.extend(if let Frame::Presence(event) = frame { Some(event.presence) } else { None }),
        );
        assert_eq!(told.last(), Some(&OFFLINE), "one device stays, and does not want to be seen: {told:?}");
        assert!(told.windows(2).all(|two| two[0] != two[1]), "nothing is told twice: {told:?}");
    }
    assert!(told.len() > 2 * ROUNDS, "in each round somebody came and went: {told:?}");
}
