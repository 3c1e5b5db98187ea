//! Checkpoints and rollbacks on the wire: what is asked for (`order`), and what is shown.

mod order;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::id::{BatchId, RollbackId, TaskId};
use crate::model::name::Name;
use crate::model::rollback::{LeftOver, RollbackAction, RollbackScope};
use crate::model::status::{OperationStatus, RollbackStatus};
use crate::model::time::Timestamp;
pub use order::{AcceptRequest, CheckpointRequest, RestoreRequest, RollbackOrder, RollbackRequest, SkipRequest};

/// A rollback as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackSummary {
    /// Its id.
    pub rollback_id: RollbackId,
    /// What was asked for.
    pub scope: RollbackScope,
    /// Where it is.
    pub status: RollbackStatus,
    /// The batches whose operations it undoes or runs again.
    pub batch_ids: Vec<BatchId>,
    /// Their infras.
    pub infras: Vec<Name>,
    /// Operations to undo or to run again.
    pub operations_total: u32,
    /// Those that were.
    pub operations_executed: u32,
    /// Those of which that failed.
    pub operations_failed: u32,
    /// How long it took, or has taken so far, in seconds; null before it starts.
    pub duration: Option<f64>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first step started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// What isn't as it was asked for.
    pub left: Vec<LeftOver>,
    /// Why somebody accepted what is left.
    pub accepted: Option<String>,
    /// The user who asked for it.
    pub submitted_by: String,
}

/// A rollback with its steps and its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RollbackExecution")]
pub struct RollbackView {
    /// What stands in lists.
    #[serde(flatten)]
    pub summary: RollbackSummary,
    /// What is done, in order.
    pub steps: Vec<StepView>,
    /// What the providers answered when they were asked afterwards.
    pub proof: Vec<ProofView>,
}

/// One step of a rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RollbackStep")]
pub struct StepView {
    /// Whether the operation is undone or run again.
    pub action: RollbackAction,
    /// Its batch.
    pub batch_id: BatchId,
    /// The operation.
    pub operation_id: Name,
    /// The infra.
    pub infra: Name,
    /// Where that is.
    pub status: OperationStatus,
    /// The task that does it.
    pub task_id: Option<TaskId>,
    /// The attempt that runs or ran last.
    pub attempt: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// Why somebody left the operation as it is.
    pub skipped: Option<String>,
}

/// What a provider answered about an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RollbackProof")]
pub struct ProofView {
    /// Whether it was asked if anything is left, or if all is there.
    pub action: RollbackAction,
    /// The batch.
    pub batch_id: BatchId,
    /// The operation.
    pub operation_id: Name,
    /// The infra.
    pub infra: Name,
    /// What it answered.
    pub answer: ProofAnswer,
    /// What it named: what is left, or what is missing.
    pub found: Vec<String>,
    /// When it answered.
    pub answered_at: Option<Timestamp>,
    /// The task that asked.
    pub task_id: Option<TaskId>,
    /// Why it could not be asked.
    pub error: Option<String>,
}

/// How a provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProofAnswer {
    /// It was not asked yet.
    Pending,
    /// Everything is as it was asked for: nothing is left, or all is there.
    Proved,
    /// Something is left, or missing.
    Disproved,
    /// It could not be asked.
    Unknown,
}

/// What a rollback would do: the answer of `check_mode`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackPlan {
    /// What was asked for.
    pub scope: RollbackScope,
    /// Always true: nothing was changed.
    pub check_mode: bool,
    /// What would be done, each after what it waits for.
    pub steps: Vec<PlannedStep>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PlannedRollbackStep")]
pub struct PlannedStep {
    /// What would be done.
    pub action: RollbackAction,
    /// The batch.
    pub batch_id: BatchId,
    /// The operation.
    pub operation_id: Name,
    /// The infra.
    pub infra: Name,
    /// The command that would run.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The steps that it waits for, counted from 0.
    pub waits_for: Vec<u32>,
}

/// Answer of `POST /rollback/execute` and `POST /rollback/restore/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "RollbackOutcome")]
pub enum RollbackOutcome {
    /// It was accepted.
    Started(Box<RollbackView>),
    /// In check mode: what it would do.
    Planned(Box<RollbackPlan>),
}

/// Answer of `GET /rollback/statistics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackStatistics {
    /// Checkpoints that there are.
    pub checkpoints: u64,
    /// Rollbacks that were asked for.
    pub rollbacks: u64,
    /// Those that are Completed.
    pub succeeded: u64,
    /// Those that Failed, accepted or not.
    pub failed: u64,
    /// How long those that ended took on average, in seconds; null when none has.
    pub average_time: Option<f64>,
}
