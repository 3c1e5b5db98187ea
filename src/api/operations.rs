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
    /// A valid token whose roles permit this policy action.
    Action(&'static str),
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
}

const fn row(id: &'static str, api: Api, method: &'static str, path: &'static str, access: Access) -> Row {
    Row { id, api, method, path, access }
}

use Access::{Action, Authenticated, Public};
use Api::{ControlCenter, Orchestrator};

/// Every operation.
pub const TABLE: &[Row] = &[
    row("health", Orchestrator, "GET", "/health", Public),
    row("ready", Orchestrator, "GET", "/ready", Public),
    row("task_list", Orchestrator, "GET", "/tasks", Action("task_read")),
    row("task_get", Orchestrator, "GET", "/tasks/{id}", Action("task_read")),
    row("task_cancel", Orchestrator, "POST", "/tasks/{id}/cancel", Action("task_cancel")),
    row("task_retry", Orchestrator, "POST", "/tasks/{id}/retry", Action("task_retry")),
    row("task_logs", Orchestrator, "GET", "/tasks/{id}/logs", Action("task_logs")),
    row("workflow_servers_create", Orchestrator, "POST", "/workflows/servers/create", Action("workflow_submit")),
    row("workflow_servers_delete", Orchestrator, "POST", "/workflows/servers/delete", Action("workflow_submit")),
    row("workflow_taskserv_create", Orchestrator, "POST", "/workflows/taskserv/create", Action("workflow_submit")),
    row("workflow_cluster_create", Orchestrator, "POST", "/workflows/cluster/create", Action("workflow_submit")),
    row("batch_execute", Orchestrator, "POST", "/batch/execute", Action("batch_execute")),
    row("batch_validate", Orchestrator, "POST", "/batch/validate", Action("batch_execute")),
    row("batch_list", Orchestrator, "GET", "/batch/operations", Action("batch_read")),
    row("batch_get", Orchestrator, "GET", "/batch/operations/{id}", Action("batch_read")),
    row("batch_cancel", Orchestrator, "POST", "/batch/operations/{id}/cancel", Action("batch_cancel")),
    row("batch_retry", Orchestrator, "POST", "/batch/operations/{id}/retry", Action("batch_retry")),
    row("control_health", ControlCenter, "GET", "/health", Public),
    row("jwks", ControlCenter, "GET", "/.well-known/jwks.json", Public),
    row("auth_login", ControlCenter, "POST", "/auth/login", Public),
    row("auth_refresh", ControlCenter, "POST", "/auth/refresh", Public),
    row("auth_logout", ControlCenter, "POST", "/auth/logout", Authenticated),
    row("auth_verify", ControlCenter, "GET", "/auth/verify", Authenticated),
];

/// The row of the operation called `id`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.id == id)
}
