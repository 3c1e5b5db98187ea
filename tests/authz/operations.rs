//! Every operation of the table by nobody, by every role, by their API tokens, and with tokens that are good no more.

use std::collections::BTreeMap;

use prov::api::operations::{Access, Api, Row, TABLE};
use prov::model::user::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::House;
use crate::support::run;

/// What becomes of a call: `y` it is let in, `n` it is denied, `h` what it names is hidden.
/// The columns: Admin, Operator, Developer, Viewer, Auditor. All is about the infra `production`.
const EXPECTED: &[(&str, &str)] = &[
    ("task_list", "yyyyy"),
    ("task_get", "yyhyy"),
    ("task_cancel", "yyhnn"),
    ("task_retry", "yyhnn"),
    ("task_logs", "yyhyy"),
    ("workflow_servers_create", "yynnn"),
    ("workflow_servers_delete", "yynnn"),
    ("workflow_taskserv_create", "yynnn"),
    ("workflow_cluster_create", "yynnn"),
    ("batch_execute", "yynnn"),
    ("batch_validate", "yynnn"),
    ("batch_plan", "yynnn"),
    ("batch_list", "yyyyy"),
    ("batch_get", "yyhyy"),
    ("batch_cancel", "yyhnn"),
    ("batch_retry", "yyhnn"),
    ("checkpoint_create", "yynnn"),
    ("checkpoint_list", "yynnn"),
    ("checkpoint_get", "yynnn"),
    ("rollback_execute", "yynnn"),
    ("rollback_restore", "yynnn"),
    ("rollback_list", "yynnn"),
    // There is none.
    ("rollback_get", "hhnnn"),
    ("rollback_retry", "hhnnn"),
    ("rollback_skip", "hhnnn"),
    ("rollback_accept", "hhnnn"),
    ("rollback_statistics", "yynnn"),
    ("infra_list", "yyynn"),
    ("infra_get", "yyhhh"),
    ("infra_servers", "yyhhh"),
    ("event_stream", "yyyyy"),
    ("event_socket", "yyyyy"),
    ("log_stream", "ynnny"),
    ("log_levels_get", "ynnny"),
    ("log_levels_update", "ynnnn"),
    ("workflow_progress", "yyhyy"),
    ("workflow_snapshots", "yyhyy"),
    ("system_metrics", "yyyyy"),
    ("system_health", "yyyyy"),
    ("statistics", "yyyyy"),
    ("metrics", "yyyyy"),
    ("webhook_list", "ynnnn"),
    ("webhook_create", "ynnnn"),
    ("webhook_get", "ynnnn"),
    ("webhook_update", "ynnnn"),
    ("webhook_ping", "ynnnn"),
    ("webhook_deliveries", "ynnnn"),
    ("webhook_redeliver", "ynnnn"),
    ("webhook_delete", "ynnnn"),
    ("auth_logout", "yyyyy"),
    ("auth_verify", "yyyyy"),
    ("policy_list", "ynnny"),
    ("policy_create", "ynnnn"),
    ("policy_get", "ynnny"),
    ("policy_update", "ynnnn"),
    ("policy_delete", "ynnnn"),
    ("policy_versions", "ynnny"),
    ("policy_rollback", "ynnnn"),
    ("policy_validate", "ynnny"),
    ("policy_evaluate", "yyyyy"),
    ("audit_list", "yynny"),
    ("audit_export", "yynny"),
    ("audit_verify", "yynny"),
    // There is none yet.
    ("audit_checkpoint_get", "hhnnh"),
    ("audit_checkpoint_create", "yynny"),
    ("user_list", "ynnny"),
    ("user_get", "ynnny"),
    ("user_create", "ynnnn"),
    ("user_update", "ynnnn"),
    ("user_delete", "ynnnn"),
    ("user_unlock", "ynnnn"),
    ("role_list", "yyyyy"),
    ("mfa_get", "yyyyy"),
    ("mfa_enroll_totp", "yyyyy"),
    ("mfa_verify", "yyyyy"),
    ("mfa_disable", "yyyyy"),
    ("auth_password", "yyyyy"),
    ("session_list", "yyyyy"),
    // Somebody else's.
    ("session_delete", "yhhhh"),
    ("token_create", "yyyyy"),
    ("token_list", "yyyyy"),
    ("token_delete", "yhhhh"),
];

