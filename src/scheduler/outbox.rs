//! What waits to be written, and what waits for it to be written.

use tokio::sync::oneshot;

use super::ScheduleError;
use crate::engine::{Attempt, Event};
use crate::exec::Key;
use crate::model::id::WorkId;
use crate::store::Change;

pub(super) type Reply = oneshot::Sender<Result<(), ScheduleError>>;

/// One commit's worth.
#[derive(Default)]
pub(super) struct Group {
    /// What is written, apart from the rows, which are taken when the group is sent.
    pub(super) changes: Vec<Change>,
    /// What is done once it is written.
    pub(super) after: After,
}

/// What is done once a commit is durable.
#[derive(Default)]
pub(super) struct After {
    /// The engine is told of these.
    pub(super) events: Vec<(WorkId, Event)>,
    /// These attempts are ended.
    pub(super) signals: Vec<Attempt>,
    /// The supervisor may forget these results.
    pub(super) forget: Vec<Key>,
    /// These works are over.
    pub(super) retire: Vec<WorkId>,
    /// These callers wait.
    pub(super) replies: Vec<Reply>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        let after = &self.after;
        self.changes.is_empty() && after.forget.is_empty() && after.replies.is_empty() && after.signals.is_empty()
    }
}
