//! SIGKILL in the middle of everything: what was confirmed is there, once, and nothing is there twice
//! (sections 3.3 and 3.4 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod disk;
mod support;

use crowd::*;
use disk::{Action, Disk, Rule, op};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use support::uploading::*;
use support::*;

/// Rounds of a run, unless the variable says otherwise.
const ROUNDS: usize = 50;
const ROUNDS_VARIABLE: &str = "CHATWIRE_CRASH_ROUNDS";
/// After so many rounds everything is compared, not only what is new; and in long runs, where there is much.
const ALL_EVERY: usize = 10;
const ALL_SELDOM: usize = 100;

fn rounds() -> usize {
    std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"))
}

/// A command of the operator's beside the load, now and then.
fn begins(command: &str, one_in: usize, server: &Server, random: &mut random::Random) -> Option<Child> {
    (random.below(one_in) == 0).then(|| server.begin_operator(command))
}

/// The server has ended: a command beside it ends too, or goes on by itself. Whether it was done.
fn ends(command: Option<Child>, random: &mut random::Random) -> bool {
    let Some(mut child) = command else { return false };
    if random.below(2) == 0 {
        // It may have ended before.
        let _ = child.kill();
    }
    let ended = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() || ended.status.signal().is_some(), "{}: {said}", ended.status);
    ended.status.success()
}

/// What a backup gives back is sound.
fn check_backup(backup: &Path) {
    let restored = tempfile::tempdir().unwrap();
    let server = Server::on(restored.path().to_owned(), Vec::new(), &[]);
    server.operate(&format!("restore {}", backup.display()), "");
    assert!(server.operate("check", "").contains("sound: "));
    check_folder(restored.path(), true);
}

/// Behind the next clearing up nothing is left that nobody needs.
fn check_cleared(server: &Server) -> Folder {
    server.operate("gc", "");
    let folder = check_folder(server.data(), true);
    assert_eq!(folder.strays, 0, "files of media that no message has are left");
    folder
}

#[test]
#[allow(clippy::print_stdout, reason = "what was done is for who runs it by hand")]
fn nothing_is_lost_or_stored_twice_over_any_number_of_crashes() {
    let mut random = random::Random::new();
    let mut server = Server::start();
    server.keep_data_of_a_failure();
    let mut crowd = Crowd::new(&server);
    let epoch = Peer::guest(&server).me().epoch;
    let (rounds, mut folder) = (rounds(), Folder::default());
    let (mut clearings, mut backups) = (0, 0);
    for round in 1..=rounds {
        let enough = random.number() % 400;
        let clearing = begins("gc", 3, &server, &mut random);
        let to = tempfile::tempdir().unwrap();
        let backup = begins(&format!("backup {}", to.path().display()), 16, &server, &mut random);
        crowd.load_and_kill(&mut server, &mut random, enough);
        clearings += usize::from(ends(clearing, &mut random));
        if ends(backup, &mut random) {
            check_backup(to.path());
            backups += 1;
        }
        server.start_again();
        assert_eq!(Peer::guest(&server).me().epoch, epoch);
        let every = if round <= ROUNDS { ALL_EVERY } else { ALL_SELDOM };
        let all = round.is_multiple_of(every) || round == rounds;
        crowd.check(&server, all);
        if all {
            folder = check_cleared(&server);
            server.operate("check", "");
        } else {
            check_folder(server.data(), false);
        }
    }
    let (totals, compared) = (crowd.totals(), crowd.compared);
    println!(
        "{rounds} crashes, gc {clearings}, backups {backups}: {totals:?}, {compared} comparisons, {folder:?}"
    );
    assert_eq!(crowd.totals().unanswered, 0);
}

const DATABASE: &str = "chatwire.db$";
/// By so many answers the log is brought into the database.
const FULL_LOG: u64 = 5000;

/// Where a crash hurts most: a rule that ends the server at one of the next such calls, before it, behind it or in its
/// middle.
fn ends_at_a_change(random: &mut random::Random) -> Rule {
    let (ops, path) = random.pick(&[
        (op::WRITE, "chatwire.db-wal"),
        (op::SYNC, "chatwire.db-wal"),
        (op::WRITE | op::SYNC, DATABASE),
        (op::SYNC, "data/media"),
        (op::SYNC, "data/tmp"),
        (op::SYNC | op::WRITE, "data/half"),
        (op::RENAME | op::LINK, "data/"),
        (op::UNLINK, "data/"),
    ]);
    let action = random.pick(&[Action::KillBefore, Action::KillAfter, Action::KillHalf]);
    let action = if ops == op::WRITE || action != Action::KillHalf { action } else { Action::KillAfter };
    let most = if path.contains("wal") { 150 } else { 12 };
    Rule { ops, path, action, skip: random.number() % most, ..Rule::default() }
}

