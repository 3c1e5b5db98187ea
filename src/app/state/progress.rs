//! How far a task or a batch is.

use std::collections::HashMap;
use std::path::Path;

use super::estimate::{Part, left_ms, median};
use super::{App, Work};
use crate::api::state::Progress;
use crate::app::batch::active_task;
use crate::app::context::Context;
use crate::app::error::Error;
use crate::app::logs::{self, Reported};
use crate::engine::{Direction, Shape};
use crate::model::batch::{BatchSpec, OnFailure};
use crate::model::id::{TaskId, WorkId};
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::scheduler::command::{self, Program};
use crate::store::record::{BatchRecord, OperationRecord, WorkKind};
use crate::store::{Backend, StoreError};

impl App {
    /// How far a task or a batch is.
    ///
    /// # Errors
    /// When there is neither of that id.
    pub async fn workflow_progress(&self, context: &Context, id: WorkId) -> Result<Progress, Error> {
        match self.see_work(context, id).await? {
            Work::Task(seen) => {
                let resources = self.guarded.open(&self.authorise(context, "workflow_progress", &seen.question())?);
                let (task, slots, now) = (seen.row, self.max_parallel, self.clock.now());
                let reported = logs::reported(&resources.logs, task.id).await;
                let read = resources.store.read(move |reads| {
                    let left = task_left(reads, &task, slots, now)?;
                    Ok(of_task(&task, reported, left))
                });
                Ok(read.await?)
            }
            Work::Batch(seen) => {
                let resources = self.guarded.open(&self.authorise(context, "workflow_progress", &seen.question())?);
                let (program, slots, now) = (resources.program.clone(), self.max_parallel, self.clock.now());
                let batch = seen.row;
                let read = resources.store.read(move |reads| {
                    let rows = reads.operations(batch.id)?;
                    let left = match reads.work(WorkId::from(batch.id))?.map(|work| work.kind) {
                        Some(WorkKind::Batch { spec }) => {
                            let batch = Batch { row: &batch, spec: &spec, rows: &rows };
                            batch.left(reads, &program, slots, now)?
                        }
                        _ => None,
                    };
                    Ok((batch, rows, left))
                });
                let (batch, rows, left) = read.await?;
                let reported = reported_of(&resources.logs, &rows).await;
                Ok(of_batch(&batch, &rows, &reported, left))
            }
        }
    }
}

fn of_task(task: &Task, reported: Reported, left: Option<u64>) -> Progress {
    let is_done = task.status == TaskStatus::Completed;
    let total = reported.total_steps.unwrap_or(1).max(1);
    let completed = reported.completed_steps.unwrap_or(0).min(total);
    Progress {
        workflow_id: WorkId::from(task.id),
        status: task.status.into(),
        progress: if is_done { 1.0 } else { reported.progress.unwrap_or(0.0) },
        current_step: reported.step.filter(|_| task.status == TaskStatus::Running),
        total_steps: total,
        completed_steps: if is_done { total } else { completed },
        estimated_time_remaining: left,
    }
}

/// How long a task will run yet, in seconds.
fn task_left(reads: &dyn Backend, task: &Task, slots: usize, now: Timestamp) -> Result<Option<u64>, StoreError> {
    if task.status.is_terminal() {
        return Ok(Some(0));
    }
    if slots == 0 && task.status == TaskStatus::Pending {
        return Ok(None);
    }
    let infra = task.infra.as_ref().map_or("", |infra| infra.as_str());
    let whole = median(reads.durations(&task.name, infra, task.is_check())?);
    let gone = task.started_at.map_or(0, |start| millis(now, start));
    Ok(whole.map(|whole| whole.saturating_sub(gone).div_ceil(1000)))
}

