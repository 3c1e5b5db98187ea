//! What the daemon says of its own APIs, and whether it is so.

mod schemathesis;

use std::collections::BTreeSet;

use jsonschema::Validator;
use prov::api::operations::{Api, TABLE};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, answer, run, script};

async fn described(daemon: &Daemon, api: Api) -> Value {
    let base = base(daemon, api);
    let response = daemon.http.get(format!("{base}/openapi.json")).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    response.json().await.unwrap()
}

fn base(daemon: &Daemon, api: Api) -> &str {
    match api {
        Api::Orchestrator => daemon.orchestrator(),
        Api::ControlCenter => &daemon.control_center,
    }
}

/// What answers of an operation with a status look like.
fn validator(document: &Value, id: &str, status: u16) -> Validator {
    let row = TABLE.iter().find(|row| row.id == id).unwrap();
    let mut response =
        &document["paths"][row.path][row.method.to_lowercase().as_str()]["responses"][status.to_string()];
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(&reference[1..]).unwrap();
    }
    let mut schema = response["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{id} answers {status}, which isn't described");
    schema["components"] = document["components"].clone();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

#[test]
fn both_apis_are_described_without_a_token() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        for api in [Api::Orchestrator, Api::ControlCenter] {
            let document = described(&daemon, api).await;
            assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
            for field in ["title", "version", "description"] {
                assert!(document["info"][field].is_string(), "{field}");
            }
            let (mut said, mut ids) = (BTreeSet::new(), BTreeSet::new());
            for (path, methods) in document["paths"].as_object().unwrap() {
                for (method, operation) in methods.as_object().unwrap() {
                    let id = operation["operationId"].as_str().unwrap().to_owned();
                    said.insert((id.clone(), method.to_uppercase(), path.clone()));
                    assert!(ids.insert(id.clone()), "{id} is there twice");
                    let responses = operation["responses"].as_object().unwrap();
                    let succeeds = ["101", "200"].iter().any(|status| responses.contains_key(*status));
                    assert!(succeeds && responses.contains_key("500"), "{id}");
                    assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{id}");
                }
            }
            let rows = TABLE.iter().filter(|row| row.api == api);
            let table = rows.map(|row| (row.id.to_owned(), row.method.to_owned(), row.path.to_owned())).collect();
            assert_eq!(said, table);
        }
    });
}

#[test]
fn a_page_shows_each_api_and_runs_nothing_but_its_own_script() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        for api in [Api::Orchestrator, Api::ControlCenter] {
            let url = format!("{}/docs", base(&daemon, api));
            let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
            let response = daemon.http.get(&url).header("accept", browser).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
            let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
            for part in ["default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'"] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
            assert!(response.text().await.unwrap().contains("<!doctype html>"));
            let refused = answer(daemon.http.get(&url).header("accept", "text/csv")).await;
            assert_eq!(refused.status, 406);
        }
    });
}

/// Looks for answers that aren't as they are described.
struct Inspector<'d> {
    daemon: &'d Daemon,
    orchestrator: Value,
    control_center: Value,
}

