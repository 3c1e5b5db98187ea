//! Counts every answer, and how long it took until its head was ready: a stream goes on after that.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::operations;
use crate::app::App;

pub(super) async fn around(app: State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let row = path.and_then(|path| operations::at(request.method().as_str(), path.as_str()));
    let started = Instant::now();
    let response = next.run(request).await;
    app.requests().answered(row, response.status().as_u16(), started.elapsed());
    response
}
