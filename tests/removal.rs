//! DELETE: who may, who hears of it and when, and what becomes of media (section 6.9 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const ALL: u64 = 1;
const REQ: u32 = 9;
const MEBIBYTE: usize = 1 << 20;

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

fn files_of(server: &Server) -> usize {
    files(&server.data().join("media")).len()
}

#[track_caller]
fn delete(peer: &mut Peer, chat: u64, seq: u64) {
    peer.send(Delete { req: REQ, chat, seq });
    assert_eq!(peer.expect::<Deleted>(), Deleted { req: REQ, chat, seq });
}

#[track_caller]
fn expect_gone(peer: &mut Peer, chat: u64, seq: u64) {
    assert_eq!(peer.expect::<MessageGone>(), MessageGone { chat, seq });
}

#[track_caller]
fn refuse(peer: &mut Peer, code: Code, chat: u64, seq: u64) {
    peer.refused(Delete { req: REQ, chat, seq }, code, REQ);
}

/// Aya, another device of hers, and Bo, in a room.
fn in_a_room(server: &Server) -> (u64, Peer, Peer, Peer) {
    let mut aya = Peer::named(server, "Aya").without_members();
    let tablet = aya.again(server).without_members();
    let mut bo = Peer::named(server, "Bo").without_members();
    let chat = aya.join("harbour").chat;
    bo.join("harbour");
    (chat, aya, tablet, bo)
}

#[test]
fn what_is_removed_is_gone_for_everybody_live_and_in_history() {
    let server = Server::start();
    let (chat, mut aya, mut tablet, mut bo) = in_a_room(&server);
    let body = sample("image.png");
    aya.body_to(To { name: "secret.png", nonce: 5, ..to(chat) }, kind::IMAGE, &body);
    let status = aya.expect_status(5);
    let was = tablet.next_message();
    assert_eq!((was.from.name, was.from.nonce, was.from.seq), ("secret.png", 5, 1));
    bo.next_message();
    bo.say(To { reply_to: 1, ..to(chat) }, "what is it?");
    for peer in [&mut aya, &mut tablet] {
        peer.next_text();
    }
    delete(&mut aya, chat, 1);
    for peer in [&mut tablet, &mut bo] {
        expect_gone(peer, chat, 1);
    }
    // It stands where it stood.
    let mut cy = Peer::named(&server, "Cy").without_members();
    cy.join("harbour");
    for (peer, nonce) in [(&mut aya, 5), (&mut tablet, 5), (&mut bo, 0), (&mut cy, 0)] {
        let (page, messages) = peer.history(History { chat, ..History::default() });
        assert_eq!((page.first_seq, page.last_seq, page.count), (1, 2, 2));
        assert_eq!(messages[0].content, Frame::Gone(Gone {}));
        let from = &messages[0].from;
        assert_eq!((from.seq, from.at, from.nonce, from.name), (1, status.at, nonce, ""));
        assert_eq!((from.user, from.user_name), (was.from.user, "Aya"));
        assert_eq!(messages[1].from.reply_to, 1, "what answers it does so still");
        peer.sync(chat, 0);
        assert_eq!(peer.next_message(), messages[0]);
        peer.next_text();
        peer.expect_nothing();
    }
}

#[test]
fn what_is_removed_stays_so_and_is_told_once() {
    let mut server = Server::start();
    let (chat, mut aya, mut tablet, mut bo) = in_a_room(&server);
    aya.say(To { nonce: 7, ..to(chat) }, "oops");
    for peer in [&mut tablet, &mut bo] {
        peer.next_text();
    }
    delete(&mut aya, chat, 1);
    expect_gone(&mut bo, chat, 1);
    expect_gone(&mut tablet, chat, 1);
    delete(&mut aya, chat, 1);
    delete(&mut tablet, chat, 1);
    for peer in [&mut aya, &mut tablet, &mut bo] {
        peer.expect_nothing();
    }
    let again = Hello { auth: 2, secret: aya.me().token, ..Hello::default() };
    server.restart();
    let mut aya = Peer::hello(&server, again);
    aya.join("harbour");
    assert_eq!(aya.history(History { chat, ..History::default() }).1[0].content, Frame::Gone(Gone {}));
    // A copy that was still on its way is the message that is gone.
    aya.text_to(To { nonce: 7, ..to(chat) }, "oops");
    let status = aya.expect_status(7);
    assert_eq!((status.seq, status.duplicate), (1, 1));
    assert_eq!(aya.history(History { chat, ..History::default() }).0.last_seq, 1);
}

