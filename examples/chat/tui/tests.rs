//! What is shown, on a terminal of the test's own.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use super::draw::draw;
use super::keys::{Meaning, pressed};
use super::model::{Model, Wish};
use chatwire_client::frame::Status;
use chatwire_client::{
    Chat, Code, Content, Error, Event as Told, Gone, MediaKind, MediaRef, Member, Message, News, Page,
    Presence, Refusal, Reply, State, Typing, Welcome,
};
use chrono_tz::Tz;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use std::time::{Duration, Instant};

const ME: u64 = 20;
const HOME: u64 = 70;
const ROOM: u64 = 7;

/// All that a terminal obeys, and what hides or turns text.
const HOSTILE: &str = "a\x1b[2Jb\x07c\u{9b}31md\u{202E}e\u{200B}f\rg\x08h\u{2028}i\x7fj";

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        user: ME,
        user_name: "ann".into(),
        session: 1,
        at: 0,
        epoch: 5,
        heartbeat: 30,
        max_text: 1000,
        max_media: 1000,
        inline_limit: 0,
        home: HOME,
        token: "t0ken".into(),
    }
}

fn said(chat: u64, seq: u64, user: u64, text: &str) -> Message {
    let (name, content) = (String::new(), Content::Text(text.into()));
    let user_name = if user == ME { "ann" } else { "bo" }.into();
    Message { chat, seq, at: 0, user, user_name, nonce: 0, reply_to: 0, name, content }
}

fn picture(name: &str) -> MediaRef {
    MediaRef {
        kind: MediaKind::Image,
        media: [1; 32],
        size: 348_160,
        mime: "image/png".into(),
        name: name.into(),
        duration_ms: 0,
        width: 0,
        height: 0,
    }
}

fn refusal(code: Code) -> Refusal {
    Refusal { number: code as u16, about: 0, text: HOSTILE.into(), retry_ms: 0 }
}

/// A model that is online, in a room.
fn online() -> Model {
    let mut model = Model::new();
    model.news(News::State(State::Online(welcome())), Instant::now());
    model.entitle(ROOM, super::chats::Kind::Room, "harbour");
    model.show(ROOM);
    model.take_wishes();
    model
}

/// The rows of a terminal of this size.
fn shown(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model, Tz::UTC, Instant::now())).expect("drawn");
    let buffer = terminal.backend().buffer();
    (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>()).collect()
}

fn has(rows: &[String], text: &str) -> bool {
    // Behind a wide character stands an empty cell.
    rows.iter().any(|row| row.contains(text) || row.replace(' ', "").contains(&text.replace(' ', "")))
}

fn press(model: &mut Model, code: KeyCode) -> Meaning {
    pressed(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), model, Instant::now())
}

#[test]
fn nothing_that_others_send_reaches_the_terminal_raw() {
    let now = Instant::now();
    let mut model = online();
    let hostile = || Message { user_name: HOSTILE.into(), name: HOSTILE.into(), ..said(ROOM, 1, 2, HOSTILE) };
    let reply = Reply { text: HOSTILE.into(), attachments: vec![picture(HOSTILE)], ..Reply::default() };
    for (seq, content) in [
        (1, Content::Text(HOSTILE.into())),
        (2, Content::Media(picture(HOSTILE))),
        (3, Content::Reply(reply)),
        (4, Content::Gone),
        (5, Content::Unknown(9)),
    ] {
        model.news(News::Message(Message { seq, content, ..hostile() }), now);
    }
    let listed = |chat, kind| Chat { chat, kind, title: HOSTILE.into(), last_seq: 9, read_seq: 1 };
    model.listed(Ok(vec![listed(8, 3), listed(9, 2), listed(10, 1)]));
    let name = || HOSTILE.to_owned();
    model.news(
        News::Event(Told::Member(Member { chat: ROOM, change: 1, user: 3, user_name: name(), at: 0 })),
        now,
    );
    model.news(News::Event(Told::Typing(Typing { chat: ROOM, on: true, user: 3, user_name: name() })), now);
    model.news(
        News::Event(Told::Presence(Presence { presence: 1, user: 3, user_name: name(), last_seen: 0 })),
        now,
    );
    model.news(News::Event(Told::ServerError(refusal(Code::Internal))), now);
    model.news(News::Forgotten { chat: 10, why: refusal(Code::NotFound) }, now);
    model.not_sent(|_, _| true, &Error::Refused(refusal(Code::Forbidden)));
    model.progress(1, HOSTILE, 1, 2);
    model.older(
        ROOM,
        Ok(Page { chat: ROOM, first_seq: 1, last_seq: 5, more: false, messages: vec![hostile()] }),
    );
    let end = Error::Refused(refusal(Code::Banned));
    for state in [
        State::Online(Welcome { user_name: name(), ..welcome() }),
        State::Waiting { pause: Duration::from_secs(3), why: end.clone() },
        State::Failed(end),
        State::Connecting { address: name() },
    ] {
        model.news(News::State(state), now);
        for (width, height) in [(20, 8), (80, 24), (200, 60)] {
            for row in shown(&mut model, width, height) {
                let raw = |c: &char| {
                    c.is_control() || matches!(c, '\u{200B}' | '\u{2028}' | '\u{202E}' | '\u{7f}'..='\u{9f}')
                };
                assert_eq!(row.chars().find(raw), None, "{row:?}");
            }
        }
    }
}

