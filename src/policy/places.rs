//! Who gets a place: there are so many in all and so many for each address, and whoever finds none waits in line.
//!
//! The first in the line who may have a place gets it. So no one who waits could have one: whoever comes and may
//! have one overtakes nobody.

use super::source::Source;
use std::collections::{HashMap, VecDeque};

/// Of those who may wait, one in so many may be from one address.
const WAITING_SHARES: usize = 8;

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub all: usize,
    /// For each address; 0: no limit.
    pub per_source: usize,
    /// Who may wait for one.
    pub waiting: usize,
}

/// The places that are taken, and the line of those who wait. `W` is how one who waits is told.
#[derive(Debug)]
pub struct Places<W> {
    bounds: Bounds,
    taken: usize,
    of: HashMap<Source, usize>,
    line: VecDeque<Waiter<W>>,
    next: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    ticket: u64,
    source: Option<Source>,
    tell: W,
}

impl<W> Places<W> {
    /// All of them free.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Places { bounds, taken: 0, of: HashMap::new(), line: VecDeque::new(), next: 0 }
    }

    /// Other bounds from now on. Nobody loses a place; [`Places::serve_next`] tells who has one now.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Takes a place if there is one. `source`: `None` is not counted for its address.
    #[must_use]
    pub fn take(&mut self, source: Option<Source>) -> bool {
        if self.taken >= self.bounds.all || self.is_full(source) {
            return false;
        }
        self.taken += 1;
        if let Some(source) = source {
            *self.of.entry(source).or_default() += 1;
        }
        true
    }

    /// Gives a place back; [`Places::serve_next`] tells who has it now.
    pub fn give_back(&mut self, source: Option<Source>) {
        self.taken = self.taken.saturating_sub(1);
        let Some(source) = source else { return };
        if let Some(taken) = self.of.get_mut(&source) {
            *taken -= 1;
            if *taken == 0 {
                self.of.remove(&source);
            }
        }
    }

    /// Stands in line; `None` if too many do.
    pub fn wait(&mut self, source: Option<Source>, tell: W) -> Option<u64> {
        let from_there = self.line.iter().filter(|other| other.source == source).count();
        let most = self.bounds.waiting;
        if self.line.len() >= most || (source.is_some() && from_there >= most.div_ceil(WAITING_SHARES)) {
            return None;
        }
        self.next += 1;
        self.line.push_back(Waiter { ticket: self.next, source, tell });
        Some(self.next)
    }

    /// Leaves the line.
    pub fn leave(&mut self, ticket: u64) {
        self.line.retain(|waiter| waiter.ticket != ticket);
    }

    /// Gives a place to the first in the line who may have one.
    pub fn serve_next(&mut self) -> Option<(Option<Source>, W)> {
        if self.taken >= self.bounds.all {
            return None;
        }
        let first = self.line.iter().position(|waiter| !self.is_full(waiter.source))?;
        let Waiter { source, tell, .. } = self.line.remove(first)?;
        self.take(source).then_some((source, tell))
    }

    /// Whether an address has all places that it may have.
    #[must_use]
    pub fn is_full(&self, source: Option<Source>) -> bool {
        let taken = source.and_then(|source| self.of.get(&source)).copied().unwrap_or(0);
        self.bounds.per_source > 0 && taken >= self.bounds.per_source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    fn from(number: u32) -> Option<Source> {
        Some(IpAddr::from(Ipv4Addr::from_bits(number)).into())
    }

    fn places(all: usize, per_source: usize) -> Places<&'static str> {
        Places::new(Bounds { all, per_source, waiting: 80 })
    }

    #[test]
    fn there_are_so_many_in_all_and_so_many_for_each_address() {
        let mut places = places(3, 2);
        assert!(places.take(from(1)) && places.take(from(1)));
        assert!(!places.take(from(1)), "of this address");
        assert!(places.take(from(2)));
        assert!(!places.take(from(3)), "in all");
        places.give_back(from(1));
        assert!(places.take(from(1)));
        places.give_back(from(2));
        assert!(places.take(None), "who is not counted has a place all the same");
        assert!(!places.take(None));
        assert_eq!(places.of.len(), 1, "nobody is remembered who has none");
    }

    #[test]
    fn the_first_in_line_who_may_have_a_place_gets_it() {
        let mut places = places(2, 1);
        assert!(places.take(from(1)) && places.take(from(2)));
        for (source, who) in [(from(1), "again"), (from(3), "third"), (from(4), "fourth")] {
            assert!(places.wait(source, who).is_some());
        }
        assert_eq!(places.serve_next(), None);
        places.give_back(from(2));
        assert_eq!(places.serve_next(), Some((from(3), "third")));
        assert_eq!(places.serve_next(), None);
        places.give_back(from(1));
        assert_eq!(places.serve_next(), Some((from(1), "again")));
        places.give_back(from(3));
        assert_eq!(places.serve_next(), Some((from(4), "fourth")));
        assert_eq!(places.serve_next(), None);
    }

    #[test]
    fn who_leaves_the_line_gets_nothing() {
        let mut places = places(1, 0);
        assert!(places.take(from(1)));
        let ticket = places.wait(from(2), "gone").unwrap();
        places.wait(from(3), "there").unwrap();
        places.leave(ticket);
        places.give_back(from(1));
        assert_eq!(places.serve_next(), Some((from(3), "there")));
    }

    #[test]
    fn the_line_is_bounded_and_more_so_for_one_address() {
        let mut places = places(0, 0);
        let waits = |places: &mut Places<_>, source| places.wait(source, "").is_some();
        assert_eq!((0..100).filter(|_| waits(&mut places, from(1))).count(), 10);
        assert_eq!((0..100).filter(|_| waits(&mut places, None)).count(), 70);
        assert!(!waits(&mut places, from(2)));
    }

    #[test]
    fn wider_bounds_let_those_in_who_wait() {
        let mut places = places(1, 0);
        assert!(places.take(from(1)));
        places.wait(from(2), "waits").unwrap();
        places.set_bounds(Bounds { all: 2, per_source: 0, waiting: 0 });
        assert_eq!(places.serve_next(), Some((from(2), "waits")));
    }
}
