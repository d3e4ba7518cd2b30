//! Everything at once, for as long as asked: what becomes of a server's memory and descriptors, and whether anything is
//! lost. `scripts/soak [MINUTES]`.
//!
//! Five clients that keep book (tests/crowd) talk in rooms and direct chats, send files, upload, fetch, search, read
//! history, remove, come and go. Beside them are guests who come one after the other, readers who are slow, readers who
//! come back and catch up, and connections that mean harm. Every few minutes all is compared with the books.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../tests/crowd/mod.rs"]
mod crowd;
#[path = "../tests/support/mod.rs"]
mod support;

use crowd::*;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use support::*;

/// Between two things that a client does.
const PAUSE: Duration = Duration::from_millis(40);
/// After so long everybody goes, all is compared, and everybody comes again.
const LEG: Duration = Duration::from_secs(150);
const SAMPLE: Duration = Duration::from_secs(5);
/// Connections that mean harm, at any time.
const HOSTILE: usize = 24;
const SLOW: usize = 4;
/// Of ten samples the first so many are not looked at: caches fill.
const WARM_UP: usize = 4;
/// What memory may rise in an hour, and still be flat.
const FLAT: f64 = 16.0;
/// Descriptors that it may open and keep: connections to the database, which come as they are needed.
const KEPT: usize = 40;
const MEBIBYTE: f64 = 1_048_576.0;

/// What there is at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    hours: f64,
    memory: f64,
    descriptors: usize,
    tmp: usize,
    half: usize,
    log: f64,
}

fn main() {
    let Some(minutes) = std::env::args().find_map(|argument| argument.parse::<f64>().ok()) else {
        return println!("say for how many minutes: scripts/soak 30");
    };
    let mut random = random::Random::new();
    let mut server = Server::start();
    let mut crowd = Crowd::new(&server);
    crowd.world.pause = || sleep(PAUSE);
    let (begun, is_over) = (Instant::now(), AtomicBool::new(false));
    let end = begun + Duration::from_secs_f64(minutes * 60.0);
    let quiet = server.open_descriptors();
    let mut samples = Vec::new();
    let address = server.address();
    let tokens = crowd.tokens();
    thread::scope(|scope| {
        let is_over = &is_over;
        for n in 0..HOSTILE {
            scope.spawn(move || while_not(is_over, |round| harm(address, n + round)));
        }
        for n in 0..SLOW {
            let token = tokens[n % tokens.len()];
            scope.spawn(move || while_not(is_over, |_| read_slowly(address, token, is_over)));
        }
        let token = tokens[0];
        let rooms = crowd.world.rooms.clone();
        scope.spawn(move || while_not(is_over, |_| catch_up(address, token, &rooms)));
        while Instant::now() < end {
            crowd.load(&mut server, &mut random, |server, world| {
                let leg_ends = end.min(Instant::now() + LEG);
                while Instant::now() < leg_ends {
                    sleep(SAMPLE.min(leg_ends - Instant::now()));
                    samples.push(sample(server, begun));
                }
                world.end();
            });
            crowd.check(&server, false);
            let Sample { hours, memory, descriptors, tmp, half, log } = samples.last().expect("a sample");
            println!(
                "{:5.1} min: {memory:.1} MiB, {descriptors} descriptors, {tmp} temporary and {half} half files, a log of \
                 {log:.1} MiB, {:?}",
                hours * 60.0,
                crowd.totals()
            );
        }
        is_over.store(true, Ordering::Relaxed);
    });
    until("all descriptors are given back", || server.open_descriptors() <= quiet + KEPT);
    let left = server.open_descriptors();
    assert!(server.terminate().success(), "it does not end as it should");
    server.start_again();
    crowd.check(&server, true);
    let folder = check_folder(server.data(), true);
    let (slope, peak) = (slope(&samples), samples.iter().map(|s| s.memory).fold(0.0, f64::max));
    println!(
        "{minutes} minutes: memory at most {peak:.1} MiB, {slope:+.1} MiB an hour behind the warm-up; {quiet} descriptors \
         at the beginning, {left} at the end; {:?}; {} comparisons; {folder:?}",
        crowd.totals(),
        crowd.compared
    );
    assert_eq!(crowd.totals().unanswered + crowd.totals().refused, 0);
    assert!(minutes < 10.0 || slope < FLAT, "memory is not flat: {slope:.1} MiB an hour");
}

