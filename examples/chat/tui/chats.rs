//! One chat as it is shown: its lines, how far it is read, who is writing. Pure.

use chatwire_client::{Content, MediaRef, Message, Page};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Lines of one chat that are kept; older ones are paged in again.
pub(crate) const LINES: usize = 2_000;
/// Who is writing, at once, that is shown.
const WRITERS: usize = 8;
/// How long somebody is writing without saying so again.
const WRITING: Duration = Duration::from_secs(6);

/// What sort of chat it is: CHATS' numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Home,
    #[default]
    Room,
    Group,
    Direct,
}

impl Kind {
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Kind::Home,
            2 => Kind::Group,
            3 => Kind::Direct,
            _ => Kind::Room,
        }
    }
}

/// A line of a chat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// A message, and the numbers that its media were given.
    Said(Message, Vec<usize>),
    /// One's own that is not confirmed yet, by the program's own number for it.
    Unsent { id: u64, nonce: u64, text: String },
    /// Something that the program or the server says.
    Note(String),
}

/// One chat.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    pub(crate) chat: u64,
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) unread: u64,
    /// Rows from the end that the view is scrolled up.
    pub(crate) scroll: usize,
    /// Whether there are older messages than those here.
    pub(crate) more: bool,
    /// A page of history is on its way.
    pub(crate) loading: bool,
    /// The newest message that is here.
    pub(crate) newest: u64,
    writing: Vec<(u64, String, Instant)>,
}

impl Chat {
    pub(crate) fn new(chat: u64, kind: Kind, title: &str) -> Self {
        Chat { chat, kind, title: title.to_owned(), more: true, ..Chat::default() }
    }

    /// A message came. Its text takes the place of what was unsent.
    pub(crate) fn said(&mut self, message: Message, numbers: Vec<usize>) {
        self.entries.retain(|entry| match entry {
            Entry::Unsent { nonce, .. } => *nonce == 0 || *nonce != message.nonce,
            Entry::Said(other, _) => other.seq != message.seq,
            Entry::Note(_) => true,
        });
        self.writing.retain(|(user, ..)| *user != message.user);
        self.newest = self.newest.max(message.seq);
        // What is unsent stands at the end.
        let unsent = self.entries.iter().rev().take_while(|e| matches!(e, Entry::Unsent { .. })).count();
        self.entries.insert(self.entries.len() - unsent, Entry::Said(message, numbers));
        self.trim();
    }

    /// A message was removed.
    pub(crate) fn removed(&mut self, seq: u64) {
        for entry in &mut self.entries {
            if let Entry::Said(message, numbers) = entry
                && message.seq == seq
            {
                message.name.clear();
                message.content = Content::Gone;
                numbers.clear();
            }
        }
    }

    pub(crate) fn note(&mut self, text: String) {
        self.entries.push_back(Entry::Note(text));
        self.trim();
    }

    /// A message is on its way.
    pub(crate) fn unsent(&mut self, id: u64, text: String) {
        self.scroll = 0;
        self.entries.push_back(Entry::Unsent { id, nonce: 0, text });
    }

    /// It has a nonce now; its message may have come already.
    pub(crate) fn named(&mut self, id: u64, named: u64) {
        let came =
            self.entries.iter().any(|e| matches!(e, Entry::Said(message, _) if message.nonce == named));
        self.entries.retain_mut(|entry| match entry {
            Entry::Unsent { id: of, nonce, .. } if *of == id => {
                *nonce = named;
                !came
            }
            _ => true,
        });
    }

    /// It was refused.
    pub(crate) fn drop_unsent(&mut self, is_it: impl Fn(u64, u64) -> bool) -> Option<String> {
        let at = self
            .entries
            .iter()
            .position(|e| matches!(e, Entry::Unsent { id, nonce, .. } if is_it(*id, *nonce)))?;
        match self.entries.remove(at) {
            Some(Entry::Unsent { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// Older messages came: they stand before all others.
    pub(crate) fn older(&mut self, page: Page, mut number: impl FnMut(&Message) -> Vec<usize>) {
        self.loading = false;
        self.more = page.more && !page.messages.is_empty();
        let oldest = self.oldest();
        for message in page.messages.into_iter().rev() {
            if oldest == 0 || message.seq < oldest {
                self.newest = self.newest.max(message.seq);
                let numbers = number(&message);
                self.entries.push_front(Entry::Said(message, numbers));
            }
        }
    }

    /// The oldest message that is here, or 0.
    pub(crate) fn oldest(&self) -> u64 {
        let seq = |entry: &Entry| match entry {
            Entry::Said(message, _) => Some(message.seq),
            _ => None,
        };
        self.entries.iter().find_map(seq).unwrap_or(0)
    }

    /// Old lines go while nobody looks at them.
    fn trim(&mut self) {
        while self.entries.len() > LINES && self.scroll == 0 {
            self.entries.pop_front();
            self.more = true;
        }
    }

    pub(crate) fn writes(&mut self, user: u64, name: &str, on: bool, now: Instant) {
        self.writing.retain(|(of, _, until)| *of != user && *until > now);
        if on && self.writing.len() < WRITERS {
            self.writing.push((user, name.to_owned(), now + WRITING));
        }
    }

    /// Who is writing now.
    pub(crate) fn writers(&self, now: Instant) -> Vec<&str> {
        self.writing.iter().filter(|(.., until)| *until > now).map(|(_, name, _)| name.as_str()).collect()
    }
}

/// The media of a message, with names.
pub(crate) fn media_of(message: &Message) -> Vec<MediaRef> {
    match &message.content {
        Content::Media(media) => vec![crate::render::named(media, &message.name)],
        Content::Reply(reply) => reply.attachments.clone(),
        _ => Vec::new(),
    }
}
