//! Batches.

use std::sync::Arc;

use axum::extract::State;

use crate::api::batch::{BatchDraft, BatchQuery, read_cancel};
use crate::api::read::nothing;
use crate::app::App;
use crate::model::id::BatchId;
use crate::server::envelope::{answer, list};
use crate::server::error::Answered;
use crate::server::extract::{Accepting, Authenticated, Batch, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn batch_execute(
    app: Shared,
    caller: Authenticated,
    _: Accepting,
    mut body: JsonBody<Batch>,
) -> Answered {
    let draft = body.read_aside(BatchDraft::read).await?;
    Ok(answer(app.batch_execute(&caller.0, draft, body.key).await?))
}

pub(super) async fn batch_validate(app: Shared, caller: Authenticated, mut body: JsonBody<Batch>) -> Answered {
    let draft = body.read_aside(BatchDraft::read).await?;
    Ok(answer(app.batch_validate(&caller.0, draft).await?))
}

pub(super) async fn batch_plan(app: Shared, caller: Authenticated, mut body: JsonBody<Batch>) -> Answered {
    let draft = body.read_aside(BatchDraft::read).await?;
    Ok(answer(app.batch_plan(&caller.0, draft).await?))
}

pub(super) async fn batch_list(app: Shared, caller: Authenticated, Query(query, uri): Query<BatchQuery>) -> Answered {
    let page = query.page;
    Ok(list(app.batch_list(&caller.0, query).await?, page, &uri))
}

pub(super) async fn batch_get(app: Shared, caller: Authenticated, id: Id<BatchId>) -> Answered {
    Ok(answer(app.batch_get(&caller.0, id.0).await?))
}

pub(super) async fn batch_cancel(app: Shared, caller: Authenticated, id: Id<BatchId>, body: JsonBody) -> Answered {
    let rollback = body.read(read_cancel)?;
    Ok(answer(app.batch_cancel(&caller.0, id.0, rollback).await?))
}

pub(super) async fn batch_retry(
    app: Shared,
    caller: Authenticated,
    id: Id<BatchId>,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    body.read(nothing)?;
    Ok(answer(app.batch_retry(&caller.0, id.0, body.key).await?))
}
