//! Texts of 128 bytes out of reads of 64 KiB, and into a buffer of that size.
//!
//! Beside it stands tokio-util's `LengthDelimitedCodec` on the same bytes, set to this frame's layout: it
//! finds the frames and looks at nothing in them, so it is the yardstick for what framing alone costs.
//! `cargo bench -p chatwire-codec --bench decode`; the throughput is that of whole frames, headers included.

#![allow(missing_docs, reason = "criterion's macro makes a function without any")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::BytesMut;
use chatwire_codec::{Event, Frame, HEADER_LEN, Limits, Payload, frame::Hello, frame::Text};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

const READ: usize = 64 * 1024;
const TEXT: &str = "A text of a hundred and twenty-eight bytes, which is about what people write to each other \
                    in chats, give or take a dozen words.";

/// As many texts as fit one read.
fn one_read() -> Vec<u8> {
    assert_eq!(TEXT.len(), 128);
    let mut bytes = Vec::new();
    while bytes.len() + HEADER_LEN + TEXT.len() <= READ {
        Text { text: TEXT }.encode(&mut bytes).unwrap();
    }
    bytes
}

fn decoder() -> chatwire_codec::Decoder {
    let mut hello = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut hello).unwrap();
    let mut decoder = chatwire_codec::Decoder::server(Limits::default());
    decoder.next(&mut &hello[..]).unwrap();
    decoder
}

fn length_delimited() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(1)
        .length_field_length(4)
        .length_adjustment(0)
        .num_skip(HEADER_LEN)
        .max_frame_length(READ)
        .new_codec()
}

fn decode(c: &mut Criterion) {
    let bytes = one_read();
    let frames = bytes.len() / (HEADER_LEN + TEXT.len());
    let mut group = c.benchmark_group("decode 128-byte texts");
    group.throughput(Throughput::Bytes(bytes.len() as u64));

    group.bench_function("Decoder, UTF-8 checked", |b| {
        let mut decoder = decoder();
        b.iter(|| {
            let (mut input, mut n) = (black_box(&bytes[..]), 0);
            while let Some(event) = decoder.next(&mut input).unwrap() {
                if let Event::Frame(Frame::Text(text)) = black_box(event) {
                    n += usize::from(!text.text.is_empty());
                }
            }
            assert_eq!(n, frames);
        });
    });

    // The read buffer is filled anew for each read, as by a socket; what that costs is measured alone below.
    group.bench_function("LengthDelimitedCodec, framing alone", |b| {
        let mut codec = length_delimited();
        let mut buffer = BytesMut::with_capacity(READ);
        b.iter(|| {
            buffer.extend_from_slice(black_box(&bytes));
            let mut n = 0;
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                n += usize::from(!black_box(frame).is_empty());
            }
            assert_eq!(n, frames);
        });
    });

    group.bench_function("Decoder, UTF-8 checked, with the read", |b| {
        let mut decoder = decoder();
        let mut buffer = BytesMut::with_capacity(READ);
        b.iter(|| {
            buffer.extend_from_slice(black_box(&bytes));
            let (mut input, mut n) = (&buffer[..], 0);
            while let Some(event) = decoder.next(&mut input).unwrap() {
                if let Event::Frame(Frame::Text(text)) = black_box(event) {
                    n += usize::from(!text.text.is_empty());
                }
            }
            assert_eq!((n, input.len()), (frames, 0));
            buffer.clear();
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let bytes = one_read();
    let frames = bytes.len() / (HEADER_LEN + TEXT.len());
    let mut group = c.benchmark_group("encode 128-byte texts");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("Vec", |b| {
        let mut out = Vec::with_capacity(READ);
        b.iter(|| {
            out.clear();
            for _ in 0..frames {
                black_box(Text { text: TEXT }).encode(&mut out).unwrap();
            }
            assert_eq!(out.len(), bytes.len());
        });
    });
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
