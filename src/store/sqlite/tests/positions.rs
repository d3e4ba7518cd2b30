//! READ and CHATS.

use super::*;

#[test]
fn a_position_moves_forward_only_and_never_beyond_the_newest_message() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let read = |rig: &mut Rig, seq| {
        let reading = rig.read(ann, ChatId::ALL, seq).unwrap();
        (reading.seq, reading.has_moved)
    };
    assert_eq!(read(&mut rig, 5), (0, false));
    for _ in 0..4 {
        rig.say(ann, all(), "hi");
    }
    assert_eq!(read(&mut rig, 2), (2, true));
    assert_eq!(read(&mut rig, 2), (2, false));
    assert_eq!(read(&mut rig, 1), (2, false));
    assert_eq!(read(&mut rig, 0), (2, false));
    assert_eq!(read(&mut rig, u64::MAX), (4, true));
    let mut rig = rig.reopen();
    assert_eq!(read(&mut rig, 1), (4, false), "it is kept");
}

#[test]
fn only_what_one_is_in_can_be_read() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    let ours = rig.group(ann, &[]);
    assert_eq!(rig.read(bob, tea, 1).unwrap_err().code, Code::Forbidden);
    assert_eq!(rig.read(bob, ours, 1).unwrap_err().code, Code::NotFound);
    assert_eq!(rig.read(bob, ChatId(0), 1).unwrap_err().code, Code::NotFound);
    assert_eq!(rig.read(ann, ours, 1).unwrap().kind, ChatKind::Group);
}

#[test]
fn chats_are_listed_by_id_with_titles_and_positions() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("Ann"), rig.guest("Bob"));
    let home = rig.say(ann, Target::Current(None), "hi").chat;
    let tea = rig.join(ann, "Tea", None).chat;
    let ours = rig.group(bob, &["ann"]);
    let direct = opened(rig.send(said(bob, to("ann"), 0, "hi"))).0.chat;
    rig.say(ann, Target::Chat(ours), "one");
    rig.say(ann, Target::Chat(ours), "two");
    rig.read(ann, ours, 1).unwrap();
    rig.read(bob, ours, 2).unwrap();
    let chats = |user, after, limit| {
        let listed = rig.store.chats(user, after, limit).unwrap();
        let rows =
            listed.rows.into_iter().map(|c| (c.chat, c.kind, String::from(c.title), c.last_seq, c.read_seq));
        (rows.collect::<Vec<_>>(), listed.more)
    };
    let row =
        |chat, kind, title: &str, last_seq, read_seq| (chat, kind, title.to_owned(), last_seq, read_seq);
    let mine = [
        row(ChatId::ALL, ChatKind::Room, "all", 0, 0),
        row(home, ChatKind::Home, "assistant", 1, 0),
        row(tea, ChatKind::Room, "Tea", 0, 0),
        row(ours, ChatKind::Group, "ours", 2, 1),
        row(direct, ChatKind::Direct, "Bob", 1, 0),
    ];
    assert_eq!(chats(ann, ChatId(0), 0), (mine.to_vec(), false));
    assert_eq!(chats(ann, ChatId(0), 2), (mine[..2].to_vec(), true));
    assert_eq!(chats(ann, home, 3), (mine[2..].to_vec(), false));
    assert_eq!(chats(ann, home, 2), (mine[2..4].to_vec(), true));
    assert_eq!(chats(ann, ChatId(u64::MAX), 2), (Vec::new(), false));
    let (bobs, _) = chats(bob, tea, 0);
    assert_eq!(bobs, [row(ours, ChatKind::Group, "ours", 2, 2), row(direct, ChatKind::Direct, "Ann", 1, 0)]);
}
