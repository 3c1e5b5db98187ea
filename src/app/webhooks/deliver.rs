//! The worker of one webhook: one frame after the other, each until it has arrived or was set aside.
//!
//! It works in turns. A turn reads the webhook as it is now, does at most one attempt, and writes down what became of it
//! with how far the sending has come, in one commit; so a change counts at once, and a daemon that is killed sends at most
//! the last frame twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::super::context::Permit;
use super::super::error::Error;
use super::super::events::Reader;
use super::super::trail;
use super::attempt::{dice, judged, tried, untried};
use super::line::{Line, superfluous};
use super::rights::Reads;
use super::{App, Condition, Worker};
use crate::api::event::Frame;
use crate::api::webhook::EventWord;
use crate::audit;
use crate::model::id::{DeliveryId, WebhookId};
use crate::model::time::Timestamp;
use crate::model::webhook::{DeliveryStatus, Webhook};
use crate::store::delivery::DeliveryRecord;
use crate::store::{Change, CommitError, Precondition, Store, Transaction};
use crate::webhook::{Target, Verdict};

/// How long a worker waits for what wakes nobody: a right given back, a clock that was set.
const REVIEW: Duration = Duration::from_secs(30);
/// How long it leaves a store alone that fails.
const FAULT_PAUSE: Duration = Duration::from_secs(5);
/// How long it lets events gather before it looks again: of many a second, each need not wake every worker.
const GATHER: Duration = Duration::from_millis(50);
/// After so many deliveries old ones are forgotten.
const FORGET_EACH: usize = 50;

/// What follows a turn.
enum Turn {
    /// Another one.
    Again,
    /// A rest until something happens to the webhook or to this time at most; or with true, until there are new events.
    Rest(Duration, bool),
    /// The webhook is gone.
    Over,
}

/// Sends to a webhook until it is gone or the daemon ends.
pub(super) async fn run(app: Arc<App>, id: WebhookId, worker: Arc<Worker>) {
    let mut ending = app.webhooks.ending.subscribe();
    let mut changes = app.guarded.open(&Permit::own()).scheduler.changes();
    let mut line = None;
    while !*ending.borrow_and_update() {
        changes.mark_unchanged();
        let (longest, for_events) = match app.turn(id, &worker, &mut line).await {
            Ok(Turn::Again) => continue,
            Ok(Turn::Over) => break,
            Ok(Turn::Rest(longest, for_events)) => (longest, for_events),
            Err(error) => {
                tracing::warn!(webhook = %id, %error, "can't go on with a webhook; trying again");
                line = None;
                (FAULT_PAUSE, false)
            }
        };
        tokio::select! {
            _ = ending.changed() => {}
            () = worker.wake.notified() => {}
            () = tokio::time::sleep(longest) => {}
            () = changed(&mut changes), if for_events => tokio::time::sleep(GATHER).await,
        }
    }
    app.webhooks.workers().remove(&id);
}

