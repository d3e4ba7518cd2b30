//! What a connection tells while it lasts.

use super::{Journey, Told};
use crate::error::{Error, Refusal};
use crate::event::Event;
use crate::kept::{Change, Parcel};
use crate::limits::RETRY_MOST;
use crate::message::{Content, Message};
use crate::outgoing::Body;
use crate::steady::News;
use chatwire_codec::{Code, frame};
use std::time::{Duration, Instant};

/// MEMBER's `change`: left, removed.
const ENDED: [u8; 2] = [2, 4];
/// The room that everybody is in, and nobody has to enter again.
const EVERYBODY: &str = "all";
/// The pause where the server says "too fast" and not how long.
const TOO_FAST: Duration = Duration::from_secs(1);

impl Journey {
    /// Takes what the connection tells.
    pub(crate) fn told(&mut self, told: Told, now: Instant) {
        match told {
            Told::Event(Event::Message(message)) => self.message(message),
            Told::Event(event) => self.event(event),
            Told::Stored { status, in_place } => self.stored(status, in_place),
            Told::Refused { nonce, refusal } => self.refused(nonce, refusal, now),
            Told::Joined { joined, pos, left } => {
                if let Some(left) = left {
                    self.forget(left);
                }
                // A guest's rooms end with the connection. Others would enter rooms that they left elsewhere.
                let is_guest = self.identity.as_ref().is_some_and(|identity| identity.guest);
                let again = is_guest && joined.room != EVERYBODY;
                self.news.push(News::Entered { chat: joined.chat, room: joined.room.clone() });
                self.places.joined(joined.chat, pos, if again { joined.room } else { String::new() });
            }
            Told::Left { chat } => self.forget(chat),
            Told::Synced { chat, after, pos } => {
                self.places.synced(chat, pos);
                if pos > after {
                    self.news.push(News::Missed { chat, after, next: pos + 1 });
                }
            }
            Told::Lost { chat, refusal } => {
                if self.places.forget(chat) {
                    self.changes.push(Change::Forgotten(chat));
                    self.news.push(News::Forgotten { chat, why: refusal });
                }
            }
        }
    }

    fn message(&mut self, message: Message) {
        self.places.handed(message.chat, message.seq);
        self.news.push(News::Message(message));
    }

    fn event(&mut self, event: Event) {
        if let Event::Member(member) = &event
            && ENDED.contains(&member.change)
            && self.identity.as_ref().is_some_and(|identity| identity.user == member.user)
        {
            self.forget(member.chat);
        }
        self.news.push(News::Event(event));
    }

    fn forget(&mut self, chat: u64) {
        if self.places.forget(chat) {
            self.changes.push(Change::Forgotten(chat));
        }
    }

    fn stored(&mut self, status: frame::Status, in_place: bool) {
        self.streaming.take_if(|streaming| *streaming == status.nonce);
        let parcel = self.outbox.take(status.nonce);
        if let Some(message) = parcel.as_ref().filter(|_| in_place).and_then(|p| self.own(p, &status)) {
            self.message(message);
        }
        if parcel.is_some() {
            self.answered(status.nonce, Ok(status));
        }
    }

    /// One's own message, as it comes to others.
    fn own(&self, parcel: &Parcel, status: &frame::Status) -> Option<Message> {
        let (Parcel::Message(sent), Some(me)) = (parcel, &self.identity) else { return None };
        let Body::Text(text) = &sent.body else { return None };
        Some(Message {
            chat: status.chat,
            seq: status.seq,
            at: status.at,
            user: me.user,
            user_name: me.user_name.clone(),
            nonce: status.nonce,
            reply_to: sent.reply_to,
            name: String::new(),
            content: Content::Text(text.clone()),
        })
    }

    fn refused(&mut self, nonce: u64, refusal: Refusal, now: Instant) {
        self.streaming.take_if(|streaming| *streaming == nonce);
        if refusal.code() == Some(Code::RateLimited) {
            let pause = Duration::from_millis(refusal.retry_ms.into()).clamp(TOO_FAST, RETRY_MOST);
            self.outbox.later(nonce, now + pause);
        } else if self.outbox.take(nonce).is_some() {
            self.answered(nonce, Err(Error::Refused(refusal)));
        }
    }

    pub(super) fn answered(&mut self, nonce: u64, answer: Result<frame::Status, Error>) {
        self.changes.push(Change::Answered(nonce));
        self.news.push(News::Answered { nonce, answer });
    }
}
