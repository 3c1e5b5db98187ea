//! The order of compensations: an operation is undone once everything that depended on it is settled.
//!
//! An operation without anything to undo is settled as soon as its dependents are, so the order reaches through it. A
//! compensation that failed settles nothing: what it depended on stays, because undoing it could strand what is left.

use std::sync::Arc;

use super::work::{Stage, Work};

/// Starts unwinding: finds what can be undone first.
pub(super) fn begin(work: &mut Work) {
    work.ready.clear();
    work.doomed.clear();
    let shape = Arc::clone(&work.shape);
    for (state, operation) in work.operations.iter_mut().zip(&shape.operations) {
        state.blockers = super::index(operation.dependents.len());
        state.attempt = 0;
        state.stage = Stage::Idle;
        if !state.undone {
            // Another turn of undoing is another task: a task and an attempt name one process for ever.
            state.undo_task = None;
        }
        // Nobody asks for the end of a compensation.
        state.stop_requested = false;
    }
    let free = (0..shape.operations.len()).filter(|index| shape.operations[*index].dependents.is_empty());
    let free: Vec<u32> = free.map(super::index).collect();
    release(work, free);
}

/// Lets those go on that waited for this operation's compensation.
pub(super) fn settled(work: &mut Work, index: u32) {
    let freed = unblock(work, index);
    release(work, freed);
}

fn unblock(work: &mut Work, index: u32) -> Vec<u32> {
    let shape = Arc::clone(&work.shape);
    let mut freed = Vec::new();
    for (dependency, _) in &shape.operations[index as usize].dependencies {
        let state = &mut work.operations[*dependency as usize];
        state.blockers -= 1;
        if state.blockers == 0 {
            freed.push(*dependency);
        }
    }
    freed
}

fn release(work: &mut Work, mut free: Vec<u32>) {
    while let Some(index) = free.pop() {
        if work.needs_undo(index) {
            work.ready.insert(index);
        } else {
            free.extend(unblock(work, index));
        }
    }
}
