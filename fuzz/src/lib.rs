//! The bodies of the fuzz targets: each takes a fuzzer's bytes and panics where something does not hold.
//!
//! They are a library so that `tests/corpora.rs` can run them over the corpora with nothing but stable Rust.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a target fails")]

pub mod decode;
mod seen;
pub mod session;
pub mod stream;

use chatwire_codec::{Decoder, Limits};

/// Small, so that a fuzzer gets to them.
const LIMITS: Limits = Limits { max_text: 300, max_media: 200 };

/// Decoders in the places where a stream can stand between frames.
fn decoder(place: u8) -> Decoder {
    let frames: &[&[u8]] = match place % 4 {
        0 => return Decoder::client(LIMITS),
        1 => &[],
        2 => &[b"\x20\0\0\0\x05\x01\x03UTC"],
        _ => &[b"\x20\0\0\0\x05\x01\x03UTC", b"\x30\0\0\0\0"],
    };
    let mut decoder = Decoder::server(LIMITS);
    for mut frame in frames.iter().copied() {
        decoder.next(&mut frame).expect("a good frame");
    }
    decoder
}
