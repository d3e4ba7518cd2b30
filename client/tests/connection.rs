//! One connection against a scripted server: greeting, messages, gaps, PINGs, ends.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod peer;

use chatwire_client::{Client, Code, EVENT_BYTES, End, Error, Event, Fault, Options, Outgoing, Target};
use chatwire_codec::Frame;
use chatwire_codec::frame::{Bye, Error as Refused, From_, Ping, Pong, Said, Sync, Synced, Text, To};
use peer::{HOME, Peer, accept, connected, listen};
use tokio::io::AsyncWriteExt;

fn pair(seq: u64, text: &str) -> [Frame<'_>; 2] {
    let from = From_ { chat: HOME, seq, user: 1, user_name: "assistant", ..From_::default() };
    [from.into(), Text { text }.into()]
}

fn refused(code: Code, about: u8, nonce: u64) -> Frame<'static> {
    let said = Said::text("not like this");
    Refused { said, code: code as u16, ref_: nonce, about, retry_ms: 1500 }.into()
}

fn text(text: &str) -> Outgoing {
    Outgoing::text(Target::Current, text)
}

async fn next_seq(events: &mut chatwire_client::Events) -> u64 {
    match events.next().await {
        Some(Event::Message(message)) => message.seq,
        other => panic!("no message: {other:?}"),
    }
}

