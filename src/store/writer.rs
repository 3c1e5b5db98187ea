//! The one thread that writes: drains the queue, commits once, answers all.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::CommitError;
use super::backend::{Backend, StoreError};
use super::change::Transaction;
use super::measure::Measures;

/// Changes in one commit at most; bounds the memory and the latency of a commit under load.
const MOST_CHANGES: usize = 20_000;

type Reply = oneshot::Sender<Result<(), CommitError>>;
type Queued = (Transaction, Reply);

pub(super) struct Writer {
    queue: Option<Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(backend: Arc<dyn Backend>, measures: Arc<Measures>) -> Result<Self, StoreError> {
        let (queue, requests) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write(&*backend, &measures, &requests));
        let failed =
            |error: std::io::Error| StoreError::Failed { attempt: "start its writer", cause: error.to_string() };
        Ok(Self { queue: Some(queue), thread: Some(thread.map_err(failed)?) })
    }

    pub(super) fn submit(&self, transaction: Transaction) -> oneshot::Receiver<Result<(), CommitError>> {
        let (reply, receiver) = oneshot::channel();
        if let Some(queue) = &self.queue {
            // A refused send drops the reply, which the receiver sees as an error.
            let _ = queue.send((transaction, reply));
        }
        receiver
    }
}

impl Drop for Writer {
    /// Waits until what was queued is on disk.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn write(backend: &dyn Backend, measures: &Measures, requests: &Receiver<Queued>) {
    while let Ok(first) = requests.recv() {
        let mut changes = first.0.changes.len();
        let (mut transactions, mut replies) = (vec![first.0], vec![first.1]);
        while changes < MOST_CHANGES
            && let Ok((transaction, reply)) = requests.try_recv()
        {
            changes += transaction.changes.len();
            transactions.push(transaction);
            replies.push(reply);
        }
        measures.begin();
        let applied = backend.apply(&transactions);
        measures.end(&transactions, &applied);
        match applied {
            Ok(verdicts) => {
                for (reply, verdict) in replies.into_iter().zip(verdicts) {
                    let _ = reply.send(verdict.map_err(CommitError::Refused));
                }
            }
            Err(error) => {
                tracing::error!(%error, transactions = transactions.len(), "commit failed");
                for reply in replies {
                    let _ = reply.send(Err(CommitError::Unavailable(error.to_string())));
                }
            }
        }
    }
}
