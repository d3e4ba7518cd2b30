//! HISTORY: pages in both directions to the edges, and nothing of other people's (section 6.4 of
//! docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const OLDEST: u8 = 1;

/// A peer in a room of its own with so many messages, whose texts are their seqs.
fn room_of(server: &Server, messages: u64) -> (Peer, u64) {
    let mut aya = Peer::named(server, "Aya");
    let chat = aya.join("harbour").chat;
    let texts: Vec<u8> = (1..=messages).flat_map(|n| bytes_of(Text { text: &n.to_string() })).collect();
    aya.send_bytes(&texts);
    for seq in 1..=messages {
        assert_eq!(aya.expect_status(0).seq, seq);
    }
    (aya, chat)
}

#[test]
fn every_page_is_what_the_bounds_and_the_direction_say() {
    const N: u64 = 12;
    let server = Server::start();
    let (mut aya, chat) = room_of(&server, N);
    for before in [0, 1, 2, 6, 12, 13, 14, 1 << 31, 1 << 32, 1 << 53, u64::MAX] {
        for after in [0, 1, 5, 11, 12, 13, 1 << 32, u64::MAX] {
            for limit in [1, 3, 12, 0, 201] {
                for flags in [0, OLDEST] {
                    let wanted = History { chat, before, after, limit, flags, ..History::default() };
                    let upto = if before == 0 { u64::MAX } else { before };
                    let all: Vec<u64> = (1..=N).filter(|seq| *seq > after && *seq < upto).collect();
                    let n = all.len().min(if limit == 0 { 200 } else { limit.into() });
                    let page = if flags == OLDEST { &all[..n] } else { &all[all.len() - n..] };
                    let (head, messages) = aya.history(wanted.clone());
                    let seqs: Vec<u64> = messages.iter().map(|message| message.from.seq).collect();
                    assert_eq!(seqs, page, "{wanted:?}");
                    assert_eq!(head.more, u8::from(n < all.len()), "{wanted:?}");
                    assert_eq!((head.first_seq, head.last_seq), (1, N));
                    assert!(messages.iter().all(|m| m.text() == m.from.seq.to_string()));
                }
            }
        }
    }
}

#[test]
fn a_long_chat_is_read_in_pages_of_200_either_way() {
    let server = Server::start();
    let (mut aya, chat) = room_of(&server, 450);
    let (mut back, mut before) = (Vec::new(), 0);
    loop {
        let (head, page) = aya.history(History { chat, before, ..History::default() });
        before = page[0].from.seq;
        back.splice(0..0, page.iter().map(|message| message.from.seq));
        if head.more == 0 {
            break;
        }
        assert_eq!(page.len(), 200);
    }
    let (mut forth, mut after) = (Vec::new(), 0);
    loop {
        let (head, page) = aya.history(History { chat, after, flags: OLDEST, ..History::default() });
        after = page[page.len() - 1].from.seq;
        forth.extend(page.iter().map(|message| message.from.seq));
        if head.more == 0 {
            break;
        }
    }
    let all: Vec<u64> = (1..=450).collect();
    assert!(back == all && forth == all);
}

#[test]
fn of_a_chat_without_messages_there_is_an_empty_page() {
    let server = Server::start();
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    for flags in [0, OLDEST] {
        let (head, messages) = aya.history(History { chat: home, flags, ..History::default() });
        assert_eq!((head.first_seq, head.last_seq, head.more, messages.len()), (1, 0, 0, 0));
    }
}

#[test]
fn a_page_ends_at_a_mebibyte_and_has_at_least_one_message() {
    let server = Server::with(&[("limits.text_bytes", "1048576")]);
    let mut aya = Peer::guest(&server);
    let home = aya.me().home;
    for size in [300_000, 300_000, 300_000, 300_000, 1_048_576] {
        aya.text(&"a".repeat(size));
        aya.expect_status(0);
    }
    let mut seqs = |after, flags| {
        let (head, page) = aya.history(History { chat: home, after, flags, ..History::default() });
        (page.iter().map(|message| message.from.seq).collect::<Vec<_>>(), head.more)
    };
    assert_eq!(seqs(0, OLDEST), (vec![1, 2, 3], 1));
    assert_eq!(seqs(3, OLDEST), (vec![4], 1));
    assert_eq!(seqs(4, OLDEST), (vec![5], 0));
    assert_eq!(seqs(0, 0), (vec![5], 1));
    assert_eq!(aya.history(History { chat: home, before: 5, ..History::default() }).1.len(), 3);
}

