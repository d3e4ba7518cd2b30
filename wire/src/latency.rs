//! How long answers take: which frame answers which, as the page has it (sections 3.3, 5.5 and 6).

use crate::seen::{Seen, Val};
use chatwire_codec::dump::Sender;
use chatwire_codec::frame::kind;
use std::collections::VecDeque;
use std::time::Duration;

/// So many questions are remembered a connection; of more, the oldest are forgotten.
const MAX_OPEN: usize = 4096;

/// What has been asked on one connection and was not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    open: VecDeque<Question>,
}

#[derive(Debug)]
struct Question {
    by: Sender,
    kind: u8,
    /// What its answer repeats: `req`, or the bytes of a PING. Messages are answered in their order instead.
    mark: Mark,
    at: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Message,
    Request(u64),
    Hello,
    Ping(Option<Val>),
}

/// The first answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The type of what it answers.
    pub to: u8,
    pub after: Duration,
}

impl Latencies {
    /// Takes a frame that was whole at `at`; if it answers one, says which and after what time.
    pub(crate) fn take(&mut self, by: Sender, seen: &Seen, at: Duration) -> Option<Answer> {
        let kind = seen.kind?;
        if let Some(mark) = asks(by, kind, seen) {
            self.open.push_back(Question { by, kind, mark, at });
            if self.open.len() > MAX_OPEN {
                self.open.pop_front();
            }
            return None;
        }
        let mark = answers(by, kind, seen)?;
        let place = self.open.iter().position(|question| question.by != by && question.mark == mark)?;
        let question = self.open.remove(place)?;
        Some(Answer { to: question.kind, after: at.saturating_sub(question.at) })
    }
}

fn asks(by: Sender, kind: u8, seen: &Seen) -> Option<Mark> {
    match (by, kind) {
        (_, kind::PING) => Some(Mark::Ping(seen.value("bytes"))),
        (Sender::Server, _) | (_, kind::CHUNK) => None,
        (Sender::Client, kind::HELLO) => Some(Mark::Hello),
        (Sender::Client, kind::TEXT..=kind::GONE) => Some(Mark::Message),
        (Sender::Client, 0x40..=0x6F) => Some(Mark::Request(seen.number("req"))),
        (Sender::Client, _) => None,
    }
}

fn answers(by: Sender, kind: u8, seen: &Seen) -> Option<Mark> {
    match (by, kind) {
        (_, kind::PONG) => Some(Mark::Ping(seen.value("bytes"))),
        (Sender::Client, _) => None,
        (Sender::Server, kind::WELCOME) => Some(Mark::Hello),
        (Sender::Server, kind::STATUS) => Some(Mark::Message),
        (Sender::Server, kind::ERROR) => match u8::try_from(seen.number("about")).ok()? {
            kind::HELLO => Some(Mark::Hello),
            kind::TEXT..=kind::GONE => Some(Mark::Message),
            0x40..=0x6F => Some(Mark::Request(seen.number("ref"))),
            _ => None,
        },
        // CHUNKs, RECEIVED and STORED come after the answer to their request.
        (Sender::Server, kind::STORED | kind::RECEIVED) => None,
        (Sender::Server, 0xC0..=0xEF) => Some(Mark::Request(seen.number("req"))),
        (Sender::Server, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Latencies, MAX_OPEN};
    use crate::build::{Scope, build};
    use crate::language::{Statement, parse};
    use crate::seen::{Collector, Seen};
    use chatwire_codec::Limits;
    use chatwire_codec::dump::{Sender, Tracer};
    use chatwire_codec::frame::kind;
    use std::time::Duration;

    /// The frame that a line is.
    fn frame(by: Sender, line: &str) -> Seen {
        let Ok(Some(Statement::Frame { info, given })) = parse(line) else { panic!("{line}") };
        let bytes = build(info, &given, &mut Scope::default()).unwrap().bytes;
        let (mut collector, mut seen) = (Collector::default(), None);
        Tracer::midway(by, Limits::default()).feed(&bytes, &mut |item| seen = collector.take(&item));
        seen.unwrap()
    }

    /// What each frame of a row answers, a millisecond after the other. `<` is from the server.
    fn answered(lines: &[&str]) -> Vec<Option<(u8, u128)>> {
        let mut latencies = Latencies::default();
        let answers = lines.iter().enumerate().map(|(at, line)| {
            let (by, line) = match line.strip_prefix("< ") {
                Some(line) => (Sender::Server, line),
                None => (Sender::Client, *line),
            };
            let at = Duration::from_millis(at as u64);
            latencies.take(by, &frame(by, line), at).map(|Answer { to, after }| (to, after.as_millis()))
        });
        answers.collect()
    }

    #[test]
    fn messages_are_answered_in_their_order_and_requests_by_their_number() {
        let lines = [
            "hello",
            "< welcome version=1 user=1 session=1 at=1",
            "text a",
            "text b",
            "join room=a req=7",
            "leave req=8",
            "< left req=8",
            "< status nonce=0 chat=1 seq=1 at=1",
            "< error text=no about=TEXT",
            "< error text=no about=JOIN ref=7",
            "< joined req=7",
        ];
        let expected =
            [(kind::HELLO, 1), (kind::LEAVE, 1), (kind::TEXT, 5), (kind::TEXT, 5), (kind::JOIN, 5)];
        assert_eq!(answered(&lines).into_iter().flatten().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_pong_answers_the_ping_of_the_other_side_with_the_same_bytes() {
        let lines = ["ping a", "< ping b", "< pong c", "< pong a", "pong b", "pong a"];
        let expected = [(kind::PING, 3), (kind::PING, 3)];
        assert_eq!(answered(&lines).into_iter().flatten().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_never_answered_is_forgotten() {
        let mut latencies = Latencies::default();
        let ping = frame(Sender::Client, "ping a");
        (0..2 * MAX_OPEN)
            .for_each(|_| assert_eq!(latencies.take(Sender::Client, &ping, Duration::ZERO), None));
        assert_eq!(latencies.open.len(), MAX_OPEN);
    }
}
