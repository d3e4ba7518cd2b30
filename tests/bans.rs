//! Bans of users, addresses and networks, on a server that is running (sections 5.2 and 8 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

fn aya(auth: u8, secret: &str) -> Hello<'_> {
    Peer::filled(Hello { auth, user: "aya", secret, ..Hello::default() })
}

#[track_caller]
fn refused(server: &Server, hello: Hello<'_>, code: Code) -> Error<'static> {
    let mut peer = Peer::connect(server);
    peer.send(hello);
    peer.expect_fatal(code, kind::HELLO)
}

#[test]
fn a_user_who_is_banned_is_out_until_the_ban_is_removed() {
    let server = Server::start();
    let mut peer = Peer::hello(&server, aya(3, "sesame"));
    let mut other = Peer::guest(&server);
    let token = peer.me().token;
    server.operate("ban add Aya --reason noise", "");
    assert!(peer.expect_fatal(Code::Banned, NOTHING).said.text.contains("noise"));
    assert_eq!(refused(&server, aya(1, "sesame"), Code::Banned).retry_ms, 0, "for ever");
    refused(&server, aya(2, token), Code::Banned);
    refused(&server, aya(3, "sesame"), Code::Banned);
    // Only whoever is this user learns of it.
    refused(&server, aya(1, "other"), Code::Unauthenticated);
    other.ping();
    server.operate("ban remove aya", "");
    Peer::hello(&server, aya(2, token)).ping();
}

#[test]
fn an_address_that_is_banned_is_told_so_before_anything_else() {
    let mut server = Server::start();
    let (mut welcome, mut silent) = (Peer::guest(&server), Peer::connect(&server));
    silent.send_bytes(&header(kind::HELLO, 9));
    server.operate("ban add 127.0.0.1", "");
    welcome.expect_fatal(Code::Banned, NOTHING);
    silent.expect_fatal(Code::Banned, NOTHING);
    Peer::connect(&server).expect_fatal(Code::Banned, NOTHING);
    server.restart();
    Peer::connect(&server).expect_fatal(Code::Banned, NOTHING);
    server.operate("ban remove 127.0.0.1", "");
    Peer::guest(&server).ping();
}

#[test]
fn a_network_is_banned_with_all_that_is_in_it_for_a_time() {
    let server = Server::start();
    let mut here = Peer::guest(&server);
    server.operate("ban add 10.0.0.0/8", "");
    server.operate("ban add 2001:db8::/32", "");
    here.ping();
    server.operate("ban add 127.1.2.3/8 --for 2h", "");
    let error = here.expect_fatal(Code::Banned, NOTHING);
    assert!((7_100_000..=7_200_001).contains(&error.retry_ms), "{error:?}");
    let list = server.operate("ban list", "");
    for network in ["10.0.0.0/8", "2001:db8::/32", "127.0.0.0/8"] {
        assert!(list.contains(network), "{list}");
    }
    server.operate("ban remove 127.0.0.0/8", "");
    Peer::guest(&server).ping();
}

#[test]
fn a_ban_of_nobody_is_an_error() {
    let server = Server::start();
    for arguments in ["ban add nobody", "ban remove nobody", "ban remove 10.0.0.1", "ban add assistant"] {
        let (succeeded, said) = server.operator(arguments, "");
        assert!(!succeeded && said.contains("no "), "{arguments}: {said}");
    }
}
