//! Ended work that a rollback takes hold of, and a rollback's own operations that stay as they are.
//!
//! A reopened work decides nothing by itself: its operations change as the rollback's do, event by event, and when the
//! rollback ends, [`Work::as_left`] says how the work ends in turn.

use std::collections::BTreeSet;

use super::event::Direction;
use super::work::{Phase, Stage, Work};
use crate::model::id::WorkId;
use crate::model::status::{BatchStatus, OperationStatus};

impl Work {
    pub(super) fn reopen(&mut self, by: WorkId, direction: Direction) {
        let Phase::Ended(was) = self.phase else { return };
        self.phase = Phase::Reopened { direction, was };
        self.reopened_by = Some(by);
        (self.ready, self.doomed, self.active, self.delayed) = Default::default();
        for state in &mut self.operations {
            (state.stage, state.stop_requested) = (Stage::Idle, false);
        }
    }

    pub(super) fn waive(&mut self, index: u32) {
        let state = self.operation_mut(index);
        (state.status, state.waived) = (OperationStatus::Skipped, true);
    }

    /// How a reopened work ends: what of it is there now.
    #[must_use]
    pub fn as_left(&self) -> BatchStatus {
        let Phase::Reopened { was, .. } = self.phase else { return self.status() };
        let any = |wanted| self.operations.iter().any(|state| state.status == wanted);
        let is_left = (0..self.operations.len()).any(|index| self.needs_undo(super::index(index)));
        if any(OperationStatus::RollbackFailed) {
            BatchStatus::RollbackFailed
        } else if self.operations.iter().all(|state| state.status == OperationStatus::Completed) {
            BatchStatus::Completed
        } else if !is_left && any(OperationStatus::RolledBack) {
            BatchStatus::RolledBack
        } else if was == BatchStatus::RolledBack {
            // Part of it is there again.
            BatchStatus::Completed
        } else {
            was
        }
    }

    /// Whether nothing more is to be done about an operation.
    pub(super) fn is_done(&self, index: u32) -> bool {
        let state = self.operation(index);
        state.status == OperationStatus::Completed || state.waived
    }

    /// Whether an operation failed, and nobody decided that it stays so.
    #[must_use]
    pub fn is_stuck(&self, index: u32) -> bool {
        self.operation(index).status == OperationStatus::Failed
    }

    /// Operations that were done, and of which it was then found that they are not.
    pub(super) fn disproved(&self) -> BTreeSet<u32> {
        let failed = |index: &usize| self.is_stuck(super::index(*index));
        (0..self.operations.len()).filter(failed).filter_map(|index| self.shape.operations[index].proves).collect()
    }
}
