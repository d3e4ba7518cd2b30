//! Stories of a client over its connections: what it decides, without any.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use super::*;
use crate::error::{End, Refusal};
use crate::kept::Place;
use crate::limits::{BACKOFF_FIRST, BACKOFF_MOST, STABLE_TIME};
use crate::message::{Content, Message};
use crate::outgoing::{Outgoing, Target};
use crate::request::Joined;
use chatwire_codec::{Code, frame};
use std::time::Duration;

const EPOCH: u64 = 5;
const ME: u64 = 20;
const HOME: u64 = 70;
const CHAT: u64 = 7;

/// A journey, and the clock that it is told of.
struct Story {
    journey: Journey,
    now: Instant,
    seen: Vec<News>,
    /// What was kept, step by step.
    kept: Kept,
}

fn welcome() -> Welcome {
    let frame = frame::Welcome {
        version: 1,
        user: ME,
        epoch: EPOCH,
        home: HOME,
        user_name: "ann",
        token: "t0ken",
        ..frame::Welcome::default()
    };
    frame.into()
}

fn refusal(code: Code, retry_ms: u32) -> Refusal {
    Refusal { number: code as u16, about: 0, text: String::new(), retry_ms }
}

fn text(target: Target, text: &str) -> Parcel {
    Parcel::Message(Outgoing::text(target, text))
}

fn bye(code: u16) -> End {
    End::Bye { code, reason: String::new() }
}

fn message(chat: u64, seq: u64) -> Told {
    let from = frame::From_ { chat, seq, user: 2, ..frame::From_::default() };
    let message = Message { content: Content::Text("hi".into()), ..Message::announced(&from) };
    Told::Event(crate::Event::Message(message))
}

impl Story {
    fn new(options: Options) -> Story {
        Story::with(&["a"], options, Kept::default())
    }

    fn with(addresses: &[&str], options: Options, kept: Kept) -> Story {
        let now = Instant::now();
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let journey = Journey::new(addresses, options, Pace::default(), kept.clone(), 0, now);
        Story { journey, now, seen: Vec::new(), kept }
    }

    fn attempt(&mut self) -> Attempt {
        match self.journey.step(self.now) {
            Step::Connect(attempt) => attempt,
            other => panic!("no attempt: {other:?}"),
        }
    }

    /// Lets the pause pass, and says how long it was.
    fn pause(&mut self) -> Duration {
        let Step::Wait(at) = self.journey.step(self.now) else { return Duration::ZERO };
        let pause = at - self.now;
        self.now = at;
        pause
    }

    fn online(mut self) -> Story {
        self.attempt();
        let greeted = self.journey.welcomed(&welcome(), self.now);
        assert!(matches!(greeted, Greeted::Go { .. }));
        self
    }

    fn told(&mut self, told: Told) {
        self.journey.told(told, self.now);
    }

    fn news(&mut self) -> Vec<News> {
        self.seen.extend(self.journey.take_news());
        self.save();
        std::mem::take(&mut self.seen)
    }

    fn save(&mut self) {
        let changes = self.journey.take_changes();
        changes.iter().for_each(|change| self.kept.apply(change));
        self.journey.saved(&changes);
    }

    fn send(&mut self, parcel: Parcel) -> u64 {
        let nonce = self.journey.send(parcel, 1_000).expect("taken");
        self.save();
        nonce
    }

    fn next_out(&mut self) -> Option<Outgoing> {
        match self.journey.next_parcel(self.now) {
            Next::Parcel(Parcel::Message(message)) => Some(message),
            Next::Nothing => None,
            other => panic!("not a message: {other:?}"),
        }
    }

    fn ended(&mut self, end: End) {
        self.journey.ended(end, self.now, 0);
    }

    fn failed(&mut self, why: Error) {
        self.journey.failed(why, self.now, 0);
    }

    fn joined(&mut self, chat: u64, room: &str, pos: Option<u64>) {
        let joined = Joined { chat, last_seq: 0, room: room.into(), created: false, new_member: true };
        self.told(Told::Joined { joined, pos, left: None });
    }
}

fn seqs(news: &[News]) -> Vec<(u64, u64)> {
    let seq = |news: &News| match news {
        News::Message(message) => Some((message.chat, message.seq)),
        _ => None,
    };
    news.iter().filter_map(seq).collect()
}

fn status(nonce: u64, chat: u64, seq: u64) -> frame::Status {
    frame::Status { nonce, chat, seq, at: 9, duplicate: 0 }
}