fn of_batch(
    batch: &BatchRecord,
    rows: &[OperationRecord],
    reported: &HashMap<TaskId, Reported>,
    left: Option<u64>,
) -> Progress {
    let said = |row: &OperationRecord| active_task(row).and_then(|task| reported.get(&task));
    let share = |row: &OperationRecord| match row.status {
        OperationStatus::Completed => 1.0,
        OperationStatus::Running => said(row).and_then(|said| said.progress).unwrap_or(0.0),
        _ => 0.0,
    };
    let done: f64 = rows.iter().map(share).sum();
    let progress = if batch.status == BatchStatus::Completed { 1.0 } else { done / f64::from(batch.total.max(1)) };
    // The one that has run longest is the one that is waited for.
    let oldest = rows.iter().filter(|row| active_task(row).is_some()).min_by_key(|row| (row.started_at, row.index));
    let step = |row: &OperationRecord| match said(row).and_then(|said| said.step.as_deref()) {
        Some(step) => format!("{}: {step}", row.id),
        None => row.id.to_string(),
    };
    Progress {
        workflow_id: WorkId::from(batch.id),
        status: batch.status,
        progress: progress.clamp(0.0, 1.0),
        current_step: oldest.map(step),
        total_steps: batch.total,
        completed_steps: batch.completed,
        estimated_time_remaining: left,
    }
}

async fn reported_of(logs: &Path, rows: &[OperationRecord]) -> HashMap<TaskId, Reported> {
    let mut found = HashMap::new();
    for task in rows.iter().filter_map(active_task) {
        found.insert(task, logs::reported(logs, task).await);
    }
    found
}

/// A batch with all that is known of it.
struct Batch<'b> {
    row: &'b BatchRecord,
    spec: &'b BatchSpec,
    rows: &'b [OperationRecord],
}

impl Batch<'_> {
    /// How long it will run yet, in seconds. Nothing is said of one that goes back, or is about to.
    fn left(
        &self,
        reads: &dyn Backend,
        program: &Program,
        slots: usize,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        if self.row.status.is_terminal() {
            return Ok(Some(0));
        }
        let halts = |row: &OperationRecord| {
            let tolerated =
                self.spec.operations.get(row.index as usize).is_some_and(|one| one.on_failure == OnFailure::Continue);
            matches!(row.status, OperationStatus::Failed | OperationStatus::Cancelled) && !tolerated
        };
        let is_halted = self.row.cancel_requested || self.rows.iter().any(halts);
        if slots == 0 || is_halted || self.row.status == BatchStatus::RollingBack {
            return Ok(None);
        }
        let Some(parts) = self.parts(reads, program, now)? else { return Ok(None) };
        let limit = slots.min(usize::try_from(self.row.parallel_limit).unwrap_or(usize::MAX));
        Ok(Some(left_ms(&parts, limit).div_ceil(1000)))
    }

    /// What is left to do; nothing when it isn't known how long something of it takes.
    fn parts(&self, reads: &dyn Backend, program: &Program, now: Timestamp) -> Result<Option<Vec<Part>>, StoreError> {
        let shape = Shape::of(self.spec);
        let is_left =
            |row: &&OperationRecord| matches!(row.status, OperationStatus::Pending | OperationStatus::Running);
        let rows: Vec<&OperationRecord> = self.rows.iter().filter(is_left).collect();
        let places: HashMap<u32, usize> = rows.iter().enumerate().map(|(place, row)| (row.index, place)).collect();
        let mut lengths: HashMap<String, Option<u64>> = HashMap::new();
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            let index = row.index as usize;
            let (Some(operation), Some(node)) = (self.spec.operations.get(index), shape.operations.get(index)) else {
                return Ok(None);
            };
            let Some(line) = command::line(program, self.spec, operation, Direction::Do) else { return Ok(None) };
            let known = match lengths.get(&line.name) {
                Some(known) => *known,
                None => median(reads.durations(&line.name, self.spec.infra.as_str(), false)?),
            };
            lengths.insert(line.name, known);
            let Some(whole) = known else { return Ok(None) };
            let gone = row.started_at.map_or(0, |start| millis(now, start));
            parts.push(Part {
                left_ms: whole.saturating_sub(gone),
                waits_for: node.dependencies.iter().filter_map(|(other, _)| places.get(other).copied()).collect(),
                runs: row.status == OperationStatus::Running,
            });
        }
        Ok(Some(parts))
    }
}

fn millis(now: Timestamp, start: Timestamp) -> u64 {
    u64::try_from(now.since(start).as_millis()).unwrap_or(u64::MAX)
}
