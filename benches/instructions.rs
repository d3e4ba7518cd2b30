//! Instructions, not time: what the parts of the server execute for a commit, a push, a frame, an append.
//!
//! Run: `scripts/instructions`, which says what it needs. The number at the end of a bench's name is how many
//! messages it is of. What the system does is not counted: no write and no sync is.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "of what gungraun's macros make"
)]
#![allow(clippy::unwrap_used, reason = "a bench may stop where it stands")]

mod parts;

use bytes::Bytes;
use chatwire::delivery;
use chatwire::id::{ConnId, Now, UserId};
use chatwire::outbox::{Outbox, Queue};
use chatwire::policy::Policy;
use chatwire::session::{Effect, Notice, Rules, Session};
use chatwire::store::{Appended, Committed, Consumer, Outcome, Store};
use chatwire_codec::frame::{Hello, Text, To};
use chatwire_codec::{Event, Frame};
use gungraun::prelude::*;
use gungraun::{Callgrind, EntryPoint, EventKind};
use parts::{Online, ROOM, append, drain, login};
use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// 64 texts to a room; not the first ones, for which tables grow.
fn to_a_room(members: u64) -> (Online, Vec<Committed>) {
    let online = Online::members(members);
    online.deliver(Online::to_the_room(1, 64));
    (online, Online::to_the_room(65, 64))
}

/// A text of each of 64 connections to a chat in which nobody else is, and not their first.
fn to_homes(senders: u64) -> (Online, Vec<Committed>) {
    let online = Online::members(senders);
    online.deliver(online.to_their_homes(1));
    let batch = online.to_their_homes(2);
    (online, batch)
}

#[library_benchmark]
#[bench::to_50_places_x64(args = (50), setup = to_a_room, teardown = reached)]
#[bench::to_1000_places_x64(args = (1000), setup = to_a_room, teardown = reached)]
#[bench::status_alone_x64(args = (64), setup = to_homes, teardown = reached)]
fn committed((online, mut batch): (Online, Vec<Committed>)) -> Online {
    online.hub.committed(black_box(&mut batch));
    online
}

fn reached(online: Online) {
    assert!(online.take_all().iter().all(|bytes| *bytes > 0), "somebody got nothing");
}

type Waiting = (Outbox, Queue);

fn outbox() -> Waiting {
    (Outbox::new(Arc::default(), Arc::default()), Queue::default())
}

// One wake-up's worth: so many answers are pushed, then the task looks, takes and has sent.
#[library_benchmark]
#[bench::pushed_and_taken_x64(args = (), setup = outbox)]
fn outbox_status((outbox, mut taken): Waiting) -> Waiting {
    for nonce in 1..=64 {
        outbox.answer_messages(1, |out| delivery::status(out, black_box(nonce), ROOM, nonce, 0, false));
    }
    let context = Context::from_waker(Waker::noop());
    assert_eq!(outbox.poll(&context).answered, 64);
    drain(&outbox, &mut taken);
    (outbox, taken)
}

fn outboxes(count: usize) -> (Vec<Outbox>, Bytes) {
    let budget = Arc::default();
    (
        (0..count).map(|_| Outbox::new(Arc::clone(&budget), Arc::default())).collect(),
        Bytes::from(vec![0; 16 * 1024]),
    )
}

// A run that all share, and each task's look and take.
#[library_benchmark]
#[bench::pushed_and_taken_x1000(args = (1000), setup = outboxes)]
fn outbox_run((outboxes, run): (Vec<Outbox>, Bytes)) -> Vec<Outbox> {
    let mut taken = Queue::default();
    let context = Context::from_waker(Waker::noop());
    for outbox in &outboxes {
        assert!(outbox.live(black_box(&run)));
        black_box(outbox.poll(&context));
        drain(outbox, &mut taken);
    }
    outboxes
}

struct Open {
    session: Session,
    now: Now,
    text: String,
    effects: Vec<Effect>,
}

