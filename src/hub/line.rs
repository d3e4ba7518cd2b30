//! The line in which those stand who are to hear of something that many hear of.
//!
//! What is said in a crowd is for hundreds. Were all of them woken at once, whoever else has something done would come
//! behind all of them. So they stand in line, each once: a few are woken, and the next ones when the runtime's threads
//! have nothing else to do, or have done enough of it. What comes for somebody who stands in line goes out with what
//! was there before; so the longer the line, the fewer are the writes.

use super::{Hub, Link, lock};
use crate::id::ConnId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// With more places than this a chat is a crowd, whose connections stand in line.
pub(super) const CROWD: usize = 64;
/// So many are woken before others have their turn.
const FEW: usize = 32;

/// See the module. One for all crowds.
#[derive(Debug)]
pub struct Line {
    /// `None`: there is nothing to wait with, so whoever comes is woken at once.
    runtime: Option<Handle>,
    state: Mutex<State>,
    /// There is nobody in line any more.
    is_over: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Each connection at most once.
    waiting: VecDeque<Arc<Link>>,
    /// Crowds that are about to stand in line.
    coming: usize,
    /// A task wakes them.
    is_moving: bool,
}

/// Those of one crowd who are about to stand in line, when this is dropped.
#[derive(Debug)]
pub(crate) struct Crowd<'a> {
    line: &'a Arc<Line>,
    links: Vec<Arc<Link>>,
}

impl Default for Line {
    /// Moves on the runtime in which it is made.
    fn default() -> Self {
        Line { runtime: Handle::try_current().ok(), state: Mutex::default(), is_over: Notify::new() }
    }
}

impl Line {
    /// Waits until nobody is in line.
    pub async fn over(&self) {
        loop {
            let over = self.is_over.notified();
            if lock(&self.state).is_over() {
                return;
            }
            over.await;
        }
    }

    /// A crowd, which is taken to be in line from here on.
    pub(crate) fn crowd(self: &Arc<Self>) -> Crowd<'_> {
        lock(&self.state).coming += 1;
        Crowd { line: self, links: Vec::new() }
    }

    /// Wakes all who wait, a few at a time.
    async fn move_on(self: Arc<Self>) {
        while self.wake_few() {
            // This task goes on when there is nothing else to do, or enough of it was done.
            tokio::task::yield_now().await;
        }
    }

    /// Wakes the first; false if there was nobody, and who comes next has to begin anew.
    fn wake_few(&self) -> bool {
        let mut woken = 0;
        while woken < FEW {
            let mut state = lock(&self.state);
            let Some(link) = state.waiting.pop_front() else {
                if woken == 0 {
                    state.is_moving = false;
                    self.tell_if_over(&state);
                }
                return woken > 0;
            };
            drop(state);
            woken += usize::from(link.outbox.wake_in_line());
        }
        true
    }

    fn tell_if_over(&self, state: &State) {
        if state.is_over() {
            self.is_over.notify_waiters();
        }
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.coming == 0 && !self.is_moving
    }
}

impl Crowd<'_> {
    pub(super) fn add(&mut self, link: &Arc<Link>) {
        self.links.push(link.clone());
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.line.state);
        state.coming -= 1;
        state.waiting.extend(self.links.drain(..));
        let begins = !state.waiting.is_empty() && !state.is_moving;
        state.is_moving |= begins;
        self.line.tell_if_over(&state);
        drop(state);
        if begins {
            match &self.line.runtime {
                Some(runtime) => drop(runtime.spawn(self.line.clone().move_on())),
                None => while self.line.wake_few() {},
            }
        }
    }
}

