//! Rollbacks between their records and what is shown of them.

use std::collections::{BTreeMap, HashMap};

use crate::api::rollback::{
    PlannedStep, ProofAnswer, ProofView, RollbackPlan, RollbackSummary, RollbackView, StepView,
};
use crate::engine::Work;
use crate::engine::work::OperationState;
use crate::model::batch::BatchSpec;
use crate::model::id::{BatchId, RollbackId, WorkId};
use crate::model::rollback::{RollbackSpec, RollbackStep};
use crate::model::status::OperationStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::scheduler::command::{self, CHANGES, Program};
use crate::scheduler::recover::shape;
use crate::store::record::{RollbackRecord, WorkKind};
use crate::store::{Backend, StoreError};

/// A rollback as lists show it.
pub(super) fn summary(record: RollbackRecord, now: Timestamp) -> RollbackSummary {
    let until = record.completed_at.unwrap_or(now);
    RollbackSummary {
        rollback_id: record.id,
        scope: record.scope,
        status: record.status,
        batch_ids: record.batches,
        infras: record.infras,
        operations_total: record.total,
        operations_executed: record.executed,
        operations_failed: record.failed,
        duration: record.started_at.map(|start| until.since(start).as_secs_f64()),
        created_at: record.created_at,
        started_at: record.started_at,
        completed_at: record.completed_at,
        error: record.error,
        left: record.left,
        accepted: record.accepted,
        submitted_by: record.submitted_by,
    }
}

/// A rollback with its steps and its proof, and the remarks made on it; nothing when there is none of that id.
pub(super) fn find(
    reads: &dyn Backend,
    id: RollbackId,
    now: Timestamp,
) -> Result<Option<(RollbackView, Vec<String>)>, StoreError> {
    let (Some(record), Some(work)) = (reads.rollback(id)?, reads.work(WorkId::from(id))?) else { return Ok(None) };
    let mut state = Work::new(WorkId::from(id), shape(&work));
    reads.events(WorkId::from(id))?.iter().for_each(|(_, logged)| state.apply(&logged.event));
    let WorkKind::Rollback { spec } = work.kind else { return Ok(None) };
    // A proof that stays open is the step's that it was to prove.
    let of = |index: u32| spec.steps.get(index as usize).and_then(|step| step.proves).unwrap_or(index);
    let reasons: HashMap<u32, &String> = record.waived.iter().map(|(index, why)| (of(*index), why)).collect();
    let (mut steps, mut proof) = (Vec::new(), Vec::new());
    for ((index, step), state) in (0u32..).zip(&spec.steps).zip(&state.operations) {
        if step.action.is_proof() {
            let task = state.task.map(|task| reads.task(task)).transpose()?.flatten();
            proof.push(answered(step, state, task));
        } else {
            steps.push(shown(step, state, reasons.get(&index).copied()));
        }
    }
    let warnings = record.warnings.clone();
    Ok(Some((RollbackView { summary: summary(record, now), steps, proof }, warnings)))
}

fn shown(step: &RollbackStep, state: &OperationState, waived: Option<&String>) -> StepView {
    StepView {
        action: step.action,
        batch_id: step.batch,
        operation_id: step.operation_id.clone(),
        infra: step.infra.clone(),
        status: state.status,
        task_id: state.task,
        attempt: state.attempt,
        error: state.error.clone(),
        skipped: waived.cloned(),
    }
}

fn answered(step: &RollbackStep, state: &OperationState, task: Option<Task>) -> ProofView {
    let code = task.as_ref().and_then(|task| task.exit_code);
    let answer = match state.status {
        OperationStatus::Completed => ProofAnswer::Proved,
        OperationStatus::Failed | OperationStatus::Skipped if code == Some(CHANGES) => ProofAnswer::Disproved,
        OperationStatus::Failed | OperationStatus::Skipped => ProofAnswer::Unknown,
        _ => ProofAnswer::Pending,
    };
    let output = task.as_ref().and_then(|task| task.output.as_deref()).filter(|_| answer == ProofAnswer::Disproved);
    ProofView {
        action: step.action,
        batch_id: step.batch,
        operation_id: step.operation_id.clone(),
        infra: step.infra.clone(),
        answer,
        found: output.unwrap_or_default().lines().map(str::to_owned).collect(),
        answered_at: task.and_then(|task| task.completed_at),
        task_id: state.task,
        error: state.error.clone().filter(|_| answer == ProofAnswer::Unknown),
    }
}

/// What a rollback would do.
pub(super) fn plan(program: &Program, spec: RollbackSpec, batches: &BTreeMap<BatchId, BatchSpec>) -> RollbackPlan {
    let planned = |step: &RollbackStep| {
        let line = batches.get(&step.batch).and_then(|batch| command::step_line(program, batch, step));
        PlannedStep {
            action: step.action,
            batch_id: step.batch,
            operation_id: step.operation_id.clone(),
            infra: step.infra.clone(),
            command: line.as_ref().map(command::CommandLine::command).unwrap_or_default(),
            args: line.map(|line| line.args).unwrap_or_default(),
            waits_for: step.dependencies.iter().map(|(on, _)| *on).collect(),
        }
    };
    RollbackPlan { steps: spec.steps.iter().map(planned).collect(), scope: spec.scope, check_mode: true }
}
