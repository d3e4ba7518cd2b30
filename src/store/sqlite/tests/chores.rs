//! What becomes of guests, names, tokens and deleted users.

use super::*;
use crate::store::Farewell;

const DAY: Micros = 24 * HOUR;

fn count(rig: &Rig, sql: &str) -> i64 {
    rig.other().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_guest_who_is_over_is_retired_and_the_home_with_it() {
    let mut rig = Rig::new();
    let (bob, kay) = (rig.login(Who::Guest { name: Some("bob".into()) }, "", 1).unwrap(), rig.guest("kay"));
    rig.say(bob.user, Target::Current(None), "hi");
    rig.say(bob.user, all(), "hi all");
    rig.depart(bob.user);
    rig.pass(DAY);
    assert!(rig.store.due_chores(rig.time()).unwrap().is_none(), "within a day");
    rig.pass(SECOND);
    rig.online.lock().unwrap().insert(kay);
    assert_eq!(rig.chores().ended, [(bob.user, Farewell::Kicked)]);
    assert_eq!(rig.login(rig.token(1), "", 9).unwrap_err().code, Code::Unauthenticated);
    assert!(rig.all_of(bob.home).is_empty());
    let query = crate::store::HistoryQuery { limit: 9, max_bytes: 1 << 20, ..Default::default() };
    assert_eq!(rig.store.history(bob.user, bob.home, query).unwrap_err().code, Code::NotFound);
    let said = rig.all_of(ChatId::ALL);
    assert_eq!((&*said[0].user_name, said.len()), ("bob", 1), "what was said to others stays, with its name");
    assert_eq!(code(rig.send(said_to(bob.user, bob.home))), Code::NotFound, "nothing is remembered of it");
    rig.login(rig.token(token_of("kay")), "phone", 9).expect("who is connected is not over");
}

fn said_to(user: UserId, chat: ChatId) -> Append {
    said(user, Target::Chat(chat), 0, "late")
}

#[test]
fn the_name_of_a_guest_is_free_thirty_days_behind_the_end_of_its_token() {
    let mut rig = Rig::new();
    let bob = rig.guest("bob");
    rig.depart(bob);
    rig.pass(DAY + 30 * DAY);
    rig.chores();
    let wish = || Who::Guest { name: Some("Bob".into()) };
    assert_eq!(rig.login(wish(), "", 9).unwrap_err().code, Code::Conflict);
    let kay = rig.user("kay", "hash");
    assert_eq!(code(rig.send(said(kay, to("bob"), 0, "hi"))), Code::NotFound);
    rig.pass(SECOND);
    rig.chores();
    assert!(rig.login(wish(), "", 9).unwrap().user > bob, "the id is not given again");
}

#[test]
fn whoever_came_back_while_nothing_could_be_noted_is_not_retired() {
    let mut rig = Rig::new();
    let bob = rig.guest("bob");
    rig.depart(bob);
    rig.online.lock().unwrap().insert(bob);
    rig.pass(2 * DAY);
    assert!(rig.chores().ended.is_empty());
    rig.login(rig.token(token_of("bob")), "phone", 9).expect("still known");
}

#[test]
fn a_token_that_was_not_used_for_thirty_days_is_forgotten() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    rig.pass(31 * DAY);
    assert!(rig.store.due_chores(rig.time()).unwrap().is_none());
    rig.ask(Op::Chores { upto: u64::MAX, now: rig.time() });
    assert_eq!(count(&rig, "SELECT count(*) FROM tokens"), 1, "who is connected uses it");
    rig.depart(ann);
    rig.chores();
    assert_eq!(count(&rig, "SELECT count(*) FROM tokens"), 0);
    assert_eq!(rig.store.account("ann").unwrap().unwrap().user, ann, "the account stays");
}

#[test]
fn a_token_counts_from_the_end_of_a_long_connection() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    rig.pass(40 * DAY);
    assert!(matches!(rig.ask(Op::Used { user: ann, token: [token_of("ann"); 32] }), Committed::Used));
    rig.depart(ann);
    rig.pass(30 * DAY);
    rig.chores();
    rig.login(rig.token(token_of("ann")), "phone", 9).expect("thirty days behind its last use");
}

