//! The orchestrator's operations on checkpoints and rollbacks.

use serde_json::{Value, json};

use super::examples::ID;
use super::operation::{ONCE, Operation, one, part};
use crate::api::list::Page;
use crate::api::rollback::{
    AcceptRequest, CheckpointRequest, RestoreRequest, RollbackOrder, RollbackOutcome, RollbackRequest,
    RollbackStatistics, RollbackSummary, RollbackView, SkipRequest,
};
use crate::model::id::{CheckpointId, RollbackId};
use crate::model::rollback::Checkpoint;

pub(super) fn operations() -> Vec<Operation> {
    let (checkpoint, rollback) = ("The checkpoint.", "The rollback.");
    let stuck = "A rollback that has not ended, or of which nothing failed, is a conflict.";
    vec![
        one::<Checkpoint>("checkpoint_create", "Makes a checkpoint")
            .noting("It stands after everything that is recorded when it is made.")
            .body::<CheckpointRequest>(
                |body| CheckpointRequest::read(body).map(drop),
                json!({ "name": "before the upgrade", "description": "" }),
            )
            .answering(made()),
        part::<Checkpoint>("checkpoint_list", "Lists checkpoints").query::<Page>().answering(json!([made()])),
        one::<Checkpoint>("checkpoint_get", "Shows a checkpoint").of::<CheckpointId>(checkpoint).answering(made()),
        one::<RollbackOutcome>(
            "rollback_execute",
            "Undoes what was completed since a checkpoint, a batch, or operations",
        )
        .noting(
            "What depends on an operation is undone before it. What has nothing to undo, or goes on, is a conflict.",
        )
        .failing(&[404])
        .headers(ONCE)
        .body::<RollbackRequest>(|body| RollbackOrder::read(body).map(drop), json!({ "batch_id": ID })),
        one::<RollbackOutcome>("rollback_restore", "Brings back what was done at a checkpoint, and nothing else")
            .noting("What came later is undone, and what has gone since is done again.")
            .of::<CheckpointId>(checkpoint)
            .headers(ONCE)
            .body::<RestoreRequest>(|body| RollbackOrder::read_restore(body).map(drop), json!({ "check_mode": true })),
        part::<RollbackSummary>("rollback_list", "Lists rollbacks").query::<Page>(),
        one::<RollbackView>("rollback_get", "Shows a rollback with its steps and its proof").of::<RollbackId>(rollback),
        one::<RollbackView>("rollback_retry", "Goes on with a stuck rollback from what failed")
            .noting(stuck)
            .of::<RollbackId>(rollback)
            .without_body(),
        one::<RollbackView>("rollback_skip", "Leaves an operation of a stuck rollback as it is, and goes on")
            .noting(stuck)
            .of::<RollbackId>(rollback)
            .body::<SkipRequest>(
                |body| SkipRequest::read(body).map(drop),
                json!({ "batch_id": ID, "operation_id": "web", "reason": "it was moved by hand" }),
            ),
        one::<RollbackView>("rollback_accept", "Leaves a stuck rollback as it is, for good")
            .noting(stuck)
            .of::<RollbackId>(rollback)
            .body::<AcceptRequest>(
                |body| AcceptRequest::read(body).map(drop),
                json!({ "reason": "what is left is wanted" }),
            ),
        one::<RollbackStatistics>("rollback_statistics", "Counts checkpoints and rollbacks"),
    ]
}

fn made() -> Value {
    json!({
        "id": ID, "name": "before the upgrade", "description": "", "place": 128, "batch_id": null,
        "created_at": "2026-11-27T16:00:00Z", "created_by": "admin"
    })
}
