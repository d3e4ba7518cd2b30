//! Accounts: registering, passwords, tokens, failures, and the operator's commands (sections 5.2 to 5.4 of
//! docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::ErrorKind;
use support::*;

const PASSWORD: u8 = 1;
const TOKEN: u8 = 2;
const REGISTER: u8 = 3;

fn with<'a>(auth: u8, user: &'a str, secret: &'a str) -> Hello<'a> {
    Peer::filled(Hello { auth, user, secret, device: "phone", ..Hello::default() })
}

#[track_caller]
fn refused(server: &Server, hello: Hello<'_>, code: Code) -> Error<'static> {
    let mut peer = Peer::connect(server);
    peer.send(hello);
    peer.expect_fatal(code, kind::HELLO)
}

#[test]
fn who_registers_comes_back_with_the_password_or_the_token() {
    let mut server = Server::start();
    let me = Peer::hello(&server, with(REGISTER, "Aya", "sesame")).me().clone();
    assert_eq!(me.user_name, "Aya");
    server.restart();
    let by_password = Peer::hello(&server, with(PASSWORD, "ａｙａ", "sesame")).me().clone();
    assert_eq!((by_password.user, by_password.home, by_password.user_name), (me.user, me.home, "Aya"));
    assert!(!by_password.token.is_empty() && by_password.token != me.token);
    // The earlier one is as good as before: the answer that has a new one may be lost.
    for token in [me.token, by_password.token] {
        let by_token = Peer::hello(&server, with(TOKEN, "", token));
        assert_eq!((by_token.me().user, by_token.me().token), (me.user, ""));
    }
    refused(&server, Hello { device: "laptop", ..with(TOKEN, "", me.token) }, Code::Unauthenticated);
}

#[test]
fn to_register_again_with_the_right_password_is_a_login() {
    let server = Server::start();
    let me = Peer::hello(&server, with(REGISTER, "aya", "sesame")).me().clone();
    assert_eq!(Peer::hello(&server, with(REGISTER, "Aya", "sesame")).me().user, me.user);
    refused(&server, with(REGISTER, "aya", "other"), Code::Conflict);
    let _guest = Peer::named(&server, "bo");
    for name in ["bo", "all", "guest7", "a  b", ""] {
        refused(&server, with(REGISTER, name, "sesame"), Code::Conflict);
    }
    refused(&server, with(REGISTER, "cleo", ""), Code::Unauthenticated);
    refused(&server, Peer::filled(Hello { user: "AYA", ..Hello::default() }), Code::Conflict);
}

#[test]
fn unknown_users_and_wrong_passwords_look_the_same() {
    let server = Server::start();
    Peer::hello(&server, with(REGISTER, "aya", "sesame"));
    let _guest = Peer::named(&server, "bo");
    let answers = [("aya", "other"), ("nobody", "sesame"), ("bo", "sesame"), ("", "x"), ("a  b", "x")]
        .map(|(user, secret)| refused(&server, with(PASSWORD, user, secret), Code::Unauthenticated));
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0]);
    }
}

#[test]
fn where_policy_says_so_nobody_registers() {
    let server = Server::with(&[("policy.registration", "false")]);
    server.operate("user add aya", "sesame\n");
    Peer::hello(&server, with(REGISTER, "aya", "sesame"));
    let wrong = refused(&server, with(REGISTER, "aya", "other"), Code::Unauthenticated);
    assert_eq!(refused(&server, with(REGISTER, "bo", "other"), Code::Unauthenticated), wrong);
}

#[test]
fn ten_failures_bring_a_wait_but_not_for_a_right_token() {
    let server = Server::start();
    let me = Peer::hello(&server, with(REGISTER, "aya", "sesame")).me().clone();
    for n in 0..10 {
        let hello = if n % 2 == 0 { with(PASSWORD, "aya", "other") } else { with(TOKEN, "", "other") };
        refused(&server, hello, Code::Unauthenticated);
    }
    for hello in [
        with(PASSWORD, "aya", "sesame"),
        with(REGISTER, "bo", "sesame"),
        with(PASSWORD, "nobody", "other"),
        with(TOKEN, "", "other"),
    ] {
        let error = refused(&server, hello, Code::RateLimited);
        assert!((1..=600_001).contains(&error.retry_ms), "{error:?}");
    }
    Peer::hello(&server, with(TOKEN, "", me.token)).ping();
    Peer::guest(&server).ping();
}

#[test]
fn who_registers_holds_nobody_up() {
    let server = Server::start();
    let mut guest = Peer::guest(&server);
    let names: Vec<String> = (0..24).map(|n| format!("user {n}")).collect();
    let mut registering: Vec<Peer> = names
        .iter()
        .map(|name| {
            let mut peer = Peer::connect(&server);
            peer.send(with(REGISTER, name, "sesame"));
            peer
        })
        .collect();
    let waits = |peer: &Peer| {
        let socket = peer.sender();
        socket.set_nonblocking(true).unwrap();
        let answer = socket.peek(&mut [0]);
        socket.set_nonblocking(false).unwrap();
        answer.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    };
    let mut pings = 0;
    while registering.iter().any(waits) {
        guest.ping();
        pings += 1;
    }
    // If a PING had to wait for a password, there would be one of them for each.
    assert!(pings > 4 * names.len(), "{pings}");
    for (peer, name) in registering.iter_mut().zip(&names) {
        assert_eq!(peer.expect_welcome().user_name, name);
    }
}

#[test]
fn the_devices_of_a_user_are_one_user() {
    let server = Server::start();
    let mut phone = Peer::hello(&server, with(REGISTER, "aya", "sesame"));
    let mut laptop = Peer::hello(&server, Hello { device: "laptop", ..with(PASSWORD, "aya", "sesame") });
    phone.say(To { nonce: 7, ..To::default() }, "a note");
    let message = laptop.next_message();
    assert_eq!((message.text(), message.from.nonce), ("a note", 7));
}

