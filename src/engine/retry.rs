//! When a failed attempt is tried again.

use std::time::Duration;

use crate::model::batch::{Backoff, Retry};

/// The delay before attempt `attempt + 1`, after `attempt` attempts failed (at least 1).
///
/// Jittered over the upper half of the full delay ("equal jitter", Brooker, *Exponential Backoff and Jitter*, 2015), so
/// that operations that failed together don't come back together and none comes back at once. `seed` stands for
/// randomness: the same seed gives the same delay, which keeps recovery and tests exact.
#[must_use]
pub fn delay(retry: &Retry, attempt: u32, seed: u64) -> Duration {
    let initial = retry.initial_delay_seconds.saturating_mul(1000);
    let full = match retry.backoff {
        Backoff::Exponential => initial.saturating_mul(1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX)),
        Backoff::Linear => initial.saturating_mul(u64::from(attempt)),
    };
    let full = full.min(retry.max_delay_seconds.saturating_mul(1000));
    let half = full / 2;
    Duration::from_millis(full - half + if half == 0 { 0 } else { mix(seed) % (half + 1) })
}

/// How compensations are retried: at least three attempts, because what they leave behind costs more than they do.
#[must_use]
pub fn undo(retry: &Retry) -> Retry {
    Retry { max_attempts: retry.max_attempts.max(3), backoff: Backoff::Exponential, initial_delay_seconds: 1, ..*retry }
}

/// A finaliser with full avalanche (`SplitMix64`; Steele, Lea and Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_delay_lies_in_the_upper_half_and_under_the_maximum(
            initial in 0u64..1000, max in 0u64..100_000, attempt in 1u32..200, seed: u64, linear: bool,
        ) {
            let backoff = if linear { Backoff::Linear } else { Backoff::Exponential };
            let retry = Retry { max_attempts: 200, backoff, initial_delay_seconds: initial, max_delay_seconds: max };
            let delay = delay(&retry, attempt, seed);
            prop_assert!(delay <= Duration::from_secs(max));
            let first = Duration::from_secs(initial.min(max)) / 2;
            prop_assert!(delay >= first);
        }
    }
}
