//! How live work is shown: the task, batch and operation records that events change, held until they are written.

use std::collections::{BTreeSet, HashMap};

use super::recover::Loaded;
use crate::api::batch::LeftBehind;
use crate::engine::{Direction, Event, Work};
use crate::model::id::{BatchId, RollbackId, TaskId, WorkId};
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::store::Change;
use crate::store::record::{BatchRecord, OperationRecord, RollbackRecord};

/// The records of live work, and which of them differ from the store's.
#[derive(Debug, Default)]
pub(super) struct LiveRows {
    pub(super) tasks: HashMap<TaskId, Task>,
    batches: HashMap<WorkId, (BatchRecord, Vec<OperationRecord>)>,
    rollbacks: HashMap<WorkId, RollbackRecord>,
    dirty_tasks: BTreeSet<TaskId>,
    dirty_batches: BTreeSet<WorkId>,
    dirty_operations: BTreeSet<(WorkId, u32)>,
    dirty_rollbacks: BTreeSet<WorkId>,
}

impl LiveRows {
    pub(super) fn add_task(&mut self, task: Task) {
        self.dirty_tasks.insert(task.id);
        self.tasks.insert(task.id, task);
    }

    pub(super) fn add_batch(&mut self, batch: BatchRecord, operations: Vec<OperationRecord>) {
        let id = WorkId::from(batch.id);
        self.dirty_batches.insert(id);
        self.dirty_operations.extend(operations.iter().map(|operation| (id, operation.index)));
        self.batches.insert(id, (batch, operations));
    }

    pub(super) fn add_rollback(&mut self, rollback: RollbackRecord) {
        let id = WorkId::from(rollback.id);
        self.dirty_rollbacks.insert(id);
        self.rollbacks.insert(id, rollback);
    }

    /// Records that are as the store has them.
    pub(super) fn restore(&mut self, loaded: Loaded) {
        self.tasks.extend(loaded.tasks.into_iter().map(|task| (task.id, task)));
        self.batches.extend(loaded.batch.map(|(batch, operations)| (WorkId::from(batch.id), (batch, operations))));
        self.rollbacks.extend(loaded.rollback.map(|rollback| (WorkId::from(rollback.id), rollback)));
    }

    pub(super) fn rollback_mut(&mut self, work: WorkId) -> Option<&mut RollbackRecord> {
        self.dirty_rollbacks.insert(work);
        self.rollbacks.get_mut(&work)
    }

    /// The user who asked for a work that is shown as a batch or as a rollback.
    pub(super) fn submitter(&self, work: WorkId) -> Option<&str> {
        let batch = self.batch(work).map(|batch| batch.submitted_by.as_str());
        batch.or_else(|| self.rollbacks.get(&work).map(|rollback| rollback.submitted_by.as_str()))
    }

