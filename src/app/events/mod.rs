//! Following what happens.

mod feed;
mod health;
mod projection;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::about::Row;
use super::authorise::{Asker, Question};
use super::context::{Context, Permit};
use super::error::Error;
use super::infras::UNKNOWN;
use super::login::problem;
use super::{App, Phase};
use crate::api::actions::Action;
use crate::api::event::{Event, EventQuery, Frame, Metadata, Topic};
use crate::api::state::SystemHealth;
use crate::audit::DAEMON;
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::policy::{Infra, Resource};
use crate::store::{Backend, StoreError};
pub(super) use feed::Feed;
pub(super) use feed::Reader;
pub(super) use health::Board;
use health::Told;
pub(super) use projection::history;
use projection::last_of;

/// How often it is looked whether whoever follows still may.
const REVIEW: Duration = Duration::from_secs(1);

/// Somebody who follows what happens.
pub struct Subscription {
    app: Arc<App>,
    context: Context,
    /// By which it was begun, and for which the right to it is asked anew.
    operation: &'static str,
    asked: Instant,
    query: EventQuery,
    /// The sequence of the last frame that was looked at.
    after: u64,
    /// Whether there was a moment with nothing left to read: who has never been there is catching up, not slow.
    was_at_the_end: bool,
    /// Gone where a read was broken off; what it had read is read again then.
    reader: Option<Reader>,
    changes: watch::Receiver<u64>,
    phase: watch::Receiver<Phase>,
    /// There while it is wanted.
    health: Option<Told>,
}

impl App {
    /// Begins to follow what happens, from now on or since a frame, for an operation of the table.
    ///
    /// # Errors
    /// When the caller may not, or has seen what never happened here.
    pub async fn event_subscribe(
        self: &Arc<Self>,
        context: &Context,
        operation: &'static str,
        query: EventQuery,
    ) -> Result<Subscription, Error> {
        let permit = self.authorise(context, operation, &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        // Before the end is read: what comes between wakes the reader.
        let changes = resources.scheduler.changes();
        let begins_there = query.since.is_none();
        let last = last_of(resources.store.read(Backend::log_end).await?);
        let after = query.since.unwrap_or(last);
        if after > last {
            // Else nothing would be told until as much has happened. It was seen where the store was newer than it is now.
            let message = format!(
                "must be at most {last}, where the events end: {after} is not of this store, or the store was put back since; \
                 begin with 0, or leave it out"
            );
            return Err(problem("?since", &message));
        }
        Ok(Subscription {
            app: Arc::clone(self),
            context: context.clone(),
            operation,
            asked: Instant::now(),
            query,
            after,
            was_at_the_end: begins_there,
            reader: None,
            changes,
            phase: self.phase.subscribe(),
            health: None,
        })
    }
}

impl Subscription {
    /// The sequence of the last frame that was looked at: whoever goes on after it misses nothing.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.after
    }

    /// What is wanted.
    #[must_use]
    pub fn query(&self) -> &EventQuery {
        &self.query
    }

    /// Wants something else from now on.
    pub fn change(&mut self, change: impl FnOnce(&mut EventQuery)) {
        change(&mut self.query);
    }

    /// Goes on with a newer token.
    ///
    /// # Errors
    /// When it is somebody else's.
    pub fn renew(&mut self, context: Context) -> Result<(), Error> {
        self.context.renew(context)
    }

