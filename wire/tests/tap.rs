//! `wire tap`, and what its recordings are good for: `wire pcap`, `wire replay` and Wireshark.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::Value as Json;
use support::{SESSION, Server, Tap, cat, wire};

#[test]
fn a_tap_shows_both_directions_and_how_long_answers_took() {
    let server = Server::start();
    let tap = Tap::start(&server, &["--format", "json", "--connections", "1"]);
    cat(tap.address, &[], SESSION).succeeded();
    let out = tap.end();
    let frames: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |name: &str| {
        frames.iter().find(|frame| frame["frame"] == name).unwrap_or_else(|| panic!("no {name} in\n{out}"))
    };
    for (question, answer) in
        [("HELLO", "WELCOME"), ("TEXT", "STATUS"), ("JOIN", "JOINED"), ("LEAVE", "ERROR")]
    {
        assert_eq!(find(question)["from"], "client");
        assert_eq!(find(answer)["from"], "server");
        assert_eq!(find(answer)["answers"], question);
        assert!(find(answer)["latency_us"].is_u64());
    }
    assert!(find("HELLO").get("answers").is_none());
}

#[test]
fn a_filter_hides_frames_and_not_what_goes_through() {
    let server = Server::start();
    let tap = Tap::start(&server, &["--only", "status,bye", "--connections", "1"]);
    cat(tap.address, &[], SESSION).succeeded();
    let out = tap.end();
    assert_eq!(out.lines().count(), 3, "{out}");
    assert!(out.lines().all(|line| line.contains("  status ") || line.contains("  bye ")), "{out}");
}

#[test]
fn a_recording_shows_what_the_tap_showed() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.pcapng");
    let file = file.to_str().unwrap();
    let tap = Tap::start(&server, &["--record", file, "--connections", "1"]);
    cat(tap.address, &[], SESSION).succeeded();
    let shown = tap.end();
    assert!(shown.contains(" after TEXT  status "), "{shown}");
    assert_eq!(wire(&["pcap", "--format", "line", file], b"").succeeded().out, shown);
}

#[test]
fn a_replay_on_a_fresh_server_is_answered_alike_and_a_change_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.pcapng");
    let file = file.to_str().unwrap();
    {
        let server = Server::start();
        // Somebody was there before, so that ids and names are others in the replay.
        cat(server.address, &[], "hello\nexpect welcome\n").succeeded();
        let tap = Tap::start(&server, &["--record", file, "--connections", "1"]);
        cat(tap.address, &[], SESSION).succeeded();
        tap.end();
    }
    let server = Server::start();
    let replay =
        |options: &[&str]| wire(&[&["replay", file, &server.address.to_string()], options].concat(), b"");
    let first = replay(&[]).succeeded().out;
    assert!(first.contains("8 frames sent") && first.contains(" 0 differences"), "{first}");
    // Now the room is there already.
    let second = replay(&["--timeout", "5s"]);
    assert_eq!(second.code, 1);
    assert!(second.out.contains("JOINED differs:\n    created was 1, is 0"), "{}", second.out);
    assert!(second.out.contains("seq was 1, is 2"), "{}", second.out);
    let ignoring =
        replay(&["--timeout", "5s", "--ignore", "at,epoch,session,last_seq,online,joined.created,seq"]);
    assert!(!ignoring.out.contains("created was"), "{}", ignoring.out);
}
