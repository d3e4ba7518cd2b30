//! What goes wrong outside the rules: the folder, the version, the disk.

use super::*;
use crate::store::FirstRoom;
use crate::store::sqlite::{OpenError, State};

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let rig = Rig::new();
    let error = SqliteStore::open(options(rig.dir.path().to_owned(), &rig.now)).err().unwrap();
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    assert!(error.to_string().contains("another server"));
    rig.reopen();
}

#[cfg(unix)]
#[test]
fn a_new_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    let data = rig.dir.path().join("new/data");
    let _store = SqliteStore::open(options(data.clone(), &rig.now)).unwrap();
    assert_eq!(std::fs::metadata(data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn data_of_a_newer_version_is_refused() {
    let rig = Rig::new();
    rig.other().pragma_update(None, "user_version", 99).unwrap();
    let Rig { store, dir, now, .. } = rig;
    drop(store);
    let error = SqliteStore::open(options(dir.path().to_owned(), &now)).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("newer"));
}

#[test]
fn the_epoch_lasts_as_long_as_the_data() {
    let rig = Rig::new();
    let epoch = rig.store.epoch();
    assert!(epoch > 0 && epoch < 1 << 53);
    assert_eq!(rig.reopen().store.epoch(), epoch);
    assert_ne!(Rig::new().store.epoch(), epoch);
}

#[test]
fn a_store_is_started_once() {
    let rig = Rig::new();
    assert!(rig.store.start(Arc::new(rig.collector())).is_err());
}

#[test]
fn the_close_carries_out_what_was_queued() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for _ in 0..10_000 {
        rig.store.submit(Op::Append(said(ann, all(), 0, "hi")));
    }
    rig.store.close();
    for seq in 1..=10_000 {
        assert_eq!(stored(rig.outcome()).seq, seq);
    }
    let log = std::fs::metadata(rig.dir.path().join("chatwire.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "the log was brought into the database");
    assert_eq!(rig.all_of(ChatId::ALL).len(), 10_000, "what is only read can be read on");
}

/// A message that says so is stored, and its transaction cannot be committed.
fn trap_commit(rig: &Rig) {
    rig.other()
        .execute_batch("CREATE TABLE debt (user INTEGER REFERENCES users DEFERRABLE INITIALLY DEFERRED)")
        .unwrap();
    trap(rig, "commit", "INSERT INTO debt VALUES (99999)");
}

/// Makes the store fail at a message that says so.
fn trap(rig: &Rig, word: &str, deed: &str) {
    let sql = format!(
        "CREATE TRIGGER trap_{word} BEFORE INSERT ON messages WHEN NEW.body = '{word}' BEGIN {deed}; END"
    );
    rig.other().execute_batch(&sql).unwrap();
}

/// One batch: a message, `last`, and things that come after.
fn failing_batch(rig: Rig, ann: UserId, word: &str) -> Rig {
    let mut rig = rig.reopen_unstarted();
    rig.store.submit(Op::Sync(Sync { conn: CONN, user: ann, req: REQ, chat: ChatId::ALL, after: 0 }));
    rig.store.submit(Op::Append(said(ann, room("nowhere"), 0, "x")));
    rig.store.submit(Op::Append(said(ann, all(), 1, "first")));
    rig.store.submit(Op::Append(said(ann, all(), 1, "first")));
    rig.store.submit(Op::Sync(Sync { conn: CONN, user: ann, req: REQ, chat: ChatId::ALL, after: 0 }));
    let join = Join { conn: CONN, user: ann, req: REQ, room: "tea".into(), leave: None };
    rig.store.submit(Op::Join(join));
    rig.store.submit(Op::Append(said(ann, room("tea"), 2, word)));
    rig.start();
    let synced = |committed| match committed {
        Committed::Sync(_, _, done) => done.unwrap().last_seq,
        other => panic!("{other:?}"),
    };
    assert_eq!(synced(rig.next()), 0);
    assert_eq!(code(rig.outcome()), Code::NotFound, "it came before all that was undone");
    assert_eq!(code(rig.outcome()), Code::Internal);
    assert_eq!(code(rig.outcome()), Code::Internal, "the first copy was undone, so this one is none");
    assert_eq!(synced(rig.next()), 0);
    match rig.next() {
        Committed::Join(_, _, done) => assert_eq!(done.unwrap_err().code, Code::Internal),
        other => panic!("{other:?}"),
    }
    assert_eq!(code(rig.outcome()), Code::Internal);
    rig
}

/// Nothing of the failed batch is there, in the tables or in what is remembered.
fn check_nothing_stayed(rig: &mut Rig, ann: UserId) {
    assert!(rig.all_of(ChatId::ALL).is_empty());
    assert_eq!(code(rig.send(said(ann, room("tea"), 0, "x"))), Code::NotFound);
    let first = stored(rig.send(said(ann, all(), 1, "first")));
    assert_eq!(first.seq, 1, "neither the seq nor the nonce was used up");
    assert!(rig.join(ann, "tea", None).created);
    assert_eq!(rig.say(ann, room("tea"), "hi").seq, 1);
}

#[test]
fn a_commit_that_fails_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    trap_commit(&rig);
    let mut rig = failing_batch(rig, ann, "commit");
    check_nothing_stayed(&mut rig, ann);
}

#[test]
fn a_copy_is_confirmed_whatever_becomes_of_the_others_in_its_transaction() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.store.submit(Op::Append(said(ann, all(), 1, "kept")));
    assert_eq!(stored(rig.outcome()).seq, 1);
    trap_commit(&rig);
    let mut rig = rig.reopen_unstarted();
    for (nonce, text) in [(2, "lost"), (1, "kept"), (2, "lost"), (3, "commit")] {
        rig.store.submit(Op::Append(said(ann, all(), nonce, text)));
    }
    rig.start();
    assert_eq!(code(rig.outcome()), Code::Internal);
    assert!(matches!(rig.outcome(), Outcome::Duplicate { seq: 1, .. }));
    assert_eq!(code(rig.outcome()), Code::Internal, "what it is a copy of is undone");
    assert_eq!(code(rig.outcome()), Code::Internal);
}

