//! This codec beside others that carry the same text: framing alone, texts decoded, texts encoded.
//!
//! Each of them gets its own bytes for the same messages, and does what is said of it:
//!
//! - *frames*: finds each message and hands out its bytes. Nobody looks at them.
//! - *inplace*: the same, of those that borrow, without the copy that *frames* begins with.
//! - *texts*: the same, and the bytes are text that was checked to be UTF-8, by the standard library for all.
//! - *encode*: writes messages into a buffer that has room for them.
//!
//! | | frames | besides finding the end of a message |
//! |---|---|---|
//! | `chatwire` | `Decoder::next_ref`, texts `next` | type, direction, order and size are checked; bytes are borrowed |
//! | `FrameCodec` | of this crate, too | the size is checked; bytes are shared, and outlive the buffer's next use |
//! | `LengthDelimitedCodec` | set to this crate's header | the same |
//! | `tungstenite` | `FrameSocket`, unmasked frames | opcode and size are checked; bytes are shared |
//! | `prost` | a message of one field | its tag is checked, no size; bytes are shared, a text is copied into a `String` |
//! | `postcard` | a byte, then a slice | nothing is checked; bytes are borrowed |
//!
//! In *frames* and *texts* what "came from the network" is first copied into the buffer that is decoded from,
//! by all, since some of them take their bytes out of a buffer of their own. `copy` is that copy alone. `walk` goes
//! from size to size and checks nothing else: no way of finding messages of such a header is faster.
//! `single` is one message at a time, `stream` as many as come in a read of 64 KiB (16, of 64 KiB each).
//!
//! `scripts/compare` of the repository runs it and prints a table; docs/BENCHMARKS.md has one, with the method.

#![allow(missing_docs, reason = "criterion's macro makes a function without any")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench may stop where it stands")]

use bytes::{Buf, Bytes, BytesMut};
use chatwire_codec::frame::{Frame, Hello, Text};
use chatwire_codec::{Decoder, Event, FrameCodec, HEADER_LEN, Limits, Payload, SliceBuffer};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use prost::Message as _;
use std::hint::black_box;
use std::time::Duration;
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};
use tungstenite::protocol::frame::{self as websocket, FrameSocket};

const SIZES: [usize; 5] = [16, 128, 1024, 8 * 1024, 64 * 1024];
const READ: usize = 64 * 1024;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// The messages of one run: the same text, so many times.
#[derive(Clone)]
struct Run {
    text: String,
    count: usize,
}

impl Run {
    fn each(size: usize) -> [(&'static str, Run); 2] {
        let text: String =
            "A text as people write it to each other in chats. ".chars().cycle().take(size).collect();
        let stream = Run { text: text.clone(), count: (READ / size).max(16) };
        [("single", Run { text, count: 1 }), ("stream", stream)]
    }

    /// The bytes of all messages, by what appends one.
    fn wire(&self, one: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        (0..self.count).for_each(|_| one(&self.text, &mut bytes));
        bytes
    }

    fn room(&self) -> usize {
        self.count * (self.text.len() + 32)
    }
}

#[derive(prost::Message)]
struct ProstBytes {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
}

#[derive(prost::Message)]
struct ProstText {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct PostcardBytes<'a> {
    kind: u8,
    #[serde(borrow)]
    body: &'a [u8],
}

#[derive(serde::Serialize, serde::Deserialize)]
struct PostcardText<'a> {
    kind: u8,
    text: &'a str,
}

fn chatwire_one(text: &str, out: &mut Vec<u8>) {
    Text { text }.encode(out).unwrap();
}

fn prost_one(text: &str, out: &mut Vec<u8>) {
    ProstText { text: text.into() }.encode_length_delimited(out).unwrap();
}

fn postcard_one(text: &str, out: &mut Vec<u8>) {
    let mut room = vec![0; text.len() + 32];
    out.extend_from_slice(postcard::to_slice(&PostcardText { kind: 0, text }, &mut room).unwrap());
}

