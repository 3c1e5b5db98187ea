//! Webhooks.

use std::sync::Arc;

use axum::extract::State;

use crate::api::read::nothing;
use crate::api::webhook::{DeliveryQuery, NewWebhook, Redelivery, WebhookChange, WebhookQuery};
use crate::app::App;
use crate::model::id::WebhookId;
use crate::server::envelope::{data, list};
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn webhook_list(
    app: Shared,
    caller: Authenticated,
    Query(query, uri): Query<WebhookQuery>,
) -> Answered {
    let page = query.page;
    Ok(list(app.webhook_list(&caller.0, &query).await?, page, &uri))
}

pub(super) async fn webhook_create(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let new = body.read(NewWebhook::read)?;
    Ok(data(app.webhook_create(&caller.0, new).await?))
}

pub(super) async fn webhook_get(app: Shared, caller: Authenticated, id: Id<WebhookId>) -> Answered {
    Ok(data(app.webhook_get(&caller.0, id.0).await?))
}

pub(super) async fn webhook_update(app: Shared, caller: Authenticated, id: Id<WebhookId>, body: JsonBody) -> Answered {
    let change = body.read(WebhookChange::read)?;
    Ok(data(app.webhook_update(&caller.0, id.0, &change).await?))
}

pub(super) async fn webhook_delete(app: Shared, caller: Authenticated, id: Id<WebhookId>) -> Answered {
    app.webhook_delete(&caller.0, id.0).await?;
    Ok(data(serde_json::json!({ "deleted": id.0 })))
}

pub(super) async fn webhook_ping(app: Shared, caller: Authenticated, id: Id<WebhookId>, body: JsonBody) -> Answered {
    body.read(nothing)?;
    Ok(data(app.webhook_ping(&caller.0, id.0).await?))
}

pub(super) async fn webhook_deliveries(
    app: Shared,
    caller: Authenticated,
    id: Id<WebhookId>,
    Query(query, uri): Query<DeliveryQuery>,
) -> Answered {
    Ok(list(app.webhook_deliveries(&caller.0, id.0, query).await?, query.page, &uri))
}

pub(super) async fn webhook_redeliver(
    app: Shared,
    caller: Authenticated,
    id: Id<WebhookId>,
    body: JsonBody,
) -> Answered {
    let wanted = body.read(Redelivery::read)?;
    Ok(data(app.webhook_redeliver(&caller.0, id.0, &wanted).await?))
}