#[test]
fn a_transaction_that_sqlite_ends_by_itself_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    trap(&rig, "rollback", "SELECT RAISE(ROLLBACK, 'as after a failed write')");
    let mut rig = failing_batch(rig, ann, "rollback");
    check_nothing_stayed(&mut rig, ann);
}

#[test]
fn a_statement_that_fails_fails_alone() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.guest("bob");
    trap(&rig, "abort", "SELECT RAISE(ABORT, 'as after a failed read')");
    let mut rig = rig.reopen_unstarted();
    for (target, word) in
        [(all(), "one"), (all(), "abort"), (to("bob"), "abort"), (to("bob"), "hi"), (all(), "two")]
    {
        rig.store.submit(Op::Append(said(ann, target, 0, word)));
    }
    rig.start();
    assert_eq!(stored(rig.outcome()).seq, 1);
    assert_eq!(code(rig.outcome()), Code::Internal);
    assert_eq!(code(rig.outcome()), Code::Internal);
    assert_eq!(opened(rig.outcome()).0.seq, 1, "the chat of the failed one was undone");
    assert_eq!(stored(rig.outcome()).seq, 2);
}

#[test]
fn what_comes_after_a_transaction_that_sqlite_ended_is_in_one_of_its_own() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    trap(&rig, "rollback", "SELECT RAISE(ROLLBACK, 'as after a failed write')");
    let mut rig = rig.reopen_unstarted();
    for word in ["first", "rollback", "after", "all"] {
        rig.store.submit(Op::Append(said(ann, all(), 0, word)));
    }
    rig.start();
    assert_eq!(code(rig.outcome()), Code::Internal);
    assert_eq!(code(rig.outcome()), Code::Internal);
    assert_eq!(stored(rig.outcome()).seq, 1);
    assert_eq!(stored(rig.outcome()).seq, 2);
    assert_eq!(rig.all_of(ChatId::ALL).iter().map(text).collect::<Vec<_>>(), ["after", "all"]);
}

