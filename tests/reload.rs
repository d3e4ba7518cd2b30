//! SIGHUP: settings that are read again while the server runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;

const BEGIN: &str = "assistant.kind = 'none'\n";

fn say(peer: &mut Peer) -> Frame<'static> {
    peer.text("hello");
    peer.next()
}

#[test]
fn what_is_new_holds_for_who_comes_and_for_who_is_there() {
    let server = Server::with_file(BEGIN);
    let mut there = Peer::guest(&server);
    there.say(To::default(), "before");
    // It may be one of these minutes, and not both.
    let refusals = ["00:00-00:01", "12:00-12:01"].map(|hours| {
        server.write_settings(&format!(
            "{BEGIN}[policy]\nguests = false\nhours = '{hours}'\n[limits]\nconnections_per_user = 1"
        ));
        server.reload("reloaded: policy.hours");
        matches!(say(&mut there), Frame::Error(error) if error.code == Code::OutsideHours as u16)
    });
    assert!(refusals.contains(&true));
    let mut new = Peer::connect(&server);
    new.send_hello(Hello::default());
    new.expect_fatal(Code::Unauthenticated, kind::HELLO);
    let mut second = Peer::connect(&server);
    second.send_hello(Hello { auth: 2, secret: there.me().token, ..Hello::default() });
    second.expect_fatal(Code::Busy, kind::HELLO);

    server.write_settings(BEGIN);
    server.reload("policy.hours, policy.guests, limits.connections_per_user changed");
    until("it is as before", || matches!(say(&mut there), Frame::Status(_)));
    Peer::guest(&server).ping();
}

#[test]
fn limits_of_connections_hold_at_once_and_nobody_loses_a_place() {
    let server = Server::with_file(&format!("{BEGIN}limits.wait_secs = 20"));
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::guest(&server)).collect();
    server.write_settings(&format!("{BEGIN}limits.connections = 1\nlimits.wait_secs = 0"));
    server.reload("limits.connections, limits.wait_secs changed");
    peers.iter_mut().for_each(Peer::ping);
    Peer::connect(&server).expect_busy();
    server.write_settings(&format!("{BEGIN}limits.connections = 3\nlimits.wait_secs = 20"));
    server.reload("limits.connections, limits.wait_secs changed");
    let mut waits = Peer::connect(&server);
    waits.send_hello(Hello::default());
    server.write_settings(&format!("{BEGIN}limits.connections = 4"));
    server.reload("limits.connections, limits.wait_secs changed");
    waits.expect_welcome();
}

#[test]
fn rates_hold_at_once() {
    let server = Server::with_file(&format!("{BEGIN}limits.exempt_addresses = []"));
    let mut there = Peer::guest(&server);
    there.say(To::default(), "before");
    server.write_settings(&format!(
        "{BEGIN}[limits]\nexempt_addresses = []\nmessages_per_sec = 1\nguests_per_minute = 1"
    ));
    server.reload("limits.messages_per_sec, limits.guests_per_minute changed");
    there.send_bytes(&bytes_of(Text { text: "quick" }).repeat(20));
    let refused = (0..20)
        .any(|_| matches!(there.next(), Frame::Error(error) if error.code == Code::RateLimited as u16));
    assert!(refused);
    let mut guests = [Peer::connect(&server), Peer::connect(&server)];
    let welcome = |peer: &mut Peer| {
        peer.send_hello(Hello::default());
        matches!(peer.next(), Frame::Welcome(_))
    };
    assert_eq!(guests.each_mut().map(welcome), [false, false], "the first guest of this minute is there");
}

#[test]
fn what_needs_a_restart_waits_for_it_and_is_named() {
    let mut server = Server::with_file(BEGIN);
    let data = server.data().to_owned();
    server.write_settings("[limits]\ntext_bytes = 1000\nconnections = 7\n[assistant]\nkind = 'echo'");
    let says = server.reload("until the next start");
    assert!(says.contains("limits.text_bytes"), "{says}");
    server.logs("reloaded: limits.connections changed");
    assert_eq!(Peer::guest(&server).me().max_text, 65_536);
    server.restart();
    assert_eq!((Peer::guest(&server).me().max_text, server.data()), (1000, &*data));
}

#[test]
fn what_is_wrong_leaves_everything_as_it_was() {
    let mut server = Server::with_file(BEGIN);
    server.may_log_errors();
    for (settings, says) in [
        ("policy.guests = false\nlimits.connection = 1", "nearest known one is `limits.connections`"),
        ("policy.guests = false\nlimits.connections = 0", "out of bounds"),
        ("policy.guests = = false", "line 2"),
        ("policy.guests = false\ntls.cert = 'nowhere.pem'", "tls.key is missing"),
    ] {
        server.write_settings(&format!("{BEGIN}{settings}"));
        server.reload(says);
        Peer::guest(&server).ping();
    }
    server.write_settings(BEGIN);
    server.reload("reloaded: no setting has changed");
}