    /// When the token stops being good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.context.expires_at()
    }

    /// The next frames that the caller wants and may read; waits for them. None when a while passed without any. Whoever
    /// stops waiting loses nothing.
    ///
    /// # Errors
    /// When the caller's token is good no more, the right is gone, or the store can't be read.
    pub async fn next(&mut self, patience: Duration) -> Result<Vec<Arc<Frame>>, Error> {
        let give_up = Instant::now() + patience;
        loop {
            self.review().await?;
            self.changes.mark_unchanged();
            if let Some(frame) = self.news_of_health().await? {
                return Ok(vec![Arc::new(frame)]);
            }
            let (frames, after) = self.read().await?;
            if !frames.is_empty() {
                let wanted = self.permitted(frames).await?;
                // Nothing is waited for from here on: what was looked at is on its way.
                self.after = after;
                if !wanted.is_empty() {
                    return Ok(wanted);
                }
                continue;
            }
            self.was_at_the_end = true;
            let now = Instant::now();
            if *self.phase.borrow_and_update() == Phase::Ending {
                return Err(Error::ending());
            }
            if now >= give_up {
                return Ok(Vec::new());
            }
            self.wait(give_up.min(now + REVIEW)).await;
        }
    }

    /// Where a reader that was at the end has fallen behind it further than the limits allow: passes over what is there, and
    /// answers how many frames of it the caller would have had.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn pass_over_if_behind(&mut self) -> Result<u64, Error> {
        if !self.was_at_the_end || self.behind().await? <= self.app.limits().streams.lag {
            return Ok(0);
        }
        self.pass_over().await
    }

    /// How far the end of the stream is away, in sequence numbers.
    async fn behind(&self) -> Result<u64, Error> {
        let store = &self.app.guarded.open(&Permit::own()).store;
        Ok(last_of(store.read(Backend::log_end).await?).saturating_sub(self.after))
    }

    async fn pass_over(&mut self) -> Result<u64, Error> {
        let (end, mut missed) = (self.after + self.behind().await?, 0);
        while self.after < end {
            let (frames, after) = self.read().await?;
            if frames.is_empty() {
                break;
            }
            missed += self.permitted(frames).await?.len() as u64;
            self.after = after;
        }
        Ok(missed)
    }

    /// Whether the caller still may. The policies are asked now and then, not for every frame.
    async fn review(&mut self) -> Result<(), Error> {
        self.context = self.app.review(&self.context).await?;
        if self.asked.elapsed() >= REVIEW {
            self.app.authorise(&self.context, self.operation, &Question::about(Resource::System))?;
            self.asked = Instant::now();
        }
        Ok(())
    }

    /// Waits until there may be something, at most until then.
    async fn wait(&mut self, until: Instant) {
        tokio::select! {
            changed = self.changes.changed() => if changed.is_err() {
                // There is no scheduler any more: the end is near.
                tokio::time::sleep_until(until).await;
            },
            () = Told::changed(&mut self.health) => {}
            () = Phase::ending(&mut self.phase) => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// How the daemon does, where that is wanted, may be known and is new.
    async fn news_of_health(&mut self) -> Result<Option<Frame>, Error> {
        if !self.query.topics.0.contains(&Topic::System) || self.query.work.is_some() {
            self.health = None;
            return Ok(None);
        }
        if self.health.is_none() {
            self.health = Some(Told::begin(&self.app).await?);
        }
        let Some((previous_status, health)) = self.health.as_mut().and_then(Told::news) else { return Ok(None) };
        if !self.app.asker(&self.context).may(Action::StateRead, Resource::System) {
            return Ok(None);
        }
        let health = SystemHealth::clone(&health);
        let metadata = Metadata { infra: None, submitted_by: DAEMON.to_owned() };
        let timestamp = health.last_check;
        let event = Event::SystemHealthUpdate { previous_status, health };
        Ok(Some(Frame { sequence: self.after, timestamp, event, metadata }))
    }

    /// The frames after the last that was looked at, and the sequence of the last of them.
    async fn read(&mut self) -> Result<(Vec<Arc<Frame>>, u64), Error> {
        let (feed, after) = (Arc::clone(&self.app.feed), self.after);
        let mut reader =
            self.reader.take().filter(|reader| reader.after == after).unwrap_or_else(|| Reader::after(after));
        let store = &self.app.guarded.open(&Permit::own()).store;
        let (frames, reader) = store.read(move |reads| Ok((feed.read(reads, &mut reader), reader))).await?;
        let after = reader.after;
        self.reader = Some(reader);
        Ok((frames?, after))
    }

    /// Those that are wanted, and that the caller may read: as events of their infra, and as what they tell of.
    async fn permitted(&self, mut frames: Vec<Arc<Frame>>) -> Result<Vec<Arc<Frame>>, Error> {
        let EventQuery { topics, work, .. } = &self.query;
        frames.retain(|frame| {
            topics.0.contains(&frame.event.topic()) && work.is_none_or(|work| frame.event.work() == Some(work))
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
        // These come from no row.
        Event::SystemHealthUpdate { .. } => Ok(false),
    }
}