impl Inspector<'_> {
    /// Makes a call, and holds what is answered against what is said of it.
    async fn call(&self, id: &str, path: &str, body: Value, status: u16) -> Answer {
        let row = TABLE.iter().find(|row| row.id == id).unwrap();
        let (document, base) = match row.api {
            Api::Orchestrator => (&self.orchestrator, self.daemon.orchestrator()),
            Api::ControlCenter => (&self.control_center, self.daemon.control_center.as_str()),
        };
        let method: Method = row.method.parse().unwrap();
        let request = self.daemon.http.request(method, format!("{base}{path}")).bearer_auth(&self.daemon.token);
        let answer = answer(if body.is_null() { request } else { request.json(&body) }).await;
        assert_eq!(answer.status, status, "{id}: {answer:?}");
        let validator = validator(document, id, status);
        let errors: Vec<String> =
            validator.iter_errors(&answer.body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{id}: {errors:?}\n{:#}", answer.body);
        answer
    }
}

#[test]
fn answers_look_as_they_are_described() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let inspector = Inspector {
            orchestrator: described(&daemon, Api::Orchestrator).await,
            control_center: described(&daemon, Api::ControlCenter).await,
            daemon: &daemon,
        };
        let call = async |id, path: &str, body, status| inspector.call(id, path, body, status).await;
        call("health", "/health", Value::Null, 200).await;
        call("ready", "/ready", Value::Null, 200).await;

        let batch = json!({ "name": "demo", "operations": [script("good", "echo made"), script("bad", "exit 3")] });
        let made = call("batch_execute", "/batch/execute", batch.clone(), 200).await;
        let id = made.data()["batch_id"].as_str().unwrap().to_owned();
        daemon.ended(&id).await;
        call("batch_get", &format!("/batch/operations/{id}"), Value::Null, 200).await;
        call("batch_list", "/batch/operations", Value::Null, 200).await;
        let mut planned = batch.clone();
        planned["check_mode"] = json!(true);
        call("batch_execute", "/batch/execute", planned, 200).await;
        call("batch_validate", "/batch/validate", batch, 200).await;
        call("batch_validate", "/batch/validate", json!({ "nam": 1 }), 400).await;
        call("batch_cancel", &format!("/batch/operations/{id}/cancel"), json!({}), 409).await;
        call("batch_retry", &format!("/batch/operations/{id}/retry"), Value::Null, 200).await;
        daemon.ended(&id).await;
        call("workflow_progress", &format!("/state/workflows/{id}/progress"), Value::Null, 200).await;
        call("workflow_snapshots", &format!("/state/workflows/{id}/snapshots"), Value::Null, 200).await;
        call("system_metrics", "/state/system/metrics", Value::Null, 200).await;
        call("system_health", "/state/system/health", Value::Null, 200).await;
        call("statistics", "/state/statistics", Value::Null, 200).await;
        let servers = json!({ "infra": "demo" });
        let task = call("workflow_servers_create", "/workflows/servers/create", servers, 200).await;
        let task = task.data().as_str().unwrap().to_owned();
        daemon.task_ended(&task).await;
        call("task_get", &format!("/tasks/{task}"), Value::Null, 200).await;
        call("task_get", "/tasks/nothing", Value::Null, 404).await;
        call("task_retry", &format!("/tasks/{task}/retry"), Value::Null, 200).await;
        call("task_list", "/tasks?limit=2", Value::Null, 200).await;
        call("task_list", "/tasks?limit=0", Value::Null, 400).await;

        let hook = call("webhook_create", "/webhooks", json!({ "url": "https://localhost/" }), 200).await;
        let hook = format!("/webhooks/{}", hook.data()["id"].as_str().unwrap());
        call("webhook_create", "/webhooks", json!({ "url": "https://127.0.0.1/" }), 400).await;
        call("webhook_list", "/webhooks", Value::Null, 200).await;
        call("webhook_get", &hook, Value::Null, 200).await;
        call("webhook_update", &hook, json!({ "roll_secret": true }), 200).await;
        call("webhook_ping", &format!("{hook}/ping"), Value::Null, 200).await;
        call("webhook_deliveries", &format!("{hook}/deliveries"), Value::Null, 200).await;
        call("webhook_redeliver", &format!("{hook}/redeliver"), json!({}), 200).await;
        call("webhook_delete", &hook, Value::Null, 200).await;

        call("control_health", "/health", Value::Null, 200).await;
        call("jwks", "/.well-known/jwks.json", Value::Null, 200).await;
        let login = json!({ "username": "admin", "password": daemon.password() });
        let pair = call("auth_login", "/auth/login", login, 200).await;
        let refresh = json!({ "refresh_token": pair.data()["refresh_token"] });
        call("auth_refresh", "/auth/refresh", refresh, 200).await;
        call("auth_login", "/auth/login", json!({ "username": "admin", "password": "wrong" }), 401).await;
        call("auth_verify", "/auth/verify", Value::Null, 200).await;
        call("session_list", "/auth/sessions", Value::Null, 200).await;
        let token = call("token_create", "/auth/tokens", json!({ "name": "ci" }), 200).await;
        call("token_list", "/auth/tokens", Value::Null, 200).await;
        let token = token.data()["id"].as_str().unwrap().to_owned();
        call("token_delete", &format!("/auth/tokens/{token}"), Value::Null, 200).await;
        call("mfa_get", "/mfa", Value::Null, 200).await;
        call("mfa_enroll_totp", "/mfa/enroll/totp", json!({ "current_password": daemon.password() }), 200).await;

        let dora = json!({ "username": "dora", "password": "nine kittens in a gale", "roles": ["Viewer"] });
        call("user_create", "/users", dora.clone(), 200).await;
        call("user_create", "/users", dora, 409).await;
        call("user_list", "/users", Value::Null, 200).await;
        call("user_get", "/users/dora", Value::Null, 200).await;
        call("user_update", "/users/dora", json!({ "email": "dora@example.com" }), 200).await;
        call("user_unlock", "/users/dora/unlock", Value::Null, 200).await;
        call("user_delete", "/users/dora", Value::Null, 200).await;
        call("role_list", "/roles", Value::Null, 200).await;

        let text = "permit(principal, action == Action::\"task_read\", resource);";
        call("policy_create", "/policies", json!({ "name": "reading", "content": text }), 200).await;
        call("policy_create", "/policies", json!({ "name": "wrong", "content": "permit(" }), 400).await;
        call("policy_list", "/policies", Value::Null, 200).await;
        call("policy_get", "/policies/reading", Value::Null, 200).await;
        call("policy_update", "/policies/reading", json!({ "enabled": false }), 200).await;
        call("policy_versions", "/policies/reading/versions", Value::Null, 200).await;
        call("policy_rollback", "/policies/reading/rollback", json!({ "version": 1 }), 200).await;
        call("policy_validate", "/policies/validate", json!({ "content": text }), 200).await;
        let ask = json!({ "principal": "admin", "action": "workflow_submit", "resource": "production" });
        call("policy_evaluate", "/policies/evaluate", ask, 200).await;
        call("policy_delete", "/policies/reading", Value::Null, 200).await;

        call("audit_list", "/audit/logs?limit=1000", Value::Null, 200).await;
        call("audit_verify", "/audit/verify", Value::Null, 200).await;
        call("audit_checkpoint_create", "/audit/checkpoints", Value::Null, 200).await;
        call("audit_checkpoint_get", "/audit/checkpoints", Value::Null, 200).await;
        call("auth_logout", "/auth/logout", json!({}), 200).await;
        call("auth_verify", "/auth/verify", Value::Null, 401).await;
    });
}
