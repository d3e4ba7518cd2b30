//! `chatwire gc`, and what a server clears up by itself: what nobody needs goes, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use support::uploading::{begin, expect_stored, send_chunks, upload};
use support::*;

const ALL: u64 = 1;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

fn place(data: &Path, bytes: &[u8]) -> PathBuf {
    let hex = blake3::hash(bytes).to_hex();
    data.join("media").join(&hex[..2]).join(&hex[2..])
}

/// A file without a row, as a crash leaves it.
fn leave_file(data: &Path, bytes: &[u8]) -> PathBuf {
    let path = place(data, bytes);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn age(path: &Path, by: Duration) {
    fs::File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
}

fn age_uploads(data: &Path, days: i64) {
    let db = Connection::open(data.join("chatwire.db")).unwrap();
    let micros = days * 24 * 3600 * 1_000_000;
    db.execute("UPDATE uploads SET stored_at = stored_at - ?1", [micros]).unwrap();
}

#[track_caller]
fn store(peer: &mut Peer, bytes: &[u8]) {
    let at = begin(peer, upload(5, 4, bytes));
    send_chunks(peer, 5, bytes, at, bytes.len());
    expect_stored(peer, 5, bytes);
}

#[test]
fn what_nobody_needs_goes_and_what_somebody_needs_stays() {
    for is_served in [true, false] {
        let mut server = Server::start();
        let mut ann = Peer::guest(&server);
        ann.body_to(to(ALL), kind::IMAGE, &sample("image.png"));
        ann.expect_status(0);
        store(&mut ann, b"to be sent tomorrow");
        let half = random::Random::from(7).bytes(300_000);
        begin(&mut ann, upload(6, 4, &half));
        let safe = send_chunks(&mut ann, 6, &half, 0, 100_000);
        until("some of it is safe", || files(&server.data().join("half")).len() == 1 || safe > 0);
        drop(ann);
        assert!(server.terminate().success());
        if is_served {
            server.start_again();
        }
        let data = server.data();
        // What a server that begins clears up is cleared up by then.
        server.operate("gc", "");
        let orphans = [leave_file(data, b"left by a crash"), leave_file(data, &[7; 5000])];
        let stranger = data.join("media/notes.txt");
        fs::write(&stranger, b"mine").unwrap();
        let said = server.operate("gc --dry-run", "");
        assert_eq!(said, "would remove: files without a message: 2 (5015 bytes)\n");
        assert!(orphans.iter().all(|path| path.exists()), "it was only asked what would go");
        assert_eq!(server.operate("gc", ""), "removed: files without a message: 2 (5015 bytes)\n");
        assert!(!orphans.iter().any(|path| path.exists()));
        assert_eq!(server.operate("gc", ""), "removed: nothing\n");
        for bytes in [&sample("image.png")[..], b"to be sent tomorrow"] {
            assert!(place(data, bytes).exists());
        }
        assert_eq!(files(&data.join("half")).len(), 1, "half an upload is kept for a day");
        assert!(stranger.exists(), "it is none of ours");
        assert!(server.operate("check", "").contains("\nsound: "));
        for path in files(&data.join("half")) {
            age(&path, DAY + Duration::from_secs(60));
        }
        let said = server.operate("gc", "");
        assert!(
            said.starts_with("removed: half uploads that nobody has gone on with for a day: 1 ("),
            "{said}"
        );
        assert!(files(&data.join("half")).is_empty());
    }
}

#[test]
fn an_upload_that_nobody_sends_goes_after_a_week_and_one_that_was_sent_stays() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    store(&mut ann, b"never sent");
    store(&mut ann, b"sent");
    let media = *blake3::hash(b"sent").as_bytes();
    ann.send(Media { media_kind: 4, media, ..Media::default() });
    ann.expect_status(0);
    age_uploads(server.data(), 6);
    assert_eq!(server.operate("gc", ""), "removed: nothing\n");
    age_uploads(server.data(), 2);
    // By itself.
    until("it goes", || !place(server.data(), b"never sent").exists());
    assert!(place(server.data(), b"sent").exists());
    ann.send(Media { media_kind: 4, media: *blake3::hash(b"never sent").as_bytes(), ..Media::default() });
    ann.expect_error(Code::NotFound, 0, kind::MEDIA);
    // Who may read it may send it.
    ann.send(Media { media_kind: 4, media, ..Media::default() });
    ann.expect_status(0);
    assert!(server.operate("check", "").contains("sound: "));
}

#[test]
fn a_server_clears_up_behind_the_crash_before_it() {
    let mut server = Server::start();
    let mut ann = Peer::guest(&server);
    ann.body_to(to(ALL), kind::FILE, b"kept");
    ann.expect_status(0);
    server.kill();
    let orphan = leave_file(server.data(), b"left by a crash");
    fs::write(server.data().join("tmp/17"), b"on its way").unwrap();
    let said = server.operate("gc --dry-run", "");
    assert!(said.contains("without a message: 1 (15 bytes); temporary files: 1 (10 bytes)"), "{said}");
    server.start_again();
    until("it goes", || !orphan.exists());
    // It goes by way of tmp/.
    until("nothing is left in tmp", || files(&server.data().join("tmp")).is_empty());
    assert!(place(server.data(), b"kept").exists());
}

/// While files come whose messages are about to, the same files as some that lie there without a row: each message
/// that is confirmed has its file.
#[test]
fn clearing_up_takes_no_file_from_a_message_that_is_on_its_way() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    for round in 0..20_u64 {
        let bodies: Vec<Vec<u8>> =
            (0..10).map(|n| random::Random::from(round * 100 + n).bytes(2000)).collect();
        for body in &bodies {
            leave_file(server.data(), body);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
        command.env_clear().arg("gc").arg("--data").arg(server.data()).stdout(Stdio::null());
        let mut gc = command.spawn().unwrap();
        for body in &bodies {
            ann.body_to(to(ALL), kind::FILE, body);
        }
        for body in &bodies {
            ann.expect_status(0);
            assert!(place(server.data(), body).exists(), "round {round}");
        }
        assert!(gc.wait().unwrap().success());
    }
    assert!(server.operate("check", "").contains(" 200 files"));
}

#[test]
fn killed_in_the_middle_it_has_done_no_harm() {
    let mut server = Server::start();
    let mut ann = Peer::guest(&server);
    for number in 0..20_u8 {
        ann.body_to(to(ALL), kind::FILE, &[number; 100]);
        ann.expect_status(0);
    }
    drop(ann);
    assert!(server.terminate().success());
    for round in 0..10_u32 {
        for number in 0..200_u32 {
            leave_file(server.data(), &[&[1; 2000][..], &(round * 1000 + number).to_be_bytes()].concat());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
        command.env_clear().arg("gc").arg("--data").arg(server.data()).stdout(Stdio::null());
        let mut gc = command.spawn().unwrap();
        // Somewhere between its first file and its last.
        let few = 220 - round as usize * 20;
        until("some are gone", || {
            files(&server.data().join("media")).len() <= few || gc.try_wait().unwrap().is_some()
        });
        gc.kill().unwrap();
        gc.wait().unwrap();
        let said = server.operate("check", "");
        assert!(said.contains("\nsound: ") || said.starts_with("sound: "), "{said}");
        assert!(said.contains(" 20 files"), "{said}");
    }
    server.operate("gc", "");
    assert_eq!(files(&server.data().join("media")).len(), 20);
    assert!(files(&server.data().join("tmp")).is_empty());
}
