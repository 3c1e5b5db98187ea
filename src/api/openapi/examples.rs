//! Examples of what is sent and answered. A test holds each against its schema.

use serde_json::{Value, json};

/// An id.
pub(super) const ID: &str = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";

pub(super) fn task() -> Value {
    json!({
        "id": ID,
        "name": "create_servers",
        "command": "/usr/local/provisioning servers create",
        "args": ["--infra", "production", "--wait"],
        "dependencies": [],
        "status": "Completed",
        "created_at": "2026-11-27T16:00:00.000Z",
        "started_at": "2026-11-27T16:00:00.020Z",
        "completed_at": "2026-11-27T16:02:30.000Z",
        "output": "Successfully created 3 servers",
        "error": null,
        "workflow": "servers/create",
        "infra": "production",
        "provider": "upcloud",
        "batch_id": null,
        "operation_id": null, "rollback_id": null,
        "attempt": 1,
        "max_attempts": 1,
        "exit_code": 0,
        "processes_ended": 0,
        "progress": 1.0,
        "step": null,
        "submitted_by": "admin",
    })
}

pub(super) fn progress() -> Value {
    json!({
        "workflow_id": ID,
        "status": "Running",
        "progress": 0.5,
        "current_step": "software: installing kubernetes",
        "total_steps": 4,
        "completed_steps": 2,
        "estimated_time_remaining": 90,
    })
}

pub(super) fn snapshot() -> Value {
    json!({
        "snapshot_id": 42,
        "timestamp": "2026-11-27T16:02:30.000Z",
        "state": {
            "status": "Running",
            "total_steps": 4,
            "completed_steps": 1,
            "operations": [{
                "operation_id": "servers", "status": "Completed", "previous_status": "Running",
                "attempt": 1, "error": null,
            }],
            "error": null,
        },
    })
}

pub(super) fn servers() -> Value {
    json!({ "infra": "production", "settings": "config.ncl", "check_mode": false, "wait": true })
}

pub(super) fn taskserv() -> Value {
    json!({
        "operation": "create", "taskserv": "kubernetes",
        "infra": "production", "settings": "config.ncl", "check_mode": false, "wait": true,
    })
}

pub(super) fn cluster() -> Value {
    json!({
        "operation": "create", "cluster_type": "buildkit",
        "infra": "production", "settings": "config.ncl", "check_mode": false, "wait": true,
    })
}

pub(super) fn batch_request() -> Value {
    json!({
        "name": "multi_cloud_deployment",
        "version": "1.0.0",
        "storage_backend": "redb",
        "parallel_limit": 5,
        "rollback_enabled": true,
        "operations": [
            {
                "id": "servers",
                "type": "server_batch",
                "provider": "upcloud",
                "dependencies": [],
                "server_configs": [{ "name": "web-1", "plan": "1xCPU-2 GB", "zone": "de-fra1" }],
            },
            {
                "id": "software",
                "type": "taskserv_batch",
                "provider": "upcloud",
                "dependencies": ["servers"],
                "taskservs": ["kubernetes", { "name": "containerd", "servers": ["web-1"] }],
                "retry": { "max_attempts": 3, "backoff": "exponential" },
            },
            {
                "id": "cluster",
                "type": "cluster_batch",
                "dependencies": [{ "operation_id": "software", "type": "hard" }],
                "cluster_type": "buildkit",
                "params": {},
            },
            {
                "id": "notice",
                "type": "command",
                "dependencies": [{ "operation_id": "cluster", "type": "soft" }],
                "command": "logger",
                "args": ["deployed"],
                "env": { "LANG": "C" },
                "on_failure": "continue",
                "rollback": { "command": "logger", "args": ["undone"] },
            },
        ],
    })
}