#[tokio::test]
async fn welcome_is_told_and_a_refusal_is_the_servers_own_words() {
    let (client, _events, _peer) = connected().await;
    assert_eq!((client.welcome().user_name.as_str(), client.welcome().home), ("ann", HOME));
    assert!(!format!("{:?}", client.welcome()).contains("t0ken"), "a token is no log line");

    let (listener, addr) = listen().await;
    let refuse = async { accept(&listener).await.send(&[refused(Code::BadTimezone, 0x20, 0)]).await };
    let (connected, ()) = tokio::join!(Client::connect(addr, Options::default()), refuse);
    let error = connected.expect_err("refused");
    assert_eq!((error.code(), error.fault()), (Some(Code::BadTimezone), Fault::Caller));
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_refused() {
    let (listener, addr) = listen().await;
    let answer = async {
        let mut peer = accept(&listener).await;
        peer.socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("the client reads");
    };
    let (connected, ()) = tokio::join!(Client::connect(addr, Options::default()), answer);
    assert_eq!(connected.expect_err("no Chatwire").fault(), Fault::Server);
}

#[tokio::test]
async fn many_messages_are_in_flight_at_once_and_go_out_in_order() {
    let (client, _events, mut peer) = connected().await;
    let mut sendings = Vec::new();
    for n in 0..64 {
        sendings.push(client.start(text(&n.to_string())).await.expect("room"));
    }
    for (n, sending) in sendings.iter().enumerate() {
        assert_eq!(peer.next_text().await, (sending.nonce(), n.to_string()));
    }
    for (n, sending) in sendings.into_iter().enumerate() {
        peer.confirm(sending.nonce(), n as u64 + 1).await;
        assert_eq!(sending.await.expect("stored").seq, n as u64 + 1);
    }
}

#[tokio::test]
async fn an_error_resolves_the_message_that_it_names_and_the_connection_lives() {
    let (client, _events, mut peer) = connected().await;
    let good = client.start(text("good")).await.expect("room");
    let bad = client.start(text("bad")).await.expect("room");
    peer.send(&[refused(Code::RateLimited, 0x00, bad.nonce())]).await;
    match bad.await.expect_err("refused") {
        Error::Refused(refusal) => assert_eq!((refusal.retry_ms, refusal.is_fatal()), (1500, false)),
        other => panic!("{other}"),
    }
    peer.confirm(good.nonce(), 1).await;
    assert_eq!(good.await.expect("stored").seq, 1);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_here_and_nothing_is_written() {
    let (client, _events, mut peer) = connected().await;
    let long = "x".repeat(1001);
    assert!(matches!(client.send(text(&long)).await, Err(Error::TooLarge { size: 1001, limit: 1000 })));
    assert!(matches!(client.send(text("")).await, Err(Error::Invalid(_))));
    let nowhere = Outgoing::text(Target::Room("r".repeat(300)), "hi");
    assert!(matches!(client.send(nowhere).await, Err(Error::Invalid(_))));
    let sending = client.start(text("short")).await.expect("room");
    assert_eq!(peer.next_text().await, (sending.nonce(), "short".to_owned()));
}

#[tokio::test]
async fn a_resent_message_keeps_its_nonce_and_its_address() {
    let (client, _events, mut peer) = connected().await;
    let message = Outgoing { nonce: 42, reply_to: 3, ..Outgoing::text(Target::Room("tea".into()), "hi") };
    let _sending = client.start(message).await.expect("room");
    let to = peer.next().await;
    let expected = To { nonce: 42, room: "tea", reply_to: 3, ..To::default() };
    assert_eq!(to.parse::<To<'_>>(), expected);
}

#[tokio::test]
async fn a_gap_makes_a_sync_and_a_message_that_comes_twice_is_told_once() {
    let (_client, mut events, mut peer) = connected().await;
    for seq in [4, 4, 7] {
        peer.send(&pair(seq, "hi")).await;
    }
    let sync = peer.next().await;
    let Sync { req, chat, after } = sync.parse();
    assert_eq!((chat, after), (HOME, 4));
    peer.send(&[Synced { req, chat, first_seq: 1, last_seq: 7 }.into()]).await;
    for seq in [5, 6, 7, 8] {
        peer.send(&pair(seq, "hi")).await;
    }
    for seq in [4, 5, 6, 7, 8] {
        assert_eq!(next_seq(&mut events).await, seq);
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_an_own_ping_comes_back() {
    let (client, _events, mut peer) = connected().await;
    peer.send(&[Ping { bytes: b"there?" }.into()]).await;
    assert_eq!(peer.next().await.parse::<Pong<'_>>().bytes, b"there?");
    let echo = async {
        let ping = peer.next().await;
        let bytes = ping.parse::<Ping<'_>>().bytes;
        peer.send(&[Pong { bytes }.into()]).await;
    };
    let (round_trip, ()) = tokio::join!(client.ping(), echo);
    round_trip.expect("an answer");
}

#[tokio::test]
async fn a_slow_consumer_loses_nothing() {
    let (client, mut events, mut peer) = connected().await;
    // More than the queue of events and both ends' socket buffers hold.
    let (big, count) = ("x".repeat(1000), u64::from(EVENT_BYTES) / 100);
    let flood = tokio::spawn(async move {
        for seq in 1..=count {
            peer.send(&pair(seq, &big)).await;
        }
        peer
    });
    let told = tokio::spawn(async move { client.ping().await });
    for seq in 1..=count {
        assert_eq!(next_seq(&mut events).await, seq);
    }
    drop(flood.await.expect("all written"));
    assert!(told.await.expect("no panic").is_err(), "the server closed before its PONG");
}

#[tokio::test]
async fn nobody_wanting_events_does_not_hold_answers_up() {
    let (client, events, mut peer) = connected().await;
    drop(events);
    let big = "x".repeat(1000);
    for seq in 1..=u64::from(EVENT_BYTES) / 500 {
        peer.send(&pair(seq, &big)).await;
    }
    let sending = client.start(text("still there")).await.expect("room");
    peer.confirm(sending.nonce(), 1).await;
    sending.await.expect("stored");
}

#[tokio::test]
async fn a_server_that_closes_fails_all_that_waits_and_says_so() {
    let (client, mut events, mut peer) = connected().await;
    let sending = client.start(text("lost?")).await.expect("room");
    peer.next_text().await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.rooms("").await }
    });
    peer.next().await;
    drop(peer);
    assert!(matches!(sending.await, Err(Error::Disconnected(End::Closed))));
    assert!(matches!(asking.await.expect("no panic"), Err(Error::Disconnected(End::Closed))));
    assert!(matches!(events.next().await, Some(Event::Disconnected(End::Closed))));
    assert!(events.next().await.is_none());
    assert!(matches!(client.send(text("more")).await, Err(Error::Disconnected(End::Closed))));
}

#[tokio::test]
async fn a_fatal_error_is_how_the_end_is_told() {
    let (client, mut events, mut peer) = connected().await;
    let sending = client.start(text("hi")).await.expect("room");
    peer.next_text().await;
    peer.send(&[refused(Code::Timeout, 0xFF, 0)]).await;
    drop(peer);
    assert_eq!(sending.await.expect_err("failed").code(), Some(Code::Timeout));
    assert!(matches!(events.next().await, Some(Event::Disconnected(End::Refused(_)))));
}

#[tokio::test]
async fn bye_goes_last_and_waits_for_the_servers() {
    let (client, mut events, mut peer) = connected().await;
    let sending = client.start(text("last words")).await.expect("room");
    let answer = async |peer: &mut Peer| {
        let (nonce, _) = peer.next_text().await;
        peer.next().await.parse::<Bye<'_>>();
        assert!(peer.at_end().await);
        peer.confirm(nonce, 1).await;
        peer.send(&[Bye::default().into()]).await;
    };
    let (left, ()) = tokio::join!(client.bye(), answer(&mut peer));
    left.expect("in order");
    assert_eq!(sending.await.expect("stored").seq, 1);
    assert!(matches!(events.next().await, Some(Event::Disconnected(End::Bye { code: 0, .. }))));
}

#[tokio::test]
async fn dropping_the_last_handle_says_goodbye() {
    let (client, _events, mut peer) = connected().await;
    drop(client);
    peer.next().await.parse::<Bye<'_>>();
    assert!(peer.at_end().await);
}
