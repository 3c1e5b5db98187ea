//! Batches on the wire: the request with all its checks that need no other knowledge, and the answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::batch::{BatchSpec, Node};
use crate::model::id::{BatchId, RollbackId, TaskId};
use crate::model::name::Name;
use crate::model::status::{BatchStatus, OperationStatus};
use crate::model::time::Timestamp;

use super::list::Page;
use super::read::{Problem, Problems, boolean};

mod request;
pub mod shape;

/// Body of `POST /batch/execute` and `POST /batch/validate`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRequest {
    /// What to run.
    pub spec: BatchSpec,
    /// Validate and answer the plan, run nothing.
    pub check_mode: bool,
    /// The digest of the plan that it must still have.
    pub plan: Option<String>,
    /// Where the caller would like the state kept: `redb`, `surrealdb` or `filesystem`.
    pub storage_backend: String,
}

impl BatchRequest {
    /// Reads a body. Whether the graph holds together is the engine's to say.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let BatchDraft { request, problems, .. } = BatchDraft::read(body);
        problems.finish(request)
    }
}

/// A body as far as it could be read, so that what is wrong with its graph is told together with what is wrong with its
/// shape.
#[derive(Debug)]
pub struct BatchDraft {
    /// The request, when nothing that it needs is missing; it counts only where there are no problems.
    pub request: Option<BatchRequest>,
    /// The operations that could be read.
    pub graph: Vec<Node>,
    /// The providers that are none of prov's own, each with the place of the operation that names it: whether there are
    /// such, the body can't say.
    pub others: Vec<(usize, Name)>,
    /// What is wrong with the body's shape.
    pub problems: Problems,
}

impl BatchDraft {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &Value) -> Self {
        let problems = Problems::default();
        let mut graph = Vec::new();
        let request = problems.object(body, String::new()).and_then(|object| request::batch(&object, &mut graph));
        Self { request, graph, others: request::others(body), problems }
    }
}

/// Body of `POST /batch/operations/{id}/cancel`.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub struct BatchCancel {
    /// Whether what was done is undone.
    #[schemars(default)]
    pub rollback: bool,
}

/// Reads a [`BatchCancel`]: whether what was done is undone.
///
/// # Errors
/// Every problem of it.
pub fn read_cancel(body: &Value) -> Result<bool, Vec<Problem>> {
    let problems = Problems::default();
    let read = problems.object(body, String::new()).map(|object| {
        let rollback = object.optional("rollback", boolean).unwrap_or(false);
        object.no_more();
        rollback
    });
    problems.finish(read)
}

/// A batch with its operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Batch")]
pub struct BatchView {
    /// What stands in lists.
    #[serde(flatten)]
    pub summary: BatchSummary,
    /// Every operation, in the order given.
    pub operations: Vec<OperationView>,
}

/// A batch without its operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchSummary {
    /// Its id.
    pub batch_id: BatchId,
    /// What people call it.
    pub name: String,
    /// The version of its description.
    pub version: String,
    /// Where it is.
    pub status: BatchStatus,
    /// The infra its servers belong to.
    pub infra: Name,
    /// Operations at once.
    pub parallel_limit: u32,
    /// Whether failure undoes.
    pub rollback_enabled: bool,
    /// Whether it works against twins of its providers, and makes nothing for real.
    #[serde(default)]
    pub rehearse: bool,
    /// Operations in all.
    pub operations_total: u32,
    /// Operations that are Completed.
    pub operations_completed: u32,
    /// The share of its operations that are Completed, from 0 to 1.
    pub progress: f64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first operation started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Whether someone asked for its end.
    pub cancel_requested: bool,
    /// The rollback that took hold of it last; null when none did since it was run.
    #[serde(default)]
    pub rollback_id: Option<RollbackId>,
    /// Why it failed: the operation and its error.
    pub error: Option<String>,
    /// What is neither done nor undone, once it has ended.
    pub left: Vec<LeftBehind>,
    /// The user who asked for it.
    pub submitted_by: String,
}

/// An operation of a batch as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Operation")]
pub struct OperationView {
    /// Unique in the batch.
    pub id: Name,
    /// `server_batch`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider, where it has one.
    pub provider: Option<Name>,
    /// Where it is.
    pub status: OperationStatus,
    /// From 0 to 1.
    pub progress: f64,
    /// What is done of it at the moment, in its command's words; null where that says nothing, and when nothing runs.
    #[serde(default)]
    pub step: Option<String>,
    /// The task that does it, once there is one.
    pub task_id: Option<TaskId>,
    /// The task that undoes it, once there is one.
    pub rollback_task_id: Option<TaskId>,
    /// The attempt that runs or ran last; 0 before the first.
    pub attempt: u32,
    /// Attempts it may have.
    pub max_attempts: u32,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Something that is neither done nor undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftBehind {
    /// The operation.
    pub operation_id: Name,
    /// What may be left, and why, in a sentence.
    pub what: String,
}

/// What a batch would do: the answer of `check_mode` and of `POST /batch/validate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchPlan {
    /// What people call it.
    pub name: String,
    /// Always true; an invalid batch is answered with 400 and the list of problems.
    pub valid: bool,
    /// Operations by the earliest moment they can start; the first wave waits for nothing.
    pub waves: Vec<Vec<Name>>,
    /// What each operation would do.
    pub operations: Vec<PlannedOperation>,
    /// Names all of it, where what would change was asked for: a batch that is run with it is refused when it would do
    /// anything else by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What one operation would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedOperation {
    /// The operation.
    pub id: Name,
    /// `server_batch`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider, where it has one.
    pub provider: Option<Name>,
    /// The command that would run.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What undoes it; absent when nothing does.
    pub compensation: Option<String>,
    /// What it would change as things are now, as its command says it in check mode; absent where that wasn't asked for,
    /// and for a command, of which nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<serde_json::Value>,
}

/// The query of a batch list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchQuery {
    /// Only those in this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<BatchStatus>,
    /// Which part.
    #[serde(flatten)]
    pub page: Page,
}