pub(super) fn batch() -> Value {
    let mut batch = summary();
    batch["operations"] = json!([{
        "id": "servers",
        "type": "server_batch",
        "provider": "upcloud",
        "status": "Running",
        "progress": 0.5,
        "step": "waiting for web-2",
        "task_id": ID,
        "rollback_task_id": null,
        "attempt": 1,
        "max_attempts": 1,
        "started_at": "2026-11-27T16:00:00.020Z",
        "completed_at": null,
        "error": null,
    }]);
    batch
}

pub(super) fn summary() -> Value {
    json!({
        "batch_id": ID,
        "name": "multi_cloud_deployment",
        "version": "1.0.0",
        "status": "Running",
        "infra": "production",
        "parallel_limit": 5,
        "rollback_enabled": true,
        "rehearse": false,
        "operations_total": 1,
        "operations_completed": 0,
        "progress": 0.5,
        "created_at": "2026-11-27T16:00:00.000Z",
        "started_at": "2026-11-27T16:00:00.020Z",
        "completed_at": null,
        "cancel_requested": false, "rollback_id": null,
        "error": null,
        "left": [],
        "submitted_by": "admin",
    })
}

pub(super) fn plan() -> Value {
    json!({
        "name": "multi_cloud_deployment",
        "valid": true,
        "waves": [["servers"]],
        "operations": [{
            "id": "servers",
            "type": "server_batch",
            "provider": "upcloud",
            "command": "/usr/local/provisioning servers create",
            "args": ["--infra", "production", "--wait"],
            "compensation": "/usr/local/provisioning servers delete",
        }],
    })
}

pub(super) fn token_pair() -> Value {
    json!({
        "token": "eyJhbGciOiJFZERTQSJ9.…",
        "refresh_token": "01a20dde-a76b-74cc-b9dd-d96eee9b4642.…",
        "token_type": "Bearer",
        "expires_in": 900,
        "expires_at": "2026-11-27T16:15:00.000Z",
        "user": user(),
    })
}

pub(super) fn user() -> Value {
    json!({ "id": ID, "username": "admin", "email": "admin@example.com", "roles": ["Admin"] })
}

pub(super) fn account() -> Value {
    let mut account = user();
    account["disabled"] = json!(false);
    account["locked_until"] = json!(null);
    account["mfa"] = json!(false);
    account["created_at"] = json!("2026-11-01T08:00:00.000Z");
    account["last_login_at"] = json!("2026-11-27T16:00:00.000Z");
    account
}

const CEDAR: &str = "permit(principal, action == Action::\"workflow_submit\", resource)\nwhen { context.check_mode };";

pub(super) fn new_policy() -> Value {
    json!({ "name": "plans-for-all", "description": "Everybody may ask what would happen.", "content": CEDAR, "enabled": true })
}

pub(super) fn policy_text() -> Value {
    json!({ "content": CEDAR })
}

pub(super) fn policy() -> Value {
    let mut policy = new_policy();
    policy["id"] = json!(ID);
    policy["shipped"] = json!(false);
    policy["version"] = json!(1);
    for at in ["created_at", "updated_at"] {
        policy[at] = json!("2026-11-27T16:00:00.000Z");
    }
    for by in ["created_by", "updated_by"] {
        policy[by] = json!("admin");
    }
    policy
}

pub(super) fn evaluation() -> Value {
    json!({
        "principal": "dora", "action": "workflow_submit", "resource": "production",
        "context": { "mfa": true, "check_mode": false, "ip": "192.0.2.7", "time": "2026-11-27T16:00:00Z", "operation": "create", "providers": ["upcloud"] },
    })
}

pub(super) fn entry() -> Value {
    json!({
        "sequence": 42,
        "at": "2026-11-27T16:00:00.000Z",
        "actor": {
            "user": ID, "username": "admin", "roles": ["Admin"], "credential": "session", "credential_id": ID,
        },
        "address": "127.0.0.1",
        "request_id": ID,
        "action": "workflow_servers_create",
        "resource": "infra/production",
        "decision": { "verdict": "allowed", "policies": ["admin"] },
        "outcome": { "result": "success" },
        "details": { "task_id": ID },
    })
}
