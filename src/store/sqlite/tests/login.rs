//! Guests, tokens, and the life of both.

use super::*;
use crate::store::{ChatHead, ChatKind, FirstRoom};

fn guest() -> Who {
    Who::Guest { name: None }
}

#[test]
fn guests_get_ids_in_order_names_of_them_and_a_home() {
    let mut rig = Rig::new();
    let first = rig.login(guest(), "phone", 1).unwrap();
    let second = rig.login(guest(), "phone", 2).unwrap();
    assert_eq!(second.user.0, first.user.0 + 1);
    assert_eq!(&*second.name, format!("guest{}", second.user));
    assert!(second.token_given);
    let chats = [
        ChatHead { chat: ChatId::ALL, kind: ChatKind::Room, last_seq: 0 },
        ChatHead { chat: second.home, kind: ChatKind::Home, last_seq: 0 },
    ];
    assert_eq!(second.chats, chats);
    assert_eq!(rig.say(second.user, Target::Current(None), "hi").chat, second.home);
}

#[test]
fn a_name_is_taken_however_it_is_spelled() {
    let mut rig = Rig::new();
    rig.guest("Straße");
    let refusal = rig.login(Who::Guest { name: Some("STRASSE".into()) }, "phone", 2).unwrap_err();
    assert_eq!(refusal.code, Code::Conflict);
}

#[test]
fn a_token_brings_the_same_user_back_with_all_chats() {
    let mut rig = Rig::new();
    let ann = rig.login(guest(), "phone", 1).unwrap();
    rig.guest("bob");
    let direct = opened(rig.send(said(ann.user, to("bob"), 0, "hi"))).0.chat;
    let tea = rig.join(ann.user, "tea", None).chat;
    rig.say(ann.user, room("tea"), "hi");
    let back = rig.login(rig.token(1), "phone", 9).unwrap();
    assert_eq!((back.user, &back.name, back.home, back.token_given), (ann.user, &ann.name, ann.home, false));
    let heads: Vec<_> = back.chats.iter().map(|head| (head.chat, head.last_seq)).collect();
    assert_eq!(heads, [(ChatId::ALL, 0), (ann.home, 0), (direct, 1), (tea, 1)]);
    assert_eq!(rig.login(rig.token(9), "phone", 9).unwrap_err().code, Code::Unauthenticated);
}

#[test]
fn every_bad_token_is_refused_with_the_same_words() {
    let mut rig = Rig::new();
    let ann = rig.login(guest(), "phone", 1).unwrap();
    let unknown = rig.login(rig.token(5), "phone", 2).unwrap_err();
    let other_device = rig.login(rig.token(1), "laptop", 2).unwrap_err();
    rig.depart(ann.user);
    rig.pass(24 * HOUR + SECOND);
    let expired = rig.login(rig.token(1), "phone", 2).unwrap_err();
    assert_eq!(unknown.code, Code::Unauthenticated);
    assert_eq!((&unknown, &unknown), (&other_device, &expired));
}

#[test]
fn a_guest_may_come_back_for_a_day_after_the_last_connection() {
    let mut rig = Rig::new();
    let ann = rig.login(guest(), "phone", 1).unwrap();
    rig.pass(40 * 24 * HOUR);
    rig.login(rig.token(1), "phone", 2).expect("who is connected stays known");
    rig.depart(ann.user);
    rig.pass(24 * HOUR);
    rig.login(rig.token(1), "phone", 2).expect("within a day");
    let mut rig = rig.reopen();
    rig.pass(24 * HOUR);
    rig.login(rig.token(1), "phone", 2).expect("all connections ended at the restart at the latest");
}

#[test]
fn a_registered_users_token_lasts_thirty_days_from_its_last_use() {
    let mut rig = Rig::new();
    let who = Who::Register { name: "ann".into(), hash: "hash".into() };
    let ann = rig.login(who, "phone", 1).unwrap().user;
    for days in [30, 30, 31] {
        rig.depart(ann);
        rig.pass(days * 24 * HOUR);
        let good = rig.login(rig.token(1), "phone", 2).is_ok();
        assert_eq!(good, days == 30);
    }
}

#[test]
fn a_missing_home_is_made_at_the_login() {
    let mut rig = Rig::new();
    let ann = rig.login(guest(), "phone", 1).unwrap();
    let rig = rig.reopen_unstarted();
    rig.other().execute("DELETE FROM chats WHERE id = ?1", [ann.home.0.cast_signed()]).unwrap();
    rig.start();
    let mut rig = rig;
    let back = rig.login(rig.token(1), "phone", 2).unwrap();
    assert!(back.home > ann.home);
    assert!(back.chats.iter().any(|head| head.chat == back.home));
}

