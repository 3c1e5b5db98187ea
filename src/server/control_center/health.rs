//! Whether the control center lives.

use axum::response::Response;

use crate::server::envelope::data;

pub(super) async fn control_health() -> Response {
    data("Control center is healthy")
}
