//! State on the wire: how far work is, what became of it and when, and how the daemon itself does.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::Page;
use crate::model::id::WorkId;
use crate::model::name::Name;
use crate::model::schema::moment;
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::time::Timestamp;

/// How far a task or a batch is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The task or the batch.
    pub workflow_id: WorkId,
    /// Where it is.
    pub status: BatchStatus,
    /// From 0 to 1: what its commands report, and of a batch the mean of its operations.
    pub progress: f64,
    /// What is being done: of a batch the operation, and behind a colon what its command reports. Null when nothing runs.
    pub current_step: Option<String>,
    /// Of a batch its operations; of a task what its command reports, or 1.
    pub total_steps: u32,
    /// How many of them are done.
    pub completed_steps: u32,
    /// How many seconds it will take yet, by how long the last of the same name and infra took; 0 when it has ended, null
    /// until something of each kind that is left has ended once.
    pub estimated_time_remaining: Option<u64>,
}

/// A recorded transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Its place in the order of everything that happened.
    pub snapshot_id: u64,
    /// When.
    pub timestamp: Timestamp,
    /// What it led to.
    pub state: SnapshotState,
}

/// A task or a batch after a transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotState {
    /// Where it was.
    pub status: BatchStatus,
    /// Of a batch its operations; 1 of a task.
    pub total_steps: u32,
    /// How many were Completed.
    pub completed_steps: u32,
    /// Of a batch the operations that changed with this.
    pub operations: Vec<OperationSnapshot>,
    /// Why it failed or was halted.
    pub error: Option<String>,
}

/// An operation after a transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationSnapshot {
    /// Which.
    pub operation_id: Name,
    /// Where it was from then on.
    pub status: OperationStatus,
    /// Where it had been.
    pub previous_status: OperationStatus,
    /// The attempt that ran or had run last.
    pub attempt: u32,
    /// Why it failed.
    pub error: Option<String>,
}

/// Which part of the snapshots, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(default)]
pub struct SnapshotQuery {
    /// At most so many, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: usize,
    /// Pass over so many.
    #[schemars(range(max = 9_223_372_036_854_775_807_u64))]
    pub offset: usize,
    /// Only those before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Default for SnapshotQuery {
    fn default() -> Self {
        Self { limit: Page::default().limit, offset: 0, after: None }
    }
}

/// A part of the snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// Newest first.
    pub items: Vec<Snapshot>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next part starts, when there is one.
    pub next_after: Option<u64>,
}

/// Figures of the machine and of the work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemMetrics {
    /// The share of the machine's processor time that was used since this was last asked for, from 0 to 1.
    pub cpu_usage: f64,
    /// The share of the machine's memory that is not available, from 0 to 1.
    pub memory_usage: f64,
    /// The share that is used of the disk that the data directory lies on, from 0 to 1.
    pub disk_usage: f64,
    /// Bytes a second that the machine sent and received, without the loopback, since this was last asked for.
    pub network_usage: f64,
    /// Workflows and batches that have not ended.
    pub active_workflows: u64,
    /// Tasks that wait.
    pub queued_tasks: u64,
    /// Tasks that run.
    pub running_tasks: u64,
    /// Tasks that were done, ever.
    pub completed_tasks: u64,
    /// Tasks that failed, ever.
    pub failed_tasks: u64,
    /// Tasks that were cancelled, ever.
    pub cancelled_tasks: u64,
    /// For how many seconds the daemon has run.
    pub uptime_seconds: u64,
}

/// How something does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// Nothing is known of it. Counts as nothing for the whole.
    Unknown,
    /// As it should.
    Healthy,
    /// It works, and somebody should look.
    Degraded,
    /// It doesn't work.
    Unhealthy,
}

impl Health {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Unhealthy => "Unhealthy",
        }
    }
}

/// How the daemon does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemHealth {
    /// As the worst of its components: `Healthy`, `Degraded` or `Unhealthy`.
    pub overall_status: Health,
    /// Each component by its name: `store`, `scheduler`, `executor`, `disk`, and `provider:` with each provider's name.
    pub components: BTreeMap<String, ComponentHealth>,
    /// When this was found.
    pub last_check: Timestamp,
}

/// How one part of the daemon does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentHealth {
    /// How.
    pub status: Health,
    /// Why it is not healthy, or why nothing is known; null when it is healthy.
    pub reason: Option<String>,
}

/// What is asked of the statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatisticsQuery {
    /// From the hour that this is in; a week before `until` when absent.
    #[schemars(schema_with = "moment")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// To the end of the hour that this is in; now when absent.
    #[schemars(schema_with = "moment")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What became of the tasks that ended in a span of time, of infras that the caller may read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statistics {
    /// From when on this is: an hour's beginning, or when counting began if that was later.
    pub since: Timestamp,
    /// Up to when: an hour's end.
    pub until: Timestamp,
    /// Of all of them.
    #[serde(flatten)]
    pub all: Summary,
    /// By infra; under `-` what belongs to none.
    pub by_infra: BTreeMap<String, Summary>,
    /// By provider; under `-` what went to several or to one that isn't known.
    pub by_provider: BTreeMap<String, Summary>,
    /// By type of operation: `create_servers`, …, `command`, and `check` for what was only planned.
    pub by_type: BTreeMap<String, Summary>,
}

/// What became of some tasks that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StatisticsSummary")]
pub struct Summary {
    /// How many there were.
    pub total: u64,
    /// How many by `Completed`, `Failed` and `Cancelled`.
    pub totals: BTreeMap<TaskStatus, u64>,
    /// How many seconds the Completed ones took in the mean; null when there are none.
    pub average_completion_time: Option<f64>,
    /// The share of Completed ones among those that were not cancelled, from 0 to 1; null when there are none.
    pub success_rate: Option<f64>,
}
