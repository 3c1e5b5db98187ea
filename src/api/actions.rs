//! The policy actions: what can be permitted or forbidden, and what each is done to.
//!
//! The one list of them. An operation names its action in [`super::operations`]; policies, their schema and what is said of
//! roles are made from here. Knows no policy.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::nearest::unknown;

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What belongs to no infra: the service itself, and each list as a whole.
    System,
    /// An infra, and all that was ever done to it.
    Infra,
    /// A task.
    Task,
    /// A batch.
    Batch,
    /// A user.
    User,
    /// A policy.
    Policy,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::System, Self::Infra, Self::Task, Self::Batch, Self::User, Self::Policy];

    /// Its word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Infra => "Infra",
            Self::Task => "Task",
            Self::Batch => "Batch",
            Self::User => "User",
            Self::Policy => "Policy",
        }
    }
}

macro_rules! actions {
    ($($word:literal $name:ident [$($kind:ident)+] $text:literal)+) => {
        /// A policy action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $(#[doc = $text] $name),+ }

        impl Action {
            /// Every action, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its word in policies and in the table of operations.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What it permits, in a sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// What it can be done to.
            #[must_use]
            pub const fn kinds(self) -> &'static [Kind] {
                match self { $(Self::$name => &[$(Kind::$kind),+]),+ }
            }
        }
    };
}

// To read `System` is to ask for a list or a figure of everything; each infra, task or batch in it is a question of its own.
actions! {
    "task_read" TaskRead [Task Infra System] "Sees tasks and their output."
    "task_logs" TaskLogs [Task] "Sees the logs of tasks."
    "task_cancel" TaskCancel [Task] "Ends tasks."
    "task_retry" TaskRetry [Task] "Runs ended tasks again."
    "workflow_submit" WorkflowSubmit [Infra] "Submits a workflow."
    "batch_read" BatchRead [Batch Infra System] "Sees batches."
    "batch_execute" BatchExecute [Infra] "Submits or validates a batch."
    "batch_execute_command" BatchExecuteCommand [Infra] "Submits a batch that runs programs of one's choice on the daemon's host."
    "batch_cancel" BatchCancel [Batch] "Ends batches."
    "batch_retry" BatchRetry [Batch] "Goes on with batches that failed."
    "checkpoint_read" CheckpointRead [System] "Sees checkpoints and rollbacks."
    "checkpoint_create" CheckpointCreate [System] "Makes checkpoints."
    "rollback_execute" RollbackExecute [Batch Infra System] "Undoes completed work."
    "state_read" StateRead [Task Batch Infra System] "Sees progress, figures and health."
    "event_read" EventRead [Infra System] "Follows events."
    "infra_read" InfraRead [Infra System] "Sees infras, their settings and servers."
    "webhook_manage" WebhookManage [System User] "Sees, makes, changes and deletes webhooks: one's own (System), and those of a user (User)."
    "user_read" UserRead [User System] "Sees users."
    "user_manage" UserManage [User System] "Makes, changes, unlocks and deletes users."
    "policy_read" PolicyRead [Policy System] "Sees, validates and evaluates policies."
    "policy_manage" PolicyManage [Policy System] "Makes, changes and deletes policies."
    "audit_read" AuditRead [System] "Sees and verifies the audit log."
    "log_read" LogRead [System] "Reads the daemon's own log, which names users and infras of everybody."
    "log_manage" LogManage [System] "Changes how much the daemon logs."
    "token_manage" TokenManage [User System] "Sees and revokes the API tokens of others."
    "session_manage" SessionManage [User System] "Sees and ends the sessions of others."
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::ALL.iter().map(|action| action.as_str()).collect();
        json_schema!({ "type": "string", "enum": words, "description": "What can be permitted or forbidden." })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownAction(String);

impl FromStr for Action {
    type Err = UnknownAction;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|action| action.as_str() == text);
        found.ok_or_else(|| {
            UnknownAction(unknown("action", text, &Self::ALL.iter().map(|a| a.as_str()).collect::<Vec<_>>()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations::{Access, TABLE};

    #[test]
    fn every_operation_names_an_action_of_the_list() {
        for row in TABLE {
            if let Access::Action(word) = row.access {
                assert!(word.parse::<Action>().is_ok(), "{}: {word}", row.id);
            }
        }
    }

    #[test]
    fn words_are_read_back() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        let error = "task_reed".parse::<Action>().unwrap_err().to_string();
        assert_eq!(error, "unknown action `task_reed`; did you mean `task_read`?");
    }
}
