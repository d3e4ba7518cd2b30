//! Medians, ranges, and what is taken out of a histogram.

use crate::Result;
use hdrhistogram::Histogram;
use std::time::Duration;

/// A minute: what took longer counts as that.
const LONGEST_NANOS: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

/// How long things took.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Result<Times> {
        Ok(Times(Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS)?))
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST_NANOS));
    }

    pub(crate) fn merge(&mut self, other: &Times) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Microseconds that this share of all took at most.
    pub(crate) fn micros(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }
}

/// The middle of several repetitions, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Summary {
    /// Of nothing, it is nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        Some(Summary { median: f64::midpoint(sorted[lower], sorted[upper]), least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 3.0]), Some(Summary { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(Summary::of(&[7.0]), Some(Summary { median: 7.0, least: 7.0, most: 7.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn shares_are_right_to_three_digits() {
        let mut times = Times::new().unwrap();
        assert!(times.is_empty());
        (1..=1000).for_each(|n| times.add(Duration::from_micros(n)));
        let close = |got: f64, wanted: f64| (got - wanted).abs() <= wanted * 2e-3;
        assert!(close(times.micros(0.5), 500.0), "{}", times.micros(0.5));
        assert!(close(times.micros(0.99), 990.0), "{}", times.micros(0.99));
    }

    #[test]
    fn merged_times_are_those_of_both() {
        let (mut a, mut b) = (Times::new().unwrap(), Times::new().unwrap());
        a.add(Duration::from_micros(10));
        b.add(Duration::from_micros(30));
        a.merge(&b).unwrap();
        assert!(a.micros(1.0) >= 30.0 && a.micros(0.1) <= 10.1);
    }

    #[test]
    fn what_takes_too_long_counts_as_a_minute() {
        let mut times = Times::new().unwrap();
        times.add(Duration::from_secs(4000));
        assert!(times.micros(1.0) >= 59e6);
    }
}
