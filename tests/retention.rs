//! `store.retention_days`: what clients see of it (section 6.10 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rusqlite::Connection;
use support::*;

const ALL: u64 = 1;
const DAYS: [(&str, &str); 1] = [("store.retention_days", "30")];

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

/// All that was said so far was said so many days ago.
fn age(server: &Server, days: i64) {
    let db = Connection::open(server.data().join("chatwire.db")).unwrap();
    let micros = days * 24 * 3600 * 1_000_000;
    db.execute_batch(&format!("UPDATE messages SET at = at - {micros}; UPDATE chats SET last_at = 0"))
        .unwrap();
}

fn first_seq(peer: &mut Peer, chat: u64) -> u64 {
    peer.history(History { chat, limit: 1, ..History::default() }).0.first_seq
}

#[test]
fn what_is_too_old_goes_and_the_rest_goes_on() {
    let mut server = Server::with(&DAYS);
    server.operate("user add ann", "secret\n");
    let hello = Hello { user: "ann", auth: 1, secret: "secret", ..Hello::default() };
    let mut ann = Peer::hello(&server, hello.clone());
    let tea = ann.join("tea").chat;
    for number in 0..700 {
        ann.text_to(to(ALL), &format!("old {number}"));
    }
    for _ in 0..700 {
        ann.expect_status(0);
    }
    ann.say(To { nonce: 5, ..to(tea) }, "old");
    ann.body_to(to(ALL), kind::IMAGE, &sample("image.png"));
    ann.expect_status(0);
    let media = *blake3::hash(&sample("image.png")).as_bytes();
    server.kill();
    age(&server, 31);
    server.start_again();
    let mut ann = Peer::hello(&server, hello.clone());
    ann.say(to(ALL), "new");
    until("all that is old is gone", || first_seq(&mut ann, ALL) == 702);
    until("of the other room too", || first_seq(&mut ann, tea) == 2);
    let (page, messages) = ann.history(History { chat: ALL, ..History::default() });
    assert_eq!((page.first_seq, page.last_seq, page.count, page.more), (702, 702, 1, 0));
    assert_eq!(messages[0].text(), "new");
    let (page, _) = ann.history(History { chat: tea, ..History::default() });
    assert_eq!((page.first_seq, page.last_seq, page.count), (2, 1, 0));
    // A client that was away goes on where what is kept begins.
    let synced = ann.sync(ALL, 650);
    assert_eq!((synced.first_seq, synced.last_seq), (702, 702));
    assert_eq!(ann.next_message().from.seq, 702);
    let synced = ann.sync(tea, 1);
    assert_eq!((synced.first_seq, synced.last_seq), (2, 1));
    assert!(ann.search(Search { query: "old", ..Search::default() }).1.is_empty());
    ann.refused(Delete { req: 9, chat: ALL, seq: 5 }, Code::NotFound, 9);
    ann.refused(Fetch { req: 9, media, ..Fetch::default() }, Code::NotFound, 9);
    until("its file is gone", || files(&server.data().join("media")).is_empty());
    // What is not kept is not known, and seqs go on.
    let status = ann.say(To { nonce: 5, reply_to: 1, ..to(tea) }, "old");
    assert_eq!((status.seq, status.duplicate), (2, 0));
    assert!(server.terminate().success());
    assert!(server.operate("check", "").starts_with("sound: "));
}

#[test]
fn it_can_be_set_while_the_server_runs() {
    let server = Server::with_file("store.retention_days = 0\n");
    let mut ann = Peer::guest(&server);
    for _ in 0..3 {
        ann.say(to(ALL), "old");
    }
    age(&server, 400);
    server.write_settings("store.retention_days = 365\n");
    server.reload("store.retention_days changed");
    until("all that is old is gone", || first_seq(&mut ann, ALL) == 4);
    assert_eq!(ann.say(to(ALL), "new").seq, 4);
}

/// Who is behind while the ground goes away under it is told where what is kept begins.
#[test]
fn who_is_catching_up_meanwhile_is_not_stuck() {
    let mut server = Server::with(&DAYS);
    let mut ann = Peer::guest(&server);
    let text = "x".repeat(30_000);
    for _ in 0..300 {
        ann.text_to(to(ALL), &text);
    }
    for _ in 0..300 {
        ann.expect_status(0);
    }
    server.kill();
    age(&server, 31);
    server.start_again();
    let mut bob = Peer::guest(&server);
    let synced = bob.sync(ALL, 0);
    // It does not read, and more than fits into its socket is on the way.
    let mut ann = Peer::guest(&server);
    until("all that is old is gone", || first_seq(&mut ann, ALL) == 301);
    ann.say(to(ALL), "new");
    let mut position = synced.first_seq - 1;
    loop {
        let message = bob.next_message();
        if message.from.seq == position + 1 {
            position += 1;
            if message.content == Frame::Text(Text { text: "new" }) {
                break;
            }
        } else {
            let req = bob.req();
            bob.send(Sync { req, chat: ALL, after: position });
            loop {
                match bob.next() {
                    Frame::Synced(synced) => break position = position.max(synced.first_seq - 1),
                    Frame::From_(_) | Frame::Text(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(position, 301);
}
