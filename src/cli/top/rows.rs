//! What one line of a list shows, and which lines there are in which order. Pure.

use crate::api::batch::{BatchSummary, OperationView};
use crate::api::task::Task;
use crate::cli::progress::{Mood, mood, mood_of_batch, mood_of_task};
use crate::model::id::{BatchId, TaskId};
use crate::model::name::Name;
use crate::model::time::Timestamp;

/// What a line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// A batch.
    Batch(BatchId),
    /// A task.
    Task(TaskId),
    /// An operation of a batch, which may have no task yet.
    Operation(BatchId, Name),
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: Id,
    /// The task whose log it shows.
    pub(super) task: Option<TaskId>,
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) mood: Mood,
    pub(super) progress: f64,
    /// Of how many how many are done.
    pub(super) done: Option<(u32, u32)>,
    pub(super) step: String,
    pub(super) created_at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) infra: String,
    pub(super) error: Option<String>,
}

impl Row {
    /// A batch.
    pub(super) fn of_batch(batch: &BatchSummary) -> Self {
        Self {
            id: Id::Batch(batch.batch_id),
            task: None,
            name: batch.name.clone(),
            status: batch.status.as_str(),
            mood: mood_of_batch(batch.status),
            progress: batch.progress,
            done: Some((batch.operations_completed, batch.operations_total)),
            step: String::new(),
            created_at: Some(batch.created_at),
            started_at: batch.started_at,
            completed_at: batch.completed_at,
            infra: batch.infra.to_string(),
            error: batch.error.clone(),
        }
    }

    /// A task.
    pub(super) fn of_task(task: &Task) -> Self {
        Self {
            id: Id::Task(task.id),
            task: Some(task.id),
            name: task.operation_id.as_ref().map_or_else(|| task.name.clone(), ToString::to_string),
            status: task.status.as_str(),
            mood: mood_of_task(task.status),
            progress: task.progress,
            done: None,
            step: task.step.clone().unwrap_or_default(),
            created_at: Some(task.created_at),
            started_at: task.started_at,
            completed_at: task.completed_at,
            infra: task.infra.as_ref().map(ToString::to_string).unwrap_or_default(),
            error: task.error.clone(),
        }
    }

    /// An operation of a batch.
    pub(super) fn of_operation(batch: &BatchSummary, operation: &OperationView) -> Self {
        Self {
            id: Id::Operation(batch.batch_id, operation.id.clone()),
            task: operation.rollback_task_id.or(operation.task_id),
            name: operation.id.to_string(),
            status: operation.status.as_str(),
            mood: mood(operation.status),
            progress: operation.progress,
            done: None,
            step: operation.step.clone().unwrap_or_default(),
            created_at: None,
            started_at: operation.started_at,
            completed_at: operation.completed_at,
            infra: batch.infra.to_string(),
            error: operation.error.clone(),
        }
    }

    /// How long ago it was accepted, or how long it has run.
    pub(super) fn age(&self, now: Timestamp) -> Option<std::time::Duration> {
        self.created_at.or(self.started_at).map(|since| now.since(since))
    }

    fn contains(&self, text: &str) -> bool {
        let id = match &self.id {
            Id::Batch(id) => id.to_string(),
            Id::Task(id) => id.to_string(),
            Id::Operation(_, name) => name.to_string(),
        };
        let fields = [self.name.as_str(), self.status, &self.step, &self.infra, &id];
        fields.iter().any(|field| field.to_lowercase().contains(text))
    }
}

/// Which statuses a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Picked {
    /// All.
    #[default]
    All,
    /// What has not ended.
    Active,
    /// What failed, undone or not.
    Failed,
    /// What was done.
    Done,
}

impl Picked {
    /// The next of them.
    pub(super) fn next(self) -> Self {
        match self {
            Self::All => Self::Active,
            Self::Active => Self::Failed,
            Self::Failed => Self::Done,
            Self::Done => Self::All,
        }
    }

    /// Its word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Done => "completed",
        }
    }

    fn takes(self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::Active => row.mood.is_moving() || row.mood == Mood::Waiting,
            // What was undone because something of it failed has failed, too.
            Self::Failed => row.mood == Mood::Bad || row.error.is_some(),
            Self::Done => row.mood == Mood::Good,
        }
    }
}

/// Those that are wanted: what runs, then what failed, then what waits, then the rest; among them the newest first.
pub(super) fn wanted(mut rows: Vec<Row>, picked: Picked, filter: &str) -> Vec<Row> {
    let filter = filter.to_lowercase();
    rows.retain(|row| picked.takes(row) && row.contains(&filter));
    let rank = |row: &Row| match row.mood {
        Mood::Going | Mood::Undoing => 0,
        Mood::Bad => 1,
        Mood::Waiting => 2,
        Mood::Good | Mood::Undone => 3,
    };
    rows.sort_by_key(|row| (rank(row), std::cmp::Reverse(row.created_at)));
    rows
}
