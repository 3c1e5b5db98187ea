//! How a rollback is shown while it goes on.

use std::collections::HashSet;

use crate::engine::work::OperationState;
use crate::engine::{Event, Work};
use crate::model::rollback::{LeftOver, RollbackAction, RollbackSpec, RollbackStep};
use crate::model::status::{BatchStatus, OperationStatus, RollbackStatus};
use crate::model::time::Timestamp;
use crate::store::record::RollbackRecord;

/// Shows what happened; the work is as it stands after that.
pub(super) fn show(record: &mut RollbackRecord, spec: &RollbackSpec, work: &Work, event: &Event, at: Timestamp) {
    match event {
        Event::Started { at, .. } => _ = record.started_at.get_or_insert(*at),
        Event::Succeeded { operation, .. } if !is_proof(spec, *operation) => record.executed += 1,
        Event::Failed { operation, .. } if !is_proof(spec, *operation) => record.failed += 1,
        Event::Retried => {
            (record.completed_at, record.error) = (None, None);
            record.left.clear();
            (record.executed, record.failed) = count(spec, work);
        }
        Event::Ended { .. } => {
            record.completed_at = Some(at);
            (record.executed, record.failed) = count(spec, work);
            record.left = left(spec, work);
            record.error = error(spec, work);
        }
        Event::Waived { operation, reason } => _ = record.waived.insert(*operation, reason.clone()),
        Event::Closed { reason } => record.accepted = Some(reason.clone()),
        _ => {}
    }
    record.status = status(work);
}

/// The status word of a rollback.
fn status(work: &Work) -> RollbackStatus {
    match work.status() {
        _ if work.is_closed => RollbackStatus::Accepted,
        BatchStatus::Pending => RollbackStatus::Pending,
        BatchStatus::Completed => RollbackStatus::Completed,
        BatchStatus::Failed => RollbackStatus::Failed,
        _ => RollbackStatus::Running,
    }
}

fn is_proof(spec: &RollbackSpec, index: u32) -> bool {
    spec.steps[index as usize].action.is_proof()
}

/// How many operations were done or undone, and of how many that failed.
fn count(spec: &RollbackSpec, work: &Work) -> (u32, u32) {
    let of = |wanted| {
        let steps = spec.steps.iter().zip(&work.operations);
        steps.filter(|(step, state)| !step.action.is_proof() && state.status == wanted).count()
    };
    (crate::engine::index(of(OperationStatus::Completed)), crate::engine::index(of(OperationStatus::Failed)))
}

/// What isn't as it was asked for.
fn left(spec: &RollbackSpec, work: &Work) -> Vec<LeftOver> {
    // Steps whose proof has come to an answer.
    let answered = |(_, state): &(&RollbackStep, &OperationState)| {
        matches!(state.status, OperationStatus::Completed | OperationStatus::Failed)
    };
    let proved = spec.steps.iter().zip(&work.operations).filter(answered).filter_map(|(step, _)| step.proves);
    let proved: HashSet<u32> = proved.collect();
    let is_proved = |index: u32| proved.contains(&index);
    let describe = |(step, (index, state)): (&RollbackStep, (u32, &OperationState))| {
        let (id, action) = (&step.operation_id, step.action);
        let error = state.error.as_deref().unwrap_or("no reason is known");
        let what = match (state.status, action) {
            // What its proof says is more.
            (OperationStatus::Failed, RollbackAction::Undo | RollbackAction::Redo) if is_proved(index) => {
                return None;
            }
            (OperationStatus::Failed, RollbackAction::Undo) => {
                format!("what {id} made may still be there: its rollback failed: {error}")
            }
            (OperationStatus::Failed, RollbackAction::Redo) => format!("{id} is not there again: {error}"),
            (OperationStatus::Failed, RollbackAction::ProveUndone) => format!("of what {id} made, {error}"),
            (OperationStatus::Failed, RollbackAction::ProveRedone) => format!("of what {id} makes, {error}"),
            (OperationStatus::Skipped, RollbackAction::Undo | RollbackAction::Redo) if state.waived => {
                format!("{id} stays as it is, as somebody decided")
            }
            // What was done, and then found not to be.
            (OperationStatus::Skipped, RollbackAction::ProveUndone | RollbackAction::ProveRedone)
                if state.waived && !is_waived(work, step.proves) =>
            {
                format!("{id} stays as it is, as somebody decided: {error}")
            }
            (OperationStatus::Skipped, RollbackAction::Undo) if !is_proved(index) => {
                format!("{id} was not rolled back, because the rollback of something that depends on it failed")
            }
            (OperationStatus::Skipped, RollbackAction::Redo) => {
                format!("{id} was not run again, because something before it failed")
            }
            _ => return None,
        };
        Some(LeftOver { batch_id: step.batch, operation_id: id.clone(), what })
    };
    spec.steps.iter().zip((0u32..).zip(&work.operations)).filter_map(describe).collect()
}

fn is_waived(work: &Work, index: Option<u32>) -> bool {
    index.is_some_and(|index| work.operation(index).waived)
}

/// Why it failed: the first that went wrong.
fn error(spec: &RollbackSpec, work: &Work) -> Option<String> {
    let failed = |(_, state): &(&RollbackStep, &OperationState)| state.status == OperationStatus::Failed;
    let (step, state) = spec.steps.iter().zip(&work.operations).find(failed)?;
    Some(format!("{} {}: {}", step.action.as_str(), step.operation_id, state.error.as_deref().unwrap_or("failed")))
}
