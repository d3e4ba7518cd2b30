//! What the parts share: where one is, what the chats are called, which media were shown.

use chatwire_client::{Joined, MediaRef, Message, Welcome};
use chrono_tz::Tz;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Media that can be saved by their number.
const MEDIA: usize = 1000;

/// Shared by the typing side and the showing side.
pub(crate) struct State {
    pub(crate) me: u64,
    pub(crate) home: u64,
    pub(crate) zone: Tz,
    inner: Mutex<Inner>,
    /// Rings when the assistant has answered.
    answered: Notify,
}

struct Inner {
    current: u64,
    /// Messages are shown with their numbers.
    has_numbers: bool,
    names: HashMap<u64, String>,
    media: VecDeque<MediaRef>,
    /// The number of the first of `media`.
    first: usize,
    /// What was said to the assistant and not answered.
    open: BTreeSet<u64>,
    /// What the assistant has answered up to now.
    replied: u64,
}

impl State {
    pub(crate) fn new(me: &Welcome, zone: Tz) -> Self {
        let inner = Inner {
            current: me.home,
            has_numbers: false,
            names: HashMap::from([(me.home, "home".to_owned())]),
            media: VecDeque::new(),
            first: 1,
            open: BTreeSet::new(),
            replied: 0,
        };
        State { me: me.user, home: me.home, zone, inner: Mutex::new(inner), answered: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn current(&self) -> u64 {
        self.lock().current
    }

    pub(crate) fn has_numbers(&self) -> bool {
        self.lock().has_numbers
    }

    /// Whether they are shown from now on.
    pub(crate) fn toggle_numbers(&self) -> bool {
        let mut inner = self.lock();
        inner.has_numbers = !inner.has_numbers;
        inner.has_numbers
    }

    pub(crate) fn entered(&self, room: &Joined) {
        let mut inner = self.lock();
        let former = inner.current;
        if former != self.home && former != room.chat {
            inner.names.remove(&former);
        }
        inner.current = room.chat;
        inner.names.insert(room.chat, room.room.clone());
    }

    pub(crate) fn entered_group(&self, chat: u64, title: &str) {
        let mut inner = self.lock();
        inner.current = chat;
        inner.names.insert(chat, title.to_owned());
    }

    pub(crate) fn left(&self, chat: u64) {
        let mut inner = self.lock();
        inner.current = self.home;
        inner.names.remove(&chat);
    }

    /// What to call a chat that is not the current one.
    pub(crate) fn elsewhere(&self, chat: u64) -> Option<String> {
        let inner = self.lock();
        let name = || inner.names.get(&chat).cloned().unwrap_or_else(|| format!("chat {chat}"));
        (chat != inner.current).then(name)
    }

    /// Gives media a number to be saved by.
    pub(crate) fn number(&self, media: &MediaRef) -> usize {
        let mut inner = self.lock();
        if inner.media.len() == MEDIA {
            inner.media.pop_front();
            inner.first += 1;
        }
        inner.media.push_back(media.clone());
        inner.first + inner.media.len() - 1
    }

    pub(crate) fn media(&self, number: usize) -> Option<MediaRef> {
        let inner = self.lock();
        inner.media.get(number.checked_sub(inner.first)?).cloned()
    }

    /// A message was stored: the assistant will answer it if it stands at home.
    pub(crate) fn said(&self, chat: u64, seq: u64) {
        let mut inner = self.lock();
        if chat == self.home && seq > inner.replied {
            inner.open.insert(seq);
        }
    }

    pub(crate) fn heard(&self, message: &Message) {
        if message.chat == self.home && message.reply_to > 0 {
            let mut inner = self.lock();
            inner.open.remove(&message.reply_to);
            inner.replied = inner.replied.max(message.reply_to);
            self.answered.notify_one();
        }
    }

    /// Waits until the assistant has answered all.
    pub(crate) async fn all_answered(&self) {
        while !self.lock().open.is_empty() {
            self.answered.notified().await;
        }
    }
}
