//! Events that wait for a slow reader: the last of each kind, and no more than a few.
//!
//! PRESENCE and SEEN tell what holds, so of two about the same thing the newer one is enough. While much is
//! unsent they wait here, each in the place of the older one; they can never crowd out messages.

use super::{Budget, Inner, Outbox};
use crate::id::{ChatId, UserId};
use bytes::Bytes;

/// With so many unsent bytes events wait, or are dropped if they are no news later.
const EVENTS_BELOW: usize = 16 * 1024;
/// Events that wait for one connection; with more the oldest is dropped.
const EVENTS: usize = 64;

/// What an event is about: a newer one about the same makes it old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKey {
    /// How this user is seen.
    Presence(UserId),
    /// How far this user has read this chat.
    Seen(ChatId, UserId),
}

/// See the module. In the order in which they are to go out.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<(EventKey, Bytes)>);

impl Outbox {
    /// Queues an event that is no news later: dropped while much is unsent.
    pub fn passing_event(&self, event: &Bytes) {
        self.with_soon(|inner| {
            if inner.unsent < EVENTS_BELOW {
                inner.write(&self.budget, |tail| tail.extend_from_slice(event));
            }
        });
    }

    /// Queues an event that makes an older one with the same key superfluous.
    pub fn event(&self, key: EventKey, event: &Bytes) {
        self.with_soon(|inner| {
            if inner.unsent < EVENTS_BELOW && inner.events.is_none() {
                inner.write(&self.budget, |tail| tail.extend_from_slice(event));
            } else if !inner.is_sealed {
                inner.events.get_or_insert_default().put(key, event);
            }
        });
    }

    /// Drops the events that wait and are about this chat.
    pub fn forget_events(&self, chat: ChatId) {
        if let Some(events) = &mut self.lock().events {
            events.forget(chat);
        }
    }
}

impl Inner {
    /// Queues the events that wait, once little enough is unsent.
    pub(super) fn queue_events(&mut self, budget: &Budget) {
        if self.unsent < EVENTS_BELOW
            && let Some(events) = self.events.take()
        {
            events.0.iter().for_each(|(_, event)| self.write(budget, |tail| tail.extend_from_slice(event)));
        }
    }
}

impl Waiting {
    fn put(&mut self, key: EventKey, event: &Bytes) {
        match self.0.iter_mut().find(|(other, _)| *other == key) {
            Some((_, older)) => *older = event.clone(),
            None => {
                if self.0.len() == EVENTS {
                    self.0.remove(0);
                }
                self.0.push((key, event.clone()));
            }
        }
    }

    /// Drops what is about this chat.
    fn forget(&mut self, chat: ChatId) {
        self.0.retain(|(key, _)| !matches!(key, EventKey::Seen(of, _) if *of == chat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Queue;

    fn event(n: u8) -> Bytes {
        Bytes::from(vec![n])
    }

    fn events(waiting: Waiting) -> Vec<Bytes> {
        waiting.0.into_iter().map(|(_, event)| event).collect()
    }

    fn seen(chat: u64) -> EventKey {
        EventKey::Seen(ChatId(chat), UserId(7))
    }

    #[test]
    fn of_two_events_about_the_same_the_newer_waits_in_the_place_of_the_older() {
        let mut waiting = Waiting::default();
        waiting.put(seen(1), &event(1));
        waiting.put(EventKey::Presence(UserId(7)), &event(2));
        waiting.put(seen(1), &event(3));
        assert_eq!(events(waiting), [event(3), event(2)]);
    }

    #[test]
    fn no_more_than_a_few_wait_and_the_oldest_goes() {
        let mut waiting = Waiting::default();
        for n in 0..=EVENTS {
            waiting.put(seen(n as u64), &event(u8::try_from(n).unwrap()));
        }
        assert_eq!(
            events(waiting),
            (1..=EVENTS).map(|n| event(u8::try_from(n).unwrap())).collect::<Vec<_>>()
        );
    }

    #[test]
    fn while_much_is_unsent_events_wait_and_what_is_passing_is_dropped() {
        let outbox = Outbox::new(std::sync::Arc::default(), std::sync::Arc::default());
        outbox.event(seen(1), &event(1));
        outbox.passing_event(&event(2));
        outbox.answer(|out| out.resize(out.len() + EVENTS_BELOW, 0));
        outbox.event(seen(1), &event(3));
        outbox.passing_event(&event(4));
        let mut queue = Queue::default();
        assert_eq!(outbox.take_into(&mut queue), EVENTS_BELOW + 2);
        outbox.event(seen(1), &event(5));
        outbox.sent(EVENTS_BELOW, 0);
        queue = Queue::default();
        // One that comes now does not overtake the one that waits.
        outbox.event(seen(2), &event(6));
        assert_eq!(outbox.take_into(&mut queue), 4);
        let queue: Vec<_> = queue.iter().collect();
        assert!(
            matches!(queue[..], [crate::delivery::Segment::Owned(bytes)] if *bytes == [5, 6]),
            "{queue:?}"
        );
    }

    #[test]
    fn what_is_about_a_chat_can_be_forgotten() {
        let mut waiting = Waiting::default();
        waiting.put(seen(1), &event(1));
        waiting.put(seen(2), &event(2));
        waiting.put(EventKey::Presence(UserId(1)), &event(3));
        waiting.forget(ChatId(1));
        assert_eq!(events(waiting), [event(2), event(3)]);
    }
}
