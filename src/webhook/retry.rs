//! When a message is tried again, and when no more: exponential backoff with jitter up to a longest pause, for so long.
//!
//! Every failure is tried again, one that blames the message as well: a receiver that is deployed wrongly answers 404 or
//! 400 as readily as 500. Only 410 Gone ends it at once. Time and chance come in.

use std::time::Duration;

use super::outcome::Outcome;
use crate::model::time::Timestamp;

/// How long the pauses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The first pause.
    pub initial: Duration,
    /// The longest one; each is twice the one before until then.
    pub longest: Duration,
    /// For how long it is tried.
    pub give_up: Duration,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Delivered,
    /// It is tried again at this time.
    Retry(Timestamp),
    /// It was tried for long enough.
    Dead,
    /// The receiver wants no more.
    Gone,
}

impl Schedule {
    /// What follows from attempt number `attempts`, the first of which was at `first_at`.
    #[must_use]
    pub fn verdict(&self, outcome: &Outcome, attempts: u32, first_at: Timestamp, now: Timestamp, dice: u64) -> Verdict {
        let end = first_at.plus(self.give_up);
        if outcome.has_arrived() {
            return Verdict::Delivered;
        }
        if outcome.is_gone() {
            return Verdict::Gone;
        }
        if now >= end {
            return Verdict::Dead;
        }
        let asked = outcome.reply.as_ref().ok().and_then(|reply| reply.retry_after).unwrap_or_default();
        // However long the receiver wants to be left alone, nobody else's mistake stops everything for a day; and the last
        // attempt is at the end.
        let pause = self.pause(attempts, dice).max(asked.min(self.longest));
        Verdict::Retry(now.plus(pause).min(end))
    }

    /// The pause after attempt number `attempts`: from half of the whole to the whole of it, as the dice fall, so that many
    /// that failed together don't come back together.
    fn pause(&self, attempts: u32, dice: u64) -> Duration {
        let doubled = 2_u32.checked_pow(attempts.saturating_sub(1)).and_then(|by| self.initial.checked_mul(by));
        let half = doubled.map_or(self.longest, |pause| pause.min(self.longest)) / 2;
        let more = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        half + Duration::from_millis(dice % more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::Reply;
    use proptest::prelude::*;

    const DAY: Schedule = Schedule {
        initial: Duration::from_secs(5),
        longest: Duration::from_hours(1),
        give_up: Duration::from_hours(24),
    };

    fn answered(status: u16, retry_after: Option<Duration>) -> Outcome {
        let reply = Reply { status, excerpt: String::new(), retry_after };
        Outcome { reply: Ok(reply), took: Duration::ZERO }
    }

    #[test]
    fn pauses_grow_from_seconds_to_an_hour() {
        let pauses: Vec<u64> = (1..=14).map(|attempts| DAY.pause(attempts, u64::MAX).as_secs()).collect();
        let halves: Vec<u64> =
            (1..=14).map(|attempts| DAY.pause(attempts, 0).as_millis().try_into().unwrap()).collect();
        assert_eq!(halves[..4], [2500, 5000, 10_000, 20_000]);
        assert_eq!(halves[10..], [1_800_000; 4]);
        assert!(
            pauses.iter().zip(&halves).all(|(pause, half)| (half / 1000..=half / 500).contains(pause)),
            "{pauses:?}"
        );
        assert_eq!(DAY.pause(u32::MAX, 0), Duration::from_mins(30));
    }

    #[test]
    fn a_day_of_failures_is_a_few_dozen_attempts_and_the_last_is_at_its_end() {
        let (first, mut now, mut attempts) = (Timestamp(0), Timestamp(0), 1);
        while let Verdict::Retry(at) = DAY.verdict(&answered(500, None), attempts, first, now, 7 * u64::from(attempts))
        {
            assert!(at > now);
            (now, attempts) = (at, attempts + 1);
        }
        assert_eq!(now, first.plus(DAY.give_up));
        assert!((30..=60).contains(&attempts), "{attempts}");
    }

    #[test]
    fn what_the_receiver_answers_counts() {
        let verdict = |outcome: &Outcome| DAY.verdict(outcome, 1, Timestamp(0), Timestamp(0), 0);
        assert_eq!(verdict(&answered(204, None)), Verdict::Delivered);
        assert_eq!(verdict(&answered(410, None)), Verdict::Gone);
        for status in [301, 400, 401, 404, 429, 500, 503] {
            assert_eq!(verdict(&answered(status, None)), Verdict::Retry(Timestamp(2500)), "{status}");
        }
        let asked = |seconds| verdict(&answered(429, Some(Duration::from_secs(seconds))));
        assert_eq!(asked(1), Verdict::Retry(Timestamp(2500)));
        assert_eq!(asked(600), Verdict::Retry(Timestamp(600_000)));
        assert_eq!(asked(1_000_000), Verdict::Retry(Timestamp(3_600_000)));
        let late = |seconds| {
            let outcome = answered(503, Some(Duration::from_secs(seconds)));
            DAY.verdict(&outcome, 1, Timestamp(0), Timestamp(86_000_000), 0)
        };
        assert_eq!(late(1_000_000), Verdict::Retry(Timestamp(86_400_000)), "the end comes before");
        let once = Schedule { give_up: Duration::ZERO, ..DAY };
        assert_eq!(once.verdict(&answered(500, None), 1, Timestamp(0), Timestamp(0), 0), Verdict::Dead);
    }

    proptest! {
        #[test]
        fn a_retry_is_later_and_never_after_the_end(
            attempts in 1_u32..100, now in 0_i64..86_400_000, dice: u64, asked in prop::option::of(0_u64..1_000_000),
        ) {
            let outcome = answered(500, asked.map(Duration::from_secs));
            let verdict = DAY.verdict(&outcome, attempts, Timestamp(0), Timestamp(now), dice);
            let Verdict::Retry(at) = verdict else { panic!("{verdict:?}") };
            prop_assert!(at > Timestamp(now) && at <= Timestamp(86_400_000));
        }
    }
}
