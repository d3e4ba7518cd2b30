//! Who may come in, how many, and how fast they may send.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::*;

/// The limits for each address hold for this machine too.
const ALL_ADDRESSES: (&str, &str) = ("limits.exempt_addresses", "");
const ELSEWHERE: &str = "127.0.0.2";

/// A connection from this address of the machine's own, such as 127.0.0.2.
fn connect_from(server: &Server, address: &str) -> Peer {
    let connect = async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0))?;
        socket.connect(server.address()).await?.into_std()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let socket = runtime.block_on(connect).unwrap();
    socket.set_nonblocking(false).unwrap();
    Peer::on(socket)
}

/// A guest from another address.
fn guest_from(server: &Server, address: &str) -> Peer {
    let mut peer = connect_from(server, address);
    peer.send_hello(Hello::default());
    peer.expect_welcome();
    peer
}

#[test]
fn an_address_has_so_many_connections_and_another_has_its_own() {
    let server =
        Server::with(&[("limits.connections_per_address", "2"), ("limits.wait_secs", "0.1"), ALL_ADDRESSES]);
    let (first, _second) = (Peer::guest(&server), Peer::guest(&server));
    let busy = Peer::connect(&server).expect_busy();
    assert!(busy.said.text.contains("this address") && busy.retry_ms > 0, "{busy:?}");
    guest_from(&server, ELSEWHERE).ping();
    first.bye();
    until("the place is free", || {
        let mut next = Peer::connect(&server);
        next.send_hello(Hello::default());
        matches!(next.poll(), Some(Frame::Welcome(_)))
    });
}

#[test]
fn whoever_waits_gets_the_place_that_another_of_its_address_leaves() {
    let server =
        Server::with(&[("limits.connections_per_address", "1"), ("limits.wait_secs", "20"), ALL_ADDRESSES]);
    let (here, elsewhere) = (Peer::guest(&server), guest_from(&server, ELSEWHERE));
    let mut waits = Peer::connect(&server);
    waits.send_hello(Hello::default());
    // Not that of another address.
    elsewhere.bye();
    let mut more = guest_from(&server, ELSEWHERE);
    here.bye();
    waits.expect_welcome();
    more.ping();
}

#[test]
fn an_address_that_is_exempt_is_not_counted() {
    let server = Server::with(&[
        ("limits.connections_per_address", "1"),
        ("limits.guests_per_minute", "1"),
        ("limits.wait_secs", "0"),
        ("limits.exempt_addresses", "127.0.0.1"),
    ]);
    let _peers: Vec<Peer> = (0..5).map(|_| Peer::guest(&server)).collect();
    let _only = guest_from(&server, ELSEWHERE);
    connect_from(&server, ELSEWHERE).expect_busy();
}

#[test]
fn an_address_brings_so_many_guests_a_minute_and_who_was_here_comes_back() {
    let server = Server::with(&[("limits.guests_per_minute", "3"), ALL_ADDRESSES]);
    let guests: Vec<Peer> = (0..3).map(|_| Peer::guest(&server)).collect();
    for _ in 0..2 {
        let mut more = Peer::connect(&server);
        more.send_hello(Hello::default());
        let refused = more.expect_fatal(Code::RateLimited, kind::HELLO);
        assert!((1..=20_001).contains(&refused.retry_ms), "{refused:?}");
    }
    guests[0].again(&server).ping();
    guest_from(&server, ELSEWHERE).ping();
    // An account is no guest.
    Peer::hello(&server, Hello { user: "ann", auth: 3, secret: "secret", ..Hello::default() }).ping();
}

#[test]
fn an_address_makes_so_many_accounts_an_hour_and_who_has_one_logs_in() {
    let server = Server::with(&[("limits.registrations_per_hour", "2"), ALL_ADDRESSES]);
    let register = |user| Hello { user, auth: 3, secret: "secret", ..Hello::default() };
    Peer::hello(&server, register("ann"));
    Peer::hello(&server, register("bob"));
    let mut third = Peer::connect(&server);
    third.send_hello(register("cleo"));
    let refused = third.expect_fatal(Code::RateLimited, kind::HELLO);
    assert!((1_000_000..=1_800_001).contains(&refused.retry_ms), "{refused:?}");
    Peer::hello(&server, register("ann")).ping();
    let mut elsewhere = connect_from(&server, ELSEWHERE);
    elsewhere.send_hello(register("cleo"));
    elsewhere.expect_welcome();
}

