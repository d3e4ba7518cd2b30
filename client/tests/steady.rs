//! A steady client against a scripted server: what it says when it comes back, and when it comes no more.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod peer;

use chatwire_client::{
    Code, Kept, MemoryStorage, News, NewsFeed, Options, Outgoing, Pace, Place, Secret, Setup, State, Steady,
    Target,
};
use chatwire_client::{Identity, Login};
use chatwire_codec::frame::{Bye, Error as Refused, From_, Hello, Said, Status, Sync, Synced, Text, Welcome};
use chatwire_codec::{Frame, VERSION};
use peer::{HOME, ME, Peer, accept, listen, welcome};
use std::net::SocketAddr;
use std::time::Duration;

fn setup(addr: SocketAddr, kept: Kept) -> Setup {
    let options = Options { name: "ann".into(), ..Options::default() };
    let pace = Pace { first: Duration::from_millis(2), most: Duration::from_millis(20) };
    Setup { pace, ..Setup::new(addr.to_string(), options, MemoryStorage::new(kept)) }
}

fn identity() -> Identity {
    Identity {
        user: ME,
        user_name: "ann".into(),
        home: HOME,
        epoch: 5,
        token: Secret::from("t0ken"),
        guest: false,
    }
}

/// One who was in so many chats, and has read up to seq 9 in each.
fn known(chats: u64) -> Kept {
    let place = |chat| (chat, Place { pos: Some(9), room: String::new() });
    Kept { identity: Some(identity()), places: (1..=chats).map(place).collect(), unsent: Vec::new() }
}