fn websocket_one(text: &str, out: &mut Vec<u8>) {
    websocket_frame(Bytes::copy_from_slice(text.as_bytes())).format(out).unwrap();
}

fn websocket_frame(body: Bytes) -> websocket::Frame {
    use websocket::coding::{Data, OpCode};
    websocket::Frame::message(body, OpCode::Data(Data::Text), true)
}

/// A decoder that is past its first frame.
fn decoder() -> Decoder {
    let mut hello = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut hello).unwrap();
    let mut decoder = Decoder::server(Limits::default());
    decoder.next(&mut &hello[..]).unwrap();
    decoder
}

/// Frames of this crate that own their bytes.
fn frame_codec() -> FrameCodec {
    FrameCodec::new(u32::try_from(READ).unwrap())
}

/// Set to this crate's header, so that both read the same bytes.
fn length_delimited() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(1)
        .length_field_length(4)
        .length_adjustment(0)
        .num_skip(HEADER_LEN)
        .max_frame_length(READ)
        .new_codec()
}

/// A socket that gives all its bytes in one read.
struct Socket<'a>(&'a [u8]);

impl std::io::Read for Socket<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(room.len());
        room[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

/// Bytes of the bodies that were handed out: all must come.
fn check(run: &Run, bytes: usize) {
    assert_eq!(bytes, run.count * run.text.len());
}

fn copy(group: &mut Group<'_>, run: &Run) {
    let wire = run.wire(chatwire_one);
    let mut buffer = Vec::with_capacity(wire.len());
    group.bench_function("copy", |b| {
        b.iter(|| {
            buffer.clear();
            buffer.extend_from_slice(black_box(&wire));
            black_box(&mut buffer);
        });
    });
}

/// Finds messages by their sizes alone.
fn walk(mut input: &[u8]) -> usize {
    let mut seen = 0;
    while let Some((&[_, a, b, c, d], rest)) = input.split_first_chunk::<HEADER_LEN>() {
        let size = u32::from_be_bytes([a, b, c, d]);
        let Some((body, rest)) = rest.split_at_checked(size as usize) else { break };
        seen += black_box(body).len();
        input = rest;
    }
    seen
}

fn find(ours: &mut Decoder, mut input: &[u8]) -> usize {
    let mut seen = 0;
    while let Some(event) = ours.next_ref(&mut input).unwrap() {
        if let Event::Frame(frame) = event {
            seen += black_box(frame.payload).len();
        }
    }
    seen
}

fn find_postcard(mut input: &[u8]) -> usize {
    let mut seen = 0;
    while !input.is_empty() {
        let (message, rest) = postcard::take_from_bytes::<PostcardBytes<'_>>(input).unwrap();
        seen += black_box(message).body.len();
        input = rest;
    }
    seen
}

fn inplace(c: &mut Criterion) {
    for_each(c, "inplace", |group, run| {
        let wire = run.wire(chatwire_one);
        group.bench_function("walk", |b| b.iter(|| check(run, walk(black_box(&wire)))));
        let mut ours = decoder();
        group.bench_function("chatwire", |b| b.iter(|| check(run, find(&mut ours, black_box(&wire)))));
        let wire = run.wire(postcard_one);
        group.bench_function("postcard", |b| b.iter(|| check(run, find_postcard(black_box(&wire)))));
    });
}

fn frames(c: &mut Criterion) {
    for_each(c, "frames", |group, run| {
        copy(group, run);
        let wire = run.wire(chatwire_one);
        let mut buffer = Vec::with_capacity(wire.len());
        group.bench_function("walk", |b| {
            b.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(&wire));
                check(run, walk(&buffer));
            });
        });
        let (mut ours, mut buffer) = (decoder(), Vec::with_capacity(wire.len()));
        group.bench_function("chatwire", |b| {
            b.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(&wire));
                check(run, find(&mut ours, &buffer));
            });
        });
        let (mut codec, mut buffer) = (frame_codec(), BytesMut::with_capacity(wire.len()));
        group.bench_function("FrameCodec", |b| {
            b.iter(|| {
                buffer.extend_from_slice(black_box(&wire));
                let mut seen = 0;
                while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                    seen += black_box(frame).payload.len();
                }
                check(run, seen);
            });
        });
        let (mut codec, mut buffer) = (length_delimited(), BytesMut::with_capacity(wire.len()));
        group.bench_function("LengthDelimitedCodec", |b| {
            b.iter(|| {
                buffer.extend_from_slice(black_box(&wire));
                let mut seen = 0;
                while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                    seen += black_box(frame).len();
                }
                check(run, seen);
            });
        });
        tungstenite_frames(group, run, |body| black_box(body).len());
        let wire = run.wire(prost_one);
        let mut buffer = BytesMut::with_capacity(wire.len());
        group.bench_function("prost", |b| {
            b.iter(|| {
                buffer.extend_from_slice(black_box(&wire));
                let (mut input, mut seen) = (buffer.split().freeze(), 0);
                while input.has_remaining() {
                    seen += black_box(ProstBytes::decode_length_delimited(&mut input).unwrap()).body.len();
                }
                check(run, seen);
            });
        });
        let wire = run.wire(postcard_one);
        let mut buffer = Vec::with_capacity(wire.len());
        group.bench_function("postcard", |b| {
            b.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(&wire));
                check(run, find_postcard(&buffer));
            });
        });
    });
}

