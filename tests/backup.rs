//! `chatwire backup` and `chatwire restore`: what was confirmed before is in it, whatever goes on meanwhile, and what is
//! not whole is never taken for a backup.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use support::*;
use tempfile::TempDir;

const ALL: u64 = 1;

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

fn place(data: &Path, bytes: &[u8]) -> PathBuf {
    let hex = blake3::hash(bytes).to_hex();
    data.join("media").join(&hex[..2]).join(&hex[2..])
}

/// A command of the operator's with these words: whether it succeeded, and what it said.
fn chatwire(words: &[&str], paths: &[(&str, &Path)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
    command.env_clear().args(words);
    for (flag, path) in paths {
        if !flag.is_empty() {
            command.arg(flag);
        }
        command.arg(path);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A backup in a new folder.
#[track_caller]
fn backed_up(server: &Server) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (succeeded, said) = chatwire(&["backup"], &[("", folder.path()), ("--data", server.data())]);
    assert!(succeeded && said.contains("sound: ") && said.contains("backed up into "), "{said}");
    folder
}

/// A server on what is restored of a backup.
#[track_caller]
fn restored(backup: &Path) -> Server {
    let mut server = Server::start();
    assert!(server.terminate().success());
    fs::remove_dir_all(server.data()).unwrap();
    let (succeeded, said) = chatwire(&["restore"], &[("", backup), ("--data", server.data())]);
    assert!(succeeded && said.contains("sound: ") && said.contains("restored into "), "{said}");
    assert!(server.operate("check", "").starts_with("sound: "));
    server.start_again();
    server
}

fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = files(folder)
        .into_iter()
        .map(|path| (path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_restored_is_what_was_there_under_a_new_epoch() {
    let server = Server::start();
    server.operate("user add ann", "secret\n");
    let hello = Hello { user: "ann", auth: 1, secret: "secret", ..Hello::default() };
    let mut ann = Peer::hello(&server, hello.clone());
    let crew = ann.create("the crew");
    ann.say(To { nonce: 7, ..to(crew) }, "hello");
    ann.body_to(To { name: "a.png", ..to(crew) }, kind::IMAGE, &sample("image.png"));
    ann.expect_status(0);
    ann.read(crew, 1);
    let before = ann.history(History { chat: crew, ..History::default() }).1;
    let epoch = ann.me().epoch;
    let folder = backed_up(&server);
    let backup = folder.path();
    assert_eq!(files(backup).len(), 2, "the database and a file: {:?}", files(backup));
    ann.say(to(crew), "later");
    let there = all_files(backup);

    let server = restored(backup);
    let mut ann = Peer::hello(&server, hello);
    assert_ne!(ann.me().epoch, epoch);
    assert_eq!(ann.history(History { chat: crew, ..History::default() }).1, before);
    assert_eq!(ann.fetch(before[1].media().media).1, sample("image.png"));
    assert!(ann.chats().contains(&(crew, 2, "the crew", 2, 1)), "{:?}", ann.chats());
    assert_eq!(ann.say(To { nonce: 7, ..to(crew) }, "hello").duplicate, 1);
    assert_eq!(ann.say(to(crew), "goes on").seq, 3);
    assert!(all_files(backup) == there, "the backup stays as it is");
}

/// Texts, files and removals without an end, while backups are made: each has all that was confirmed before it began.
#[test]
fn a_backup_beside_a_busy_server_has_all_that_was_confirmed_before_it() {
    let server = Server::start();
    let is_over = Arc::new(AtomicBool::new(false));
    let confirmed = Arc::new(AtomicU64::new(0));
    let address = server.address();
    let busy = {
        let (is_over, confirmed) = (is_over.clone(), confirmed.clone());
        thread::spawn(move || {
            let mut peer = Peer::on(std::net::TcpStream::connect(address).unwrap());
            peer.send_hello(Hello::default());
            peer.expect_welcome();
            let mut number = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                number += 1;
                peer.say(to(ALL), &format!("text {number}"));
                let body = random::Random::from(number).bytes(5000);
                peer.body_to(to(ALL), kind::FILE, &body);
                let status = peer.expect_status(0);
                if number.is_multiple_of(2) {
                    peer.send(Delete { req: 9, chat: ALL, seq: status.seq });
                    peer.expect::<Deleted>();
                }
                confirmed.store(number, Ordering::SeqCst);
            }
        })
    };
    until("it is busy", || confirmed.load(Ordering::SeqCst) > 20);
    for _ in 0..4 {
        let before = confirmed.load(Ordering::SeqCst);
        let backup = backed_up(&server);
        let server = restored(backup.path());
        let mut peer = Peer::guest(&server);
        let mut seen = 0;
        loop {
            let (page, messages) =
                peer.history(History { chat: ALL, after: seen, flags: 1, ..History::default() });
            assert_eq!(page.first_seq, 1);
            for message in messages {
                seen += 1;
                assert_eq!(message.from.seq, seen);
                let number = seen.div_ceil(2);
                match &message.content {
                    Frame::Text(text) => assert_eq!(text.text, format!("text {number}")),
                    Frame::Media(media) if number % 20 == 1 => {
                        let bytes = fs::read(place(server.data(), &random::Random::from(number).bytes(5000)));
                        assert_eq!(bytes.unwrap().len() as u64, media.size);
                    }
                    Frame::Media(_) => {}
                    Frame::Gone(_) => assert_eq!(number % 2, 0),
                    other => panic!("{other:?}"),
                }
            }
            if page.more == 0 {
                break;
            }
        }
        assert!(seen >= before * 2, "{seen} messages, and {before} times two were confirmed");
    }
    is_over.store(true, Ordering::SeqCst);
    busy.join().unwrap();
    // What was removed while backups were made goes when they are.
    let mut peer = Peer::guest(&server);
    peer.say(to(ALL), "done");
    let kept = confirmed.load(Ordering::SeqCst).div_ceil(2);
    until("only what has a message is left", || files(&server.data().join("media")).len() as u64 <= kept + 1);
    assert!(server.operate("check", "").contains("sound: "));
}

#[test]
fn a_file_that_is_removed_while_a_backup_runs_stays_until_it_is_over() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    ann.body_to(to(ALL), kind::FILE, b"to be removed");
    ann.expect_status(0);
    let file = place(server.data(), b"to be removed");
    // As a backup does it.
    let lock = fs::File::create(server.data().join("backup.lock")).unwrap();
    lock.lock_shared().unwrap();
    ann.send(Delete { req: 9, chat: ALL, seq: 1 });
    ann.expect::<Deleted>();
    ann.say(to(ALL), "meanwhile");
    assert!(file.exists());
    // Clearing up takes it as little.
    server.operate("gc", "");
    assert!(file.exists());
    lock.unlock().unwrap();
    ann.say(to(ALL), "afterwards");
    until("it is gone", || !file.exists());
}

#[test]
fn a_backup_that_was_killed_is_none() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    for number in 0..300_u32 {
        ann.body_to(to(ALL), kind::FILE, &[&[5; 3000][..], &number.to_be_bytes()].concat());
        ann.expect_status(0);
    }
    let mut whole = 0;
    for round in 0..12_usize {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
        command.env_clear().args(["backup", "--copy"]).arg(folder.path()).arg("--data").arg(server.data());
        let mut backup = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From the first file to some moment behind the last.
        let enough = 1 + round * 30;
        until("some of it is there", || {
            files(folder.path()).len() >= enough || backup.try_wait().unwrap().is_some()
        });
        backup.kill().unwrap();
        let status = backup.wait().unwrap();
        if folder.path().join("chatwire.db").exists() {
            whole += 1;
            assert!(chatwire(&["check"], &[("--data", folder.path())]).0);
            continue;
        }
        assert!(!status.success());
        let (succeeded, said) = chatwire(&["check"], &[("--data", folder.path())]);
        assert!(!succeeded && (said.contains("never finished") || said.contains("no data")), "{said}");
        let new = tempfile::tempdir().unwrap();
        let (succeeded, said) = chatwire(&["restore"], &[("", folder.path()), ("--data", new.path())]);
        assert!(!succeeded && (said.contains("never finished") || said.contains("no backup")), "{said}");
        assert!(files(new.path()).is_empty());
        let (succeeded, said) =
            chatwire(&["serve", "--set", "listen.tcp=127.0.0.1:0"], &[("--data", folder.path())]);
        assert!(!succeeded && said.contains("is missing, and beside it lies"), "{said}");
    }
    assert!(whole < 12, "none was killed in time");
    ann.say(to(ALL), "goes on");
    assert!(server.operate("check", "").contains("sound: "));
}

#[test]
fn a_backup_of_data_that_is_not_sound_says_so_and_is_none() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    ann.body_to(to(ALL), kind::FILE, b"about to be lost");
    ann.expect_status(0);
    fs::remove_file(place(server.data(), b"about to be lost")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (succeeded, said) = chatwire(&["backup"], &[("", folder.path()), ("--data", server.data())]);
    assert!(
        !succeeded && said.contains("files of media are missing") && said.contains("this is no backup"),
        "{said}"
    );
    let new = tempfile::tempdir().unwrap();
    let (succeeded, said) = chatwire(&["restore"], &[("", folder.path()), ("--data", new.path())]);
    assert!(!succeeded && said.contains("never finished, or was found damaged"), "{said}");
}

#[test]
fn what_is_no_sound_backup_is_not_restored_and_nothing_is_overwritten() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    ann.body_to(to(ALL), kind::FILE, b"precious");
    ann.expect_status(0);
    let folder = backed_up(&server);
    let backup = folder.path();
    let refuse = |from: &Path, to: &Path, why: &str| {
        let before = all_files(to);
        let (succeeded, said) = chatwire(&["restore", "--copy"], &[("", from), ("--data", to)]);
        assert!(!succeeded && said.contains(why), "{said}");
        assert!(before.is_empty() || all_files(to) == before, "{why}");
        assert!(
            !to.join("chatwire.db").exists() || before.iter().any(|(path, _)| path.ends_with("chatwire.db"))
        );
    };
    let empty = tempfile::tempdir().unwrap();
    refuse(server.data(), empty.path(), "no backup in this folder");
    refuse(empty.path(), &empty.path().join("new"), "no backup in this folder");
    refuse(backup, server.data(), "there is something in this folder already");
    let (succeeded, said) = chatwire(&["backup"], &[("", backup), ("--data", server.data())]);
    assert!(!succeeded && said.contains("there is something in this folder already"), "{said}");
    // A backup is no data to work on.
    for words in [&["serve", "--set", "listen.tcp=127.0.0.1:0"][..], &["user", "list"], &["gc"]] {
        let (succeeded, said) = chatwire(words, &[("--data", backup)]);
        assert!(!succeeded && said.contains("this is a backup"), "{words:?}: {said}");
    }
    assert!(chatwire(&["check"], &[("--data", backup)]).0);
    // Its own copy, or its one file has two names.
    let file = place(backup, b"precious");
    assert_eq!(
        fs::metadata(&file).unwrap().ino(),
        fs::metadata(place(server.data(), b"precious")).unwrap().ino()
    );
    fs::remove_file(&file).unwrap();
    fs::write(&file, b"changed!").unwrap();
    refuse(backup, &empty.path().join("one"), "other bytes than they had");
    fs::write(&file, b"precious").unwrap();
    let path = backup.join("chatwire.db");
    let sound = fs::read(&path).unwrap();
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    refuse(backup, &empty.path().join("two"), "damaged");
    fs::write(&path, &sound).unwrap();
    let mut first = [0; 15];
    fs::File::open(&path).unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"SQLite format 3");
    restored(backup);
}