#[test]
fn who_may_not_remove_a_message_learns_no_more_than_who_may_not_read_it() {
    let server = Server::with(&[("assistant.kind", "echo")]);
    let (chat, mut aya, _tablet, mut bo) = in_a_room(&server);
    aya.say(to(chat), "mine");
    bo.next_text();
    refuse(&mut bo, Code::Forbidden, chat, 1);
    for seq in [0, 2, u64::MAX] {
        refuse(&mut bo, Code::NotFound, chat, seq);
    }
    let mut cy = Peer::named(&server, "Cy");
    refuse(&mut cy, Code::Forbidden, chat, 1);
    let home = aya.me().home;
    for chat in [0, home, u64::MAX] {
        refuse(&mut cy, Code::NotFound, chat, 1);
    }
    aya.refused(Delete { req: REQ, chat: 999_999, seq: 1 }, Code::NotFound, REQ);
    // One's home is one's own, the assistant's messages in it too.
    aya.say(to(home), "hello");
    let reply = aya.next_message();
    assert_eq!((reply.from.user, reply.from.seq), (1, 2));
    for seq in [2, 1] {
        delete(&mut aya, home, seq);
    }
    let (_, messages) = aya.history(History { chat: home, ..History::default() });
    assert!(messages.iter().all(|message| message.content == Frame::Gone(Gone {})), "{messages:?}");
}

#[test]
fn a_groups_owner_removes_what_others_wrote_and_its_members_only_what_is_theirs() {
    let server = Server::start();
    let [mut aya, mut bo, mut cy] =
        ["Aya", "Bo", "Cy"].map(|name| Peer::named(&server, name).without_members());
    let group = aya.create("the crew");
    aya.invite(group, "Bo");
    aya.invite(group, "Cy");
    for text in ["one", "two", "three"] {
        bo.say(to(group), text);
        aya.next_text();
        cy.next_text();
    }
    refuse(&mut cy, Code::Forbidden, group, 1);
    delete(&mut aya, group, 1);
    expect_gone(&mut bo, group, 1);
    delete(&mut bo, group, 2);
    expect_gone(&mut aya, group, 2);
    expect_gone(&mut cy, group, 1);
    expect_gone(&mut cy, group, 2);
    // What one wrote and may not read any more is not one's own any more.
    aya.remove(group, "Bo");
    refuse(&mut bo, Code::NotFound, group, 3);
    // The group is another's now, and so is the right.
    aya.leave(group);
    delete(&mut cy, group, 3);
}

#[test]
fn a_removal_has_its_place_among_the_messages() {
    let server = Server::start();
    let (chat, mut aya, _tablet, mut bo) = in_a_room(&server);
    for seq in 1..=50 {
        let bytes = [
            bytes_of(Text { text: "to be removed" }),
            bytes_of(Delete { req: REQ, chat, seq: 2 * seq - 1 }),
            bytes_of(Text { text: "to stay" }),
        ];
        aya.send_bytes(&bytes.concat());
    }
    for seq in 1..=50 {
        assert_eq!(bo.next_text(), "to be removed");
        expect_gone(&mut bo, chat, 2 * seq - 1);
        assert_eq!(bo.next_text(), "to stay");
        aya.expect_status(0);
        aya.expect::<Deleted>();
        aya.expect_status(0);
    }
    bo.expect_nothing();
}

#[test]
fn in_a_crowd_a_removal_is_told_too() {
    let server = Server::start();
    let mut aya = Peer::named(&server, "Aya");
    let mut bo = Peer::named(&server, "Bo");
    // No other event is told in `all`.
    aya.say(to(ALL), "hello");
    bo.next_text();
    delete(&mut aya, ALL, 1);
    expect_gone(&mut bo, ALL, 1);
}

#[test]
fn a_device_without_live_messages_hears_of_removals_all_the_same() {
    let server = Server::start();
    let (chat, mut aya, _tablet, _bo) = in_a_room(&server);
    let mut quiet = aya.again_with(&server, Hello { flags: 1, ..Hello::default() });
    aya.say(to(chat), "hello");
    delete(&mut aya, chat, 1);
    expect_gone(&mut quiet, chat, 1);
}

