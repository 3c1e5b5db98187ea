//! What is counted as it happens, and the text that Prometheus reads.
//!
//! A count is an atomic addition, so that counting costs nothing where much happens. Nothing here is durable: with a start
//! everything begins at zero, as those who read it expect. Doesn't know what is counted.

mod histogram;
mod text;

use std::sync::atomic::{AtomicU64, Ordering};

pub use histogram::{Histogram, Snapshot};
pub use text::{Kind, Text};

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count as a figure; above 2^53 it is off by one or two, which no reader of figures minds.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub const fn figure(count: u64) -> f64 {
    count as f64
}
