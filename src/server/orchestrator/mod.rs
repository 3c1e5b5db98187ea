//! The orchestrator's routes; this list is its table of contents.

mod batch;
mod events;
mod health;
mod infra;
mod live;
mod logs;
mod rollback;
mod state;
mod tasks;
mod webhooks;
mod workflows;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::description;
use crate::app::App;

/// The routes, ready to serve.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/openapi.json", get(description::openapi))
        .route("/docs", get(description::docs))
        .route("/tasks", get(tasks::task_list))
        .route("/tasks/{id}", get(tasks::task_get))
        .route("/tasks/{id}/cancel", post(tasks::task_cancel))
        .route("/tasks/{id}/retry", post(tasks::task_retry))
        .route("/tasks/{id}/logs", get(tasks::task_logs))
        .route("/workflows/servers/create", post(workflows::workflow_servers_create))
        .route("/workflows/servers/delete", post(workflows::workflow_servers_delete))
        .route("/workflows/taskserv/create", post(workflows::workflow_taskserv_create))
        .route("/workflows/cluster/create", post(workflows::workflow_cluster_create))
        .route("/batch/execute", post(batch::batch_execute))
        .route("/batch/validate", post(batch::batch_validate))
        .route("/batch/plan", post(batch::batch_plan))
        .route("/batch/operations", get(batch::batch_list))
        .route("/batch/operations/{id}", get(batch::batch_get))
        .route("/batch/operations/{id}/cancel", post(batch::batch_cancel))
        .route("/rollback/checkpoints", get(rollback::checkpoint_list).post(rollback::checkpoint_create))
        .route("/rollback/checkpoints/{id}", get(rollback::checkpoint_get))
        .route("/rollback/execute", post(rollback::rollback_execute))
        .route("/rollback/restore/{id}", post(rollback::rollback_restore))
        .route("/rollback/executions", get(rollback::rollback_list))
        .route("/rollback/executions/{id}", get(rollback::rollback_get))
        .route("/rollback/executions/{id}/retry", post(rollback::rollback_retry))
        .route("/rollback/executions/{id}/skip", post(rollback::rollback_skip))
        .route("/rollback/executions/{id}/accept", post(rollback::rollback_accept))
        .route("/rollback/statistics", get(rollback::rollback_statistics))
        .route("/infra", get(infra::infra_list))
        .route("/infra/{id}", get(infra::infra_get))
        .route("/infra/{id}/servers", get(infra::infra_servers))
        .route("/events", get(events::event_stream))
        .route("/state/workflows/{id}/progress", get(state::workflow_progress))
        .route("/state/workflows/{id}/snapshots", get(state::workflow_snapshots))
        .route("/state/system/metrics", get(state::system_metrics))
        .route("/state/system/health", get(state::system_health))
        .route("/state/statistics", get(state::statistics))
        .route("/webhooks", get(webhooks::webhook_list).post(webhooks::webhook_create))
        .route(
            "/webhooks/{id}",
            get(webhooks::webhook_get).put(webhooks::webhook_update).delete(webhooks::webhook_delete),
        )
        .route("/webhooks/{id}/ping", post(webhooks::webhook_ping))
        .route("/webhooks/{id}/deliveries", get(webhooks::webhook_deliveries))
        .route("/webhooks/{id}/redeliver", post(webhooks::webhook_redeliver))
        .route("/ws", get(live::event_socket))
        .route("/logs", get(logs::log_stream))
        .route("/logs/levels", get(logs::log_levels_get).put(logs::log_levels_update))
        .route("/metrics", get(live::metrics))
        .route("/batch/operations/{id}/retry", post(batch::batch_retry));
    super::around(routes, app)
}
