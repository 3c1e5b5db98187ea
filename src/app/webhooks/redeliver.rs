//! Sending again what was set aside: each is tried once, and set aside again when that fails.

use serde_json::json;

use super::super::authorise::Asker;
use super::super::context::{Context, Permit};
use super::super::error::Error;
use super::super::login::problem;
use super::super::trail;
use super::attempt::{judged, tried};
use super::{App, Worker};
use crate::api::webhook::{Redelivering, Redelivery};
use crate::audit;
use crate::model::id::WebhookId;
use crate::model::webhook::{DeliveryStatus, Webhook};
use crate::store::delivery::DeliveryRecord;
use crate::store::{Change, Precondition, Transaction};
use crate::webhook::Verdict;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl App {
    /// Has deliveries sent again that were set aside: those named, or all.
    ///
    /// # Errors
    /// When the caller may not see such a webhook, or one that is named wasn't set aside.
    pub async fn webhook_redeliver(
        self: &Arc<Self>,
        context: &Context,
        id: WebhookId,
        wanted: &Redelivery,
    ) -> Result<Redelivering, Error> {
        let (webhook, permit) = self.managed_webhook(context, "webhook_redeliver", id).await?;
        let store = &self.guarded.open(&permit).store;
        let known = store.read(move |reads| reads.deliveries(id)).await?;
        let chosen = chosen(known, wanted)?;
        let queued = chosen.len();
        if queued > 0 {
            let details = json!({ "deliveries": queued, "owner": webhook.owner });
            let resource = audit::Resource::new("webhook", id);
            let now = self.clock.now();
            let mut changes = vec![trail::done_with(context, &permit, "webhook_redeliver", resource, now, details)];
            changes.extend(chosen.into_iter().map(|record| Change::PutDelivery(Box::new(record))));
            let preconditions = vec![Precondition::WebhookThere(id)];
            store.commit(Transaction { preconditions, changes }).await?;
            self.tend(id, true);
        }
        Ok(Redelivering { queued })
    }

    /// Sends one of those that are to be sent again; whether there was one.
    pub(super) async fn redeliver_one(&self, webhook: &Webhook, asker: &Asker, worker: &Worker) -> Result<bool, Error> {
        if !worker.has_queued.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        let (id, store) = (webhook.id, &self.guarded.open(&Permit::own()).store);
        let is_queued = |record: &DeliveryRecord| record.status == DeliveryStatus::Queued;
        let read = store.read(move |reads| Ok(reads.deliveries(id)?.into_iter().find(is_queued)));
        let found = match read.await {
            Ok(None) => return Ok(false),
            found => {
                // There may be more, and this one is there until it is written that it isn't.
                worker.has_queued.store(true, Ordering::Release);
                found?
            }
        };
        let Some((record, frame)) = found.and_then(|record| Some((record.clone(), record.frame?))) else {
            return Ok(false);
        };
        let frame = Arc::new(frame);
        let changes = if self.readable_frames(asker.clone(), vec![Arc::clone(&frame)]).await?.is_empty() {
            // Its owner may not read it any more, and never learns more of it.
            vec![Change::RemoveDelivery(id, record.id)]
        } else {
            let outcome = self.send_frame(webhook, &frame).await;
            let verdict = if outcome.has_arrived() { Verdict::Delivered } else { Verdict::Dead };
            let record = tried(record, &outcome, self.clock.now());
            vec![Change::PutDelivery(Box::new(judged(record, verdict, &frame)))]
        };
        let preconditions = vec![Precondition::WebhookThere(id)];
        store.commit(Transaction { preconditions, changes }).await?;
        Ok(true)
    }
}

/// The deliveries that are sent again, as they stand from now on.
fn chosen(known: Vec<DeliveryRecord>, wanted: &Redelivery) -> Result<Vec<DeliveryRecord>, Error> {
    if let Some(named) = &wanted.deliveries {
        for (place, id) in named.iter().enumerate() {
            let status = known.iter().find(|record| record.id == *id).map(|record| record.status);
            let pointer = format!("/deliveries/{place}");
            match status {
                None => return Err(problem(&pointer, "is no delivery of this webhook that is known")),
                Some(DeliveryStatus::Dead | DeliveryStatus::Queued) => {}
                Some(other) => {
                    return Err(Error::Conflict(format!("{id} is {other}; only what is dead is sent again")));
                }
            }
        }
    }
    let is_wanted = |record: &DeliveryRecord| {
        record.status == DeliveryStatus::Dead
            && wanted.deliveries.as_ref().is_none_or(|named| named.contains(&record.id))
    };
    let queued = |record| DeliveryRecord { status: DeliveryStatus::Queued, ..record };
    Ok(known.into_iter().filter(is_wanted).map(queued).collect())
}
