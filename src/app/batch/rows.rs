//! Batches and operations between their records and what is shown of them.

use crate::api::batch::{BatchSummary, OperationView};
use crate::app::context::Context;
use crate::model::batch::{BatchSpec, Operation};
use crate::model::id::BatchId;
use crate::model::status::{BatchStatus, OperationStatus};
use crate::model::time::Timestamp;
use crate::store::record::{BatchRecord, OperationRecord};

/// A batch that was just accepted.
pub(super) fn batch(id: BatchId, spec: &BatchSpec, context: &Context, now: Timestamp) -> BatchRecord {
    BatchRecord {
        id,
        name: spec.name.clone(),
        version: spec.version.clone(),
        status: BatchStatus::Pending,
        infra: spec.infra.clone(),
        parallel_limit: spec.parallel_limit,
        rollback_enabled: spec.rollback_enabled,
        total: crate::engine::index(spec.operations.len()),
        completed: 0,
        created_at: now,
        started_at: None,
        completed_at: None,
        cancel_requested: false,
        error: None,
        left: Vec::new(),
        warnings: Vec::new(),
        submitted_by: context.username().to_owned(),
    }
}

/// Its operations.
pub(super) fn operations(batch: BatchId, spec: &BatchSpec) -> Vec<OperationRecord> {
    let record = |(index, operation): (usize, &Operation)| OperationRecord {
        batch,
        index: crate::engine::index(index),
        id: operation.id.clone(),
        kind: operation.payload.kind().to_owned(),
        provider: operation.provider.clone(),
        status: OperationStatus::Pending,
        task: None,
        undo_task: None,
        attempt: 0,
        max_attempts: operation.retry.max_attempts,
        started_at: None,
        completed_at: None,
        error: None,
    };
    spec.operations.iter().enumerate().map(record).collect()
}

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
        operations_total: batch.total,
        operations_completed: batch.completed,
        progress: f64::from(batch.completed) / f64::from(batch.total.max(1)),
        created_at: batch.created_at,
        started_at: batch.started_at,
        completed_at: batch.completed_at,
        cancel_requested: batch.cancel_requested,
        error: batch.error,
        left: batch.left,
        submitted_by: batch.submitted_by,
    }
}

/// An operation as it is shown.
pub(super) fn view(row: OperationRecord, progress: f64) -> OperationView {
    OperationView {
        id: row.id,
        kind: row.kind,
        provider: row.provider,
        status: row.status,
        progress,
        task_id: row.task,
        rollback_task_id: row.undo_task,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        started_at: row.started_at,
        completed_at: row.completed_at,
        error: row.error,
    }
}
