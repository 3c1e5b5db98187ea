//! Ended work that a rollback takes hold of, and a rollback's own operations that stay as they are.
//!
//! A reopened work decides nothing by itself: its operations change as the rollback's do, event by event, and when the
//! rollback ends, [`Work::as_left`] says how the work ends in turn.

use super::event::Direction;
use super::shape::OperationShape;
use super::work::{OperationState, Phase, Stage, Work};
use crate::model::batch::OnFailure;
use crate::model::id::WorkId;
use crate::model::status::{BatchStatus, OperationStatus};

impl Work {
    pub(super) fn reopen(&mut self, by: WorkId, direction: Direction) {
        let Phase::Ended(was) = self.phase else { return };
        if self.reopened_by.is_none() {
            self.ended_as = match was {
                // It undid itself: of what is done again, it had not come to its end.
                BatchStatus::RolledBack if self.cancel_requested => BatchStatus::Cancelled,
                BatchStatus::RolledBack => BatchStatus::Failed,
                was => was,
            };
        }
        self.phase = Phase::Reopened { direction };
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

    /// How a reopened work ends: what of it is there now. Where part of it is, it is as it had ended by itself.
    #[must_use]
    pub fn as_left(&self) -> BatchStatus {
        let any = |wanted| self.operations.iter().any(|state| state.status == wanted);
        let is_left = (0..self.operations.len()).any(|index| self.needs_undo(super::index(index)));
        let is_broken = |(state, shape): (&OperationState, &OperationShape)| {
            state.status == OperationStatus::Failed && shape.on_failure != OnFailure::Continue
        };
        if any(OperationStatus::RollbackFailed) {
            BatchStatus::RollbackFailed
        } else if !is_left && any(OperationStatus::RolledBack) {
            BatchStatus::RolledBack
        } else if self.ended_as == BatchStatus::Completed
            && self.operations.iter().zip(&self.shape.operations).any(is_broken)
        {
            BatchStatus::Failed
        } else {
            self.ended_as
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

    /// What is gone is gone, however it went: the proof of it makes good what failed.
    pub(super) fn make_good(&mut self, proof: u32) {
        let shape = &self.shape.operations[proof as usize];
        let Some(proved) = shape.proves.filter(|_| shape.makes_good) else { return };
        let state = self.operation_mut(proved);
        if state.status == OperationStatus::Failed {
            (state.status, state.done) = (OperationStatus::Completed, OperationStatus::Completed);
        }
    }
}
