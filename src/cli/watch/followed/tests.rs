//! A batch as it was read at any moment, and the frames from any earlier moment on.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::api::event::Metadata;
use crate::model::id::TaskId;
use crate::model::time::Timestamp;

const ID: Uuid = Uuid::from_u128(7);

fn batch(operations: &[(&str, OperationStatus)], status: BatchStatus) -> BatchView {
    let operations: Vec<_> = operations
        .iter()
        .map(|(id, status)| {
            json!({ "id": id, "type": "command", "status": status, "progress": 0.0, "attempt": 0, "max_attempts": 1 })
        })
        .collect();
    let view = json!({
        "batch_id": ID, "name": "b", "version": "1", "status": status, "infra": "lab", "parallel_limit": 5,
        "rollback_enabled": true, "operations_total": operations.len(), "operations_completed": 0, "progress": 0.0,
        "created_at": "2026-11-27T16:00:00.000Z", "cancel_requested": false, "left": [], "submitted_by": "admin",
        "operations": operations,
    });
    serde_json::from_value(view).unwrap()
}

fn frame(data: &serde_json::Value, kind: &str) -> Frame {
    let frame = json!({
        "sequence": 1, "timestamp": "2026-11-27T16:00:01.000Z", "event_type": kind, "data": data,
        "metadata": Metadata { infra: None, submitted_by: "admin".to_owned() },
    });
    serde_json::from_value(frame).unwrap()
}

fn step(operation: &str, previous: OperationStatus, status: OperationStatus) -> Frame {
    let data = json!({
        "batch_id": ID, "operation_id": operation, "status": status, "previous_status": previous,
        "task_id": Uuid::from_u128(9), "attempt": 1, "error": null,
    });
    frame(&data, "BatchOperationUpdate")
}

fn whole(status: BatchStatus, completed: u32) -> Frame {
    let data = json!({
        "workflow_id": ID, "status": status, "progress": f64::from(completed) / 2.0, "current_step": null,
        "total_steps": 2, "completed_steps": completed, "error": null,
    });
    frame(&data, "WorkflowProgressUpdate")
}

/// All that happens to a batch of two operations whose second fails and whose first is undone.
fn story() -> Vec<Frame> {
    use OperationStatus::{Completed, Failed, Pending, RolledBack, RollingBack, Running};
    vec![
        step("a", Pending, Running),
        whole(BatchStatus::Running, 0),
        step("a", Running, Completed),
        whole(BatchStatus::Running, 1),
        step("b", Pending, Running),
        step("b", Running, Failed),
        whole(BatchStatus::RollingBack, 1),
        step("a", Completed, RollingBack),
        step("a", RollingBack, RolledBack),
    ]
}

fn shown(batch: &BatchView) -> (BatchStatus, Vec<OperationStatus>) {
    (batch.summary.status, batch.operations.iter().map(|one| one.status).collect())
}

proptest! {
    #[test]
    fn whatever_was_read_and_is_told_again_the_end_is_the_same(read_at in 0usize..=9, heard_from in 0usize..=9) {
        prop_assume!(heard_from <= read_at);
        let pending = OperationStatus::Pending;
        let mut read = batch(&[("a", pending), ("b", pending)], BatchStatus::Pending);
        for frame in &story()[..read_at] {
            read.apply(frame);
        }
        for frame in &story()[heard_from..] {
            prop_assert_ne!(read.apply(frame), Effect::Ended);
        }
        let ends = vec![OperationStatus::RolledBack, OperationStatus::Failed];
        prop_assert_eq!(shown(&read), (BatchStatus::RollingBack, ends));
        prop_assert_eq!(read.apply(&whole(BatchStatus::RolledBack, 0)), Effect::Ended);
    }
}

#[test]
fn frames_fill_in_what_is_known_of_an_operation() {
    let mut read = batch(&[("a", OperationStatus::Pending)], BatchStatus::Pending);
    assert_eq!(read.running(), Running::Nothing);
    let frames = story();
    assert_eq!((read.apply(&frames[0]), read.apply(&frames[1])), (Effect::Changed, Effect::Changed));
    assert_eq!(read.running(), Running::Silent);
    let operation = &read.operations[0];
    assert_eq!((operation.task_id, operation.attempt), (Some(TaskId(Uuid::from_u128(9))), 1));
    assert_eq!(operation.started_at, Some(Timestamp(1_795_795_201_000)));
    assert_eq!(read.apply(&step("other", OperationStatus::Pending, OperationStatus::Running)), Effect::Nothing);
    read.operations[0].step = Some("half way".to_owned());
    assert_eq!(read.running(), Running::Reporting);
    read.apply(&frames[2]);
    assert_eq!((read.operations[0].step.as_ref(), read.operations[0].completed_at.is_some()), (None, true));
    let mut other = batch(&[("a", OperationStatus::Pending)], BatchStatus::Pending);
    other.summary.batch_id.0 = Uuid::from_u128(8);
    assert_eq!(frames.iter().map(|frame| other.apply(frame)).filter(|effect| *effect != Effect::Nothing).count(), 0);
}
