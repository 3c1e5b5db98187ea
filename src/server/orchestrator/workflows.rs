//! Workflows; each answers the id of a task.

use std::sync::Arc;

use axum::extract::State;

use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, TaskservWorkflow, WorkflowOperation};
use crate::app::App;
use crate::server::envelope::data;
use crate::server::error::Answered;
use crate::server::extract::{Accepting, Authenticated, JsonBody};

type Shared = State<Arc<App>>;

pub(super) async fn workflow_servers_create(
    app: Shared,
    caller: Authenticated,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    let request = body.read(ServersWorkflow::read)?;
    Ok(data(app.workflow_servers(&caller.0, WorkflowOperation::Create, request, body.key).await?))
}

pub(super) async fn workflow_servers_delete(
    app: Shared,
    caller: Authenticated,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    let request = body.read(ServersWorkflow::read)?;
    Ok(data(app.workflow_servers(&caller.0, WorkflowOperation::Delete, request, body.key).await?))
}

pub(super) async fn workflow_taskserv_create(
    app: Shared,
    caller: Authenticated,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    let request = body.read(TaskservWorkflow::read)?;
    Ok(data(app.workflow_taskserv_create(&caller.0, request, body.key).await?))
}

pub(super) async fn workflow_cluster_create(
    app: Shared,
    caller: Authenticated,
    _: Accepting,
    body: JsonBody,
) -> Answered {
    let request = body.read(ClusterWorkflow::read)?;
    Ok(data(app.workflow_cluster_create(&caller.0, request, body.key).await?))
}
