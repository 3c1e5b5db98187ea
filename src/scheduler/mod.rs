//! The driver that makes the engine's decisions durable and carries them out.
//!
//! [`driver`] owns all live work. It is told what happens (requests, reports of the supervisor, timers, finished commits),
//! lets the engine decide, queues what happened for the store, and acts only on what is committed: intents become starts,
//! ends become answers. While a commit is under way it goes on deciding; what piles up meanwhile is the next commit. It is
//! pure; the one actor around it has the channels and the clock.
//!
//! Deliberately knows nothing of who may ask for what ([`crate::app`]) and of how records are kept ([`crate::store`]).

mod actor;
mod again;
pub mod command;
pub mod driver;
mod guests;
mod outbox;
pub mod recover;
pub mod report;
mod rollback_row;
mod rows;
mod showing;
mod submission;
pub mod undo_plan;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::Command;
use crate::engine::react::NotNow;
use crate::exec::{Clock, ExecError, Executor, Places};
use crate::model::id::WorkId;
use crate::store::{Change, Refused, Store, StoreError};

pub use submission::{Rows, Submission};

/// How the scheduler works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Attempts at once; 0 accepts work and runs none.
    pub max_parallel: usize,
    /// What runs the work.
    pub program: command::Program,
    /// Where tasks work unless they say otherwise.
    pub workspace: PathBuf,
    /// Where the supervisor keeps what.
    pub places: Places,
    /// How long a process may take to end by itself when asked to.
    pub grace: Duration,
    /// After how many completed operations of a batch a checkpoint is made; 0 makes none.
    pub checkpoint_every: u32,
}

/// Why the scheduler did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The idempotency key was used meanwhile.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The state of the work doesn't allow it.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// There is no such work.
    #[error("there is no work {0}")]
    Unknown(WorkId),
    /// The store can't write at the moment.
    #[error("the store can't write: {0}")]
    Unavailable(String),
    /// The daemon is ending.
    #[error("the daemon is ending")]
    Ending,
    /// A record can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the scheduler can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Recorded work can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no supervisor.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The supervisor was reached and said nothing.
    #[error("the supervisor said nothing")]
    Silent,
    /// The store refuses to write.
    #[error("the store can't write: {0}")]
    Unwritable(String),
}

/// What is to be ended.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// The work.
    pub work: WorkId,
    /// One of its operations, or all of it.
    pub operation: Option<u32>,
    /// Whether what it has done is undone.
    pub rollback: bool,
}

pub(crate) enum Request {
    Submit(Box<Submission>, oneshot::Sender<Result<(), ScheduleError>>),
    Cancel { wanted: Cancel, also: Vec<Change>, reply: oneshot::Sender<Result<(), ScheduleError>> },
    TakeUp { work: WorkId, how: Command, also: Vec<Change>, reply: oneshot::Sender<Result<(), ScheduleError>> },
    Drain { cancel: bool, reply: oneshot::Sender<()> },
}

/// Requests the actor has room for; beyond that, callers wait.
const QUEUE: usize = 4096;

/// A handle to the scheduler; cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    requests: mpsc::Sender<Request>,
    changes: watch::Receiver<u64>,
    executor: Executor,
}

impl Scheduler {
    /// Takes up the work that the store has, and starts.
    ///
    /// # Errors
    /// When the recorded work can't be read or there is no supervisor.
    pub async fn start(config: Config, store: Store, clock: Clock) -> Result<Self, StartError> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (announce, changes) = watch::channel(0);
        let actor = recover::recover(config, store, clock, announce).await?;
        let executor = actor.executor.clone();
        tokio::spawn(actor.run(queue));
        Ok(Self { requests, changes, executor })
    }

    /// Accepts work; it is on disk when this returns.
    ///
    /// # Errors
    /// When the idempotency key is taken, or the store can't write; then nothing was accepted.
    pub async fn submit(&self, submission: Submission) -> Result<(), ScheduleError> {
        self.ask(|reply| Request::Submit(Box::new(submission), reply)).await
    }

    /// Asks for the end of work, or of one of its operations; the request is on disk when this returns, and `also` with it.
    ///
    /// # Errors
    /// When the work has ended or is being rolled back; then nothing is written.
    pub async fn cancel(&self, wanted: Cancel, also: Vec<Change>) -> Result<(), ScheduleError> {
        self.ask(|reply| Request::Cancel { wanted, also, reply }).await
    }

    /// Goes on with ended work from what failed; that is on disk when this returns, and `also` with it.
    ///
    /// # Errors
    /// When it hasn't ended, or nothing of it failed; then nothing is written.
    pub async fn retry(&self, work: WorkId, also: Vec<Change>) -> Result<(), ScheduleError> {
        self.ask(|reply| Request::TakeUp { work, how: Command::Retry, also, reply }).await
    }

    /// Goes on with a rollback that is stuck, and leaves an operation as it is; that is on disk when this returns, and
    /// `also` with it.
    ///
    /// # Errors
    /// When it hasn't ended, or that operation isn't stuck; then nothing is written.
    pub async fn waive(
        &self,
        work: WorkId,
        operation: u32,
        reason: String,
        also: Vec<Change>,
    ) -> Result<(), ScheduleError> {
        self.ask(|reply| Request::TakeUp { work, how: Command::Waive { operation, reason }, also, reply }).await
    }

    /// Leaves a rollback that is stuck as it is, for good; that is on disk when this returns, and `also` with it.
    ///
    /// # Errors
    /// When it hasn't ended, or isn't stuck; then nothing is written.
    pub async fn close(&self, work: WorkId, reason: String, also: Vec<Change>) -> Result<(), ScheduleError> {
        self.ask(|reply| Request::TakeUp { work, how: Command::Close { reason }, also, reply }).await
    }

    /// Starts nothing more, and returns once nothing runs and the supervisor, which was let go, is gone. With `cancel`, what runs is
    /// cancelled.
    pub async fn drain(&self, cancel: bool) {
        let (reply, done) = oneshot::channel();
        let asked = self.requests.send(Request::Drain { cancel, reply }).await.is_ok();
        if asked && done.await.is_ok() {
            self.executor.gone().await;
        }
    }

    /// Counts commits that changed tasks or batches: whoever waits for one looks again when this changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Whether it takes requests and goes on with work.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Whether there is a supervisor at the moment: without one nothing can be started.
    #[must_use]
    pub fn has_supervisor(&self) -> bool {
        self.executor.is_connected()
    }

    async fn ask(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<(), ScheduleError>>) -> Request,
    ) -> Result<(), ScheduleError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| ScheduleError::Ending)?;
        answer.await.unwrap_or(Err(ScheduleError::Ending))
    }
}
