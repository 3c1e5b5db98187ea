//! The records on disk. Only grow: a field added later has a default, so that what an older prov wrote is read for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::batch::LeftBehind;
use crate::engine::Event;
use crate::model::batch::BatchSpec;
use crate::model::id::{BatchId, PolicyId, RollbackId, TaskId, WorkId};
use crate::model::lockout::Lockout;
use crate::model::mfa::Mfa;
use crate::model::name::Name;
use crate::model::rollback::{LeftOver, RollbackScope, RollbackSpec};
use crate::model::status::{BatchStatus, OperationStatus, RollbackStatus, TaskStatus};
use crate::model::task::Launch;
use crate::model::time::Timestamp;
use crate::model::user::{Role, User};

/// The unchanging part of a unit of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkRecord {
    /// What it is.
    pub kind: WorkKind,
    /// The user who asked for it.
    pub submitted_by: String,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// What a unit of work is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkKind {
    /// A single task.
    Workflow {
        /// What is started.
        launch: Launch,
        /// How long it may take.
        timeout_seconds: u64,
    },
    /// A graph of operations.
    Batch {
        /// As it was accepted.
        spec: BatchSpec,
    },
    /// What undoes operations of batches that have ended.
    Rollback {
        /// As it was accepted.
        spec: RollbackSpec,
    },
}

/// Whose a unit of live work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRecord {
    /// The boot that owns it.
    pub epoch: u64,
}

/// An event with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// The work it happened to.
    pub work: WorkId,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A batch as it stands; its description is in its [`WorkRecord`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its id.
    pub id: BatchId,
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
    /// Whether it works against twins of its providers.
    #[serde(default)]
    pub rehearse: bool,
    /// Operations in all.
    pub total: u32,
    /// Operations that are Completed.
    pub completed: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first operation started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Whether someone asked for its end.
    pub cancel_requested: bool,
    /// The rollback that took hold of it last.
    #[serde(default)]
    pub rollback_id: Option<RollbackId>,
    /// Why it failed.
    pub error: Option<String>,
    /// What is neither done nor undone.
    pub left: Vec<LeftBehind>,
    /// Remarks made when it was accepted.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The user who asked for it.
    pub submitted_by: String,
}

/// An operation as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Its batch.
    pub batch: BatchId,
    /// Its index in the batch.
    pub index: u32,
    /// Its id in the batch.
    pub id: Name,
    /// `server_batch`, …
    pub kind: String,
    /// The provider, where it has one.
    pub provider: Option<Name>,
    /// Where it is.
    pub status: OperationStatus,
    /// The task that does it.
    pub task: Option<TaskId>,
    /// The task that undoes it.
    pub undo_task: Option<TaskId>,
    /// The attempt that runs or ran last.
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

/// A rollback as it stands; its steps are in its [`WorkRecord`], and what became of them in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackRecord {
    /// Its id.
    pub id: RollbackId,
    /// What was asked for.
    pub scope: RollbackScope,
    /// Where it is.
    pub status: RollbackStatus,
    /// The batches whose operations it undoes or runs again.
    pub batches: Vec<BatchId>,
    /// Their infras.
    pub infras: Vec<Name>,
    /// Operations to undo or to run again.
    pub total: u32,
    /// Those that were.
    pub executed: u32,
    /// Those of which that failed.
    pub failed: u32,
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
    /// Steps that somebody decided to leave as they are, with the reason.
    pub waived: BTreeMap<u32, String>,
    /// Why somebody accepted what is left.
    pub accepted: Option<String>,
    /// Remarks made when it was accepted.
    pub warnings: Vec<String>,
    /// The user who asked for it.
    pub submitted_by: String,
}

/// What ended tasks are counted by, beside the hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rollup {
    /// Their infra; empty where there was none.
    pub infra: String,
    /// Their provider; empty where it was not one, or not known.
    pub provider: String,
    /// One of [`KINDS`](crate::model::task::KINDS).
    pub kind: String,
    /// How they ended.
    pub status: TaskStatus,
}

