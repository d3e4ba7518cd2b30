//! Deterministic simulation: the real server's connections, sessions, hub, outboxes and store, and the client library's
//! steady client, on one thread, over a network and a clock that a seed moves. `CONTRIBUTING.md` says how to run one
//! seed again and what a failure shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "simulation/device.rs"]
mod device;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/found.rs"]
mod found;
#[path = "simulation/frames.rs"]
mod frames;
#[path = "simulation/media.rs"]
mod media;
#[path = "simulation/page.rs"]
mod page;
#[path = "simulation/pipe.rs"]
mod pipe;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "support/random.rs"]
#[allow(dead_code, unreachable_pub, reason = "others need the rest")]
mod random;
#[path = "simulation/raw.rs"]
mod raw;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/server.rs"]
mod server;
#[path = "simulation/steady.rs"]
mod steady;
#[path = "simulation/trace.rs"]
mod trace;
#[path = "simulation/truth.rs"]
mod truth;
#[path = "simulation/watch.rs"]
mod watch;

use chatwire::outbox::{BYTES_IN_ALL, Held};
use chatwire_codec::Payload;
use chatwire_codec::frame::{Hello, Sync, Text, To, kind};
use disk::Disk;
use pipe::Pipe;
use plan::Plan;
use run::Run;
use server::{Server, Settings, Task};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many seeds are run, and from which on.
const COUNT: (&str, u64) = ("CHATWIRE_SEEDS", 200);
const FROM: (&str, u64) = ("CHATWIRE_SEED", 1);
/// Seeds between two lines that say how many there were.
const PROGRESS: u64 = 5_000;
/// Set: every line of every run is printed.
const LOUD: &str = "CHATWIRE_TRACE";

struct Failure {
    why: String,
    trace: String,
    step: usize,
}

/// Runs a plan; gives the number of its trace, and how often all was at rest.
fn run(plan: &Plan, is_loud: bool) -> Result<(u64, usize), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut run = None;
    let done = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { run.insert(Run::new(plan.clone(), is_loud)).go().await })
    }));
    let mut run = run.unwrap();
    let why = match done {
        Ok(Ok(())) => return Ok((run.trace.hash(), run.rests)),
        Ok(Err(why)) => why,
        Err(_) => "a panic".to_owned(),
    };
    for device in &mut run.devices {
        let lines = device.link.as_mut().map(|link| std::mem::take(&mut link.watch.log));
        lines.unwrap_or_default().into_iter().for_each(|line| run.trace.note(line));
    }
    let failure = Failure { why, trace: run.trace.last_lines(), step: run.step };
    let _context = runtime.enter();
    drop(run);
    Err(failure)
}

/// The least that fails still.
fn shrink(mut plan: Plan, mut failure: Failure) -> (Plan, Failure) {
    plan.steps = plan.steps.min(failure.step);
    'again: loop {
        for smaller in plan.smaller() {
            if let Err(why) = run(&smaller, false) {
                (plan, failure) = (smaller, why);
                continue 'again;
            }
        }
        return (plan, failure);
    }
}

fn number((name, default): (&str, u64)) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
#[allow(clippy::print_stdout, reason = "shown for who runs many")]
fn whatever_happens_nothing_is_lost_or_doubled_or_left_waiting() {
    let (from, count) = (number(FROM), number(COUNT));
    let is_loud = std::env::var_os(LOUD).is_some();
    let (next, rests) = (AtomicU64::new(from), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    if seed > from && (seed - from).is_multiple_of(PROGRESS) {
                        println!("{} seeds", seed - from);
                    }
                    match run(&Plan::of(seed), is_loud) {
                        Ok((_, at_rest)) => drop(rests.fetch_add(at_rest as u64, Ordering::Relaxed)),
                        Err(failure) => failures.lock().unwrap().push((seed, failure)),
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|(seed, _)| *seed);
    println!("{count} seeds from {from} on: {} failed; {rests:?} times at rest", failures.len());
    for (seed, failure) in &failures {
        println!("seed {seed}, step {}: {}", failure.step, failure.why);
    }
    if let Some((seed, failure)) = failures.into_iter().next() {
        let (plan, least) = shrink(Plan::of(seed), failure);
        let Failure { why, trace, step } = least;
        panic!(
            "\nseed {seed}: {why}\nagain: {}={seed} {}=1 cargo test --test simulation\nthe least that fails: \
             {plan:?}\nits last steps, up to {step}:\n{trace}",
            FROM.0, COUNT.0
        );
    }
}

#[test]
fn a_seed_leads_to_one_run() {
    for seed in 1..=5 {
        let once = run(&Plan::of(seed), false).map_err(|failure| failure.why);
        assert_eq!(once, run(&Plan::of(seed), false).map_err(|failure| failure.why));
    }
}

/// What a client says first, what it says in the room of all, and that it wants to hear that from the beginning.
fn hello_and_sync(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut out).unwrap();
    To { nonce: 1, chat: 1, ..To::default() }.encode(&mut out).unwrap();
    Text { text }.encode(&mut out).unwrap();
    Sync { req: 1, chat: 1, after: 0 }.encode(&mut out).unwrap();
    out
}

