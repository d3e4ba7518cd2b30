//! `wire dump` and `wire explain`: bytes in, what they are out.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader, Write};
use support::{Vector, command, wire};

#[test]
fn a_pipe_is_shown_as_it_comes() {
    let mut child = command(&["dump", "--format", "line"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for text in ["one", "two"] {
        for byte in [b"\x22\0\0\0\x03", text.as_bytes()].concat() {
            stdin.write_all(&[byte]).unwrap();
            stdin.flush().unwrap();
        }
        // The pipe is open still: the frame alone brings its line.
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(lines.next().unwrap().unwrap(), format!("ping x{hex}"));
    }
    drop(stdin);
    assert!(lines.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn bytes_that_come_one_by_one_are_shown_as_bytes_that_come_at_once() {
    let bytes: Vec<u8> = Vector::all()
        .iter()
        .filter(|v| v.one("frame").is_some() && v.sender() == "server")
        .flat_map(Vector::bytes)
        .collect();
    let at_once = wire(&["dump", "--direction", "server"], &bytes).succeeded();
    let mut child = command(&["dump", "--direction", "server"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || bytes.iter().for_each(|byte| stdin.write_all(&[*byte]).unwrap()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), at_once.out);
}

#[test]
fn every_frame_of_the_vectors_is_explained_and_every_invalid_one_shown_where_it_is_wrong() {
    for vector in Vector::all() {
        let name = vector.one("name").unwrap();
        let shown = wire(&["explain", "--direction", vector.sender(), &vector.hex()], b"").succeeded().out;
        if let Some(frame) = vector.one("frame").or(vector.one("body")) {
            let frame = frame.split(' ').next().unwrap();
            assert!(shown.contains(&format!("{frame}, ")) && !shown.contains("!!"), "{name}:\n{shown}");
        } else if let Some(error) = vector.one("error") {
            let words: Vec<&str> = error.split(' ').collect();
            // `explain` takes a frame for itself, without what stood before it.
            if vector.one("first").is_none() && vector.one("behind").is_none() {
                assert!(shown.contains(&format!("!! {}", words[0])), "{name}:\n{shown}");
                assert!(
                    words[3] == "-" || shown.contains(&format!("field `{}`", words[3])),
                    "{name}:\n{shown}"
                );
            }
        } else {
            assert!(shown.contains("!! skipped"), "{name}:\n{shown}");
        }
    }
}

#[test]
fn a_program_gets_an_object_a_frame() {
    let bytes = b"\x20\0\0\0\x09\x01\x07Etc/UTC\0\0\0\0\x02hi\x20\0\0\0\x03\x01\x07U\x22\0\0\0\x00";
    let objects = wire(&["dump", "--json"], bytes).succeeded().objects();
    let names: Vec<&str> = objects.iter().map(|object| object["frame"].as_str().unwrap()).collect();
    assert_eq!(names, ["HELLO", "TEXT", "HELLO", "PING"]);
    assert_eq!(objects[0]["fields"][1]["value"], "Etc/UTC");
    assert_eq!(objects[0]["fields"][1]["offset"], 6);
    assert_eq!(objects[1]["offset"], 14);
    assert_eq!(objects[2]["trouble"]["rule"], "ends_inside");
    assert_eq!(objects[2]["trouble"]["field"], "timezone");
    assert!(objects[3].get("trouble").is_none());
}

#[test]
fn colour_is_for_terminals_and_for_who_asks() {
    let ping = b"\x22\0\0\0\0";
    assert!(!wire(&["dump"], ping).out.contains('\x1b'));
    assert!(wire(&["dump", "--colour", "always"], ping).out.contains('\x1b'));
}

#[test]
fn filters_choose_frames_by_their_type() {
    let bytes = b"\x22\0\0\0\0\0\0\0\0\x02hi\x02\0\0\0\x01x\x22\0\0\0\0";
    let shown =
        |options: &[&str]| wire(&[&["dump", "--format", "line"], options].concat(), bytes).succeeded().out;
    assert_eq!(shown(&["--only", "text"]), "text hi\n");
    assert_eq!(shown(&["--hide", "ping,0x02"]), "text hi\n");
    assert_eq!(wire(&["dump", "--only", "txt"], bytes).code, 2);
}

#[test]
fn a_large_body_takes_no_memory_and_few_lines() {
    let mut bytes = b"\x02\x04\0\0\0".to_vec();
    bytes.resize(5 + (64 << 20), 7);
    let shown = wire(&["dump"], &bytes).succeeded().out;
    assert!(shown.contains("VIDEO, 67,108,864 bytes"), "{shown}");
    assert!(shown.contains("and 67,108,816 bytes more") && shown.lines().count() < 20, "{shown}");
}

#[test]
fn a_name_or_number_is_explained_by_what_the_frame_consists_of() {
    let shown = wire(&["explain", "room_list"], b"").succeeded().out;
    assert!(
        shown.starts_with("ROOM_LIST (0xc2), from server to client, section 6.2: Answers ROOMS."),
        "{shown}"
    );
    assert!(shown.contains("    online u32             Members that are online."), "{shown}");
    assert!(shown.contains("  req u32* ") && shown.contains("(* must be there"), "{shown}");
    assert_eq!(wire(&["explain", "0xc2"], b"").succeeded().out, shown);
    assert_eq!(wire(&["explain", "6e"], b"").code, 2);
    let ran = wire(&["explain", "stats"], b"");
    assert!(ran.code == 2 && ran.err.contains("`stats` is neither a frame's name"), "{}", ran.err);
}

#[test]
fn a_capture_is_not_taken_for_a_stream() {
    let capture = include_bytes!("samples/session.pcapng");
    let ran = wire(&["dump"], capture);
    assert!(ran.code == 2 && ran.err.contains("`wire pcap -`"), "{}", ran.err);
}