    pub(super) fn task_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.dirty_tasks.insert(id);
        self.tasks.get_mut(&id)
    }

    pub(super) fn batch(&self, work: WorkId) -> Option<&BatchRecord> {
        self.batches.get(&work).map(|(batch, _)| batch)
    }

    /// Shows what happened; the work is as it stands after the event and all others of its step. A new task must have been added before.
    pub(super) fn show(&mut self, work: &Work, event: &Event, at: Timestamp) {
        match event {
            Event::Intended { operation, attempt, task, direction } => {
                if let Some(row) = self.task_mut(*task) {
                    row.attempt = *attempt;
                }
                self.operation(work, *operation, |row| match direction {
                    Direction::Do => {
                        if row.task != Some(*task) {
                            (row.started_at, row.completed_at, row.error) = (None, None, None);
                        }
                        (row.task, row.attempt) = (Some(*task), *attempt);
                    }
                    Direction::Undo => row.undo_task = Some(*task),
                });
            }
            Event::Started { operation, at, .. } => self.started(work, *operation, *at),
            Event::Succeeded { operation, direction } => {
                self.ended(work, (*operation, *direction), TaskStatus::Completed, None, at);
            }
            Event::AttemptFailed { operation, direction, error, .. } => {
                if let Some(row) = work.operation(*operation).task_of(*direction).and_then(|task| self.task_mut(task)) {
                    row.error = Some(error.clone());
                }
                self.operation(work, *operation, |row| {
                    if *direction == Direction::Do {
                        row.error = Some(error.clone());
                    }
                });
            }
            Event::Failed { operation, direction, error } => {
                self.ended(work, (*operation, *direction), TaskStatus::Failed, Some(error), at);
            }
            Event::Stopped { operation } => {
                self.ended(work, (*operation, Direction::Do), TaskStatus::Cancelled, None, at);
            }
            Event::Skipped { operation } => self.skipped(work, *operation, at),
            Event::Withdrawn { operation } => self.withdrawn(work, *operation),
            Event::CancelRequested { operation: None, .. } => self.whole(work, |row| row.cancel_requested = true),
            Event::Ended { status } => self.work_ended(work, *status, at),
            Event::Retried => self.retried(work),
            Event::Halted { .. } | Event::Unwinding => self.whole(work, |_| {}),
            Event::Reopened { by, .. } => self.whole(work, |row| {
                row.left.clear();
                row.rollback_id = Some(RollbackId(by.0));
            }),
            Event::Accepted | Event::CancelRequested { .. } | Event::Waived { .. } | Event::Closed { .. } => {}
        }
    }

    fn operation(&mut self, work: &Work, index: u32, change: impl FnOnce(&mut OperationRecord)) {
        let Some((batch, operations)) = self.batches.get_mut(&work.id) else { return };
        let row = &mut operations[index as usize];
        let was = row.status;
        change(row);
        row.status = work.operation(index).status;
        self.dirty_operations.insert((work.id, index));
        let completed = |status| u32::from(status == OperationStatus::Completed);
        batch.completed = batch.completed + completed(row.status) - completed(was);
        if was != row.status {
            self.whole(work, |_| {});
        }
    }

    fn whole(&mut self, work: &Work, change: impl FnOnce(&mut BatchRecord)) {
        if let Some((batch, _)) = self.batches.get_mut(&work.id) {
            change(batch);
            batch.status = work.status();
            self.dirty_batches.insert(work.id);
        }
    }

    fn started(&mut self, work: &Work, index: u32, at: Timestamp) {
        let state = work.operation(index);
        if let Some(row) = state.current_task().and_then(|task| self.task_mut(task)) {
            row.status = TaskStatus::Running;
            row.started_at.get_or_insert(at);
            (row.exit_code, row.output, row.error, row.processes_ended) = (None, None, None, 0);
        }
        let doing = state.direction() == Some(Direction::Do);
        self.operation(work, index, |row| {
            if doing {
                row.started_at.get_or_insert(at);
                row.error = None;
            }
        });
        self.whole(work, |batch| _ = batch.started_at.get_or_insert(at));
    }

    /// An operation is done or undone, or won't be.
    fn ended(
        &mut self,
        work: &Work,
        at: (u32, Direction),
        status: TaskStatus,
        error: Option<&String>,
        time: Timestamp,
    ) {
        let (index, direction) = at;
        // The task of what a proof found otherwise has ended as it did.
        if let Some(row) = work.operation(index).task_of(direction).and_then(|task| self.task_mut(task))
            && !row.status.is_terminal()
        {
            row.status = status;
            row.completed_at = Some(time);
            row.error = error.cloned();
            if status == TaskStatus::Completed {
                row.progress = 1.0;
            }
        }
        self.operation(work, index, |row| {
            row.completed_at = Some(time);
            if direction == Direction::Do {
                row.error = error.cloned();
            } else if row.error.is_none() {
                row.error = error.map(|error| format!("its rollback failed: {error}"));
            }
        });
    }

    /// An operation won't start; neither will its task, where an intent had made one already.
    fn skipped(&mut self, work: &Work, index: u32, at: Timestamp) {
        if let Some(row) = work.operation(index).task.and_then(|task| self.task_mut(task)) {
            (row.status, row.completed_at) = (TaskStatus::Cancelled, Some(at));
        }
        self.operation(work, index, |row| row.completed_at = Some(at));
    }

    /// An intent was taken back: its attempt doesn't count. What the state says of the attempt is no help: the rollback
    /// that follows in the same step counts its own.
    fn withdrawn(&mut self, work: &Work, index: u32) {
        if let Some(row) = work.operation(index).task.and_then(|task| self.task_mut(task)) {
            row.attempt = row.attempt.saturating_sub(1);
        }
        self.operation(work, index, |row| row.attempt = row.attempt.saturating_sub(1));
    }

    fn work_ended(&mut self, work: &Work, status: BatchStatus, at: Timestamp) {
        let Some((_, operations)) = self.batches.get(&work.id) else { return };
        let left = left_behind(work, operations);
        let failed = |row: &&OperationRecord| {
            let done = work.operation(row.index).done;
            done == OperationStatus::Failed || done == OperationStatus::Cancelled
        };
        let first = operations.iter().filter(failed).min_by_key(|row| row.completed_at);
        let error = match (status, first) {
            (BatchStatus::Completed, _) => None,
            (_, Some(row)) => Some(format!(
                "operation {}: {}",
                row.id,
                row.error.as_deref().or(work.reason.as_deref()).unwrap_or("was cancelled")
            )),
            (_, None) => work.reason.clone(),
        };
        self.whole(work, |batch| {
            batch.completed_at = Some(at);
            batch.left = left;
            batch.error = error;
        });
    }

    fn retried(&mut self, work: &Work) {
        self.whole(work, |batch| {
            (batch.completed_at, batch.error, batch.cancel_requested) = (None, None, false);
            batch.rollback_id = None;
            batch.left.clear();
        });
        for index in 0..work.operations.len() {
            let state = &work.operations[index];
            let fresh = state.status == OperationStatus::Pending;
            self.operation(work, crate::engine::index(index), |row| {
                if fresh {
                    (row.started_at, row.completed_at, row.error) = (None, None, None);
                    (row.task, row.undo_task, row.attempt) = (None, None, 0);
                }
            });
        }
    }

    /// Whether anything differs from the store's records.
    pub(super) fn is_changed(&self) -> bool {
        !(self.dirty_tasks.is_empty()
            && self.dirty_operations.is_empty()
            && self.dirty_batches.is_empty()
            && self.dirty_rollbacks.is_empty())
    }

    /// Takes what differs from the store's records, to be written, and lets go of ended tasks.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.dirty_tasks) {
            if let Some(task) = self.tasks.get(&id) {
                changes.push(Change::PutTask(Box::new(task.clone())));
                if task.status.is_terminal() {
                    self.tasks.remove(&id);
                }
            }
        }
        for (work, index) in std::mem::take(&mut self.dirty_operations) {
            if let Some((_, operations)) = self.batches.get(&work) {
                changes.push(Change::PutOperation(Box::new(operations[index as usize].clone())));
            }
        }
        for work in std::mem::take(&mut self.dirty_batches) {
            if let Some((batch, _)) = self.batches.get(&work) {
                changes.push(Change::PutBatch(Box::new(batch.clone())));
            }
        }
        for work in std::mem::take(&mut self.dirty_rollbacks) {
            if let Some(rollback) = self.rollbacks.get(&work) {
                changes.push(Change::PutRollback(Box::new(rollback.clone())));
            }
        }
        changes
    }

    /// Forgets a task that was not accepted after all.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        self.dirty_tasks.remove(&task);
    }

    /// Forgets work whose end is written.
    pub(super) fn retire(&mut self, work: WorkId) {
        self.batches.remove(&work);
        self.rollbacks.remove(&work);
        self.tasks.remove(&TaskId(work.0));
    }
}

