//! Events, and the requests about groups, chats and positions.

use super::*;
use crate::presence::Presence as Seen;
use crate::store;

fn typing() -> Typing<'static> {
    Typing { chat: 42, on: 1, ..Typing::default() }
}

#[test]
fn a_connection_that_is_welcome_is_online_until_it_says_otherwise() {
    let mut story = story();
    story.send(hello());
    let effects = story.notice(Notice::Welcomed { user: USER, name: "ann".into() });
    assert!(matches!(effects[..], [Effect::Presence(Seen::Online)]), "{effects:?}");
    for (number, expected) in [(0, Seen::Offline), (2, Seen::Away), (1, Seen::Online)] {
        let effects = story.send(Presence { presence: number, user: 9, ..Presence::default() });
        assert!(matches!(effects[..], [Effect::Presence(seen)] if seen == expected), "{effects:?}");
    }
    for number in [3, 255] {
        assert!(story.send(Presence { presence: number, ..Presence::default() }).is_empty());
    }
}

#[test]
fn typing_is_passed_on_at_once_and_holds_up_nothing() {
    let mut story = open();
    story.send(Text { text: "hi" });
    assert!(matches!(story.send(typing())[..], [Effect::Typing(ROOM, true)]));
    assert!(matches!(story.send(Typing { on: 0, ..typing() })[..], [Effect::Typing(ROOM, false)]));
    assert!(story.session.wants_input());
}

#[test]
fn of_a_flood_of_events_a_few_get_through_and_then_four_a_second() {
    let mut story = open();
    let through = |story: &mut Story| (0..100).filter(|_| !story.send(typing()).is_empty()).count();
    assert_eq!(through(&mut story), 20);
    story.wait(SECOND);
    assert_eq!(through(&mut story), 4);
    story.wait(10 * SECOND);
    assert_eq!(through(&mut story), 20);
}

#[test]
fn groups_are_asked_for_with_names_as_they_are_compared() {
    let mut story = open();
    let ops = |story: &mut Story, effects: Vec<Effect>| {
        story.notice(Notice::Answered);
        match effects.into_iter().next() {
            Some(Effect::Submit(op)) => op,
            other => panic!("not submitted: {other:?}"),
        }
    };
    let effects = story.send(Create { req: 1, title: "The Crew!" });
    assert!(matches!(ops(&mut story, effects), Op::Create(store::Create { req: 1, user: USER, title, .. })
        if &*title == "The Crew!"));
    let effects = story.send(Invite { req: 2, chat: 42, user: "BO" });
    assert!(matches!(ops(&mut story, effects), Op::Invite(store::Invite { req: 2, chat: ROOM, guest, .. })
        if &*guest == "bo"));
    let effects = story.send(Remove { req: 3, chat: 42, user: "Straße" });
    assert!(matches!(ops(&mut story, effects), Op::Remove(store::Remove { req: 3, chat: ROOM, member, .. })
        if &*member == "strasse"));
    let effects = story.send(Read { req: 4, chat: 42, seq: 9 });
    assert!(matches!(
        ops(&mut story, effects),
        Op::Read(store::Read { req: 4, user: USER, chat: ROOM, seq: 9, .. })
    ));
}

#[test]
fn a_bad_title_is_a_conflict() {
    for title in ["two\nlines", "\u{7f}"] {
        assert_eq!(error(&open().send(Create { req: 1, title })), (Code::Conflict, 1, kind::CREATE));
    }
}

#[test]
fn a_list_of_chats_has_at_most_200() {
    for (wanted, expected) in [(0, 200), (1, 1), (200, 200), (201, 200)] {
        let effects = open().send(Chats { req: 1, after: 7, limit: wanted });
        let [Effect::Query(Query { req: 1, user: USER, kind })] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(*kind, QueryKind::Chats { after: ChatId(7), limit: expected });
    }
}
