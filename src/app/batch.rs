//! Batches: execute, validate, list, get, cancel, retry.

use uuid::Uuid;

use super::context::Context;
use super::error::Error;
use super::idempotency::{self, Idempotency};
use super::{Answer, App, Executed, Resources, logs};
use crate::api::batch::{
    BatchPlan, BatchQuery, BatchRequest, BatchSummary, BatchView, OperationView, PlannedOperation,
};
use crate::api::list::Listed;
use crate::api::read::Problem;
use crate::engine::{Direction, Shape, graph};
use crate::model::batch::{BatchSpec, Payload};
use crate::model::id::{BatchId, WorkId};
use crate::model::status::{BatchStatus, OperationStatus};
use crate::scheduler::command::{self, Program};
use crate::scheduler::{Rows, Submission};
use crate::store::record::{BatchRecord, OperationRecord, WorkKind, WorkRecord};

impl App {
    /// Accepts a batch, or in check mode plans it.
    ///
    /// # Errors
    /// When its graph doesn't hold together, with every problem; or when it can't be accepted.
    pub async fn batch_execute(
        &self,
        context: &Context,
        request: BatchRequest,
        key: Option<Idempotency>,
    ) -> Result<Answer<Executed>, Error> {
        let resources = self.guarded.open(&context.permit("batch_execute")?);
        let warnings = check(&request)?;
        if request.check_mode {
            let plan = plan(&resources.program, &request.spec);
            return Ok(Answer { data: Executed::Planned(Box::new(plan)), warnings });
        }
        let id = BatchId(Uuid::now_v7());
        let now = self.clock.now();
        let mut batch = record(id, &request.spec, context, now);
        batch.warnings = warnings;
        let operations = operations(id, &request.spec);
        let kind = WorkKind::Batch { spec: request.spec };
        let submission = Submission {
            id: WorkId::from(id),
            work: WorkRecord { kind, submitted_by: context.username().to_owned(), created_at: now },
            rows: Rows::Batch(Box::new(batch), operations),
            remember: None,
        };
        let id = idempotency::submit(resources, context, "batch_execute", key, submission).await?;
        let Answer { data, warnings } = find(resources, BatchId(id)).await?;
        Ok(Answer { data: Executed::Started(Box::new(data)), warnings })
    }

    /// Plans a batch.
    ///
    /// # Errors
    /// When its graph doesn't hold together, with every problem.
    pub fn batch_validate(&self, context: &Context, request: &BatchRequest) -> Result<Answer<BatchPlan>, Error> {
        let resources = self.guarded.open(&context.permit("batch_validate")?);
        let warnings = check(request)?;
        Ok(Answer { data: plan(&resources.program, &request.spec), warnings })
    }

    /// Batches, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn batch_list(&self, context: &Context, query: BatchQuery) -> Result<Listed<BatchSummary>, Error> {
        let resources = self.guarded.open(&context.permit("batch_list")?);
        let Listed { items, total, next_after } =
            resources.store.read(move |reads| reads.batches(query.status, query.page)).await?;
        Ok(Listed { items: items.into_iter().map(summary).collect(), total, next_after })
    }

    /// One batch with its operations.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn batch_get(&self, context: &Context, id: BatchId) -> Result<Answer<BatchView>, Error> {
        let resources = self.guarded.open(&context.permit("batch_get")?);
        find(resources, id).await
    }

    /// Ends a batch; answers it as it stands once the request is on disk.
    ///
    /// # Errors
    /// When it has ended or is being rolled back.
    pub async fn batch_cancel(
        &self,
        context: &Context,
        id: BatchId,
        rollback: bool,
    ) -> Result<Answer<BatchView>, Error> {
        let resources = self.guarded.open(&context.permit("batch_cancel")?);
        let batch = find(resources, id).await?.data.summary;
        if batch.status.is_terminal() {
            return Err(Error::Conflict(format!("batch {id} has already ended ({})", batch.status)));
        }
        resources.scheduler.cancel(WorkId::from(id), None, rollback).await?;
        find(resources, id).await
    }

    /// Goes on with a batch from what failed.
    ///
    /// # Errors
    /// When it hasn't ended, or nothing of it failed.
    pub async fn batch_retry(&self, context: &Context, id: BatchId) -> Result<Answer<BatchView>, Error> {
        let resources = self.guarded.open(&context.permit("batch_retry")?);
        find(resources, id).await?;
        resources.scheduler.retry(WorkId::from(id)).await?;
        find(resources, id).await
    }
}