/// A server with nobody there, and what it stands on.
fn alone() -> (Disk, Server) {
    let disk = Disk::new();
    let truth = Arc::new(Mutex::new(server::registered(disk.path())));
    let server = Server::start(&disk, &truth, Settings { in_flight: 100, messages_per_sec: 0 });
    (disk, server)
}

/// All goes on until nothing does any more.
async fn rest(server: &Server, task: &mut Task) {
    for _ in 0..100 {
        if server.store.is_due() {
            server.store.turn();
        }
        assert!(!task.is_woken() || !task.poll());
        tokio::task::yield_now().await;
    }
}

fn block_on(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(story);
}

/// A server with one guest, whose way to it and back has room for so many bytes.
async fn with_a_guest(room: usize) -> (Disk, Server, Pipe, Task) {
    let (disk, mut server) = alone();
    let pipe = Pipe::new(room);
    let mut task = server.accept(&pipe);
    pipe.send(&hello_and_sync("hi"));
    rest(&server, &mut task).await;
    (disk, server, pipe, task)
}

#[test]
fn where_memory_is_short_who_takes_no_answers_gets_no_more_of_them() {
    /// What nobody knows, which is answered with ERROR.
    const UNKNOWN: [u8; 5] = [0x7F, 0, 0, 0, 0];
    /// Bytes of an ERROR.
    const ANSWER: usize = 200;
    const ROOM: usize = 1024;
    /// What an outbox begins with.
    const LITTLE: usize = 512;
    block_on(async {
        let (_disk, server, pipe, mut task) = with_a_guest(ROOM).await;
        assert!(!pipe.take(usize::MAX).is_empty());
        let mut held = Held::new(server.hub.budget());
        held.set(BYTES_IN_ALL);
        pipe.send(&UNKNOWN.repeat(500));
        rest(&server, &mut task).await;
        let unsent: usize = server.hub.unsent().into_iter().map(|(_, bytes, _)| bytes).sum();
        assert!(pipe.waiting_down() == ROOM && (1..ANSWER).contains(&unsent), "{unsent} bytes");
        let more = server.hub.budget().used() - BYTES_IN_ALL;
        assert!(more <= LITTLE, "{more} bytes of what it has sent and what it is answered");
        drop(held);
        let mut answers = 0;
        while pipe.waiting_down() > 0 {
            answers +=
                pipe.take(usize::MAX).windows(5).filter(|at| at[0] == 0x13 && at[1..4] == [0; 3]).count();
            rest(&server, &mut task).await;
        }
        assert!(answers >= 490, "{answers} answers, some of them in two pieces");
    });
}