/// Every operation that is neither done nor undone, and why.
fn left_behind(work: &Work, operations: &[OperationRecord]) -> Vec<LeftBehind> {
    let rolled_back = matches!(work.status(), BatchStatus::RolledBack | BatchStatus::RollbackFailed);
    let describe = |(row, index): (&OperationRecord, u32)| {
        let state = work.operation(index);
        let error = state.undo_error.as_deref().unwrap_or("no reason is known");
        let what = match state.status {
            OperationStatus::RollbackFailed => {
                format!("what {} made may still be there: its rollback failed: {error}", row.id)
            }
            OperationStatus::Completed if rolled_back && work.reopened_by.is_some() && work.needs_undo(index) => {
                format!("{} is done, and was not rolled back", row.id)
            }
            OperationStatus::Completed if rolled_back && work.needs_undo(index) => {
                format!("{} was not rolled back, because the rollback of something that depends on it failed", row.id)
            }
            OperationStatus::Completed if rolled_back => format!("{} is done and has nothing that undoes it", row.id),
            OperationStatus::Failed | OperationStatus::Cancelled | OperationStatus::Skipped if state.touched => {
                format!("{} ended before it was done; whatever it had done until then is still there", row.id)
            }
            _ => return None,
        };
        Some(LeftBehind { operation_id: row.id.clone(), what })
    };
    operations.iter().map(|row| (row, row.index)).filter_map(describe).collect()
}

/// A task for an operation of a batch, before it starts.
pub(super) struct NewTask<'a> {
    pub(super) id: TaskId,
    pub(super) batch: BatchId,
    pub(super) operation: &'a crate::model::batch::Operation,
    pub(super) line: super::command::CommandLine,
    pub(super) dependencies: Vec<TaskId>,
    pub(super) max_attempts: u32,
    pub(super) infra: crate::model::name::Name,
    pub(super) rollback: Option<RollbackId>,
    pub(super) submitted_by: String,
    pub(super) at: Timestamp,
}

impl NewTask<'_> {
    pub(super) fn row(self) -> Task {
        Task {
            id: self.id,
            name: self.line.name.clone(),
            command: self.line.command(),
            args: self.line.args,
            dependencies: self.dependencies,
            status: TaskStatus::Pending,
            created_at: self.at,
            started_at: None,
            completed_at: None,
            output: None,
            error: None,
            workflow: None,
            infra: Some(self.infra),
            provider: self.operation.provider.clone(),
            batch_id: Some(self.batch),
            operation_id: Some(self.operation.id.clone()),
            rollback_id: self.rollback,
            attempt: 0,
            max_attempts: self.max_attempts,
            exit_code: None,
            processes_ended: 0,
            progress: 0.0,
            step: None,
            submitted_by: self.submitted_by,
        }
    }
}