#[test]
fn chats_are_listed_with_what_is_unread_and_looking_reads_them() {
    let mut model = online();
    model.news(News::Message(said(HOME, 1, 1, "hello")), Instant::now());
    let rows = shown(&mut model, 80, 24);
    assert!(rows[0].starts_with("⌂ home              1"), "{rows:#?}");
    assert!(rows[1].starts_with("# harbour"), "{rows:#?}");
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.current, HOME);
    assert!(model.take_wishes().contains(&Wish::Read { chat: HOME, seq: 1 }));
    assert!(!shown(&mut model, 80, 24)[0].contains('1'), "read");
}

#[test]
fn a_server_without_lists_and_reading_is_asked_once() {
    let mut model = online();
    model.listed(Err(Error::Refused(refusal(Code::Unsupported))));
    model.reading(&Err(Error::Refused(refusal(Code::Unsupported))));
    model.take_wishes();
    model.news(News::State(State::Online(welcome())), Instant::now());
    model.news(News::Message(said(ROOM, 1, 2, "hi")), Instant::now());
    assert_eq!(model.take_wishes(), []);
    // A chat that the server cannot name has the name of who speaks there.
    model.news(News::Message(said(99, 1, 2, "psst")), Instant::now());
    assert!(has(&shown(&mut model, 80, 24), "○ bo"));
}

#[test]
fn older_messages_are_asked_for_at_the_top_once_and_stand_before_the_others() {
    let mut model = online();
    for seq in 31..=60 {
        model.news(News::Message(said(ROOM, seq, 2, &format!("message {seq}"))), Instant::now());
    }
    let page = |from: u64, to: u64, more| {
        let messages = (from..=to).map(|seq| said(ROOM, seq, 2, &format!("message {seq}"))).collect();
        Ok(Page { chat: ROOM, first_seq: 1, last_seq: 60, more, messages })
    };
    // The newest page, which was asked for when the room was entered, overlaps.
    model.older(ROOM, page(21, 50, true));
    shown(&mut model, 80, 24);
    model.take_wishes();
    for _ in 0..6 {
        press(&mut model, KeyCode::PageUp);
        shown(&mut model, 80, 24);
    }
    assert_eq!(model.take_wishes(), [Wish::Older { chat: ROOM, before: 21 }]);
    model.older(ROOM, page(1, 20, false));
    for _ in 0..6 {
        press(&mut model, KeyCode::PageUp);
        shown(&mut model, 80, 24);
    }
    let rows = shown(&mut model, 80, 24);
    assert!(has(&rows[..3], "message 1") && has(&rows[..4], "message 2"), "{rows:#?}");
    let older = |wish: &Wish| matches!(wish, Wish::Older { .. });
    assert!(!model.take_wishes().iter().any(older), "there are none");
}

#[test]
fn what_is_unsent_is_shown_until_its_message_comes_in_either_order() {
    for taken_first in [true, false] {
        let mut model = online();
        let id = model.say("good morning");
        assert!(has(&shown(&mut model, 80, 24), "…   you: good morning"));
        let mine = Message { nonce: 99, ..said(ROOM, 1, ME, "good morning") };
        if taken_first {
            model.taken(id, 99);
        }
        model.news(News::Message(mine), Instant::now());
        model.taken(id, 99);
        let rows = shown(&mut model, 80, 24);
        assert_eq!(rows.iter().filter(|row| row.contains("good morning")).count(), 1, "{rows:#?}");
        assert!(has(&rows, "00:00 you: good morning"));
    }
}

