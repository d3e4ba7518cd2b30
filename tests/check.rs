//! `chatwire check`, and a server on data that is damaged: both say what is wrong, and neither makes it worse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use support::uploading::{MEBIBYTE, begin, expect_stored, send_chunks, upload};
use support::*;

const ALL: u64 = 1;
const PAGE: usize = 4096;

fn database(server: &Server) -> PathBuf {
    server.data().join("chatwire.db")
}

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

/// Data with some of everything, of a server that runs.
fn lived_in() -> Server {
    let server = Server::start();
    server.operate("user add ann", "secret\n");
    let mut ann = Peer::hello(&server, Hello { user: "ann", auth: 1, secret: "secret", ..Hello::default() });
    let crew = ann.create("the crew");
    for number in 0..300 {
        ann.say(to(if number % 2 == 0 { ALL } else { crew }), &format!("message {number}"));
    }
    for (kind, name) in [(kind::IMAGE, "image.png"), (kind::VOICE, "voice.mp3")] {
        ann.body_to(To { name, ..to(crew) }, kind, &sample(name));
        ann.expect_status(0);
    }
    // The same bytes as another kind, and an upload that nobody has sent.
    ann.body_to(to(crew), kind::FILE, &sample("image.png"));
    ann.expect_status(0);
    let bytes = random::Random::from(3).bytes(MEBIBYTE);
    begin(&mut ann, upload(5, 4, &bytes));
    send_chunks(&mut ann, 5, &bytes, 0, bytes.len());
    expect_stored(&mut ann, 5, &bytes);
    server
}

/// Every file of the folder with its bytes, but for the empty ones that readers of the database leave.
fn all_of(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> =
        files(data).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    all.retain(|(path, bytes)| !path.ends_with("chatwire.db-shm") && !bytes.is_empty());
    all.sort();
    all
}

fn the_file_of(server: &Server, bytes: &[u8]) -> PathBuf {
    let hex = blake3::hash(bytes).to_hex();
    server.data().join("media").join(&hex[..2]).join(&hex[2..])
}

fn sql(server: &Server, statements: &str) {
    Connection::open(database(server)).unwrap().execute_batch(statements).unwrap();
}

#[test]
fn sound_data_is_sound_beside_a_server_and_without_one() {
    let mut server = lived_in();
    for arguments in ["check", "check --quick"] {
        let said = server.operate(arguments, "");
        assert!(said.contains("sound: 1 users, 3 chats, 303 messages, 3 files"), "{said}");
    }
    server.kill();
    assert!(server.operate("check", "").starts_with("sound: "), "after a crash");
    server.start_again();
    assert!(server.terminate().success());
    let before = all_of(server.data());
    assert!(server.operate("check", "").starts_with("sound: "));
    assert!(all_of(server.data()) == before, "a check changed something");
    fs::remove_file(database(&server)).unwrap();
    let (succeeded, said) = server.operator("check", "");
    assert!(!succeeded && said.contains("the database is missing"), "{said}");
}

#[test]
fn a_folder_without_data_is_no_sound_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chatwire"));
    let output = command.env_clear().arg("check").arg("--data").arg(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("there is no data"), "{said}");
    assert!(files(folder.path()).is_empty());
}

/// What is done to the data, and what the check says of it. `quick`: also when it does not look closely.
struct Harm {
    quick: bool,
    says: &'static str,
    what: fn(&Server),
}

