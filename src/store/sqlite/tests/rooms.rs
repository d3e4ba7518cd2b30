//! JOIN, LEAVE, SYNC, and what a guest's end ends.

use super::*;

#[test]
fn a_missing_room_is_made_and_keeps_its_first_spelling() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let first = rig.join(ann, "Tea", None);
    assert_eq!((first.created, first.is_new, first.last_seq, &*first.room), (true, true, 0, "Tea"));
    rig.say(ann, room("tea"), "hi");
    let second = rig.join(bob, "TEA", None);
    assert_eq!((second.created, second.is_new, second.last_seq, &*second.room), (false, true, 1, "Tea"));
    assert_eq!(second.chat, first.chat);
    assert!(!rig.join(bob, "tea", None).is_new);
}

#[test]
fn a_room_may_have_a_users_name() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    assert!(rig.join(ann, "ann", None).created);
}

#[test]
fn who_joins_a_room_leaves_the_former_one() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    rig.join(bob, "tea", None);
    let left = rig.join(ann, "rum", Some(tea)).left.unwrap();
    assert_eq!((left.user, left.chat, &*left.room), (ann, tea, "tea"));
    assert_eq!(code(rig.send(said(ann, room("tea"), 0, "hi"))), Code::Forbidden);
    assert!(rig.join(bob, "tea", Some(tea)).left.is_none(), "the same room is not left");
    assert!(rig.join(bob, "rum", Some(ChatId::ALL)).left.is_none(), "nobody leaves `all`");
    let home = rig.say(bob, Target::Current(None), "hi").chat;
    assert!(rig.join(bob, "gin", Some(home)).left.is_none(), "nor home");
}

#[test]
fn one_user_is_in_at_most_a_thousand_rooms() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    rig.join(bob, "tea", None);
    let other = rig.other();
    let rooms = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
                 INSERT INTO chats (kind, name, name_key, created_at) SELECT 1, 'r' || n, 'r' || n, 0 FROM n";
    other.execute(rooms, []).unwrap();
    let join = "INSERT INTO members (chat, user, joined_at) SELECT id, ?1, 0 FROM chats WHERE name LIKE 'r%'";
    other.execute(join, [ann.0.cast_signed()]).unwrap();
    let direct = opened(rig.send(said(ann, to("bob"), 1, "hi"))).0.chat;
    let last = rig.join(ann, "last", None).chat;

    rig.guest("cem");
    for room in ["new", "tea"] {
        assert_eq!(rig.try_join(ann, room, None).unwrap_err().code, Code::TooLarge, "{room}");
    }
    for former in [ChatId::ALL, direct, ChatId(99_999)] {
        assert_eq!(rig.try_join(ann, "tea", Some(former)).unwrap_err().code, Code::TooLarge, "{former}");
    }
    opened(rig.send(said(ann, to("cem"), 2, "hi")));
    assert_eq!(code(rig.send(said(ann, room("new"), 0, "hi"))), Code::NotFound, "no room was made");

    assert_eq!(
        duplicate(rig.send(said(ann, to("bob"), 1, "hi"))),
        (direct, 1),
        "what is stored is confirmed"
    );
    rig.say(ann, to("bob"), "what one is in is open");
    assert!(!rig.join(ann, "last", None).is_new);
    rig.join(ann, "all", None);
    assert!(rig.join(ann, "tea", Some(last)).is_new, "the room that is left makes place for it");
    stored(rig.send(said(ann, to("assistant"), 0, "home is not counted")));
}

#[test]
fn one_user_opens_at_most_a_thousand_direct_chats_and_may_be_written_to_by_more() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let first = opened(rig.send(said(ann, to("bob"), 1, "hi"))).0.chat;
    let other = rig.other();
    let users = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
                 INSERT INTO users (kind, name, name_key, created_at) SELECT 0, 'u' || n, 'u' || n, 0 FROM n";
    let chats = "INSERT INTO chats (kind, low, high, created_at)
                 SELECT 3, ?1, id, 0 FROM users WHERE name LIKE 'u%'";
    let members = "INSERT INTO members (chat, user, joined_at) SELECT id, ?1, 0 FROM chats
                    WHERE kind = 3 AND low = ?1 AND id <> ?2";
    other.execute(users, []).unwrap();
    other.execute(chats, [ann.0.cast_signed()]).unwrap();
    other.execute(members, [ann.0.cast_signed(), first.0.cast_signed()]).unwrap();

    let cem = rig.guest("cem");
    assert_eq!(code(rig.send(said(ann, to("cem"), 2, "hi"))), Code::TooLarge);
    assert_eq!(duplicate(rig.send(said(ann, to("bob"), 1, "hi"))), (first, 1), "what is stored is confirmed");
    rig.say(ann, to("bob"), "what is open stays open");
    opened(rig.send(said(cem, to("ann"), 0, "whoever is written to need not have place")));
    rig.join(ann, "tea", None);
    opened(rig.send(said(bob, to("cem"), 0, "others are not concerned")));
}

#[test]
fn joining_all_makes_nobody_a_member_and_ends_the_former_room() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let tea = rig.join(ann, "tea", None).chat;
    let joined = rig.join(ann, "ALL", Some(tea));
    assert_eq!((joined.chat, joined.is_new, joined.created), (ChatId::ALL, false, false));
    assert_eq!(joined.left.unwrap().chat, tea);
    assert_eq!(rig.leave(ann, Some(ChatId::ALL)).unwrap_err().code, Code::Forbidden);
}