#[test]
fn a_message_whose_media_fails_leaves_no_gap() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let sql = "CREATE TRIGGER trap BEFORE INSERT ON media WHEN NEW.size = 666
               BEGIN SELECT RAISE(ABORT, 'as after a failed read'); END";
    rig.other().execute_batch(sql).unwrap();
    rig.say(ann, all(), "one");
    let bad = Content::Media(Arc::new(Media { size: 666, ..picture(1) }));
    assert_eq!(code(rig.send(sent(ann, all(), 0, bad))), Code::Internal);
    assert_eq!(rig.say(ann, all(), "two").seq, 2);
    assert_eq!(seqs(&rig.all_of(ChatId::ALL)), [1, 2]);
}

/// A store with a departure of `ann`, who is in the room that is given back, in a batch that fails.
fn failed_departure(before: impl FnOnce(&Rig)) -> (Rig, UserId, ChatId) {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let tea = rig.join(ann, "tea", None).chat;
    trap_commit(&rig);
    let mut rig = rig.reopen_with(ann);
    before(&rig);
    rig.store.submit(Op::Departed { user: ann });
    rig.store.submit(Op::Append(said(ann, all(), 0, "commit")));
    rig.start();
    if let Some(Committed::Login(..)) = rig.peek() {
        assert!(matches!(rig.next(), Committed::Login(_, Err(_))));
    }
    assert!(rig.departed(ann).is_empty());
    assert_eq!(code(rig.outcome()), Code::Internal);
    (rig, ann, tea)
}

#[test]
fn a_departure_that_was_undone_is_made_up_for() {
    let (mut rig, ann, tea) = failed_departure(|_| ());
    rig.say(ann, all(), "one can write again");
    assert_eq!(rig.departed(ann), [tea]);
    let seen: Option<i64> = rig
        .other()
        .query_row("SELECT last_seen FROM users WHERE id = ?1", [ann.0.cast_signed()], |row| row.get(0))
        .unwrap();
    assert_eq!(seen, Some(DAWN));
    rig.say(ann, all(), "and that was it");
    assert_eq!(rig.sync(ann, tea, 0).unwrap_err().code, Code::NotFound);
}

#[test]
fn a_departure_that_an_undone_login_had_overtaken_is_made_up_for() {
    let (mut rig, ann, tea) = failed_departure(|rig| rig.come_back("ann"));
    rig.say(ann, all(), "one can write again");
    assert_eq!(rig.departed(ann), [tea]);
}

#[test]
fn a_departure_that_was_undone_is_forgotten_when_its_user_is_back() {
    let (mut rig, ann, tea) = failed_departure(|_| ());
    rig.online.lock().unwrap().insert(ann);
    rig.say(ann, all(), "I am back");
    assert!(rig.departed(ann).is_empty());
    rig.sync(ann, tea, 0).expect("still in the room");
}

#[test]
fn a_departure_that_the_disk_had_no_room_for_is_made_up_for() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    let rig = rig.reopen_with(ann);
    let other = fill(&rig);
    needs_room(&other, "UPDATE ON users");
    rig.start();
    let mut rig = rig;
    assert!(rig.depart(ann).is_empty());
    rig.sync(bob, ChatId::ALL, 0).unwrap();
    other.execute_batch("DROP TRIGGER needs_room").unwrap();
    rig.say(bob, all(), "one can write again");
    assert_eq!(rig.departed(ann), [tea]);
}

#[test]
fn a_full_disk_locks_nobody_out_who_has_been_here() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let rig = rig.reopen_unstarted();
    let other = fill(&rig);
    needs_room(&other, "UPDATE ON users");
    rig.start();
    let mut rig = rig;
    let back = rig.login(rig.token(token_of("ann")), "phone", 2).unwrap();
    assert_eq!((back.user, back.token_given, back.chats.len()), (ann, false, 2));
    let wrong = rig.login(rig.token(9), "phone", 2).unwrap_err();
    assert_eq!(wrong.code, Code::Unauthenticated);
    rig.say(ann, all(), "what fits is stored");
}

