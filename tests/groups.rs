//! Groups: who is in, who owns them, who hears of it (sections 6.1, 6.3 and 7 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const JOINED: u8 = 1;
const LEFT: u8 = 2;
const INVITED: u8 = 3;
const REMOVED: u8 = 4;

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

fn three(server: &Server) -> [Peer; 3] {
    ["Aya", "Bo", "Cy"].map(|name| Peer::named(server, name))
}

/// Names and roles.
fn roles(peer: &mut Peer, chat: u64) -> Vec<(&'static str, u8)> {
    peer.send(Participants { req: 9, chat, ..Participants::default() });
    let list: ParticipantList<'static> = peer.expect();
    list.participants.iter().map(|p| (p.user_name, p.role)).collect()
}

#[test]
fn an_invited_user_is_in_at_once_on_every_device_and_everybody_hears_of_it() {
    let server = Server::start();
    let [mut aya, mut bo, mut cy] = three(&server);
    let mut device = bo.again(&server);
    let mut ayas = aya.again(&server);
    let group = aya.create("the crew");
    // One's own other connections hear of what one did.
    ayas.expect_member(group, JOINED, "Aya");
    aya.say(to(group), "before");
    assert_eq!(ayas.next_text(), "before");
    assert_eq!(aya.invite(group, "bo"), bo.me().user);
    for peer in [&mut ayas, &mut bo, &mut device] {
        peer.expect_member(group, INVITED, "Bo");
    }
    assert_eq!(aya.invite(group, "CY"), cy.me().user);
    for peer in [&mut ayas, &mut bo, &mut device, &mut cy] {
        peer.expect_member(group, INVITED, "Cy");
    }
    assert_eq!(aya.invite(group, "Cy"), cy.me().user, "a second invitation changes nothing");
    cy.say(to(group), "hello");
    for peer in [&mut aya, &mut ayas, &mut bo, &mut device] {
        assert_eq!(peer.next_text(), "hello");
        peer.expect_nothing();
    }
    assert_eq!(bo.history(History { chat: group, ..History::default() }).1.len(), 2);
    assert_eq!(roles(&mut cy, group), [("Aya", 1), ("Bo", 0), ("Cy", 0)]);
    let home = cy.me().home;
    assert_eq!(cy.chats(), [(1, 1, "all", 0, 0), (home, 0, "assistant", 0, 0), (group, 2, "the crew", 2, 0)]);
}

#[test]
fn member_is_the_last_frame_that_a_removed_user_gets_of_the_group() {
    let server = Server::start();
    let [mut aya, mut bo, mut cy] = three(&server);
    let group = aya.create("the crew");
    for (name, peer) in [("Bo", &mut bo), ("Cy", &mut cy)] {
        aya.invite(group, name);
        peer.expect_member(group, INVITED, name);
    }
    bo.expect_member(group, INVITED, "Cy");
    aya.say(to(group), "one");
    assert_eq!(aya.remove(group, "bo"), bo.me().user);
    aya.say(to(group), "two");
    aya.send(Typing { chat: group, on: 1, ..Typing::default() });
    aya.read(group, 2);
    assert_eq!(bo.next_text(), "one");
    bo.expect_member(group, REMOVED, "Bo");
    bo.expect_nothing();
    assert_eq!(cy.next_text(), "one");
    cy.expect_member(group, REMOVED, "Bo");
    assert_eq!(cy.next_text(), "two");
    for (n, refused) in [
        Frame::from(History { chat: group, req: 1, ..History::default() }),
        Sync { req: 2, chat: group, after: 0 }.into(),
        Read { req: 3, chat: group, seq: 1 }.into(),
        Participants { req: 4, chat: group, ..Participants::default() }.into(),
        Leave { req: 5, chat: group }.into(),
        Invite { req: 6, chat: group, user: "Bo" }.into(),
        Remove { req: 7, chat: group, user: "Aya" }.into(),
    ]
    .into_iter()
    .enumerate()
    {
        bo.refused(refused, Code::NotFound, u32::try_from(n).unwrap() + 1);
    }
    bo.text_to(to(group), "hello?");
    bo.expect_error(Code::NotFound, 0, kind::TEXT);
}

