//! CREATE, INVITE, REMOVE: who may do what, and who owns a group.

use super::*;

fn owners(rig: &Rig, asker: UserId, chat: ChatId) -> Vec<UserId> {
    let listed = rig.store.members(asker, &Target::Chat(chat), UserId(0), 10).unwrap().1;
    listed.rows.into_iter().filter(|row| row.owner).map(|row| row.user).collect()
}

fn rows(rig: &Rig, of: &str) -> i64 {
    rig.other().query_row(&format!("SELECT count(*) FROM {of}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn who_makes_a_group_owns_it_and_is_its_first_member() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("Ann"), rig.guest("bob"));
    let ours = rig.create(ann, "ours").unwrap();
    assert_eq!((ours.user, &*ours.user_name, ours.head.kind), (ann, "Ann", ChatKind::Group));
    let chat = ours.head.chat;
    assert_eq!(owners(&rig, ann, chat), [ann]);
    assert_eq!(rig.say(ann, Target::Chat(chat), "hi").seq, 1);
    // A title is no name: there can be many of one, and none is found by it.
    assert!(rig.create(bob, "ours").unwrap().head.chat > chat);
    assert_eq!(code(rig.send(said(bob, room("ours"), 0, "hi"))), Code::NotFound);
    assert!(rig.join(bob, "ours", None).created);
}

#[test]
fn an_invited_user_is_a_member_and_reads_what_was_before() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("Bob"));
    let chat = rig.group(ann, &[]);
    rig.say(ann, Target::Chat(chat), "before");
    assert_eq!(rig.sync(bob, chat, 0).unwrap_err().code, Code::NotFound);
    let invited = rig.invite(ann, chat, "BOB").unwrap();
    let entered = invited.entered.unwrap();
    assert_eq!((invited.user, entered.user, &*entered.user_name), (bob, bob, "Bob"));
    assert_eq!((entered.head.chat, entered.head.last_seq), (chat, 1));
    let query = crate::store::HistoryQuery { limit: 10, max_bytes: 1000, ..Default::default() };
    assert_eq!(text(&rig.store.history(bob, chat, query).unwrap().messages[0]), "before");
    assert_eq!(rig.say(bob, Target::Chat(chat), "after").seq, 2);
    let again = rig.invite(ann, chat, "bob").unwrap();
    assert!(again.user == bob && again.entered.is_none(), "a member stays one");
    assert_eq!(owners(&rig, bob, chat), [ann]);
}

#[test]
fn only_the_owner_invites_and_removes_and_only_in_a_group() {
    let mut rig = Rig::new();
    let (ann, bob, cem) = (rig.guest("ann"), rig.guest("bob"), rig.guest("cem"));
    let chat = rig.group(ann, &["bob"]);
    let tea = rig.join(ann, "tea", None).chat;
    let direct = opened(rig.send(said(ann, to("bob"), 0, "hi"))).0.chat;
    let home = rig.say(ann, Target::Current(None), "hi").chat;
    for (user, chat, expected) in [
        (bob, chat, Code::Forbidden),
        (cem, chat, Code::NotFound),
        (ann, tea, Code::Forbidden),
        (bob, tea, Code::Forbidden),
        (ann, ChatId::ALL, Code::Forbidden),
        (ann, direct, Code::Forbidden),
        (cem, direct, Code::NotFound),
        (ann, home, Code::Forbidden),
        (bob, home, Code::NotFound),
        (ann, ChatId(0), Code::NotFound),
        (ann, ChatId(u64::MAX), Code::NotFound),
    ] {
        for name in ["cem", "bob", "nobody"] {
            assert_eq!(rig.invite(user, chat, name).unwrap_err().code, expected, "{user} {chat} {name}");
            assert_eq!(rig.remove(user, chat, name).unwrap_err().code, expected, "{user} {chat} {name}");
        }
    }
    for name in ["nobody", "", "assistant"] {
        assert_eq!(rig.invite(ann, chat, name).unwrap_err().code, Code::NotFound, "{name}");
    }
    for name in ["nobody", "", "assistant", "cem"] {
        assert_eq!(rig.remove(ann, chat, name).unwrap_err().code, Code::NotFound, "{name}");
    }
}

