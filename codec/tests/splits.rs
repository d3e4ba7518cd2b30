//! A stream means the same however it is cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::{Decoder, Limits};
use common::arbitrary::{any_frame, whole, with_header};
use common::{Vector, after_hello, feed, vectors};
use proptest::prelude::*;

/// Every vector that comes to `side` and that a stream goes on behind; with a body, and something to skip.
fn stream_to(side: &str) -> Vec<u8> {
    let vectors = vectors();
    let whole = vectors.iter().filter(|v| {
        let ends_or_is_huge = v.one("error").is_some() || v.one("skip").is_some_and(|s| s.starts_with("too"));
        v.one("to") == Some(side) && !ends_or_is_huge
    });
    // A TO has content behind it, whatever the next vector is.
    let content: &[u8] = b"\x00\0\0\0\x02hi";
    let behind = |v: &Vector| if v.one("frame") == Some("TO") { content } else { &[] };
    whole.flat_map(|v| [v.bytes(), behind(v).to_vec()].concat()).collect()
}

fn decoder_of(side: &str) -> Decoder {
    match side {
        "server" => after_hello(Limits::default()),
        _ => Decoder::client(Limits::default()),
    }
}

#[test]
fn a_stream_in_two_pieces_is_the_same_wherever_it_is_cut() {
    for side in ["server", "client"] {
        let stream = stream_to(side);
        let whole = feed(&mut decoder_of(side), [&stream[..]]);
        assert!(whole.seen.len() > 50 && whole.left.is_empty() && whole.error.is_none(), "{side}");
        for at in 0..=stream.len() {
            let (a, b) = stream.split_at(at);
            assert_eq!(feed(&mut decoder_of(side), [a, b]), whole, "{side}: cut at {at}");
        }
    }
}

#[test]
fn a_stream_byte_by_byte_is_the_same() {
    for side in ["server", "client"] {
        let stream = stream_to(side);
        let whole = feed(&mut decoder_of(side), [&stream[..]]);
        assert_eq!(feed(&mut decoder_of(side), stream.chunks(1)), whole, "{side}");
    }
}

#[test]
fn a_short_exchange_is_the_same_in_every_split() {
    // A text, a voice of three bytes, an unknown request, a message again: 2^29 splits are too many, so all
    // splits of each window of 12 bytes.
    let stream = [
        with_header(0x00, b"hi"),
        with_header(0x01, b"mp3"),
        with_header(0x6e, &[0, 0, 0, 9, 1]),
        with_header(0x04, b""),
    ]
    .concat();
    let whole = feed(&mut decoder_of("server"), [&stream[..]]);
    for begin in 0..=stream.len() - 12 {
        for cuts in 0..1u32 << 11 {
            let mut pieces = Vec::new();
            let mut from = 0;
            for i in 0..11 {
                if cuts & 1 << i != 0 {
                    pieces.push(&stream[from..begin + i + 1]);
                    from = begin + i + 1;
                }
            }
            pieces.push(&stream[from..]);
            assert_eq!(feed(&mut decoder_of("server"), pieces), whole);
        }
    }
}

#[test]
fn a_frame_that_is_not_whole_gives_nothing_and_takes_nothing() {
    for vector in vectors().iter().filter(|v| v.one("frame").is_some()) {
        let bytes = vector.bytes();
        let mut decoder = vector.decoder();
        for end in 0..bytes.len() {
            let mut input = &bytes[..end];
            assert_eq!(decoder.next(&mut input), Ok(None), "vector {} to {end}", vector.name());
            assert_eq!(input.len(), end, "vector {}", vector.name());
        }
        assert!(matches!(decoder.next(&mut &bytes[..]), Ok(Some(_))));
    }
}

proptest! {
    #[test]
    fn any_frames_in_any_pieces_are_the_same(
        frames in proptest::collection::vec(any_frame(), 1..8),
        sizes in proptest::collection::vec(1..40usize, 1..60),
        to_server in any::<bool>(),
    ) {
        let side = if to_server { "server" } else { "client" };
        let stream: Vec<u8> = frames.iter().flat_map(whole).collect();
        let once = feed(&mut decoder_of(side), [&stream[..]]);
        let (mut pieces, mut rest) = (Vec::new(), &stream[..]);
        for size in sizes {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(feed(&mut decoder_of(side), pieces), once);
    }
}
