//! One attempt: what is sent, and what is known of the delivery afterwards.

use std::time::Duration;

use serde_json::json;

use super::App;
use crate::api::event::Frame;
use crate::api::webhook::DeliveryBody;
use crate::model::digest::sha256;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;
use crate::model::webhook::{DeliveryStatus, Webhook};
use crate::store::delivery::DeliveryRecord;
use crate::webhook::{Message, Outcome, Target, Verdict, signature};

/// What a ping is called.
pub(super) const PING: &str = "Ping";

impl App {
    /// Sends a frame to a webhook, once.
    pub(super) async fn send_frame(&self, webhook: &Webhook, frame: &Frame) -> Outcome {
        let (id, webhook_id) = (DeliveryId::of(webhook.id, frame.sequence), webhook.id);
        let body = DeliveryBody { id, webhook_id, frame: frame.clone() };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        self.send(webhook, (id, frame.event.as_str(), Some(frame.sequence)), &body).await
    }

    /// Sends what tells of nothing, to try the way.
    pub(super) async fn send_ping(&self, webhook: &Webhook, id: DeliveryId, now: Timestamp) -> Outcome {
        let body = json!({
            "id": id, "webhook_id": webhook.id, "sequence": null, "timestamp": now, "event_type": PING, "data": {},
            "metadata": { "infra": null, "submitted_by": "" },
        });
        self.send(webhook, (id, PING, None), body.to_string().as_bytes()).await
    }

    async fn send(
        &self,
        webhook: &Webhook,
        (id, event, sequence): (DeliveryId, &str, Option<u64>),
        body: &[u8],
    ) -> Outcome {
        let webhooks = &self.webhooks;
        // Once more: what may be reached is as the daemon is configured now.
        let target = match Target::parse(&webhook.url, webhooks.sender.reachable()) {
            Ok(target) => target,
            Err(error) => return Outcome { reply: Err(format!("the URL {error}")), took: Duration::ZERO },
        };
        let turn = webhooks.sends.acquire().await;
        // Receivers hold the time against their own clocks, so it is the wall's and not that of the daemon's deadlines.
        let at = Timestamp::now();
        let signature = signature(webhook.secrets(self.clock.now()), at, body);
        let message = Message { id, webhook: webhook.id, event, sequence, body, signature: &signature };
        let outcome = webhooks.sender.send(&target, &message, at).await;
        drop(turn);
        let counter = if outcome.has_arrived() { &webhooks.figures.delivered } else { &webhooks.figures.failed };
        counter.add_one();
        outcome
    }
}

/// Falls anew for each attempt, and the same for the same one.
pub(super) fn dice(id: DeliveryId, attempts: u32) -> u64 {
    let digest = sha256(&[&id.bytes()[..], &attempts.to_be_bytes()[..]].concat());
    u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// A delivery that was never tried.
pub(super) fn untried(webhook: &Webhook, frame: &Frame, now: Timestamp) -> DeliveryRecord {
    DeliveryRecord {
        webhook: webhook.id,
        id: DeliveryId::of(webhook.id, frame.sequence),
        sequence: frame.sequence,
        event: frame.event.as_str().to_owned(),
        status: DeliveryStatus::Retrying,
        attempts: 0,
        first_at: now,
        last_at: now,
        next_at: None,
        response: None,
        error: None,
        duration_ms: 0,
        frame: None,
    }
}

/// The delivery after one more attempt; what follows from it is still to be said.
pub(super) fn tried(record: DeliveryRecord, outcome: &Outcome, now: Timestamp) -> DeliveryRecord {
    DeliveryRecord {
        attempts: record.attempts.saturating_add(1),
        last_at: now,
        next_at: None,
        response: outcome.status(),
        error: outcome.error(),
        duration_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        ..record
    }
}

/// The delivery with what follows from its last attempt.
pub(super) fn judged(record: DeliveryRecord, verdict: Verdict, frame: &Frame) -> DeliveryRecord {
    match verdict {
        Verdict::Delivered => DeliveryRecord { status: DeliveryStatus::Delivered, frame: None, ..record },
        Verdict::Retry(at) => DeliveryRecord { status: DeliveryStatus::Retrying, next_at: Some(at), ..record },
        Verdict::Gone => DeliveryRecord { status: DeliveryStatus::Retrying, ..record },
        Verdict::Dead => DeliveryRecord { status: DeliveryStatus::Dead, frame: Some(frame.clone()), ..record },
    }
}
