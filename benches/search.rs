//! How long a SEARCH takes in a store of a million messages, and what the index of words costs who writes them.
//!
//! `cargo bench --bench search` fills a store in `target` (a minute), and prints the time of each kind of
//! query: the median and the longest of many. Texts are twelve words of a vocabulary in which the n-th word is as
//! frequent as 1/n, as in people's languages. Of the chats the asker is in some. Nothing here has a socket, and the
//! store does not wait for the disk.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

mod parts;

use chatwire::config::Durability;
use chatwire::id::{ChatId, UserId};
use chatwire::store::sqlite::{Options, SqliteStore};
use chatwire::store::{Append, Committed, Consumer, Content, Join, Login, Op, Search, Store, Target};
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const MESSAGES: u64 = 1_000_000;
const ROOMS: u64 = 100;
/// Of so many rooms the asker is in one.
const ASKER_IN: usize = 4;
const WORDS_EACH: usize = 12;
const VOCABULARY: usize = 50_000;
/// Ops that wait at once, as many as a busy server has.
const IN_FLIGHT: u64 = 2_000;
const REPETITIONS: usize = 50;
/// What is said of the time of a two-word query.
const LIMIT: Duration = Duration::from_millis(50);

struct Outcomes(Mutex<Sender<Vec<Committed>>>);

impl Consumer for Outcomes {
    fn committed(&self, batch: &mut Vec<Committed>) {
        let _ = self.0.lock().unwrap().send(std::mem::take(batch));
    }
}

/// Words by rank, the first the most frequent.
struct Text {
    upto: Vec<f64>,
    state: u64,
}

impl Text {
    fn new() -> Text {
        let mut sum = 0.0;
        let upto = (1..=VOCABULARY).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Text { upto: upto.collect(), state: 1 }
    }

    fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn message(&mut self) -> Box<str> {
        let mut text = String::new();
        for _ in 0..WORDS_EACH {
            let at = (self.number() >> 11) as f64 / (1_u64 << 53) as f64 * self.upto[VOCABULARY - 1];
            let _ = write!(text, "w{} ", 1 + self.upto.partition_point(|upto| *upto < at));
        }
        text.into()
    }
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let now = AtomicI64::new(1_767_225_600_000_000);
    let clock = Arc::new(move || now.fetch_add(1, Ordering::Relaxed));
    let options =
        Options { data: folder.path().to_owned(), durability: Durability::Normal, readers: 1, clock };
    let store = SqliteStore::open(options.clone()).unwrap();
    let (sender, outcomes) = channel();
    store.start(Arc::new(Outcomes(Mutex::new(sender)))).unwrap();
    let (asker, rooms) = begin(&store, &outcomes);
    fill(&store, &outcomes, asker.0, &rooms);

    let all = |query: &str| search(query, None);
    measure(&store, asker.1, "two frequent words (w3 w5)", &all("w3 w5"));
    measure(&store, asker.1, "a frequent and a rare one (w1 w40000)", &all("w1 w40000"));
    measure(&store, asker.1, "two that meet seldom (w200 w300)", &all("w200 w300"));
    measure(&store, asker.1, "two that never meet (w45000 w49999)", &all("w45000 w49999"));
    measure(&store, asker.1, "two words in one room (w3 w5)", &search("w3 w5", Some(rooms[0])));
    measure(&store, asker.1, "one frequent word (w1)", &all("w1"));
    measure(&store, asker.1, "a beginning of many words (w4*)", &all("w4*"));
    let last = store.search(asker.1, &all("w3 w5")).unwrap().messages.pop().unwrap();
    let on = Search { before: (last.at, last.chat, last.seq), ..all("w3 w5") };
    measure(&store, asker.1, "the next page of (w3 w5)", &on);
}

fn search(query: &str, chat: Option<ChatId>) -> Search {
    Search { chat, query: query.into(), before: (0, ChatId(0), 0), limit: 50, max_bytes: 1 << 20 }
}

/// Who writes, who asks, and the rooms.
fn begin(store: &SqliteStore, outcomes: &Receiver<Vec<Committed>>) -> ((UserId, UserId), Vec<ChatId>) {
    let login = |number| {
        let Op::Login(login) = parts::login() else { unreachable!() };
        store.submit(Op::Login(Login { new_token: [number; 32], ..login }));
        let Some(Committed::Login(_, Ok(login))) = outcomes.recv().unwrap().pop() else { unreachable!() };
        login.user
    };
    let (writer, asker) = (login(1), login(2));
    let join = |user, number: u64| {
        let room = format!("room {number}").into();
        store.submit(Op::Join(Join { conn: chatwire::id::ConnId(1), user, req: 1, room, leave: None }));
        let Some(Committed::Join(_, _, Ok(joined))) = outcomes.recv().unwrap().pop() else { unreachable!() };
        joined.chat
    };
    let rooms: Vec<ChatId> = (0..ROOMS).map(|number| join(writer, number)).collect();
    (0..ROOMS).step_by(ASKER_IN).for_each(|number| {
        join(asker, number);
    });
    ((writer, asker), rooms)
}

fn fill(store: &SqliteStore, outcomes: &Receiver<Vec<Committed>>, writer: UserId, rooms: &[ChatId]) {
    let mut text = Text::new();
    let texts: Vec<(usize, Box<str>)> =
        (0..MESSAGES).map(|_| ((text.number() % ROOMS) as usize, text.message())).collect();
    let began = Instant::now();
    let (mut in_flight, mut longest) = (0, Duration::ZERO);
    let mut take = |in_flight: &mut u64| {
        let waits = Instant::now();
        *in_flight -= outcomes.recv().unwrap().len() as u64;
        longest = longest.max(waits.elapsed());
    };
    for (nonce, (room, text)) in (1..).zip(texts) {
        while in_flight >= IN_FLIGHT {
            take(&mut in_flight);
        }
        let append = parts::append(writer, nonce);
        let Op::Append(append) = append else { unreachable!() };
        let (target, content) = (Target::Chat(rooms[room]), Ok(Content::Text(text)));
        store.submit(Op::Append(Append { target, content, ..append }));
        in_flight += 1;
    }
    while in_flight > 0 {
        take(&mut in_flight);
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / MESSAGES as f64;
    println!(
        "{MESSAGES} messages in {ROOMS} rooms: {each:.1} us each, index and all; longest wait {longest:.1?}"
    );
}

fn measure(store: &SqliteStore, asker: UserId, what: &str, wanted: &Search) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..REPETITIONS {
        let began = Instant::now();
        found = store.search(asker, wanted).unwrap().messages.len();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let (median, longest) = (times[REPETITIONS / 2], times[REPETITIONS - 1]);
    let verdict = if median <= LIMIT { "" } else { " — over the limit" };
    println!("{what}: {found} found, median {median:.2?}, longest {longest:.2?}{verdict}");
}
