//! The clock of daemon and supervisor: wall time as it was at start, moved on by the monotonic clock, so that a step of the
//! wall clock neither ends work early nor lets it run on. Two processes' clocks may differ; the supervisor tells its own
//! when a daemon connects.

use std::time::Instant;

use crate::model::time::Timestamp;

/// Time that never steps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that agrees with the wall clock now.
    #[must_use]
    pub fn start() -> Self {
        Self { wall: Timestamp::now(), started: Instant::now() }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall.plus(self.started.elapsed())
    }
}
