//! What can happen to work: commands come in, events are facts.

use serde::{Deserialize, Serialize};

use crate::model::id::{TaskId, WorkId};
use crate::model::status::BatchStatus;
use crate::model::time::Timestamp;

/// Whether an operation is being done or undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Its own command.
    Do,
    /// Its compensation.
    Undo,
}

/// A durable fact about one unit of work. Operations are named by their index in the graph. Only grows: a variant that
/// was ever written is read for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The work is ours to bring to an end.
    Accepted,
    /// An attempt may start from now on; whether it did, the supervisor knows.
    Intended {
        /// Which operation.
        operation: u32,
        /// Do or undo.
        direction: Direction,
        /// Counted from 1 for each direction.
        attempt: u32,
        /// The task that shows it; the same for all attempts of a direction.
        task: TaskId,
    },
    /// The attempt's process runs.
    Started {
        /// Which operation.
        operation: u32,
        /// When it started.
        at: Timestamp,
        /// When its time is up, restarts of the daemon included.
        deadline: Timestamp,
    },
    /// The attempt succeeded: the operation is done, or undone.
    Succeeded {
        /// Which operation.
        operation: u32,
        /// Do or undo.
        direction: Direction,
    },
    /// The attempt failed; there will be another.
    AttemptFailed {
        /// Which operation.
        operation: u32,
        /// Do or undo.
        direction: Direction,
        /// Why.
        error: String,
        /// When the next attempt is due.
        again_at: Timestamp,
    },
    /// The last attempt failed.
    Failed {
        /// Which operation.
        operation: u32,
        /// Do or undo.
        direction: Direction,
        /// Why.
        error: String,
    },
    /// The operation was ended on request while it ran or waited for an attempt.
    Stopped {
        /// Which operation.
        operation: u32,
    },
    /// An intent was taken back before it started.
    Withdrawn {
        /// Which operation.
        operation: u32,
    },
    /// The operation will not start.
    Skipped {
        /// Which operation.
        operation: u32,
    },
    /// Somebody asked for the end of the work, or of one operation.
    CancelRequested {
        /// The operation, or all of them.
        operation: Option<u32>,
        /// Whether what was done is undone.
        rollback: bool,
    },
    /// No operation starts any more.
    Halted {
        /// Whether what was done is undone once what runs has ended.
        unwind: bool,
        /// Why, for people.
        reason: String,
    },
    /// Everything has come to rest; compensations start.
    Unwinding,
    /// Nothing more happens unless somebody asks for it.
    Ended {
        /// How it ended.
        status: BatchStatus,
    },
    /// Somebody asked to go on from what failed.
    Retried,
    /// A rollback takes hold of this work, which has ended: until it ends again, the rollback alone has its operations
    /// done and undone.
    Reopened {
        /// The rollback.
        by: WorkId,
        /// What it does with them: where it does both, undo.
        direction: Direction,
    },
    /// Somebody decided that an operation stays as it is, and that what waits for it goes on.
    Waived {
        /// Which operation.
        operation: u32,
        /// Why.
        reason: String,
    },
    /// Somebody decided that what is left stays as it is: it can't be gone on with any more.
    Closed {
        /// Why.
        reason: String,
    },
}

/// What work is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The supervisor started the attempt.
    Started {
        /// Which operation.
        operation: u32,
        /// Which attempt.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// The attempt is over.
    Exited {
        /// Which operation.
        operation: u32,
        /// Which attempt.
        attempt: u32,
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
    },
    /// End it.
    Cancel {
        /// One operation, or all.
        operation: Option<u32>,
        /// Whether what was done is undone.
        rollback: bool,
    },
    /// Go on from what failed.
    Retry,
    /// Leave an operation of a rollback as it is, and go on.
    Waive {
        /// Which one.
        operation: u32,
        /// Why.
        reason: String,
    },
    /// Leave everything as it is.
    Close {
        /// Why.
        reason: String,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Exit status 0.
    Success,
    /// Another status, or it could not be started: why.
    Failure(String),
    /// It was asked to end and did, whatever its exit status: how.
    Ended(String),
    /// It is not known what became of it: what is known.
    Lost(String),
}
