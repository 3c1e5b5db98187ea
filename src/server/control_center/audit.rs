//! The audit trail.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;

use crate::api::audit::{AuditQuery, ExportQuery, SELECTION, VerifyQuery};
use crate::api::read::nothing;
use crate::app::App;
use crate::server::envelope::{data, part};
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn audit_list(app: Shared, caller: Authenticated, Query(query, uri): Query<AuditQuery>) -> Answered {
    let limit = query.page.limit;
    let listed = app.audit_list(&caller.0, query).await?;
    Ok(part(&listed.items, listed.total, listed.next_after, limit, &uri))
}

pub(super) async fn audit_export(app: Shared, caller: Authenticated, query: Query<ExportQuery>) -> Answered {
    let (format, is_selection) = (query.0.format, !query.0.filter.is_empty());
    let body = Body::from_stream(app.audit_export(&caller.0, query.0).await?);
    let mut response = ([(header::CONTENT_TYPE, format.content_type())], body).into_response();
    response.headers_mut().insert(SELECTION, HeaderValue::from_static(if is_selection { "true" } else { "false" }));
    Ok(response)
}

pub(super) async fn audit_verify(app: Shared, caller: Authenticated, query: Query<VerifyQuery>) -> Answered {
    Ok(data(app.audit_verify(&caller.0, query.0.checkpoint).await?))
}

pub(super) async fn audit_checkpoint_get(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.audit_checkpoint_get(&caller.0).await?))
}

pub(super) async fn audit_checkpoint_create(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    body.read(nothing)?;
    Ok(data(app.audit_checkpoint_create(&caller.0).await?))
}