/// How many tasks ended, and how long they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How long they ran together, in milliseconds.
    pub total_ms: u64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
    }
}

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Workflows and batches that have not ended.
    pub live_works: u64,
    /// Tasks by status.
    pub tasks: BTreeMap<TaskStatus, u64>,
    /// When the oldest task that waits was accepted.
    pub oldest_pending: Option<Timestamp>,
}

impl Counts {
    /// Tasks in a status.
    #[must_use]
    pub fn tasks(&self, status: TaskStatus) -> u64 {
        self.tasks.get(&status).copied().unwrap_or(0)
    }
}

/// What an idempotency key stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// SHA-256 of the request it came with.
    pub digest: [u8; 32],
    /// The id that was answered.
    pub id: uuid::Uuid,
    /// When.
    pub at: Timestamp,
}

/// A user with what proves them. `Debug` shows no hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Who they are.
    pub user: User,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Their second factor, once they began to set one up.
    #[serde(default)]
    pub mfa: Option<Mfa>,
    /// How often logins failed.
    #[serde(default)]
    pub lockout: Lockout,
    /// Counts changes; a transaction that relies on it can't race another.
    #[serde(default)]
    pub generation: u64,
    /// Whether an administrator shut them out.
    #[serde(default)]
    pub disabled: bool,
    /// When they last logged in.
    #[serde(default)]
    pub last_login_at: Option<Timestamp>,
}

impl UserRecord {
    /// Somebody new.
    #[must_use]
    pub fn new(user: User, password_hash: String) -> Self {
        Self {
            user,
            password_hash,
            mfa: None,
            lockout: Lockout::default(),
            generation: 0,
            disabled: false,
            last_login_at: None,
        }
    }

    /// Whether logins ask for a second factor.
    #[must_use]
    pub fn has_mfa(&self) -> bool {
        self.mfa.as_ref().is_some_and(Mfa::is_active)
    }

    /// Whether they keep the daemon from having nobody who may do everything.
    #[must_use]
    pub fn is_enabled_admin(&self) -> bool {
        !self.disabled && self.user.roles.contains(&Role::Admin)
    }
}

impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRecord").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A policy in one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its id.
    pub id: PolicyId,
    /// What people and explanations call it; unique.
    pub name: Name,
    /// What it is for; may be empty.
    pub description: String,
    /// Cedar.
    pub content: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Whether it came with prov.
    pub shipped: bool,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The user who made it; empty for the daemon.
    pub created_by: String,
    /// When this version was.
    pub updated_at: Timestamp,
    /// The user who wrote this version; empty for the daemon.
    pub updated_by: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Direction;

    #[test]
    fn every_event_is_read_as_it_was_written() {
        let at = Timestamp(1);
        let task = TaskId(uuid::Uuid::from_u128(7));
        let (operation, direction, error) = (3, Direction::Undo, "why".to_owned());
        let events = [
            Event::Accepted,
            Event::Intended { operation, direction, attempt: 2, task },
            Event::Started { operation, at, deadline: at },
            Event::Succeeded { operation, direction },
            Event::AttemptFailed { operation, direction, error: error.clone(), again_at: at },
            Event::Failed { operation, direction, error },
            Event::Stopped { operation },
            Event::Withdrawn { operation },
            Event::Skipped { operation },
            Event::CancelRequested { operation: Some(operation), rollback: true },
            Event::CancelRequested { operation: None, rollback: false },
            Event::Halted { unwind: true, reason: "why".to_owned() },
            Event::Unwinding,
            Event::Ended { status: BatchStatus::RollbackFailed },
            Event::Retried,
            Event::Reopened { by: WorkId(uuid::Uuid::from_u128(2)), direction },
            Event::Waived { operation, reason: "why".to_owned() },
            Event::Closed { reason: "why".to_owned() },
        ];
        for event in events {
            let logged = LoggedEvent { work: WorkId(uuid::Uuid::from_u128(1)), at, event };
            let text = serde_json::to_string(&logged).unwrap();
            assert_eq!(serde_json::from_str::<LoggedEvent>(&text).unwrap(), logged, "{text}");
        }
    }
}
