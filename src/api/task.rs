//! Tasks on the wire. A task is sent as it is modelled: see [`Task`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::Page;
use crate::model::id::BatchId;
use crate::model::name::Name;
use crate::model::status::TaskStatus;
pub use crate::model::task::Task;

/// Which tasks a list shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskFilter {
    /// Only those in this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// Only those of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only those of this infra.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infra: Option<Name>,
    /// Only those of this batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
}

/// The query of a task list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskQuery {
    /// Which tasks.
    #[serde(flatten)]
    pub filter: TaskFilter,
    /// Which part.
    #[serde(flatten)]
    pub page: Page,
}

/// Which of a task's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Standard output, then standard error; while following, as they come.
    #[default]
    All,
}

/// The query of a task's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// Which stream.
    #[serde(default)]
    pub stream: LogStream,
    /// Only the last so many lines of each stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub tail: Option<usize>,
    /// Go on until the task has ended.
    #[serde(default)]
    pub follow: bool,
    /// Pass over so many bytes of each stream: where an answer of one that broke off is taken up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u64::MAX))]
    pub offset: Option<u64>,
}

/// The header that says where in its stream a log begins; what follows counts on from there. A log of both streams has none.
pub const LOG_OFFSET: &str = "x-log-offset";
