//! What anybody has ever seen of any chat: all must agree, and over every crash too.

use super::*;
use std::collections::{BTreeMap, HashSet};

/// A message as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sight {
    at: i64,
    user: u64,
    /// The digest of its text or file; none if only its STATUS, or its removal, was seen.
    content: Option<[u8; 32]>,
    /// It was seen to be removed.
    is_gone: bool,
}

/// See the module.
#[derive(Default)]
pub struct Witness {
    chats: BTreeMap<u64, BTreeMap<u64, Sight>>,
    /// What somebody wanted to be removed.
    unwanted: HashSet<(u64, u64)>,
    /// Which message has which nonce of which user.
    nonces: HashMap<(u64, u64), (u64, u64)>,
}

impl Witness {
    /// A message came, live or on a page.
    #[track_caller]
    pub fn saw(&mut self, from: &From_<'_>, content: &Frame<'_>) {
        let content = digest_of(content);
        let sight = Sight { at: from.at, user: from.user, content, is_gone: content.is_none() };
        self.note(from.chat, from.seq, sight);
        if from.nonce != 0 {
            let first = self.nonces.insert((from.user, from.nonce), (from.chat, from.seq));
            let now = (from.chat, from.seq);
            assert_eq!(first.unwrap_or(now), now, "the message with nonce {} is stored twice", from.nonce);
        }
    }

    /// As [`Witness::saw`], where nothing is under way: then what is removed is removed.
    #[track_caller]
    pub fn saw_at_rest(&mut self, from: &From_<'_>, content: &Frame<'_>) {
        let is_gone = matches!(content, Frame::Gone(_));
        if let Some(sight) = self.chats.get(&from.chat).and_then(|chat| chat.get(&from.seq)) {
            assert!(is_gone || !sight.is_gone, "a removed message is back: {from:?}");
        }
        assert!(
            !is_gone || self.unwanted.contains(&(from.chat, from.seq)),
            "nobody wanted this to be removed: {from:?}"
        );
        self.saw(from, content);
    }

    /// A STATUS came.
    #[track_caller]
    pub fn confirmed(&mut self, user: u64, nonce: u64, place: Place, body: Body) {
        let sight = Sight { at: place.at, user, content: Some(body.digest()), is_gone: false };
        self.note(place.chat, place.seq, sight);
        let first = self.nonces.insert((user, nonce), (place.chat, place.seq));
        let now = (place.chat, place.seq);
        assert_eq!(first.unwrap_or(now), now, "the message with nonce {nonce} is stored twice");
    }

    /// Somebody is about to ask for its removal.
    pub fn unwanted(&mut self, chat: u64, seq: u64) {
        self.unwanted.insert((chat, seq));
    }

    /// DELETED or MESSAGE_GONE came.
    #[track_caller]
    pub fn gone(&mut self, chat: u64, seq: u64) {
        assert!(self.unwanted.contains(&(chat, seq)), "nobody wanted {chat}/{seq} to be removed");
        if let Some(sight) = self.chats.entry(chat).or_default().get_mut(&seq) {
            sight.is_gone = true;
        }
    }

    /// Where this user's message with this nonce was seen.
    pub fn place_of(&self, user: u64, nonce: u64) -> Option<Place> {
        let &(chat, seq) = self.nonces.get(&(user, nonce))?;
        let at = self.chats.get(&chat)?.get(&seq)?.at;
        Some(Place { chat, seq, at })
    }

    /// The newest message of a chat that anybody has seen.
    pub fn last(&self, chat: u64) -> u64 {
        self.chats.get(&chat).and_then(|chat| chat.last_key_value()).map_or(0, |(seq, _)| *seq)
    }

    pub fn chats(&self) -> Vec<u64> {
        self.chats.keys().copied().collect()
    }

    #[track_caller]
    fn note(&mut self, chat: u64, seq: u64, new: Sight) {
        let Some(known) = self.chats.entry(chat).or_default().get_mut(&seq) else {
            self.chats.entry(chat).or_default().insert(seq, new);
            return;
        };
        assert_eq!((known.at, known.user), (new.at, new.user), "{chat}/{seq} is another message");
        if let (Some(was), Some(is)) = (known.content, new.content) {
            assert_eq!(was, is, "{chat}/{seq} has other content");
        }
        known.content = known.content.or(new.content);
        known.is_gone |= new.is_gone;
    }
}

/// What tells a content from all others, whichever way it comes; none of what is removed.
fn digest_of(content: &Frame<'_>) -> Option<[u8; 32]> {
    match content {
        Frame::Text(text) => Some(*blake3::hash(text.text.as_bytes()).as_bytes()),
        Frame::File(file) => Some(*blake3::hash(file.body).as_bytes()),
        Frame::Media(media) => Some(media.media),
        Frame::Gone(_) => None,
        other => panic!("nobody has said {other:?}"),
    }
}
