//! What each frame leads to.

use super::*;

#[test]
fn nothing_is_looked_at_between_hello_and_welcome() {
    let mut story = story();
    let effects = story.send(hello());
    assert!(matches!(&effects[..], [Effect::Greet(_), Effect::Submit(Op::Login(_))]), "{effects:?}");
    assert!(!story.session.wants_input());
    story.notice(Notice::Welcomed { user: USER, name: "ann".into() });
    assert!(story.session.wants_input());
}

#[test]
fn hello_is_refused_with_the_reason() {
    let check = |hello: Hello<'_>, code: Code| {
        let mut story = story();
        assert_eq!(ends_with_error(&story.send(hello.clone())), (code, 0, kind::HELLO), "{hello:?}");
        assert!(!story.session.wants_input());
    };
    check(Hello { version: 0, ..hello() }, Code::BadVersion);
    check(Hello { timezone: "Mars/Olympus", ..hello() }, Code::BadTimezone);
    check(Hello { timezone: "utc", ..hello() }, Code::BadTimezone);
    check(Hello { timezone: "", ..hello() }, Code::BadTimezone);
    check(Hello { user: "Guest7", ..hello() }, Code::Conflict);
    check(Hello { user: "two  spaces", ..hello() }, Code::Conflict);
    check(Hello { device: "a\nb", ..hello() }, Code::Conflict);
    check(Hello { auth: 1, user: "ann", secret: "", ..hello() }, Code::Unauthenticated);
    check(Hello { auth: 3, user: "ann", secret: "", ..hello() }, Code::Unauthenticated);
    check(Hello { auth: 3, user: "all", secret: "x", ..hello() }, Code::Conflict);
    check(Hello { auth: 3, user: "", secret: "x", ..hello() }, Code::Conflict);
    check(Hello { auth: 9, ..hello() }, Code::Unauthenticated);
}

#[test]
fn a_version_above_the_servers_is_answered_with_the_servers() {
    let effects = story().send(Hello { version: 200, ..hello() });
    assert!(matches!(&effects[0], Effect::Greet(greeted) if greeted.version == 1));
}

#[test]
fn inline_media_is_cut_to_one_mebibyte() {
    let effects = story().send(Hello { inline_limit: u32::MAX, ..hello() });
    assert!(matches!(&effects[0], Effect::Greet(greeted) if greeted.inline_limit == 1 << 20));
}

#[test]
fn guests_are_refused_where_policy_says_so() {
    let mut rules = rules();
    rules.policy.guests = false;
    let effects = story_by(rules, true).send(hello());
    assert_eq!(ends_with_error(&effects).0, Code::Unauthenticated);
}

#[test]
fn a_secret_in_the_clear_is_refused_before_it_is_looked_up() {
    let token = Hello { auth: 2, secret: "00", ..hello() };
    assert_eq!(ends_with_error(&story_by(rules(), false).send(token.clone())).0, Code::Unauthenticated);
    assert!(matches!(story().send(token)[1], Effect::Submit(Op::Login(_))));
}

#[test]
fn a_text_goes_to_the_room_joined_last_and_else_home() {
    let mut story = open();
    let text = Text { text: "hi" };
    assert_eq!(append(story.send(text.clone())).target, Target::Current(None));
    story.notice(Notice::Joined(ROOM));
    assert_eq!(append(story.send(text.clone())).target, Target::Current(Some(ROOM)));
    story.notice(Notice::Left(ChatId(9)));
    assert_eq!(append(story.send(text.clone())).target, Target::Current(Some(ROOM)));
    story.notice(Notice::Left(ROOM));
    assert_eq!(append(story.send(text)).target, Target::Current(None));
}

