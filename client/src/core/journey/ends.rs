//! How connections fail and end, and what that means for the next one.

use super::{Journey, Phase};
use crate::core::backoff::share;
use crate::error::{End, Error, Refusal};
use crate::kept::Change;
use crate::limits::{RETRY_MOST, STABLE_TIME};
use crate::options::Login;
use crate::steady::{News, State};
use chatwire_codec::Code;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// BYE: the server is shutting down.
const SHUTTING_DOWN: u16 = 1;
/// BYE: another connection stands in this one's place.
const REPLACED: u16 = 2;
/// BYE: the operator wants this user gone.
const KICKED: u16 = 3;
/// A server that shuts down is asked again after 1 to 10 seconds.
const RESTART_LEAST: Duration = Duration::from_secs(1);
const RESTART_SPREAD: Duration = Duration::from_secs(9);

/// What a failure means.
enum Verdict {
    /// Try again, not before this.
    Again(Duration),
    /// The same would happen again.
    Final,
}

impl Journey {
    /// The attempt came to nothing.
    pub(crate) fn failed(&mut self, why: Error, now: Instant, random: u64) {
        let Phase::Trying(attempt) = std::mem::replace(&mut self.phase, Phase::Due(now)) else { return };
        let by_token = self.identity.as_ref().is_some_and(|me| !me.token.reveal().is_empty());
        match (&why, &attempt.options.login) {
            (Error::Refused(refusal), Login::Token(_))
                if by_token && refusal.code() == Some(Code::Unauthenticated) =>
            {
                return self.token_refused(refusal.clone());
            }
            (Error::Refused(refusal), Login::Guest)
                if refusal.code() == Some(Code::Conflict) && self.name_may_be_own && !self.without_name =>
            {
                self.without_name = true;
                return;
            }
            (Error::Unreachable(problem), _) if problem.kind == ErrorKind::ConnectionRefused => {}
            (Error::Refused(_) | Error::Tls(_), _) => {}
            // The server may have made the guest, and nobody has its token.
            _ => self.name_may_be_own = true,
        }
        match verdict_of(&why, random) {
            Verdict::Final => self.end(why),
            Verdict::Again(least) => {
                self.tried += 1;
                self.address = (self.address + 1) % self.addresses.len().max(1);
                // The other addresses are tried at once, unless the server wants a pause.
                let is_round = self.tried >= self.addresses.len() || !least.is_zero();
                if is_round {
                    self.wait(why, least, now, random);
                }
            }
        }
    }

    fn token_refused(&mut self, refusal: Refusal) {
        if let Some(identity) = &mut self.identity {
            identity.token = crate::Secret::default();
        }
        self.name_may_be_own = true;
        self.changes.push(Change::Identity(self.identity.clone()));
        self.news.push(News::TokenRefused(refusal));
    }

    /// The connection is over.
    pub(crate) fn ended(&mut self, end: End, now: Instant, random: u64) {
        let Phase::Online { since } = std::mem::replace(&mut self.phase, Phase::Due(now)) else { return };
        if now.saturating_duration_since(since) >= STABLE_TIME {
            self.backoff.reset();
        }
        self.outbox.again();
        if let (Some(nonce), End::File(problem)) = (self.streaming.take(), &end) {
            // Half of it went out, and the rest cannot be read: it would be so again.
            let error = Error::Disconnected(End::File(problem.clone()));
            self.unsendable(nonce, error);
        }
        let why = Error::Disconnected(end);
        match verdict_of(&why, random) {
            Verdict::Final => self.end(why),
            Verdict::Again(least) => self.wait(why, least, now, random),
        }
    }

    /// The program wants no more.
    pub(crate) fn close(&mut self) {
        if self.over().is_none() {
            self.phase = Phase::Over(Error::Over);
            self.news.push(News::State(State::Closed));
        }
    }

    fn wait(&mut self, why: Error, least: Duration, now: Instant, random: u64) {
        self.tried = 0;
        let pause = self.backoff.pause(random).max(least);
        self.phase = Phase::Due(now + pause);
        self.news.push(News::State(State::Waiting { pause, why }));
    }

    fn end(&mut self, why: Error) {
        self.phase = Phase::Over(why.clone());
        self.news.push(News::State(State::Failed(why)));
    }
}

fn verdict_of(why: &Error, random: u64) -> Verdict {
    match why {
        Error::Refused(refusal) | Error::Disconnected(End::Refused(refusal)) => refused(refusal),
        Error::Disconnected(End::Bye { code: SHUTTING_DOWN, .. }) => {
            Verdict::Again(RESTART_LEAST + share(RESTART_SPREAD, random))
        }
        Error::Disconnected(End::Bye { code: REPLACED | KICKED, .. } | End::Left) => Verdict::Final,
        Error::Disconnected(End::Bye { code, .. }) if *code >= 400 => by_code(*code, Duration::ZERO),
        Error::Invalid(_) => Verdict::Final,
        _ => Verdict::Again(Duration::ZERO),
    }
}

fn refused(refusal: &Refusal) -> Verdict {
    by_code(refusal.number, Duration::from_millis(refusal.retry_ms.into()).min(RETRY_MOST))
}

/// Whether a refusal goes by itself.
fn by_code(number: u16, least: Duration) -> Verdict {
    match Code::from_number(number) {
        Some(Code::Timeout | Code::RateLimited | Code::OutsideHours) => Verdict::Again(least),
        _ if number >= 500 => Verdict::Again(least),
        _ => Verdict::Final,
    }
}