async fn find(resources: &Resources, id: BatchId) -> Result<Answer<BatchView>, Error> {
    let found = resources.store.read(move |reads| {
        let Some(batch) = reads.batch(id)? else { return Ok(None) };
        Ok(Some((batch, reads.operations(id)?)))
    });
    let (mut batch, rows) = found.await?.ok_or_else(|| Error::NotFound { kind: "batch", id: id.to_string() })?;
    let mut warnings = std::mem::take(&mut batch.warnings);
    if batch.status == BatchStatus::Completed {
        let tolerated = rows.iter().filter(|row| row.status != OperationStatus::Completed);
        warnings
            .extend(tolerated.map(|row| format!("operation {} is {}, which the batch tolerates", row.id, row.status)));
    }
    let mut operations = Vec::with_capacity(rows.len());
    for row in rows {
        let progress = match (row.status, row.task) {
            (OperationStatus::Running, Some(task)) => logs::progress(&resources.logs, task).await.unwrap_or(0.0),
            (OperationStatus::Completed, _) => 1.0,
            _ => 0.0,
        };
        operations.push(view(row, progress));
    }
    let mut summary = summary(batch);
    if !operations.is_empty() {
        let count = f64::from(u32::try_from(operations.len()).unwrap_or(u32::MAX));
        summary.progress = operations.iter().map(|operation| operation.progress).sum::<f64>() / count;
    }
    Ok(Answer { data: BatchView { summary, operations }, warnings })
}

/// Every problem of the request that the shape of its body doesn't show; remarks when there is none.
fn check(request: &BatchRequest) -> Result<Vec<String>, Error> {
    let problems = graph::check(&request.spec);
    if !problems.is_empty() {
        let problem = |found: &graph::GraphProblem| Problem { pointer: found.pointer(), message: found.to_string() };
        return Err(Error::Invalid(problems.iter().map(problem).collect()));
    }
    let mut warnings = Vec::new();
    if request.storage_backend != "redb" {
        warnings.push(format!("storage_backend is {}; this daemon keeps its state in redb", request.storage_backend));
    }
    let makes_servers = |provider| {
        let makes = |operation: &crate::model::batch::Operation| {
            matches!(operation.payload, Payload::ServerBatch { .. }) && &operation.provider == provider
        };
        request.spec.operations.iter().any(makes)
    };
    for operation in &request.spec.operations {
        if let (Payload::TaskservBatch { taskservs }, Some(provider)) = (&operation.payload, &operation.provider)
            && taskservs.iter().any(|taskserv| taskserv.servers.is_empty())
            && !makes_servers(&operation.provider)
        {
            warnings.push(format!(
                "operation {} installs on the servers of {} at {provider}, and this batch makes none there; it will fail unless there are some when it starts",
                operation.id, request.spec.infra
            ));
        }
    }
    Ok(warnings)
}

fn plan(program: &Program, spec: &BatchSpec) -> BatchPlan {
    let waves = graph::waves(&Shape::of(spec));
    let name = |index: u32| spec.operations[index as usize].id.clone();
    let planned = |operation: &crate::model::batch::Operation| {
        let line = command::line(program, spec, operation, Direction::Do);
        let undo = command::line(program, spec, operation, Direction::Undo);
        PlannedOperation {
            id: operation.id.clone(),
            kind: operation.payload.kind().to_owned(),
            provider: operation.provider.clone(),
            command: line.as_ref().map(command::CommandLine::command).unwrap_or_default(),
            args: line.map(|line| line.args).unwrap_or_default(),
            compensation: undo.map(|line| [vec![line.command()], line.args].concat().join(" ")),
        }
    };
    BatchPlan {
        name: spec.name.clone(),
        valid: true,
        waves: waves.into_iter().map(|wave| wave.into_iter().map(name).collect()).collect(),
        operations: spec.operations.iter().map(planned).collect(),
    }
}

fn record(id: BatchId, spec: &BatchSpec, context: &Context, now: crate::model::time::Timestamp) -> BatchRecord {
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

fn operations(batch: BatchId, spec: &BatchSpec) -> Vec<OperationRecord> {
    let record = |(index, operation): (usize, &crate::model::batch::Operation)| OperationRecord {
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

fn summary(batch: BatchRecord) -> BatchSummary {
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

fn view(row: OperationRecord, progress: f64) -> OperationView {
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
