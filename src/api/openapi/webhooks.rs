//! The operations on webhooks.

use serde_json::{Value, json};

use super::examples::ID;
use super::operation::{Operation, one, part};
use super::shapes::Deleted;
use crate::api::webhook::{
    DeliveryBody, DeliveryQuery, DeliveryView, MadeWebhook, NewWebhook, Redelivering, Redelivery, WebhookChange,
    WebhookQuery, WebhookView,
};
use crate::model::id::WebhookId;

const SENDING: &str = "Frames of `GET /events` are sent there as they happen, each in a POST of its own (see `DeliveryBody`), \
     in order and at least once: nothing is sent before what came earlier was answered with a 2xx, or was set aside after a \
     day of attempts. `X-Prov-Delivery` is the same at every attempt, for the receiver to know what it has already; \
     `X-Prov-Event` and `X-Prov-Sequence` name the frame. `X-Prov-Signature` is `t=<seconds>,v1=<signature>`, the signature \
     the HMAC-SHA256 of `<seconds>.<body>` with the secret, in hexadecimal; while the secret is changed there are two. \
     Redirects are not followed. 410 Gone pauses the webhook.";

pub(super) fn operations() -> Vec<Operation> {
    let id = "The webhook.";
    vec![
        part::<WebhookView>("webhook_list", "Lists webhooks")
            .noting("One's own, and those of others for whoever may manage them.")
            .query::<WebhookQuery>()
            .answering(json!([webhook()])),
        one::<MadeWebhook>("webhook_create", "Has events sent to a URL")
            .noting(SENDING)
            .mentioning::<DeliveryBody>()
            .body::<NewWebhook>(|body| NewWebhook::read(body).map(drop), new())
            .answering(made()),
        one::<WebhookView>("webhook_get", "Shows a webhook").of::<WebhookId>(id).answering(webhook()),
        one::<MadeWebhook>("webhook_update", "Changes, pauses or resumes a webhook, or gives it another secret")
            .noting("What happens while it is paused is sent afterwards.")
            .of::<WebhookId>(id)
            .body::<WebhookChange>(|body| WebhookChange::read(body).map(drop), change())
            .answering(webhook()),
        one::<Deleted>("webhook_delete", "Deletes a webhook, with what is known of its deliveries").of::<WebhookId>(id),
        one::<DeliveryView>("webhook_ping", "Sends a test event, and shows what became of it")
            .of::<WebhookId>(id)
            .without_body()
            .answering(delivery("delivered")),
        part::<DeliveryView>("webhook_deliveries", "Lists what became of frames on their way to a webhook")
            .noting(
                "The last hundred that arrived, the one that is tried again, and up to a thousand that were set aside.",
            )
            .of::<WebhookId>(id)
            .query::<DeliveryQuery>()
            .answering(json!([delivery("dead")])),
        one::<Redelivering>("webhook_redeliver", "Sends again what was set aside")
            .noting("Each is tried once, and set aside again when that fails.")
            .of::<WebhookId>(id)
            .body::<Redelivery>(|body| Redelivery::read(body).map(drop), json!({ "deliveries": [ID] }))
            .answering(json!({ "queued": 1 })),
    ]
}

fn new() -> Value {
    json!({
        "url": "https://example.com/hook",
        "events": ["batch", "TaskStatusChanged"],
        "infras": ["production"],
        "secret": "nine-kittens-in-a-gale",
    })
}

fn change() -> Value {
    json!({
        "url": "https://example.com/hook",
        "events": ["batch"],
        "infras": [],
        "enabled": true,
        "roll_secret": true,
        "overlap_seconds": 3600,
    })
}

fn webhook() -> Value {
    json!({
        "id": ID,
        "owner": ID,
        "url": "https://example.com/hook",
        "events": ["TaskStatusChanged", "batch"],
        "infras": ["production"],
        "enabled": true,
        "state": "active",
        "reason": null,
        "sequence": 42,
        "failures": 0,
        "next_attempt_at": null,
        "delivered_at": "2026-11-27T16:02:30.000Z",
        "former_secret_until": null,
        "created_at": "2026-11-27T16:00:00.000Z",
        "updated_at": "2026-11-27T16:00:00.000Z",
    })
}

fn made() -> Value {
    let mut made = webhook();
    made["secret"] = json!("nine-kittens-in-a-gale");
    made
}

fn delivery(status: &str) -> Value {
    json!({
        "id": ID,
        "sequence": 42,
        "event": "TaskStatusChanged",
        "status": status,
        "attempts": 1,
        "first_attempt_at": "2026-11-27T16:02:30.000Z",
        "last_attempt_at": "2026-11-27T16:02:30.000Z",
        "next_attempt_at": null,
        "response_status": 204,
        "duration_ms": 83,
        "error": null,
    })
}
