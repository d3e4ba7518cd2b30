//! What a client decides over many connections: when to connect, where, as whom, and what to ask and send
//! again. Without I/O and without a clock: `now`, `random` and `unix_ms` are arguments.
//!
//! ```text
//!            step()                welcomed()
//!   Due ──────────────► Trying ──────────────► Online
//!    ▲                    │ failed()             │ ended()
//!    └────────────────────┴──────────────────────┤
//!                                                ▼
//!                        Over ◄── fatal answers, and close()
//! ```
//!
//! The contract: do what [`Journey::step`] says, and tell how it went ([`Journey::welcomed`],
//! [`Journey::failed`]); while online hand over all that the connection tells ([`Journey::told`]), take what
//! is to go out ([`Journey::next_parcel`]), and say how it ended ([`Journey::ended`]). After each call take
//! the news ([`Journey::take_news`]) and save the changes ([`Journey::take_changes`], then
//! [`Journey::saved`] or [`Journey::not_saved`]).

mod answers;
mod ends;
mod places;
#[cfg(test)]
mod tests;

use super::Nonces;
use super::backoff::Backoff;
use super::outbox::{Next, Outbox};
use super::told::{Known, Told};
use crate::error::{Anew, Error};
use crate::kept::{Change, Identity, Kept, Parcel};
use crate::limits::CHANGES;
use crate::options::{Login, Options, Welcome};
use crate::steady::{News, Pace, State};
use places::Places;
use std::time::Instant;

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Connect.
    Connect(Attempt),
    /// Nothing before this time.
    Wait(Instant),
    /// Nothing any more.
    Over,
}

/// A connection to be made.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The number of the address.
    pub(crate) address: usize,
    pub(crate) options: Options,
    /// What is asked for behind HELLO.
    pub(crate) known: Vec<Known>,
}

/// What WELCOME means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Greeted {
    /// Go on; and have this chat's messages come from this position on.
    Go { catch_up: Option<(u64, u64)> },
    /// What was asked behind HELLO is void: close the connection, and step on.
    Drop,
}

#[derive(Debug)]
enum Phase {
    Due(Instant),
    Trying(Attempt),
    Online { since: Instant },
    Over(Error),
}

/// A client's way over its connections.
#[derive(Debug)]
pub(crate) struct Journey {
    addresses: Vec<String>,
    options: Options,
    phase: Phase,
    /// The number of the address that is next, and how many of this round were tried.
    address: usize,
    tried: usize,
    backoff: Backoff,
    /// The wished-for name may be held by a guest whose token is lost: this one, earlier.
    name_may_be_own: bool,
    without_name: bool,
    identity: Option<Identity>,
    places: Places,
    outbox: Outbox,
    /// The file that goes out, if one does.
    streaming: Option<u64>,
    nonces: Nonces,
    changes: Vec<Change>,
    news: Vec<News>,
}

impl Journey {
    /// `random` makes the nonces differ from those of other devices.
    pub(crate) fn new(
        addresses: Vec<String>,
        options: Options,
        pace: Pace,
        kept: Kept,
        random: u32,
        now: Instant,
    ) -> Self {
        Journey {
            addresses,
            options,
            phase: Phase::Due(now),
            address: 0,
            tried: 0,
            backoff: Backoff::new(pace),
            name_may_be_own: false,
            without_name: false,
            identity: kept.identity,
            places: Places::new(kept.places),
            outbox: Outbox::new(kept.unsent),
            streaming: None,
            nonces: Nonces::new(random),
            changes: Vec::new(),
            news: Vec::new(),
        }
    }

