//! The control center's routes; this list is its table of contents.

mod audit;
mod auth;
mod health;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

/// The routes, ready to serve.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/health", get(health::control_health))
        .route("/.well-known/jwks.json", get(auth::jwks))
        .route("/auth/login", post(auth::auth_login))
        .route("/auth/refresh", post(auth::auth_refresh))
        .route("/auth/logout", post(auth::auth_logout))
        .route("/auth/verify", get(auth::auth_verify))
        .route("/audit/logs", get(audit::audit_list))
        .route("/audit/export", get(audit::audit_export))
        .route("/audit/verify", get(audit::audit_verify))
        .route("/audit/checkpoints", get(audit::audit_checkpoint_get).post(audit::audit_checkpoint_create));
    super::around(routes, app)
}