#[test]
fn only_rooms_and_groups_that_one_is_in_can_be_left() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(bob, "tea", None).chat;
    let home = rig.say(ann, Target::Current(None), "hi").chat;
    let direct = opened(rig.send(said(ann, to("bob"), 0, "hi"))).0.chat;
    let bobs = rig.say(bob, Target::Current(None), "hi").chat;
    for (chat, expected) in [
        (None, Code::Forbidden),
        (Some(home), Code::Forbidden),
        (Some(direct), Code::Forbidden),
        (Some(tea), Code::Forbidden),
        (Some(bobs), Code::NotFound),
        (Some(ChatId(999)), Code::NotFound),
    ] {
        assert_eq!(rig.leave(ann, chat).unwrap_err().code, expected, "{chat:?}");
    }
}

#[test]
fn a_room_without_members_and_messages_is_deleted_and_its_id_is_not_given_again() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let empty = rig.join(ann, "tea", None).chat;
    assert!(!rig.join(ann, "tea", None).created, "it is found by name now");
    assert_eq!(&*rig.leave(ann, Some(empty)).unwrap().room, "tea");
    assert_eq!(rig.leave(ann, Some(empty)).unwrap_err().code, Code::NotFound);
    let second = rig.join(ann, "tea", None);
    assert!(second.created && second.chat > empty);

    rig.say(ann, room("tea"), "kept");
    rig.leave(ann, Some(second.chat)).unwrap();
    let third = rig.join(ann, "tea", None);
    assert_eq!((third.created, third.chat, third.last_seq), (false, second.chat, 1));
}

#[test]
fn a_guests_rooms_and_groups_end_with_the_last_connection_and_direct_chats_stay() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.guest("bob");
    let tea = rig.join(ann, "tea", None).chat;
    let ours = rig.group(ann, &["bob"]);
    let direct = opened(rig.send(said(ann, to("bob"), 0, "hi"))).0.chat;
    assert_eq!(rig.depart(ann), [tea, ours]);
    assert!(rig.depart(ann).is_empty());
    assert_eq!(rig.say(ann, Target::Chat(direct), "still here").seq, 2);
    assert_eq!(code(rig.send(said(ann, Target::Chat(ours), 0, "hi"))), Code::NotFound);
}

#[test]
fn a_departure_that_a_login_has_overtaken_ends_nothing() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let ours = rig.group(ann, &[]);
    rig.online.lock().unwrap().insert(ann);
    assert!(rig.depart(ann).is_empty(), "the hub knows of a connection by now");
    rig.online.lock().unwrap().clear();
    assert_eq!(rig.depart(ann), [ours]);

    rig.join(ann, "tea", None);
    let mut rig = rig.reopen_with(ann);
    rig.come_back("ann");
    rig.store.submit(Op::Departed { user: ann });
    rig.start();
    assert!(matches!(rig.next(), Committed::Login(_, Ok(_))));
    assert!(matches!(rig.next(), Committed::Departed(_, left) if left.is_empty()), "in the same batch");
    rig.say(ann, room("tea"), "still here");
}

#[test]
fn a_registered_users_rooms_stay() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.other().execute("UPDATE users SET kind = 1 WHERE id = ?1", [ann.0.cast_signed()]).unwrap();
    rig.join(ann, "tea", None);
    assert!(rig.depart(ann).is_empty());
    let mut rig = rig.reopen();
    assert_eq!(rig.say(ann, room("tea"), "hi").seq, 1);
}

#[test]
fn what_guests_were_in_when_the_server_died_ends_at_the_next_start() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    let rum = rig.join(bob, "rum", None).chat;
    rig.say(bob, room("rum"), "kept");
    let mut rig = rig.reopen();
    assert_eq!(rig.sync(ann, tea, 0).unwrap_err().code, Code::NotFound, "nobody and nothing was in it");
    assert_eq!(rig.sync(bob, rum, 0).unwrap_err().code, Code::Forbidden);
}

#[test]
fn sync_goes_on_where_the_client_was() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let empty = rig.sync(ann, ChatId::ALL, 0).unwrap();
    assert_eq!((empty.first_seq, empty.last_seq, empty.after, empty.kind), (1, 0, 0, ChatKind::Room));
    for _ in 0..3 {
        rig.say(ann, all(), "hi");
    }
    let synced = rig.sync(ann, ChatId::ALL, 2).unwrap();
    assert_eq!((synced.first_seq, synced.last_seq, synced.after), (1, 3, 2));
    assert_eq!(rig.sync(ann, ChatId::ALL, 3).unwrap().after, 3);
    assert_eq!(rig.sync(ann, ChatId::ALL, 4).unwrap_err().code, Code::NotFound);
    assert_eq!(rig.sync(ann, ChatId::ALL, u64::MAX).unwrap_err().code, Code::NotFound);
}

#[test]
fn sync_says_what_retention_took_and_last_seq_never_goes_back() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for _ in 0..3 {
        rig.say(ann, all(), "hi");
    }
    let rig = rig.reopen_unstarted();
    let db = rig.other();
    db.execute("DELETE FROM messages WHERE id & 0xffffffff <= 2", []).unwrap();
    rig.start();
    let mut rig = rig;
    let synced = rig.sync(ann, ChatId::ALL, 0).unwrap();
    assert_eq!((synced.first_seq, synced.last_seq, synced.after), (3, 3, 2));

    let rig = rig.reopen_unstarted();
    db.execute("UPDATE chats SET last_seq = 3 WHERE id = 1", []).unwrap();
    db.execute("DELETE FROM messages", []).unwrap();
    rig.start();
    let mut rig = rig;
    let synced = rig.sync(ann, ChatId::ALL, 1).unwrap();
    assert_eq!((synced.first_seq, synced.last_seq, synced.after), (4, 3, 3));
    assert_eq!(rig.say(ann, all(), "hi").seq, 4);
}
