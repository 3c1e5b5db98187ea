//! A task: one command, its attempts and what came of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::{BatchId, RollbackId, TaskId};
use super::name::Name;
use super::status::TaskStatus;
use super::time::Timestamp;

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What it is for: `create_servers`, `delete_servers`, …
    pub name: String,
    /// The program and subcommand words, joined by spaces; for people.
    pub command: String,
    /// The arguments after them.
    pub args: Vec<String>,
    /// Tasks that had to end before this one.
    pub dependencies: Vec<TaskId>,
    /// Where it is.
    pub status: TaskStatus,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Its standard output, at most 64 KiB of it; the log has the rest.
    pub output: Option<String>,
    /// Why it failed: the exit status and the last words of its standard error.
    pub error: Option<String>,
    /// `servers/create`, … for a workflow's task.
    pub workflow: Option<String>,
    /// The infra it works on.
    pub infra: Option<Name>,
    /// The provider that it goes to, where that is one and known.
    #[serde(default)]
    pub provider: Option<Name>,
    /// The batch it belongs to.
    pub batch_id: Option<BatchId>,
    /// The operation of that batch.
    pub operation_id: Option<Name>,
    /// The rollback whose step it is, for one that somebody asked for.
    #[serde(default)]
    pub rollback_id: Option<RollbackId>,
    /// The attempt that runs or ran last; 0 before the first.
    pub attempt: u32,
    /// Attempts it may have.
    pub max_attempts: u32,
    /// The exit status of the last attempt; absent when a signal ended it.
    pub exit_code: Option<i32>,
    /// Processes of the last attempt that were ended on request, or because its time was up.
    #[serde(default)]
    pub processes_ended: u32,
    /// From 0 to 1.
    pub progress: f64,
    /// What it does at the moment, in its own words; null where it says nothing, and when it doesn't run.
    #[serde(default)]
    pub step: Option<String>,
    /// The user who asked for it.
    pub submitted_by: String,
}

impl Task {
    /// What kind of work it is: one of few words, whatever people call it. A plan computed in check mode is a `check`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match KINDS.iter().find(|kind| **kind == self.name) {
            Some(_) if self.is_check() => CHECK,
            Some(kind) => kind,
            None => COMMAND,
        }
    }

    /// Whether it only computes what it would do.
    #[must_use]
    pub fn is_check(&self) -> bool {
        self.args.iter().any(|argument| argument == "--check")
    }

    /// How long it ran, from its first start to its end; nothing where either is lacking.
    #[must_use]
    pub fn ran(&self) -> Option<Duration> {
        Some(self.completed_at?.since(self.started_at?))
    }
}

const CHECK: &str = "check";
const COMMAND: &str = "command";

/// Every kind of task.
pub const KINDS: &[&str] = &[
    "create_servers",
    "delete_servers",
    "create_taskserv",
    "delete_taskserv",
    "reinstall_taskserv",
    "create_cluster",
    "delete_cluster",
    "reinstall_cluster",
    "prove_servers",
    "prove_taskserv",
    "prove_cluster",
    CHECK,
    COMMAND,
];

/// How much of a task's standard output stands in its record; the log has the rest.
pub const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;

/// What is started for an attempt: a program, never a shell line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// A name looked up on `PATH`, or a path.
    pub program: String,
    /// Arguments, the subcommand words first.
    pub args: Vec<String>,
    /// Added to the daemon's environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Working directory; the workspace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What it reads from standard input; empty means nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdin: String,
}
