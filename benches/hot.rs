//! The parts of the server that a busy one spends its time in, each alone: outbox, hub, store.
//!
//! Run: `cargo bench --bench hot`. The throughput is that of messages, deliveries or pushes, as each name
//! says. Nothing here has a socket; the store writes to a folder in `target`, and does not wait for
//! the disk.
#![allow(missing_docs, reason = "criterion's macro makes a function without any")]
#![allow(clippy::unwrap_used, reason = "a bench may stop where it stands")]

use bytes::Bytes;
use chatwire::config::Durability;
use chatwire::delivery;
use chatwire::hub::{Greeting, Hub, Link};
use chatwire::id::{ChatId, UserId};
use chatwire::outbox::{Outbox, Queue};
use chatwire::permits::Permits;
use chatwire::session::Greeted;
use chatwire::store::sqlite::{Options, SqliteStore};
use chatwire::store::{
    Append, Appended, ChatHead, ChatKind, Committed, Consumer, Content, LoggedIn, Login, Message, Op,
    Outcome, Store, Target, Who,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TEXT_BYTES: usize = 128;
const ROOM: ChatId = ChatId(7);

fn outbox(c: &mut Criterion) {
    const STATUSES: u64 = 1000;
    let mut group = c.benchmark_group("outbox");
    group.throughput(Throughput::Elements(STATUSES));
    let outbox = Outbox::new(Arc::default());
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
    let outboxes: Vec<Outbox> = (0..OUTBOXES).map(|_| Outbox::new(Arc::clone(&in_all))).collect();
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

/// What a connection's task does with what waits, without the writing.
fn drain(outbox: &Outbox, taken: &mut Queue) {
    let unsent = outbox.take_into(taken);
    *taken = Queue::default();
    outbox.sent(unsent);
}

fn hub(c: &mut Criterion) {
    const RUN: u64 = 64;
    let mut group = c.benchmark_group("hub");
    for members in [50, 1000] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let hub = Hub::new(Arc::new(open(folder.path())), GREETING, Permits::new(1 << 20), None, || 0);
        let links: Vec<Arc<Link>> = (0..members).map(|n| member(&hub, n)).collect();
        let mut taken = Queue::default();
        let mut seq = 0;
        group.throughput(Throughput::Elements(RUN * members));
        group.bench_function(format!("64 texts to a room of {members}"), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let mut batch: Vec<Committed> = (seq + 1..=seq + RUN).map(stored).collect();
                    seq += RUN;
                    let began = Instant::now();
                    hub.committed(&mut batch);
                    spent += began.elapsed();
                    links.iter().for_each(|link| drain(&link.outbox, &mut taken));
                }
                spent
            });
        });
    }
    group.finish();
}

const GREETING: Greeting =
    Greeting { epoch: 1, heartbeat: 30, max_text: 65_536, max_media: 1 << 30, connections_per_user: 0 };

/// A connection that has logged in and is in the room, with all of its login sent.
fn member(hub: &Hub, number: u64) -> Arc<Link> {
    let link = hub.enter(std::net::Ipv4Addr::LOCALHOST.into());
    let greeted = Greeted {
        version: 1,
        zone: chrono_tz::UTC,
        inline_limit: 0,
        live: true,
        at: 0,
        token: [0; 32],
        new_token: "token".into(),
    };
    link.greeted.set(greeted).unwrap();
    let login = LoggedIn {
        user: UserId(100 + number),
        name: format!("guest{number}").into(),
        home: ChatId(10_000 + number),
        token_given: true,
        chats: vec![ChatHead { chat: ROOM, kind: ChatKind::Room, last_seq: 0 }],
    };
    hub.committed(&mut vec![Committed::Login(link.id, Ok(login))]);
    drain(&link.outbox, &mut Queue::default());
    link
}

/// A text of somebody who is in the room on no connection of this server.
fn stored(seq: u64) -> Committed {
    let message = Message {
        chat: ROOM,
        chat_kind: ChatKind::Room,
        seq,
        at: 0,
        user: UserId(2),
        user_name: "somebody".into(),
        nonce: seq,
        reply_to: 0,
        name: "".into(),
        content: Content::Text("x".repeat(TEXT_BYTES).into()),
    };
    let outcome = Outcome::Stored(message);
    Committed::Append(Appended { conn: None, nonce: seq, about: 0, permit: 0, outcome })
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
                let batch: Vec<Op> = (nonce + 1..=nonce + BATCH).map(|nonce| writer.append(nonce)).collect();
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
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = open(folder.path());
        let (counts, committed) = channel();
        let (logins, logged_in) = channel();
        store.start(Arc::new(Counter { counts: Mutex::new(counts), logins: Mutex::new(logins) })).unwrap();
        let conn = chatwire::id::ConnId(1);
        let who = Who::Guest { name: None };
        store.submit(Op::Login(Login { conn, who, device: "".into(), new_token: [1; 32] }));
        Writing { user: logged_in.recv().unwrap(), store, committed, _folder: folder }
    }

    fn append(&self, nonce: u64) -> Op {
        Op::Append(Append {
            conn: None,
            user: self.user,
            user_name: "guest".into(),
            nonce,
            target: Target::Current(None),
            reply_to: 0,
            name: "".into(),
            about: 0,
            hold: None,
            permit: 0,
            content: Ok(Content::Text("x".repeat(TEXT_BYTES).into())),
            refused: None,
        })
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

fn open(data: &Path) -> SqliteStore {
    let options = Options {
        data: data.to_owned(),
        durability: Durability::Normal,
        readers: 1,
        clock: Arc::new(|| 1_767_225_600_000_000),
    };
    SqliteStore::open(options).unwrap()
}

criterion_group!(benches, outbox, hub, store);
criterion_main!(benches);
