//! The times by which something must have happened on a connection (section 5 of docs/PROTOCOL.md).

use super::Rules;
use std::time::{Duration, Instant};

/// A frame that comes slower than this over [`CRAWL_SPELL`] is as good as standing still.
const CRAWL_BYTES_PER_SEC: u64 = 1024;
const CRAWL_SPELL: Duration = Duration::from_secs(60);

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Silence: ask whether anybody is there.
    Ping,
    /// The client has not done what it must have.
    Timeout(&'static str),
    /// What waited to be sent did not move.
    Stall,
    /// The time for the last answers is over.
    Drain,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Timers {
    /// By when HELLO must be whole; or, of one that ends, by when it is over.
    by: Option<Instant>,
    silence: Silence,
    /// A frame that has begun and not ended.
    unfinished: Option<Box<Unfinished>>,
    /// Since when what waits to be sent has not moved.
    stalled: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Silence {
    /// Nobody listens, so there is none.
    NotReading,
    /// Nobody will listen again.
    Ending,
    Since(Instant),
    /// A PING is to be written.
    Asking,
    AskedAt(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Unfinished {
    last_byte: Instant,
    spell: Instant,
    bytes: u64,
}

impl Timers {
    pub(super) fn new(hello_by: Instant, now: Instant) -> Self {
        Timers { by: Some(hello_by), silence: Silence::Since(now), unfinished: None, stalled: None }
    }

    pub(super) fn welcomed(&mut self) {
        self.by = None;
    }

    pub(super) fn read(&mut self, now: Instant, n: usize) {
        self.silence = Silence::Since(now);
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.last_byte = now;
            unfinished.bytes += n as u64;
        }
    }

    /// A frame that ended was quick enough; one that has begun has its time from now on.
    pub(super) fn looked_at(&mut self, now: Instant, ended: bool, inside: bool) {
        if ended || !inside {
            self.unfinished = None;
        }
        if inside && self.unfinished.is_none() {
            self.unfinished = Some(Box::new(Unfinished { last_byte: now, spell: now, bytes: 0 }));
        }
    }

    /// What the server does not read is not the client's fault.
    pub(super) fn reading(&mut self, now: Instant, reading: bool) {
        match (reading, self.silence) {
            (_, Silence::Ending) => {}
            (false, _) => self.silence = Silence::NotReading,
            (true, Silence::NotReading) => {
                self.silence = Silence::Since(now);
                if let Some(unfinished) = &mut self.unfinished {
                    **unfinished = Unfinished { last_byte: now, spell: now, bytes: 0 };
                }
            }
            (true, _) => {}
        }
    }

    pub(super) fn written(&mut self, now: Instant, waits: bool) {
        self.stalled = waits.then_some(now);
    }

    pub(super) fn ping_sent(&mut self, now: Instant) {
        if matches!(self.silence, Silence::Asking) {
            self.silence = Silence::AskedAt(now);
        }
    }

    /// The client is done; only what it has to be sent still matters.
    pub(super) fn ending(&mut self, drain_by: Option<Instant>) {
        self.by = drain_by;
        self.unfinished = None;
        self.silence = Silence::Ending;
    }

    /// The last answers have until then, or less if they had less before.
    pub(super) fn drain_at_the_latest(&mut self, by: Instant) {
        self.by = Some(self.by.map_or(by, |before| before.min(by)));
    }

    pub(super) fn next(&self, rules: &Rules) -> Option<Instant> {
        [self.by, self.silence_by(rules), self.frame_by(rules), self.stall_by(rules)]
            .into_iter()
            .flatten()
            .min()
    }

    /// The most urgent thing that is due; asks again until there is none.
    pub(super) fn due(&mut self, rules: &Rules, now: Instant) -> Option<Due> {
        let is_over = |by: Option<Instant>| by.is_some_and(|by| by <= now);
        if is_over(self.by) {
            if let Silence::Ending = self.silence {
                self.by = None;
                return Some(Due::Drain);
            }
            return Some(Due::Timeout("no whole HELLO came in time"));
        }
        if is_over(self.stall_by(rules)) {
            self.stalled = None;
            return Some(Due::Stall);
        }
        if is_over(self.frame_by(rules)) && self.is_too_slow(rules, now) {
            return Some(Due::Timeout("a frame was begun and not finished in time"));
        }
        if is_over(self.silence_by(rules)) {
            return Some(self.silent());
        }
        None
    }

    fn silent(&mut self) -> Due {
        if let Silence::AskedAt(_) = self.silence {
            return Due::Timeout("nothing came, and PING was not answered");
        }
        self.silence = Silence::Asking;
        Due::Ping
    }

    /// Whether the unfinished frame stands still or crawls; if neither, a new spell begins.
    fn is_too_slow(&mut self, rules: &Rules, now: Instant) -> bool {
        let Some(unfinished) = &mut self.unfinished else { return false };
        if unfinished.last_byte + rules.frame <= now {
            return true;
        }
        if unfinished.bytes < CRAWL_BYTES_PER_SEC * CRAWL_SPELL.as_secs() {
            return unfinished.spell + CRAWL_SPELL <= now;
        }
        (unfinished.spell, unfinished.bytes) = (now, 0);
        false
    }

    fn silence_by(&self, rules: &Rules) -> Option<Instant> {
        match self.silence {
            Silence::Since(at) | Silence::AskedAt(at) if self.by.is_none() => Some(at + rules.heartbeat),
            _ => None,
        }
    }

    fn frame_by(&self, rules: &Rules) -> Option<Instant> {
        if matches!(self.silence, Silence::NotReading | Silence::Ending) {
            return None;
        }
        self.unfinished.as_ref().map(|u| (u.last_byte + rules.frame).min(u.spell + CRAWL_SPELL))
    }

    fn stall_by(&self, rules: &Rules) -> Option<Instant> {
        self.stalled.map(|since| since + rules.stall)
    }
}