#[test]
#[allow(clippy::print_stdout, reason = "what was done is for who runs it by hand")]
fn nothing_is_lost_or_stored_twice_over_any_number_of_losses_of_power() {
    let mut random = random::Random::new();
    let (rounds, mut done) = (rounds(), 0);
    while done < rounds {
        let mut disk = Disk::recording();
        let mut server = disk.server(&[]);
        server.start_again();
        let mut crowd = Crowd::new(&server);
        let (mut losses, mut clearings, mut kept) = (0, 0, disk::Kept::default());
        for round in 1..=rounds.min(ROUNDS) {
            let rule = (random.below(4) > 0).then(|| ends_at_a_change(&mut random));
            // The log must be full before the database itself is written.
            let is_far = rule.is_some_and(|rule| rule.path == DATABASE);
            let enough = if is_far { FULL_LOG } else { random.number() % 300 };
            let clearing = begins("gc", 3, &server, &mut random);
            crowd.load(&mut server, &mut random, |server, world| {
                rule.inspect(|rule| disk.set(0, *rule));
                world.wait_for(enough, server);
                server.kill();
            });
            clearings += usize::from(ends(clearing, &mut random));
            disk.clear(0);
            disk.reads_log();
            // Now and then only the process has ended, and what it has not synced may go later.
            crowd.world.has_lost_power = random.below(3) > 0;
            if crowd.world.has_lost_power {
                let left = disk.lose_power(&mut random);
                (losses, kept) = (losses + 1, kept + left);
            }
            disk.goes_on();
            server.start_again();
            let all = round.is_multiple_of(ALL_EVERY) || round == rounds;
            crowd.check(&server, all);
            if all {
                check_cleared(&server);
            } else {
                check_folder(server.data(), true);
            }
            done += 1;
        }
        let (totals, compared) = (crowd.totals(), crowd.compared);
        println!("{losses} losses of power, gc {clearings}, {kept:?}: {totals:?}, {compared} comparisons");
        server.terminate();
        disk.reads_log();
        disk.check_records();
    }
}

/// Messages go with their files, some at a time, and the process ends at any step of that.
#[test]
fn what_is_too_old_goes_whole_however_often_that_is_cut_off() {
    let mut random = random::Random::new();
    let disk = Disk::new();
    let mut server = disk.server(&[("store.retention_days", "30")]);
    let (mut cuts, mut newest) = (0, 0);
    for _ in 0..12 {
        server.start_again();
        let mut peer = Peer::guest(&server);
        for _ in 0..6 {
            peer.body_to(To { chat: 1, ..To::default() }, kind::FILE, &random.bytes(3000));
            newest = peer.expect_status(0).seq;
        }
        server.kill();
        let db = rusqlite::Connection::open(server.data().join("chatwire.db")).unwrap();
        let days = 31 * 24 * 3600 * 1_000_000_i64;
        db.execute_batch(&format!("UPDATE messages SET at = at - {days}; UPDATE chats SET last_at = 0"))
            .unwrap();
        drop(db);
        let (ops, path, most) = random.pick(&[
            (op::WRITE | op::SYNC, "chatwire.db-wal", 12),
            (op::RENAME, "data/tmp", 6),
            (op::UNLINK, "data/tmp", 6),
        ]);
        let thread = if path.contains("wal") { "store-writer" } else { "" };
        let action = random.pick(&[Action::KillBefore, Action::KillAfter]);
        disk.set(0, Rule { ops, path, thread, action, skip: random.number() % most, ..Rule::default() });
        server.start_again();
        let is_gone = |server: &Server| {
            let db = rusqlite::Connection::open(server.data().join("chatwire.db")).unwrap();
            !db.prepare("SELECT 1 FROM messages").unwrap().exists([]).unwrap()
        };
        // The rows, then the files.
        let is_all_gone = |server: &Server| {
            is_gone(server)
                && ["media", "tmp"].iter().all(|folder| files(&server.data().join(folder)).is_empty())
        };
        until("it is gone, or cut off", || !server.is_running() || is_all_gone(&server));
        cuts += usize::from(!server.is_running());
        server.kill();
        disk.clear(0);
        assert!(server.operate("check", "").contains("sound: "), "what is there is whole");
        server.start_again();
        until("it is gone", || is_gone(&server));
        assert_eq!(check_cleared(&server).media, 0);
        let mut peer = Peer::guest(&server);
        let (page, _) = peer.history(History { chat: 1, ..History::default() });
        assert_eq!((page.first_seq, page.last_seq, page.count), (newest + 1, newest, 0));
        server.kill();
    }
    assert!(cuts > 0, "nothing was ever cut off");
}

