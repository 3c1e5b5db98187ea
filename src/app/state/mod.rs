//! State: how far work is and what became of it, and how the daemon itself does.

mod estimate;
mod health;
mod progress;
mod snapshots;
mod statistics;
mod system;

use super::App;
use super::about::Seen;
use super::context::Context;
use super::error::Error;
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::task::Task;
use crate::store::record::BatchRecord;

/// A task or a batch that the caller may read.
enum Work {
    Task(Box<Seen<Task>>),
    Batch(Box<Seen<BatchRecord>>),
}

impl App {
    /// The task or the batch of this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is neither, or none for them.
    async fn see_work(&self, context: &Context, id: WorkId) -> Result<Work, Error> {
        match self.see_task(context, TaskId(id.0)).await {
            Err(Error::NotFound { .. }) => {}
            seen => return seen.map(Box::new).map(Work::Task),
        }
        match self.see_batch(context, BatchId(id.0)).await {
            Err(Error::NotFound { .. }) => Err(Error::NotFound { kind: "task or batch", id: id.to_string() }),
            seen => seen.map(Box::new).map(Work::Batch),
        }
    }
}
