//! Whether the end that the daemon tells is the end that the ledger shows.

use super::super::ledger::Direction;
use super::super::plan::Operation;
use super::{Case, Evidence, Found, Promise};
use crate::api::batch::{BatchView, OperationView};
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};

/// One operation against its marks.
pub(super) fn operation(evidence: &Evidence, planned: &Operation, shown: &OperationView, found: &mut Found) {
    let case = |direction| Case { evidence, planned, shown, direction };
    let (doing, undoing) = (case(Direction::Do), case(Direction::Undo));
    match shown.status {
        OperationStatus::Completed => {
            succeeded(&doing, found);
            untouched(&undoing, found);
        }
        OperationStatus::RolledBack => {
            succeeded(&doing, found);
            succeeded(&undoing, found);
        }
        OperationStatus::RollbackFailed => {
            succeeded(&doing, found);
            hopeless(&undoing, found);
        }
        OperationStatus::Failed => {
            failed(&doing, found);
            untouched(&undoing, found);
        }
        OperationStatus::Skipped => {
            untouched(&doing, found);
            untouched(&undoing, found);
        }
        OperationStatus::Pending
        | OperationStatus::Running
        | OperationStatus::RollingBack
        | OperationStatus::Cancelled => {
            found.add(Promise::Untrue, format!("the batch has ended, and {} is {}", planned.id, shown.status));
        }
    }
}

/// Its last attempt ended and nobody can doubt it.
fn succeeded(case: &Case<'_>, found: &mut Found) {
    let name = case.name();
    let Some(task) = case.task() else {
        found.add(Promise::Lost, format!("{} is {}, and {name} has no task", case.planned.id, case.shown.status));
        return;
    };
    if task.status != TaskStatus::Completed {
        let what = format!("{} is {}, and the task of {name} is {}", case.planned.id, case.shown.status, task.status);
        found.add(Promise::Untrue, what);
    }
    let traces = case.traces();
    if traces.get(&task.attempt).is_none_or(|trace| trace.ends.is_empty()) {
        let what = format!("{} is {}, and the ledger has no end of {name}", case.planned.id, case.shown.status);
        found.add(Promise::Lost, what);
    }
    if case.last() > task.attempt {
        found.add(Promise::Duplicated, format!("{name} ran again after attempt {} had succeeded", task.attempt));
    }
    let wanted = format!("{} {}", case.planned.id, task.attempt);
    if (task.exit_code, task.output.as_deref()) != (Some(0), Some(wanted.as_str())) {
        let what = format!(
            "{name} exited with 0 and printed {wanted:?}; its task says {:?} and {:?}",
            task.exit_code, task.output
        );
        found.add(Promise::Untrue, what);
    }
}

/// Its last attempt failed, on purpose or because of what was killed, and its error says which.
fn failed(case: &Case<'_>, found: &mut Found) {
    let name = case.name();
    let Some(task) = case.task() else {
        found.add(Promise::Lost, format!("{name} has failed and has no task"));
        return;
    };
    if task.status != TaskStatus::Failed {
        found.add(Promise::Untrue, format!("{name} has failed, and its task is {}", task.status));
    }
    if case.last() > task.attempt {
        found.add(Promise::Duplicated, format!("{name} ran in an attempt that its task knows nothing of"));
    }
    let error = task.error.as_deref().unwrap_or_default();
    let on_purpose = case.traces().get(&task.attempt).is_some_and(|trace| !trace.fails.is_empty());
    let is_true = (on_purpose && error.starts_with("exit status 3"))
        || (case.was_killed(task.attempt) && error.starts_with("ended by SIGKILL"))
        || (case.was_orphaned(task.attempt) && error.starts_with("the supervisor was killed"));
    if !is_true {
        found.add(Promise::Untrue, format!("{name} has failed, and nothing that happened explains {error:?}"));
    }
}

