//! SEARCH over a whole server: what was confirmed is found, by who may read it, page by page (section 6.8 of
//! docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::thread;
use support::*;

fn words(query: &str) -> Search<'_> {
    Search { query, ..Search::default() }
}

fn texts(found: &(bool, Vec<Message>)) -> Vec<&'static str> {
    found.1.iter().map(Message::text).collect()
}

#[test]
fn a_search_finds_ones_own_and_others_messages_newest_first_over_all_chats() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo").without_members());
    let room = aya.join("harbour").chat;
    bo.join("harbour");
    aya.expect::<Member<'_>>();
    let home = aya.me().home;
    aya.say(To { nonce: 5, chat: home, ..To::default() }, "tea at home");
    bo.say(To { nonce: 6, chat: room, ..To::default() }, "Tea in the harbour");
    aya.next_message();
    aya.say(To { nonce: 7, chat: room, ..To::default() }, "no coffee, tea!");
    let found = aya.search(words("TEA"));
    assert_eq!(texts(&found), ["no coffee, tea!", "Tea in the harbour", "tea at home"]);
    assert!(!found.0);
    // A nonce is for its own user.
    assert_eq!(found.1.iter().map(|m| m.from.nonce).collect::<Vec<_>>(), [7, 0, 5]);
    assert_eq!(texts(&aya.search(Search { chat: home, ..words("tea") })), ["tea at home"]);
    assert_eq!(texts(&aya.search(words("tea harb*"))), ["Tea in the harbour"]);
    // The page's way to the next page.
    let (more, page) = aya.search(Search { limit: 2, ..words("tea") });
    let last = &page[1].from;
    let (before, before_chat, before_at) = (last.seq, last.chat, last.at);
    let rest = aya.search(Search { before, before_chat, before_at, ..words("tea") });
    assert!(more && !rest.0);
    assert_eq!(texts(&rest), ["tea at home"]);
    aya.bye();
}

#[test]
fn what_the_asker_may_not_read_is_not_found() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let group = bo.create("secrets");
    let room = bo.join("tea").chat;
    bo.say(To { chat: group, ..To::default() }, "sesame of the group");
    bo.say(To { chat: room, ..To::default() }, "sesame of the room");
    assert_eq!(texts(&aya.search(words("sesame"))), [""; 0]);
    aya.refused(Search { req: 91, chat: group, ..words("sesame") }, Code::NotFound, 91);
    aya.refused(Search { req: 92, chat: room, ..words("sesame") }, Code::Forbidden, 92);
    bo.invite(group, "Aya");
    aya.expect::<Member<'_>>();
    assert_eq!(texts(&aya.search(words("sesame"))), ["sesame of the group"]);
    bo.remove(group, "Aya");
    aya.expect::<Member<'_>>();
    assert_eq!(texts(&aya.search(words("sesame"))), [""; 0]);
}

#[test]
fn a_query_without_a_word_or_too_long_is_refused_and_the_connection_goes_on() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    aya.refused(Search { req: 5, ..words("...") }, Code::BadMedia, 5);
    aya.refused(Search { req: 6, ..words("") }, Code::BadMedia, 6);
    aya.refused(Search { req: 7, ..words(&"a".repeat(257)) }, Code::TooLarge, 7);
    assert_eq!(texts(&aya.search(words(&"a".repeat(256)))), [""; 0]);
}

#[test]
fn whatever_is_confirmed_is_found_at_once_while_many_write() {
    const EACH: usize = 700;
    let server = Server::start();
    thread::scope(|scope| {
        for writer in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut peer = Peer::hello(server, Hello { flags: 1, ..Hello::default() }).without_members();
                let chat = peer.join("harbour").chat;
                for number in 0..EACH {
                    let text = format!("w{writer}n{number} here");
                    peer.say(To { nonce: number as u64 + 1, chat, ..To::default() }, &text);
                    if number % 10 == 0 {
                        let found = peer.search(words(&format!("here w{writer}n{number}")));
                        assert_eq!(texts(&found), [&text]);
                    }
                }
            });
        }
    });
    let mut aya = Peer::guest(&server).without_members();
    let chat = aya.join("harbour").chat;
    let (mut came, mut before) = (0, 0);
    loop {
        let (more, page) = aya.search(Search { chat, before, ..words("here") });
        came += page.len();
        before = page[page.len() - 1].from.seq;
        if !more {
            break;
        }
    }
    assert_eq!(came, 4 * EACH);
}

#[test]
fn what_was_confirmed_is_found_once_behind_a_kill() {
    const MESSAGES: u64 = 900;
    let mut server = Server::start();
    let mut aya = Peer::named(&server, "Aya");
    let chat = aya.join("harbour").chat;
    for number in 1..=MESSAGES {
        aya.say(To { nonce: number, chat, ..To::default() }, &format!("n{number} here"));
    }
    server.restart();
    let mut aya = aya.again(&server);
    aya.join("harbour");
    for number in [1, 2, 255, 256, 257, 511, 512, 513, 640, 767, 768, 769, MESSAGES] {
        let found = aya.search(words(&format!("n{number}")));
        assert_eq!(texts(&found), [format!("n{number} here")]);
    }
    assert_eq!(aya.search(Search { chat, limit: 200, ..words("here") }).1.len(), 200);
}