fn tungstenite_frames(group: &mut Group<'_>, run: &Run, look: impl Fn(&[u8]) -> usize) {
    let wire = run.wire(websocket_one);
    let mut socket = FrameSocket::new(Socket(&[]));
    group.bench_function("tungstenite", |b| {
        b.iter(|| {
            socket.get_mut().0 = black_box(&wire);
            let mut seen = 0;
            for _ in 0..run.count {
                let frame = socket.read(Some(READ)).unwrap().expect("a frame");
                seen += look(frame.payload());
            }
            check(run, seen);
        });
    });
}

fn texts(c: &mut Criterion) {
    for_each(c, "texts", |group, run| {
        let wire = run.wire(chatwire_one);
        let (mut ours, mut buffer) = (decoder(), Vec::with_capacity(wire.len()));
        group.bench_function("chatwire", |b| {
            b.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(&wire));
                let (mut input, mut seen) = (&buffer[..], 0);
                while let Some(event) = ours.next(&mut input).unwrap() {
                    if let Event::Frame(Frame::Text(text)) = event {
                        seen += black_box(text.text).len();
                    }
                }
                check(run, seen);
            });
        });
        let (mut codec, mut buffer) = (frame_codec(), BytesMut::with_capacity(wire.len()));
        group.bench_function("FrameCodec", |b| {
            b.iter(|| {
                buffer.extend_from_slice(black_box(&wire));
                let mut seen = 0;
                while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                    let Ok(Frame::Text(text)) = frame.parse() else { continue };
                    seen += black_box(text.text).len();
                }
                check(run, seen);
            });
        });
        let (mut codec, mut buffer) = (length_delimited(), BytesMut::with_capacity(wire.len()));
        group.bench_function("LengthDelimitedCodec", |b| {
            b.iter(|| {
                buffer.extend_from_slice(black_box(&wire));
                let mut seen = 0;
                while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                    seen += black_box(str::from_utf8(&frame).unwrap()).len();
                }
                check(run, seen);
            });
        });
        tungstenite_frames(group, run, |body| black_box(str::from_utf8(body).unwrap()).len());
        let wire = run.wire(prost_one);
        let mut buffer = Vec::with_capacity(wire.len());
        group.bench_function("prost", |b| {
            b.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(&wire));
                let (mut input, mut seen) = (&buffer[..], 0);
                while input.has_remaining() {
                    seen += black_box(ProstText::decode_length_delimited(&mut input).unwrap()).text.len();
                }
                check(run, seen);
            });
        });
        let wire = run.wire(postcard_one);
        let mut buffer = Vec::with_capacity(wire.len());
        group.bench_function("postcard", |b| {
            b.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(black_box(&wire));
                let (mut input, mut seen) = (&buffer[..], 0);
                while !input.is_empty() {
                    let (message, rest) = postcard::take_from_bytes::<PostcardText<'_>>(input).unwrap();
                    seen += black_box(message).text.len();
                    input = rest;
                }
                check(run, seen);
            });
        });
    });
}

