//! State.

use std::sync::Arc;

use axum::extract::State;

use crate::api::state::{SnapshotQuery, StatisticsQuery};
use crate::app::App;
use crate::model::id::WorkId;
use crate::server::envelope::{data, part};
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, Id};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn workflow_progress(app: Shared, caller: Authenticated, id: Id<WorkId>) -> Answered {
    Ok(data(app.workflow_progress(&caller.0, id.0).await?))
}

pub(super) async fn workflow_snapshots(
    app: Shared,
    caller: Authenticated,
    id: Id<WorkId>,
    Query(query, uri): Query<SnapshotQuery>,
) -> Answered {
    let found = app.workflow_snapshots(&caller.0, id.0, query).await?;
    Ok(part(&found.items, found.total, found.next_after, query.limit, &uri))
}

pub(super) async fn system_metrics(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.system_metrics(&caller.0).await?))
}

pub(super) async fn system_health(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.system_health(&caller.0).await?))
}

pub(super) async fn statistics(app: Shared, caller: Authenticated, query: Query<StatisticsQuery>) -> Answered {
    Ok(data(app.statistics(&caller.0, query.0).await?))
}