    /// What is to be done now, unless a connection is there or under way.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        match &self.phase {
            Phase::Due(at) if now < *at => Step::Wait(*at),
            Phase::Due(_) => Step::Connect(self.attempt()),
            Phase::Trying(attempt) => Step::Connect(attempt.clone()),
            Phase::Online { .. } => Step::Wait(now),
            Phase::Over(_) => Step::Over,
        }
    }

    fn attempt(&mut self) -> Attempt {
        let login = match &self.identity {
            Some(identity) if !identity.token.reveal().is_empty() => Login::Token(identity.token.clone()),
            _ => self.options.login.clone(),
        };
        let name = if self.without_name { String::new() } else { self.options.name.clone() };
        // A new guest has no chats yet, and those of another user are none of its business.
        let known = if matches!(login, Login::Guest) { Vec::new() } else { self.places.known() };
        let options = Options { login, name, ..self.options.clone() };
        let attempt = Attempt { address: self.address, options, known };
        self.phase = Phase::Trying(attempt.clone());
        let address = self.addresses.get(self.address).cloned().unwrap_or_default();
        self.news.push(News::State(State::Connecting { address }));
        attempt
    }

    /// The server took the client.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome, now: Instant) -> Greeted {
        let Phase::Trying(attempt) = std::mem::replace(&mut self.phase, Phase::Due(now)) else {
            return Greeted::Drop;
        };
        let anew = self.identity.as_ref().and_then(|known| anew(known, welcome));
        self.become_user(welcome, &attempt.options.login);
        if let Some(anew) = anew {
            self.forget_all(anew);
            if !attempt.known.is_empty() {
                return Greeted::Drop;
            }
        }
        // They were sent before any room could be entered.
        self.outbox.name_chats(welcome.home);
        self.phase = Phase::Online { since: now };
        self.news.push(News::State(State::Online(welcome.clone())));
        // All of a new guest's home chat is still to come.
        let is_new = matches!(attempt.options.login, Login::Guest);
        Greeted::Go { catch_up: is_new.then_some((welcome.home, 0)) }
    }

    fn become_user(&mut self, welcome: &Welcome, login: &Login) {
        let (token, guest) = match (login, &self.identity) {
            (Login::Token(token), Some(known)) => (token.clone(), known.guest),
            (Login::Token(token), None) => (token.clone(), false),
            (login, _) => (welcome.token.clone(), matches!(login, Login::Guest)),
        };
        let token = if welcome.token.reveal().is_empty() { token } else { welcome.token.clone() };
        let identity = Identity {
            user: welcome.user,
            user_name: welcome.user_name.clone(),
            home: welcome.home,
            epoch: welcome.epoch,
            token,
            guest,
        };
        if self.identity.as_ref() != Some(&identity) {
            self.changes.push(Change::Identity(Some(identity.clone())));
            self.identity = Some(identity);
        }
    }

    /// Positions, nonces and chats mean something else now.
    fn forget_all(&mut self, anew: Anew) {
        self.places = Places::default();
        let nonces: Vec<u64> = self.outbox.parcels().map(Parcel::nonce).collect();
        self.outbox = Outbox::default();
        self.news.push(News::Anew(anew));
        for nonce in nonces {
            self.news.push(News::Answered { nonce, answer: Err(Error::Void(anew)) });
        }
        self.changes.push(Change::All(Box::new(self.kept())));
    }

    /// Takes a message to be sent and gives its nonce.
    pub(crate) fn send(&mut self, mut parcel: Parcel, unix_ms: u64) -> Result<u64, Error> {
        if let Phase::Over(why) = &self.phase {
            return Err(why.clone());
        }
        let nonce = match parcel.nonce() {
            0 => self.nonces.next(unix_ms),
            nonce if self.outbox.parcels().any(|parcel| parcel.nonce() == nonce) => {
                return Err(Error::NonceInFlight(nonce));
            }
            nonce => nonce,
        };
        match &mut parcel {
            Parcel::Message(message) => message.nonce = nonce,
            Parcel::File(file) => file.nonce = nonce,
        }
        if let Some(identity) = &self.identity {
            parcel.name_chat(self.places.current().unwrap_or(identity.home));
        }
        self.changes.push(Change::Unsent(parcel.clone()));
        self.outbox.push(parcel);
        Ok(nonce)
    }

    /// What is to go out now. A file goes alone until it is answered, unless it
    /// [goes beside](Journey::goes_beside) the rest.
    pub(crate) fn next_parcel(&mut self, now: Instant) -> Next {
        if !matches!(self.phase, Phase::Online { .. }) || self.streaming.is_some() {
            return Next::Nothing;
        }
        let next = self.outbox.next(now);
        if let Next::Parcel(Parcel::File(file)) = &next {
            self.streaming = Some(file.nonce);
        }
        next
    }

    /// This file is uploaded beside what else goes out.
    pub(crate) fn goes_beside(&mut self, nonce: u64) {
        self.streaming.take_if(|streaming| *streaming == nonce);
    }

    /// This one cannot be sent at all.
    pub(crate) fn unsendable(&mut self, nonce: u64, why: Error) {
        self.streaming.take_if(|streaming| *streaming == nonce);
        if self.outbox.take(nonce).is_some() {
            self.answered(nonce, Err(why));
        }
    }

    /// JOIN was answered: this is the current chat, though [`Told::Joined`] may still be on its way.
    pub(crate) fn entered(&mut self, chat: u64) {
        self.places.enter(chat);
    }

    /// The program has dealt with this message.
    pub(crate) fn taken(&mut self, chat: u64, seq: u64) {
        self.places.taken(chat, seq);
    }

    /// What has happened since the last call.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// What has to be kept since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.extend(self.places.take_changed().map(|(chat, place)| Change::Place(chat, place)));
        changes
    }

    /// Whether something has to be kept soon. Positions can wait a moment.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// They are kept.
    pub(crate) fn saved(&mut self, changes: &[Change]) {
        let nonces: Vec<u64> = changes
            .iter()
            .flat_map(|change| match change {
                Change::Unsent(parcel) => vec![parcel.nonce()],
                Change::All(kept) => kept.unsent.iter().map(Parcel::nonce).collect(),
                _ => Vec::new(),
            })
            .collect();
        self.outbox.saved(&nonces);
    }

    /// They could not be kept: they are tried again with the next. The messages go out all the same.
    pub(crate) fn not_saved(&mut self, mut changes: Vec<Change>) {
        self.saved(&changes);
        changes.append(&mut self.changes);
        self.changes = changes;
        if self.changes.len() > CHANGES {
            self.changes = vec![Change::All(Box::new(self.kept()))];
        }
    }

    /// All that is kept.
    pub(crate) fn kept(&self) -> Kept {
        let unsent = self.outbox.parcels().cloned().collect();
        Kept { identity: self.identity.clone(), places: self.places.kept(), unsent }
    }

    /// Why nothing happens any more, if so.
    pub(crate) fn over(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Over(why) => Some(why),
            _ => None,
        }
    }
}

fn anew(known: &Identity, welcome: &Welcome) -> Option<Anew> {
    if known.epoch != welcome.epoch {
        Some(Anew::Restored)
    } else if known.user != welcome.user {
        Some(Anew::OtherUser)
    } else {
        None
    }
}