#[test]
fn a_removed_user_knows_the_group_no_more_and_can_be_invited_again() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let chat = rig.group(ann, &["bob"]);
    rig.say(bob, Target::Chat(chat), "hi");
    let left = rig.remove(ann, chat, "Bob").unwrap();
    assert_eq!((left.user, &*left.user_name, left.chat, &*left.room), (bob, "bob", chat, "ours"));
    assert_eq!(code(rig.send(said(bob, Target::Chat(chat), 0, "hi"))), Code::NotFound);
    assert_eq!(rig.read(bob, chat, 1).unwrap_err().code, Code::NotFound);
    assert_eq!(rig.leave(bob, Some(chat)).unwrap_err().code, Code::NotFound);
    assert!(rig.invite(ann, chat, "bob").unwrap().entered.is_some());
    assert_eq!(rig.say(bob, Target::Chat(chat), "back").seq, 2);
}

#[test]
fn the_longest_standing_member_inherits_a_group_and_an_empty_one_is_deleted() {
    let mut rig = Rig::new();
    let (bob, cem, ann) = (rig.guest("bob"), rig.guest("cem"), rig.guest("ann"));
    let ours = rig.group(ann, &["cem", "bob"]);
    rig.say(cem, Target::Chat(ours), "hi");
    rig.read(cem, ours, 1).unwrap();
    rig.leave(ann, Some(ours)).unwrap();
    assert_eq!(owners(&rig, bob, ours), [cem]);
    // Whoever comes back stands behind the others.
    rig.pass(1);
    rig.invite(cem, ours, "ann").unwrap();
    rig.remove(cem, ours, "cem").unwrap();
    assert_eq!(owners(&rig, ann, ours), [bob]);
    rig.leave(ann, Some(ours)).unwrap();
    assert_eq!(owners(&rig, bob, ours), [bob]);
    assert_eq!(rig.remove(bob, ours, "bob").unwrap().user, bob);
    assert_eq!(rig.sync(bob, ours, 0).unwrap_err().code, Code::NotFound);
    assert_eq!((rows(&rig, "messages"), rows(&rig, "positions")), (0, 0));
    assert!(rig.create(ann, "new").unwrap().head.chat > ours, "its id is not given again");
}

#[test]
fn a_guest_who_is_gone_cannot_be_invited_and_one_who_is_back_can() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let chat = rig.group(ann, &[]);
    rig.depart(bob);
    assert_eq!(rig.invite(ann, chat, "bob").unwrap_err().code, Code::NotFound);
    rig.come_back("bob");
    rig.next();
    assert!(rig.invite(ann, chat, "bob").unwrap().entered.is_some());
    assert_eq!(rig.depart(bob), [chat]);
    // A registered user need not be there.
    rig.other().execute("UPDATE users SET kind = 1 WHERE id = ?1", [bob.0.cast_signed()]).unwrap();
    assert!(rig.invite(ann, chat, "bob").unwrap().entered.is_some());
}

#[test]
fn a_group_counts_among_the_thousand() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let ours = rig.group(bob, &[]);
    let first = rig.create(ann, "first").unwrap().head.chat;
    let other = rig.other();
    let groups = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
                  INSERT INTO chats (kind, name, created_at) SELECT 2, 'g', 0 FROM n";
    other.execute(groups, []).unwrap();
    let join = "INSERT INTO members (chat, user, joined_at) SELECT id, ?1, 0 FROM chats WHERE name = 'g'";
    other.execute(join, [ann.0.cast_signed()]).unwrap();
    assert_eq!(rig.create(ann, "one more").unwrap_err().code, Code::TooLarge);
    assert_eq!(rig.invite(bob, ours, "ann").unwrap_err().code, Code::TooLarge);
    assert_eq!(rig.try_join(ann, "tea", None).unwrap_err().code, Code::TooLarge);
    rig.leave(ann, Some(first)).unwrap();
    assert!(rig.invite(bob, ours, "ann").unwrap().entered.is_some());
}
