//! Which intents get a slot: at most `max_parallel` of the daemon and the work's own limit, works in turn.
//!
//! What runs is kept as sets of what runs, never as a counter that could drift. An operation that no longer waits is left
//! in its queue and passed over when its turn comes, so that nothing here looks through a queue.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::id::WorkId;

/// The waiting intents and the running attempts.
#[derive(Debug, Default)]
pub struct Admission {
    max_parallel: usize,
    running: HashSet<(WorkId, u32)>,
    works: HashMap<WorkId, Waiting>,
    /// Works that may have both an intent waiting and room under their own limit.
    turn: VecDeque<WorkId>,
}

#[derive(Debug, Default)]
struct Waiting {
    limit: usize,
    queue: VecDeque<u32>,
    running: HashSet<u32>,
    in_turn: bool,
}

impl Waiting {
    fn is_eligible(&self) -> bool {
        !self.queue.is_empty() && self.running.len() < self.limit
    }
}

impl Admission {
    /// Nothing waits, nothing runs.
    #[must_use]
    pub fn new(max_parallel: usize) -> Self {
        Self { max_parallel, ..Self::default() }
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// An operation of a work with this limit waits for a slot.
    pub fn offer(&mut self, work: WorkId, operation: u32, limit: usize) {
        let waiting = self.works.entry(work).or_default();
        waiting.limit = limit;
        waiting.queue.push_back(operation);
        self.consider(work);
    }

    /// The next operation that may start, if it still waits; it holds its slot until [`release`](Self::release).
    pub fn admit(&mut self) -> Option<(WorkId, u32)> {
        if self.running.len() >= self.max_parallel {
            return None;
        }
        while let Some(work) = self.turn.pop_front() {
            let Some(waiting) = self.works.get_mut(&work) else { continue };
            waiting.in_turn = false;
            if waiting.is_eligible()
                && let Some(operation) = waiting.queue.pop_front()
            {
                self.occupy(work, operation);
                return Some((work, operation));
            }
        }
        None
    }

    /// The operation runs already, as after a restart: it holds a slot whatever the limits say.
    pub fn occupy(&mut self, work: WorkId, operation: u32) {
        self.running.insert((work, operation));
        self.works.entry(work).or_default().running.insert(operation);
        self.consider(work);
    }

    /// The operation doesn't run.
    pub fn release(&mut self, work: WorkId, operation: u32) {
        self.running.remove(&(work, operation));
        if let Some(waiting) = self.works.get_mut(&work) {
            waiting.running.remove(&operation);
            self.consider(work);
        }
    }

    /// The work is over.
    pub fn retire(&mut self, work: WorkId) {
        for operation in self.works.remove(&work).map(|waiting| waiting.running).unwrap_or_default() {
            self.running.remove(&(work, operation));
        }
    }

    fn consider(&mut self, work: WorkId) {
        let Some(waiting) = self.works.get_mut(&work) else { return };
        if waiting.is_eligible() && !waiting.in_turn {
            waiting.in_turn = true;
            self.turn.push_back(work);
        }
    }
}