fn while_not(is_over: &AtomicBool, mut deed: impl FnMut(usize)) {
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        deed(round);
    }
}

fn sample(server: &Server, begun: Instant) -> Sample {
    let count = |folder: &str| files(&server.data().join(folder)).len();
    Sample {
        hours: begun.elapsed().as_secs_f64() / 3600.0,
        memory: server.resident() as f64 / MEBIBYTE,
        descriptors: server.open_descriptors(),
        tmp: count("tmp"),
        half: count("half"),
        log: std::fs::metadata(server.data().join("chatwire.db-wal"))
            .map_or(0.0, |log| log.len() as f64 / MEBIBYTE),
    }
}

/// MiB an hour, behind the warm-up, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let behind = &samples[samples.len() * WARM_UP / 10..];
    let n = behind.len() as f64;
    let mean = |of: fn(&Sample) -> f64| behind.iter().map(of).sum::<f64>() / n;
    let (hours, memory) = (mean(|s| s.hours), mean(|s| s.memory));
    let both = behind.iter().map(|s| (s.hours - hours) * (s.memory - memory)).sum::<f64>();
    both / behind.iter().map(|s| (s.hours - hours).powi(2)).sum::<f64>()
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.set_write_timeout(Some(Duration::from_secs(2))).ok()?;
    Some(socket)
}

fn hello(token: &str) -> Vec<u8> {
    bytes_of(Peer::filled(Hello { auth: 2, secret: token, ..Hello::default() }))
}

/// One of several kinds of harm, for a second or two. What becomes of it is no matter.
fn harm(address: SocketAddr, kind: usize) {
    let Some(mut socket) = connect(address) else { return sleep(PAUSE) };
    let guest = bytes_of(Peer::filled(Hello::default()));
    let junk: Vec<u8> = (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let _ = match kind % 7 {
        0 => Ok(()),
        1 => socket.write_all(&junk),
        2 => socket.write_all(&guest[..guest.len() / 2]),
        3 => socket.write_all(&[guest, header(kind::FILE, u32::MAX).to_vec()].concat()),
        4 => (0..50).try_for_each(|_| socket.write_all(&raw(0x6E, &junk[..1000]))),
        5 => {
            let frames = [guest, raw(kind::FILE, &junk)].concat();
            frames.chunks(5000).try_for_each(|piece| {
                sleep(Duration::from_millis(100));
                socket.write_all(piece)
            })
        }
        // Asks for much and reads nothing.
        _ => {
            let ask = |req| bytes_of(History { req, chat: 1, ..History::default() });
            socket.write_all(&[guest, (1..400).flat_map(ask).collect()].concat())
        }
    };
    sleep(Duration::from_millis(1500));
}

/// Comes, and takes a little of what there is now and then.
fn read_slowly(address: SocketAddr, token: &str, is_over: &AtomicBool) {
    let Some(mut socket) = connect(address) else { return };
    let _ = socket.write_all(&hello(token));
    let (mut piece, begun) = ([0; 2048], Instant::now());
    while begun.elapsed() < Duration::from_secs(100) && !is_over.load(Ordering::Relaxed) {
        if !matches!(socket.read(&mut piece), Ok(1..)) {
            return;
        }
        sleep(Duration::from_millis(200));
    }
}

/// Comes, reads a stretch of every room from some way back, and goes without a word.
fn catch_up(address: SocketAddr, token: &str, rooms: &[u64]) {
    let Some(mut socket) = connect(address) else { return };
    let syncs = (1..).zip(rooms).flat_map(|(req, chat)| bytes_of(Sync { req, chat: *chat, after: 0 }));
    let _ = socket.write_all(&[hello(token), syncs.collect()].concat());
    let (mut piece, mut left) = ([0; 16_384], 1_000_000);
    while left > 0
        && let Ok(n @ 1..) = socket.read(&mut piece)
    {
        left -= n.min(left);
    }
    sleep(Duration::from_millis(300));
}