#[test]
fn the_operator_adds_and_lists_users() {
    let server = Server::start();
    assert!(server.operate("user add Aya", "sesame\n").contains("Aya"));
    Peer::hello(&server, with(PASSWORD, "aya", "sesame")).ping();
    for (arguments, input) in
        [("user add aya", "x\n"), ("user add all", "x\n"), ("user add bo", "\n"), ("user add bo", "")]
    {
        let (succeeded, said) = server.operator(arguments, input);
        assert!(!succeeded && !said.is_empty(), "{arguments}: {said}");
    }
    let _guest = Peer::named(&server, "gus");
    let list = server.operate("user list", "");
    assert!(list.contains("Aya") && !list.contains("gus"), "{list}");
    let all = server.operate("user list --guests", "");
    assert!(all.lines().any(|line| line.contains("gus") && line.contains("connected")), "{all}");
}

#[test]
fn who_is_disabled_is_out_at_once_and_in_when_enabled() {
    let server = Server::start();
    let mut aya = Peer::hello(&server, with(REGISTER, "aya", "sesame"));
    let mut bo = Peer::hello(&server, with(REGISTER, "bo", "sesame"));
    server.operate("user disable aya", "");
    aya.expect_bye(3);
    bo.ping();
    let wrong = refused(&server, with(PASSWORD, "aya", "other"), Code::Unauthenticated);
    assert_eq!(refused(&server, with(PASSWORD, "aya", "sesame"), Code::Unauthenticated), wrong);
    refused(&server, with(TOKEN, "", aya.me().token), Code::Unauthenticated);
    assert!(server.operate("user list", "").contains("disabled"));
    server.operate("user enable aya", "");
    assert_eq!(Peer::hello(&server, with(PASSWORD, "aya", "sesame")).me().user, aya.me().user);
}

#[test]
fn a_new_password_ends_all_sessions() {
    let server = Server::start();
    let mut aya = Peer::hello(&server, with(REGISTER, "aya", "sesame"));
    server.operate("user password aya", "mellon\n");
    aya.expect_bye(3);
    refused(&server, with(PASSWORD, "aya", "sesame"), Code::Unauthenticated);
    refused(&server, with(TOKEN, "", aya.me().token), Code::Unauthenticated);
    // What ended the others does not end who comes now.
    let mut back = Peer::hello(&server, with(PASSWORD, "aya", "mellon"));
    assert!(server.operate("user sessions aya", "").contains("\"phone\""));
    back.ping();
    server.operate("user sessions aya --end", "");
    back.expect_bye(3);
    refused(&server, with(TOKEN, "", back.me().token), Code::Unauthenticated);
}

#[test]
fn who_is_deleted_leaves_the_messages_and_the_name() {
    let mut server = Server::start();
    let mut aya = Peer::hello(&server, with(REGISTER, "Aya", "sesame")).without_members();
    let mut bo = Peer::guest(&server);
    let room = bo.join("harbour").chat;
    aya.join("harbour");
    bo.expect::<Member<'_>>();
    aya.say(To::default(), "I was here");
    bo.next_message();
    server.operate("user delete aya", "");
    aya.expect_bye(3);
    let left: Member<'_> = bo.expect();
    assert_eq!((left.chat, left.change, left.user_name), (room, 2, "Aya"));
    server.restart();
    let mut bo = bo.again(&server);
    bo.join("harbour");
    let (_, messages) = bo.history(History { chat: room, ..History::default() });
    assert_eq!((messages[0].text(), messages[0].from.user_name), ("I was here", "Aya"));
    refused(&server, with(PASSWORD, "aya", "sesame"), Code::Unauthenticated);
    refused(&server, with(REGISTER, "aya", "sesame"), Code::Conflict);
    let (succeeded, said) = server.operator("user delete aya", "");
    assert!(!succeeded && said.contains("no user"), "{said}");
}

#[test]
fn commands_work_where_no_server_runs() {
    let mut server = Server::start();
    let token = Peer::hello(&server, with(REGISTER, "aya", "sesame")).me().token;
    server.terminate();
    server.operate("user disable aya", "");
    server.operate("user add bo", "sesame");
    server.start_again();
    refused(&server, with(TOKEN, "", token), Code::Unauthenticated);
    Peer::hello(&server, with(PASSWORD, "bo", "sesame")).ping();
}

#[test]
fn a_guest_who_is_over_is_swept_while_the_server_runs() {
    let server = Server::start();
    let mut bo = Peer::named(&server, "bo");
    bo.say(To::default(), "to myself");
    let me = bo.me().clone();
    bo.bye();
    let db = rusqlite::Connection::open(server.data().join("chatwire.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    let id = me.user.cast_signed();
    until("the guest has left, a week ago", || {
        let week = 7 * 24 * 3_600_000_000_i64;
        let sql = "UPDATE users SET last_seen = last_seen - ?2 WHERE id = ?1 AND last_seen IS NOT NULL";
        db.execute(sql, [id, week]).unwrap() == 1
    });
    until("its home is gone", || {
        !db.prepare("SELECT 1 FROM chats WHERE id = ?1").unwrap().exists([me.home.cast_signed()]).unwrap()
    });
    refused(
        &server,
        Peer::filled(Hello { auth: TOKEN, secret: me.token, ..Hello::default() }),
        Code::Unauthenticated,
    );
    // The name is kept for a while.
    refused(&server, Peer::filled(Hello { user: "bo", ..Hello::default() }), Code::Conflict);
}
