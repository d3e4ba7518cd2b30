//! The parts of the server that a busy one spends its time in, each alone: outbox, hub, store.
//!
//! Run: `cargo bench --bench hot`. The throughput is that of messages, deliveries or pushes, as each name
//! says. Nothing here has a socket; the store writes to a folder in `target`, and does not wait for
//! the disk.
#![allow(missing_docs, reason = "criterion's macro makes a function without any")]
#![allow(clippy::unwrap_used, reason = "a bench may stop where it stands")]

mod parts;

use bytes::Bytes;
use chatwire::delivery;
use chatwire::id::UserId;
use chatwire::outbox::{Outbox, Queue};
use chatwire::store::sqlite::SqliteStore;
use chatwire::store::{Appended, Committed, Consumer, Op, Outcome, Store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::{Online, ROOM, append, drain, login};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn outbox(c: &mut Criterion) {
    const STATUSES: u64 = 1000;
    let mut group = c.benchmark_group("outbox");
    group.throughput(Throughput::Elements(STATUSES));
    let outbox = Outbox::new(Arc::default(), Arc::default());
    let mut taken = Queue::default();
    group.bench_function("1000 STATUS", |b| {
        b.iter(|| {
            for nonce in 0..STATUSES {
                outbox.answer_messages(1, |out| delivery::status(out, nonce, ROOM, nonce, 0, false));
            }
            drain(&outbox, &mut taken);
        });
    });

    const OUTBOXES: u64 = 1000;
    group.throughput(Throughput::Elements(OUTBOXES));
    let in_all = Arc::default();
    let outboxes: Vec<Outbox> =
        (0..OUTBOXES).map(|_| Outbox::new(Arc::clone(&in_all), Arc::default())).collect();
    let run = Bytes::from(vec![0; 48 * 1024]);
    group.bench_function("48 KiB to 1000", |b| {
        b.iter(|| {
            for outbox in &outboxes {
                assert!(outbox.live(&run));
                drain(outbox, &mut taken);
            }
        });
    });
    group.finish();
}

fn hub(c: &mut Criterion) {
    const RUN: u64 = 64;
    let mut group = c.benchmark_group("hub");
    for members in [50, 1000] {
        let online = Online::members(members);
        let mut seq = 0;
        group.throughput(Throughput::Elements(RUN * members));
        group.bench_function(format!("64 texts to a room of {members}"), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let mut batch = Online::to_the_room(seq + 1, RUN);
                    seq += RUN;
                    let began = Instant::now();
                    online.hub.committed(&mut batch);
                    spent += began.elapsed();
                    online.take_all();
                }
                spent
            });
        });
    }
    group.finish();
}

fn store(c: &mut Criterion) {
    const BATCH: u64 = 2048;
    let writer = Writing::start();
    let mut nonce = 0;
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(BATCH));
    group.sample_size(50);
    group.bench_function("2048 appends", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let batch: Vec<Op> =
                    (nonce + 1..=nonce + BATCH).map(|nonce| append(writer.user, nonce)).collect();
                nonce += BATCH;
                let began = Instant::now();
                batch.into_iter().for_each(|op| writer.store.submit(op));
                writer.wait_for(BATCH);
                spent += began.elapsed();
            }
            spent
        });
    });
    group.finish();
}

/// A store with one user, who writes to the home chat. The writing thread takes what it finds, so a batch is
/// a few transactions: a small one that begins at once, and the rest.
struct Writing {
    store: SqliteStore,
    committed: Receiver<u64>,
    user: UserId,
    _folder: TempDir,
}

impl Writing {
    fn start() -> Writing {
        let (store, folder) = parts::store();
        let (counts, committed) = channel();
        let (logins, logged_in) = channel();
        store.start(Arc::new(Counter { counts: Mutex::new(counts), logins: Mutex::new(logins) })).unwrap();
        store.submit(login());
        Writing { user: logged_in.recv().unwrap(), store, committed, _folder: folder }
    }

    fn wait_for(&self, count: u64) {
        let mut seen = 0;
        while seen < count {
            seen += self.committed.recv().unwrap();
        }
    }
}

/// Counts what was stored.
struct Counter {
    counts: Mutex<Sender<u64>>,
    logins: Mutex<Sender<UserId>>,
}

impl Consumer for Counter {
    fn committed(&self, batch: &mut Vec<Committed>) {
        let mut count = 0;
        for outcome in batch.drain(..) {
            match outcome {
                Committed::Append(Appended { outcome: Outcome::Stored(_), .. }) => count += 1,
                Committed::Login(_, Ok(login)) => self.logins.lock().unwrap().send(login.user).unwrap(),
                other => assert!(matches!(other, Committed::Departed(..)), "{other:?}"),
            }
        }
        self.counts.lock().unwrap().send(count).unwrap();
    }
}

criterion_group!(benches, outbox, hub, store);
criterion_main!(benches);
