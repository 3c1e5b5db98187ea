//! Checkpoints and rollbacks.

use std::sync::Arc;

use axum::extract::State;

use crate::api::list::Page;
use crate::api::read::nothing;
use crate::api::rollback::{AcceptRequest, CheckpointRequest, RollbackOrder, SkipRequest};
use crate::app::App;
use crate::model::id::{CheckpointId, RollbackId};
use crate::server::envelope::{answer, data, list};
use crate::server::error::Answered;
use crate::server::extract::{Accepting, Authenticated, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn checkpoint_create(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let request = body.read(CheckpointRequest::read)?;
    Ok(data(app.checkpoint_create(&caller.0, request).await?))
}

pub(super) async fn checkpoint_list(app: Shared, caller: Authenticated, Query(page, uri): Query<Page>) -> Answered {
    Ok(list(app.checkpoint_list(&caller.0, page).await?, page, &uri))
}

pub(super) async fn checkpoint_get(app: Shared, caller: Authenticated, id: Id<CheckpointId>) -> Answered {
    Ok(data(app.checkpoint_get(&caller.0, id.0).await?))
}

pub(super) async fn rollback_execute(app: Shared, caller: Authenticated, _: Accepting, body: JsonBody) -> Answered {
    let order = body.read(RollbackOrder::read)?;
    Ok(answer(app.rollback_execute(&caller.0, order, body.key).await?))
}

pub(super) async fn rollback_restore(
    app: Shared,
    caller: Authenticated,
    id: Id<CheckpointId>,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    let request = body.read(RollbackOrder::read_restore)?;
    Ok(answer(app.rollback_restore(&caller.0, id.0, request, body.key).await?))
}

pub(super) async fn rollback_list(app: Shared, caller: Authenticated, Query(page, uri): Query<Page>) -> Answered {
    Ok(list(app.rollback_list(&caller.0, page).await?, page, &uri))
}

pub(super) async fn rollback_get(app: Shared, caller: Authenticated, id: Id<RollbackId>) -> Answered {
    Ok(answer(app.rollback_get(&caller.0, id.0).await?))
}

pub(super) async fn rollback_retry(
    app: Shared,
    caller: Authenticated,
    id: Id<RollbackId>,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    body.read(nothing)?;
    Ok(answer(app.rollback_retry(&caller.0, id.0).await?))
}

pub(super) async fn rollback_skip(
    app: Shared,
    caller: Authenticated,
    id: Id<RollbackId>,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    let request = body.read(SkipRequest::read)?;
    Ok(answer(app.rollback_skip(&caller.0, id.0, request).await?))
}

pub(super) async fn rollback_accept(
    app: Shared,
    caller: Authenticated,
    id: Id<RollbackId>,
    body: JsonBody,
) -> Answered {
    let request = body.read(AcceptRequest::read)?;
    Ok(answer(app.rollback_accept(&caller.0, id.0, request).await?))
}

pub(super) async fn rollback_statistics(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.rollback_statistics(&caller.0).await?))
}