#[test]
fn where_memory_is_short_a_file_that_does_not_go_on_takes_none() {
    const SIZE: u32 = 50_000;
    block_on(async {
        let (_disk, server, pipe, mut task) = with_a_guest(1 << 20).await;
        let mut held = Held::new(server.hub.budget());
        held.set(BYTES_IN_ALL);
        pipe.send(&chatwire_codec::header(kind::FILE, SIZE));
        pipe.send(&[7; 20_000]);
        for _ in 0..100 {
            rest(&server, &mut task).await;
        }
        let more = server.hub.budget().used() - BYTES_IN_ALL;
        assert_eq!((pipe.waiting_up(), more), (0, 0), "to be read, and bytes of what was");
        drop(held);
        pipe.send(&[7; SIZE as usize - 20_000]);
        pipe.take(usize::MAX);
        while pipe.waiting_down() == 0 {
            rest(&server, &mut task).await;
        }
        assert_eq!(pipe.take(1), [kind::STATUS]);
    });
}

#[test]
fn what_is_read_of_a_file_for_who_does_not_take_it_counts_as_memory() {
    const SIZE: usize = 50_000;
    block_on(async {
        let (_disk, mut server) = alone();
        let pipe = Pipe::new(1024);
        let mut task = server.accept(&pipe);
        let mut out = Vec::new();
        Hello { version: 1, timezone: "UTC", inline_limit: 1 << 20, ..Hello::default() }
            .encode(&mut out)
            .unwrap();
        To { nonce: 1, chat: 1, ..To::default() }.encode(&mut out).unwrap();
        out.extend(chatwire_codec::header(kind::FILE, u32::try_from(SIZE).unwrap()));
        out.resize(out.len() + SIZE, 7);
        Sync { req: 1, chat: 1, after: 0 }.encode(&mut out).unwrap();
        pipe.send(&out);
        while pipe.waiting_up() > 0 || pipe.waiting_down() < 1024 {
            rest(&server, &mut task).await;
        }
        let used = server.hub.budget().used();
        assert!(used >= SIZE, "{used} bytes");
        while pipe.waiting_down() > 0 {
            pipe.take(usize::MAX);
            rest(&server, &mut task).await;
        }
        assert_eq!(server.hub.budget().used(), 0);
    });
}

#[test]
fn what_has_come_of_a_frame_counts_as_memory_until_the_rest_is_there() {
    block_on(async {
        let (_disk, server, pipe, mut task) = with_a_guest(1 << 20).await;
        pipe.send(&chatwire_codec::header(kind::TEXT, 3000));
        pipe.send(&[b'a'; 2000]);
        rest(&server, &mut task).await;
        let used = server.hub.budget().used();
        assert!((2005..=4096).contains(&used), "{used} bytes");
        pipe.send(&[b'a'; 1000]);
        rest(&server, &mut task).await;
        assert_eq!(server.hub.budget().used(), 0);
    });
}

#[test]
fn a_frame_that_has_come_whole_is_taken_however_short_memory_is() {
    block_on(async {
        let (_disk, server, pipe, mut task) = with_a_guest(1 << 20).await;
        pipe.take(usize::MAX);
        let mut held = Held::new(server.hub.budget());
        held.set(BYTES_IN_ALL);
        for size in [4_000, 5_000, 8_000, 60_000] {
            let mut out = Vec::new();
            Text { text: &"a".repeat(size) }.encode(&mut out).unwrap();
            pipe.send(&out);
            rest(&server, &mut task).await;
            assert_eq!(pipe.take(1), [kind::STATUS], "{size}");
            pipe.take(usize::MAX);
        }
    });
}

#[test]
fn who_is_behind_waits_while_as_many_pages_as_may_be_are_on_their_way() {
    const TEXT: &str = "said before";
    let has_text = |bytes: &[u8]| bytes.windows(TEXT.len()).any(|part| part == TEXT.as_bytes());
    block_on(async {
        let (_disk, mut server) = alone();
        let mut on_their_way = Vec::new();
        while let Ok(page) = tokio::time::timeout(Duration::ZERO, server.turns.clone().page()).await {
            on_their_way.push(page);
        }
        let pipe = Pipe::new(1 << 20);
        let mut task = server.accept(&pipe);
        pipe.send(&hello_and_sync(TEXT));
        let mut heard = Vec::new();
        for is_held in [true, false] {
            rest(&server, &mut task).await;
            heard.extend(pipe.take(usize::MAX));
            assert_eq!((heard.is_empty(), has_text(&heard)), (false, !is_held), "{heard:?}");
            on_their_way.clear();
        }
    });
}