#[test]
fn a_refusal_takes_the_message_away_and_says_why() {
    let mut model = online();
    let id = model.say("good morning");
    model.taken(id, 99);
    let answer: Result<Status, Error> = Err(Error::Refused(refusal(Code::Forbidden)));
    model.news(News::Answered { nonce: 99, answer }, Instant::now());
    let rows = shown(&mut model, 160, 24);
    assert!(has(&rows, "Not sent. “good morning”: You may not do that here."), "{rows:#?}");
    assert!(!has(&rows, "you: good morning"));
}

#[test]
fn a_lost_connection_is_shown_with_its_reason_and_the_time_left() {
    let mut model = online();
    let why = Error::TimedOut("connecting");
    let now = Instant::now();
    model.news(News::State(State::Waiting { pause: Duration::from_secs(3), why }), now);
    let rows = shown(&mut model, 80, 24);
    assert!(rows[22].contains("reconnecting in 3 s: the server did not answer in time"), "{rows:#?}");
    model.news(News::State(State::Online(welcome())), now);
    assert!(shown(&mut model, 80, 24)[22].contains("online as ann"));
}

#[test]
fn every_size_can_be_drawn_with_wide_characters_and_help() {
    let mut model = online();
    model.news(
        News::Message(said(ROOM, 1, 2, "早上好，東京 🌍 e\u{301} and a long line that is wrapped")),
        Instant::now(),
    );
    model.editor.paste("東京の天気は晴れ");
    for help in [false, true] {
        model.help = help;
        for (width, height) in (1..100).step_by(7).flat_map(|w| (1..40).step_by(5).map(move |h| (w, h))) {
            assert_eq!(shown(&mut model, width, height).len(), usize::from(height));
        }
    }
    model.help = false;
    let rows = shown(&mut model, 80, 24);
    assert!(has(&rows, "早上好，東京"), "{rows:#?}");
    assert!(has(&rows[23..], "> 東京の天気は晴れ"), "{rows:#?}");
}

#[test]
fn a_line_goes_with_enter_and_others_are_told_that_it_is_written() {
    let mut model = online();
    for c in "hi".chars() {
        press(&mut model, KeyCode::Char(c));
    }
    assert_eq!(press(&mut model, KeyCode::Enter), Meaning::Line("hi".into()));
    let typing = |on| Wish::Typing { chat: ROOM, on };
    assert_eq!(model.take_wishes(), [typing(true), typing(false)]);
    for c in "/who".chars() {
        press(&mut model, KeyCode::Char(c));
    }
    assert_eq!(model.take_wishes(), [], "a command is nothing that others wait for");
    let leave = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(pressed(&Event::Key(leave), &mut model, Instant::now()), Meaning::Leave);
}

#[test]
fn a_removed_message_is_shown_as_removed_at_once_and_keeps_its_number() {
    let mut model = online();
    for (seq, text) in [(1, "good morning"), (2, "my secret"), (3, "good night")] {
        model.news(News::Message(said(ROOM, seq, 2, text)), Instant::now());
    }
    model.numbers = true;
    assert!(has(&shown(&mut model, 80, 24), "#2 00:00 bo: my secret"));
    for seq in [2, 9] {
        model.news(News::Event(Told::Gone(Gone { chat: ROOM, seq })), Instant::now());
        model.news(News::Event(Told::Gone(Gone { chat: 999, seq })), Instant::now());
    }
    let rows = shown(&mut model, 80, 24);
    assert!(has(&rows, "#2 00:00 bo: (removed)") && !has(&rows, "secret"), "{rows:#?}");
    assert!(has(&rows, "#3 00:00 bo: good night"), "{rows:#?}");
    // So is one that is removed by oneself.
    model.removed(ROOM, 3);
    model.numbers = false;
    let rows = shown(&mut model, 80, 24);
    assert!(has(&rows, "   00:00 bo: (removed)") && !has(&rows, "good night"), "{rows:#?}");
}

#[test]
fn a_picture_has_a_number_to_be_saved_by() {
    let mut model = online();
    let content = Content::Media(picture("harbour.png"));
    model.news(News::Message(Message { content, ..said(ROOM, 1, 2, "") }), Instant::now());
    assert!(has(&shown(&mut model, 80, 24), "bo: [1] picture harbour.png 348.1 kB - /save 1"));
    assert_eq!(model.media(1).map(|media| media.name.as_str()), Some("harbour.png"));
    assert_eq!((model.media(0), model.media(2)), (None, None));
}
