//! What became of a task or a batch, transition by transition, from the log.

use super::{App, Work};
use crate::api::event::{Event, Frame};
use crate::api::state::{OperationSnapshot, Snapshot, SnapshotQuery, SnapshotState, Snapshots};
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::app::events::history;
use crate::model::id::{TaskId, WorkId};
use crate::model::status::{BatchStatus, TaskStatus};
use crate::store::{Backend, StoreError};

impl App {
    /// The recorded transitions of a task or a batch, newest first.
    ///
    /// # Errors
    /// When there is neither of that id.
    pub async fn workflow_snapshots(
        &self,
        context: &Context,
        id: WorkId,
        query: SnapshotQuery,
    ) -> Result<Snapshots, Error> {
        let (permit, work, task) = self.whose(context, id).await?;
        let store = &self.guarded.open(&permit).store;
        Ok(page(store.read(move |reads| snapshots(reads, work, task)).await?, query))
    }

    /// The right to see them, the work whose log has them, and the task that is meant when it isn't a batch.
    async fn whose(&self, context: &Context, id: WorkId) -> Result<(Permit, WorkId, Option<TaskId>), Error> {
        Ok(match self.see_work(context, id).await? {
            Work::Task(seen) => {
                let permit = self.authorise(context, "workflow_snapshots", &seen.question())?;
                (permit, seen.row.batch_id.map_or(id, WorkId::from), Some(seen.row.id))
            }
            Work::Batch(seen) => (self.authorise(context, "workflow_snapshots", &seen.question())?, id, None),
        })
    }
}

/// Every transition, oldest first.
fn snapshots(reads: &dyn Backend, work: WorkId, task: Option<TaskId>) -> Result<Vec<Snapshot>, StoreError> {
    let facts = history(reads, work)?;
    if let Some(task) = task {
        return Ok(facts.iter().filter_map(|(place, frames)| of_task(*place, frames, task)).collect());
    }
    let (status, operations) = (BatchStatus::Pending, Vec::new());
    let mut state = SnapshotState { status, total_steps: 0, completed_steps: 0, operations, error: None };
    Ok(facts.iter().filter_map(|(place, frames)| of_batch(*place, frames, &mut state)).collect())
}

/// What a fact made of a batch that was in this state before it; nothing when it changed nothing.
fn of_batch(place: u64, frames: &[Frame], state: &mut SnapshotState) -> Option<Snapshot> {
    let mut timestamp = None;
    (state.operations, state.error) = (Vec::new(), None);
    for frame in frames {
        match &frame.event {
            Event::WorkflowProgressUpdate { status, total_steps, completed_steps, error, .. } => {
                (state.status, state.total_steps) = (*status, *total_steps);
                (state.completed_steps, state.error) = (*completed_steps, error.clone());
            }
            Event::BatchOperationUpdate { operation_id, status, previous_status, attempt, error, .. } => {
                state.operations.push(OperationSnapshot {
                    operation_id: operation_id.clone(),
                    status: *status,
                    previous_status: *previous_status,
                    attempt: *attempt,
                    error: error.clone(),
                });
            }
            Event::TaskStatusChanged { .. } | Event::SystemHealthUpdate { .. } => continue,
        }
        timestamp = Some(frame.timestamp);
    }
    timestamp.map(|timestamp| Snapshot { snapshot_id: place, timestamp, state: state.clone() })
}

fn of_task(place: u64, frames: &[Frame], task: TaskId) -> Option<Snapshot> {
    frames.iter().find_map(|frame| match &frame.event {
        Event::TaskStatusChanged { task_id, status, error, .. } if *task_id == task => {
            let completed_steps = u32::from(*status == TaskStatus::Completed);
            let (status, operations) = ((*status).into(), Vec::new());
            let state = SnapshotState { status, total_steps: 1, completed_steps, operations, error: error.clone() };
            Some(Snapshot { snapshot_id: place, timestamp: frame.timestamp, state })
        }
        _ => None,
    })
}

/// The part of them that is asked for, newest first.
fn page(mut all: Vec<Snapshot>, query: SnapshotQuery) -> Snapshots {
    let total = all.len() as u64;
    if let Some(after) = query.after {
        all.truncate(all.partition_point(|snapshot| snapshot.snapshot_id < after));
    }
    let rest = all.len().saturating_sub(query.offset);
    all.truncate(rest);
    let items: Vec<Snapshot> = all.into_iter().rev().take(query.limit).collect();
    let next_after = items.last().filter(|_| rest > items.len()).map(|last| last.snapshot_id);
    Snapshots { items, total, next_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use proptest::prelude::*;

    fn snapshot(snapshot_id: u64) -> Snapshot {
        let state = SnapshotState {
            status: BatchStatus::Running,
            total_steps: 1,
            completed_steps: 0,
            operations: Vec::new(),
            error: None,
        };
        Snapshot { snapshot_id, timestamp: Timestamp(0), state }
    }

    proptest! {
        #[test]
        fn pages_followed_by_their_link_are_all_newest_first(
            ids in prop::collection::btree_set(0u64..1000, 0..60), limit in 1usize..9, offset in 0usize..5,
        ) {
            let all: Vec<Snapshot> = ids.iter().map(|id| snapshot(*id)).collect();
            let mut query = SnapshotQuery { limit, offset, after: None };
            let mut seen = Vec::new();
            loop {
                let part = page(all.clone(), query);
                prop_assert_eq!(part.total, ids.len() as u64);
                seen.extend(part.items.iter().map(|one| one.snapshot_id));
                (query.after, query.offset) = (part.next_after, 0);
                if part.next_after.is_none() {
                    break;
                }
            }
            let expected: Vec<u64> = ids.iter().rev().skip(offset).copied().collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
