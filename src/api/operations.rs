//! The one table of operations: every call of both APIs by name, with who may make it.
//!
//! Router, client, policy and tests are checked against it. An operation's id is the same word in every layer.

/// Which of the two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Port 9090.
    Orchestrator,
    /// Port 9080.
    ControlCenter,
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A valid token; it concerns only the caller.
    Authenticated,
    /// The access token of a login; it concerns only the caller, and no script that found an API token may do it.
    Session,
    /// A valid token whose roles permit this policy action.
    Action(&'static str),
}

/// What a call answers when it succeeds; every failure is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// Plain text.
    Text,
    /// A page.
    Html,
    /// Server-sent events.
    Events,
    /// What the query asks for.
    Any,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The operation's name, the same in client, server, app and tests.
    pub id: &'static str,
    /// Where it is served.
    pub api: Api,
    /// The HTTP method.
    pub method: &'static str,
    /// The path, parameters in braces.
    pub path: &'static str,
    /// What the caller needs.
    pub access: Access,
    /// Whether it reads parameters from the query; one that doesn't refuses them all.
    pub takes_query: bool,
    /// What it answers.
    pub media: Media,
}

const fn row(id: &'static str, api: Api, method: &'static str, path: &'static str, access: Access) -> Row {
    Row { id, api, method, path, access, takes_query: false, media: Media::Json }
}

impl Row {
    const fn with_query(self) -> Self {
        Self { takes_query: true, ..self }
    }

    const fn answering(self, media: Media) -> Self {
        Self { media, ..self }
    }
}

use Access::{Action, Authenticated, Public, Session};
use Api::{ControlCenter, Orchestrator};