/// Where there is no scheduler any more, nothing happens.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl App {
    async fn turn(self: &Arc<Self>, id: WebhookId, worker: &Worker, kept: &mut Option<Line>) -> Result<Turn, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let read = store.read(move |reads| Ok((reads.webhook(id)?, reads.webhook_progress(id)?.unwrap_or_default())));
        let (webhook, progress) = read.await?;
        let Some(webhook) = webhook else { return Ok(Turn::Over) };
        let line = match kept.take() {
            None => Line::after(progress, webhook.generation),
            Some(line) if line.generation != webhook.generation => line.anew(webhook.generation),
            Some(line) => line,
        };
        let line = kept.insert(line);
        let reads_for = self.reads_for(&webhook).await?;
        let (Reads::For(asker), true) = (reads_for, webhook.enabled) else {
            worker.note(Condition::default());
            return Ok(Turn::Rest(REVIEW, false));
        };
        if self.redeliver_one(&webhook, &asker, worker).await? {
            return Ok(Turn::Again);
        }
        if line.first().is_none() {
            let read = self.read_on(line).await?;
            let Some(last) = read.last().map(|frame| frame.sequence) else {
                worker.note(Condition { failures: line.progress.failures, waits_since: None });
                return Ok(Turn::Rest(REVIEW, true));
            };
            let wanted = read.into_iter().filter(|frame| is_wanted(&webhook, frame)).collect();
            line.take_in(self.readable_frames(asker, wanted).await?);
            if line.first().is_none() {
                line.pass(last);
                if line.is_far_ahead() {
                    self.write(store, line, id, Vec::new()).await?;
                }
            }
            return Ok(Turn::Again);
        }
        if line.is_stale() {
            let waiting = line.all();
            line.take_in(self.readable_frames(asker, waiting).await?);
        }
        let Some(frame) = line.first().map(Arc::clone) else { return Ok(Turn::Again) };
        let (now, delivery) = (self.clock.now(), DeliveryId::of(id, frame.sequence));
        if line.known(&frame).is_none() {
            let known = store.read(move |reads| reads.delivery(id, delivery)).await?;
            let known = known.filter(|known| known.status == DeliveryStatus::Retrying);
            line.learn(known.unwrap_or_else(|| untried(&webhook, &frame, now)));
        }
        let record = line.known(&frame).cloned().unwrap_or_else(|| untried(&webhook, &frame, now));
        worker.note(Condition { failures: line.progress.failures, waits_since: Some(frame.timestamp) });
        match record.next_at {
            Some(at) if at > now => Ok(Turn::Rest(at.since(now).min(REVIEW), false)),
            _ => self.try_first(&webhook, line, &frame, record).await,
        }
    }

    /// The next part of the stream.
    async fn read_on(&self, line: &mut Line) -> Result<Vec<Arc<Frame>>, Error> {
        let (feed, cursor) = (Arc::clone(&self.feed), line.progress.cursor);
        let mut reader = line.reader.take().unwrap_or_else(|| Reader::after(cursor));
        let store = &self.guarded.open(&Permit::own()).store;
        let (frames, reader) = store.read(move |reads| Ok((feed.read(reads, &mut reader)?, reader))).await?;
        line.reader = Some(reader);
        Ok(frames)
    }

    /// Tries to deliver the first frame of a line.
    async fn try_first(
        &self,
        webhook: &Webhook,
        line: &mut Line,
        frame: &Arc<Frame>,
        before: DeliveryRecord,
    ) -> Result<Turn, Error> {
        let outcome = self.send_frame(webhook, frame).await;
        let now = self.clock.now();
        let record = tried(before, &outcome, now);
        let dice = dice(record.id, record.attempts);
        let verdict = self.webhooks.schedule.verdict(&outcome, record.attempts, record.first_at, now, dice);
        let record = judged(record, verdict, frame);
        tell(webhook, &record, verdict);
        let mut changes = vec![Change::PutDelivery(Box::new(record.clone()))];
        match verdict {
            Verdict::Delivered => {
                line.arrived(now);
                line.pass(frame.sequence);
            }
            Verdict::Retry(_) => line.failed(&record),
            Verdict::Dead => {
                line.failed(&record);
                line.pass(frame.sequence);
                self.webhooks.figures.dead.add_one();
            }
            Verdict::Gone => {
                line.failed(&record);
                changes.extend(stopped(webhook, now));
            }
        }
        line.learn(record);
        let store = &self.guarded.open(&Permit::own()).store;
        match (self.write(store, line, webhook.id, changes).await, verdict) {
            (Ok(()), _) => {}
            // It goes on from memory, and what comes later makes up for it.
            (Err(error), Verdict::Delivered | Verdict::Retry(_)) => {
                tracing::warn!(webhook = %webhook.id, %error, "what became of a delivery is not written down yet");
            }
            // What is set aside must be found again.
            (Err(error), Verdict::Dead | Verdict::Gone) => return Err(error),
        }
        line.ended += usize::from(matches!(verdict, Verdict::Delivered | Verdict::Dead));
        if line.ended >= FORGET_EACH {
            line.ended = 0;
            self.forget_deliveries(store, webhook.id).await?;
        }
        Ok(Turn::Again)
    }

    /// Writes how far the sending has come, with what belongs to it.
    async fn write(
        &self,
        store: &Store,
        line: &mut Line,
        id: WebhookId,
        mut changes: Vec<Change>,
    ) -> Result<(), Error> {
        // Who changes the webhook itself must have read it as it is.
        let puts_webhook = changes.iter().any(|change| matches!(change, Change::PutWebhook(_)));
        let preconditions = if puts_webhook {
            vec![Precondition::WebhookGeneration(id, line.generation)]
        } else {
            vec![Precondition::WebhookThere(id)]
        };
        changes.push(Change::PutWebhookProgress(id, Box::new(line.progress.clone())));
        match store.commit(Transaction { preconditions, changes }).await {
            Ok(()) => line.is_written(),
            // Somebody has deleted or changed it meanwhile; the next turn sees that.
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn forget_deliveries(&self, store: &Store, id: WebhookId) -> Result<(), Error> {
        let read = store.read(move |reads| Ok(superfluous(&reads.deliveries(id)?)));
        let changes: Vec<Change> = read.await?.into_iter().map(|old| Change::RemoveDelivery(id, old)).collect();
        if changes.is_empty() { Ok(()) } else { Ok(store.commit(Transaction::of(changes)).await?) }
    }
}

fn is_wanted(webhook: &Webhook, frame: &Frame) -> bool {
    let infra = frame.metadata.infra.as_ref();
    EventWord::is_wanted(&webhook.events, &frame.event)
        && (webhook.infras.is_empty() || infra.is_some_and(|infra| webhook.infras.contains(infra)))
}

/// Pauses the webhook whose receiver wants no more.
fn stopped(webhook: &Webhook, now: Timestamp) -> [Change; 2] {
    const WHY: &str = "the receiver answered 410 Gone";
    let (stopped, generation) = (Some(WHY.to_owned()), webhook.generation + 1);
    let next = Webhook { enabled: false, stopped, generation, updated_at: now, ..webhook.clone() };
    let details = json!({ "owner": webhook.owner, "reason": WHY });
    let entry = trail::own("webhook_pause", audit::Resource::new("webhook", webhook.id), now, details);
    [Change::PutWebhook(Box::new(next)), entry]
}

/// For the log: the first failure of a frame and its end, and of the URL nothing that may be a secret.
fn tell(webhook: &Webhook, record: &DeliveryRecord, verdict: Verdict) {
    let origin = Target::origin_of(&webhook.url);
    let (id, sequence, attempts) = (webhook.id, record.sequence, record.attempts);
    let error = record.error.as_deref().unwrap_or_default();
    match verdict {
        Verdict::Delivered if attempts > 1 => {
            tracing::info!(webhook = %id, origin, sequence, attempts, "a delivery has arrived at last");
        }
        Verdict::Retry(_) if attempts == 1 => {
            tracing::warn!(webhook = %id, origin, sequence, error, "a delivery failed; it is tried again");
        }
        Verdict::Dead => tracing::warn!(webhook = %id, origin, sequence, attempts, error, "a delivery is set aside"),
        Verdict::Gone => tracing::warn!(webhook = %id, origin, sequence, "the receiver is gone; the webhook is paused"),
        Verdict::Delivered | Verdict::Retry(_) => {}
    }
}
