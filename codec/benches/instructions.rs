//! Instructions, not time: what the codec executes for streams of 128-byte texts.
//!
//! Run: `scripts/instructions` of the repository, which says what it needs. The number at the end of a bench's
//! name is how many messages it is of.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "of what gungraun's macros make"
)]
#![allow(clippy::unwrap_used, reason = "a bench may stop where it stands")]

use chatwire_codec::frame::{From_, Hello, Status, Text, To, Welcome};
use chatwire_codec::{Decoder, Event, Limits, Payload};
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use std::hint::black_box;

const TEXT: &str = "A text of a hundred and twenty-eight bytes, which is about what people write to each other \
                    in chats, give or take a dozen words.";

/// A decoder that is past its first frame, and what comes next.
type Stream = (Decoder, Vec<u8>);

fn texts(count: u64) -> Stream {
    from_client(count, |_, out| put(out, &Text { text: TEXT }))
}

fn sendings(count: u64) -> Stream {
    from_client(count, |n, out| {
        put(out, &To { nonce: n, ..To::default() });
        put(out, &Text { text: TEXT });
    })
}

fn deliveries(count: u64) -> Stream {
    let mut decoder = Decoder::client(Limits::default());
    greet(&mut decoder, &Welcome { version: 1, ..Welcome::default() });
    let mut bytes = Vec::new();
    (1..=count).for_each(|n| put_delivery(&mut bytes, n));
    (decoder, bytes)
}

fn from_client(count: u64, message: impl Fn(u64, &mut Vec<u8>)) -> Stream {
    assert_eq!(TEXT.len(), 128);
    let mut decoder = Decoder::server(Limits::default());
    greet(&mut decoder, &Hello { version: 1, timezone: "UTC", ..Hello::default() });
    let mut bytes = Vec::new();
    (1..=count).for_each(|n| message(n, &mut bytes));
    (decoder, bytes)
}

fn greet<'a>(decoder: &mut Decoder, first: &impl Payload<'a>) {
    let mut bytes = Vec::new();
    put(&mut bytes, first);
    assert!(decoder.next(&mut &bytes[..]).unwrap().is_some());
}

fn put<'a>(out: &mut Vec<u8>, frame: &impl Payload<'a>) {
    frame.encode(out).unwrap();
}

fn put_delivery(out: &mut Vec<u8>, seq: u64) {
    let from =
        From_ { chat: 7, seq, at: 1_767_225_600_000_000, user: 2, user_name: "guest2", ..From_::default() };
    put(out, &from);
    put(out, &Text { text: TEXT });
}

fn room_for_all(count: u64) -> (u64, Vec<u8>) {
    (count, Vec::with_capacity(usize::try_from(count).unwrap() * 512))
}

#[library_benchmark]
#[bench::text_x400(args = (400), setup = texts)]
#[bench::to_and_text_x400(args = (400), setup = sendings)]
#[bench::from_and_text_x400(args = (400), setup = deliveries)]
fn decode((mut decoder, bytes): Stream) -> Stream {
    let mut input = black_box(&bytes[..]);
    while let Some(event) = decoder.next(&mut input).unwrap() {
        assert!(matches!(black_box(event), Event::Frame(_)));
    }
    assert!(input.is_empty());
    (decoder, bytes)
}

#[library_benchmark]
#[bench::text_x400(args = (400), setup = texts)]
#[bench::to_and_text_x400(args = (400), setup = sendings)]
#[bench::from_and_text_x400(args = (400), setup = deliveries)]
fn decode_unread((mut decoder, bytes): Stream) -> Stream {
    let mut input = black_box(&bytes[..]);
    while let Some(event) = decoder.next_ref(&mut input).unwrap() {
        assert!(matches!(black_box(event), Event::Frame(_)));
    }
    assert!(input.is_empty());
    (decoder, bytes)
}

#[library_benchmark]
#[bench::frames_x400(args = (400), setup = room_for_all)]
fn encode_status((count, mut out): (u64, Vec<u8>)) -> Vec<u8> {
    for seq in 1..=count {
        put(
            &mut out,
            black_box(&Status { nonce: seq, chat: 7, seq, at: 1_767_225_600_000_000, duplicate: 0 }),
        );
    }
    out
}

#[library_benchmark]
#[bench::frames_x400(args = (400), setup = room_for_all)]
fn encode_from_and_text((count, mut out): (u64, Vec<u8>)) -> Vec<u8> {
    for seq in 1..=count {
        put_delivery(&mut out, black_box(seq));
    }
    out
}

library_benchmark_group!(
    name = codec,
    benchmarks = [decode, decode_unread, encode_status, encode_from_and_text]
);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::default().format([EventKind::Ir])),
    library_benchmark_groups = codec
);
