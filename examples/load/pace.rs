//! When things are due that are to be done at a fixed rate.

use std::time::{Duration, Instant};

/// So many a second, from a moment on. What could not be done in time stays due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    began: Instant,
    per_sec: f64,
    done: u64,
}

impl Pace {
    pub(crate) fn new(began: Instant, per_sec: f64) -> Pace {
        Pace { began, per_sec, done: 0 }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Instant {
        self.began + Duration::from_secs_f64((self.done + 1) as f64 / self.per_sec)
    }

    /// Takes the next one, if it is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next();
        if next > now {
            return None;
        }
        self.done += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_due_as_the_rate_says_and_none_is_forgotten() {
        let began = Instant::now();
        let mut pace = Pace::new(began, 4.0);
        let at = |millis| began + Duration::from_millis(millis);
        assert_eq!(pace.take(at(249)), None);
        assert_eq!(pace.take(at(251)), Some(at(250)));
        assert_eq!((pace.take(at(251)), pace.next()), (None, at(500)));
        let late: Vec<_> = std::iter::from_fn(|| pace.take(at(1100))).collect();
        assert_eq!(late, [at(500), at(750), at(1000)]);
    }
}
