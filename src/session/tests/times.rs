//! Deadlines, silence and the end.

use super::*;
use crate::session::ending::DRAIN;

#[test]
fn no_hello_in_time_ends_the_connection() {
    let mut story = story();
    assert!(story.wait(10 * SECOND - Duration::from_millis(1)).is_empty());
    let effects = story.wait(Duration::from_millis(1));
    assert_eq!(ends_with_error(&effects), (Code::Timeout, 0, delivery::ABOUT_NOTHING));
}

#[test]
fn silence_leads_to_a_ping_and_further_silence_to_the_end() {
    let mut story = open();
    assert!(matches!(story.wait(30 * SECOND)[..], [Effect::Ping(_)]));
    // The second spell begins when the PING was really written.
    assert!(story.wait(100 * SECOND).is_empty());
    story.session.handle_ping_sent(story.now.instant);
    assert!(story.wait(29 * SECOND).is_empty());
    assert_eq!(ends_with_error(&story.wait(SECOND)).0, Code::Timeout);
}

#[test]
fn any_byte_ends_the_silence() {
    let mut story = open();
    story.wait(30 * SECOND);
    story.session.handle_ping_sent(story.now.instant);
    story.wait(29 * SECOND);
    story.read(1, true, false);
    assert!(story.wait(29 * SECOND).is_empty());
    assert!(matches!(story.wait(SECOND)[..], [Effect::Ping(_)]));
}

#[test]
fn a_client_that_is_not_read_from_is_not_silent() {
    let mut story = open();
    story.session.handle_reading(story.now.instant, false);
    assert!(story.wait(100 * SECOND).is_empty());
    story.session.handle_reading(story.now.instant, true);
    assert!(story.wait(29 * SECOND).is_empty());
    assert!(matches!(story.wait(SECOND)[..], [Effect::Ping(_)]));
}

#[test]
fn a_frame_that_stands_still_ends_the_connection() {
    let mut story = open_by(Rules { heartbeat: 1000 * SECOND, ..rules() });
    story.read(3, false, true);
    assert!(story.wait(29 * SECOND).is_empty());
    story.read(1, false, true);
    assert!(story.wait(29 * SECOND).is_empty());
    assert_eq!(ends_with_error(&story.wait(SECOND)).0, Code::Timeout);
}

#[test]
fn a_frame_that_crawls_ends_the_connection_and_one_that_walks_does_not() {
    let after_a_minute = |bytes_per_sec: usize| {
        let mut story = open_by(Rules { heartbeat: 1000 * SECOND, ..rules() });
        let mut effects = Vec::new();
        for _ in 0..=60 {
            story.read(bytes_per_sec, false, true);
            effects.extend(story.wait(SECOND));
        }
        effects
    };
    assert_eq!(ends_with_error(&after_a_minute(1000)).0, Code::Timeout);
    assert!(after_a_minute(1100).is_empty());
}

#[test]
fn whole_frames_may_come_as_slowly_as_they_like() {
    let mut story = open();
    for _ in 0..100 {
        story.read(5, true, false);
        assert!(story.wait(29 * SECOND).is_empty());
    }
}

#[test]
fn a_reader_that_stands_still_is_let_go_without_words() {
    let mut story = open_by(Rules { heartbeat: 1000 * SECOND, ..rules() });
    story.session.handle_written(story.now.instant, true);
    assert!(story.wait(299 * SECOND).is_empty());
    let effects = story.wait(SECOND);
    assert!(matches!(effects[..], [Effect::Abandon]), "{effects:?}");
}

#[test]
fn a_fatal_error_waits_for_the_answers_to_what_came_before_it() {
    let mut story = open();
    story.send(Text { text: "hi" });
    assert!(story.send(hello()).is_empty());
    assert!(!story.session.wants_input());
    story.session.handle_answered(1);
    assert_eq!(ends_with_error(&story.drain()).0, Code::Malformed);
}

#[test]
fn a_fatal_error_waits_two_seconds_at_most() {
    let mut story = open();
    story.send(Text { text: "hi" });
    story.send(hello());
    assert!(story.wait(Duration::from_millis(1999)).is_empty());
    assert_eq!(ends_with_error(&story.wait(Duration::from_millis(1))).0, Code::Malformed);
}

