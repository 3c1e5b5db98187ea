//! Checkpoints, and rollbacks that somebody asks for.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch::{DependencyKind, Retry};
use super::id::{BatchId, CheckpointId, NotAnId};
use super::name::{Name, NameError};
use super::nearest::shown;
use super::schema::text_schema;
use super::time::Timestamp;

/// A named position in the log of what happened: what was completed later comes after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// Its id.
    pub id: CheckpointId,
    /// What people call it.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// The place in the log of the last event before it; given by the store.
    pub place: u64,
    /// The batch that it was made in by itself; null for one that somebody made.
    pub batch_id: Option<BatchId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The user who made it, or whose batch it was made in.
    pub created_by: String,
}

/// What somebody wants to have undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RollbackScope {
    /// What was completed after a checkpoint.
    Checkpoint {
        /// The checkpoint.
        checkpoint_id: CheckpointId,
    },
    /// All that a batch did.
    Batch {
        /// The batch.
        batch_id: BatchId,
    },
    /// Some operations, and what depends on them.
    Operations {
        /// Them.
        operation_ids: Vec<OperationRef>,
    },
    /// All that was done at a checkpoint, and nothing else.
    Restore {
        /// The checkpoint.
        checkpoint_id: CheckpointId,
    },
}

/// An operation of a batch: `BATCH_ID/OPERATION_ID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationRef {
    /// The batch.
    pub batch_id: BatchId,
    /// The operation's id in it.
    pub operation_id: Name,
}

impl OperationRef {
    /// What it looks like.
    pub const PATTERN: &str =
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
}

text_schema!(OperationRef, {
    "type": "string",
    "pattern": OperationRef::PATTERN,
    "description": "An operation of a batch: the batch's id, a slash, and the operation's.",
    "examples": ["01926f3e-4c6b-7a1e-9d3f-5b8a2c4d6e7f/web"]
});

impl fmt::Display for OperationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.batch_id, self.operation_id)
    }
}

impl From<OperationRef> for String {
    fn from(of: OperationRef) -> Self {
        of.to_string()
    }
}

impl FromStr for OperationRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (batch, operation) = text.split_once('/').ok_or_else(|| {
            format!("`{}` names no batch; an operation is named by BATCH_ID/OPERATION_ID", shown(text))
        })?;
        let batch_id = batch.parse().map_err(|error: NotAnId| error.to_string())?;
        let operation_id = operation.parse().map_err(|error: NameError| error.to_string())?;
        Ok(Self { batch_id, operation_id })
    }
}

impl TryFrom<String> for OperationRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What is done about an operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackAction {
    /// Its compensation is run.
    Undo,
    /// It is run again.
    Redo,
    /// Its provider is asked whether anything of it is left.
    ProveUndone,
    /// Its provider is asked whether all of it is there.
    ProveRedone,
}

impl RollbackAction {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Redo => "redo",
            Self::ProveUndone => "prove_undone",
            Self::ProveRedone => "prove_redone",
        }
    }

    /// Whether it changes nothing and asks only.
    #[must_use]
    pub const fn is_proof(self) -> bool {
        matches!(self, Self::ProveUndone | Self::ProveRedone)
    }

    /// Whether it is about an operation's being gone.
    #[must_use]
    pub const fn undoes(self) -> bool {
        matches!(self, Self::Undo | Self::ProveUndone)
    }
}

/// A rollback as it was accepted: a graph of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackSpec {
    /// What was asked for.
    pub scope: RollbackScope,
    /// Steps at once.
    pub parallel_limit: u32,
    /// In an order in which each comes after what it waits for.
    pub steps: Vec<RollbackStep>,
}

/// One step of a rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackStep {
    /// What is done.
    pub action: RollbackAction,
    /// The batch that it is done to.
    pub batch: BatchId,
    /// The index of the operation there.
    pub operation: u32,
    /// The operation's id there.
    pub operation_id: Name,
    /// The infra of the batch.
    pub infra: Name,
    /// Steps that it waits for.
    pub dependencies: Vec<(u32, DependencyKind)>,
    /// The step whose success it proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proves: Option<u32>,
    /// How long one attempt may take.
    pub timeout_seconds: u64,
    /// When and how often it is tried again.
    pub retry: Retry,
}

/// What a rollback left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOver {
    /// The batch.
    pub batch_id: BatchId,
    /// The operation there.
    pub operation_id: Name,
    /// What is left of it, and why.
    pub what: String,
}

impl RollbackSpec {
    /// The batches that it is about, each once, in order of age.
    #[must_use]
    pub fn batches(&self) -> Vec<BatchId> {
        let mut batches: Vec<BatchId> = self.steps.iter().map(|step| step.batch).collect();
        batches.sort_unstable();
        batches.dedup();
        batches
    }

    /// The infras that it is about, each once.
    #[must_use]
    pub fn infras(&self) -> Vec<Name> {
        let mut infras: Vec<Name> = self.steps.iter().map(|step| step.infra.clone()).collect();
        infras.sort_unstable();
        infras.dedup();
        infras
    }
}
