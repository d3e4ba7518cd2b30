//! Places for connections: who comes takes one, or waits for one a while, and gives it back at the end.
//!
//! Who may have one says [`policy::places`](crate::policy::places).

use crate::policy::places::{Bounds, Places as Line};
use crate::policy::source::Source;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// All places. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Places(Arc<Mutex<Line<oneshot::Sender<Place>>>>);

/// A place that is taken: given back when it is dropped, to the first who waits for it.
#[derive(Debug)]
pub struct Place {
    places: Places,
    source: Option<Source>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.line().give_back(self.source);
        self.places.hand_out();
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken, and none became free in time.
    All,
    /// All that this address may have.
    Address,
}

impl Places {
    /// All of them free.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Places(Arc::new(Mutex::new(Line::new(bounds))))
    }

    /// Other bounds from now on. Nobody loses a place.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.line().set_bounds(bounds);
        self.hand_out();
    }

    /// Takes a place if there is one. `source`: `None` is not counted for its address.
    #[must_use]
    pub fn take(&self, source: Option<Source>) -> Option<Place> {
        let is_there = self.line().take(source);
        is_there.then(|| Place { places: self.clone(), source })
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// If none became free in time, or too many wait.
    pub async fn wait(&self, source: Option<Source>, patience: Duration) -> Result<Place, Full> {
        let (tell, told) = oneshot::channel();
        let Some(ticket) = self.line().wait(source, tell) else { return Err(self.why(source)) };
        let _waits = Waits { places: self, ticket };
        // One may have become free in between.
        self.hand_out();
        match tokio::time::timeout(patience, told).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.why(source)),
        }
    }

    fn why(&self, source: Option<Source>) -> Full {
        if self.line().is_full(source) { Full::Address } else { Full::All }
    }

    /// Gives what is free to those who wait.
    fn hand_out(&self) {
        loop {
            // Not under the lock: who has gone meanwhile gives the place back here.
            let next = self.line().serve_next();
            let Some((source, tell)) = next else { return };
            drop(tell.send(Place { places: self.clone(), source }));
        }
    }

    /// Whoever panicked in here left a whole line behind.
    fn line(&self) -> MutexGuard<'_, Line<oneshot::Sender<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the line when it is dropped.
struct Waits<'a> {
    places: &'a Places,
    ticket: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.places.line().leave(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    const LONG: Duration = Duration::from_secs(20);

    fn from(number: u32) -> Option<Source> {
        Some(IpAddr::from(Ipv4Addr::from_bits(number)).into())
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_another_gives_back() {
        let places = Places::new(Bounds { all: 1, per_source: 0, waiting: 8 });
        let first = places.take(from(1)).unwrap();
        assert!(places.take(from(2)).is_none());
        let second = places.wait(from(2), LONG);
        let (second, ()) = tokio::join!(second, async { drop(first) });
        assert!(places.take(from(3)).is_none());
        drop(second.unwrap());
        assert!(places.take(from(3)).is_some());
    }

    #[tokio::test]
    async fn who_waited_in_vain_learns_why_and_takes_nothing() {
        let places = Places::new(Bounds { all: 2, per_source: 1, waiting: 8 });
        let first = places.take(from(1)).unwrap();
        assert_eq!(places.wait(from(1), Duration::ZERO).await.unwrap_err(), Full::Address);
        let second = places.take(from(2)).unwrap();
        assert_eq!(places.wait(from(3), Duration::ZERO).await.unwrap_err(), Full::All);
        drop((first, second));
        let _taken = [places.take(from(1)).unwrap(), places.take(from(2)).unwrap()];
    }

    #[tokio::test]
    async fn wider_bounds_let_those_in_who_wait() {
        let places = Places::new(Bounds { all: 1, per_source: 0, waiting: 8 });
        let _first = places.take(from(1)).unwrap();
        let wider = async { places.set_bounds(Bounds { all: 2, per_source: 0, waiting: 8 }) };
        let (second, ()) = tokio::join!(places.wait(from(2), LONG), wider);
        assert!(second.is_ok());
    }
}
