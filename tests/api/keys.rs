//! Idempotency keys, where no new work stands for them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, answer, run, script};

async fn send(daemon: &Daemon, path: &str, key: &str, body: &Value) -> Answer {
    answer(daemon.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

#[test]
fn the_same_key_retries_a_batch_once() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let fails = script("a", &format!("echo x >> {}; exit 1", ledger.display()));
        let batch = json!({ "name": "again", "rollback_enabled": false, "operations": [fails] });
        let (id, other) = (daemon.batch(&batch).await, daemon.batch(&batch).await);
        daemon.ended(&id).await;
        daemon.ended(&other).await;
        let path = format!("/batch/operations/{id}/retry");
        let nothing = json!({});
        let (one, two) = tokio::join!(send(&daemon, &path, "k", &nothing), send(&daemon, &path, "k", &nothing));
        assert_eq!((one.data()["batch_id"].as_str(), two.data()["batch_id"].as_str()), (Some(&*id), Some(&*id)));
        daemon.ended(&id).await;
        let third = send(&daemon, &path, "k", &json!({})).await;
        assert_eq!(third.data()["batch_id"].as_str(), Some(&*id));
        assert_eq!(std::fs::read_to_string(&ledger).unwrap().lines().count(), 3, "two batches and one retry");
        let elsewhere = send(&daemon, &format!("/batch/operations/{other}/retry"), "k", &json!({})).await;
        assert_eq!((elsewhere.status.as_u16(), elsewhere.code()), (409, "conflict"));
        send(&daemon, &path, "k2", &json!({})).await.data();
        daemon.ended(&id).await;
        assert_eq!(std::fs::read_to_string(&ledger).unwrap().lines().count(), 4);
    });
}

#[test]
fn a_key_that_stands_for_a_batch_does_not_plan_another() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let batch = |check: bool| json!({ "name": "b", "check_mode": check, "operations": [script("a", "true")] });
        let made = send(&daemon, "/batch/execute", "k", &batch(false)).await;
        let planned = send(&daemon, "/batch/execute", "k", &batch(true)).await;
        assert_eq!((planned.status.as_u16(), planned.code()), (409, "conflict"));
        let same = send(&daemon, "/batch/execute", "k", &batch(false)).await;
        assert_eq!(same.data()["batch_id"], made.data()["batch_id"]);
        send(&daemon, "/batch/execute", "k3", &batch(true)).await.data();
    });
}

#[test]
fn two_keys_are_one_too_many() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let request = daemon.request(Method::POST, "/workflows/servers/create");
        let request = request.header("idempotency-key", "a").header("idempotency-key", "b");
        let refused = answer(request.json(&json!({ "infra": "a" }))).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"));
        assert!(daemon.get("/tasks").await.data().as_array().unwrap().is_empty());
    });
}