const HARMS: &[Harm] = &[
    Harm {
        quick: true,
        says: "files of media are missing (1): media/",
        what: |server| fs::remove_file(the_file_of(server, &sample("image.png"))).unwrap(),
    },
    Harm {
        quick: true,
        says: "files of media have another length",
        what: |server| {
            let file =
                fs::File::options().write(true).open(the_file_of(server, &sample("voice.mp3"))).unwrap();
            file.set_len(100).unwrap();
        },
    },
    Harm {
        quick: false,
        says: "files of media have other bytes",
        what: |server| {
            let file =
                fs::File::options().write(true).open(the_file_of(server, &sample("voice.mp3"))).unwrap();
            file.write_all_at(b"!", 500).unwrap();
        },
    },
    Harm {
        quick: true,
        says: "chats have gaps (1): chat 1 has 149 messages from 1 to 150",
        what: |server| sql(server, "DELETE FROM messages WHERE id = 1 << 32 | 70"),
    },
    Harm {
        quick: true,
        says: "chats have lost their newest messages (1): chat 1 ends at 150 and had 151",
        what: |server| sql(server, "UPDATE chats SET last_seq = 151 WHERE id = 1"),
    },
    Harm {
        quick: true,
        says: "chats are said to be indexed further than they go (1): chat 1 up to 151 of 150",
        what: |server| sql(server, "UPDATE chats SET indexed_seq = 151 WHERE id = 1"),
    },
    Harm {
        quick: false,
        says: "messages are in the index of words and should not be (1), such as 1/149",
        what: |server| {
            sql(
                server,
                "INSERT INTO words (rowid, body) VALUES (1 << 32 | 149, 'ahead');
                 UPDATE chats SET indexed_seq = 148 WHERE id = 1",
            );
        },
    },
    Harm {
        quick: true,
        says: "sums of the bytes that users keep are wrong (2), such as owner 0: ",
        what: |server| sql(server, "UPDATE storage SET bytes = bytes + 1"),
    },
    Harm {
        quick: true,
        says: "messages stand in chats that are not there (1), such as 77/1",
        what: |server| {
            sql(server, "INSERT INTO messages (id, at, user, kind) VALUES (77 << 32 | 1, 1, 1, 0)");
        },
    },
    Harm {
        quick: true,
        says: "messages have senders that are not there",
        what: |server| sql(server, "UPDATE messages SET user = 999 WHERE id = 1 << 32 | 70"),
    },
    Harm {
        quick: true,
        says: "messages of media have none (1)",
        what: |server| {
            sql(server, "DELETE FROM media_refs WHERE message = (SELECT min(message) FROM media_refs)");
        },
    },
    Harm {
        quick: true,
        says: "rows refer to rows that are not there (1), such as members without its users",
        what: |server| {
            sql(
                server,
                "PRAGMA foreign_keys = 0; INSERT INTO members (chat, user, joined_at) VALUES (1, 99, 1)",
            );
        },
    },
    Harm {
        quick: true,
        says: "facts about the data are missing (1), such as epoch",
        what: |server| sql(server, "DELETE FROM meta"),
    },
];

#[test]
fn each_thing_that_is_wrong_is_named_with_what_to_do() {
    let mut server = lived_in();
    assert!(server.terminate().success());
    let sound = all_of(server.data());
    for harm in HARMS {
        (harm.what)(&server);
        let before = all_of(server.data());
        for (arguments, is_seen) in [("check", true), ("check --quick", harm.quick)] {
            let (succeeded, said) = server.operator(arguments, "");
            assert_eq!(succeeded, !is_seen, "{}: {said}", harm.says);
            assert_eq!(said.contains(harm.says), is_seen, "{}: {said}", harm.says);
            assert!(!is_seen || said.ends_with(" wrong\n"), "{}: {said}", harm.says);
        }
        assert!(all_of(server.data()) == before, "{}: the check changed something", harm.says);
        for log in ["-wal", "-shm"] {
            let _ = fs::remove_file(server.data().join(format!("chatwire.db{log}")));
        }
        for (path, bytes) in &sound {
            fs::write(path, bytes).unwrap();
        }
    }
    assert!(server.operate("check", "").starts_with("sound: "));
}

#[test]
fn what_only_costs_room_is_said_and_is_no_harm() {
    let server = lived_in();
    let shelf = server.data().join("media/00");
    fs::create_dir_all(&shelf).unwrap();
    let young = shelf.join("0".repeat(62));
    fs::write(&young, b"about to get its row").unwrap();
    assert!(!server.operate("check", "").contains("spare"));
    let old = fs::File::options().write(true).open(&young).unwrap();
    old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7200)).unwrap();
    fs::write(shelf.join("notes.txt"), b"mine").unwrap();
    let said = server.operate("check", "");
    assert!(said.contains("files of 20 bytes in all belong to no message (1): "), "{said}");
    assert!(said.contains("files in media/ have names that no server gives (1): "), "{said}");
    assert!(said.contains("\nsound: "), "{said}");
}

