//! Webhooks and deliveries for people.

use crate::api::webhook::{DeliveryView, WebhookView};
use crate::cli::printer::{Rows, age, or_dash, short};
use crate::model::time::Timestamp;

pub(super) fn rows(webhooks: &[WebhookView], now: Timestamp) -> Rows {
    let cells = |webhook: &WebhookView| {
        vec![
            webhook.id.to_string(),
            webhook.state.as_str().to_owned(),
            webhook.url.clone(),
            listed(&webhook.events),
            or_dash(webhook.delivered_at.map(|at| age(at, now))),
            or_dash(webhook.reason.as_ref()),
            listed(&webhook.infras),
            webhook.owner.to_string(),
            age(webhook.created_at, now),
        ]
    };
    Rows {
        header: vec!["ID", "STATE", "URL", "EVENTS", "DELIVERED", "REASON", "INFRAS", "OWNER", "AGE"],
        narrow: 6,
        rows: webhooks.iter().map(cells).collect(),
    }
}

pub(super) fn text(webhook: &WebhookView, now: Timestamp) -> String {
    let lines = [
        format!("id:           {}", webhook.id),
        format!("url:          {}", webhook.url),
        format!("owner:        {}", webhook.owner),
        format!("events:       {}", listed(&webhook.events)),
        format!("infras:       {}", listed(&webhook.infras)),
        format!("state:        {}", webhook.state.as_str()),
        format!("reason:       {}", or_dash(webhook.reason.as_ref())),
        format!("failures:     {}", webhook.failures),
        format!("next attempt: {}", or_dash(webhook.next_attempt_at)),
        format!("delivered:    {}", or_dash(webhook.delivered_at)),
        format!("sequence:     {}", webhook.sequence),
        format!("two secrets:  {}", webhook.former_secret_until.map_or("no".to_owned(), |at| format!("until {at}"))),
        format!("created:      {} ({} ago)", webhook.created_at, age(webhook.created_at, now)),
        format!("updated:      {}", webhook.updated_at),
    ];
    lines.join("\n") + "\n"
}

pub(super) fn delivery_rows(deliveries: &[DeliveryView], now: Timestamp) -> Rows {
    let cells = |delivery: &DeliveryView| {
        vec![
            delivery.id.to_string(),
            delivery.status.to_string(),
            delivery.event.clone(),
            or_dash(delivery.response_status),
            delivery.attempts.to_string(),
            age(delivery.last_attempt_at, now),
            or_dash(delivery.error.as_ref()),
            or_dash(delivery.next_attempt_at.map(|at| format!("in {}", short(at.since(now))))),
            format!("{}ms", delivery.duration_ms),
            or_dash(delivery.sequence),
        ]
    };
    Rows {
        header: vec!["ID", "STATUS", "EVENT", "ANSWER", "ATTEMPTS", "AGE", "ERROR", "NEXT", "TOOK", "SEQUENCE"],
        narrow: 7,
        rows: deliveries.iter().map(cells).collect(),
    }
}

pub(super) fn delivery(delivery: &DeliveryView) -> String {
    let answer = or_dash(delivery.response_status);
    match &delivery.error {
        None => format!("delivered: answered {answer} after {} ms\n", delivery.duration_ms),
        Some(error) => format!("not delivered: {error}\n"),
    }
}

/// Those that are named, or all.
fn listed<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { "all".to_owned() } else { items.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::webhook::WebhookState;
    use crate::model::id::{DeliveryId, UserId, WebhookId};
    use crate::model::webhook::DeliveryStatus;

    #[test]
    fn a_row_tells_how_a_webhook_does() {
        let webhook = WebhookView {
            id: WebhookId(uuid::Uuid::from_u128(1)),
            owner: UserId(uuid::Uuid::from_u128(2)),
            url: "https://example.com/hook".to_owned(),
            events: vec!["batch".to_owned(), "task".to_owned()],
            infras: Vec::new(),
            enabled: true,
            state: WebhookState::Failing,
            reason: Some("the receiver answered 503".to_owned()),
            sequence: 7,
            failures: 2,
            next_attempt_at: None,
            delivered_at: Some(Timestamp(2000)),
            former_secret_until: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let row = rows(std::slice::from_ref(&webhook), Timestamp(5000)).rows.remove(0);
        assert_eq!(
            row[1..7],
            ["failing", "https://example.com/hook", "batch,task", "3s", "the receiver answered 503", "all"]
        );
        assert!(text(&webhook, Timestamp(5000)).contains("reason:       the receiver answered 503\n"));
    }

    #[test]
    fn a_row_tells_what_became_of_a_delivery() {
        let mut view = DeliveryView {
            id: DeliveryId(uuid::Uuid::from_u128(1)),
            sequence: Some(9),
            event: "TaskStatusChanged".to_owned(),
            status: DeliveryStatus::Retrying,
            attempts: 3,
            first_attempt_at: Timestamp(0),
            last_attempt_at: Timestamp(1000),
            next_attempt_at: Some(Timestamp(8000)),
            response_status: None,
            duration_ms: 12,
            error: Some("can't connect to the receiver".to_owned()),
        };
        let row = delivery_rows(std::slice::from_ref(&view), Timestamp(5000)).rows.remove(0);
        let expected =
            ["retrying", "TaskStatusChanged", "-", "3", "4s", "can't connect to the receiver", "in 3s", "12ms", "9"];
        assert_eq!(row[1..], expected);
        assert_eq!(delivery(&view), "not delivered: can't connect to the receiver\n");
        (view.error, view.response_status) = (None, Some(204));
        assert_eq!(delivery(&view), "delivered: answered 204 after 12 ms\n");
    }
}
