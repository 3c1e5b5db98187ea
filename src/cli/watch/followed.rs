//! What a frame means for the work that is followed. Pure: the work as it was read and a frame in, the work as it is now out.
//!
//! The stream is asked for before the work is read, so frames may tell of what the reading has shown already. Those are known
//! by the status that they come from, and passed over. How work ended is not taken from a frame: it is read.

use crate::api::batch::{BatchSummary, BatchView, OperationView};
use crate::api::event::{Event, Frame};
use crate::api::task::Task;
use crate::model::id::WorkId;
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};

/// What a frame did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Effect {
    /// Nothing that shows.
    Nothing,
    /// The work is another now.
    Changed,
    /// The work seems to have ended, and must be read.
    Ended,
}

/// Work that can be followed.
pub(in crate::cli) trait Followed: PartialEq {
    /// What the stream calls it.
    fn work(&self) -> WorkId;
    /// Whether it has ended.
    fn has_ended(&self) -> bool;
    /// Whether anything of it runs, and whether that says how far it is: what is not in the stream.
    fn running(&self) -> Running;
    /// Takes in what happened.
    fn apply(&mut self, frame: &Frame) -> Effect;
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Running {
    /// Nothing.
    Nothing,
    /// Something that doesn't say how far it is.
    Silent,
    /// Something that does.
    Reporting,
}

impl Running {
    fn of(is_running: bool, progress: f64, step: Option<&String>) -> Self {
        match is_running {
            false => Self::Nothing,
            true if progress > 0.0 || step.is_some() => Self::Reporting,
            true => Self::Silent,
        }
    }
}

impl Followed for Task {
    fn work(&self) -> WorkId {
        self.batch_id.map_or(WorkId(self.id.0), WorkId::from)
    }

    fn has_ended(&self) -> bool {
        self.status.is_terminal()
    }

    fn running(&self) -> Running {
        Running::of(self.status == TaskStatus::Running, self.progress, self.step.as_ref())
    }

    fn apply(&mut self, frame: &Frame) -> Effect {
        let Event::TaskStatusChanged { task_id, status, previous_status, .. } = &frame.event else {
            return Effect::Nothing;
        };
        if *task_id != self.id || *previous_status != Some(self.status) {
            return Effect::Nothing;
        }
        self.status = *status;
        if status.is_terminal() {
            return Effect::Ended;
        }
        if *status == TaskStatus::Running {
            self.started_at = self.started_at.or(Some(frame.timestamp));
        }
        Effect::Changed
    }
}

impl Followed for BatchView {
    fn work(&self) -> WorkId {
        WorkId::from(self.summary.batch_id)
    }

    fn has_ended(&self) -> bool {
        self.summary.status.is_terminal()
    }

    fn running(&self) -> Running {
        let is_running =
            |one: &OperationView| matches!(one.status, OperationStatus::Running | OperationStatus::RollingBack);
        let of = |one: &OperationView| Running::of(is_running(one), one.progress, one.step.as_ref());
        let all: Vec<Running> = self.operations.iter().map(of).collect();
        let has = |what| all.contains(&what);
        if has(Running::Reporting) {
            Running::Reporting
        } else if has(Running::Silent) {
            Running::Silent
        } else {
            Running::Nothing
        }
    }

    fn apply(&mut self, frame: &Frame) -> Effect {
        if let Event::BatchOperationUpdate { operation_id, previous_status, .. } = &frame.event
            && frame.event.work() == Some(self.work())
        {
            let mut operations = self.operations.iter_mut();
            let found = operations.find(|one| one.id == *operation_id && one.status == *previous_status);
            return found.map_or(Effect::Nothing, |operation| advance(operation, frame));
        }
        whole(&mut self.summary, frame)
    }
}

/// Takes in what happened to a batch as a whole.
pub(in crate::cli) fn whole(summary: &mut BatchSummary, frame: &Frame) -> Effect {
    let Event::WorkflowProgressUpdate { workflow_id, status, progress, completed_steps, error, .. } = &frame.event
    else {
        return Effect::Nothing;
    };
    if *workflow_id != WorkId::from(summary.batch_id) || rank(*status) < rank(summary.status) {
        return Effect::Nothing;
    }
    if status.is_terminal() {
        return Effect::Ended;
    }
    summary.status = *status;
    summary.progress = *progress;
    summary.operations_completed = *completed_steps;
    summary.error.clone_from(error);
    if *status == BatchStatus::Running {
        summary.started_at = summary.started_at.or(Some(frame.timestamp));
    }
    Effect::Changed
}

fn advance(operation: &mut OperationView, frame: &Frame) -> Effect {
    let Event::BatchOperationUpdate { status, task_id, attempt, error, .. } = &frame.event else {
        return Effect::Nothing;
    };
    operation.status = *status;
    operation.attempt = *attempt;
    operation.error.clone_from(error);
    operation.step = None;
    operation.progress = if *status == OperationStatus::Completed { 1.0 } else { 0.0 };
    match status {
        OperationStatus::Running => {
            operation.task_id = task_id.or(operation.task_id);
            operation.started_at = operation.started_at.or(Some(frame.timestamp));
        }
        OperationStatus::RollingBack => operation.rollback_task_id = task_id.or(operation.rollback_task_id),
        _ => operation.completed_at = Some(frame.timestamp),
    }
    Effect::Changed
}

/// A batch that is followed goes one way.
fn rank(status: BatchStatus) -> u8 {
    match status {
        BatchStatus::Pending => 0,
        BatchStatus::Running => 1,
        BatchStatus::RollingBack => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests;