#[test]
fn pauses_grow_while_nothing_lasts_and_begin_anew_behind_what_lasted() {
    let mut s = Story::new(Options::default());
    let mut pauses = Vec::new();
    for _ in 0..12 {
        s.attempt();
        s.failed(Error::TimedOut("connecting"));
        pauses.push(s.pause());
    }
    assert_eq!(pauses[..3], [BACKOFF_FIRST / 2, BACKOFF_FIRST, BACKOFF_FIRST * 2]);
    assert_eq!(pauses[11], BACKOFF_MOST / 2);
    // Taken and dropped at once is no success.
    let mut s = s.online();
    s.ended(End::Closed);
    assert_eq!(s.pause(), BACKOFF_MOST / 2);
    let mut s = s.online();
    s.now += STABLE_TIME;
    s.ended(End::Closed);
    assert_eq!(s.pause(), BACKOFF_FIRST / 2);
}

#[test]
fn each_address_is_tried_before_a_pause() {
    let mut s = Story::with(&["a", "b", "c"], Options::default(), Kept::default());
    let mut tried = Vec::new();
    for _ in 0..6 {
        tried.push((s.pause() > Duration::ZERO, s.attempt().address));
        s.failed(Error::TimedOut("connecting"));
    }
    let round = |pause| [(pause, 0), (false, 1), (false, 2)];
    assert_eq!(tried, [round(false), round(true)].concat());
}

#[test]
fn a_client_comes_back_with_its_token_and_asks_for_each_chat_that_it_knows() {
    let mut s = Story::new(Options { name: "ann".into(), ..Options::default() }).online();
    s.told(message(HOME, 4));
    s.joined(CHAT, "harbour", Some(41));
    s.told(message(CHAT, 42));
    s.ended(End::Closed);
    s.pause();
    let attempt = s.attempt();
    assert!(matches!(&attempt.options.login, Login::Token(token) if token.reveal() == "t0ken"));
    let room = |chat, pos, room: &str| Known { chat, pos: Some(pos), room: room.into() };
    assert_eq!(attempt.known, [room(CHAT, 42, "harbour"), room(HOME, 4, "")]);
}

#[test]
fn a_registered_user_enters_no_room_again() {
    let login = Login::Password("secret".into());
    let mut s = Story::new(Options { login, ..Options::default() }).online();
    s.joined(CHAT, "harbour", Some(41));
    s.ended(End::Closed);
    s.pause();
    assert_eq!(s.attempt().known, [Known { chat: CHAT, pos: Some(41), room: String::new() }]);
}

#[test]
fn what_is_not_confirmed_goes_again_with_its_nonce_and_its_chat() {
    let mut s = Story::new(Options::default()).online();
    s.joined(CHAT, "harbour", Some(0));
    let nonces = [s.send(text(Target::Current, "one")), s.send(text(Target::User("bo".into()), "two"))];
    let first: Vec<_> = std::iter::from_fn(|| s.next_out()).collect();
    assert_eq!(first.iter().map(|m| m.nonce).collect::<Vec<_>>(), nonces);
    assert_eq!(first[0].target, Target::Chat(CHAT));
    s.told(Told::Stored { status: status(nonces[0], CHAT, 1), in_place: true });
    s.ended(End::Closed);
    assert!(s.next_out().is_none(), "nobody is there");
    s.pause();
    let mut s = s.online();
    assert_eq!(s.next_out().as_ref(), Some(&first[1]));
    assert!(s.next_out().is_none());
    let news = s.news();
    assert_eq!(seqs(&news), [(CHAT, 1)], "one's own message, where it stands");
    assert!(s.kept.unsent.iter().map(Parcel::nonce).eq([nonces[1]]));
}

#[test]
fn what_was_sent_before_the_first_welcome_goes_home_on_every_connection() {
    let mut s = Story::new(Options::default());
    let nonce = s.send(text(Target::Current, "early"));
    let mut s = s.online();
    let home = Outgoing { nonce, ..Outgoing::text(Target::Chat(HOME), "early") };
    assert_eq!(s.next_out(), Some(home.clone()));
    s.joined(CHAT, "harbour", Some(0));
    s.ended(End::Closed);
    s.pause();
    assert_eq!(s.online().next_out(), Some(home));
}

#[test]
fn nothing_goes_out_before_it_is_kept_nor_overtakes_what_is_not() {
    let mut s = Story::new(Options::default()).online();
    let first = s.journey.send(text(Target::Current, "one"), 1_000).expect("taken");
    assert!(s.next_out().is_none());
    let unsaved = s.journey.take_changes();
    s.send(text(Target::Current, "two"));
    assert!(s.next_out().is_none(), "the second is kept, the first is not");
    s.journey.saved(&unsaved);
    assert_eq!(s.next_out().expect("kept").nonce, first);
}