/// Starts a server on the folder, which must not begin; what it says.
#[track_caller]
fn refused(server: &Server) -> String {
    let output = server.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1), "it began, or crashed: {said}");
    said
}

#[test]
fn no_server_begins_on_a_damaged_database_or_makes_a_new_one_over_it() {
    let mut server = lived_in();
    assert!(server.terminate().success());
    let path = database(&server);
    let sound = fs::read(&path).unwrap();
    let garbage = random::Random::from(1).bytes(PAGE);
    let overwritten = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at..at + PAGE - 100].copy_from_slice(&garbage[..PAGE - 100]);
        bytes
    };
    let damaged = [
        ("its header", overwritten(0)),
        ("its first page", overwritten(100)),
        ("half of it gone", sound[..sound.len() / 2 / PAGE * PAGE].to_vec()),
        ("cut within a page", sound[..PAGE + 100].to_vec()),
        ("all of it zeros", vec![0; sound.len()]),
        ("all of it gone", Vec::new()),
        ("another program's", b"This is no database, and never was.".repeat(400)),
    ];
    for (what, bytes) in damaged {
        fs::write(&path, &bytes).unwrap();
        for said in
            [refused(&server), server.operator("user list", "").1, server.operator("user add bo", "x\n").1]
        {
            assert!(said.contains(path.to_str().unwrap()), "{what}: {said}");
            assert!(said.contains("is damaged") && said.contains("`chatwire check"), "{what}: {said}");
        }
        let (succeeded, said) = server.operator("check", "");
        assert!(
            !succeeded && said.contains("damaged") && said.contains("restore the last backup"),
            "{what}: {said}"
        );
        assert!(fs::read(&path).unwrap() == bytes, "{what}: it was written to");
    }
    fs::remove_file(&path).unwrap();
    let said = refused(&server);
    assert!(said.contains("is missing, and beside it lies media"), "{said}");
    assert!(!path.exists());
    fs::write(&path, sound).unwrap();
    server.start_again();
    assert!(server.operate("user list", "").contains("ann"));
}

#[test]
fn a_damaged_page_is_found_wherever_it_is() {
    let mut server = lived_in();
    assert!(server.terminate().success());
    let path = database(&server);
    let sound = fs::read(&path).unwrap();
    let garbage = random::Random::from(2).bytes(PAGE);
    let mut found = 0;
    let pages = sound.len() / PAGE;
    for page in 1..pages {
        let mut bytes = sound.clone();
        bytes[page * PAGE..][..PAGE].copy_from_slice(&garbage);
        fs::write(&path, &bytes).unwrap();
        let (succeeded, said) = server.operator("check", "");
        // What is on a page that is not in use does not matter.
        found += usize::from(!succeeded);
        assert!(succeeded || said.contains("damaged"), "page {page}: {said}");
        assert!(fs::read(&path).unwrap() == bytes, "page {page}");
    }
    assert!(found > pages * 3 / 4, "{found} of {pages} were found");
}

#[test]
fn of_a_damaged_log_what_comes_before_the_damage_is_there() {
    let server = lived_in();
    let mut server = server;
    server.kill();
    let log = server.data().join("chatwire.db-wal");
    let sound = fs::read(&log).unwrap();
    assert!(sound.len() > 100 * PAGE, "{} bytes are in the log", sound.len());
    let mut bytes = sound.clone();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 10_000].fill(0x5A);
    fs::write(&log, &bytes).unwrap();
    assert!(server.operate("check --quick", "").contains("sound"), "what is left is whole");
    server.start_again();
    let mut ann = Peer::hello(&server, Hello { user: "ann", auth: 1, secret: "secret", ..Hello::default() });
    let (page, messages) = ann.history(History { chat: ALL, flags: 1, ..History::default() });
    assert!(page.first_seq == 1 && page.last_seq > 1 && page.last_seq < 150, "{page:?}");
    assert_eq!(messages[0].text(), "message 0");
}