fn session() -> Open {
    let second = Duration::from_secs(1);
    let (policy, heartbeat, hello) = (Policy::default(), 30 * second, 10 * second);
    let (frame, stall, max_media) = (30 * second, 300 * second, 1 << 30);
    let rules = Arc::new(Rules { policy, heartbeat, hello, frame, stall, max_media, messages: None });
    let now = Now { instant: Instant::now(), wall: 1_767_268_800_000_000 };
    let mut session = Session::new(rules, ConnId(1), true, now.instant);
    let hello = Hello { version: 1, timezone: "UTC", ..Hello::default() };
    session.handle_event(now, Event::Frame(Frame::Hello(hello)));
    while session.poll_effect().is_some() {}
    session.handle_notice(now.instant, Notice::Welcomed { user: UserId(7), name: "ann".into() });
    assert!(session.wants_input());
    Open { session, now, text: "x".repeat(128), effects: Vec::with_capacity(64) }
}

// TO and TEXT in, an append out.
#[library_benchmark]
#[bench::to_and_text_x64(args = (), setup = session, teardown = submitted)]
fn session_message(mut open: Open) -> Open {
    let Open { session, now, text, effects } = &mut open;
    for nonce in 1..=64 {
        let to = To { nonce, ..To::default() };
        session.handle_event(*now, black_box(Event::Frame(Frame::To(to))));
        session.handle_event(*now, black_box(Event::Frame(Frame::Text(Text { text }))));
        effects.extend(session.poll_effect());
    }
    open
}

fn submitted(open: Open) {
    assert!(open.effects.len() == 64 && open.effects.iter().all(|e| matches!(e, Effect::Submit(_))));
}

/// Holds the writing thread from the login on until all is queued, so that it always finds the same.
struct Gate {
    logins: Mutex<Sender<UserId>>,
    open: Mutex<Receiver<()>>,
    stored: Mutex<Sender<u64>>,
}

impl Consumer for Gate {
    fn committed(&self, batch: &mut Vec<Committed>) {
        let mut count = 0;
        for outcome in batch.drain(..) {
            match outcome {
                Committed::Append(Appended { outcome: Outcome::Stored(_), .. }) => count += 1,
                Committed::Login(_, Ok(login)) => {
                    self.logins.lock().unwrap().send(login.user).unwrap();
                    self.open.lock().unwrap().recv().unwrap();
                }
                other => assert!(matches!(other, Committed::Departed(..)), "{other:?}"),
            }
        }
        self.stored.lock().unwrap().send(count).unwrap();
    }
}

// The whole process is counted, since the work is another thread's: what a store costs without a message is
// to be taken off.
#[library_benchmark(config = LibraryBenchmarkConfig::default()
    .tool(Callgrind::default().format([EventKind::Ir]).entry_point(EntryPoint::None)))]
#[bench::whole_process_x0(0)]
#[bench::whole_process_x64(64)]
#[bench::whole_process_x2048(2048)]
fn store_append(count: u64) {
    let (store, folder) = parts::store();
    let ((logins, logged_in), (gate, open), (counts, stored)) = (channel(), channel(), channel());
    let (logins, open, stored_by) = (Mutex::new(logins), Mutex::new(open), Mutex::new(counts));
    store.start(Arc::new(Gate { logins, open, stored: stored_by })).unwrap();
    store.submit(login());
    let user = logged_in.recv().unwrap();
    (1..=count).for_each(|nonce| store.submit(append(user, nonce)));
    gate.send(()).unwrap();
    let mut seen = 0;
    while seen < count {
        seen += stored.recv().unwrap();
    }
    store.close();
    drop((store, folder));
}

library_benchmark_group!(name = hub, benchmarks = [committed]);
library_benchmark_group!(name = outboxes_of, benchmarks = [outbox_status, outbox_run]);
library_benchmark_group!(name = sessions, benchmarks = [session_message]);
library_benchmark_group!(name = store, benchmarks = [store_append]);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::default().format([EventKind::Ir])),
    library_benchmark_groups = [hub, outboxes_of, sessions, store]
);
