//! Whether the orchestrator lives, and whether it takes work.

use axum::response::Response;

use crate::server::envelope::data;
use crate::server::extract::Accepting;

pub(super) async fn health() -> Response {
    data("Orchestrator is healthy")
}

pub(super) async fn ready(_: Accepting) -> Response {
    data("Orchestrator is ready")
}
