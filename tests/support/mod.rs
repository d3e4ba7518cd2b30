//! A real server for a test, and raw clients of it.
//!
//! A test is a script: send, expect, send. Nothing here waits for a time: every wait is for a frame, for the end
//! of a connection or of the process, and fails when it takes longer than [`PATIENCE`].

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_qualifications,
    reason = "each uses a part"
)]
#![allow(clippy::needless_pass_by_value, reason = "frames are written where they are sent")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod peer;
pub mod proxy;
pub mod random;
mod server;
pub mod uploading;

pub use chatwire_codec::frame::{self, *};
pub use chatwire_codec::{Code, Frame, HEADER_LEN, Payload, header};
pub use peer::{Message, Peer, bytes_of, raw};
pub use server::Server;
use std::time::Duration;

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// `about` of an ERROR that is about no frame.
pub const NOTHING: u8 = 0xFF;

/// A real file of tests/samples.
pub fn sample(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file under a folder, by its path.
pub fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Asks until the answer is yes, for what no frame tells of.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it did not come to be: {what}");
        std::thread::yield_now();
    }
}
