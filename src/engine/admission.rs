//! Which intents get a slot: at most `max_parallel` of the daemon and the work's own limit, works in turn.
//!
//! What runs is kept as sets of what runs, never as a counter that could drift.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::id::WorkId;

/// The waiting intents and the running attempts.
#[derive(Debug, Default)]
pub struct Admission {
    max_parallel: usize,
    running: HashSet<(WorkId, u32)>,
    works: HashMap<WorkId, Waiting>,
    /// Works that have both an intent waiting and room under their own limit.
    turn: VecDeque<WorkId>,
}

#[derive(Debug, Default)]
struct Waiting {
    limit: usize,
    queue: VecDeque<u32>,
    running: HashSet<u32>,
    in_turn: bool,
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

    /// How many wait for a slot.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.works.values().map(|work| work.queue.len()).sum()
    }

    /// An operation of a work with this limit waits for a slot.
    pub fn offer(&mut self, work: WorkId, operation: u32, limit: usize) {
        let waiting = self.works.entry(work).or_default();
        waiting.limit = limit;
        if !waiting.queue.contains(&operation) && !waiting.running.contains(&operation) {
            waiting.queue.push_back(operation);
        }
        self.consider(work);
    }

    /// The next operation that may start; it holds its slot until [`release`](Self::release).
    pub fn admit(&mut self) -> Option<(WorkId, u32)> {
        if self.running.len() >= self.max_parallel {
            return None;
        }
        let work = self.turn.pop_front()?;
        let waiting = self.works.get_mut(&work)?;
        waiting.in_turn = false;
        let operation = waiting.queue.pop_front()?;
        self.occupy(work, operation);
        Some((work, operation))
    }

    /// The operation runs already, as after a restart: it holds a slot whatever the limits say.
    pub fn occupy(&mut self, work: WorkId, operation: u32) {
        self.running.insert((work, operation));
        let waiting = self.works.entry(work).or_default();
        waiting.running.insert(operation);
        waiting.queue.retain(|waiting| *waiting != operation);
        self.consider(work);
    }

    /// The operation doesn't wait and doesn't run.
    pub fn release(&mut self, work: WorkId, operation: u32) {
        self.running.remove(&(work, operation));
        if let Some(waiting) = self.works.get_mut(&work) {
            waiting.running.remove(&operation);
            waiting.queue.retain(|waiting| *waiting != operation);
            self.consider(work);
        }
    }

    /// The work is over.
    pub fn retire(&mut self, work: WorkId) {
        if let Some(waiting) = self.works.remove(&work) {
            for operation in waiting.running {
                self.running.remove(&(work, operation));
            }
        }
        self.turn.retain(|other| *other != work);
    }

    fn consider(&mut self, work: WorkId) {
        let Some(waiting) = self.works.get_mut(&work) else { return };
        let eligible = !waiting.queue.is_empty() && waiting.running.len() < waiting.limit;
        if eligible && !waiting.in_turn {
            waiting.in_turn = true;
            self.turn.push_back(work);
        } else if !eligible && waiting.in_turn {
            waiting.in_turn = false;
            self.turn.retain(|other| *other != work);
        }
    }
}
