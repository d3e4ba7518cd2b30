//! The corpora: what the fuzzers found worth keeping, and what they once found wrong.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use chatwire_fuzz::{decode, session, stream};
use std::path::Path;

fn run_all(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "{} files are no corpus", files.len());
    for file in files {
        // The name is in the output of a test that fails.
        println!("{}", file.display());
        run(&std::fs::read(file).unwrap());
    }
}

#[test]
fn any_bytes_are_events_or_an_error() {
    run_all("decode", decode::run);
}

#[test]
fn a_stream_is_the_same_in_any_pieces() {
    run_all("stream", stream::run);
}

#[test]
fn a_session_holds_its_contract_whatever_happens() {
    run_all("session", session::run);
}
