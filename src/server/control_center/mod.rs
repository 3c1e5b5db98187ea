//! The control center's routes; this list is its table of contents.

mod audit;
mod auth;
mod health;
mod mfa;
mod policies;
mod tokens;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use super::description;
use crate::app::App;

/// The routes, ready to serve.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/health", get(health::control_health))
        .route("/openapi.json", get(description::control_openapi))
        .route("/docs", get(description::control_docs))
        .route("/.well-known/jwks.json", get(auth::jwks))
        .route("/auth/login", post(auth::auth_login))
        .route("/auth/refresh", post(auth::auth_refresh))
        .route("/auth/logout", post(auth::auth_logout))
        .route("/auth/verify", get(auth::auth_verify))
        .route("/auth/password", post(auth::auth_password))
        .route("/auth/sessions", get(auth::session_list))
        .route("/auth/sessions/{id}", delete(auth::session_delete))
        .route("/mfa", get(mfa::mfa_get).delete(mfa::mfa_disable))
        .route("/mfa/enroll/totp", post(mfa::mfa_enroll_totp))
        .route("/mfa/verify", post(mfa::mfa_verify))
        .route("/auth/tokens", get(tokens::token_list).post(tokens::token_create))
        .route("/auth/tokens/{id}", delete(tokens::token_delete))
        .route("/users", get(users::user_list).post(users::user_create))
        .route("/users/{id}", get(users::user_get).put(users::user_update).delete(users::user_delete))
        .route("/users/{id}/unlock", post(users::user_unlock))
        .route("/roles", get(users::role_list))
        .route("/audit/logs", get(audit::audit_list))
        .route("/audit/export", get(audit::audit_export))
        .route("/audit/verify", get(audit::audit_verify))
        .route("/audit/checkpoints", get(audit::audit_checkpoint_get).post(audit::audit_checkpoint_create))
        .route("/policies", get(policies::policy_list).post(policies::policy_create))
        .route("/policies/validate", post(policies::policy_validate))
        .route("/policies/evaluate", post(policies::policy_evaluate))
        .route("/policies/{id}", get(policies::policy_get).put(policies::policy_update).delete(policies::policy_delete))
        .route("/policies/{id}/versions", get(policies::policy_versions))
        .route("/policies/{id}/rollback", post(policies::policy_rollback));
    super::around(routes, app)
}
