//! New work as it is handed over, with the records by which it is shown at first.

use std::collections::BTreeMap;

use crate::model::batch::{BatchSpec, Operation};
use crate::model::id::{BatchId, RollbackId, WorkId};
use crate::model::rollback::RollbackSpec;
use crate::model::status::{BatchStatus, OperationStatus, RollbackStatus};
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::store::Change;
use crate::store::record::{BatchRecord, OperationRecord, Remembered, RollbackRecord, WorkKind, WorkRecord};

/// New work, as it is to be accepted.
#[derive(Debug)]
pub struct Submission {
    /// Its id.
    pub id: WorkId,
    /// What doesn't change.
    pub work: WorkRecord,
    /// How it is shown at first.
    pub rows: Rows,
    /// The idempotency key it came with.
    pub remember: Option<(String, Remembered)>,
    /// Changes that happen with its acceptance, or not at all.
    pub also: Vec<Change>,
}

/// How work is shown.
#[derive(Debug)]
pub enum Rows {
    /// As a task.
    Workflow(Box<Task>),
    /// As a batch with its operations.
    Batch(Box<BatchRecord>, Vec<OperationRecord>),
    /// As a rollback.
    Rollback(Box<RollbackRecord>),
}

impl Submission {
    /// A batch as it was described, with remarks made on it.
    #[must_use]
    pub fn batch(id: BatchId, spec: BatchSpec, warnings: Vec<String>, submitted_by: &str, at: Timestamp) -> Self {
        let submitted_by = submitted_by.to_owned();
        let batch = BatchRecord {
            id,
            name: spec.name.clone(),
            version: spec.version.clone(),
            status: BatchStatus::Pending,
            infra: spec.infra.clone(),
            parallel_limit: spec.parallel_limit,
            rollback_enabled: spec.rollback_enabled,
            rehearse: spec.rehearse.is_some(),
            total: crate::engine::index(spec.operations.len()),
            completed: 0,
            created_at: at,
            started_at: None,
            completed_at: None,
            cancel_requested: false,
            rollback_id: None,
            error: None,
            left: Vec::new(),
            warnings,
            submitted_by: submitted_by.clone(),
        };
        let record = |(index, operation)| operation_record(id, crate::engine::index(index), operation);
        let operations = spec.operations.iter().enumerate().map(record).collect();
        Self {
            id: WorkId::from(id),
            work: WorkRecord { kind: WorkKind::Batch { spec }, submitted_by, created_at: at },
            rows: Rows::Batch(Box::new(batch), operations),
            remember: None,
            also: Vec::new(),
        }
    }

    /// A rollback as it was planned, with remarks made on it.
    #[must_use]
    pub fn rollback(
        id: RollbackId,
        spec: RollbackSpec,
        warnings: Vec<String>,
        submitted_by: &str,
        at: Timestamp,
    ) -> Self {
        let submitted_by = submitted_by.to_owned();
        let record = RollbackRecord {
            id,
            scope: spec.scope.clone(),
            status: RollbackStatus::Pending,
            batches: spec.batches(),
            infras: spec.infras(),
            total: crate::engine::index(spec.steps.iter().filter(|step| !step.action.is_proof()).count()),
            executed: 0,
            failed: 0,
            created_at: at,
            started_at: None,
            completed_at: None,
            error: None,
            left: Vec::new(),
            waived: BTreeMap::new(),
            accepted: None,
            warnings,
            submitted_by: submitted_by.clone(),
        };
        Self {
            id: WorkId::from(id),
            work: WorkRecord { kind: WorkKind::Rollback { spec }, submitted_by, created_at: at },
            rows: Rows::Rollback(Box::new(record)),
            remember: None,
            also: Vec::new(),
        }
    }
}

fn operation_record(batch: BatchId, index: u32, operation: &Operation) -> OperationRecord {
    OperationRecord {
        batch,
        index,
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
    }
}
