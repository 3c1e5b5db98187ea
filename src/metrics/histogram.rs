//! How long something takes, as counts of what took no longer than each of a few bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lengths of time by how long they are. Two atomic additions an observation.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds in seconds, ascending.
    bounds: &'static [f64],
    /// For each bound what is within it and beyond the one before, and last what is beyond all.
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

/// A histogram as it stood at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// For each bound in seconds how many were within it, ascending.
    pub within: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long they took together, in seconds.
    pub seconds: f64,
}

impl Histogram {
    /// What takes milliseconds to seconds: requests and commits.
    pub const QUICK: &'static [f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    /// What takes seconds to hours: tasks.
    pub const LONG: &'static [f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0];

    /// With these upper bounds in seconds, which ascend.
    #[must_use]
    pub fn with(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum_us: AtomicU64::new(0) }
    }

    /// Something took this long.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As it stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut count = 0;
        let mut counts = self.buckets.iter().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        let within = self.bounds.iter().copied().zip(counts.by_ref()).collect();
        let count = counts.next_back().unwrap_or(0);
        let seconds = Duration::from_micros(self.sum_us.load(Ordering::Relaxed)).as_secs_f64();
        Snapshot { within, count, seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_bound_counts_what_is_within_it(lengths in prop::collection::vec(0u64..20_000_000, 0..50)) {
            let histogram = Histogram::with(Histogram::QUICK);
            for us in &lengths {
                histogram.observe(Duration::from_micros(*us));
            }
            let found = histogram.snapshot();
            for (bound, count) in &found.within {
                let within = lengths.iter().filter(|us| Duration::from_micros(**us).as_secs_f64() <= *bound).count();
                prop_assert_eq!(*count, within as u64, "{}", bound);
            }
            prop_assert_eq!(found.count, lengths.len() as u64);
            let seconds = Duration::from_micros(lengths.iter().sum()).as_secs_f64();
            prop_assert!((found.seconds - seconds).abs() < 1e-6);
        }
    }
}
