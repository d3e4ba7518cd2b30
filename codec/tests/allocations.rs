//! Neither side allocates for a frame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use allocation_counter::measure;
use chatwire_codec::frame::{From_, Status, Text, To};
use chatwire_codec::{Decoder, Event, Limits, Payload, SliceBuffer};
use common::after_hello;

const COUNT: u64 = 100;
const TEXT: &str = "a text of some length, not quite that of the average message in a chat";

fn sendings() -> Vec<u8> {
    let mut bytes = Vec::new();
    for nonce in 1..=COUNT {
        To { nonce, room: "harbour", ..To::default() }.encode(&mut bytes).unwrap();
        Text { text: TEXT }.encode(&mut bytes).unwrap();
    }
    bytes
}

fn deliveries(out: &mut impl chatwire_codec::Buffer) {
    for seq in 1..=COUNT {
        From_ { chat: 7, seq, user_name: "ann", ..From_::default() }.encode(out).unwrap();
        Text { text: TEXT }.encode(out).unwrap();
        Status { nonce: seq, ..Status::default() }.encode(out).unwrap();
    }
}

/// Decodes all there is, and counts the frames.
fn decode(decoder: &mut Decoder, mut input: &[u8]) -> u64 {
    let mut frames = 0;
    while let Some(event) = decoder.next(&mut input).unwrap() {
        frames += u64::from(matches!(event, Event::Frame(_)));
    }
    frames
}

#[test]
fn decoding_messages_allocates_nothing() {
    let (sent, mut told) = (sendings(), Vec::new());
    deliveries(&mut told);
    let (mut server, mut client) = (after_hello(Limits::default()), Decoder::client(Limits::default()));
    let (mut from_client, mut from_server) = (0, 0);
    let allocations = measure(|| {
        from_client = decode(&mut server, &sent);
        from_server = decode(&mut client, &told);
    });
    assert_eq!((from_client, from_server), (2 * COUNT, 3 * COUNT));
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn encoding_messages_allocates_nothing() {
    let mut room = vec![0; 64 * 1024];
    let mut vec = Vec::with_capacity(64 * 1024);
    let allocations = measure(|| {
        deliveries(&mut SliceBuffer::new(&mut room));
        deliveries(&mut vec);
        let head = Text { text: TEXT }.encode_head(&mut vec).unwrap();
        assert_eq!(head.len() + 5, Text { text: TEXT }.encoded_len().unwrap());
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(vec![1])).count_total, 1);
}

/// Frames share the read buffer: of the allocations, those for sharing are the buffer's and not the frames'.
#[cfg(feature = "tokio")]
#[test]
fn frames_that_own_their_bytes_share_the_buffer() {
    use chatwire_codec::FrameCodec;
    use tokio_util::codec::Decoder as _;

    let mut buffer = bytes::BytesMut::from(&sendings()[..]);
    let mut codec = FrameCodec::new(1024);
    let mut kept = Vec::with_capacity(1000);
    let allocations = measure(|| {
        while let Some(frame) = codec.decode(&mut buffer).unwrap() {
            kept.push(frame);
        }
    });
    assert_eq!(kept.len() as u64, 2 * COUNT);
    assert!(allocations.count_total <= 2, "{allocations:?}");
}