#[test]
fn to_addresses_the_next_message_and_no_other() {
    let mut story = open();
    assert!(
        story.send(To { nonce: 5, room: "lobby", reply_to: 3, name: "/a/b.txt", ..To::default() }).is_empty()
    );
    let message = append(story.send(Text { text: "hi" }));
    assert_eq!((message.nonce, message.reply_to), (5, 3));
    assert_eq!(message.target, Target::Room("lobby".into()));
    assert_eq!(message.content, Ok(Content::Text("hi".into())));
    let next = append(story.send(Text { text: "hi" }));
    assert_eq!((next.nonce, next.target), (0, Target::Current(None)));
}

#[test]
fn the_store_is_given_names_as_they_are_compared() {
    let mut story = open();
    story.send(To { room: "STRASSE", ..To::default() });
    assert_eq!(append(story.send(Text { text: "hi" })).target, Target::Room("strasse".into()));
    story.send(To { user: "Ａnn", ..To::default() });
    assert_eq!(append(story.send(Text { text: "hi" })).target, Target::User("ann".into()));
    let query = |effects: Vec<Effect>| match effects.into_iter().next_back() {
        Some(Effect::Query(Query { kind, .. })) => kind,
        other => panic!("{other:?}"),
    };
    match query(open().send(Rooms { req: 1, after: "Tea", limit: 1 })) {
        QueryKind::Rooms { after, .. } => assert_eq!(&*after, "tea"),
        other => panic!("{other:?}"),
    }
    match query(open().send(Participants { req: 1, room: "Tea", ..Participants::default() })) {
        QueryKind::Participants { chat, .. } => assert_eq!(chat, Target::Room("tea".into())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn to_with_two_addresses_is_malformed() {
    let check = |to: To<'_>| assert_eq!(ends_with_error(&open().send(to)), (Code::Malformed, 0, kind::TO));
    check(To { chat: 1, room: "lobby", ..To::default() });
    check(To { chat: 1, user: "ann", ..To::default() });
    check(To { room: "lobby", user: "ann", ..To::default() });
}

#[test]
fn a_refused_message_keeps_its_place_among_the_answers() {
    let mut story = open();
    assert_eq!(refused(append(story.send(Text { text: "" }))), Code::BadMedia);
    let too_large = SkipReason::TooLarge { limit: 5 };
    assert_eq!(refused(append(story.skip(kind::VOICE, too_large))), Code::TooLarge);
    story.send(To { nonce: 8, ..To::default() });
    let unknown = append(story.skip(0x0A, SkipReason::Unknown { req: 0 }));
    assert_eq!((unknown.nonce, unknown.about), (8, 0x0A));
    assert_eq!(refused(unknown), Code::Unsupported);
    story.send(To { name: "a\u{7}b", ..To::default() });
    let reference = frame::Media { media_kind: 1, ..frame::Media::default() };
    let message = append(story.send(reference));
    // A copy of it may have been stored under a good name.
    assert_eq!((message.content.is_ok(), message.refused.unwrap().code), (true, Code::Conflict));
    assert_eq!(
        refused(append(story.send(frame::Media { media_kind: 9, ..frame::Media::default() }))),
        Code::BadMedia
    );
}

#[test]
fn unknown_frames_are_answered_by_their_range() {
    let mut story = open();
    let unknown = SkipReason::Unknown { req: 77 };
    assert_eq!(error(&story.skip(0x25, unknown)), (Code::Unsupported, 0, 0x25));
    assert_eq!(error(&story.skip(0x55, unknown)), (Code::Unsupported, 77, 0x55));
    assert_eq!(error(&story.skip(0x13, unknown)), (Code::Unsupported, 0, 0x13));
    assert!(story.skip(0x80, unknown).is_empty());
    assert!(story.skip(0xFE, unknown).is_empty());
    assert!(story.session.wants_input());
}

#[test]
fn a_request_holds_up_what_is_behind_it() {
    let mut story = open();
    story.send(Join { req: 1, room: "lobby", flags: 0 });
    assert!(!story.session.wants_input());
    story.notice(Notice::Joined(ROOM));
    assert!(!story.session.wants_input());
    story.notice(Notice::Answered);
    assert!(story.session.wants_input());
}

#[test]
fn a_request_waits_for_the_answers_to_the_messages_before_it() {
    let mut story = open();
    for refused in [false, true] {
        story.send(Text { text: "one" });
        story.send(Text { text: "two" });
        let room = if refused { "a/b" } else { "lobby" };
        assert!(story.send(Join { req: 1, room, flags: 0 }).is_empty());
        story.session.handle_answered(1);
        assert!(story.drain().is_empty() && !story.session.wants_input());
        story.session.handle_answered(1);
        let effects = story.drain();
        if refused {
            assert_eq!(error(&effects), (Code::Conflict, 1, kind::JOIN));
        } else {
            assert!(matches!(effects[..], [Effect::Submit(Op::Join(_))]), "{effects:?}");
            story.notice(Notice::Answered);
        }
        assert!(story.session.wants_input());
    }
}

#[test]
fn a_request_without_a_number_of_its_own_is_malformed() {
    let mut story = open();
    story.session.handle_fetch_begun(5);
    assert_eq!(ends_with_error(&story.send(Rooms { req: 5, ..Rooms::default() })).0, Code::Malformed);
    assert_eq!(ends_with_error(&open().send(Rooms::default())).0, Code::Malformed);
}

#[test]
fn join_leaves_the_current_room_unless_it_is_told_to_stay() {
    let leave = |story: &mut Story, flags| match story.send(Join { req: 1, room: "b", flags }).pop() {
        Some(Effect::Submit(Op::Join(join))) => {
            story.notice(Notice::Answered);
            join.leave
        }
        other => panic!("{other:?}"),
    };
    let mut story = open();
    assert_eq!(leave(&mut story, 0), None);
    story.notice(Notice::Joined(ROOM));
    assert_eq!(leave(&mut story, 0), Some(ROOM));
    assert_eq!(leave(&mut story, 1), None);
}

#[test]
fn a_join_that_waits_leaves_no_room_that_is_left_meanwhile() {
    for (left, leaves) in [(ROOM, None), (ChatId(9), Some(ROOM))] {
        let mut story = open();
        story.notice(Notice::Joined(ROOM));
        let _ = append(story.send(Text { text: "hi" }));
        assert!(story.send(Join { req: 1, room: "b", flags: 0 }).is_empty(), "the text is not answered");
        story.notice(Notice::Left(left));
        story.session.handle_answered(1);
        match story.session.poll_effect() {
            Some(Effect::Submit(Op::Join(join))) => assert_eq!(join.leave, leaves),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn limits_of_lists_are_kept_between_1_and_200() {
    for (asked, given) in [(0, 200), (1, 1), (200, 200), (201, 200), (u16::MAX, 200)] {
        match open().send(Rooms { req: 1, after: "", limit: asked }).pop() {
            Some(Effect::Query(Query { kind: QueryKind::Rooms { limit, .. }, .. })) => {
                assert_eq!(limit, given);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_fifth_fetch_is_refused_until_one_has_ended() {
    let mut story = open();
    (1..=4).for_each(|req| story.session.handle_fetch_begun(req));
    let fetch = Fetch { req: 9, ..Fetch::default() };
    assert_eq!(error(&story.send(fetch.clone())), (Code::RateLimited, 9, kind::FETCH));
    story.session.handle_fetch_done(2);
    assert!(matches!(story.send(fetch)[..], [Effect::Query(_)]));
}

#[test]
fn cancel_frees_the_transfers_number_and_is_answered_also_when_none_runs() {
    let mut story = open();
    for req in [5, 6] {
        story.session.handle_fetch_begun(4);
        assert!(matches!(story.send(Cancel { req, transfer: 4 })[..], [Effect::CancelFetch(4, _)]));
        story.notice(Notice::Answered);
    }
    assert!(matches!(story.send(Cancel { req: 4, transfer: 4 })[..], [Effect::CancelFetch(4, _)]));
}

#[test]
fn a_files_name_loses_its_folders_and_a_texts_name_is_ignored() {
    let mut story = open();
    story.send(To { name: "/home/ann\\b.txt", ..To::default() });
    let reference = frame::Media { media_kind: 1, name: "other", ..frame::Media::default() };
    assert_eq!(&*append(story.send(reference)).name, "b.txt");
    story.send(To { name: "a\u{7}b", ..To::default() });
    let text = append(story.send(Text { text: "hi" }));
    assert!(text.content.is_ok() && text.name.is_empty());
}

#[test]
fn reserved_names_are_no_rooms_but_all_can_be_joined() {
    for room in ["assistant", "Guest12", " a", ""] {
        assert_eq!(error(&open().send(Join { req: 1, room, flags: 0 })), (Code::Conflict, 1, kind::JOIN));
    }
    for room in ["all", "ALL", "guests", "harbour"] {
        assert!(matches!(open().send(Join { req: 1, room, flags: 0 })[..], [Effect::Submit(Op::Join(_))]));
    }
}

#[test]
fn frames_that_contradict_themselves_are_malformed() {
    let both = Participants { req: 1, chat: 1, room: "a", ..Participants::default() };
    assert_eq!(ends_with_error(&open().send(both)).0, Code::Malformed);
    assert!(open().send(Chunk::default()).is_empty());
    assert!(open().send(Chunk { bytes: b"x", ..Chunk::default() }).is_empty());
}

#[test]
fn ping_is_answered_with_its_own_bytes() {
    let effects = open().send(Ping { bytes: b"abc" });
    assert!(matches!(&effects[..], [Effect::Urgent(frame)] if frame == b"\x23\0\0\0\x03abc"), "{effects:?}");
}

#[test]
fn a_second_hello_ends_the_connection() {
    assert_eq!(ends_with_error(&open().send(hello())), (Code::Malformed, 0, kind::HELLO));
}

#[test]
fn a_frame_that_cannot_be_parsed_is_answered_by_its_rule() {
    let check = |rule: Rule, code: Code| {
        let mut story = open();
        let error = DecodeError { kind: kind::JOIN, field: "", offset: 0, rule };
        story.session.handle_decode_error(story.now.instant, &error);
        assert_eq!(ends_with_error(&story.drain()), (code, 0, kind::JOIN));
    };
    check(Rule::EndsInside, Code::Malformed);
    check(Rule::OverLimit { limit: 1 }, Code::Malformed);
    check(Rule::FarOverLimit { limit: 1 }, Code::TooLarge);
    check(Rule::HelloFirst, Code::HelloExpected);
    check(Rule::ContentExpected, Code::Malformed);
}

#[test]
fn with_too_many_messages_in_flight_nothing_more_is_wanted() {
    let mut story = open();
    for _ in 0..IN_FLIGHT {
        assert!(story.session.wants_input());
        story.send(Text { text: "hi" });
    }
    assert!(!story.session.wants_input());
    story.session.handle_answered(1);
    assert!(story.session.wants_input());
}

#[test]
fn a_body_is_kept_and_becomes_a_message_when_its_file_is_done() {
    let mut story = open();
    story.send(To { nonce: 3, name: "v.mp3", ..To::default() });
    let start = Event::BodyStart { kind: kind::VOICE, size: 9 };
    assert!(matches!(story.event(start)[..], [Effect::OpenBody { kind: MediaKind::Voice, size: 9, .. }]));
    assert!(matches!(story.event(Event::BodyEnd)[..], [Effect::CloseBody]));
    assert!(!story.session.wants_input());
    story.session.handle_body(Ok(media()));
    let message = append(story.drain());
    assert_eq!((message.nonce, &*message.name, message.about), (3, "v.mp3", kind::VOICE));
    assert!(matches!(message.content, Ok(Content::Media(_))));
    assert!(story.session.wants_input());
}

#[test]
fn a_body_that_is_whole_becomes_a_message_though_the_server_stops() {
    let mut story = open();
    story.event(Event::BodyStart { kind: kind::VOICE, size: 9 });
    story.event(Event::BodyEnd);
    assert!(story.notice(Notice::Shutdown).is_empty());
    story.session.handle_body(Ok(media()));
    assert!(append(story.drain()).content.is_ok());
    story.session.handle_answered(1);
    assert!(matches!(story.drain()[..], [Effect::Mute, Effect::Finish(_)]));
}

fn media() -> Media {
    Media {
        id: MediaId([1; 32]),
        kind: MediaKind::Voice,
        size: 9,
        mime: "audio/mpeg".into(),
        duration_ms: 0,
        width: 0,
        height: 0,
    }
}

#[test]
fn outside_the_hours_only_copies_are_confirmed() {
    let mut rules = rules();
    rules.policy.hours = "13:00-14:00".parse().unwrap();
    let mut story = open_by(rules);
    let message = append(story.send(Text { text: "hi" }));
    assert_eq!(message.refused.map(|refusal| refusal.code), Some(Code::OutsideHours));
    // Without a nonce a body cannot be a copy, so it is not even kept.
    let start = Event::BodyStart { kind: kind::VIDEO, size: 9 };
    assert_eq!(refused(append(story.event(start.clone()))), Code::OutsideHours);
    assert!(story.event(Event::BodyEnd).is_empty());
    story.send(To { nonce: 3, ..To::default() });
    assert!(matches!(story.event(start)[..], [Effect::OpenBody { .. }]));
}

#[test]
fn a_removal_is_a_change_that_waits_for_what_was_sent_before_it() {
    let mut story = open();
    story.send(Text { text: "oops" });
    assert!(story.send(Delete { req: 4, chat: ROOM.0, seq: 9 }).is_empty());
    story.session.handle_answered(1);
    let effects = story.drain();
    let removal = store::Delete { conn: ConnId(1), user: USER, req: 4, chat: ROOM, seq: 9 };
    assert!(matches!(effects[..], [Effect::Submit(Op::Delete(delete))] if delete == removal), "{effects:?}");
    assert!(!story.session.wants_input());
    story.notice(Notice::Answered);
    assert!(story.session.wants_input());
    let effects = story.send(Delete { req: 0, chat: ROOM.0, seq: 9 });
    assert_eq!(ends_with_error(&effects), (Code::Malformed, 0, kind::DELETE));
}

#[test]
fn a_search_is_a_query_of_its_words_and_place() {
    let query = |search: Search<'_>| match open().send(search).into_iter().next() {
        Some(Effect::Query(Query { req: 9, user: USER, kind })) => kind,
        other => panic!("no query: {other:?}"),
    };
    let search = Search { req: 9, query: "tea time", ..Search::default() };
    let none = (0, ChatId(0), 0);
    let kind = QueryKind::Search { chat: None, query: "tea time".into(), before: none, limit: 200 };
    assert_eq!(query(search.clone()), kind);
    let on = Search { chat: ROOM.0, before: 5, before_chat: 6, before_at: 7, limit: 3, ..search };
    let before = (7, ChatId(6), 5);
    let kind = QueryKind::Search { chat: Some(ROOM), query: "tea time".into(), before, limit: 3 };
    assert_eq!(query(on), kind);
}

#[test]
fn a_search_of_too_many_bytes_is_refused_and_not_fatal() {
    let mut story = open();
    let query = "a".repeat(257);
    let effects = story.send(Search { req: 9, query: &query, ..Search::default() });
    assert_eq!(error(&effects), (Code::TooLarge, 9, kind::SEARCH));
    assert!(story.session.wants_input());
    let effects = story.send(Search { req: 10, query: &query[1..], ..Search::default() });
    assert!(matches!(effects[..], [Effect::Query(_)]), "{effects:?}");
}