#[test]
fn a_page_shows_messages_as_they_came_live() {
    let server = Server::with(&[("assistant.kind", "echo")]);
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let chat = aya.join("harbour").chat;
    bo.join("harbour");
    aya.expect::<Member<'_>>();
    aya.text_to(To { nonce: 5, ..To::default() }, "hello");
    aya.body_to(
        To { nonce: 6, reply_to: 1, name: "a/b/pic.png", ..To::default() },
        kind::IMAGE,
        &sample("image.png"),
    );
    aya.body_to(To { nonce: 7, ..To::default() }, kind::FILE, b"");
    let live: Vec<Message> = (0..3).map(|_| bo.next_message()).collect();
    let page = bo.history(History { chat, ..History::default() }).1;
    assert_eq!(page, live);
    let picture = page[1].media();
    assert_eq!((picture.name, picture.mime, picture.media_kind), ("pic.png", "image/png", 3));
    assert_eq!((page[1].from.nonce, page[1].from.reply_to, picture.size), (0, 1, 469));
    // Their sender sees the nonces.
    for nonce in 5..8 {
        aya.expect_status(nonce);
    }
    let own = aya.history(History { chat, ..History::default() }).1;
    assert_eq!(own.iter().map(|message| message.from.nonce).collect::<Vec<_>>(), [5, 6, 7]);

    // Media is a reference even for who takes it inline.
    let mut inline = aya.again_with(&server, Hello { inline_limit: 1 << 20, ..Hello::default() });
    assert_eq!(inline.history(History { chat, ..History::default() }).1, own);
    // And the assistant's replies are found too.
    let home = aya.me().home;
    aya.say(To { chat: home, ..To::default() }, "ping");
    let reply = aya.next_message();
    inline.next_message();
    assert_eq!(inline.next_message(), reply);
    assert_eq!(aya.history(History { chat: home, after: 1, ..History::default() }).1, [reply]);
}

#[test]
fn nobody_reads_what_they_are_not_in() {
    let server = Server::start();
    let (mut aya, mut bo) = (Peer::named(&server, "Aya"), Peer::named(&server, "Bo"));
    let mut cy = Peer::named(&server, "Cy");
    let direct = aya.say(To { user: "Bo", ..To::default() }, "between us").chat;
    aya.say(To { chat: aya.me().home, ..To::default() }, "to myself");
    bo.next_text();
    let room = bo.join("harbour").chat;
    bo.text("in the room");
    bo.expect_status(0);
    let mut texts = Vec::new();
    for chat in [direct, aya.me().home, 0, 999_999, 1 << 31, 1 << 53, u64::MAX] {
        for wanted in [(0, 0, 0), (u64::MAX, 0, 0), (1 << 40, 1, OLDEST)] {
            let (before, after, flags) = wanted;
            cy.send(History { req: 1, chat, before, after, flags, ..History::default() });
            texts.push(cy.expect_error(Code::NotFound, 1, kind::HISTORY).said.text);
            cy.send(Sync { req: 2, chat, after });
            texts.push(cy.expect_error(Code::NotFound, 2, kind::SYNC).said.text);
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "the errors tell what exists: {texts:?}");
    cy.send(History { req: 1, chat: room, ..History::default() });
    cy.expect_error(Code::Forbidden, 1, kind::HISTORY);
    // Bounds beyond a chat do not lead into the next one.
    let home = cy.me().home;
    for before in [0, 1 << 32, 1 << 33, u64::MAX] {
        assert_eq!(cy.history(History { chat: home, before, ..History::default() }).1, []);
    }
}

#[test]
fn history_is_the_same_behind_a_restart() {
    let mut server = Server::start();
    let (mut aya, chat) = room_of(&server, 50);
    let page = aya.history(History { chat, ..History::default() });
    server.restart();
    let mut aya = aya.again(&server);
    aya.join("harbour");
    let again = aya.history(History { chat, ..History::default() });
    assert_eq!(again.1, page.1);
    assert_eq!((again.0.first_seq, again.0.last_seq, again.0.more), (1, 50, 0));
}