/// A compensation may fail for good only when something killed each of its attempts.
fn hopeless(case: &Case<'_>, found: &mut Found) {
    let killed = (1..=case.limit()).all(|attempt| case.is_excused(attempt));
    if case.last() < case.limit() || !killed {
        found.add(Promise::Lost, format!("{} failed without cause", case.name()));
    }
}

/// Nothing of it ever began.
fn untouched(case: &Case<'_>, found: &mut Found) {
    if !case.traces().is_empty() {
        found.add(Promise::Untrue, format!("{} is {}, and {} ran", case.planned.id, case.shown.status, case.name()));
    }
    if case.task().is_some_and(|task| task.status != TaskStatus::Cancelled) {
        let what = format!("{} is {}, and the task of {} has run", case.planned.id, case.shown.status, case.name());
        found.add(Promise::Untrue, what);
    }
}

/// The batch as a whole against its operations.
pub(super) fn whole(evidence: &Evidence, view: &BatchView, found: &mut Found) {
    let all = |status| view.operations.iter().filter(move |shown| shown.status == status);
    let has_failed = all(OperationStatus::Failed).next().is_some();
    let is_stranded = all(OperationStatus::RollbackFailed).next().is_some();
    let wanted = match (has_failed, evidence.plan.rollback) {
        (false, _) => BatchStatus::Completed,
        (true, false) => BatchStatus::Failed,
        (true, true) if is_stranded => BatchStatus::RollbackFailed,
        (true, true) => BatchStatus::RolledBack,
    };
    if view.summary.status != wanted {
        let what = format!("the batch is {}; by its operations it must be {wanted}", view.summary.status);
        found.add(Promise::Untrue, what);
    }
    for shown in view.operations.iter().filter(|shown| !belongs(evidence, view, wanted, shown)) {
        let promise = if shown.status == OperationStatus::Completed { Promise::Lost } else { Promise::Untrue };
        found.add(promise, format!("{} is {} in a batch that is {wanted}", shown.id, shown.status));
    }
    let is_used_up = |shown: &OperationView| {
        let task = evidence.tasks.iter().find(|task| Some(task.id) == shown.task_id);
        task.is_some_and(|task| task.attempt >= task.max_attempts)
    };
    if has_failed && !all(OperationStatus::Failed).any(is_used_up) {
        found.add(Promise::Untrue, "the batch failed while every operation could still be tried again".to_owned());
    }
    if view.summary.operations_completed as usize != all(OperationStatus::Completed).count() {
        let what = format!("the batch counts {} operations as completed", view.summary.operations_completed);
        found.add(Promise::Untrue, what);
    }
    for shown in all(OperationStatus::Failed) {
        let has_begun = evidence.ledger.span(Direction::Do, shown.id.as_str()).is_some();
        if has_begun && !view.summary.left.iter().any(|left| left.operation_id == shown.id) {
            found.add(Promise::Untrue, format!("the batch doesn't name {} among what is left", shown.id));
        }
    }
}

/// Whether an operation may be in its status when the batch has ended so.
fn belongs(evidence: &Evidence, view: &BatchView, whole: BatchStatus, shown: &OperationView) -> bool {
    let is_shielded = || {
        let stranded = view.operations.iter().filter(|other| other.status == OperationStatus::RollbackFailed);
        stranded.into_iter().any(|other| evidence.plan.depends(other.id.as_str(), shown.id.as_str()))
    };
    match (whole, shown.status) {
        (BatchStatus::Completed | BatchStatus::Failed, OperationStatus::Completed)
        | (BatchStatus::RolledBack | BatchStatus::RollbackFailed, OperationStatus::RolledBack)
        | (BatchStatus::RollbackFailed, OperationStatus::RollbackFailed) => true,
        (BatchStatus::RollbackFailed, OperationStatus::Completed) => is_shielded(),
        (whole, OperationStatus::Failed | OperationStatus::Skipped) => whole != BatchStatus::Completed,
        _ => false,
    }
}
