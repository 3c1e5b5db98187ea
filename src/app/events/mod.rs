//! Following what happens.

mod feed;
mod projection;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::about::Row;
use super::authorise::{Asker, Question};
use super::context::{Context, Permit};
use super::error::Error;
use super::infras::UNKNOWN;
use super::{App, Phase};
use crate::api::actions::Action;
use crate::api::event::{Event, EventQuery, Frame, Topic};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;
use crate::policy::{Infra, Resource};
use crate::store::{Backend, StoreError};
pub(super) use feed::Feed;
pub(super) use feed::Reader;
pub(super) use projection::history;

/// How often it is looked whether whoever follows still may.
const REVIEW: Duration = Duration::from_secs(1);

/// Somebody who follows what happens.
pub struct Subscription {
    app: Arc<App>,
    context: Context,
    query: EventQuery,
    /// Elsewhere while the store is read.
    reader: Option<Reader>,
    changes: watch::Receiver<u64>,
}

impl App {
    /// Begins to follow what happens, from now on or since a frame.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn event_subscribe(
        self: &Arc<Self>,
        context: &Context,
        query: EventQuery,
    ) -> Result<Subscription, Error> {
        let permit = self.authorise(context, "event_stream", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        // Before the end is read: what comes between wakes the reader.
        let changes = resources.scheduler.changes();
        let reader = match query.since {
            Some(since) => Reader::after(since),
            None => resources.store.read(Reader::at_the_end).await?,
        };
        Ok(Subscription { app: Arc::clone(self), context: context.clone(), query, reader: Some(reader), changes })
    }
}

impl Subscription {
    /// The sequence of the last frame that was looked at: whoever goes on after it misses nothing.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.as_ref().map_or(0, |reader| reader.after)
    }

    /// Wants something else from now on.
    pub fn change(&mut self, change: impl FnOnce(&mut EventQuery)) {
        change(&mut self.query);
    }

    /// The next frames that the caller wants and may read; waits for them. None when a while passed without any.
    ///
    /// # Errors
    /// When the caller's token is good no more, or the store can't be read.
    pub async fn next(&mut self, patience: Duration) -> Result<Vec<Arc<Frame>>, Error> {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            self.context = self.app.review(&self.context).await?;
            self.changes.mark_unchanged();
            let frames = self.read().await?;
            if !frames.is_empty() {
                let wanted = self.permitted(frames).await?;
                if !wanted.is_empty() {
                    return Ok(wanted);
                }
                continue;
            }
            let now = tokio::time::Instant::now();
            if self.app.phase() == Phase::Ending {
                return Err(Error::Unavailable("the daemon is ending".to_owned()));
            }
            if now >= give_up {
                return Ok(Vec::new());
            }
            let until = give_up.min(now + REVIEW);
            if let Ok(Err(_)) = tokio::time::timeout_at(until, self.changes.changed()).await {
                // There is no scheduler any more: the end is near.
                tokio::time::sleep_until(until).await;
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Arc<Frame>>, Error> {
        let (feed, mut reader) = (Arc::clone(&self.app.feed), self.reader.take().unwrap_or_default());
        let store = &self.app.guarded.open(&Permit::own()).store;
        let after = reader.after;
        let read = store.read(move |reads| Ok((feed.read(reads, &mut reader), reader))).await;
        let (frames, reader) = read.unwrap_or_else(|error| (Err(error), Reader::after(after)));
        self.reader = Some(reader);
        Ok(frames?)
    }

    /// Those that are wanted, and that the caller may read: as events of their infra, and as what they tell of.
    async fn permitted(&self, mut frames: Vec<Arc<Frame>>) -> Result<Vec<Arc<Frame>>, Error> {
        let EventQuery { topics, work, .. } = &self.query;
        frames.retain(|frame| {
            topics.0.contains(&frame.event.topic()) && work.is_none_or(|work| frame.event.work() == work)
        });
        self.app.readable_frames(self.app.asker(&self.context), frames).await
    }
}

impl App {
    /// Those of the frames that somebody may read.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) async fn readable_frames(
        &self,
        asker: Asker,
        mut frames: Vec<Arc<Frame>>,
    ) -> Result<Vec<Arc<Frame>>, Error> {
        let infras: HashSet<Name> = frames.iter().filter_map(|frame| frame.metadata.infra.clone()).collect();
        let environments = self.infras.environments(infras.into_iter().collect()).await?;
        if asker.looks_at_rows() {
            let store = &self.guarded.open(&Permit::own()).store;
            let judge = move |reads: &dyn Backend| {
                let mut seen = Vec::new();
                for frame in frames {
                    if may_read_row(&asker, reads, &frame, &environments)? {
                        seen.push(frame);
                    }
                }
                Ok(seen)
            };
            return Ok(store.read(judge).await?);
        }
        let mut known = HashMap::new();
        frames.retain(|frame| {
            let key = (frame.metadata.infra.clone(), frame.event.topic());
            *known.entry(key).or_insert_with(|| may_read(&asker, frame, infra_of(frame, &environments)))
        });
        Ok(frames)
    }
}

fn infra_of<'a>(frame: &'a Frame, environments: &'a HashMap<Name, String>) -> Infra<'a> {
    let name = frame.metadata.infra.as_ref();
    let environment = name.and_then(|name| environments.get(name)).map_or(UNKNOWN, String::as_str);
    Infra { name: name.map_or("", Name::as_str), environment }
}

/// Whether somebody may read such frames, where policies look at the infra alone.
fn may_read(asker: &Asker, frame: &Frame, infra: Infra<'_>) -> bool {
    let (id, name, submitted_by) = ("", "", "");
    let (action, resource) = match frame.event.topic() {
        Topic::Task => (Action::TaskRead, Resource::Task { id, name, infra, submitted_by }),
        Topic::Batch | Topic::System => (Action::BatchRead, Resource::Batch { id, name, infra, submitted_by }),
    };
    asker.may(Action::EventRead, Resource::Infra(infra)) && asker.may(action, resource)
}

/// Whether somebody may read this frame, where policies look at more: the row that it tells of is read.
fn may_read_row(
    asker: &Asker,
    reads: &dyn Backend,
    frame: &Frame,
    environments: &HashMap<Name, String>,
) -> Result<bool, StoreError> {
    let infra = infra_of(frame, environments);
    if !asker.may(Action::EventRead, Resource::Infra(infra)) {
        return Ok(false);
    }
    let of_task = |id: TaskId| {
        let task = reads.task(id)?;
        Ok(task.is_some_and(|it| asker.may(Action::TaskRead, it.resource(&id.to_string(), infra.environment))))
    };
    let of_batch = |id: BatchId| {
        let batch = reads.batch(id)?;
        Ok(batch.map(|it| asker.may(Action::BatchRead, it.resource(&id.to_string(), infra.environment))))
    };
    match &frame.event {
        Event::TaskStatusChanged { task_id, .. } => of_task(*task_id),
        Event::BatchOperationUpdate { batch_id, .. } => Ok(of_batch(*batch_id)?.unwrap_or(false)),
        Event::WorkflowProgressUpdate { workflow_id: WorkId(id), .. } => match of_batch(BatchId(*id))? {
            Some(may) => Ok(may),
            None => of_task(TaskId(*id)),
        },
    }
}