/// Far more than the system's buffers take, so that the reader is behind, in the middle of a page.
#[test]
fn a_slow_reader_sees_a_message_and_then_its_removal_or_no_message() {
    const TEXTS: u64 = 400;
    let server = Server::start();
    let (chat, mut aya, _tablet, mut slow) = in_a_room(&server);
    let text = "x".repeat(60_000);
    for _ in 0..TEXTS {
        aya.say(to(chat), &text);
    }
    for seq in 1..=TEXTS {
        delete(&mut aya, chat, seq);
    }
    aya.say(to(chat), "the end");
    let (mut shown, mut last, mut gone_at_once) = (std::collections::BTreeSet::new(), 0, 0);
    loop {
        match slow.next() {
            Frame::From_(from) => {
                assert_eq!(from.seq, last + 1);
                last = from.seq;
                match slow.next() {
                    Frame::Text(text) if text.text == "the end" => break,
                    Frame::Text(_) => assert!(shown.insert(from.seq)),
                    Frame::Gone(_) => gone_at_once += 1,
                    other => panic!("{other:?}"),
                }
            }
            // It may name what is not there yet.
            Frame::MessageGone(gone) => drop(shown.remove(&gone.seq)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((last, shown.len()), (TEXTS + 1, 0), "something is still shown that was removed");
    assert!(gone_at_once > 0, "it was never behind");
    slow.ping();
}

#[test]
fn media_is_not_to_be_had_any_more_and_its_file_goes() {
    let server = Server::start();
    let (chat, mut aya, _tablet, mut bo) = in_a_room(&server);
    let body = random::Random::from(1).bytes(100_000);
    aya.body_to(To { name: "plans.bin", ..to(chat) }, kind::FILE, &body);
    aya.expect_status(0);
    let media = bo.next_message().media().clone();
    aya.send_bytes(
        &[
            bytes_of(to(chat)),
            bytes_of(Media { media_kind: kind::FILE, media: media.media, ..Media::default() }),
        ]
        .concat(),
    );
    aya.expect_status(0);
    bo.next_message();
    delete(&mut aya, chat, 1);
    expect_gone(&mut bo, chat, 1);
    assert_eq!(bo.fetch(media.media).1, body, "another message has it still");
    delete(&mut aya, chat, 2);
    expect_gone(&mut bo, chat, 2);
    for peer in [&mut aya, &mut bo] {
        peer.refused(Fetch { req: REQ, media: media.media, ..Fetch::default() }, Code::NotFound, REQ);
    }
    assert_eq!(files_of(&server), 0);
    assert!(bo.search(Search { query: "plans", ..Search::default() }).1.is_empty());
    // The same bytes can be sent again.
    aya.body_to(to(chat), kind::FILE, &body);
    aya.expect_status(0);
    bo.next_message();
    assert_eq!(bo.fetch(media.media).1, body);
}

#[test]
fn a_fetch_that_is_running_ends_well_when_its_media_is_removed() {
    let server = Server::start();
    let (chat, mut aya, _tablet, mut bo) = in_a_room(&server);
    let body = random::Random::from(2).bytes(24 * MEBIBYTE);
    aya.body_to(to(chat), kind::FILE, &body);
    aya.expect_status(0);
    let media = bo.next_message().media().media;
    bo.send(Fetch { req: REQ, media, ..Fetch::default() });
    bo.expect::<FetchReady<'_>>();
    delete(&mut aya, chat, 1);
    assert_eq!(files_of(&server), 0);
    let (mut got, mut is_told) = (0, false);
    while got < body.len() {
        match bo.next() {
            Frame::Chunk(chunk) => {
                assert!(chunk.bytes == &body[got..got + chunk.bytes.len()]);
                got += chunk.bytes.len();
            }
            Frame::MessageGone(_) => is_told = true,
            Frame::Error(error) => {
                assert_eq!((error.code, error.about), (Code::NotFound as u16, kind::FETCH));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    if !is_told {
        expect_gone(&mut bo, chat, 1);
    }
    bo.expect_nothing();
}

/// Some bodies wait in the server, since the reader takes nothing, and their files go before their turn comes.
#[test]
fn a_reader_that_takes_media_whole_gets_over_a_body_that_is_gone() {
    // More than the system's buffers take, and in what the server keeps for the reader there are bodies.
    const PAIRS: u64 = 700;
    let server = Server::with(&[("store.durability", "normal")]);
    let mut aya = Peer::named(&server, "Aya").without_members();
    let mut bo = Peer::hello(&server, Hello { user: "Bo", inline_limit: 1 << 20, ..Hello::default() });
    let chat = aya.join("harbour").chat;
    bo.join("harbour");
    let text = "x".repeat(30_000);
    for number in 1..=PAIRS {
        aya.say(to(chat), &text);
        aya.body_to(To { name: "small.bin", ..to(chat) }, kind::FILE, &number.to_be_bytes());
        aya.expect_status(0);
    }
    for number in 1..=PAIRS {
        delete(&mut aya, chat, 2 * number);
    }
    assert_eq!(files_of(&server), 0);
    aya.say(to(chat), "the end");
    let (mut last, mut by_reference) = (0, 0);
    let mut shown = std::collections::BTreeSet::new();
    loop {
        match bo.next() {
            Frame::From_(from) => {
                assert_eq!(from.seq, last + 1);
                last = from.seq;
                match bo.next() {
                    Frame::Text(text) if text.text == "the end" => break,
                    Frame::Text(_) | Frame::Gone(_) => {}
                    Frame::File(file) => {
                        assert_eq!(file.body, (last / 2).to_be_bytes());
                        shown.insert(last);
                    }
                    Frame::Media(media) => {
                        assert_eq!((media.name, media.size), ("small.bin", 8));
                        by_reference += 1;
                        shown.insert(last);
                    }
                    other => panic!("{other:?}"),
                }
            }
            Frame::MessageGone(gone) => drop(shown.remove(&gone.seq)),
            other => panic!("{other:?}"),
        }
    }
    assert!(shown.is_empty(), "{shown:?}");
    assert!(by_reference > 0, "no body waited");
    bo.ping();
}
