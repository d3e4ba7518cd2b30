//! A client that keeps its place: the client library's own, without I/O. What it hands out is held to the truth:
//! each chat's messages in order, once, without a gap, over all connections, and over crashes of its own.

use crate::disk::Account;
use crate::media;
use crate::truth::{Said, Truth};
use chatwire_client::{
    Act, Change, Code, Content, End, Error, Kept, Login, Machine, MediaRef, News, Options, Outgoing, Pace,
    State,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

type Check = Result<(), String>;

/// Refusals of messages that are nobody's fault in a run.
const MAY_BE: [Code; 4] = [Code::Forbidden, Code::NotFound, Code::Internal, Code::TooLarge];
/// Nonces of one start of a client.
const NONCES: u32 = 8_192;

pub(crate) struct Steady {
    options: Options,
    /// Makes its nonces its own.
    number: u32,
    starts: u32,
    machine: Machine,
    kept: Kept,
    /// What is still to be kept.
    changes: Vec<Change>,
    /// The last message of each chat that was handed out.
    handed: BTreeMap<u64, u64>,
    /// What was handed out and the program has not dealt with.
    undealt: VecDeque<(u64, u64)>,
    unanswered: BTreeSet<u64>,
    /// Media that somebody has sent.
    media: Option<MediaRef>,
}

impl Steady {
    /// `number`: of the client, among all.
    pub(crate) fn new(account: Option<(&Account, usize)>, number: u32, now: Instant) -> Steady {
        let options = match account {
            Some((account, device)) => Options {
                login: Login::Token(account.tokens[device].as_str().into()),
                device: device.to_string(),
                ..Options::default()
            },
            None => Options::default(),
        };
        Steady {
            machine: Machine::new(options.clone(), Pace::default(), Kept::default(), number, now),
            options,
            number,
            starts: 0,
            kept: Kept::default(),
            changes: Vec::new(),
            handed: BTreeMap::new(),
            undealt: VecDeque::new(),
            unanswered: BTreeSet::new(),
            media: None,
        }
        .begun(now)
    }

    /// The program has ended and begins again with what it has kept.
    pub(crate) fn crash(&mut self, now: Instant) {
        self.starts += 1;
        self.changes.clear();
        self.undealt.clear();
        self.handed = self.kept.places.iter().filter_map(|(chat, place)| Some((*chat, place.pos?))).collect();
        self.unanswered = self.kept.unsent.iter().map(chatwire_client::Parcel::nonce).collect();
        self.begin(now);
    }

    fn begun(mut self, now: Instant) -> Steady {
        self.begin(now);
        self
    }

    fn begin(&mut self, now: Instant) {
        let random = (self.number * 32 + self.starts % 32) * NONCES;
        self.machine = Machine::new(self.options.clone(), Pace::default(), self.kept.clone(), random, now);
    }

    pub(crate) fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    pub(crate) fn wants_to_connect(&mut self, now: Instant) -> bool {
        !self.machine.is_connected() && self.machine.step(now) == Act::Connect
    }

    /// When it is to be looked at again.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.machine.is_connected() {
            return self.machine.deadline();
        }
        match self.machine.step(now) {
            Act::Wait(at) => Some(at),
            Act::Connect | Act::Over => None,
        }
    }

    pub(crate) fn say(&mut self, message: Outgoing, unix_ms: u64) -> Check {
        match self.machine.send(message, unix_ms) {
            Ok(nonce) if self.unanswered.insert(nonce) => Ok(()),
            Ok(nonce) => Err(format!("the client gives the nonce {nonce} again")),
            Err(Error::Invalid(_)) => Ok(()),
            Err(why) => Err(format!("the client takes no message: {why}")),
        }
    }

    /// To be referred to.
    pub(crate) fn media(&self) -> Option<MediaRef> {
        self.media.clone()
    }

    pub(crate) fn has_to_save(&self, deals: bool) -> bool {
        !self.changes.is_empty() || (deals && !self.undealt.is_empty())
    }

    /// Keeps what is to be kept, and deals before with some of what was handed out, or does not.
    pub(crate) fn save(&mut self, deals: bool) -> Check {
        let count = if deals { self.undealt.len().div_ceil(2) } else { 0 };
        for (chat, seq) in self.undealt.drain(..count) {
            self.machine.taken(chat, seq);
        }
        self.changes.extend(self.machine.take_changes());
        let changes = std::mem::take(&mut self.changes);
        changes.iter().for_each(|change| self.kept.apply(change));
        self.machine.saved(&changes);
        for (chat, seq) in &self.undealt {
            if self.kept.places.get(chat).is_some_and(|place| place.pos >= Some(*seq)) {
                return Err(format!("{chat}/{seq} is kept as dealt with, and is not"));
            }
        }
        Ok(())
    }

    /// Takes what the client tells, and checks it.
    pub(crate) fn look(&mut self, truth: &Truth) -> Check {
        let (all, changes) = (self.machine.take_news(), self.machine.take_changes());
        // The user was in these no more, somewhere between the news, and may be back: then the messages go on from elsewhere.
        let forgotten = changes.iter().filter_map(|change| match change {
            Change::Forgotten(chat) => Some(*chat),
            _ => None,
        });
        let mut forgotten: Vec<u64> = forgotten.collect();
        for news in all {
            if let News::Message(message) = &news
                && self.handed.get(&message.chat).is_some_and(|before| before + 1 != message.seq)
                && let Some(at) = forgotten.iter().position(|chat| *chat == message.chat)
            {
                self.forget(forgotten.remove(at));
            }
            self.news(news, truth)?;
        }
        forgotten.into_iter().for_each(|chat| self.forget(chat));
        self.changes.extend(changes);
        for (req, answer) in self.machine.take_answers() {
            match answer {
                Ok(_) | Err(Error::Refused(_) | Error::Disconnected(_)) => {}
                Err(why) => return Err(format!("request {req}: {why}")),
            }
        }
        Ok(())
    }

    fn forget(&mut self, chat: u64) {
        self.handed.remove(&chat);
        self.undealt.retain(|(of, _)| *of != chat);
    }

    fn news(&mut self, news: News, truth: &Truth) -> Check {
        match news {
            News::Message(message) => {
                let (chat, seq) = (message.chat, message.seq);
                let before = self.handed.insert(chat, seq);
                if before.is_some_and(|before| before + 1 != seq) {
                    return Err(format!("{chat}/{seq} is handed out behind {before:?}"));
                }
                let said = Said {
                    user: message.user,
                    nonce: message.nonce,
                    at: message.at,
                    reply_to: message.reply_to,
                    text: match message.content {
                        Content::Text(text) => Some(text),
                        Content::Reply(reply) => Some(reply.text),
                        Content::Media(media) => {
                            let said = media::said(&media.media);
                            self.media = Some(media);
                            Some(said)
                        }
                        _ => None,
                    },
                };
                let stored = truth.said(chat, seq).ok_or(format!("{chat}/{seq} is not stored"))?;
                let nonce = if said.nonce == 0 { 0 } else { stored.nonce };
                let text = stored.text.clone().and(said.text.clone());
                let is_shown = stored.text.is_none() || said.text == stored.text;
                if said != (Said { nonce, text: text.or(said.text.clone()), ..stored.clone() }) || !is_shown {
                    return Err(format!("{chat}/{seq} is handed out as {said:?}, stored is {stored:?}"));
                }
                self.undealt.push_back((chat, seq));
                Ok(())
            }
            News::Answered { nonce, answer } => {
                if !self.unanswered.remove(&nonce) {
                    return Err(format!("the answer to {nonce} comes twice"));
                }
                let stored = self.machine_user().and_then(|user| truth.nonces.get(&(user, nonce)).copied());
                match answer {
                    Ok(status) if stored == Some((status.chat, status.seq)) => Ok(()),
                    Err(Error::Refused(refusal))
                        if stored.is_none_or(|(chat, _)| !truth.is_kept(chat))
                            && refusal.code().is_some_and(|code| MAY_BE.contains(&code)) =>
                    {
                        Ok(())
                    }
                    answer => Err(format!("{nonce} is stored at {stored:?}, answered is {answer:?}")),
                }
            }
            News::State(State::Failed(Error::Disconnected(End::Violation(why)))) => {
                Err(format!("the client finds that the server breaks the protocol: {why}"))
            }
            News::State(State::Failed(why)) => Err(format!("the client gives up: {why}")),
            News::State(State::Waiting { why: Error::Disconnected(End::Violation(why)), .. }) => {
                Err(format!("the client finds that the server breaks the protocol: {why}"))
            }
            News::Missed { chat, after, next } => {
                Err(format!("messages of chat {chat} from {after} to {next} are said not to be kept"))
            }
            News::TokenRefused(why) => Err(format!("the token is refused: {why}")),
            News::Anew(why) => Err(format!("all is said to be void: {why}")),
            _ => Ok(()),
        }
    }

    fn machine_user(&self) -> Option<u64> {
        let of_changes = self.changes.iter().rev().find_map(|change| match change {
            Change::Identity(identity) => Some(identity.as_ref().map(|identity| identity.user)),
            _ => None,
        });
        of_changes.unwrap_or_else(|| self.kept.identity.as_ref().map(|identity| identity.user))
    }

    /// All is quiet, and the client is connected: so it has all, and all is answered.
    pub(crate) fn settled(&self, truth: &Truth) -> Check {
        if !self.unanswered.is_empty() {
            return Err(format!("the client has no answer to {:?}", self.unanswered));
        }
        let Some(user) = self.machine_user() else { return Err("the client is nobody".into()) };
        for (chat, handed) in &self.handed {
            let head = truth.head(*chat);
            if truth.is_member(user, *chat) && *handed != head {
                return Err(format!("the client has come to {handed} in chat {chat}, its newest is {head}"));
            }
        }
        Ok(())
    }
}
