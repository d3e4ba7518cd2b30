//! `limits.messages_per_sec`.

use super::*;
use crate::policy::rate::Rate;

const RATE: Option<Rate> = Some(Rate::new(4, Duration::from_millis(250)));

fn limited() -> Story {
    open_by(Rules { messages: RATE, ..rules() })
}

fn say(story: &mut Story) -> Append {
    append(story.send(Text { text: "hello" }))
}

/// Whether it is taken; its permits are given back.
fn is_taken(story: &mut Story) -> bool {
    let append = say(story);
    story.session.handle_answered(1);
    match append.refused {
        None => true,
        Some(refusal) => {
            assert_eq!(refusal.code, Code::RateLimited);
            assert!(refusal.retry_ms > 0);
            false
        }
    }
}

#[test]
fn a_burst_is_taken_and_then_one_each_while() {
    let mut story = limited();
    let taken = (0..8).filter(|_| is_taken(&mut story)).count();
    assert_eq!(taken, 4);
    story.wait(SECOND / 4);
    assert!(is_taken(&mut story) && !is_taken(&mut story));
}

#[test]
fn who_goes_on_is_not_read_from_for_a_while_and_then_again() {
    let mut story = limited();
    for _ in 0..8 {
        assert!(story.session.wants_input());
        is_taken(&mut story);
    }
    assert!(story.session.wants_input());
    assert!(!is_taken(&mut story));
    assert!(!story.session.wants_input(), "one refusal too many");
    let due = story.session.poll_timeout().unwrap();
    assert_eq!(due - story.now.instant, SECOND / 4);
    story.wait(SECOND / 4);
    assert!(story.session.wants_input());
}

#[test]
fn who_waits_as_it_is_told_to_is_taken_whatever_it_was_refused() {
    let mut story = limited();
    for _ in 0..4 {
        assert!(is_taken(&mut story));
    }
    for _ in 0..4 {
        let refusal = say(&mut story).refused.unwrap();
        story.session.handle_answered(1);
        story.wait(Duration::from_millis(refusal.retry_ms.into()));
        assert!(is_taken(&mut story));
    }
}

#[test]
fn skipped_frames_count_by_their_bytes_and_no_more_than_a_burst() {
    for (size, skips) in [(9, 4), (64 * 1024, 2), (u32::MAX, 1)] {
        let mut story = limited();
        let skip = |story: &mut Story| {
            story.event(Event::Skipped { kind: 0x6F, size, reason: SkipReason::Unknown { req: 1 } })
        };
        for _ in 0..skips {
            assert!(story.session.wants_input(), "{size}");
            skip(&mut story);
        }
        assert!(story.session.wants_input(), "{size}");
        skip(&mut story);
        assert!(!story.session.wants_input(), "{size}");
        story.wait(SECOND);
        assert!(story.session.wants_input(), "{size}");
        // Messages have a rate of their own.
        assert!(is_taken(&mut story));
    }
}

#[test]
fn new_rules_hold_for_who_is_there() {
    let mut story = open();
    for _ in 0..20 {
        assert!(is_taken(&mut story));
    }
    story.notice(Notice::Rules(Arc::new(Rules { messages: RATE, ..rules() })));
    let taken = (0..5).filter(|_| is_taken(&mut story)).count();
    assert_eq!(taken, 4);
}