#[test]
fn a_login_stands_though_the_disk_has_no_room_for_what_came_with_it() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let mut rig = rig.reopen_unstarted();
    fill(&rig);
    rig.store.submit(Op::Append(said(ann, all(), 0, "small")));
    let first_room = Some(FirstRoom { req: REQ, room: "tea".into() });
    let (who, device) = (rig.token(token_of("ann")), "phone".into());
    rig.store.submit(Op::Login(Login { conn: CONN, who, device, new_token: [0; 32], first_room }));
    rig.store.submit(Op::Append(said(ann, all(), 0, &"x".repeat(60_000))));
    rig.start();
    assert_eq!(code(rig.outcome()), Code::StorageFull, "it was undone with the large one");
    match rig.next() {
        Committed::Login(_, done) => assert_eq!(done.unwrap().chats[0].last_seq, 0),
        other => panic!("{other:?}"),
    }
    match rig.next() {
        Committed::Join(CONN, REQ, Err(refusal)) => assert_eq!(refusal.code, Code::StorageFull),
        other => panic!("not a refused join: {other:?}"),
    }
    assert_eq!(code(rig.outcome()), Code::StorageFull);
}

/// Makes a deed one that needs room on the disk.
fn needs_room(db: &rusqlite::Connection, deed: &str) {
    let sql = format!(
        "CREATE TRIGGER needs_room BEFORE {deed} BEGIN INSERT INTO junk VALUES (zeroblob(60000)); END"
    );
    db.execute_batch(&sql).unwrap();
}

/// Leaves a store that was not started yet no room. Making some is to drop the table `junk`.
fn fill(rig: &Rig) -> rusqlite::Connection {
    let other = rig.other();
    other.execute_batch("CREATE TABLE junk (x)").unwrap();
    for _ in 0..200 {
        other.execute("INSERT INTO junk VALUES (zeroblob(4000))", []).unwrap();
    }
    match &*rig.store.state() {
        State::Opened(writer) => {
            let pages: i64 = writer.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
            writer.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        }
        _ => panic!("started"),
    }
    other
}

#[test]
fn a_full_disk_is_said_and_got_over() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let rig = rig.reopen_unstarted();
    let other = fill(&rig);
    rig.start();
    let mut rig = rig;
    let long = "x".repeat(60_000);
    assert_eq!(code(rig.send(said(ann, all(), 5, &long))), Code::StorageFull);
    assert_eq!(rig.sync(ann, ChatId::ALL, 0).unwrap().last_seq, 0, "what is only read goes on");
    other.execute_batch("DROP TABLE junk").unwrap();
    assert_eq!(stored(rig.send(said(ann, all(), 5, &long))).seq, 1);
}

#[test]
fn a_guest_who_could_not_be_made_whole_is_not_made_at_all() {
    for table in ["chats", "tokens"] {
        let mut rig = Rig::new();
        let ann = rig.guest("ann");
        let counts = |rig: &Rig| -> (i64, i64, i64) {
            let sql = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM chats), (SELECT count(*) FROM tokens)";
            rig.other().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
        };
        let before = counts(&rig);
        let rig = rig.reopen_unstarted();
        let trap = format!(
            "CREATE TRIGGER trap BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'as after a failed read'); END"
        );
        rig.other().execute_batch(&trap).unwrap();
        let guest = |name: &str| Login {
            conn: CONN,
            who: Who::Guest { name: Some(name.into()) },
            device: "phone".into(),
            new_token: [1; 32],
            first_room: Some(FirstRoom { req: REQ, room: "all".into() }),
        };
        rig.store.submit(Op::Append(said(ann, all(), 0, "before")));
        rig.store.submit(Op::Login(guest("bob")));
        rig.store.submit(Op::Append(said(ann, all(), 0, "after")));
        rig.start();
        let mut rig = rig;
        assert_eq!(stored(rig.outcome()).seq, 1);
        let refused = rig.next();
        assert!(
            matches!(&refused, Committed::Login(_, Err(why)) if why.code == Code::Internal),
            "{refused:?}"
        );
        assert!(matches!(rig.next(), Committed::Join(CONN, REQ, Err(_))));
        assert_eq!(stored(rig.outcome()).seq, 2, "it fails alone");
        assert_eq!(counts(&rig), before);
        rig.other().execute_batch("DROP TRIGGER trap").unwrap();
        rig.guest("bob");
    }
}
