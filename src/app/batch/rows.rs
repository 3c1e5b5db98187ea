//! Batches and operations between their records and what is shown of them.

use crate::api::batch::{BatchSummary, OperationView};
use crate::model::id::TaskId;
use crate::model::status::OperationStatus;
use crate::store::record::{BatchRecord, OperationRecord};

/// A batch as lists show it. Its progress is the share of its operations that are Completed: what the store alone knows,
/// so that a list and a single batch say the same.
pub(super) fn summary(batch: BatchRecord) -> BatchSummary {
    BatchSummary {
        batch_id: batch.id,
        name: batch.name,
        version: batch.version,
        status: batch.status,
        infra: batch.infra,
        parallel_limit: batch.parallel_limit,
        rollback_enabled: batch.rollback_enabled,
        rehearse: batch.rehearse,
        operations_total: batch.total,
        operations_completed: batch.completed,
        progress: f64::from(batch.completed) / f64::from(batch.total.max(1)),
        created_at: batch.created_at,
        started_at: batch.started_at,
        completed_at: batch.completed_at,
        cancel_requested: batch.cancel_requested,
        rollback_id: batch.rollback_id,
        error: batch.error,
        left: batch.left,
        submitted_by: batch.submitted_by,
    }
}

/// The task that does or undoes an operation at the moment.
pub(in crate::app) fn active_task(row: &OperationRecord) -> Option<TaskId> {
    match row.status {
        OperationStatus::Running => row.task,
        OperationStatus::RollingBack => row.undo_task,
        _ => None,
    }
}

/// An operation as it is shown.
pub(super) fn view(row: OperationRecord, progress: f64, step: Option<String>) -> OperationView {
    OperationView {
        id: row.id,
        kind: row.kind,
        provider: row.provider,
        status: row.status,
        progress,
        step,
        task_id: row.task,
        rollback_task_id: row.undo_task,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        started_at: row.started_at,
        completed_at: row.completed_at,
        error: row.error,
    }
}
