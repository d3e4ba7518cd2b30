//! `wire cat`: scripts against a real server, and against one that does what a test wants to see.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use support::{Server, cat};

#[test]
fn a_script_of_two_users_holds() {
    let server = Server::start();
    let script = r#"
        hello tz=Asia/Tokyo
        expect welcome version=1 home->home
        text hi
        expect status seq=1 chat=$home
        next from user_name=assistant reply_to=1
        next reply_text text~hi
        join room=harbour              # req is numbered
        next joined req=$req created=1 chat->room
        as bob
        hello user=Bob
        expect welcome
        join room=harbour
        expect joined created=0 chat=$room
        text "good morning, \u{6771}\n"
        expect status
        as main
        expect member user_name=Bob change=joined
        next from chat=$room user_name=Bob
        next text text="good morning, 東\n"
        leave chat=99999
        expect error code=not_found about=LEAVE ref=$req
        raw 6e 00000006 0000000a 0102
        expect error code=unsupported ref=10
        quiet 50ms text
        close
        expect bye code=done
        expect end
    "#;
    cat(server.address, &[], script).succeeded();
}

#[test]
fn an_expectation_that_is_not_met_says_what_came_instead() {
    let server = Server::start();
    let script = "hello\nexpect welcome\ntext hi\nexpect status seq=7 within=3s\n";
    let ran = cat(server.address, &[], script);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("line 4: expected STATUS seq=7; it did not come in time"), "{}", ran.err);
    assert!(ran.err.contains("STATUS (seq is 1)"), "{}", ran.err);

    let ran = cat(server.address, &[], "text hi\nexpect welcome\n");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the connection ended; what came: ERROR 421"), "{}", ran.err);

    let ran = cat(server.address, &[], "hello\nexpect welcome\nping x\nnext status");
    assert!(ran.code == 1 && ran.err.contains("expected STATUS next; what came: PONG"), "{}", ran.err);

    let ran = cat(server.address, &[], "hello\nquiet 2s welcome");
    assert!(ran.code == 1 && ran.err.contains("expected nothing; welcome version=1"), "{}", ran.err);
}

#[test]
fn a_line_that_makes_no_sense_is_told_with_its_place() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bug.wire");
    std::fs::write(&path, "# a remark\nhello\njoin rom=a\n").unwrap();
    let ran = cat(server.address, &["--script", path.to_str().unwrap()], "");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("bug.wire:3: JOIN has no field `rom`"), "{}", ran.err);
    assert_eq!(cat("127.0.0.1:1".parse().unwrap(), &[], "").code, 2);
}

#[test]
fn a_file_goes_out_as_a_body() {
    let server = Server::start();
    let voice = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples/voice.mp3");
    let script = format!(
        "hello inline_limit=65536\nexpect welcome\nto nonce=5 name=voice.mp3\nvoice @{voice}\nexpect status nonce=5 seq=1\n"
    );
    cat(server.address, &[], &script).succeeded();
}

#[test]
fn what_comes_is_shown_annotated_also_without_expectations() {
    let server = Server::start();
    let shown = cat(server.address, &[], "hello\ntext hi\n").succeeded().out;
    for words in ["WELCOME, ", "STATUS, 33 bytes (section 3.3)", "seq 1", "BYE, 4 bytes", "code 0 (done)"] {
        assert!(shown.contains(words), "{words} is not in\n{shown}");
    }
}

/// A PONG inside of TO + content would end the connection (section 1.7).
#[test]
fn pings_are_answered_but_never_inside_a_unit() {
    let script = "to nonce=1\nexpect ping\ntext hi\nexpect end\n";
    let said = said_to_a_pinging_server(&[], script);
    assert_eq!(said, b"\x30\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\0\x02hi\x23\0\0\0\x01!");
    let said = said_to_a_pinging_server(&["--no-pong"], script);
    assert_eq!(said, b"\x30\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\0\x02hi");
}

/// What a script says to a server that, behind the first 13 bytes, sends a PING and then ends.
fn said_to_a_pinging_server(options: &[&str], script: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut said = vec![0; 13];
        socket.read_exact(&mut said).unwrap();
        socket.write_all(b"\x22\0\0\0\x01!").unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        socket.read_to_end(&mut said).unwrap();
        said
    });
    cat(address, options, script).succeeded();
    server.join().unwrap()
}
