//! How long to wait before a call is made again: a random time below a bound that doubles ("full jitter"), so that many who
//! failed together don't come back together.
//!
//! Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

use aws_lc_rs::rand;

/// The waits between attempts at one thing.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    bound: Duration,
    most: Duration,
}

impl Backoff {
    /// The first wait is below `first`, none is above `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { bound: first, most }
    }

    /// The longest wait that nobody asked for.
    #[must_use]
    pub const fn most(&self) -> Duration {
        self.most
    }

    /// The next wait; at least what the provider asked for.
    #[must_use]
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.bound.mul_f64(fraction());
        self.bound = (self.bound * 2).min(self.most);
        asked.map_or(wait, |asked| asked.saturating_add(wait))
    }
}

/// A random number from 0 to 1; a half where the system has no randomness to give.
fn fraction() -> f64 {
    let mut bytes = [0u8; 4];
    let drawn = rand::fill(&mut bytes).is_ok();
    if drawn { f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_honour_what_was_asked() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for bound_ms in [100, 200, 400, 800, 1000, 1000] {
            assert!(backoff.next(None) <= Duration::from_millis(bound_ms));
        }
        assert!(backoff.next(Some(Duration::from_secs(5))) >= Duration::from_secs(5));
        assert_eq!(backoff.next(Some(Duration::MAX)), Duration::MAX);
    }
}
