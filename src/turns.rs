//! Turns: who has much to do at a time goes on in turns, so that who has little need not wait behind all of them.
//!
//! A connection does up to a [`QUANTUM`] at a time. One that then has more waits for a turn, in the order of those that
//! wait. A turn is another quantum, and lasts until what it led to is answered. Some have turns at the same time, enough
//! to keep the server busy. But while others have little things done, there is one turn at a time, which lasts until
//! crowds have heard of it too, and behind each a pause, longer than the turn was: so most of what those others send
//! finds nobody in its way.
//!
//! Whoever is behind gets pages from the store, which take turns of their own, with the same pauses as long as many want
//! pages: one alone is in nobody's way.

use crate::clock;
use crate::hub::Line;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Work that a connection may do at a time, in messages.
pub const QUANTUM: u32 = 128;
/// What a request counts as.
pub const REQUEST: u32 = 16;
/// Turns at the same time.
const AT_ONCE: u32 = 16;
/// Who had little to do has more for about so long.
const LATELY: Duration = Duration::from_millis(50);
/// How often that is noted at most.
const NOTED: Duration = Duration::from_millis(10);
/// A pause is so many times as long as the turn before it.
const PAUSES: u32 = 2;
/// The longest pause: a turn may have waited for a disk, or for a reader.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// The longest that a turn lasts for crowds to hear of it.
const LONGEST_LINE: Duration = Duration::from_millis(100);

/// No time.
const NEVER: u64 = u64::MAX;

/// Pages on their way to connections that are behind. More would hold each other up, and everybody else.
const PAGES: u32 = 4;

/// See the module.
#[derive(Debug)]
pub struct Turns {
    free: Arc<Semaphore>,
    free_pages: Arc<Semaphore>,
    /// Pages that wait for their turn.
    wanted_pages: AtomicUsize,
    line: Arc<Line>,
    start: Instant,
    /// When something little was done last, in nanoseconds since the start.
    little_at: AtomicU64,
}

/// A turn, given back when it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
    /// Others are told something in it.
    is_heard: bool,
}

impl Turns {
    /// Nobody has a turn, and nobody has done anything.
    #[must_use]
    pub fn new(now: Instant, line: Arc<Line>) -> Self {
        let free = Arc::new(Semaphore::new(AT_ONCE as usize));
        let free_pages = Arc::new(Semaphore::new(PAGES as usize));
        Turns {
            free,
            free_pages,
            wanted_pages: AtomicUsize::new(0),
            line,
            start: now,
            little_at: AtomicU64::new(NEVER),
        }
    }

    /// Somebody had something little done.
    pub fn note_little(&self, now: Instant) {
        if self.since_little(now).is_none_or(|since| since >= NOTED) {
            self.little_at.store(self.nanos(now), Ordering::Relaxed);
        }
    }

    /// Whether nobody has a turn, and no pause lasts.
    #[must_use]
    pub fn are_free(&self) -> bool {
        self.free.available_permits() == AT_ONCE as usize
            && self.free_pages.available_permits() == PAGES as usize
    }

    /// Waits for a turn.
    pub async fn take(self: Arc<Self>) -> Turn {
        let count = if self.is_little_done(clock::instant()) { AT_ONCE } else { 1 };
        let permit = wait(&self.free, count).await;
        Turn { turns: self, permit, began: clock::instant(), is_heard: true }
    }

    /// Waits until a page may be read for who is behind; the page is on its way until this is dropped.
    pub async fn page(self: Arc<Self>) -> Turn {
        let is_alone = self.wanted_pages.load(Ordering::Relaxed) == 0;
        let count = if !is_alone && self.is_little_done(clock::instant()) { PAGES } else { 1 };
        let wanted = Wanted::new(&self.wanted_pages);
        let permit = wait(&self.free_pages, count).await;
        drop(wanted);
        Turn { turns: self, permit, began: clock::instant(), is_heard: false }
    }

    fn is_little_done(&self, now: Instant) -> bool {
        self.since_little(now).is_some_and(|since| since <= LATELY)
    }

    fn since_little(&self, now: Instant) -> Option<Duration> {
        let at = self.little_at.load(Ordering::Relaxed);
        (at != NEVER).then(|| Duration::from_nanos(self.nanos(now).saturating_sub(at)))
    }

    /// 584 years fit.
    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(NEVER - 1)
    }
}

/// They are never closed, so there is always a permit.
async fn wait(free: &Arc<Semaphore>, count: u32) -> Option<OwnedSemaphorePermit> {
    free.clone().acquire_many_owned(count).await.ok()
}

/// A page that waits, for as long as this lives.
struct Wanted<'a>(&'a AtomicUsize);

