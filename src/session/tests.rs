//! Stories of the session: frames and times in, effects out. Here is what they are told with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod events;
mod frames;
mod login;
mod times;
mod transfers;

use super::*;
use crate::id::MediaId;
use crate::store::{self, Append, Content, Media, Op, Target};
use chatwire_codec::MediaKind;
use chatwire_codec::frame::*;
use chatwire_codec::{Payload, Rule};

const SECOND: Duration = Duration::from_secs(1);
const USER: UserId = UserId(7);
const ROOM: ChatId = ChatId(42);

/// A session, a clock that stands still unless told otherwise, and what came out.
struct Story {
    session: Session,
    now: Now,
}

fn rules() -> Rules {
    Rules {
        policy: Policy::default(),
        heartbeat: 30 * SECOND,
        hello: 10 * SECOND,
        frame: 30 * SECOND,
        stall: 300 * SECOND,
        max_media: 1 << 30,
    }
}

fn story() -> Story {
    story_by(rules(), true)
}

fn story_by(rules: Rules, is_private: bool) -> Story {
    // 2026-01-01T12:00:00Z, a Thursday.
    let now = Now { instant: Instant::now(), wall: 1_767_268_800_000_000 };
    Story { session: Session::new(Arc::new(rules), ConnId(1), is_private, now.instant), now }
}

fn open() -> Story {
    open_by(rules())
}

fn open_by(rules: Rules) -> Story {
    let mut story = story_by(rules, true);
    story.send(hello());
    story.notice(Notice::Welcomed { user: USER, name: "ann".into() });
    assert!(story.session.wants_input());
    story
}

fn hello() -> Hello<'static> {
    Hello { version: 1, timezone: "UTC", ..Hello::default() }
}

impl Story {
    fn send<'a>(&mut self, frame: impl Into<Frame<'a>>) -> Vec<Effect> {
        self.event(Event::Frame(frame.into()))
    }

    fn event(&mut self, event: Event<'_>) -> Vec<Effect> {
        self.session.handle_event(self.now, event);
        self.drain()
    }

    fn skip(&mut self, kind: u8, reason: SkipReason) -> Vec<Effect> {
        self.event(Event::Skipped { kind, size: 9, reason })
    }

    fn notice(&mut self, notice: Notice) -> Vec<Effect> {
        self.session.handle_notice(self.now.instant, notice);
        self.drain()
    }

    /// Lets time pass up to each deadline, as a connection would.
    fn wait(&mut self, span: Duration) -> Vec<Effect> {
        let end = self.now.instant + span;
        let mut effects = Vec::new();
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now.instant = due;
            self.session.handle_timeout(due);
            effects.extend(self.drain());
        }
        self.now.instant = end;
        effects
    }

    fn read(&mut self, n: usize, ended: bool, inside: bool) {
        self.session.handle_read(self.now.instant, n);
        self.session.handle_looked_at(self.now.instant, ended, inside);
    }

    fn drain(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.session.poll_effect()).collect()
    }
}

/// The one ERROR that the effects send or finish with: code, ref, about.
fn error(effects: &[Effect]) -> (Code, u64, u8) {
    let frames = effects.iter().find_map(|effect| match effect {
        Effect::Send(frames) | Effect::Finish(frames) => Some(frames),
        _ => None,
    });
    let frames = frames.unwrap_or_else(|| panic!("no frames in {effects:?}"));
    assert_eq!(frames[0], kind::ERROR, "{effects:?}");
    let error = Error::parse(&frames[5..]).unwrap();
    (Code::from_number(error.code).unwrap(), error.ref_, error.about)
}

fn ends_with_error(effects: &[Effect]) -> (Code, u64, u8) {
    assert!(matches!(effects.last(), Some(Effect::Finish(_))), "{effects:?}");
    error(effects)
}

fn append(effects: Vec<Effect>) -> Append {
    match effects.into_iter().next() {
        Some(Effect::Submit(Op::Append(append))) => append,
        other => panic!("not a message: {other:?}"),
    }
}

fn refused(append: Append) -> Code {
    append.content.expect_err("a refusal").code
}