#[test]
fn messages_that_come_too_fast_are_refused_and_what_was_stored_is_confirmed() {
    let server = Server::with(&[("limits.messages_per_sec", "5")]);
    let mut aya = Peer::guest(&server);
    let message =
        |nonce| [bytes_of(To { nonce, ..To::default() }), bytes_of(Text { text: "quick" })].concat();
    let begun = Instant::now();
    aya.send_bytes(&(1..=8).flat_map(message).collect::<Vec<u8>>());
    for nonce in 1..=5 {
        aya.expect_status(nonce);
    }
    if begun.elapsed() > Duration::from_millis(150) {
        return; // The machine has stood still: some of the rest was not too fast.
    }
    let waits: Vec<u32> =
        (6..=8).map(|nonce| aya.expect_error(Code::RateLimited, nonce, kind::TEXT).retry_ms).collect();
    assert!(waits.iter().all(|wait| (1..=201).contains(wait)), "{waits:?}");
    // A copy of what is stored is confirmed, however fast it comes.
    aya.send_bytes(&message(3));
    let again = aya.expect_status(3);
    assert_eq!((again.seq, again.duplicate), (3, 1));
    // Each is taken when it has waited as long as it was told to.
    let mut nonce = 6;
    until("all are stored", || {
        aya.send_bytes(&message(nonce));
        match aya.next() {
            Frame::Status(status) => {
                assert_eq!((status.nonce, status.seq), (nonce, nonce));
                nonce += 1;
            }
            Frame::Error(error) => assert_eq!(error.code, Code::RateLimited as u16),
            other => panic!("{other:?}"),
        }
        nonce > 8
    });
    // Others have rates of their own.
    let mut bo = Peer::guest(&server);
    bo.say(To::default(), "hello");
}

#[test]
fn a_flood_over_the_rate_is_read_no_faster_than_it_may_be_refused() {
    const RATE: usize = 1000;
    const FLOOD: usize = 6 * RATE;
    let server = Server::with(&[("limits.messages_per_sec", "1000")]);
    let mut aya = Peer::guest(&server);
    let mut sender = aya.sender();
    let begun = Instant::now();
    let flood = bytes_of(Text { text: "flood" }).repeat(FLOOD);
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &flood));
    let (mut stored, mut refused) = (0, 0);
    while stored + refused < FLOOD {
        match aya.next() {
            Frame::Status(_) => stored += 1,
            Frame::Error(error) => {
                assert_eq!(error.code, Code::RateLimited as u16);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    sending.join().unwrap().unwrap();
    let took = begun.elapsed().as_secs_f64();
    // A second's worth of either at once, and then as many a second.
    assert!(took >= (FLOOD - 2 * RATE) as f64 / (2 * RATE) as f64 * 0.9, "all were looked at in {took} s");
    let allowed = RATE as f64 * (1.0 + took);
    assert!(stored >= RATE && stored as f64 <= allowed + 1.0, "{stored} were stored in {took} s");
    aya.ping();
}

#[test]
fn what_is_skipped_counts_against_the_rate_too() {
    let server = Server::with(&[("limits.messages_per_sec", "10")]);
    let mut aya = Peer::guest(&server);
    // 1 MiB of an unknown type: 16 messages' worth, which is more than a second's.
    let begun = Instant::now();
    let frame = raw(0x6F, &[0; 1 << 20]);
    let mut sender = aya.sender();
    let sending =
        std::thread::spawn(move || (0..3).try_for_each(|_| std::io::Write::write_all(&mut sender, &frame)));
    for _ in 0..3 {
        aya.expect_error(Code::Unsupported, 0, 0x6F);
    }
    sending.join().unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(900), "it took {:?}", begun.elapsed());
    aya.ping();
}

#[test]
fn a_server_that_ran_out_of_descriptors_serves_again_when_there_are_some() {
    let server = Server::with_descriptors(160, &[("limits.wait_secs", "60"), ("timing.hello_secs", "60")]);
    let mut aya = Peer::guest(&server);
    let crowd: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    server.logs("no connection can be accepted");
    // Who is there is served meanwhile.
    for _ in 0..20 {
        aya.say(To::default(), "still there");
    }
    aya.ping();
    drop(crowd);
    Peer::guest(&server).ping();
    aya.ping();
}

#[test]
fn whoever_finds_no_place_is_told_so_or_closed_and_takes_no_descriptor() {
    let server = Server::with(&[("limits.connections", "1"), ("limits.wait_secs", "0")]);
    let mut aya = Peer::guest(&server);
    let mut crowd: Vec<TcpStream> =
        (0..1500).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    for socket in &mut crowd {
        let mut said = Vec::new();
        // It may have been closed with what nobody read.
        let _ = socket.shutdown(Shutdown::Write);
        let _ = socket.read_to_end(&mut said);
        assert!(said.is_empty() || said[0] == kind::ERROR);
    }
    aya.ping();
}