impl<'a> Wanted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Wanted(count)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let now = clock::instant();
        let is_wanted = self.is_heard || self.turns.wanted_pages.load(Ordering::Relaxed) > 0;
        if !is_wanted || !self.turns.is_little_done(now) {
            return;
        }
        // There is no runtime when the whole server ends at once.
        let Ok(runtime) = Handle::try_current() else { return };
        let (line, began, is_heard) = (self.turns.line.clone(), self.began, self.is_heard);
        runtime.spawn(async move {
            if is_heard {
                // What is said in a crowd has come to an end when all have heard of it. Others may keep the line busy for good.
                let _ = tokio::time::timeout(LONGEST_LINE, line.over()).await;
            }
            let took = clock::instant().saturating_duration_since(began);
            tokio::time::sleep((took * PAUSES).min(LONGEST_PAUSE)).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const MS: Duration = Duration::from_millis(1);

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn some_have_turns_at_the_same_time_and_the_next_in_the_order_of_their_coming() {
        let turns = Arc::new(Turns::new(clock::instant(), Arc::default()));
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.clone().take().await);
        }
        let (mut first, mut second) = (pin!(turns.clone().take()), pin!(turns.clone().take()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        taken.pop();
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(first.as_mut()).is_ready());
    }

    /// One turn at a time, since little is done, and the line that they wait for.
    fn slow() -> (Arc<Line>, Arc<Turns>) {
        let line = Arc::new(Line::default());
        let turns = Arc::new(Turns::new(clock::instant(), line.clone()));
        turns.note_little(clock::instant());
        (line, turns)
    }

    #[tokio::test(start_paused = true)]
    async fn while_little_things_are_done_there_is_one_turn_at_a_time_and_a_pause_behind_it() {
        let (_, turns) = slow();
        let mut turn = turns.clone().take().await;
        let mut next = pin!(turns.clone().take());
        assert!(poll(next.as_mut()).is_pending());
        turn.began = turn.began.checked_sub(MS * 4).unwrap();
        drop(turn);
        assert!(poll(next.as_mut()).is_pending(), "first comes the pause");
        let before = clock::instant();
        next.await;
        let paused = clock::instant() - before;
        assert!(paused >= MS * 8, "{paused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_lasts_until_all_of_a_crowd_have_what_was_said_in_it() {
        let (line, turns) = slow();
        let turn = turns.clone().take().await;
        let crowd = line.crowd();
        drop(turn);
        let mut next = pin!(turns.clone().take());
        assert!(tokio::time::timeout(LONGEST_PAUSE * 2, next.as_mut()).await.is_err());
        drop(crowd);
        let before = clock::instant();
        next.await;
        assert!(clock::instant() - before >= LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn crowds_that_never_end_do_not_keep_others_from_their_turns() {
        let (line, turns) = slow();
        let turn = turns.clone().take().await;
        let _crowd = line.crowd();
        drop(turn);
        assert!(tokio::time::timeout(LONGEST_LINE * 2, turns.take()).await.is_ok());
    }

    #[tokio::test]
    async fn a_few_pages_are_on_their_way_at_a_time() {
        let turns = Arc::new(Turns::new(clock::instant(), Arc::default()));
        let mut pages = Vec::new();
        for _ in 0..PAGES {
            pages.push(turns.clone().page().await);
        }
        let mut next = pin!(turns.clone().page());
        assert!(poll(next.as_mut()).is_pending());
        pages.pop();
        assert!(poll(next.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn while_little_things_are_done_and_many_want_pages_there_is_a_pause_behind_each_whoever_stands_in_line()
     {
        let (line, turns) = slow();
        let _crowd = line.crowd();
        let mut pages = Vec::new();
        for _ in 0..PAGES {
            pages.push(turns.clone().page().await);
        }
        let (mut next, mut last) = (pin!(turns.clone().page()), pin!(turns.clone().page()));
        assert!(poll(next.as_mut()).is_pending() && poll(last.as_mut()).is_pending());
        tokio::time::advance(MS * 4).await;
        pages.clear();
        assert!(tokio::time::timeout(MS * 4 * PAUSES - MS, next.as_mut()).await.is_err());
        assert!(tokio::time::timeout(MS * 3, next.as_mut()).await.is_ok());
        assert!(poll(last.as_mut()).is_pending(), "one at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_nobody_waits_behind_has_no_pause() {
        let (_, turns) = slow();
        drop(turns.clone().page().await);
        assert!(turns.are_free());
    }

    #[test]
    fn what_is_little_is_soon_forgotten() {
        let start = clock::instant();
        let turns = Turns::new(start, Arc::default());
        assert!(!turns.is_little_done(start));
        turns.note_little(start + MS);
        assert!(turns.is_little_done(start + LATELY));
        assert!(!turns.is_little_done(start + LATELY + MS * 2));
        turns.note_little(start + LATELY);
        assert!(turns.is_little_done(start + LATELY + MS * 2));
    }
}