#[test]
fn a_room_that_comes_with_a_login_is_joined_with_it_or_not_at_all() {
    let mut rig = Rig::new();
    let bring = |rig: &mut Rig, who| {
        let first_room = Some(FirstRoom { req: REQ, room: "tea".into() });
        let login = Login { conn: CONN, who, device: "phone".into(), new_token: [1; 32], first_room };
        let login = rig.ask(Op::Login(login));
        (login, rig.next())
    };
    let (login, joined) = bring(&mut rig, guest());
    let (Committed::Login(CONN, Ok(ann)), Committed::Join(CONN, REQ, Ok(joined))) = (login, joined) else {
        panic!("refused")
    };
    assert_eq!(
        (joined.user, &joined.user_name, joined.created, joined.is_new),
        (ann.user, &ann.name, true, true)
    );
    assert_eq!(rig.say(ann.user, room("tea"), "hi").chat, joined.chat);
    let nobody = rig.token(9);
    let outcome = bring(&mut rig, nobody);
    assert!(
        matches!(outcome, (Committed::Login(_, Err(_)), Committed::Join(CONN, REQ, Err(_)))),
        "{outcome:?}"
    );
}

#[test]
fn a_room_that_comes_with_a_login_counts_as_any_other() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    let first = rig.join(ann, "first", None).chat;
    let rig = rig.reopen_unstarted();
    let many = "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 998)
                INSERT INTO chats (kind, name, name_key, created_at) SELECT 1, 'r' || n, 'r' || n, 0 FROM n";
    let other = rig.other();
    other.execute_batch(many).unwrap();
    let enter =
        "INSERT INTO members (chat, user, joined_at) SELECT id, ?1, 0 FROM chats WHERE name LIKE 'r%'";
    assert_eq!(other.execute(enter, [ann.0.cast_signed()]).unwrap(), 998);
    rig.start();
    let mut rig = rig;
    let mut bring = |room: &str| {
        let first_room = Some(FirstRoom { req: REQ, room: room.into() });
        let (who, device) = (rig.token(token_of("ann")), "phone".into());
        rig.store.submit(Op::Login(Login { conn: CONN, who, device, new_token: [0; 32], first_room }));
        assert!(matches!(rig.next(), Committed::Login(_, Ok(_))));
        match rig.next() {
            Committed::Join(CONN, REQ, done) => done,
            other => panic!("not a join: {other:?}"),
        }
    };
    let last = bring("last").unwrap();
    assert!(last.is_new && last.created);
    assert_eq!(bring("one more").unwrap_err().code, Code::TooLarge);
    let again = bring("first").unwrap();
    assert_eq!((again.chat, again.is_new, again.created), (first, false, false), "this one it is in already");
}

#[test]
fn who_logs_in_while_messages_come_is_answered_though_nothing_comes_behind() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for token in 1..=20 {
        rig.say(ann, all(), "is anybody there?");
        // The first at once, the second a little later.
        for token in [token, 100 + token] {
            rig.login(guest(), "phone", token).unwrap();
        }
    }
}

#[test]
fn who_has_enough_connections_gets_no_other_and_loses_no_token() {
    let mut rig = Rig::new();
    let who = Who::Register { name: "ann".into(), hash: "hash".into() };
    let ann = rig.login(who, "phone", 1).unwrap().user;
    let mut rig = rig.reopen_unstarted();
    rig.online.lock().unwrap().insert(ann);
    let by_password = || Who::Password { user: ann, hash: "hash".into() };
    let ways = [rig.token(1), by_password(), by_password(), rig.token(1)];
    for (who, token) in ways.into_iter().zip(2..) {
        let login =
            Login { conn: CONN, who, device: "phone".into(), new_token: [token; 32], first_room: None };
        rig.store.submit(Op::Login(login));
    }
    rig.start();
    let outcomes: Vec<_> = (0..4).map(|_| rig.next()).collect();
    let are_in: Vec<_> = outcomes.iter().map(|came| matches!(came, Committed::Login(_, Ok(_)))).collect();
    assert_eq!(are_in, [true, true, false, false], "{outcomes:?}");
    let tokens = "SELECT count(*) FROM tokens";
    assert_eq!(
        rig.other().query_row(tokens, [], |row| row.get(0)),
        Ok(2),
        "of whom nobody has one there is none"
    );
}