/// Where an API token may less than its owner. To change the password or the second factor it may not either, but an empty
/// body is refused first.
const EXPECTED_OF_API_TOKENS: &[(&str, &str)] = &[
    ("auth_logout", "nnnnn"),
    ("token_create", "nnnnn"),
    ("token_list", "ynnnn"),
    ("session_list", "ynnnn"),
    ("mfa_get", "nnnnn"),
    ("mfa_verify", "nnnnn"),
];

const CEDAR: &str = "permit (principal in Role::\"Admin\", action, resource);";

fn body(id: &str, role: &str, named: &Named) -> Value {
    let batch = json!({ "name": "b", "infra": "production", "operations": [
        { "id": "o", "type": "taskserv_batch", "provider": "local", "taskservs": ["tiny-http"] },
    ] });
    match id {
        "workflow_servers_create" | "workflow_servers_delete" => json!({ "infra": "production" }),
        "workflow_taskserv_create" => json!({ "infra": "production", "taskserv": "tiny-http" }),
        "workflow_cluster_create" => json!({ "infra": "production", "cluster_type": "etcd" }),
        "batch_execute" | "batch_validate" | "batch_plan" => batch,
        "checkpoint_create" => json!({ "name": "now" }),
        "rollback_execute" => json!({ "checkpoint_id": named.checkpoint }),
        "rollback_skip" => json!({ "batch_id": named.batch, "operation_id": "o", "reason": "so it is" }),
        "rollback_accept" => json!({ "reason": "so it is" }),
        "user_create" => json!({
            "username": format!("made-by-{}", role.to_lowercase()),
            "password": "nine kittens in a gale",
            "roles": ["Viewer"],
        }),
        "user_update" => json!({ "email": "viewer@example.org" }),
        "policy_create" => json!({ "name": "made", "content": CEDAR }),
        "policy_update" => json!({ "description": "changed" }),
        "policy_rollback" => json!({ "version": 1 }),
        "policy_validate" => json!({ "content": CEDAR }),
        "token_create" => json!({ "name": "another" }),
        // Which is never reached.
        "webhook_create" => json!({ "url": "https://localhost/hook" }),
        "mfa_verify" => json!({ "code": "000000" }),
        "policy_evaluate" => {
            json!({ "principal": role.to_lowercase(), "action": "task_read", "resource": "production" })
        }
        _ => json!({}),
    }
}

/// An id of nothing.
const NOBODYS: &str = "01926f3e-4c6b-7a1e-9d3f-5b8a2c4d6e7f";

/// What the paths name.
#[derive(Default)]
struct Named {
    task: String,
    batch: String,
    checkpoint: String,
    /// The session and the API token of somebody who asks for nothing.
    session: String,
    token: String,
    webhook: String,
}

fn url(house: &House, row: &Row, named: &Named) -> String {
    let base = if row.api == Api::Orchestrator { house.daemon.orchestrator() } else { &house.daemon.control_center };
    let id = match row.id {
        id if id.starts_with("webhook_") => &named.webhook,
        "session_delete" => &named.session,
        "token_delete" => &named.token,
        id if id.starts_with("task_") || id == "workflow_progress" => &named.task,
        id if id.starts_with("infra_") => "production",
        "checkpoint_get" | "rollback_restore" => &named.checkpoint,
        id if id.starts_with("rollback_") => NOBODYS,
        id if id.starts_with("batch_") || id == "workflow_snapshots" => &named.batch,
        "policy_delete" | "user_delete" => "spare",
        id if id.starts_with("user_") => "viewer",
        _ => "role-viewer",
    };
    format!("{base}{}", row.path.replace("{id}", id))
}

