//! Work that is tried again: what of it is done again, and everything that follows from the status words.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::shape::OperationShape;
use super::unwind;
use super::work::{OperationState, Phase, Stage, Work};
use crate::model::batch::DependencyKind;
use crate::model::status::{BatchStatus, OperationStatus};

impl Work {
    /// Derives everything derived from the status words.
    pub(super) fn count(&mut self) {
        let shape = Arc::clone(&self.shape);
        let satisfied = |work: &Self, dependency: u32, kind: DependencyKind| match work.operation(dependency).status {
            OperationStatus::Completed => Some(true),
            _ if work.operation(dependency).waived => Some(true),
            OperationStatus::Pending | OperationStatus::Running => Some(false),
            _ if kind == DependencyKind::Hard => None,
            _ => Some(true),
        };
        (self.ready, self.doomed, self.active, self.delayed) = Default::default();
        self.pending = self.operations.iter().filter(|state| state.status == OperationStatus::Pending).count();
        for (index, operation) in shape.operations.iter().enumerate() {
            let states = operation.dependencies.iter().map(|(dependency, kind)| satisfied(self, *dependency, *kind));
            let states: Vec<_> = states.collect();
            let state = &mut self.operations[index];
            state.doomed = states.iter().any(Option::is_none);
            state.unmet = super::index(states.iter().filter(|met| **met == Some(false)).count());
            self.sort_pending(super::index(index));
        }
    }

    /// Goes on from what failed: stuck compensations when a rollback failed, else everything that isn't done.
    pub(super) fn retry(&mut self) {
        let rolling_back = self.phase == Phase::Ended(BatchStatus::RollbackFailed);
        self.reason = None;
        self.cancel_requested = false;
        self.reopened_by = None;
        let again = self.done_again();
        for (index, state) in self.operations.iter_mut().enumerate() {
            state.stop_requested = false;
            state.stage = Stage::Idle;
            if rolling_back || !again.contains(&super::index(index)) {
                continue;
            }
            *state = OperationState {
                status: OperationStatus::Pending,
                done: OperationStatus::Pending,
                attempt: 0,
                task: None,
                undo_task: None,
                started: false,
                undone: false,
                error: None,
                undo_error: None,
                ..state.clone()
            };
        }
        self.has_begun = self.operations.iter().any(|state| state.status != OperationStatus::Pending);
        self.count();
        if rolling_back {
            self.phase = Phase::Unwinding;
            unwind::begin(self);
        } else {
            self.phase = Phase::Forward;
        }
    }

    /// What is done again when the work is tried again: what isn't done, what was done and then found not to be, and each
    /// proof of what is done again.
    fn done_again(&self) -> BTreeSet<u32> {
        let all = (0u32..).zip(&self.shape.operations);
        let failed = |(index, shape): (u32, &OperationShape)| shape.proves.filter(|_| self.is_stuck(index));
        let disproved: BTreeSet<u32> = all.clone().filter_map(failed).collect();
        let waived = |index: u32| self.operation(index).waived;
        let again = |index: u32| !waived(index) && (!self.is_done(index) || disproved.contains(&index));
        let proves_again = |shape: &OperationShape| shape.proves.is_some_and(again);
        all.filter(|(index, shape)| again(*index) || (proves_again(shape) && !waived(*index)))
            .map(|(index, _)| index)
            .collect()
    }
}
