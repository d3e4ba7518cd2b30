//! A video of 1 GiB in one frame, by UPLOAD, and back with FETCH: how fast, and how much memory it costs the server.
//!
//! `cargo bench --bench media` compares with writing the same bytes to a file on the same disk in pieces of
//! 256 KiB and syncing it, which is what `dd bs=256k conv=fsync` does, in turn, several times. The memory is
//! the server's largest resident set while it goes on, less that before. It does not show what a disk does
//! that is slower than memory, if the bytes fit into its cache.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a bench"
)]

mod support;

use chatwire_codec::frame::{Chunk, Fetch, Hello, Received, Upload, kind};
use chatwire_codec::{Payload, header};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;
use support::{Server, median};

const SIZE: usize = 1 << 30;
const PIECE: usize = 256 * 1024;
const REPETITIONS: usize = 3;
/// Bytes of media in one CHUNK.
const CHUNK: usize = 64 * 1024;
/// Bytes of an upload that may be unconfirmed.
const WINDOW: usize = 1024 * 1024;

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::start(&folder.path().join("data"), "warn");
    let mut stream = server.connect();
    let mut hello = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut hello).unwrap();
    stream.write_all(&hello).unwrap();
    assert_eq!(frame(&mut stream).0, kind::WELCOME);
    let (mut plain, mut sent, mut uploaded, mut fetched) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for repetition in 0..REPETITIONS {
        let mut body = Body::new(repetition as u64);
        plain.push(SIZE as f64 / write_and_sync(folder.path(), &mut body) / 1e6);
        let mut body = Body::new(repetition as u64);
        let before = server.resident();
        server.forget_peak();
        let (digest, seconds) = send(&mut stream, &mut body);
        sent.push(SIZE as f64 / seconds / 1e6);
        let grown = server.peak() - before;
        server.forget_peak();
        let before = server.resident();
        let seconds = upload(&mut stream, &mut Body::new((REPETITIONS + repetition) as u64));
        uploaded.push(SIZE as f64 / seconds / 1e6);
        let grown_by_upload = server.peak() - before;
        server.forget_peak();
        let before = server.resident();
        let seconds = fetch(&mut stream, repetition as u32 + 2, digest);
        fetched.push(SIZE as f64 / seconds / 1e6);
        println!(
            "write and sync {:5.0} MB/s   send {:5.0} MB/s, {grown} KiB more   \
             upload {:5.0} MB/s, {grown_by_upload} KiB more   fetch {:5.0} MB/s, {} KiB more",
            plain[repetition],
            sent[repetition],
            uploaded[repetition],
            fetched[repetition],
            server.peak() - before
        );
    }
    let medians = [plain, sent, uploaded, fetched].map(median).map(|median| format!("{median:.0}"));
    println!("medians: {} MB/s", medians.join(", "));
}

/// Something that begins like an MP4 and is different in each repetition.
struct Body {
    piece: Vec<u8>,
    at: usize,
}

impl Body {
    fn new(seed: u64) -> Body {
        let mut piece = vec![0; PIECE];
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for byte in &mut piece {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        Body { piece, at: 0 }
    }

    fn next(&mut self) -> Option<&[u8]> {
        if self.at == SIZE {
            return None;
        }
        self.piece[..16].copy_from_slice(b"\0\0\0\x10ftypisom\0\0\0\0");
        self.piece[16..24].copy_from_slice(&self.at.to_be_bytes());
        self.at += PIECE;
        Some(&self.piece)
    }
}

fn write_and_sync(folder: &Path, body: &mut Body) -> f64 {
    let path = folder.join("plain");
    let began = Instant::now();
    let mut file = File::create(&path).unwrap();
    while let Some(piece) = body.next() {
        file.write_all(piece).unwrap();
    }
    file.sync_all().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(path).unwrap();
    seconds
}

/// Sends the body and waits for its STATUS; the time does not count the digest that the bench itself makes.
fn send(stream: &mut TcpStream, body: &mut Body) -> ([u8; 32], f64) {
    let mut hasher = blake3::Hasher::new();
    let mut copy = Body { piece: body.piece.clone(), at: 0 };
    while let Some(piece) = copy.next() {
        hasher.update(piece);
    }
    let began = Instant::now();
    stream.write_all(&header(kind::VIDEO, SIZE as u32)).unwrap();
    while let Some(piece) = body.next() {
        stream.write_all(piece).unwrap();
    }
    assert_eq!(frame(stream).0, kind::STATUS);
    (*hasher.finalize().as_bytes(), began.elapsed().as_secs_f64())
}

/// Uploads the body, as far ahead of what is confirmed as a client may be, and waits for STORED.
fn upload(stream: &mut TcpStream, body: &mut Body) -> f64 {
    let mut hasher = blake3::Hasher::new();
    let mut copy = Body { piece: body.piece.clone(), at: 0 };
    while let Some(piece) = copy.next() {
        hasher.update(piece);
    }
    let digest = *hasher.finalize().as_bytes();
    let mut out = Vec::new();
    let began = Instant::now();
    let wish = Upload { req: 1, media_kind: kind::VIDEO, size: SIZE as u64, digest, name: "" };
    wish.encode(&mut out).unwrap();
    stream.write_all(&out).unwrap();
    assert_eq!(frame(stream).0, kind::UPLOAD_READY);
    let (mut at, mut safe) = (0, 0);
    while let Some(piece) = body.next() {
        for bytes in piece.chunks(CHUNK) {
            while at + CHUNK - safe > WINDOW {
                let (kind, payload) = frame(stream);
                assert_eq!(kind, kind::RECEIVED);
                safe = Received::parse(&payload).unwrap().offset as usize;
            }
            out.clear();
            Chunk { transfer: 1, offset: at as u64, bytes }.encode(&mut out).unwrap();
            stream.write_all(&out).unwrap();
            at += bytes.len();
        }
    }
    let stored = loop {
        let (kind, _) = frame(stream);
        if kind != kind::RECEIVED {
            break kind;
        }
    };
    assert_eq!(stored, kind::STORED);
    began.elapsed().as_secs_f64()
}

fn fetch(stream: &mut TcpStream, req: u32, media: [u8; 32]) -> f64 {
    let mut out = Vec::new();
    Fetch { req, media, ..Fetch::default() }.encode(&mut out).unwrap();
    let began = Instant::now();
    stream.write_all(&out).unwrap();
    assert_eq!(frame(stream).0, kind::FETCH_READY);
    let mut got = 0;
    while got < SIZE {
        let (kind, payload) = frame(stream);
        assert_eq!(kind, kind::CHUNK);
        got += Chunk::parse(&payload).unwrap().bytes.len();
    }
    began.elapsed().as_secs_f64()
}

fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; u32::from_be_bytes(header[1..].try_into().unwrap()) as usize];
    stream.read_exact(&mut payload).unwrap();
    (header[0], payload)
}
