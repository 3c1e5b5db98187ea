//! The daemon's own log: reading along, and how much there is of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::authorise::Question;
use super::context::Context;
use super::error::Error;
use super::{App, Phase, trail};
use crate::api::live::Notice;
use crate::api::logs::{DaemonLogQuery, LogLevels, LogLevelsChange, LogMessage};
use crate::audit;
use crate::logging::ring::Reader;
use crate::model::time::Timestamp;
use crate::policy::Resource;
use crate::store::Transaction;

/// How often it is looked whether whoever follows still may.
const REVIEW: Duration = Duration::from_secs(1);

/// Somebody who reads the log.
pub struct LogFollower {
    app: Arc<App>,
    context: Context,
    reader: Reader,
    phase: watch::Receiver<Phase>,
    asked: Instant,
}

impl App {
    /// Begins to read the log.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn log_stream(self: &Arc<Self>, context: &Context, query: DaemonLogQuery) -> Result<LogFollower, Error> {
        self.authorise(context, "log_stream", &Question::about(Resource::System))?;
        Ok(LogFollower {
            app: Arc::clone(self),
            context: context.clone(),
            reader: self.logging.ring.read(query),
            phase: self.phases(),
            asked: Instant::now(),
        })
    }

    /// How much each part of the daemon logs.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn log_levels_get(&self, context: &Context) -> Result<LogLevels, Error> {
        self.authorise(context, "log_levels_get", &Question::about(Resource::System))?;
        Ok(self.logging.levels.view())
    }

    /// Changes how much is logged, until the daemon ends.
    ///
    /// # Errors
    /// When the caller may not, or the change can't be put on record.
    pub async fn log_levels_update(&self, context: &Context, change: LogLevelsChange) -> Result<LogLevels, Error> {
        let permit = self.authorise(context, "log_levels_update", &Question::about(Resource::System))?;
        let (resource, details) = (audit::Resource::all("system"), json!({ "levels": change }));
        let entry = trail::done_with(context, &permit, "log_levels_update", resource, self.clock.now(), details);
        self.guarded.open(&permit).store.commit(Transaction::of(vec![entry])).await?;
        self.logging.levels.change(&change);
        tracing::info!(user = context.username(), levels = %json!(change), "the log's levels changed");
        Ok(self.logging.levels.view())
    }
}

impl LogFollower {
    /// The sequence of the last line that was looked at.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// When the token stops being good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.context.expires_at()
    }

    /// Goes on with a newer token.
    ///
    /// # Errors
    /// When it is somebody else's.
    pub fn renew(&mut self, context: Context) -> Result<(), Error> {
        self.context.renew(context)
    }

    /// What there is now, and whether that is all.
    pub fn part(&mut self) -> (Vec<LogMessage>, bool) {
        let part = self.reader.part();
        let lagged = |(missed, since)| LogMessage::Notice(Notice::Lagged { missed, since, sequence: since + missed });
        let lines = part.lines.iter().map(|line| LogMessage::Line((**line).clone()));
        (part.missed.map(lagged).into_iter().chain(lines).collect(), part.is_all)
    }

    /// The next lines, and what is said of those that were missed; waits for them. None when a while passed without any.
    /// Whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// When the caller may not any more, or the daemon ends.
    pub async fn next(&mut self, patience: Duration) -> Result<Vec<LogMessage>, Error> {
        let give_up = Instant::now() + patience;
        loop {
            self.context = self.app.review(&self.context).await?;
            if self.asked.elapsed() >= REVIEW {
                self.app.authorise(&self.context, "log_stream", &Question::about(Resource::System))?;
                self.asked = Instant::now();
            }
            let (messages, is_all) = self.part();
            let now = Instant::now();
            if !messages.is_empty() || (is_all && now >= give_up) {
                return Ok(messages);
            }
            if !is_all {
                continue;
            }
            if *self.phase.borrow_and_update() == Phase::Ending {
                return Err(Error::ending());
            }
            tokio::select! {
                () = self.reader.changed() => {}
                () = Phase::ending(&mut self.phase) => {}
                () = tokio::time::sleep_until(give_up.min(now + REVIEW)) => {}
            }
        }
    }
}
