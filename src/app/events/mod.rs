//! Following what happens.

mod feed;
mod projection;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::infras::UNKNOWN;
use super::{App, Phase};
use crate::api::actions::Action;
use crate::api::event::{EventQuery, Frame};
use crate::model::name::Name;
use crate::policy::{Infra, Resource};
pub(super) use feed::Feed;
use feed::Reader;
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

    /// Those that are wanted, and of an infra whose events the caller may read.
    async fn permitted(&self, mut frames: Vec<Arc<Frame>>) -> Result<Vec<Arc<Frame>>, Error> {
        let EventQuery { topics, work, .. } = &self.query;
        frames.retain(|frame| {
            topics.0.contains(&frame.event.topic()) && work.is_none_or(|work| frame.event.work() == work)
        });
        let infras: HashSet<Name> = frames.iter().filter_map(|frame| frame.metadata.infra.clone()).collect();
        let environments = self.app.infras.environments(infras.into_iter().collect()).await?;
        let asker = self.app.asker(&self.context);
        let may =
            |name: &str, environment: &str| asker.may(Action::EventRead, Resource::Infra(Infra { name, environment }));
        let permitted: HashMap<Name, bool> =
            environments.iter().map(|(name, environment)| (name.clone(), may(name.as_str(), environment))).collect();
        let nowhere = may("", UNKNOWN);
        frames.retain(|frame| match &frame.metadata.infra {
            Some(infra) => permitted.get(infra).copied().unwrap_or(false),
            None => nowhere,
        });
        Ok(frames)
    }
}
