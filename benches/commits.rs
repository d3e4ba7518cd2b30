//! How many messages share a commit: 64 connections, 64 messages of 128 bytes in flight each, every message
//! with a nonce, every STATUS waited for.
//!
//! `cargo bench --bench commits` prints messages a second, messages a commit, and the server's processor time
//! for a million messages, over several repetitions. A commit is one transaction with one sync of the
//! write-ahead log: SQLite makes no other on the way, but for checkpoints. Client and server share the
//! processors, so the rate is less than the server's own; the processor time is the server's alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a bench"
)]

mod support;

use chatwire_codec::frame::{Hello, Status, Text, To, kind};
use chatwire_codec::{Decoder, Event, Frame, Limits, Payload};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;
use support::{Server, median};

const CONNECTIONS: usize = 64;
const WINDOW: u64 = 64;
const MESSAGES: u64 = 4_000;
const REPETITIONS: usize = 5;

fn main() {
    println!("{CONNECTIONS} connections x {WINDOW} in flight, {MESSAGES} messages each");
    let mut rates = Vec::new();
    for _ in 0..REPETITIONS {
        rates.push(repetition());
    }
    println!("median {:.0} messages/s", median(rates));
}

fn repetition() -> f64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut server = Server::start(folder.path(), "chatwire::store=debug");
    let commits = count_commits(&mut server);
    let streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| welcomed(&server)).collect();
    let barrier = Arc::new(Barrier::new(CONNECTIONS + 1));
    let senders: Vec<_> = (0_u64..)
        .zip(streams)
        .map(|(number, stream)| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                barrier.wait();
                send_all(stream, number << 48);
            })
        })
        .collect();
    let (commits_before, cpu_before) = (commits.load(Ordering::Relaxed), server.cpu());
    barrier.wait();
    let began = Instant::now();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu() - cpu_before);
    let commits = commits.load(Ordering::Relaxed) - commits_before;
    let messages = (CONNECTIONS as u64 * MESSAGES) as f64;
    println!(
        "{:8.0} messages/s  {:6.0} messages a commit  {:5.2} s of processor time a million",
        messages / seconds,
        messages / commits as f64,
        cpu * 1e6 / messages
    );
    messages / seconds
}

/// Counts the log's lines about commits as they come.
fn count_commits(server: &mut Server) -> Arc<AtomicU64> {
    let commits = Arc::new(AtomicU64::new(0));
    let (log, counter) = (server.log(), commits.clone());
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("committed") {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    commits
}

fn welcomed(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let mut out = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut out).unwrap();
    stream.write_all(&out).unwrap();
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], kind::WELCOME);
    let mut payload = vec![0; u32::from_be_bytes(header[1..].try_into().unwrap()) as usize];
    stream.read_exact(&mut payload).unwrap();
    stream
}

fn send_all(mut stream: TcpStream, first_nonce: u64) {
    let text = "x".repeat(128);
    let mut decoder = Decoder::client(Limits::default());
    let (mut sent, mut answered) = (0, 0);
    let (mut out, mut input) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    while answered < MESSAGES {
        out.clear();
        while sent < MESSAGES && sent - answered < WINDOW {
            sent += 1;
            To { nonce: first_nonce + sent, ..To::default() }.encode(&mut out).unwrap();
            Text { text: &text }.encode(&mut out).unwrap();
        }
        stream.write_all(&out).unwrap();
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the server closed");
        input.extend_from_slice(&buffer[..n]);
        let mut rest = &input[..];
        while let Some(event) = decoder.next(&mut rest).unwrap() {
            match event {
                Event::Frame(Frame::Status(Status { duplicate: 0, .. })) => answered += 1,
                other => panic!("{other:?}"),
            }
        }
        let used = input.len() - rest.len();
        input.drain(..used);
    }
}
