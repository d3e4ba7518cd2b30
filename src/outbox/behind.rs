//! The chats that a connection is behind in, and the page of one of them that is on its way to it.

use super::{FEED_BELOW, Inner, LIVE_BYTES, Outbox};
use crate::id::ChatId;
use crate::session::Notice;
use bytes::Bytes;
use std::collections::VecDeque;

/// See the module. There is one only while a connection is behind somewhere.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// Those that wait for their next page.
    chats: VecDeque<ChatId>,
    /// The chat whose page is on its way, and what is to follow it.
    page: Option<(ChatId, Vec<u8>)>,
}

impl Outbox {
    /// Notes that a chat is behind and waits for its next page.
    pub fn add_behind(&self, chat: ChatId) {
        self.with(|inner| {
            let behind = inner.behind.get_or_insert_default();
            if !behind.chats.contains(&chat) {
                behind.chats.push_back(chat);
            }
        });
    }

    /// The chat whose next page is due, if there is room for one. From here on its page is on its way, up to
    /// [`Outbox::end_page`] or the next one.
    #[must_use]
    pub fn next_behind(&self) -> Option<ChatId> {
        let mut inner = self.lock();
        let has_room = inner.has_room_for_page(&self.budget);
        let behind = inner.behind.as_mut()?;
        behind.page = None;
        if !has_room {
            return None;
        }
        let next = behind.chats.pop_front();
        behind.page = next.map(|chat| (chat, Vec::new()));
        inner.forget_idle();
        next
    }

    /// Queues an event behind the page of this chat that is on its way, which may have been read before the event
    /// came to be. Where none is, there is no need: the next one will be read after it.
    pub fn follow_page(&self, chat: ChatId, event: &Bytes) {
        let mut inner = self.lock();
        let page = inner.behind.as_mut().and_then(|behind| behind.page.as_mut());
        let Some((_, late)) = page.filter(|(of, _)| *of == chat) else { return };
        if late.len() + event.len() <= LIVE_BYTES {
            late.extend_from_slice(event);
        } else {
            drop(inner);
            self.notify(Notice::Overrun);
        }
    }

    /// The page that was on its way has come, or will not: what is to follow it.
    #[must_use]
    pub fn end_page(&self) -> Vec<u8> {
        let mut inner = self.lock();
        let page = inner.behind.as_mut().and_then(|behind| behind.page.take());
        inner.forget_idle();
        page.map(|(_, late)| late).unwrap_or_default()
    }
}

impl Inner {
    fn has_room_for_page(&self, budget: &super::Budget) -> bool {
        self.unsent == 0 || self.unsent < FEED_BELOW.min(budget.share())
    }

    fn forget_idle(&mut self) {
        if self.behind.as_ref().is_some_and(|behind| behind.chats.is_empty() && behind.page.is_none()) {
            self.behind = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: ChatId = ChatId(3);

    #[test]
    fn what_is_to_follow_a_page_is_kept_while_it_is_on_its_way_and_only_then() {
        let outbox = Outbox::new(std::sync::Arc::default(), std::sync::Arc::default());
        let event = Bytes::from_static(b"gone");
        outbox.follow_page(CHAT, &event);
        outbox.add_behind(CHAT);
        outbox.follow_page(CHAT, &event);
        assert_eq!(outbox.next_behind(), Some(CHAT));
        outbox.follow_page(CHAT, &event);
        outbox.follow_page(ChatId(4), &event);
        assert_eq!(outbox.end_page(), b"gone");
        outbox.follow_page(CHAT, &event);
        assert_eq!(outbox.end_page(), b"");
        assert!(outbox.lock().behind.is_none(), "nothing is kept where nothing is behind");
    }

    #[test]
    fn what_follows_a_page_is_bounded() {
        let outbox = Outbox::new(std::sync::Arc::default(), std::sync::Arc::default());
        outbox.add_behind(CHAT);
        assert_eq!(outbox.next_behind(), Some(CHAT));
        outbox.follow_page(CHAT, &Bytes::from(vec![0; LIVE_BYTES]));
        outbox.follow_page(CHAT, &Bytes::from_static(b"x"));
        assert_eq!(outbox.end_page().len(), LIVE_BYTES);
        let taken = outbox.poll(&std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(taken.notices[..], [Notice::Overrun]), "{taken:?}");
    }
}