#[test]
fn a_later_run_goes_on_where_the_last_one_stood() {
    let mut s = Story::new(Options::default()).online();
    s.joined(CHAT, "harbour", Some(41));
    let nonce = s.send(text(Target::Current, "unsent"));
    for seq in [42, 43] {
        s.told(message(CHAT, seq));
    }
    s.journey.taken(CHAT, 42);
    s.save();
    let mut s = Story::with(&["a"], Options::default(), s.kept);
    // Message 43 was handed out and not dealt with: it comes again.
    let attempt = s.attempt();
    assert_eq!(attempt.known, [Known { chat: CHAT, pos: Some(42), room: "harbour".into() }]);
    assert!(matches!(attempt.options.login, Login::Token(_)));
    s.journey.welcomed(&welcome(), s.now);
    assert_eq!(s.next_out().expect("unsent").nonce, nonce);
}

#[test]
fn another_epoch_makes_all_void_and_says_so() {
    let mut s = Story::new(Options::default()).online();
    s.joined(CHAT, "harbour", Some(41));
    let nonce = s.send(text(Target::Current, "unsent"));
    s.ended(End::Closed);
    s.pause();
    s.attempt();
    s.news();
    let restored = Welcome { epoch: EPOCH + 1, ..welcome() };
    assert_eq!(s.journey.welcomed(&restored, s.now), Greeted::Drop, "SYNCs were pipelined");
    match &s.news()[..] {
        [News::Anew(Anew::Restored), News::Answered { nonce: n, answer: Err(Error::Void(_)) }] => {
            assert_eq!(*n, nonce);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(s.kept.unsent, []);
    assert_eq!(s.kept.places.len(), 0);
    let attempt = s.attempt();
    assert_eq!((attempt.known.len(), matches!(attempt.options.login, Login::Token(_))), (0, true));
    assert!(matches!(s.journey.welcomed(&restored, s.now), Greeted::Go { .. }));
    assert!(s.next_out().is_none());
}

#[test]
fn a_refused_token_falls_back_to_what_the_options_say_and_says_so() {
    let mut s = Story::new(Options { name: "ann".into(), ..Options::default() }).online();
    s.joined(CHAT, "harbour", Some(41));
    s.ended(End::Closed);
    s.pause();
    s.attempt();
    s.failed(Error::Refused(refusal(Code::Unauthenticated, 0)));
    assert!(s.news().iter().any(|news| matches!(news, News::TokenRefused(_))));
    let attempt = s.attempt();
    assert!(matches!(attempt.options.login, Login::Guest));
    assert_eq!((attempt.options.name.as_str(), attempt.known.len()), ("ann", 0));
    // The name is held by the guest that this client was.
    s.failed(Error::Refused(refusal(Code::Conflict, 0)));
    assert_eq!(s.attempt().options.name, "");
    let other = Welcome { user: ME + 1, token: "an0ther".into(), ..welcome() };
    s.journey.welcomed(&other, s.now);
    assert!(s.news().iter().any(|news| matches!(news, News::Anew(Anew::OtherUser))));
    assert_eq!(s.kept.identity.as_ref().map(|me| me.token.reveal()), Some("an0ther"));
}

#[test]
fn a_fatal_answer_ends_the_trying_and_keeps_what_is_unsent() {
    for code in [Code::Unauthenticated, Code::Banned, Code::BadVersion, Code::BadTimezone, Code::Conflict] {
        let mut s = Story::new(Options::default());
        s.send(text(Target::Current, "unsent"));
        s.attempt();
        s.failed(Error::Refused(refusal(code, 0)));
        assert!(matches!(s.journey.step(s.now), Step::Over), "{code:?}");
        let failed =
            |news: &News| matches!(news, News::State(State::Failed(why)) if why.code() == Some(code));
        assert!(s.news().iter().any(failed), "{code:?}");
        assert_eq!(s.journey.send(text(Target::Current, "more"), 0).expect_err("over").code(), Some(code));
        assert_eq!(s.kept.unsent.len(), 1);
    }
    for end in [bye(2), bye(3), End::Refused(refusal(Code::Malformed, 0)), bye(460)] {
        let mut s = Story::new(Options::default()).online();
        s.ended(end.clone());
        assert!(matches!(s.journey.step(s.now), Step::Over), "{end}");
    }
}

#[test]
fn what_goes_by_itself_is_tried_again_when_the_server_says() {
    for (code, retry_ms) in [(Code::Busy, 5_000), (Code::RateLimited, 90_000), (Code::Timeout, 0)] {
        let mut s = Story::with(&["a", "b"], Options::default(), Kept::default());
        s.attempt();
        s.failed(Error::Refused(refusal(code, retry_ms)));
        if retry_ms > 0 {
            assert!(s.pause() >= Duration::from_millis(retry_ms.into()), "{code:?}");
        }
        s.attempt();
    }
    for random in [0, 1 << 40, u64::MAX] {
        let mut s = Story::new(Options::default()).online();
        s.journey.ended(bye(1), s.now, random);
        let pause = s.pause();
        assert!(pause >= Duration::from_secs(1) && pause <= Duration::from_secs(10), "{pause:?}");
    }
}

#[test]
fn a_guest_whose_first_answer_was_lost_comes_as_another() {
    let mut s = Story::new(Options { name: "ann".into(), ..Options::default() });
    s.attempt();
    // The server may have made "ann", and nobody has her token.
    s.failed(Error::Disconnected(End::Closed));
    s.pause();
    s.attempt();
    s.failed(Error::Refused(refusal(Code::Conflict, 0)));
    assert_eq!(s.attempt().options.name, "");
}

#[test]
fn what_is_too_fast_goes_again_later_and_other_refusals_are_told() {
    let mut s = Story::new(Options::default()).online();
    let nonces = [s.send(text(Target::Current, "one")), s.send(text(Target::Current, "two"))];
    let sent = [s.next_out(), s.next_out()];
    s.told(Told::Refused { nonce: nonces[0], refusal: refusal(Code::RateLimited, 2_000) });
    assert_eq!(s.journey.next_parcel(s.now), Next::At(s.now + Duration::from_secs(2)));
    s.now += Duration::from_secs(2);
    assert_eq!(s.next_out(), sent[0]);
    s.news();
    s.told(Told::Refused { nonce: nonces[1], refusal: refusal(Code::Forbidden, 0) });
    match &s.news()[..] {
        [News::Answered { nonce, answer: Err(why) }] => {
            assert_eq!((*nonce, why.code()), (nonces[1], Some(Code::Forbidden)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_goes_alone_and_one_that_breaks_off_here_is_not_tried_again() {
    let mut s = Story::new(Options::default()).online();
    let file = crate::OutgoingFile::new(Target::Current, "/tmp/a.png");
    let nonce = s.send(Parcel::File(file));
    s.send(text(Target::Current, "behind"));
    assert!(matches!(s.journey.next_parcel(s.now), Next::Parcel(Parcel::File(_))));
    assert!(s.next_out().is_none());
    s.news();
    let problem = crate::Problem::from(&std::io::Error::other("gone"));
    s.ended(End::File(problem));
    assert!(
        matches!(&s.news()[..], [News::Answered { nonce: n, answer: Err(_) }, News::State(_)] if *n == nonce)
    );
    s.pause();
    let mut s = s.online();
    assert!(s.next_out().is_some());
}

#[test]
fn what_retention_took_is_said_and_a_chat_that_is_lost_is_forgotten() {
    let place = |pos| Place { pos: Some(pos), room: String::new() };
    let kept = Kept { places: [(CHAT, place(3)), (HOME, place(5))].into(), ..Kept::default() };
    let login = Login::Token("t0ken".into());
    let mut s = Story::with(&["a"], Options { login, ..Options::default() }, kept).online();
    s.news();
    s.told(Told::Synced { chat: CHAT, after: 3, pos: 10 });
    s.told(Told::Lost { chat: HOME, refusal: refusal(Code::NotFound, 0) });
    match &s.news()[..] {
        [News::Missed { chat: CHAT, after: 3, next: 11 }, News::Forgotten { chat: HOME, .. }] => {}
        other => panic!("{other:?}"),
    }
    assert!(s.kept.places.keys().eq([&CHAT]));
}

#[test]
fn leaving_a_chat_by_any_way_forgets_its_place() {
    let member = crate::Member { chat: HOME, change: 4, user: ME, user_name: String::new(), at: 0 };
    let joined = Joined { chat: 9, last_seq: 3, room: "quay".into(), created: false, new_member: true };
    for told in [
        Told::Left { chat: HOME },
        Told::Joined { joined, pos: Some(3), left: Some(HOME) },
        Told::Event(crate::Event::Member(member)),
    ] {
        let mut s = Story::new(Options::default()).online();
        s.told(message(HOME, 4));
        s.news();
        assert!(s.kept.places.contains_key(&HOME));
        s.told(told.clone());
        s.news();
        assert!(!s.kept.places.contains_key(&HOME), "{told:?}");
    }
}

#[test]
fn steps_that_cannot_be_kept_are_tried_again_and_do_not_pile_up() {
    let mut s = Story::new(Options::default()).online();
    s.journey.send(text(Target::Current, "unsent"), 0).expect("taken");
    for seq in 1..=2 * CHANGES as u64 {
        s.told(message(CHAT, seq));
        s.journey.taken(CHAT, seq);
        let changes = s.journey.take_changes();
        assert!(changes.len() <= CHANGES + 2);
        s.journey.not_saved(changes);
    }
    assert!(s.next_out().is_some(), "it goes out all the same");
    s.save();
    assert_eq!(s.kept.places[&CHAT].pos, Some(2 * CHANGES as u64));
    assert_eq!(s.kept.unsent.len(), 1);
}