fn outcome(status: u16) -> char {
    match status {
        401 => '-',
        403 => 'n',
        404 => 'h',
        // Whether it is right beyond that is another test's matter.
        200 | 400 | 409 | 426 => 'y',
        other => panic!("{other} says nothing of rights"),
    }
}

/// What somebody of each role is let in to, with which tokens.
async fn walk(house: &House, tokens: &BTreeMap<&str, String>, expected: impl Fn(&str) -> Option<&'static str>) {
    let batch = house.post("Admin", "/batch/execute", &body("batch_execute", "Admin", &Named::default())).await;
    let checkpoint = house.post("Admin", "/rollback/checkpoints", &json!({ "name": "then" })).await;
    let word = |data: &Value, field: &str| data[field].as_str().unwrap().to_owned();
    let batch = word(batch.data(), "batch_id");
    let spare = json!({ "name": "spare", "content": CEDAR });
    assert_eq!(house.control("Admin", Method::POST, "/policies", &spare).await.status, 200);
    let spare = json!({ "username": "spare", "password": "nine kittens in a gale", "roles": ["Viewer"] });
    let made = house.control("Admin", Method::POST, "/users", &spare).await;
    assert_eq!(made.status, 200, "{made:?}");
    let login = word(house.daemon.login("spare", "nine kittens in a gale").await.data(), "token");
    let seen = house.daemon.control(&login, Method::GET, "/auth/verify", Value::Null).await;
    let token = house.daemon.control(&login, Method::POST, "/auth/tokens", json!({ "name": "theirs" })).await;
    let (session, token) = (word(seen.data(), "session_id"), word(token.data(), "id"));
    let (task, checkpoint) = (house.task("Admin", "production").await, word(checkpoint.data(), "id"));
    let webhook = house.post("Admin", "/webhooks", &body("webhook_create", "Admin", &Named::default())).await;
    let webhook = word(webhook.data(), "id");
    let named = Named { task, batch, checkpoint, session, token, webhook };
    let mut rows: Vec<&Row> = TABLE.iter().filter(|row| row.access != Access::Public).collect();
    // Whoever has logged out is nobody, and a webhook that is deleted is gone.
    rows.sort_by_key(|row| (row.id == "auth_logout", row.id == "webhook_delete"));
    for row in rows {
        let expected = expected(row.id).unwrap_or_else(|| panic!("nobody says who may {}", row.id));
        let (method, url): (Method, String) = (row.method.parse().unwrap(), url(house, row, &named));
        let send = async |role: &str, token: Option<&str>| {
            let mut request = house.daemon.http.request(method.clone(), &url);
            if method != Method::GET && method != Method::DELETE {
                request = request.json(&body(row.id, role, &named));
            }
            let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
            outcome(request.send().await.unwrap().status().as_u16())
        };
        assert_eq!(send("", None).await, '-', "{} by nobody", row.id);
        assert_eq!(send("", Some(&house.orphan)).await, '-', "{} by somebody who is gone", row.id);
        // The administrator comes last: what they delete is gone for the others.
        for (role, expected) in Role::ALL.iter().zip(expected.bytes()).rev() {
            let role = role.as_str();
            assert_eq!(send(role, Some(&house.expired[role])).await, '-', "{} by an expired {role}", row.id);
            assert_eq!(send(role, Some(&tokens[role])).await, char::from(expected), "{} by {role}", row.id);
        }
    }
}

fn find(rows: &[(&str, &'static str)], id: &str) -> Option<&'static str> {
    rows.iter().find(|(row, _)| *row == id).map(|(_, expected)| *expected)
}

#[test]
fn every_operation_lets_in_whom_the_table_names_and_nobody_else() {
    run(async {
        let house = House::open().await;
        walk(&house, &house.tokens, |id| find(EXPECTED, id)).await;
    });
}

#[test]
fn an_api_token_is_let_in_where_its_owner_is_and_to_no_account() {
    run(async {
        let house = House::open().await;
        let expected = |id: &str| find(EXPECTED_OF_API_TOKENS, id).or_else(|| find(EXPECTED, id));
        walk(&house, &house.api_tokens, expected).await;
    });
}
