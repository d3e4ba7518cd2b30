//! Disks that are full or fail, a database that somebody else has, files that are gone, clocks that are set, and what
//! the server says then (sections 3.3 and 8 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod disk;
mod support;

use crowd::*;
use disk::{ALWAYS, Action, Disk, EIO, ENOSPC, Rule, op};
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
    disk.lose_power_under(&mut server);
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
        // Until the text is refused, since the index of words may write first. What was written by half is tried
        // again for the rest.
        let rule = Rule { ops: op::WRITE, path: LOG, action, error, ..Rule::default() };
        if action == Action::Short {
            disk.set(0, Rule { times: 1, ..rule });
            disk.set(1, Rule { action: Action::Fail, skip: 1, ..rule });
        } else {
            disk.set(0, rule);
        }
        peer.text_to(to(2), "refused");
        peer.expect_error(code, 2, kind::TEXT);
        assert_eq!(texts(&mut peer), ["before"]);
        // And a crash does not bring it back.
        disk.clear(0);
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
    // What was refused last goes behind its refusal.
    until("nothing of what was refused is left", || check_folder(server.data(), false).strays == 0);
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

/// A crowd that is refused now and then, by a disk that fails here and there: nothing of that stays, all else does.
#[test]
fn nothing_is_lost_on_a_disk_that_fails_now_and_then() {
    let mut random = random::Random::new();
    let disk = Disk::new();
    let mut server = failing(&disk);
    let mut crowd = Crowd::that_may_be_refused(&server);
    for round in 1..=8 {
        let mut sent = random::Random::from(random.number());
        crowd.load(&mut server, &mut sent, |server, world| {
            for _ in 0..6 {
                let ops = random.pick(&[
                    op::WRITE,
                    op::OPEN,
                    op::RENAME | op::LINK,
                    op::READ,
                    op::SYNC,
                    op::MKDIR,
                    op::UNLINK,
                ]);
                let path = random.pick(&["data/", "data/media", "data/half", "data/tmp", LOG]);
                let (error, times) = (random.pick(&[EIO, ENOSPC]), random.pick(&[1, 3, ALWAYS]));
                disk.set(0, Rule { ops, path, error, times, skip: random.number() % 5, ..Rule::default() });
                world.wait_for(40, server);
                disk.clear(0);
                world.wait_for(40, server);
            }
            server.kill();
        });
        server.start_again();
        crowd.check(&server, round == 8);
        check_folder(server.data(), true);
    }
    assert!(crowd.totals().refused > 0 && crowd.totals().stored > 0, "{:?}", crowd.totals());
}

