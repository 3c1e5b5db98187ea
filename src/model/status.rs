//! The status words of tasks, operations and batches, exactly as the wire spells them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every status, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $(stringify!($variant) => Ok(Self::$variant),)+
                    _ => Err(UnknownStatus { given: text.to_owned(), known: &[$(stringify!($variant)),+] }),
                }
            }
        }
    };
}

/// A word that names no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no status; the statuses are {}", super::nearest::shown(given), known.join(", "))]
pub struct UnknownStatus {
    /// What was given.
    pub given: String,
    /// What would have been understood.
    pub known: &'static [&'static str],
}

words! {
    /// Where a task is.
    TaskStatus {
        /// Accepted, not started.
        Pending,
        /// Its process runs, or it waits for another attempt.
        Running,
        /// Its process ended with success.
        Completed,
        /// Its last attempt failed, or ran out of time.
        Failed,
        /// Ended on request; nothing of it runs.
        Cancelled,
    }
}

words! {
    /// Where a batch is.
    BatchStatus {
        /// Accepted, nothing started.
        Pending,
        /// Some operation has started.
        Running,
        /// Everything is done, but for failures an operation declared tolerable (`on_failure = "continue"`).
        Completed,
        /// Ended with a failure, without rollback.
        Failed,
        /// Ended on request, without rollback.
        Cancelled,
        /// Compensations run.
        RollingBack,
        /// Everything that was done is undone.
        RolledBack,
        /// A compensation failed; the batch says what is left.
        RollbackFailed,
    }
}

words! {
    /// Where a rollback is that somebody asked for.
    RollbackStatus {
        /// Accepted, nothing started.
        Pending,
        /// Some step has started.
        Running,
        /// Everything is as it was asked for, and that is proved.
        Completed,
        /// Some step failed; the rollback says what is left.
        Failed,
        /// Some step failed, and somebody accepted that.
        Accepted,
    }
}

words! {
    /// Where an operation of a batch is.
    OperationStatus {
        /// Waits for its dependencies or for a slot.
        Pending,
        /// Its task runs, or waits for another attempt.
        Running,
        /// Done.
        Completed,
        /// Its last attempt failed.
        Failed,
        /// Ended on request while it ran.
        Cancelled,
        /// Its compensation runs.
        RollingBack,
        /// Undone.
        RolledBack,
        /// Its compensation failed: what it made may still be there.
        RollbackFailed,
        /// Never started, and never will be unless the batch is retried.
        Skipped,
    }
}

impl From<TaskStatus> for BatchStatus {
    /// A task as a graph of one operation that is never undone.
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Pending => Self::Pending,
            TaskStatus::Running => Self::Running,
            TaskStatus::Completed => Self::Completed,
            TaskStatus::Failed => Self::Failed,
            TaskStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl TaskStatus {
    /// Whether nothing more will happen to the task.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl BatchStatus {
    /// Whether nothing more will happen unless someone asks for it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::RollingBack)
    }
}
