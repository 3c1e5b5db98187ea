//! Events on the wire: one ordered stream of what happened to work, for whoever may read it.
//!
//! Every frame of work has a sequence number that no other has; later ones are larger. Whoever was cut off asks for what came
//! `since` the last one it saw, and misses nothing and gets nothing twice.
//!
//! How the daemon itself does is no part of that order: it is not kept. Its frames say how things are, now to whoever begins to
//! follow and again with every change, and bear the sequence of the frame before them: to go on `since` it is right.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::unknown;
use super::state::{Health, SystemHealth};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;
use crate::model::schema::text_schema;
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Its place in the order of all frames of work; of any other frame, that of the frame before it.
    pub sequence: u64,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Whom it concerns.
    pub metadata: Metadata,
}

/// What happened: `event_type` and `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", content = "data")]
pub enum Event {
    /// A task was accepted, started or ended.
    TaskStatusChanged {
        /// The task.
        task_id: TaskId,
        /// What it is, for a workflow; null for the task of an operation.
        name: Option<String>,
        /// Where it is now.
        status: TaskStatus,
        /// Where it was; null when it is new.
        previous_status: Option<TaskStatus>,
        /// Its batch, where it belongs to one.
        batch_id: Option<BatchId>,
        /// Its operation there.
        operation_id: Option<Name>,
        /// Why it failed.
        error: Option<String>,
    },
    /// An operation of a batch went on.
    BatchOperationUpdate {
        /// The batch.
        batch_id: BatchId,
        /// The operation.
        operation_id: Name,
        /// Where it is now.
        status: OperationStatus,
        /// Where it was.
        previous_status: OperationStatus,
        /// The task that did or undid it last.
        task_id: Option<TaskId>,
        /// The attempt that runs or ran last.
        attempt: u32,
        /// Why it failed.
        error: Option<String>,
    },
    /// A workflow or a batch as a whole went on.
    WorkflowProgressUpdate {
        /// The task of the workflow, or the batch.
        workflow_id: WorkId,
        /// Where it is.
        status: BatchStatus,
        /// From 0 to 1.
        progress: f64,
        /// The operation that it was told of last.
        current_step: Option<Name>,
        /// Operations in all.
        total_steps: u32,
        /// Operations that are Completed.
        completed_steps: u32,
        /// Why it failed or was halted.
        error: Option<String>,
    },
    /// How the daemon does: as it was when following began, and after every change of it or of a part of it.
    SystemHealthUpdate {
        /// How it did as a whole by the last such frame; null when this is the first.
        previous_status: Option<Health>,
        /// How it does now.
        #[serde(flatten)]
        health: SystemHealth,
    },
}

/// Whom a frame concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FrameMetadata")]
pub struct Metadata {
    /// The infra of the work.
    pub infra: Option<Name>,
    /// The user who asked for it; `prov` where it is the daemon's own.
    pub submitted_by: String,
}

/// What of the stream is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Tasks.
    Task,
    /// Batches and their operations, and workflows as a whole.
    Batch,
    /// The daemon itself.
    System,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Task, Self::Batch, Self::System];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Batch => "batch",
            Self::System => "system",
        }
    }
}

impl Event {
    /// What it is about.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::TaskStatusChanged { .. } => Topic::Task,
            Self::BatchOperationUpdate { .. } | Self::WorkflowProgressUpdate { .. } => Topic::Batch,
            Self::SystemHealthUpdate { .. } => Topic::System,
        }
    }

    /// Its word on the wire.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TaskStatusChanged { .. } => "TaskStatusChanged",
            Self::BatchOperationUpdate { .. } => "BatchOperationUpdate",
            Self::WorkflowProgressUpdate { .. } => "WorkflowProgressUpdate",
            Self::SystemHealthUpdate { .. } => "SystemHealthUpdate",
        }
    }

    /// The work that it happened to, where it happened to any.
    #[must_use]
    pub fn work(&self) -> Option<WorkId> {
        match self {
            Self::TaskStatusChanged { task_id, batch_id, .. } => Some(batch_id.map_or(WorkId(task_id.0), WorkId::from)),
            Self::BatchOperationUpdate { batch_id, .. } => Some(WorkId::from(*batch_id)),
            Self::WorkflowProgressUpdate { workflow_id, .. } => Some(*workflow_id),
            Self::SystemHealthUpdate { .. } => None,
        }
    }
}

impl FromStr for Topic {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let words: Vec<&str> = Self::ALL.iter().map(|topic| topic.as_str()).collect();
        let found = Self::ALL.into_iter().find(|topic| topic.as_str() == word);
        found.ok_or_else(|| unknown("topic", word, &words))
    }
}

/// A set of topics: `task,batch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics(pub BTreeSet<Topic>);

text_schema!(Topics, {
    "type": "string",
    "pattern": "^(task|batch|system)(,(task|batch|system))*$",
    "examples": ["task,batch"]
});

impl Default for Topics {
    fn default() -> Self {
        Self(Topic::ALL.into())
    }
}

impl FromStr for Topics {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|word| word.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(|topic| topic.as_str()).collect::<Vec<_>>().join(","))
    }
}

/// The query of `GET /events`, and of `GET /ws`.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct EventQuery {
    /// What is wanted; everything when absent.
    #[schemars(rename = "events", with = "Option<Topics>")]
    pub topics: Topics,
    /// The last frame seen; what happens from now on when absent.
    #[schemars(range(max = u64::MAX))]
    pub since: Option<u64>,
    /// Only what happens to this workflow or batch.
    pub work: Option<WorkId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_frame_looks_as_it_is_documented() {
        let id = TaskId(uuid::Uuid::from_u128(1));
        let frame = Frame {
            sequence: 4,
            timestamp: Timestamp(0),
            event: Event::TaskStatusChanged {
                task_id: id,
                name: Some("create_servers".to_owned()),
                status: TaskStatus::Running,
                previous_status: Some(TaskStatus::Pending),
                batch_id: None,
                operation_id: None,
                error: None,
            },
            metadata: Metadata { infra: Name::new("production").ok(), submitted_by: "alice".to_owned() },
        };
        let value = serde_json::to_value(&frame).unwrap();
        assert_eq!((&value["sequence"], &value["event_type"]), (&json!(4), &json!("TaskStatusChanged")));
        assert_eq!(
            (&value["data"]["status"], &value["data"]["previous_status"]),
            (&json!("Running"), &json!("Pending"))
        );
        assert_eq!(value["metadata"]["infra"], "production");
        assert_eq!(serde_json::from_value::<Frame>(value).unwrap(), frame);
    }

    #[test]
    fn topics_are_read_and_a_wrong_one_is_named() {
        assert_eq!("task, batch".parse::<Topics>().unwrap().to_string(), "task,batch");
        assert!("tasks".parse::<Topics>().unwrap_err().contains("did you mean `task`"));
        assert!("".parse::<Topics>().is_err());
    }
}
