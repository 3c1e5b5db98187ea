//! Webhooks: frames of the stream of events, sent to URLs that users name, signed, in order and at least once.
//!
//! Each webhook has a worker ([`deliver`]) that follows the stream from where it was, on behalf of the webhook's owner
//! ([`rights`]); what it has done is on disk before it goes on. [`manage`] makes and changes them, [`view`] shows them.
//! How a message is sent and where to is [`crate::webhook`]'s matter.

mod attempt;
mod deliver;
mod figures;
mod line;
mod manage;
mod redeliver;
mod rights;
mod view;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::App;
use super::context::Permit;
use super::error::Error;
use crate::model::id::WebhookId;
use crate::model::time::Timestamp;
use crate::webhook::{Reachable, Schedule, SendError, Sender};
use figures::Figures;

/// Attempts at once, over all webhooks.
const SENDS: usize = 16;
/// How long attempts that are under way may go on when the daemon ends.
const PATIENCE: Duration = Duration::from_secs(12);

/// What sends to webhooks.
pub struct Webhooks {
    sender: Sender,
    schedule: Schedule,
    sends: Semaphore,
    workers: Mutex<HashMap<WebhookId, Arc<Worker>>>,
    tasks: Mutex<JoinSet<()>>,
    ending: watch::Sender<bool>,
    /// Held while one is made, so that there are never more than are allowed.
    making: tokio::sync::Mutex<()>,
    figures: Figures,
}

/// What is known of a worker outside it.
#[derive(Default)]
struct Worker {
    /// The webhook has changed, or something of it is to be sent again.
    wake: Notify,
    has_queued: AtomicBool,
    condition: Mutex<Condition>,
}

/// How the sending to a webhook goes.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    failures: u32,
    /// When the frame happened that waits longest.
    waits_since: Option<Timestamp>,
}

impl Webhooks {
    /// What reaches this, and tries for so long.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(reachable: Reachable, schedule: Schedule) -> Result<Self, SendError> {
        Ok(Self {
            sender: Sender::new(reachable)?,
            schedule,
            sends: Semaphore::new(SENDS),
            workers: Mutex::default(),
            tasks: Mutex::default(),
            ending: watch::Sender::new(false),
            making: tokio::sync::Mutex::default(),
            figures: Figures::default(),
        })
    }

    fn workers(&self) -> MutexGuard<'_, HashMap<WebhookId, Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn note(&self, condition: Condition) {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }

    fn condition(&self) -> Condition {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Begins to send to all webhooks there are.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn webhooks_begin(self: &Arc<Self>) -> Result<(), Error> {
        let webhooks = self.guarded.open(&Permit::own()).store.read(|reads| reads.webhooks()).await?;
        for webhook in webhooks {
            // What was to be sent again before a restart still is.
            self.tend(webhook.id, true);
        }
        Ok(())
    }

    /// Sends nothing more; what is under way comes to its end, so that it needn't be sent twice.
    pub async fn webhooks_end(&self) {
        self.webhooks.ending.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.webhooks.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            tracing::warn!("a delivery to a webhook is cut off; it is sent again after the next start");
        }
    }

    /// Has a webhook looked after, and looked at again because it or its deliveries have changed.
    fn tend(self: &Arc<Self>, id: WebhookId, has_queued: bool) {
        let worker = match self.webhooks.workers().entry(id) {
            Entry::Occupied(known) => {
                known.get().has_queued.fetch_or(has_queued, Ordering::AcqRel);
                known.get().wake.notify_one();
                return;
            }
            Entry::Vacant(free) => Arc::clone(
                free.insert(Arc::new(Worker { has_queued: AtomicBool::new(has_queued), ..Worker::default() })),
            ),
        };
        let mut tasks = self.webhooks.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(deliver::run(Arc::clone(self), id, worker));
    }
}
