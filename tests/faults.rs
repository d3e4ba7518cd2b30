//! Disks that are full or fail, a database that somebody else has, files that are gone, clocks that are set, and what
//! the server says then (sections 3.3 and 8 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod disk;
mod support;

use crowd::*;
use disk::{Action, Disk, EIO, ENOSPC, Rule, op};
use support::uploading::*;
use support::*;

const LOG: &str = "chatwire.db-wal";

/// A server whose log of errors is what the test is about.
fn failing(disk: &Disk) -> Server {
    let mut server = disk.server(&[]);
    server.may_log_errors();
    server.start_again();
    server
}

fn to(nonce: u64) -> To<'static> {
    To { nonce, chat: 1, ..To::default() }
}

fn texts(peer: &mut Peer) -> Vec<&'static str> {
    peer.history(History { chat: 1, ..History::default() }).1.iter().map(Message::text).collect()
}

#[test]
fn a_commit_that_cannot_be_synced_ends_the_server_and_what_is_told_later_is_true() {
    let mut disk = Disk::recording();
    let mut server = failing(&disk);
    let mut peer = Peer::guest(&server);
    peer.say(to(1), "before");
    disk.set(0, Rule { ops: op::SYNC, path: LOG, times: 1, ..Rule::default() });
    peer.text_to(to(2), "in doubt");
    peer.expect_end();
    assert!(!server.wait().success());
    disk.reads_log();
    disk.goes_on();
    server.start_again();
    let mut peer = peer.again(&server);
    peer.say(to(2), "in doubt");
    peer.say(to(3), "behind");
    assert_eq!(texts(&mut peer), ["before", "in doubt", "behind"]);
    server.kill();
    disk.reads_log();
    disk.lose_all_that_is_not_synced();
    disk.goes_on();
    server.start_again();
    assert_eq!(texts(&mut peer.again(&server)), ["before", "in doubt", "behind"]);
}

/// What a failure is said to be, for a failure of this kind of call, and whether it is over with it.
#[test]
fn a_text_that_cannot_be_written_is_refused_and_nothing_of_it_stays() {
    for (error, action, code) in [
        (EIO, Action::Fail, Code::Internal),
        (ENOSPC, Action::Fail, Code::StorageFull),
        (ENOSPC, Action::Short, Code::StorageFull),
    ] {
        let disk = Disk::new();
        let mut server = failing(&disk);
        let mut peer = Peer::guest(&server);
        peer.say(to(1), "before");
        // What was written by half is tried again for the rest.
        let rule = Rule { ops: op::WRITE, path: LOG, action, error, ..Rule::default() };
        disk.set(0, Rule { times: 1, ..rule });
        if action == Action::Short {
            disk.set(1, Rule { action: Action::Fail, skip: 1, ..rule });
        }
        peer.text_to(to(2), "refused");
        peer.expect_error(code, 2, kind::TEXT);
        assert_eq!(texts(&mut peer), ["before"]);
        // And a crash does not bring it back.
        disk.clear(1);
        server.restart();
        let mut peer = peer.again(&server);
        assert_eq!(texts(&mut peer), ["before"]);
        assert_eq!(peer.say(to(2), "taken").seq, 2);
    }
}

/// Every place at which a body in one frame meets the disk.
#[test]
fn media_that_cannot_be_written_is_refused_and_nothing_of_it_stays() {
    let calls = [
        (op::OPEN, "data/tmp"),
        (op::WRITE, "data/tmp"),
        (op::SYNC, "data/tmp"),
        (op::MKDIR, "data/media"),
        (op::RENAME, "data/media"),
        (op::SYNC, "data/media"),
        (op::WRITE, LOG),
    ];
    let disk = Disk::new();
    let server = failing(&disk);
    let mut peer = Peer::guest(&server);
    for (nonce, (ops, path)) in (1..).zip(calls) {
        for (error, code) in [(EIO, Code::Internal), (ENOSPC, Code::StorageFull)] {
            let file = random_bytes(nonce, 50_000);
            disk.set(0, Rule { ops, path, error, ..Rule::default() });
            peer.body_to(to(nonce), kind::FILE, &file);
            peer.expect_error(code, nonce, kind::FILE);
            assert!(disk.hits(0) > 0, "{ops} {path}");
            disk.clear(0);
            until("nothing of it is left", || {
                let left = ["tmp", "media"].map(|folder| files(&server.data().join(folder)).len());
                left == [0, usize::try_from(nonce - 1).unwrap()]
            });
        }
        peer.body_to(to(nonce), kind::FILE, &random_bytes(nonce, 50_000));
        peer.expect_status(nonce);
    }
    assert_eq!(check_folder(server.data(), true).strays, 0);
}

/// The same of an upload: what was confirmed is kept, and it goes on from there.
#[test]
fn an_upload_that_cannot_be_written_keeps_what_was_confirmed() {
    // Where bytes come, and where all have come.
    let calls = [
        (op::WRITE, "data/half"),
        (op::SYNC, "data/half"),
        (op::MKDIR, "data/media"),
        (op::SYNC, "data/media"),
        (op::LINK | op::RENAME, "data/media"),
        (op::WRITE, LOG),
    ];
    let disk = Disk::new();
    let server = failing(&disk);
    let mut peer = Peer::guest(&server);
    for (n, (ops, path)) in (1..).zip(calls) {
        let file = random_bytes(n, 600_000);
        let mut req = peer.req();
        assert_eq!(begin(&mut peer, upload(req, kind::FILE, &file)), 0);
        send_chunks(&mut peer, req, &file, 0, 5 * CHUNK);
        let mut safe = received(&mut peer, req, 0);
        for (error, code) in [(EIO, Code::Internal), (ENOSPC, Code::StorageFull)] {
            disk.set(0, Rule { ops, path, error, ..Rule::default() });
            let cancel = Cancel { req: peer.req(), transfer: req };
            peer.send(cancel);
            while !matches!(peer.next(), Frame::Cancelled(_)) {}
            req = peer.req();
            let at = begin(&mut peer, upload(req, kind::FILE, &file));
            assert!(at >= safe, "{ops} {path}: of {safe} bytes {at} are left");
            let mut end = at;
            while end < file.len() {
                let n = CHUNK.min(file.len() - end);
                peer.send_bytes(&chunk(req, end, &file[end..end + n]));
                end += n;
            }
            safe = fails(&mut peer, req, code, at);
            assert!(disk.hits(0) > 0, "{ops} {path}");
            disk.clear(0);
        }
        store(&mut peer, kind::FILE, &file);
    }
    assert_eq!(check_folder(server.data(), true), Folder { media: calls.len(), strays: 0, halves: 0 });
}

/// The end of an upload, and what was confirmed of it before.
fn fails(peer: &mut Peer, req: u32, code: Code, mut safe: usize) -> usize {
    loop {
        match peer.next() {
            Frame::Received(received) => safe = usize::try_from(received.offset).unwrap(),
            Frame::Error(error) => {
                let told = (error.code, error.ref_, error.about);
                assert_eq!(told, (code as u16, req.into(), kind::UPLOAD), "{error:?}");
                return safe;
            }
            other => panic!("{other:?}"),
        }
    }
}
