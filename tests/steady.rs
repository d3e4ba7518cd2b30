//! Steady clients on a real server that is killed, behind a network that cuts: every message comes to everybody
//! exactly once and in order, and nothing that was confirmed is lost (sections 3.4, 3.5, 6.5 of
//! docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use chatwire_client as client;
use client::{
    Content, FileStorage, MemoryStorage, News, NewsFeed, Options, Outgoing, Pace, Setup, Steady, Target,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::proxy::Proxy;
use support::*;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const ROOMS: [&str; 2] = ["harbour", "quay"];
const CLIENTS: usize = 4;
const EACH: usize = 120;
/// How long a whole story may take.
const STORY: Duration = Duration::from_secs(120);

fn setup(proxy: &Proxy, name: &str, storage: impl client::Storage) -> Setup {
    let pace = Pace { first: Duration::from_millis(4), most: Duration::from_millis(50) };
    let options = Options { name: name.into(), ..Options::default() };
    Setup { pace, ..Setup::new(proxy.address.to_string(), options, storage) }
}

/// What a client was told of each chat, in order.
type Seen = BTreeMap<u64, Vec<(u64, String)>>;

/// Takes all news until there are so many messages in these rooms. What comes behind them is counted to the end.
async fn watch(mut news: NewsFeed, rooms: [u64; 2], count: usize) -> (Seen, JoinHandle<usize>) {
    let mut seen = Seen::new();
    while rooms.iter().map(|room| seen.get(room).map_or(0, Vec::len)).sum::<usize>() < count {
        match news.next().await {
            Some(News::Message(message)) => {
                let text = match message.content {
                    Content::Text(text) => text,
                    other => format!("{other:?}"),
                };
                seen.entry(message.chat).or_default().push((message.seq, text));
            }
            Some(News::Forgotten { .. } | News::Missed { .. } | News::Anew(_)) => panic!("a place was lost"),
            Some(_) => {}
            None => break,
        }
    }
    let rest = tokio::spawn(async move {
        let mut more = 0;
        while let Some(news) = news.next().await {
            more += usize::from(matches!(news, News::Message(_)));
        }
        more
    });
    (seen, rest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_kills_and_cuts_everybody_sees_every_message_once_and_in_order() {
    tokio::time::timeout(STORY, kills_and_cuts()).await.expect("it takes too long");
}

async fn kills_and_cuts() {
    let mut random = random::Random::new();
    let mut server = Server::start();
    let proxy = Proxy::start(server.address(), random::Random::from(random.number())).await;
    let mut steadies = Vec::new();
    let mut watching = Vec::new();
    let mut rooms = [0; 2];
    for n in 0..CLIENTS {
        let (steady, news) =
            Steady::start(setup(&proxy, &format!("c{n}"), MemoryStorage::default())).await.expect("started");
        for (room, name) in rooms.iter_mut().zip(ROOMS) {
            *room = steady.join(name).await.expect("a room").chat;
        }
        watching.push(tokio::spawn(watch(news, rooms, CLIENTS * EACH + 2)));
        steadies.push(steady);
    }
    // So that the rooms stay when nobody is in them.
    for chat in rooms {
        let pin = steadies[0].send(Outgoing::text(Target::Chat(chat), "pin")).await.expect("taken");
        pin.await.expect("stored");
    }
    proxy.cuts(true);
    let (answered, mut answers) = mpsc::channel(CLIENTS * EACH);
    for (n, steady) in steadies.iter().cloned().enumerate() {
        let answered = answered.clone();
        tokio::spawn(async move {
            for m in 0..EACH {
                let to = Target::Chat(rooms[(n + m) % 2]);
                let text = format!("{n} says {m}");
                let sending = steady.send(Outgoing::text(to, &*text)).await.expect("taken");
                let answered = answered.clone();
                tokio::spawn(async move {
                    let status = sending.await.expect("stored");
                    // A story that has failed counts no more.
                    let _ = answered.send((status.chat, status.seq, text)).await;
                });
            }
        });
    }
    let mut confirmed = BTreeMap::new();
    for kill in 1..=3 {
        while confirmed.len() < CLIENTS * EACH * kill / 4 {
            let (chat, seq, text) = answers.recv().await.expect("an answer");
            assert!(confirmed.insert((chat, seq), text).is_none(), "two messages in one place");
        }
        server.restart();
        proxy.leads_to(server.address());
    }
    while confirmed.len() < CLIENTS * EACH {
        let (chat, seq, text) = answers.recv().await.expect("an answer");
        assert!(confirmed.insert((chat, seq), text).is_none(), "two messages in one place");
    }
    assert!(proxy.count() > 3, "only {} cuts", proxy.count());
    proxy.cuts(false);
    let texts: BTreeSet<_> = confirmed.values().collect();
    assert_eq!(texts.len(), CLIENTS * EACH, "each was stored once");
    let mut rests = Vec::new();
    for watching in watching {
        let (seen, rest) = watching.await.expect("no panic");
        rests.push(rest);
        for room in rooms {
            let seqs: Vec<u64> = seen[&room].iter().map(|(seq, _)| *seq).collect();
            assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "not in order, or not once: {seqs:?}");
            for (seq, text) in seen[&room].iter().skip(1) {
                assert_eq!(confirmed.get(&(room, *seq)), Some(text));
            }
            // And each sender's in the order in which it sent them.
            for n in 0..CLIENTS {
                let says = format!("{n} says ");
                let of: Vec<usize> = seen[&room]
                    .iter()
                    .filter_map(|(_, text)| text.strip_prefix(&says)?.parse().ok())
                    .collect();
                assert!(of.is_sorted(), "{n}: {of:?}");
            }
        }
    }
    for (steady, rest) in steadies.into_iter().zip(rests) {
        steady.close().await;
        assert_eq!(rest.await.expect("no panic"), 0, "something came twice");
    }
}

#[tokio::test]
async fn what_was_sent_to_no_server_is_stored_when_a_later_run_finds_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("place");
    let mut server = Server::start();
    let proxy = Proxy::start(server.address(), random::Random::new()).await;
    let start = async || {
        let storage = FileStorage::open(&path).expect("free");
        Steady::start(setup(&proxy, "ann", storage)).await.expect("started")
    };
    let (steady, mut news) = start().await;
    let me = steady.online().await.expect("welcome").welcome().user;
    steady.send(Outgoing::text(Target::Current, "one")).await.expect("taken").await.expect("stored");
    while !matches!(news.next().await.expect("news"), News::Message(_)) {}
    server.kill();
    for text in ["two", "three"] {
        // Kept, though nobody is there to send it to.
        drop(steady.send(Outgoing::text(Target::Current, text)).await.expect("taken"));
    }
    steady.close().await;
    drop(news);

    server.start_again();
    proxy.leads_to(server.address());
    let (steady, news) = start().await;
    let online = steady.online().await.expect("welcome");
    assert_eq!(online.welcome().user, me, "the same guest, by its token");
    let home = online.welcome().home;
    // "one" was handed out and not asked past: it may come again. The others come once.
    let (seen, _rest) = tokio::time::timeout(STORY, watch(news, [home, 0], 3)).await.expect("all three");
    let all: Vec<(u64, &str)> = seen[&home].iter().map(|(seq, text)| (*seq, text.as_str())).collect();
    assert_eq!(all, [(1, "one"), (2, "two"), (3, "three")]);
    steady.close().await;
}

#[tokio::test]
async fn a_file_that_is_cut_off_goes_again_and_comes_once() {
    let mut server = Server::start();
    let proxy = Proxy::start(server.address(), random::Random::new()).await;
    let (steady, news) = Steady::start(setup(&proxy, "", MemoryStorage::default())).await.expect("started");
    let home = steady.online().await.expect("welcome").welcome().home;
    let watching = tokio::spawn(watch(news, [home, 0], 2));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("picture.png");
    let mut bytes = sample("image.png");
    bytes.resize(300_000, 7);
    std::fs::write(&path, &bytes).unwrap();
    proxy.cuts(true);
    let (halfway, mut reached) = mpsc::channel(1000);
    let file = client::OutgoingFile::new(Target::Current, &path);
    let sending = steady
        .send_file(file, move |done, _| {
            let _ = halfway.try_send(done);
        })
        .await
        .expect("taken");
    // Every connection is cut long before the file is through.
    while proxy.count() < 3 {
        reached.recv().await.expect("progress");
    }
    server.restart();
    proxy.leads_to(server.address());
    proxy.cuts(false);
    steady.send(Outgoing::text(Target::Current, "behind it")).await.expect("taken").await.expect("stored");
    assert_eq!(sending.await.expect("stored").seq, 1);
    let (seen, _rest) = tokio::time::timeout(STORY, watching).await.expect("both").expect("no panic");
    assert!(seen[&home][0].1.contains("picture.png"), "{seen:?}");
    assert_eq!(seen[&home][1], (2, "behind it".to_string()));
    steady.close().await;
}

#[tokio::test]
async fn large_files_go_on_where_they_were_cut_off_beside_what_else_is_said() {
    let mut server = Server::start();
    let proxy = Proxy::start(server.address(), random::Random::new()).await;
    // No connection takes as much as half of one of them.
    proxy.cuts_within(1_500_000);
    proxy.cuts(true);
    let (steady, news) = Steady::start(setup(&proxy, "", MemoryStorage::default())).await.expect("started");
    let home = steady.online().await.expect("welcome").welcome().home;
    let watching = tokio::spawn(watch(news, [home, 0], 3));
    let folder = tempfile::tempdir().expect("a folder");
    let bodies: Vec<Vec<u8>> = (0..2).map(|n| random::Random::from(n).bytes(4_000_000)).collect();
    let mut sendings = Vec::new();
    for (n, bytes) in bodies.iter().enumerate() {
        let path = folder.path().join(format!("{n}.bin"));
        std::fs::write(&path, bytes).unwrap();
        let file = client::OutgoingFile::new(Target::Current, &path);
        sendings.push(steady.send_file(file, |_, _| {}).await.expect("taken"));
    }
    // It passes them.
    steady.send(Outgoing::text(Target::Current, "first")).await.expect("taken").await.expect("stored");
    while proxy.count() < 3 {
        tokio::task::yield_now().await;
    }
    server.restart();
    proxy.leads_to(server.address());
    for sending in sendings {
        sending.await.expect("stored");
    }
    proxy.cuts(false);
    let (seen, rest) = tokio::time::timeout(STORY, watching).await.expect("all").expect("no panic");
    assert_eq!(seen[&home][0], (1, "first".to_string()));
    assert!(seen[&home][1].1 != seen[&home][2].1, "{seen:?}");
    let online = steady.online().await.expect("welcome");
    for bytes in &bodies {
        let path = folder.path().join("fetched");
        let media = *blake3::hash(bytes).as_bytes();
        online.fetch(client::Download::new(media, &path), |_, _| {}).await.expect("fetched");
        assert!(std::fs::read(&path).unwrap() == *bytes);
        std::fs::remove_file(&path).unwrap();
    }
    drop(online);
    steady.close().await;
    assert_eq!(rest.await.expect("no panic"), 0, "nothing came twice");
}

#[tokio::test]
async fn on_another_server_at_the_same_address_a_client_begins_anew_and_says_so() {
    let one = Server::start();
    let other = Server::start();
    let proxy = Proxy::start(one.address(), random::Random::new()).await;
    let (steady, mut news) =
        Steady::start(setup(&proxy, "ann", MemoryStorage::default())).await.expect("started");
    steady.send(Outgoing::text(Target::Current, "hello")).await.expect("taken").await.expect("stored");
    let before = steady.online().await.expect("welcome").welcome().epoch;
    proxy.leads_to(other.address());
    let mut one = one;
    one.kill();
    let (mut refused, mut anew) = (false, false);
    loop {
        match tokio::time::timeout(STORY, news.next()).await.expect("in time").expect("it goes on") {
            News::TokenRefused(_) => refused = true,
            News::Anew(_) => anew = true,
            News::State(client::State::Online(welcome)) if welcome.epoch != before => break,
            _ => {}
        }
    }
    assert!(refused && anew);
    let status = steady.send(Outgoing::text(Target::Current, "hello")).await.expect("taken").await;
    assert_eq!(status.expect("stored").seq, 1);
    steady.close().await;
}
