//! The shell around the driver: brings it what happens, carries out what it decides.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::Request;
use super::driver::{Driver, Effect, Ticket};
use super::report::Told;
use crate::exec::{Clock, Executor};
use crate::model::time::Timestamp;
use crate::store::{CommitError, Store};

/// Messages handled before what they led to is sent to the store.
const MESSAGES_A_TURN: usize = 512;

/// The one task that owns all live work.
pub(super) struct Actor {
    pub(super) driver: Driver,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) executor: Executor,
    pub(super) told: mpsc::UnboundedReceiver<Told>,
    pub(super) changed: watch::Sender<u64>,
}

impl Actor {
    /// Works until every handle is gone.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut commits = FuturesUnordered::new();
        loop {
            self.driver.settle(self.clock.now());
            for effect in self.driver.take_effects() {
                match effect {
                    Effect::Commit(ticket, transaction) => {
                        let written = self.store.submit(transaction);
                        commits.push(async move {
                            let stopped = || CommitError::Unavailable("the writer has stopped".to_owned());
                            let result: (Ticket, _) = (ticket, written.await.unwrap_or_else(|_| Err(stopped())));
                            result
                        });
                    }
                    Effect::Tell(connection, request) => self.executor.tell(connection, request),
                    Effect::Announce => self.changed.send_modify(|count| *count += 1),
                }
            }
            let timer = sleep_until(self.clock, self.driver.next_wake());
            tokio::select! {
                biased;
                Some((ticket, result)) = commits.next(), if !commits.is_empty() => {
                    self.driver.committed(ticket, result, self.clock.now());
                }
                Some(told) = self.told.recv() => self.hear(told),
                request = requests.recv() => {
                    let Some(request) = request else { return };
                    self.take(request);
                    for _ in 0..MESSAGES_A_TURN {
                        let Ok(request) = requests.try_recv() else { break };
                        self.take(request);
                    }
                }
                () = timer => {}
            }
        }
    }

    /// Handles reports until there are none, within reason.
    fn hear(&mut self, first: Told) {
        let now = self.clock.now();
        self.driver.hear(first, now);
        for _ in 0..MESSAGES_A_TURN {
            let Ok(told) = self.told.try_recv() else { break };
            self.driver.hear(told, now);
        }
    }

    fn take(&mut self, request: Request) {
        let now = self.clock.now();
        match request {
            Request::Submit(submission, reply) => self.driver.submit(*submission, self.store.reads(), reply, now),
            Request::Cancel { wanted, also, reply } => self.driver.cancel(wanted, also, reply, now),
            Request::TakeUp { work, how, also, reply } => {
                self.driver.take_up_again(work, &how, also, self.store.reads(), reply, now);
            }
            Request::Drain { cancel, reply } => self.driver.drain(cancel, reply, now),
        }
    }
}

async fn sleep_until(clock: Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock.now())).await,
        None => std::future::pending().await,
    }
}