fn encode(c: &mut Criterion) {
    for_each(c, "encode", |group, run| {
        let (text, room) = (&run.text[..], run.room());
        let mut out = Vec::with_capacity(room);
        group.bench_function("copy", |b| {
            b.iter(|| {
                out.clear();
                (0..run.count).for_each(|_| out.extend_from_slice(black_box(text).as_bytes()));
                black_box(&mut out);
            });
        });
        group.bench_function("chatwire", |b| {
            b.iter(|| {
                out.clear();
                (0..run.count).for_each(|_| black_box(Text { text }).encode(&mut out).unwrap());
                black_box(&mut out);
            });
        });
        let mut fixed = vec![0; room];
        group.bench_function("chatwire, fixed buffer", |b| {
            b.iter(|| {
                let mut out = SliceBuffer::new(&mut fixed);
                (0..run.count).for_each(|_| black_box(Text { text }).encode(&mut out).unwrap());
                black_box(out.written().len());
            });
        });
        let (mut codec, mut out) = (frame_codec(), BytesMut::with_capacity(room));
        group.bench_function("FrameCodec", |b| {
            b.iter(|| {
                out.clear();
                (0..run.count)
                    .for_each(|_| codec.encode(Frame::from(black_box(Text { text })), &mut out).unwrap());
                black_box(&mut out);
            });
        });
        let (mut codec, mut out) = (length_delimited(), BytesMut::with_capacity(room));
        let body = Bytes::copy_from_slice(text.as_bytes());
        group.bench_function("LengthDelimitedCodec", |b| {
            b.iter(|| {
                out.clear();
                (0..run.count).for_each(|_| codec.encode(black_box(&body).clone(), &mut out).unwrap());
                black_box(&mut out);
            });
        });
        let mut out = Vec::with_capacity(room);
        group.bench_function("tungstenite", |b| {
            b.iter(|| {
                out.clear();
                for _ in 0..run.count {
                    websocket_frame(black_box(&body).clone()).format(&mut out).unwrap();
                }
                black_box(&mut out);
            });
        });
        let message = ProstText { text: text.into() };
        group.bench_function("prost", |b| {
            b.iter(|| {
                out.clear();
                (0..run.count).for_each(|_| black_box(&message).encode_length_delimited(&mut out).unwrap());
                black_box(&mut out);
            });
        });
        group.bench_function("postcard", |b| {
            b.iter(|| {
                let mut at = 0;
                for _ in 0..run.count {
                    let message = black_box(PostcardText { kind: 0, text });
                    at += postcard::to_slice(&message, &mut fixed[at..]).unwrap().len();
                }
                black_box(at);
            });
        });
    });
}

fn for_each(c: &mut Criterion, what: &str, bench: impl Fn(&mut Group<'_>, &Run)) {
    for size in SIZES {
        for (how, run) in Run::each(size) {
            let mut group = c.benchmark_group(format!("{what} {size} {how}"));
            group.throughput(Throughput::Elements(run.count as u64));
            group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
            group.sample_size(30);
            bench(&mut group, &run);
        }
    }
}

criterion_group!(benches, frames, inplace, texts, encode);
criterion_main!(benches);
