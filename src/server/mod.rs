//! The two REST APIs, and the only place that knows axum.
//!
//! A handler extracts, makes one call of [`crate::app`] and converts the answer; it knows no store, no scheduler and no
//! policy. Every answer has the envelope, whatever went wrong: see [`error`] for the one map from errors to statuses.

mod accept;
mod body;
pub mod control_center;
mod description;
mod envelope;
mod error;
mod extract;
pub mod listen;
mod measure;
mod middleware;
pub mod orchestrator;
mod query;
mod safeguards;
mod socket;
pub mod tls;

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// What both APIs have around their routes: answers for what no route takes, ids, logs, limits.
fn around(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .fallback(middleware::no_route)
        .method_not_allowed_fallback(middleware::no_method)
        .layer(axum::middleware::from_fn(middleware::around))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), measure::around))
        .with_state(app)
}
