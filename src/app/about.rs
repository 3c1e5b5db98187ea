//! What a question is about: the task or batch that a request names, found before it is known what its sender may do.
//!
//! Whoever may not read it is answered as if it weren't there, so that ids can't be tried out. Lists are in
//! [`super::visible`].

use super::App;
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::infras::UNKNOWN;
use crate::model::id::{BatchId, TaskId};
use crate::model::name::Name;
use crate::model::task::Task;
use crate::policy::{Infra, Resource};
use crate::store::record::BatchRecord;

/// A task or batch that the caller may read.
pub(super) struct Seen<T> {
    pub(super) row: T,
    id: String,
    environment: String,
}

/// A row as policies see it.
pub(super) trait Row {
    /// With its id as a text, and the environment of its infra.
    fn resource<'a>(&'a self, id: &'a str, environment: &'a str) -> Resource<'a>;
    /// The infra that it works on.
    fn infra(&self) -> Option<&Name>;
}

impl Row for Task {
    fn resource<'a>(&'a self, id: &'a str, environment: &'a str) -> Resource<'a> {
        let infra = Infra { name: self.infra.as_ref().map_or("", Name::as_str), environment };
        Resource::Task { id, name: &self.name, infra, submitted_by: &self.submitted_by }
    }

    fn infra(&self) -> Option<&Name> {
        self.infra.as_ref()
    }
}

impl Row for BatchRecord {
    fn resource<'a>(&'a self, id: &'a str, environment: &'a str) -> Resource<'a> {
        let infra = Infra { name: self.infra.as_str(), environment };
        Resource::Batch { id, name: &self.name, infra, submitted_by: &self.submitted_by }
    }

    fn infra(&self) -> Option<&Name> {
        Some(&self.infra)
    }
}

impl<T: Row> Seen<T> {
    /// The question about it.
    pub(super) fn question(&self) -> Question<'_> {
        Question::about(self.row.resource(&self.id, &self.environment))
    }

    /// Its infra.
    pub(super) fn infra(&self) -> Infra<'_> {
        Infra { name: self.row.infra().map_or("", Name::as_str), environment: &self.environment }
    }
}

impl App {
    /// A task that the caller may read.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or none for them.
    pub(super) async fn see_task(&self, context: &Context, id: TaskId) -> Result<Seen<Task>, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let task = store.read(move |reads| reads.task(id)).await?;
        self.seen(context, "task_get", task, ("task", id.to_string())).await
    }

    /// A batch that the caller may read.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or none for them.
    pub(super) async fn see_batch(&self, context: &Context, id: BatchId) -> Result<Seen<BatchRecord>, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let batch = store.read(move |reads| reads.batch(id)).await?;
        self.seen(context, "batch_get", batch, ("batch", id.to_string())).await
    }

    async fn seen<T: Row>(
        &self,
        context: &Context,
        read: &'static str,
        row: Option<T>,
        (kind, id): (&'static str, String),
    ) -> Result<Seen<T>, Error> {
        self.demand_factor(context, read)?;
        let Some(row) = row else { return Err(Error::NotFound { kind, id }) };
        let environment = match row.infra() {
            Some(infra) => self.infras.get(infra, None).await?.environment.clone(),
            None => UNKNOWN.to_owned(),
        };
        let seen = Seen { row, id, environment };
        match self.authorise(context, read, &seen.question()) {
            Ok(_) => Ok(seen),
            Err(Error::Forbidden(_)) => Err(Error::NotFound { kind, id: seen.id }),
            Err(other) => Err(other),
        }
    }
}
