//! Tasks.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse};

use crate::api::read::nothing;
use crate::api::task::{LOG_OFFSET, LogQuery, TaskQuery};
use crate::app::App;
use crate::model::id::TaskId;
use crate::server::envelope::{data, list};
use crate::server::error::Answered;
use crate::server::extract::{Accepting, Authenticated, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn task_list(app: Shared, caller: Authenticated, Query(query, uri): Query<TaskQuery>) -> Answered {
    let page = query.page;
    Ok(list(app.task_list(&caller.0, query).await?, page, &uri))
}

pub(super) async fn task_get(app: Shared, caller: Authenticated, id: Id<TaskId>) -> Answered {
    Ok(data(app.task_get(&caller.0, id.0).await?))
}

pub(super) async fn task_cancel(app: Shared, caller: Authenticated, id: Id<TaskId>, body: JsonBody) -> Answered {
    body.read(nothing)?;
    Ok(data(app.task_cancel(&caller.0, id.0).await?))
}

pub(super) async fn task_retry(
    app: Shared,
    caller: Authenticated,
    id: Id<TaskId>,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    body.read(nothing)?;
    Ok(data(app.task_retry(&caller.0, id.0, body.key).await?))
}

pub(super) async fn task_logs(app: Shared, caller: Authenticated, id: Id<TaskId>, query: Query<LogQuery>) -> Answered {
    let log = app.task_logs(&caller.0, id.0, query.0).await?;
    let offset = log.offset.map(|offset| [(LOG_OFFSET, offset.to_string())]);
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((text, AppendHeaders(offset.into_iter().flatten()), Body::from_stream(log.body)).into_response())
}
