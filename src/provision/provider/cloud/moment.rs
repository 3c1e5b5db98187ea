//! When something was, so that other processes can tell how long ago: by the clock that counts from boot, which nobody sets,
//! and by the wall clock for what was before this boot.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// By the wall clock.
    at: Timestamp,
    /// By the clock since boot; absent where the kernel doesn't say which boot this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uptime: Option<Uptime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Uptime {
    /// Which boot it was.
    boot: String,
    /// Milliseconds since then.
    ms: u64,
}

impl Moment {
    /// This one.
    pub(super) fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).ok(), u64::try_from(now.tv_nsec).ok());
        let ms = seconds.zip(nanoseconds).map(|(seconds, nanoseconds)| seconds * 1000 + nanoseconds / 1_000_000);
        let uptime = boot.zip(ms).map(|(boot, ms)| Uptime { boot: boot.trim().to_owned(), ms });
        Self { at: Timestamp::now(), uptime }
    }

    /// How long after `earlier` this is, at least; zero where it isn't after, or that can't be told. What was before this boot
    /// is no later than it, whatever the wall clock says.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        let by_wall = self.at.since(earlier.at);
        match (&self.uptime, &earlier.uptime) {
            (Some(now), Some(then)) if now.boot == then.boot => Duration::from_millis(now.ms.saturating_sub(then.ms)),
            (Some(now), Some(_)) => by_wall.min(Duration::from_millis(now.ms)),
            _ => by_wall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall_ms: i64, boot: &str, ms: u64) -> Moment {
        Moment { at: Timestamp(wall_ms), uptime: (!boot.is_empty()).then(|| Uptime { boot: boot.to_owned(), ms }) }
    }

    #[test]
    fn a_clock_that_is_set_makes_nothing_older_or_younger() {
        let then = moment(1_000_000, "a", 5_000);
        for wall_ms in [0, 1_000_000, 90_000_000] {
            assert_eq!(moment(wall_ms, "a", 7_000).since(&then), Duration::from_secs(2));
        }
        assert_eq!(moment(1_000_000, "a", 4_000).since(&then), Duration::ZERO);
    }

    #[test]
    fn what_was_before_this_boot_is_at_least_as_old_as_it_and_no_older_than_the_wall_clock_says() {
        let then = moment(1_000_000, "a", 5_000);
        assert_eq!(moment(90_000_000, "b", 3_000).since(&then), Duration::from_secs(3));
        assert_eq!(moment(1_002_000, "b", 3_000).since(&then), Duration::from_secs(2));
        assert_eq!(moment(0, "b", 3_000).since(&then), Duration::ZERO);
    }

    #[test]
    fn records_of_the_wall_clock_alone_are_read() {
        let old: Moment = serde_json::from_str("{\"at\":\"2026-09-21T14:13:20.123Z\"}").unwrap();
        let mut now = Moment { at: old.at.plus(Duration::from_secs(9)), ..Moment::now() };
        assert_eq!(now.since(&old), Duration::from_secs(9));
        now.uptime = None;
        assert_eq!(serde_json::to_string(&old).unwrap(), "{\"at\":\"2026-09-21T14:13:20.123Z\"}");
        assert_eq!(old.since(&now), Duration::ZERO);
    }

    #[test]
    fn time_passes() {
        let then = Moment::now();
        assert!(then.uptime.is_some() && Moment::now().since(&then) < Duration::from_mins(1));
        assert_eq!(serde_json::from_str::<Moment>(&serde_json::to_string(&then).unwrap()).unwrap(), then);
    }
}