#[test]
fn the_first_messages_of_new_data_survive_a_loss_of_power() {
    let mut disk = Disk::recording();
    let mut server = disk.server(&[]);
    server.start_again();
    let mut peer = Peer::guest(&server);
    let place = peer.say(To { chat: 1, ..To::default() }, "hi");
    peer.body_to(To { nonce: 7, ..To::default() }, kind::FILE, b"a file");
    let file = peer.expect_status(7);
    disk.lose_power_under(&mut server);
    let mut peer = peer.again(&server);
    assert_eq!(peer.history(History { chat: 1, ..History::default() }).1[0].from.at, place.at);
    let (_, page) = peer.history(History { chat: file.chat, ..History::default() });
    assert_eq!(peer.fetch(page[0].media().media).1, b"a file");
}

/// Half an upload: its bytes and its name, also where an earlier run has made the name and not lasted to its sync.
#[test]
fn what_received_has_confirmed_survives_a_loss_of_power() {
    let file = random_bytes(1, 800_000);
    for crash_before_the_name_is_synced in [false, true] {
        let mut disk = Disk::recording();
        let mut server = disk.server(&[]);
        server.start_again();
        let mut peer = Peer::guest(&server);
        if crash_before_the_name_is_synced {
            let half =
                Rule { ops: op::SYNC, path: "data/half$", action: Action::KillBefore, ..Rule::default() };
            disk.set(0, half);
            begin(&mut peer, upload(1, kind::FILE, &file));
            for at in (0..3).map(|n| n * CHUNK) {
                peer.try_send_bytes(&chunk(1, at, &file[at..at + CHUNK]));
            }
            peer.try_send_bytes(&bytes_of(Bye::default()));
            server.wait();
            disk.clear(0);
            disk.reads_log();
            disk.goes_on();
            server.start_again();
            peer = peer.again(&server);
        }
        let at = begin(&mut peer, upload(2, kind::FILE, &file));
        assert_eq!(at > 0, crash_before_the_name_is_synced);
        let mut end = at;
        while end < at + 5 * CHUNK {
            peer.send_bytes(&chunk(2, end, &file[end..end + CHUNK]));
            end += CHUNK;
        }
        let safe = received(&mut peer, 2, at);
        disk.lose_power_under(&mut server);
        let mut peer = peer.again(&server);
        assert!(begin(&mut peer, upload(3, kind::FILE, &file)) >= safe);
    }
}

#[test]
fn what_a_reader_has_seen_is_there_behind_the_crash() {
    let mut server = Server::start();
    for _ in 0..3 {
        let mut writer = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
        let mut reader = Peer::guest(&server);
        let mut back = Vec::new();
        let text =
            |n: u64| [bytes_of(To { chat: 1, ..To::default() }), bytes_of(Text { text: &n.to_string() })];
        writer.send_bytes(&(0..3000).flat_map(text).collect::<Vec<_>>().concat());
        while back.len() < 500 {
            back.push(reader.next_message());
        }
        server.kill();
        // What was on its way to the reader counts too.
        while let Some(Frame::From_(from)) = reader.poll() {
            let Some(content) = reader.next_raw() else { break };
            back.push(Message { from, content: Frame::parse(content.0, content.1.leak()).unwrap() });
        }
        server.start_again();
        let mut peer = reader.again_with(&server, Hello { flags: 1, ..Hello::default() });
        let synced = peer.sync(1, back[0].from.seq - 1);
        assert!(synced.last_seq >= back[back.len() - 1].from.seq);
        for message in back {
            assert_eq!(peer.next_message(), message);
        }
    }
}

#[test]
fn nothing_that_was_seen_is_given_again() {
    let mut server = Server::start();
    let (mut users, mut chats) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut peers: Vec<Peer> = (0..5).map(|_| Peer::guest(&server)).collect();
        users.extend(peers.iter().map(|peer| peer.me().user));
        chats.extend(peers.iter().map(|peer| peer.me().home));
        // An empty room, which is deleted.
        chats.push(peers[0].join("harbour").chat);
        peers[0].leave(0);
        server.restart();
    }
    for ids in [users, chats] {
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1] || pair[0] != pair[1]), "{ids:?}");
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{ids:?}");
    }
}
