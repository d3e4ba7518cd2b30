//! docs/WIRE.md against the tool: what it shows is what comes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chatwire_codec::FRAMES;
use std::process::Command;

#[test]
fn the_commands_on_the_page_print_what_stands_there() {
    let binaries = std::path::Path::new(env!("CARGO_BIN_EXE_wire")).parent().unwrap().to_str().unwrap();
    let page = page();
    let mut shown = 0;
    for block in page.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let (command, expected) = block.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        let path = format!("{binaries}:/usr/bin:/bin");
        let output = Command::new("sh").args(["-c", command]).env_clear().env("PATH", path).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{command}");
        shown += 1;
    }
    assert!(shown > 3);
}

#[test]
fn the_script_on_the_page_holds() {
    let page = page();
    let (_, script) = page.split_once("```text\n# A message").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let server = support::Server::start();
    support::cat(server.address, &[], &format!("# {script}")).succeeded();
}

/// Each of the lines that the page says can be sent.
#[test]
fn the_lines_on_the_page_can_be_sent() {
    let page = page();
    let (_, rest) = page.split_once("**A line sends a frame**").unwrap();
    let (table, _) = rest.split_once("**And expects").unwrap();
    let lines: Vec<&str> =
        table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert!(lines.len() > 7, "{lines:?}");
    let voice = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples/voice.mp3");
    let lines =
        lines.join("\n").replace("@file.mp3", &format!("@{voice}")).replace("bye ", "set room=1\nbye ");
    let script = lines.replacen("to nonce", "set room=1\nto nonce", 1);
    let server = support::Server::start();
    let ran = support::cat(server.address, &["--sent", "--format", "line"], &script);
    // The server may close before all of it is sent.
    assert!(ran.code == 0 || ran.err.contains("os error"), "{}", ran.err);
    assert!(FRAMES.iter().any(|info| ran.out.contains(&info.name.to_lowercase())));
}

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/WIRE.md")).unwrap()
}