async fn greet(peer: &mut Peer, auth: u8) {
    let hello = peer.next().await;
    assert_eq!(hello.parse::<Hello<'_>>().auth, auth);
    peer.send(&[welcome().into()]).await;
}

async fn refuse(peer: &mut Peer, code: Code) {
    let said = Said::text("no");
    peer.next().await;
    let error = Refused { said, code: code as u16, about: 0x20, ..Refused::default() };
    peer.send(&[error.into()]).await;
}

async fn next_message(news: &mut NewsFeed) -> (u64, u64) {
    loop {
        match news.next().await.expect("it goes on") {
            News::Message(message) => return (message.chat, message.seq),
            News::State(State::Failed(why)) => panic!("{why}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn all_chats_are_asked_for_before_the_server_has_said_a_word() {
    let (listener, addr) = listen().await;
    let (_steady, mut news) = Steady::start(setup(addr, known(200))).await.expect("started");
    let mut peer = accept(&listener).await;
    assert_eq!(peer.next().await.parse::<Hello<'_>>().secret, "t0ken");
    let mut asked = Vec::new();
    for _ in 0..200 {
        let sync = peer.next().await.parse::<Sync>();
        assert_eq!(sync.after, 9);
        asked.push(sync);
    }
    // Not until now does the server say anything: one round trip, whatever its length.
    let mut frames: Vec<Frame<'_>> = vec![welcome().into()];
    for Sync { req, chat, .. } in asked {
        frames.push(Synced { req, chat, first_seq: 1, last_seq: 10 }.into());
        frames.push(From_ { chat, seq: 10, user: 2, ..From_::default() }.into());
        frames.push(Text { text: "hi" }.into());
    }
    peer.send(&frames).await;
    for chat in 1..=200 {
        assert_eq!(next_message(&mut news).await, (chat, 10));
    }
}

#[tokio::test]
async fn more_chats_than_are_asked_for_at_once_follow_welcome() {
    let (listener, addr) = listen().await;
    let (_steady, _news) = Steady::start(setup(addr, known(1500))).await.expect("started");
    let mut peer = accept(&listener).await;
    greet(&mut peer, 2).await;
    for chat in 1..=1500 {
        assert_eq!(peer.next().await.parse::<Sync>().chat, chat);
    }
}

#[tokio::test]
async fn what_was_not_confirmed_goes_again_by_chat_and_is_told_once() {
    let (listener, addr) = listen().await;
    let (steady, mut news) = Steady::start(setup(addr, Kept::default())).await.expect("started");
    let mut peer = accept(&listener).await;
    greet(&mut peer, 0).await;
    // A new guest's home chat is there from its beginning.
    let sync = peer.next().await.parse::<Sync>();
    assert_eq!((sync.chat, sync.after), (HOME, 0));
    peer.send(&[Synced { req: sync.req, chat: HOME, first_seq: 1, last_seq: 0 }.into()]).await;

    let sending = steady.send(Outgoing::text(Target::Current, "hello")).await.expect("taken");
    let (nonce, text) = peer.next_text().await;
    assert_eq!((nonce, text.as_str()), (sending.nonce(), "hello"));
    drop(peer);

    let mut peer = accept(&listener).await;
    greet(&mut peer, 2).await;
    let sync = peer.next().await.parse::<Sync>();
    assert_eq!((sync.chat, sync.after), (HOME, 0));
    let to = peer.next().await;
    let to = to.parse::<chatwire_codec::frame::To<'_>>();
    assert_eq!((to.nonce, to.chat), (nonce, HOME));
    assert_eq!(peer.next().await.parse::<Text<'_>>().text, "hello");
    let own = From_ { chat: HOME, seq: 1, user: ME, nonce, ..From_::default() };
    let again = Status { nonce, chat: HOME, seq: 1, at: 1, duplicate: 1 };
    let synced = Synced { req: sync.req, chat: HOME, first_seq: 1, last_seq: 1 };
    peer.send(&[synced.into(), own.into(), Text { text: "hello" }.into(), again.into()]).await;
    assert_eq!(sending.await.expect("stored").seq, 1);
    assert_eq!(next_message(&mut news).await, (HOME, 1));
    peer.send(&[From_ { chat: HOME, seq: 2, user: 1, ..From_::default() }.into()]).await;
    peer.send(&[Text { text: "hi" }.into()]).await;
    assert_eq!(next_message(&mut news).await, (HOME, 2), "message 1 once");
}

#[tokio::test]
async fn a_client_that_is_banned_asks_no_more_and_says_why() {
    let (listener, addr) = listen().await;
    let (steady, mut news) = Steady::start(setup(addr, Kept::default())).await.expect("started");
    let mut peer = accept(&listener).await;
    refuse(&mut peer, Code::Banned).await;
    drop(peer);
    let mut last = None;
    while let Some(news) = news.next().await {
        last = Some(news);
    }
    assert!(matches!(last, Some(News::State(State::Failed(why))) if why.code() == Some(Code::Banned)));
    let sent = steady.send(Outgoing::text(Target::Current, "still there?")).await;
    assert_eq!(sent.expect_err("over").code(), Some(Code::Banned));
    assert_eq!(steady.online().await.expect_err("over").code(), Some(Code::Banned));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_is_dead() {
    // Taken, so that nobody else gets it meanwhile; and nobody listens.
    let dead = tokio::net::TcpSocket::new_v4().expect("a socket");
    dead.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let gone = dead.local_addr().expect("its address");
    let (listener, addr) = listen().await;
    let mut setup = setup(addr, Kept::default());
    setup.addresses.insert(0, gone.to_string());
    let (steady, _news) = Steady::start(setup).await.expect("started");
    let mut peer = accept(&listener).await;
    greet(&mut peer, 0).await;
    assert_eq!(steady.online().await.expect("welcome").welcome().user_name, "ann");
}

#[tokio::test]
async fn another_epoch_begins_anew_without_a_word_of_what_was_known() {
    let (listener, addr) = listen().await;
    let (_steady, mut news) = Steady::start(setup(addr, known(3))).await.expect("started");
    let restored = Welcome { epoch: 6, ..welcome() };
    let mut peer = accept(&listener).await;
    peer.next().await;
    let from = From_ { chat: 1, seq: 10, user: 2, ..From_::default() };
    let synced = Synced { req: 1, chat: 1, first_seq: 1, last_seq: 10 };
    peer.send(&[restored.clone().into(), synced.into(), from.into(), Text { text: "another" }.into()]).await;

    let mut peer = accept(&listener).await;
    let hello = peer.next().await;
    assert_eq!((hello.parse::<Hello<'_>>().auth, hello.parse::<Hello<'_>>().version), (2, VERSION));
    peer.send(&[restored.into()]).await;
    let from = From_ { chat: 2, seq: 4, user: 2, ..From_::default() };
    peer.send(&[from.into(), Text { text: "hi" }.into()]).await;
    let mut anew = false;
    loop {
        match news.next().await.expect("it goes on") {
            News::Anew(_) => anew = true,
            News::Message(message) => {
                assert_eq!((message.chat, message.seq, anew), (2, 4, true));
                return;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn closing_waits_for_what_is_under_way_and_nobody_comes_back() {
    let (listener, addr) = listen().await;
    let (steady, mut news) = Steady::start(setup(addr, Kept::default())).await.expect("started");
    let mut peer = accept(&listener).await;
    greet(&mut peer, 0).await;
    peer.next().await.parse::<Sync>();
    let sending = steady.send(Outgoing::text(Target::Current, "bye")).await.expect("taken");
    let (nonce, _) = peer.next_text().await;
    let end = async {
        peer.next().await.parse::<Bye<'_>>();
        peer.confirm(nonce, 1).await;
        peer.send(&[Bye::default().into()]).await;
        drop(peer);
    };
    tokio::join!(steady.close(), end);
    assert_eq!(sending.await.expect("stored").seq, 1);
    let mut last = None;
    while let Some(news) = news.next().await {
        last = Some(news);
    }
    assert!(matches!(last, Some(News::State(State::Closed))), "{last:?}");
}

#[tokio::test]
async fn a_token_that_the_program_gave_is_not_tried_forever() {
    let (listener, addr) = listen().await;
    let mut setup = setup(addr, Kept::default());
    setup.options.login = Login::Token("stale".into());
    let (steady, _news) = Steady::start(setup).await.expect("started");
    refuse(&mut accept(&listener).await, Code::Unauthenticated).await;
    assert_eq!(steady.online().await.expect_err("over").code(), Some(Code::Unauthenticated));
}