#[test]
fn a_group_is_nobodys_business_but_its_members() {
    let server = Server::start();
    let [mut aya, mut bo, mut cy] = three(&server);
    let group = aya.create("the crew");
    aya.invite(group, "Bo");
    bo.expect_member(group, INVITED, "Bo");
    bo.refused(Invite { req: 1, chat: group, user: "Cy" }, Code::Forbidden, 1);
    bo.refused(Remove { req: 1, chat: group, user: "Aya" }, Code::Forbidden, 1);
    cy.refused(Invite { req: 1, chat: group, user: "Cy" }, Code::NotFound, 1);
    cy.refused(Remove { req: 1, chat: group, user: "Bo" }, Code::NotFound, 1);
    aya.refused(Invite { req: 1, chat: group, user: "Di" }, Code::NotFound, 1);
    aya.refused(Remove { req: 1, chat: group, user: "Cy" }, Code::NotFound, 1);
    aya.refused(Invite { req: 1, chat: 1, user: "Cy" }, Code::Forbidden, 1);
    aya.refused(Create { req: 1, title: "two\nlines" }, Code::Conflict, 1);
    let long = "a".repeat(255);
    let named = aya.create(&long);
    assert_eq!(aya.chats().last().unwrap().2, long);
    assert_eq!(aya.leave(named).room, long);
    cy.expect_nothing();
}

#[test]
fn who_has_been_in_for_longest_owns_a_group_that_its_owner_leaves() {
    let server = Server::start();
    let [mut aya, mut bo, mut cy] = three(&server);
    let group = aya.create("the crew");
    aya.invite(group, "Cy");
    cy.expect_member(group, INVITED, "Cy");
    aya.invite(group, "Bo");
    cy.expect_member(group, INVITED, "Bo");
    bo.expect_member(group, INVITED, "Bo");
    assert_eq!(aya.leave(group).room, "the crew");
    cy.expect_member(group, LEFT, "Aya");
    bo.expect_member(group, LEFT, "Aya");
    assert_eq!(roles(&mut bo, group), [("Bo", 0), ("Cy", 1)]);
    // A guest's membership ends with the last connection, and what the guest owned passes on.
    drop(cy);
    bo.expect_member(group, LEFT, "Cy");
    assert_eq!(roles(&mut bo, group), [("Bo", 1)]);
    bo.invite(group, "Aya");
    aya.expect_member(group, INVITED, "Aya");
    // The owner can be removed too, if only by the owner, and is answered instead of told.
    assert_eq!(bo.remove(group, "Bo"), bo.me().user);
    aya.expect_member(group, REMOVED, "Bo");
    bo.refused(Leave { req: 1, chat: group }, Code::NotFound, 1);
    assert_eq!(roles(&mut aya, group), [("Aya", 1)]);
    aya.leave(group);
    aya.refused(History { req: 1, chat: group, ..History::default() }, Code::NotFound, 1);
    for peer in [&mut aya, &mut bo] {
        peer.expect_nothing();
    }
}

#[test]
fn removal_ends_a_sync_that_is_under_way() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let group = aya.create("the crew");
    aya.invite(group, "Bo");
    bo.expect_member(group, INVITED, "Bo");
    for _ in 0..20 {
        aya.say(to(group), &"a".repeat(60_000));
    }
    bo.send(Sync { req: 5, chat: group, after: 0 });
    bo.expect_nothing_but(
        |frame| matches!(frame, Frame::From_(_) | Frame::Text(_) | Frame::Synced(_)),
        |_| (),
    );
    aya.remove(group, "Bo");
    aya.say(to(group), "after");
    let mut is_out = false;
    bo.expect_nothing_but(
        |frame| matches!(frame, Frame::From_(_) | Frame::Text(_) | Frame::Member(_)),
        |frame| {
            assert!(!is_out, "a frame of the group behind MEMBER: {frame:?}");
            is_out = matches!(frame, Frame::Member(_));
        },
    );
    assert!(is_out);
}