#[test]
fn a_deleted_user_leaves_all_rooms_and_keeps_the_name() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.user("Ann", "hash"), rig.user("bob", "hash"));
    let tea = rig.join(ann, "tea", None).chat;
    rig.join(bob, "tea", None);
    rig.say(ann, room("tea"), "hi");
    opened(rig.send(said(ann, to("bob"), 0, "hi bob")));
    let home = rig.say(ann, Target::Current(None), "to myself").chat;
    let (done, chores) = rig.command(|admin| admin.delete("ann"));
    done.unwrap();
    assert_eq!(chores.ended, [(ann, Farewell::Kicked)]);
    let left: Vec<_> = chores.left.iter().map(|left| (left.user, &*left.user_name, left.chat)).collect();
    assert_eq!(left, [(ann, "Ann", tea)]);
    let kept = rig.all_of(tea);
    assert_eq!((kept.len(), &*kept[0].user_name), (1, "Ann"), "what was said to others stays");
    assert!(rig.all_of(home).is_empty());
    assert_eq!(rig.login(rig.token(token_of("Ann")), "phone", 9).unwrap_err().code, Code::Unauthenticated);
    assert_eq!(
        rig.login(Who::Password { user: ann, hash: "hash".into() }, "", 9).unwrap_err().code,
        Code::Unauthenticated
    );
    assert_eq!(code(rig.send(said(bob, to("ann"), 0, "hi"))), Code::NotFound);
    let refusal = rig.login(Who::Guest { name: Some("ann".into()) }, "", 9).unwrap_err();
    assert_eq!(refusal.code, Code::Conflict, "a registered name is never given again");
    assert!(matches!(rig.admin().sessions("ann"), Err(AdminError::NoUser(_))));
}

#[test]
fn a_large_home_is_deleted_in_many_transactions() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    for _ in 0..4001 {
        rig.store.submit(Op::Append(said(ann, Target::Current(None), 0, "hi")));
    }
    (0..4001).for_each(|_| drop(stored(rig.outcome())));
    let of_home = "SELECT count(*) FROM messages";
    let mut admin = rig.admin();
    let command = std::thread::spawn(move || admin.delete("ann"));
    while rig.store.due_chores(rig.time()).unwrap().is_none() {
        std::thread::yield_now();
    }
    let mut left = vec![count(&rig, of_home)];
    while rig.store.due_chores(rig.time()).unwrap().is_some() {
        rig.ask(Op::Chores { upto: u64::MAX, now: rig.time() });
        left.push(count(&rig, of_home));
    }
    assert_eq!(left, [4001, 2001, 1, 0]);
    command.join().unwrap().unwrap();
    assert_eq!(count(&rig, "SELECT count(*) FROM chats WHERE kind = 0"), 0);
}

#[test]
fn a_command_does_not_wait_for_a_large_home_to_be_deleted() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.user("ann", "hash"), rig.user("bob", "hash"));
    for _ in 0..2001 {
        rig.store.submit(Op::Append(said(ann, Target::Current(None), 0, "hi")));
    }
    (0..2001).for_each(|_| drop(stored(rig.outcome())));
    rig.other().execute("UPDATE users SET deleted_at = 1 WHERE id = ?1", [ann.0.cast_signed()]).unwrap();
    for user in [ann, bob] {
        rig.other().execute("INSERT INTO orders (user) VALUES (?1)", [user.0.cast_signed()]).unwrap();
    }
    match rig.ask(Op::Chores { upto: u64::MAX, now: rig.time() }) {
        Committed::Chores(chores) => assert!(chores.ended.iter().any(|(user, _)| *user == bob), "{chores:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(count(&rig, "SELECT user FROM orders"), ann.0.cast_signed(), "only that is left");
    rig.chores();
}

#[test]
fn an_order_waits_until_its_bans_were_seen() {
    let mut rig = Rig::new();
    let order = "INSERT INTO orders (user) VALUES (NULL)";
    rig.other().execute(order, []).unwrap();
    let due = rig.store.due_chores(rig.time()).unwrap().unwrap();
    rig.other().execute(order, []).unwrap();
    rig.ask(Op::Chores { upto: due.upto, now: rig.time() });
    assert_eq!(count(&rig, "SELECT count(*) FROM orders"), 1);
    assert!(rig.store.due_chores(rig.time()).unwrap().unwrap().upto > due.upto);
}

#[test]
fn many_guests_are_retired_a_part_at_a_time() {
    let mut rig = Rig::new();
    rig.other()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
             INSERT INTO users (kind, name, name_key, created_at, last_seen)
             SELECT 0, 'g' || i, 'g' || i, 0, 5 FROM n",
        )
        .unwrap();
    let retired = "SELECT count(*) FROM users WHERE deleted_at IS NOT NULL";
    rig.ask(Op::Chores { upto: u64::MAX, now: rig.time() });
    assert_eq!(count(&rig, retired), 64);
    rig.chores();
    assert_eq!(count(&rig, retired), 600);
    assert_eq!(count(&rig, "SELECT count(*) FROM users WHERE name_key LIKE 'g%'"), 0);
}