/// Every operation.
pub const TABLE: &[Row] = &[
    row("health", Orchestrator, "GET", "/health", Public),
    row("ready", Orchestrator, "GET", "/ready", Public),
    row("openapi", Orchestrator, "GET", "/openapi.json", Public),
    row("docs", Orchestrator, "GET", "/docs", Public).answering(Media::Html),
    row("task_list", Orchestrator, "GET", "/tasks", Action("task_read")).with_query(),
    row("task_get", Orchestrator, "GET", "/tasks/{id}", Action("task_read")),
    row("task_cancel", Orchestrator, "POST", "/tasks/{id}/cancel", Action("task_cancel")),
    row("task_retry", Orchestrator, "POST", "/tasks/{id}/retry", Action("task_retry")),
    row("task_logs", Orchestrator, "GET", "/tasks/{id}/logs", Action("task_logs")).with_query().answering(Media::Text),
    row("workflow_servers_create", Orchestrator, "POST", "/workflows/servers/create", Action("workflow_submit")),
    row("workflow_servers_delete", Orchestrator, "POST", "/workflows/servers/delete", Action("workflow_submit")),
    row("workflow_taskserv_create", Orchestrator, "POST", "/workflows/taskserv/create", Action("workflow_submit")),
    row("workflow_cluster_create", Orchestrator, "POST", "/workflows/cluster/create", Action("workflow_submit")),
    row("batch_execute", Orchestrator, "POST", "/batch/execute", Action("batch_execute")),
    row("batch_validate", Orchestrator, "POST", "/batch/validate", Action("batch_execute")),
    row("batch_plan", Orchestrator, "POST", "/batch/plan", Action("batch_execute")),
    row("batch_list", Orchestrator, "GET", "/batch/operations", Action("batch_read")).with_query(),
    row("batch_get", Orchestrator, "GET", "/batch/operations/{id}", Action("batch_read")),
    row("batch_cancel", Orchestrator, "POST", "/batch/operations/{id}/cancel", Action("batch_cancel")),
    row("batch_retry", Orchestrator, "POST", "/batch/operations/{id}/retry", Action("batch_retry")),
    row("checkpoint_create", Orchestrator, "POST", "/rollback/checkpoints", Action("checkpoint_create")),
    row("checkpoint_list", Orchestrator, "GET", "/rollback/checkpoints", Action("checkpoint_read")).with_query(),
    row("checkpoint_get", Orchestrator, "GET", "/rollback/checkpoints/{id}", Action("checkpoint_read")),
    row("rollback_execute", Orchestrator, "POST", "/rollback/execute", Action("rollback_execute")),
    row("rollback_restore", Orchestrator, "POST", "/rollback/restore/{id}", Action("rollback_execute")),
    row("rollback_list", Orchestrator, "GET", "/rollback/executions", Action("checkpoint_read")).with_query(),
    row("rollback_get", Orchestrator, "GET", "/rollback/executions/{id}", Action("checkpoint_read")),
    row("rollback_retry", Orchestrator, "POST", "/rollback/executions/{id}/retry", Action("rollback_execute")),
    row("rollback_skip", Orchestrator, "POST", "/rollback/executions/{id}/skip", Action("rollback_execute")),
    row("rollback_accept", Orchestrator, "POST", "/rollback/executions/{id}/accept", Action("rollback_execute")),
    row("rollback_statistics", Orchestrator, "GET", "/rollback/statistics", Action("checkpoint_read")),
    row("infra_list", Orchestrator, "GET", "/infra", Action("infra_read")),
    row("infra_get", Orchestrator, "GET", "/infra/{id}", Action("infra_read")),
    row("infra_servers", Orchestrator, "GET", "/infra/{id}/servers", Action("infra_read")),
    row("event_stream", Orchestrator, "GET", "/events", Action("event_read")).with_query().answering(Media::Events),
    row("event_socket", Orchestrator, "GET", "/ws", Action("event_read")).with_query().answering(Media::Any),
    row("workflow_progress", Orchestrator, "GET", "/state/workflows/{id}/progress", Action("state_read")),
    row("workflow_snapshots", Orchestrator, "GET", "/state/workflows/{id}/snapshots", Action("state_read"))
        .with_query(),
    row("system_metrics", Orchestrator, "GET", "/state/system/metrics", Action("state_read")),
    row("system_health", Orchestrator, "GET", "/state/system/health", Action("state_read")),
    row("statistics", Orchestrator, "GET", "/state/statistics", Action("state_read")).with_query(),
    row("webhook_list", Orchestrator, "GET", "/webhooks", Action("webhook_manage")).with_query(),
    row("webhook_create", Orchestrator, "POST", "/webhooks", Action("webhook_manage")),
    row("webhook_get", Orchestrator, "GET", "/webhooks/{id}", Action("webhook_manage")),
    row("webhook_update", Orchestrator, "PUT", "/webhooks/{id}", Action("webhook_manage")),
    row("webhook_delete", Orchestrator, "DELETE", "/webhooks/{id}", Action("webhook_manage")),
    row("webhook_ping", Orchestrator, "POST", "/webhooks/{id}/ping", Action("webhook_manage")),
    row("webhook_deliveries", Orchestrator, "GET", "/webhooks/{id}/deliveries", Action("webhook_manage")).with_query(),
    row("webhook_redeliver", Orchestrator, "POST", "/webhooks/{id}/redeliver", Action("webhook_manage")),
    row("metrics", Orchestrator, "GET", "/metrics", Action("state_read")).with_query().answering(Media::Text),
    row("log_stream", Orchestrator, "GET", "/logs", Action("log_read")).with_query().answering(Media::Any),
    row("log_levels_get", Orchestrator, "GET", "/logs/levels", Action("log_read")),
    row("log_levels_update", Orchestrator, "PUT", "/logs/levels", Action("log_manage")),
    row("control_health", ControlCenter, "GET", "/health", Public),
    row("control_openapi", ControlCenter, "GET", "/openapi.json", Public),
    row("control_docs", ControlCenter, "GET", "/docs", Public).answering(Media::Html),
    row("jwks", ControlCenter, "GET", "/.well-known/jwks.json", Public),
    row("auth_login", ControlCenter, "POST", "/auth/login", Public),
    row("auth_refresh", ControlCenter, "POST", "/auth/refresh", Public),
    row("auth_logout", ControlCenter, "POST", "/auth/logout", Session),
    row("auth_verify", ControlCenter, "GET", "/auth/verify", Authenticated),
    row("auth_password", ControlCenter, "POST", "/auth/password", Session),
    // Those of others, and with an API token one's own: `session_manage` and `token_manage`.
    row("session_list", ControlCenter, "GET", "/auth/sessions", Authenticated).with_query(),
    row("session_delete", ControlCenter, "DELETE", "/auth/sessions/{id}", Authenticated),
    row("token_create", ControlCenter, "POST", "/auth/tokens", Session),
    row("token_list", ControlCenter, "GET", "/auth/tokens", Authenticated).with_query(),
    row("token_delete", ControlCenter, "DELETE", "/auth/tokens/{id}", Authenticated),
    row("user_list", ControlCenter, "GET", "/users", Action("user_read")).with_query(),
    row("user_create", ControlCenter, "POST", "/users", Action("user_manage")),
    row("user_get", ControlCenter, "GET", "/users/{id}", Action("user_read")),
    row("user_update", ControlCenter, "PUT", "/users/{id}", Action("user_manage")),
    row("user_delete", ControlCenter, "DELETE", "/users/{id}", Action("user_manage")),
    row("user_unlock", ControlCenter, "POST", "/users/{id}/unlock", Action("user_manage")),
    row("mfa_get", ControlCenter, "GET", "/mfa", Session),
    row("mfa_enroll_totp", ControlCenter, "POST", "/mfa/enroll/totp", Session),
    row("mfa_verify", ControlCenter, "POST", "/mfa/verify", Session),
    row("mfa_disable", ControlCenter, "DELETE", "/mfa", Session),
    row("role_list", ControlCenter, "GET", "/roles", Authenticated),
    row("audit_list", ControlCenter, "GET", "/audit/logs", Action("audit_read")).with_query(),
    row("audit_export", ControlCenter, "GET", "/audit/export", Action("audit_read")).with_query().answering(Media::Any),
    row("audit_verify", ControlCenter, "GET", "/audit/verify", Action("audit_read")).with_query(),
    row("audit_checkpoint_get", ControlCenter, "GET", "/audit/checkpoints", Action("audit_read")),
    row("audit_checkpoint_create", ControlCenter, "POST", "/audit/checkpoints", Action("audit_read")),
    row("policy_list", ControlCenter, "GET", "/policies", Action("policy_read")).with_query(),
    row("policy_create", ControlCenter, "POST", "/policies", Action("policy_manage")),
    row("policy_get", ControlCenter, "GET", "/policies/{id}", Action("policy_read")),
    row("policy_update", ControlCenter, "PUT", "/policies/{id}", Action("policy_manage")),
    row("policy_delete", ControlCenter, "DELETE", "/policies/{id}", Action("policy_manage")),
    row("policy_versions", ControlCenter, "GET", "/policies/{id}/versions", Action("policy_read")),
    row("policy_rollback", ControlCenter, "POST", "/policies/{id}/rollback", Action("policy_manage")),
    row("policy_validate", ControlCenter, "POST", "/policies/validate", Action("policy_read")),
    // Everybody may ask about themselves; about others it takes `policy_read`.
    row("policy_evaluate", ControlCenter, "POST", "/policies/evaluate", Authenticated),
];

/// The row that is served at a path of the table.
#[must_use]
pub fn at(method: &str, path: &str) -> Option<&'static Row> {
    // What answers GET answers HEAD as well.
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE.iter().find(|row| row.path == path && row.method == method)
}

/// The row of the operation called `id`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.id == id)
}
