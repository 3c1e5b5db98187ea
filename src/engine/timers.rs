//! When something is next due of each operation: at most one timer an operation, in one ordered queue.

use std::collections::{BTreeSet, HashMap};

use crate::model::id::WorkId;
use crate::model::time::Timestamp;

/// The timers of all live work.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeSet<(Timestamp, WorkId, u32)>,
    due: HashMap<(WorkId, u32), Timestamp>,
}

impl Timers {
    /// The operation is due then, and at no other time.
    pub fn set(&mut self, work: WorkId, operation: u32, at: Timestamp) {
        self.clear(work, operation);
        self.due.insert((work, operation), at);
        self.queue.insert((at, work, operation));
    }

    /// The operation is not due at all.
    pub fn clear(&mut self, work: WorkId, operation: u32) {
        if let Some(at) = self.due.remove(&(work, operation)) {
            self.queue.remove(&(at, work, operation));
        }
    }

    /// When something is next due.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// Takes one of those that are due by `now`.
    pub fn take_due(&mut self, now: Timestamp) -> Option<(WorkId, u32)> {
        let (_, work, operation) = *self.queue.first().filter(|(at, ..)| *at <= now)?;
        self.clear(work, operation);
        Some((work, operation))
    }
}