impl Hub {
    /// Those who are to hear of what many hear of.
    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// The connections, how many bytes wait for each, and whether they may wait a moment longer.
    #[must_use]
    pub fn unsent(&self) -> Vec<(ConnId, usize, bool)> {
        let links = &self.directory().links;
        links.iter().map(|(id, link)| (*id, link.outbox.unsent(), link.outbox.is_woken_later())).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::hub::Greeting;
    use crate::id::{ChatId, UserId};
    use crate::outbox::Queue;
    use crate::permits::Permits;
    use crate::store::sqlite::{Options, SqliteStore};
    use crate::store::{
        Appended, ChatHead, ChatKind, Committed, Consumer, Content, LoggedIn, Message, Outcome,
    };
    use bytes::Bytes;
    use std::future::Future;
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Connections whose tasks rest, and how often one of them was woken.
    fn resting(count: u64) -> (Vec<Arc<Link>>, Arc<Count>) {
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let links: Vec<_> = (1..=count)
            .map(|id| {
                Arc::new(Link::new(ConnId(id), Ipv4Addr::LOCALHOST.into(), Arc::default(), Arc::default()))
            })
            .collect();
        for link in &links {
            let _ = link.outbox.poll(&Context::from_waker(&waker));
        }
        (links, woken)
    }

    fn say(crowd: &mut Crowd<'_>, links: &[Arc<Link>]) {
        for link in links {
            assert!(link.outbox.live_in_line(&Bytes::from_static(b"hello"), || crowd.add(link)));
        }
    }

    #[tokio::test]
    async fn a_crowd_is_woken_a_few_at_a_time_and_each_once_for_all_that_came() {
        let (line, (links, woken)) = (Arc::new(Line::default()), resting(3 * FEW as u64));
        let mut over = pin!(line.over());
        assert!(is_ready(over.as_mut()));
        let mut crowd = line.crowd();
        let mut over = pin!(line.over());
        assert!(!is_ready(over.as_mut()), "they are about to come");
        say(&mut crowd, &links);
        drop(crowd);
        say(&mut line.crowd(), &links[FEW..]);
        assert_eq!(woken.get(), 0);
        for few in 1..=3 {
            tokio::task::yield_now().await;
            assert_eq!(woken.get(), few * FEW);
            assert!(!is_ready(over.as_mut()));
        }
        over.await;
        assert_eq!(woken.get(), 3 * FEW);
    }

    #[tokio::test]
    async fn who_is_told_of_something_else_does_not_wait_and_is_not_woken_for_nothing() {
        let (line, (links, woken)) = (Arc::new(Line::default()), resting(2));
        say(&mut line.crowd(), &links);
        links[0].outbox.answer(|out| out.push(0));
        assert_eq!(woken.get(), 1);
        // Its task takes what there is, and rests.
        let waker = Waker::from(woken.clone());
        let _ = links[0].outbox.poll(&Context::from_waker(&waker));
        let _ = links[0].outbox.take_into(&mut Queue::default());
        line.over().await;
        assert_eq!(woken.get(), 2, "the other one");
        say(&mut line.crowd(), &links[..1]);
        line.over().await;
        assert_eq!(woken.get(), 3);
    }

    /// A hub in which so many users are online, all of them in the room of all.
    fn full(hub: &Hub, users: u64) -> (Vec<Arc<Link>>, Arc<Count>) {
        let chat = ChatHead { chat: ChatId::ALL, kind: ChatKind::Room, last_seq: 0 };
        let links = (1..=users).map(|user| {
            let link = hub.enter(Ipv4Addr::LOCALHOST.into());
            let (user, name, home) = (UserId(user), "ann".into(), ChatId(1000 + user));
            let login = LoggedIn { user, name, home, token_given: false, chats: vec![chat.clone()] };
            hub.committed(&mut vec![Committed::Login(link.id, Ok(login))]);
            link
        });
        let links: Vec<_> = links.collect();
        let woken = Arc::new(Count::default());
        for link in &links {
            let _ = link.outbox.poll(&Context::from_waker(&Waker::from(woken.clone())));
            let _ = link.outbox.take_into(&mut Queue::default());
        }
        (links, woken)
    }

    fn said(seq: u64) -> Committed {
        let content = Content::Text("hello".into());
        let (user, user_name, name) = (UserId(9999), "bo".into(), "".into());
        let (chat, chat_kind) = (ChatId::ALL, ChatKind::Room);
        let message =
            Message { chat, chat_kind, seq, at: 0, user, user_name, nonce: 0, reply_to: 0, name, content };
        let outcome = Outcome::Stored(message);
        Committed::Append(Appended { conn: None, nonce: 0, about: 0, permit: 0, outcome })
    }

    #[tokio::test]
    async fn in_a_crowd_they_stand_in_line_and_in_a_small_room_nobody_does() {
        let dir = tempfile::tempdir().unwrap();
        let (data, clock) = (dir.path().to_owned(), Arc::new(|| 0));
        let options = Options { data, durability: Durability::Normal, readers: 1, clock };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let greeting = Greeting { epoch: 1, heartbeat: 30, max_text: 9, max_media: 9 };
        for (users, at_once) in [(CROWD, CROWD), (CROWD + 1, 0)] {
            let hub = Hub::new(store.clone(), greeting, Permits::new(9), None, || 0);
            let (_links, woken) = full(&hub, users as u64);
            hub.committed(&mut vec![said(1)]);
            assert_eq!(woken.get(), at_once);
            hub.line().over().await;
            assert_eq!(woken.get(), users);
        }
    }

    #[test]
    fn without_a_runtime_nobody_waits() {
        let (line, (links, woken)) = (Arc::new(Line::default()), resting(2 * FEW as u64));
        say(&mut line.crowd(), &links);
        assert_eq!(woken.get(), 2 * FEW);
    }

    fn is_ready(future: std::pin::Pin<&mut impl Future>) -> bool {
        matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    }
}
