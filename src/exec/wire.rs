//! What daemon and supervisor say to each other: one JSON object a line. Fields are only added, so that a daemon and a
//! supervisor of different versions understand each other across an upgrade.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::id::TaskId;
use crate::model::time::Timestamp;

/// One attempt at one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The task.
    pub task: TaskId,
    /// Counted from 1.
    pub attempt: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.attempt)
    }
}

/// What is to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spawn {
    /// Names the attempt from now on.
    pub key: Key,
    /// The program; looked up on `PATH` when it has no slash.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to the supervisor's environment, which is the daemon's as it started the supervisor.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: String,
    /// What it reads from standard input.
    #[serde(default)]
    pub stdin: String,
}

/// What the daemon says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Start this. A key that was started before is not started again.
    Spawn(Box<Spawn>),
    /// End it: the polite signal now, the other after the grace period, to everything that belongs to it.
    End {
        /// The attempt.
        key: Key,
        /// How long it may take to end by itself.
        grace_ms: u64,
    },
    /// The result is on the daemon's disk; the supervisor may forget it.
    Forget {
        /// The attempt.
        key: Key,
    },
    /// Exit once nothing runs any more.
    Retire,
}

/// What the supervisor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// It runs.
    Started {
        /// The attempt.
        key: Key,
        /// Its process.
        pid: i32,
        /// Since when.
        at: Timestamp,
    },
    /// It could not be started.
    Refused {
        /// The attempt.
        key: Key,
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
        /// Whether that may pass (no processes or memory at the moment).
        transient: bool,
    },
    /// It is over.
    Exited {
        /// The attempt.
        key: Key,
        /// When.
        at: Timestamp,
        /// How.
        ending: Ending,
    },
    /// Nobody saw its end: the supervisor is gone, and what was left of it has been ended.
    Lost {
        /// The attempt.
        key: Key,
        /// When it was started.
        at: Timestamp,
        /// What is known.
        what: String,
    },
    /// Everything known has been reported: sent after each connecting. An attempt not reported by then was never begun.
    Known {
        /// What the supervisor's clock shows, by which its times are meant.
        now: Timestamp,
    },
}

impl Report {
    /// The attempt it is about.
    #[must_use]
    pub const fn key(&self) -> Option<Key> {
        match self {
            Self::Started { key, .. }
            | Self::Refused { key, .. }
            | Self::Exited { key, .. }
            | Self::Lost { key, .. } => Some(*key),
            Self::Known { .. } => None,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Bytes of standard output, kept or not.
    pub stdout_bytes: u64,
    /// Bytes of standard error, kept or not.
    pub stderr_bytes: u64,
    /// Processes that were ended with it on request, itself included.
    pub ended: u32,
    /// Processor time it used, in milliseconds.
    pub cpu_ms: u64,
    /// The most memory it had resident, in KiB.
    pub max_rss_kib: u64,
}