/// The system tells of a sync of a folder that failed once, to one of all who have made names there.
#[test]
fn nothing_is_confirmed_whose_name_another_ones_failed_sync_may_have_lost() {
    let mut disk = Disk::recording();
    let mut server = failing(&disk);
    let (mut ann, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let [of_ann, of_bo] = [1, 2].map(|n| random_bytes(n, 600_000));
    // Both halves have their names, and neither is on the disk.
    begin(&mut ann, upload(1, kind::FILE, &of_ann));
    begin(&mut bo, upload(2, kind::FILE, &of_bo));
    disk.set(0, Rule { ops: op::SYNC, path: "data/half$", times: 1, ..Rule::default() });
    send_chunks(&mut ann, 1, &of_ann, 0, 4 * CHUNK);
    assert_eq!(fails(&mut ann, 1, Code::Internal, 0), 0);
    send_chunks(&mut bo, 2, &of_bo, 0, 4 * CHUNK);
    assert_eq!(fails(&mut bo, 2, Code::Internal, 0), 0);
    let again = begin(&mut bo, upload(3, kind::FILE, &of_bo));
    send_chunks(&mut bo, 3, &of_bo, again, again + 4 * CHUNK);
    let safe = received(&mut bo, 3, again);
    // The same of whole files: one has its name, and waits for its folder, while the sync of the folder above fails.
    let whole = random_bytes(3, 50_000);
    let shelf = format!("data/media/{}$", &blake3::Hash::from_bytes(digest(&whole)).to_hex()[..2]);
    disk.set(0, Rule { ops: op::SYNC, path: shelf.leak(), action: Action::Wait, ..Rule::default() });
    bo.body_to(to(1), kind::FILE, &whole);
    until("it waits for its folder", || disk.hits(0) > 0);
    disk.set(1, Rule { ops: op::SYNC, path: "data/media$", times: 1, ..Rule::default() });
    ann.body_to(to(1), kind::FILE, &random_bytes(4, 50_000));
    ann.expect_error(Code::Internal, 1, kind::FILE);
    disk.clear(0);
    bo.expect_error(Code::Internal, 1, kind::FILE);
    bo.body_to(to(1), kind::FILE, &whole);
    bo.expect_status(1);
    disk.lose_power_under(&mut server);
    check_folder(server.data(), true);
    let mut bo = bo.again(&server);
    assert!(begin(&mut bo, upload(4, kind::FILE, &of_bo)) >= safe);
    assert!(bo.fetch(digest(&whole)).1 == whole);
}

/// Syncs that fail, of files and of folders, and the power behind them: what was confirmed all the same is there.
#[test]
fn nothing_is_lost_on_a_disk_whose_syncs_fail_before_the_power_does() {
    let mut random = random::Random::new();
    let mut disk = Disk::recording();
    let mut server = failing(&disk);
    let mut crowd = Crowd::that_may_be_refused(&server);
    crowd.world.has_lost_power = true;
    for round in 1..=8 {
        crowd.load(&mut server, &mut random::Random::from(random.number()), |server, world| {
            for _ in 0..4 {
                let path = random.pick(&["data/media", "data/media$", "data/half", "data/half$", "data/tmp"]);
                let (times, skip) = (random.pick(&[1, 3]), random.number() % 5);
                disk.set(0, Rule { ops: op::SYNC, path, times, skip, ..Rule::default() });
                world.wait_for(60, server);
            }
            server.kill();
        });
        disk.clear(0);
        disk.reads_log();
        disk.lose_power(&mut random);
        disk.goes_on();
        server.start_again();
        crowd.check(&server, round == 8);
        check_folder(server.data(), true);
    }
    assert!(crowd.totals().refused > 0 && crowd.totals().stored > 0, "{:?}", crowd.totals());
}

#[test]
fn who_waits_for_a_database_that_another_program_has_is_served_when_it_is_free() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    let mut bo = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
    ann.say(to(1), "before");
    let other = rusqlite::Connection::open(server.data().join("chatwire.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    ann.text_to(to(2), "waits");
    // Others are there all the while, and what is read needs no lock.
    for _ in 0..50 {
        bo.ping();
        assert_eq!(bo.history(History { chat: 1, limit: 1, ..History::default() }).0.last_seq, 1);
    }
    other.execute_batch("COMMIT").unwrap();
    ann.expect_status(2);
    assert_eq!(texts(&mut bo), ["before", "waits"]);
}

#[test]
fn a_database_that_another_program_keeps_is_said_and_got_over() {
    let mut server = Server::start();
    server.may_log_errors();
    let mut peer = Peer::guest(&server);
    // What the server does by itself at its start is done.
    server.operate("gc", "");
    let other = rusqlite::Connection::open(server.data().join("chatwire.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    peer.text_to(to(1), "waits");
    peer.expect_error(Code::Internal, 1, kind::TEXT);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(peer.say(to(1), "waits").duplicate, 0);
}

#[test]
fn media_whose_file_is_gone_or_cut_is_said_and_the_connection_goes_on() {
    let mut server = Server::start();
    server.may_log_errors();
    let mut peer = Peer::guest(&server);
    let file = random_bytes(1, 300_000);
    peer.body_to(to(1), kind::FILE, &file);
    peer.expect_status(1);
    let path = files(&server.data().join("media")).remove(0);
    let (media, req) = (digest(&file), peer.req());
    std::fs::write(&path, &file[..200_000]).unwrap();
    peer.send(Fetch { req, media, ..Fetch::default() });
    let end = loop {
        match peer.next() {
            Frame::FetchReady(_) | Frame::Chunk(_) => {}
            other => break other,
        }
    };
    let Frame::Error(error) = end else { panic!("{end:?}") };
    assert_eq!((error.code, error.ref_, error.about), (Code::Internal as u16, req.into(), kind::FETCH));
    std::fs::remove_file(&path).unwrap();
    let req = peer.req();
    peer.refused(Fetch { req, media, ..Fetch::default() }, Code::Internal, req);
    // Who would get it whole gets a reference.
    let hello = Hello { inline_limit: 1 << 20, flags: 1, ..Hello::default() };
    let mut other = Peer::hello(&server, hello);
    other.sync(1, 0);
    assert_eq!(other.next_message().media().media, media);
    // Bringing the bytes again mends it.
    peer.body_to(to(2), kind::FILE, &file);
    peer.expect_status(2);
    assert!(peer.fetch(media).1 == file);
}

#[test]
fn a_clock_that_is_set_back_or_forward_loses_nobody_and_turns_no_time_around() {
    let disk = Disk::new();
    let mut server = disk.server(&[]);
    server.start_again();
    let hello = Hello { auth: 3, user: "ann", secret: "harbour lights", ..Hello::default() };
    let mut ann = Peer::hello(&server, hello);
    let mut at = 0;
    for (nonce, days) in (1..).zip([0, -400, 20, -1, -20_000, 10]) {
        disk.shift_clock(days * 86_400);
        let status = ann.say(to(nonce), "hi");
        assert!(status.at >= at, "the time ran backwards");
        at = status.at;
        ann.ping();
        // The token was used in what is now the future, or long ago.
        ann = ann.again(&server);
        let mut guest = Peer::guest(&server);
        guest.again(&server).bye();
        guest.say(To::default(), "hi");
        server.restart();
        ann = ann.again(&server);
    }
    let (_, page) = ann.history(History { chat: 1, ..History::default() });
    assert!(page.windows(2).all(|pair| pair[0].from.at <= pair[1].from.at) && page.len() == 6);
}

/// A machine that wakes up in another year: whoever sets its clock right has lost nothing.
#[test]
fn nothing_goes_for_being_too_old_by_a_clock_that_has_leapt() {
    let disk = Disk::new();
    let mut server = disk.server(&[("store.retention_days", "30")]);
    server.start_again();
    let hello = Hello { auth: 3, user: "ann", secret: "harbour lights", ..Hello::default() };
    let mut ann = Peer::hello(&server, hello.clone());
    ann.say(to(1), "hi");
    let mut guest = Peer::guest(&server);
    for days in [27_000, 31] {
        guest.finish_sending();
        until("the guest has left", || ann.participants(1) == ["ann"]);
        server.kill();
        for days in [days, 0] {
            disk.shift_clock(days * 86_400);
            server.start_again();
            if days > 0 {
                server.logs("days ahead of when it was last seen");
            }
            // It has gone round, and looked for what is too old.
            server.operate("gc", "");
            // With tokens of then. The server ends before it hears that they go again.
            (guest, ann) = (guest.again(&server), ann.again(&server));
            assert_eq!(ann.history(History { chat: 1, ..History::default() }).0.first_seq, 1);
            server.kill();
        }
        server.start_again();
        (guest, ann) = (guest.again(&server), ann.again(&server));
    }
}

/// The standard library panics when the system does not tell the time.
const NO_TIME: Rule =
    Rule { ops: op::CLOCK, path: "", thread: "", skip: 0, times: 1, action: Action::Fail, error: EIO };

#[test]
fn a_panic_while_writing_ends_the_server_and_nothing_is_lost() {
    let disk = Disk::new();
    let mut server = failing(&disk);
    server.may_panic();
    let mut peer = Peer::guest(&server);
    peer.say(to(1), "before");
    // Many at once are carried out by the writing thread.
    disk.set(0, Rule { thread: "store-writer", ..NO_TIME });
    let many = (2..100).flat_map(|n| [bytes_of(to(n)), bytes_of(Text { text: "many" })]);
    peer.try_send_bytes(&many.collect::<Vec<_>>().concat());
    let mut told = 1;
    while let Some((kind, _)) = peer.next_raw() {
        assert_eq!(kind, kind::STATUS);
        told += 1;
    }
    assert!(!server.wait().success());
    assert!(server.log().contains("the store panicked while writing"), "{}", server.log());
    server.start_again();
    assert!(texts(&mut peer.again(&server)).len() >= told);
}

#[test]
fn a_panic_in_a_connection_ends_that_one_alone() {
    let disk = Disk::new();
    let mut server = failing(&disk);
    server.may_panic();
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::guest(&server)).collect();
    // Whose connection asks for the time next is chance; it may also be who looks for what is due.
    let ended = loop {
        disk.set(0, Rule { thread: "tokio-", ..NO_TIME });
        let is_gone = |peer: &mut Peer| {
            peer.try_send_bytes(&bytes_of(Ping { bytes: b"?" }));
            peer.poll().is_none()
        };
        if let Some(n) = peers.iter_mut().position(is_gone) {
            break peers.remove(n);
        }
    };
    assert!(server.is_running());
    for peer in &mut peers {
        peer.ping();
        let chat = peer.me().home;
        peer.say(To { chat, ..To::default() }, "still here");
    }
    assert_eq!(ended.again(&server).me().user, ended.me().user);
}

#[test]
fn a_start_that_has_no_room_for_the_log_says_so_and_loses_nothing() {
    let disk = Disk::new();
    let mut server = failing(&disk);
    let mut peer = Peer::guest(&server);
    peer.say(to(1), "before");
    server.kill();
    disk.set(0, Rule { ops: op::WRITE, path: "chatwire.db$", error: ENOSPC, ..Rule::default() });
    let ended = server.command().output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && said.contains("disk is full"), "{said}");
    disk.clear(0);
    server.start_again();
    assert_eq!(texts(&mut peer.again(&server)), ["before"]);
}