#[test]
fn bye_is_answered_when_all_before_it_is() {
    let check = |end: fn(&mut Story) -> Vec<Effect>, code: u8| {
        let mut story = open();
        story.send(Text { text: "hi" });
        assert!(end(&mut story).is_empty());
        story.session.handle_answered(1);
        match &story.drain()[..] {
            [Effect::Mute, Effect::Finish(last)] => assert_eq!((last[0], last[6]), (kind::BYE, code)),
            other => panic!("{other:?}"),
        }
    };
    check(|story| story.send(Bye::default()), 0);
    check(|story| story.notice(Notice::Shutdown), 1);
    check(
        |story| {
            story.session.handle_eof();
            story.drain()
        },
        0,
    );
}

#[test]
fn an_end_waits_for_the_request_under_way() {
    let mut story = open();
    story.send(Rooms { req: 1, ..Rooms::default() });
    assert!(story.notice(Notice::Shutdown).is_empty());
    assert!(matches!(story.notice(Notice::Answered)[..], [Effect::Mute, Effect::Finish(_)]));
}

#[test]
fn frames_that_end_in_time_may_be_cut_anywhere() {
    let mut story = open_by(Rules { heartbeat: 1000 * SECOND, ..rules() });
    for _ in 0..200 {
        // The end of one frame and the beginning of the next, at 500 bytes a second.
        story.read(500, true, true);
        assert!(story.wait(SECOND).is_empty());
    }
}

#[test]
fn half_a_body_is_forgotten_when_the_server_stops() {
    let mut story = open();
    story.event(Event::BodyStart { kind: kind::FILE, size: 9 });
    assert!(matches!(story.notice(Notice::Shutdown)[..], [Effect::Mute, Effect::Finish(_)]));
}

#[test]
fn bye_waits_for_the_answers_however_long_they_take() {
    let mut story = open();
    story.send(Text { text: "hi" });
    story.send(Bye::default());
    assert!(story.wait(1000 * SECOND).is_empty());
    story.session.handle_answered(1);
    assert!(matches!(story.drain()[..], [Effect::Mute, Effect::Finish(_)]));
}

#[test]
fn nothing_comes_of_a_connection_that_was_given_up() {
    let mut story = open();
    story.session.handle_written(story.now.instant, true);
    story.wait(299 * SECOND);
    story.read(1, false, true);
    assert!(matches!(story.wait(SECOND)[..], [Effect::Abandon]));
    assert!(story.wait(1000 * SECOND).is_empty());
}

#[test]
fn a_server_that_stops_waits_no_longer_for_those_that_are_ending_already() {
    let mut story = open();
    story.send(Text { text: "hi" });
    story.send(Bye::default());
    assert!(story.notice(Notice::Shutdown).is_empty());
    assert!(story.wait(DRAIN - Duration::from_millis(1)).is_empty());
    assert!(matches!(story.wait(Duration::from_millis(1))[..], [Effect::Mute, Effect::Finish(_)]));
}

#[test]
fn a_connection_that_reads_too_little_of_what_must_not_be_dropped_ends() {
    assert_eq!(ends_with_error(&open().notice(Notice::Overrun)).0, Code::Timeout);
}

#[test]
fn the_end_of_the_server_does_not_wait_for_who_reads_nothing() {
    let mut story = open();
    let effects = story.notice(Notice::Shutdown);
    assert!(matches!(effects[..], [Effect::Mute, Effect::Finish(_)]), "{effects:?}");
    assert!(story.wait(DRAIN + LEAVE - Duration::from_millis(1)).is_empty());
    assert!(matches!(story.wait(Duration::from_millis(1))[..], [Effect::Abandon]));

    // Who was to be answered first has no longer than that.
    let mut story = open();
    story.send(Text { text: "hello" });
    assert!(story.notice(Notice::Shutdown).is_empty());
    let effects = story.wait(DRAIN + LEAVE);
    assert!(matches!(effects[..], [Effect::Mute, Effect::Finish(_), Effect::Abandon]), "{effects:?}");

    // Nor has who was about to go by itself.
    let mut story = open();
    story.send(Bye::default());
    assert!(story.wait(100 * SECOND).is_empty());
    story.notice(Notice::Shutdown);
    assert!(matches!(story.wait(DRAIN + LEAVE)[..], [Effect::Abandon]));
}

#[test]
fn who_is_kicked_or_banned_is_gone_soon_whatever_they_read() {
    let banned = Notice::Banned(Refusal::new(Code::Banned, "noise"));
    for notice in [Notice::Kicked, banned] {
        let mut story = open();
        story.notice(notice);
        assert!(matches!(story.wait(FATAL_DRAIN + LEAVE)[..], [Effect::Abandon]));
    }
}
