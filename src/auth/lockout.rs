//! Lockout: an account that somebody guesses at is closed for a while, and for longer each time (NIST SP 800-63B section
//! 3.2.2; ten in a row is far below the hundred it allows).
//!
//! Ten failures in a row lock for 15 minutes, the next ten for 30, and so on up to 24 hours, so that whoever goes on has
//! ten guesses a day. A success or an administrator's unlock begins anew, and so does a week without any failure.
//!
//! A lock must not tell whether a user exists. So names that nobody has are counted as well: a [`Lockout`] knows no user,
//! and the use case keeps one in the user's record or, for an unknown name, in memory; it does the same work for both and
//! answers the same. While locked, nothing is checked and nothing counted: the right password is refused as the wrong one
//! is, and nobody can make a lock last by going on. A wrong second factor is a failure too, and only the whole login is a
//! success. Attempts can come at once: each is counted on the record that is stored, not on one that was read before.

use std::time::Duration;

use crate::model::lockout::Lockout;
use crate::model::time::Timestamp;

/// Failures in a row that lock.
pub const FAILURES: u32 = 10;
/// How long the first lock lasts; each following one twice as long.
pub const FIRST_LOCK: Duration = Duration::from_mins(15);
/// How long a lock lasts at most.
pub const LONGEST_LOCK: Duration = Duration::from_hours(24);
/// How long after the last failure, or the end of the lock it caused, all is forgotten.
pub const MEMORY: Duration = Duration::from_hours(7 * 24);

/// When the lock ends, where there is one.
#[must_use]
pub fn locked_until(record: &Lockout, now: Timestamp) -> Option<Timestamp> {
    record.locked_until.filter(|until| *until > now)
}

/// The record after a login that failed. One that was refused because of the lock is none.
#[must_use]
pub fn failed(record: &Lockout, now: Timestamp) -> Lockout {
    if locked_until(record, now).is_some() {
        return record.clone();
    }
    let before = if is_forgotten(record, now) { Lockout::default() } else { record.clone() };
    let counted = Lockout { failures: before.failures.saturating_add(1), failed_at: Some(now), ..before };
    if counted.failures < FAILURES {
        return counted;
    }
    let lock = FIRST_LOCK.saturating_mul(1 << counted.locks.min(16)).min(LONGEST_LOCK);
    Lockout {
        failures: 0,
        locks: counted.locks.saturating_add(1),
        locked_until: Some(now.plus(lock)),
        failed_at: Some(now),
    }
}

/// The record after a login that succeeded, or after an administrator unlocked: as if nothing had been.
#[must_use]
pub fn cleared() -> Lockout {
    Lockout::default()
}

/// Whether the record says nothing any more, so that it need not be kept.
#[must_use]
pub fn is_forgotten(record: &Lockout, now: Timestamp) -> bool {
    record.locked_until.max(record.failed_at).is_none_or(|last| last.plus(MEMORY) <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fail(mut record: Lockout, times: u32, now: Timestamp) -> Lockout {
        for _ in 0..times {
            record = failed(&record, now);
        }
        record
    }

    #[test]
    fn ten_failures_in_a_row_lock_for_a_quarter_of_an_hour() {
        let now = Timestamp(1_000_000);
        let nine = fail(Lockout::default(), 9, now);
        assert_eq!(locked_until(&nine, now), None);
        let ten = failed(&nine, now);
        let end = now.plus(FIRST_LOCK);
        assert_eq!(locked_until(&ten, now), Some(end));
        assert_eq!(locked_until(&ten, Timestamp(end.0 - 1)), Some(end));
        assert_eq!(locked_until(&ten, end), None);
    }

    #[test]
    fn locks_double_up_to_a_day() {
        let (mut record, mut now) = (Lockout::default(), Timestamp(0));
        let mut minutes = Vec::new();
        for _ in 0..10 {
            record = fail(record, FAILURES, now);
            let end = locked_until(&record, now).unwrap();
            minutes.push(end.since(now).as_secs() / 60);
            now = end;
        }
        assert_eq!(minutes, [15, 30, 60, 120, 240, 480, 960, 1440, 1440, 1440]);
    }

    #[test]
    fn going_on_makes_no_lock_last_longer() {
        let now = Timestamp(0);
        let locked = fail(Lockout::default(), FAILURES, now);
        assert_eq!(fail(locked.clone(), 100, now.plus(Duration::from_mins(14))), locked);
    }

    #[test]
    fn a_success_and_an_administrator_begin_anew() {
        let locked = fail(Lockout::default(), 3 * FAILURES, Timestamp(0));
        assert!(locked_until(&locked, Timestamp(1)).is_some());
        let again = fail(cleared(), FAILURES, Timestamp(1));
        assert_eq!(locked_until(&again, Timestamp(1)), Some(Timestamp(1).plus(FIRST_LOCK)));
    }

    #[test]
    fn after_a_quiet_week_all_is_forgotten_and_not_before() {
        assert!(is_forgotten(&Lockout::default(), Timestamp(0)));
        let nine = fail(Lockout::default(), 9, Timestamp(0));
        let week = Timestamp(0).plus(MEMORY);
        assert!(locked_until(&failed(&nine, Timestamp(week.0 - 1)), week).is_some());
        assert_eq!(locked_until(&failed(&nine, week), week), None);
        let locked = fail(Lockout::default(), FAILURES, Timestamp(0));
        assert!(!is_forgotten(&locked, week), "the week begins when the lock ends");
        assert!(is_forgotten(&locked, week.plus(FIRST_LOCK)));
    }

    proptest! {
        #[test]
        fn whoever_guesses_as_fast_as_allowed_has_few_guesses(gaps in prop::collection::vec(0u64..200_000, 1..400)) {
            let (mut record, mut now, mut guesses) = (Lockout::default(), Timestamp(0), 0u32);
            for seconds in gaps {
                now = now.plus(Duration::from_secs(seconds));
                if locked_until(&record, now).is_none() {
                    guesses += 1;
                    record = failed(&record, now);
                    prop_assert!(record.failures < FAILURES);
                    let lock = record.locked_until.map_or(Duration::ZERO, |until| until.since(now));
                    prop_assert!(lock <= LONGEST_LOCK);
                }
            }
            // Ten for each lock, the early short ones among them, and ten that have not locked yet.
            let days = u32::try_from(now.0 / 86_400_000).unwrap();
            prop_assert!(guesses <= FAILURES * (days + 10));
        }
    }
}
