//! When to ask whether the server is still there, and when to give it up.
//!
//! ```text
//!          heartbeat of silence        written          heartbeat of silence
//!   quiet ─────────────────────► asked ───────► waiting ────────────────────► dead
//!     ▲             any byte       │              │
//!     └────────────────────────────┴──────────────┘
//! ```

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
enum State {
    Quiet {
        since: Instant,
    },
    /// A PING waits to be written: a body may stand before it, so this spell is nobody's fault.
    Asked,
    Waiting {
        since: Instant,
    },
}

/// What the clock demands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing yet.
    Wait,
    /// Send a PING.
    Ping,
    /// Give up.
    Dead,
}

/// One connection's heartbeat.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    every: Duration,
    state: State,
}

impl Heartbeat {
    /// `every` 0: never.
    pub(crate) fn new(every: Duration, now: Instant) -> Self {
        Heartbeat { every, state: State::Quiet { since: now } }
    }

    /// Something came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.state = State::Quiet { since: now };
    }

    /// Whether a PING waits to be written.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked)
    }

    /// A PING was really written.
    pub(crate) fn written(&mut self, now: Instant) {
        if let State::Asked = self.state {
            self.state = State::Waiting { since: now };
        }
    }

    /// When to ask [`Heartbeat::beat`] again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Quiet { since } | State::Waiting { since } if !self.every.is_zero() => {
                Some(since + self.every)
            }
            _ => None,
        }
    }

    /// What is to be done now.
    pub(crate) fn beat(&mut self, now: Instant) -> Beat {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Beat::Wait;
        }
        match self.state {
            State::Waiting { .. } => Beat::Dead,
            _ => {
                self.state = State::Asked;
                Beat::Ping
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::cast_possible_truncation, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn one_heartbeat_of_silence_asks_and_a_second_gives_up() {
        let start = Instant::now();
        let mut h = Heartbeat::new(EVERY, start);
        assert_eq!(h.beat(start + EVERY / 2), Beat::Wait);
        assert_eq!(h.beat(start + EVERY), Beat::Ping);
        h.written(start + EVERY);
        assert_eq!(h.beat(start + EVERY * 3 / 2), Beat::Wait);
        assert_eq!(h.beat(start + EVERY * 2), Beat::Dead);
    }

    #[test]
    fn any_byte_begins_anew_and_an_unwritten_ping_starts_no_spell() {
        let start = Instant::now();
        let mut h = Heartbeat::new(EVERY, start);
        assert_eq!(h.beat(start + EVERY), Beat::Ping);
        assert_eq!(h.beat(start + EVERY * 9), Beat::Wait);
        h.written(start + EVERY * 9);
        h.heard(start + EVERY * 9);
        assert_eq!(h.beat(start + EVERY * 10), Beat::Ping);
    }

    #[test]
    fn a_server_without_a_heartbeat_is_never_asked() {
        let start = Instant::now();
        assert_eq!(Heartbeat::new(Duration::ZERO, start).beat(start + EVERY * 100), Beat::Wait);
    }
}
