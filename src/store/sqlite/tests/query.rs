//! HISTORY, ROOMS, PARTICIPANTS, and reading on from a place.

use super::*;
use crate::store::{HistoryPage, HistoryQuery};

/// A chat with messages 1 to `count`, of ten bytes each.
fn filled(count: u64) -> (Rig, UserId) {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for number in 1..=count {
        rig.say(ann, all(), &format!("{number:010}"));
    }
    (rig, ann)
}

fn page(rig: &Rig, asker: UserId, query: HistoryQuery) -> HistoryPage {
    let query =
        HistoryQuery { max_bytes: if query.max_bytes == 0 { 1 << 20 } else { query.max_bytes }, ..query };
    rig.store.history(asker, ChatId::ALL, query).unwrap()
}

#[test]
fn history_is_the_newest_or_the_oldest_of_a_range_in_ascending_order() {
    let (rig, ann) = filled(10);
    let check = |before, after, limit, oldest, expected: &[Seq], more| {
        let found = page(&rig, ann, HistoryQuery { before, after, limit, oldest, max_bytes: 0 });
        assert_eq!(
            (seqs(&found.messages).as_slice(), found.more),
            (expected, more),
            "{before} {after} {limit}"
        );
        assert_eq!((found.first_seq, found.last_seq), (1, 10));
    };
    check(0, 0, 3, false, &[8, 9, 10], true);
    check(0, 0, 3, true, &[1, 2, 3], true);
    check(0, 0, 10, false, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false);
    check(0, 0, 10, true, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false);
    check(4, 0, 3, false, &[1, 2, 3], false);
    check(5, 0, 3, false, &[2, 3, 4], true);
    check(0, 7, 3, true, &[8, 9, 10], false);
    check(0, 6, 3, true, &[7, 8, 9], true);
    check(6, 3, 9, false, &[4, 5], false);
    check(5, 4, 9, false, &[], false);
    check(1, 0, 9, false, &[], false);
    check(0, 10, 9, true, &[], false);
    check(u64::MAX, u64::MAX, 9, true, &[], false);
    check(u64::MAX, 8, 9, true, &[9, 10], false);
}

#[test]
fn a_page_ends_where_its_bytes_do_but_has_one_message_at_least() {
    let (rig, ann) = filled(5);
    let of = |max_bytes, oldest| {
        let found = page(&rig, ann, HistoryQuery { limit: 5, max_bytes, oldest, ..HistoryQuery::default() });
        (seqs(&found.messages), found.more)
    };
    assert_eq!(of(1, false), (vec![5], true));
    assert_eq!(of(2 * 138, false), (vec![4, 5], true));
    assert_eq!(of(2 * 138, true), (vec![1, 2], true));
    assert_eq!(of(5 * 138, true), (vec![1, 2, 3, 4, 5], false));
}

#[test]
fn a_subscription_reads_on_page_by_page() {
    let (rig, _) = filled(5);
    let of = |after, upto, max_bytes| seqs(&rig.store.messages(ChatId::ALL, after, upto, max_bytes).unwrap());
    assert_eq!(of(0, 5, 1), [1]);
    assert_eq!(of(1, 4, 1 << 20), [2, 3, 4]);
    assert_eq!(of(5, 5, 1 << 20), [0; 0]);
    assert!(rig.store.messages(ChatId(99), 0, 5, 100).unwrap().is_empty());
}

#[test]
fn history_shows_names_and_belongs_to_members() {
    let (mut rig, ann) = filled(1);
    let found = page(&rig, ann, HistoryQuery { limit: 1, ..HistoryQuery::default() });
    assert_eq!(&*found.messages[0].user_name, "ann");
    let bob = rig.guest("bob");
    let home = rig.say(bob, Target::Current(None), "hi").chat;
    let tea = rig.join(bob, "tea", None).chat;
    let code = |chat| rig.store.history(ann, chat, HistoryQuery::default()).unwrap_err().code;
    assert_eq!((code(tea), code(home), code(ChatId(99))), (Code::Forbidden, Code::NotFound, Code::NotFound));
}

#[test]
fn rooms_are_listed_by_name_page_by_page() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for name in ["Zebra", "apple", "Birch"] {
        rig.join(ann, name, None);
    }
    rig.say(ann, room("birch"), "hi");
    let list = |after: &str, limit| {
        let listed = rig.store.rooms(after, limit).unwrap();
        let names: Vec<_> = listed.rows.iter().map(|row| row.room.to_string()).collect();
        (names.join(" "), listed.more)
    };
    assert_eq!(list("", 0), ("all apple Birch Zebra".to_owned(), false));
    assert_eq!(list("", 2), ("all apple".to_owned(), true));
    assert_eq!(list("apple", 2), ("Birch Zebra".to_owned(), false));
    assert_eq!(list("b", 1), ("Birch".to_owned(), true));
    assert_eq!(rig.store.rooms("apple", 1).unwrap().rows[0].last_seq, 1);
}

#[test]
fn participants_are_listed_by_id_to_who_is_one_of_them() {
    let mut rig = Rig::new();
    let (ann, bob, cem) = (rig.guest("ann"), rig.guest("bob"), rig.guest("cem"));
    let tea = rig.join(cem, "tea", None).chat;
    rig.join(ann, "tea", None);
    let (chat, listed) = rig.store.members(ann, &room("TEA"), UserId(0), 1).unwrap();
    assert_eq!((chat, listed.rows[0].user, &*listed.rows[0].user_name, listed.more), (tea, ann, "ann", true));
    let (_, listed) = rig.store.members(ann, &Target::Chat(tea), ann, 1).unwrap();
    assert_eq!((listed.rows[0].user, listed.more), (cem, false));
    let code = |target| rig.store.members(bob, &target, UserId(0), 1).unwrap_err().code;
    assert_eq!((code(room("tea")), code(room("rum"))), (Code::Forbidden, Code::NotFound));
    let (chat, listed) = rig.store.members(bob, &all(), UserId(0), 9).unwrap();
    assert_eq!((chat, listed.rows.len()), (ChatId::ALL, 0));
    let (_, listed) = rig.store.members(bob, &Target::Current(None), UserId(0), 9).unwrap();
    let home: Vec<_> = listed.rows.iter().map(|row| row.user).collect();
    assert_eq!(home, [UserId::ASSISTANT, bob]);
}
