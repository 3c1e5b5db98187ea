//! Checkpoints, and rollbacks on demand: what is undone and in which order, what is proved, what is stuck, and what is there
//! after a crash.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Daemon, run, script, until};

/// An operation that writes into the ledger when it is done, and when it is undone.
fn operation(ledger: &Path, id: &str, dependencies: &[&str]) -> Value {
    let write = |what: &str| format!("echo {what}-{id} >> {}", ledger.display());
    let mut operation = script(id, &write("do"));
    operation["dependencies"] = json!(dependencies);
    operation["rollback"] = json!({ "command": "sh", "args": ["-c", write("undo")] });
    operation
}

fn batch(name: &str, operations: &[Value]) -> Value {
    json!({ "name": name, "operations": operations })
}

async fn completed(daemon: &Daemon, body: &Value) -> String {
    let id = daemon.batch(body).await;
    assert_eq!(daemon.ended(&id).await["status"], "Completed");
    id
}

/// Rolls back, and waits for the end.
async fn roll_back(daemon: &Daemon, body: &Value) -> Value {
    let started = daemon.post("/rollback/execute", body).await;
    daemon.rollback_ended(started.data()["rollback_id"].as_str().unwrap()).await
}

async fn checkpoint(daemon: &Daemon, name: &str) -> String {
    let made = daemon.post("/rollback/checkpoints", &json!({ "name": name, "description": "for the test" })).await;
    assert_eq!((made.data()["name"].as_str(), made.data()["batch_id"].is_null()), (Some(name), true));
    made.data()["id"].as_str().unwrap().to_owned()
}

fn lines(ledger: &Path) -> Vec<String> {
    std::fs::read_to_string(ledger).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn status<'b>(view: &'b Value, id: &str) -> &'b str {
    let operations = view["operations"].as_array().unwrap();
    operations.iter().find(|operation| operation["id"] == id).unwrap()["status"].as_str().unwrap()
}

#[test]
fn a_batch_is_undone_in_reverse_order_once_and_can_be_done_again() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let body = batch("all", &[operation(&ledger, "a", &[]), operation(&ledger, "b", &["a"])]);
        let id = completed(&daemon, &body).await;
        let plan = daemon.post("/rollback/execute", &json!({ "batch_id": id, "check_mode": true })).await;
        let steps: Vec<&str> = plan.data()["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["operation_id"].as_str().unwrap())
            .collect();
        assert_eq!((steps, plan.data()["steps"][1]["waits_for"].clone()), (vec!["b", "a"], json!([0])));
        assert_eq!(lines(&ledger), ["do-a", "do-b"], "a plan changes nothing");

        let ended = roll_back(&daemon, &json!({ "batch_id": id })).await;
        assert_eq!((ended["status"].as_str(), ended["operations_executed"].as_u64()), (Some("Completed"), Some(2)));
        assert!(ended["duration"].is_f64() && ended["left"] == json!([]));
        assert_eq!(lines(&ledger), ["do-a", "do-b", "undo-b", "undo-a"]);
        let view = daemon.ended(&id).await;
        assert_eq!((view["status"].as_str(), status(&view, "a")), (Some("RolledBack"), "RolledBack"));
        let task = daemon.get(&format!("/tasks/{}", view["operations"][0]["rollback_task_id"].as_str().unwrap())).await;
        assert_eq!((&task.data()["rollback_id"], &task.data()["batch_id"]), (&ended["rollback_id"], &json!(id)));

        let again = daemon.post("/rollback/execute", &json!({ "batch_id": id })).await;
        assert_eq!((again.status.as_u16(), again.code()), (409, "conflict"));
        assert_eq!(daemon.post(&format!("/batch/operations/{id}/retry"), &json!({})).await.status, 200);
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        assert_eq!(lines(&ledger).len(), 6);
    });
}

#[test]
fn named_operations_take_what_depends_on_them_along_and_leave_the_rest() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let operations = [
            operation(&ledger, "a", &[]),
            operation(&ledger, "b", &["a"]),
            operation(&ledger, "c", &["b"]),
            operation(&ledger, "d", &["a"]),
        ];
        let id = completed(&daemon, &batch("some", &operations)).await;
        let ended = roll_back(&daemon, &json!({ "operation_ids": [format!("{id}/b")] })).await;
        assert_eq!(ended["status"], "Completed");
        assert_eq!(lines(&ledger)[4..], ["undo-c", "undo-b"]);
        let view = daemon.ended(&id).await;
        let words = ["a", "b", "c", "d"].map(|id| status(&view, id));
        assert_eq!(words, ["Completed", "RolledBack", "RolledBack", "Completed"]);
        assert_eq!(view["status"], "Completed");

        let unknown = daemon.post("/rollback/execute", &json!({ "operation_ids": [format!("{id}/x")] })).await;
        assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "not_found"));
        let none = daemon.post("/rollback/execute", &json!({})).await;
        assert_eq!((none.status.as_u16(), none.code()), (400, "invalid_request"));
    });
}

#[test]
fn a_checkpoint_is_gone_back_to_and_restored() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let before = completed(&daemon, &batch("before", &[operation(&ledger, "old", &[])])).await;
        let at = checkpoint(&daemon, "then").await;
        let nothing = daemon.post("/rollback/execute", &json!({ "checkpoint_id": at })).await;
        assert_eq!(nothing.status.as_u16(), 409);
        let first = completed(&daemon, &batch("first", &[operation(&ledger, "one", &[])])).await;
        let other = json!({ "name": "other", "infra": "first", "operations": [operation(&ledger, "two", &[])] });
        let second = completed(&daemon, &other).await;
        let ended = roll_back(&daemon, &json!({ "checkpoint_id": at })).await;
        assert_eq!(ended["status"], "Completed");
        assert_eq!(lines(&ledger), ["do-old", "do-one", "do-two", "undo-two", "undo-one"]);
        assert_eq!(ended["batch_ids"], json!([first, second]));

        // What was there is undone by somebody, and something else is done: the checkpoint is restored.
        roll_back(&daemon, &json!({ "batch_id": before })).await;
        completed(&daemon, &batch("later", &[operation(&ledger, "new", &[])])).await;
        let started = daemon.post(&format!("/rollback/restore/{at}"), &json!({})).await;
        let ended = daemon.rollback_ended(started.data()["rollback_id"].as_str().unwrap()).await;
        assert_eq!((ended["status"].as_str(), ended["operations_total"].as_u64()), (Some("Completed"), Some(2)));
        let (mut last, all) = (lines(&ledger)[7..].to_vec(), lines(&ledger));
        last.sort();
        assert_eq!(last, ["do-old", "undo-new"], "{all:?}");
        assert_eq!(daemon.ended(&before).await["status"], "Completed");
        let restored = daemon.post(&format!("/rollback/restore/{at}"), &json!({})).await;
        assert_eq!(restored.status.as_u16(), 409, "everything is as it was");
        let later = daemon.post("/rollback/execute", &json!({ "checkpoint_id": at })).await;
        assert_eq!(later.status.as_u16(), 409, "what was there and is again was not completed since");
        let counted = daemon.get("/rollback/statistics").await;
        assert_eq!((counted.data()["rollbacks"].as_u64(), counted.data()["succeeded"].as_u64()), (Some(3), Some(3)));
    });
}

#[test]
fn a_batch_that_failed_is_no_other_for_being_undone_and_restored() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let mut bad = script("b", "exit 3");
        bad["dependencies"] = json!(["a"]);
        let body =
            json!({ "name": "half", "rollback_enabled": false, "operations": [operation(&ledger, "a", &[]), bad] });
        let id = daemon.batch(&body).await;
        assert_eq!(daemon.ended(&id).await["status"], "Failed");
        let at = checkpoint(&daemon, "half done").await;
        assert_eq!(roll_back(&daemon, &json!({ "batch_id": id })).await["status"], "Completed");
        assert_eq!(daemon.ended(&id).await["status"], "RolledBack");
        let started = daemon.post(&format!("/rollback/restore/{at}"), &json!({})).await;
        daemon.rollback_ended(started.data()["rollback_id"].as_str().unwrap()).await;
        let view = daemon.ended(&id).await;
        assert_eq!((view["status"].as_str(), status(&view, "a")), (Some("Failed"), "Completed"));
    });
}

#[test]
fn batches_make_checkpoints_by_themselves() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("checkpoint_every = 2");
        daemon.boot().await;
        let ledger = daemon.path("ledger");
        let chain: Vec<Value> = (0..5)
            .map(|n| {
                let on: Vec<String> = (n > 0).then(|| format!("o{}", n - 1)).into_iter().collect();
                operation(&ledger, &format!("o{n}"), &on.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        let id = completed(&daemon, &batch("long", &chain)).await;
        let listed = daemon.get("/rollback/checkpoints").await;
        let names: Vec<&str> =
            listed.data().as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!((names, listed.data()[0]["batch_id"].clone()), (vec!["long 4/5", "long 2/5"], json!(id)));
        let ended = roll_back(&daemon, &json!({ "checkpoint_id": listed.data()[1]["id"] })).await;
        assert_eq!(ended["status"], "Completed");
        assert_eq!(lines(&ledger)[5..], ["undo-o4", "undo-o3", "undo-o2"]);
    });
}

/// A compensation that fails until somebody opens its gate.
fn gated(ledger: &Path, gate: &Path, id: &str, dependencies: &[&str]) -> Value {
    let mut operation = operation(ledger, id, dependencies);
    let text = format!("[ -e {} ] && echo undo-{id} >> {}", gate.display(), ledger.display());
    operation["rollback"] = json!({ "command": "sh", "args": ["-c", text] });
    operation
}

#[test]
fn a_stuck_rollback_can_be_tried_again_gone_on_with_or_accepted() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let operations =
            [operation(&ledger, "a", &[]), gated(&ledger, &gate, "b", &["a"]), operation(&ledger, "c", &["b"])];
        let decide = async |id: &str, verb: &str, body: Value| {
            daemon.post(&format!("/rollback/executions/{id}/{verb}"), &body).await
        };
        let stuck = async |name: &str| {
            let batch_id = completed(&daemon, &batch(name, &operations)).await;
            let ended = roll_back(&daemon, &json!({ "batch_id": batch_id })).await;
            assert_eq!((ended["status"].as_str(), ended["operations_failed"].as_u64()), (Some("Failed"), Some(1)));
            let left: Vec<&str> =
                ended["left"].as_array().unwrap().iter().map(|left| left["operation_id"].as_str().unwrap()).collect();
            assert_eq!(left, ["b", "a"]);
            let view = daemon.ended(&batch_id).await;
            assert_eq!((view["status"].as_str(), status(&view, "a")), (Some("RollbackFailed"), "Completed"));
            assert_eq!(view["rollback_id"], ended["rollback_id"]);
            // To try the batch again is not the way to undo more of it than was asked for.
            let retried = daemon.post(&format!("/batch/operations/{batch_id}/retry"), &json!({})).await;
            assert_eq!(retried.status.as_u16(), 409);
            let task = view["operations"][1]["rollback_task_id"].as_str().unwrap();
            assert_eq!(daemon.post(&format!("/tasks/{task}/retry"), &json!({})).await.status.as_u16(), 409);
            (batch_id, ended["rollback_id"].as_str().unwrap().to_owned())
        };

        let (batch_id, id) = stuck("skipped").await;
        let wrong = json!({ "batch_id": batch_id, "operation_id": "c", "reason": "why not" });
        assert_eq!(decide(&id, "skip", wrong).await.status.as_u16(), 409, "it isn't stuck there");
        let skip = json!({ "batch_id": batch_id, "operation_id": "b", "reason": "it was moved by hand" });
        assert_eq!(decide(&id, "skip", skip).await.status.as_u16(), 200);
        let ended = daemon.rollback_ended(&id).await;
        assert_eq!(ended["status"], "Completed");
        assert_eq!(ended["steps"][1]["skipped"], "it was moved by hand");
        assert_eq!(lines(&ledger).last().unwrap(), "undo-a");

        let (_, id) = stuck("accepted").await;
        assert_eq!(decide(&id, "accept", json!({})).await.status.as_u16(), 400, "a decision has a reason");
        let accepted = decide(&id, "accept", json!({ "reason": "it may stay" })).await;
        assert_eq!(
            (&accepted.data()["status"], &accepted.data()["accepted"]),
            (&json!("Accepted"), &json!("it may stay"))
        );
        assert_eq!(decide(&id, "retry", json!({})).await.status.as_u16(), 409);

        let (batch_id, id) = stuck("again").await;
        std::fs::write(&gate, "").unwrap();
        assert_eq!(decide(&id, "retry", json!({})).await.status.as_u16(), 200);
        assert_eq!(daemon.rollback_ended(&id).await["status"], "Completed");
        assert_eq!(daemon.ended(&batch_id).await["status"], "RolledBack");
        let last = lines(&ledger);
        assert_eq!(last[last.len() - 2..], ["undo-b", "undo-a"]);

        for (action, reason) in [("rollback_skip", "it was moved by hand"), ("rollback_accept", "it may stay")] {
            let path = format!("/audit/logs?action={action}&outcome=success");
            let entries = daemon.control(&daemon.token, reqwest::Method::GET, &path, Value::Null).await;
            assert_eq!(entries.data()[0]["details"]["reason"], reason, "{entries:?}");
        }
    });
}

#[test]
fn what_goes_on_is_not_rolled_back_and_what_is_rolled_back_is_left_alone() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());
        let at = checkpoint(&daemon, "then").await;
        let mut slow = script("slow", &wait);
        slow["dependencies"] = json!(["a"]);
        let id = daemon.batch(&batch("going", &[operation(&ledger, "a", &[]), slow])).await;
        until("a is done", || async { (lines(&ledger) == ["do-a"]).then_some(()) }).await;
        for body in [json!({ "batch_id": id }), json!({ "checkpoint_id": at })] {
            let refused = until("it is known", || async {
                let answer = daemon.post("/rollback/execute", &body).await;
                answer.body["error"].as_str().unwrap().contains("can't be rolled back").then_some(answer)
            });
            assert_eq!(refused.await.status.as_u16(), 409);
        }
        std::fs::write(&gate, "").unwrap();
        daemon.ended(&id).await;

        let (held, go) = (daemon.path("held"), daemon.path("go"));
        let mut operation = operation(&ledger, "h", &[]);
        let text = format!("touch {}; while [ ! -e {} ]; do sleep 0.02; done", held.display(), go.display());
        operation["rollback"] = json!({ "command": "sh", "args": ["-c", text] });
        let id = completed(&daemon, &batch("held", &[operation])).await;
        let started = daemon.post("/rollback/execute", &json!({ "batch_id": id })).await;
        let rollback = started.data()["rollback_id"].as_str().unwrap().to_owned();
        until("it is being undone", || async { held.exists().then_some(()) }).await;
        assert_eq!(daemon.get(&format!("/batch/operations/{id}")).await.data()["status"], "RollingBack");
        for path in [format!("/batch/operations/{id}/retry"), format!("/batch/operations/{id}/cancel")] {
            assert_eq!(daemon.post(&path, &json!({})).await.status.as_u16(), 409, "{path}");
        }
        assert_eq!(daemon.post("/rollback/execute", &json!({ "batch_id": id })).await.status.as_u16(), 409);
        std::fs::write(&go, "").unwrap();
        assert_eq!(daemon.rollback_ended(&rollback).await["status"], "Completed");
    });
}

#[test]
fn a_rollback_survives_the_death_of_the_daemon_and_undoes_once() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let mut slow = operation(&ledger, "b", &["a"]);
        let text = format!(
            "echo begin-b >> {0}; while [ ! -e {1} ]; do sleep 0.02; done; echo undo-b >> {0}",
            ledger.display(),
            gate.display()
        );
        slow["rollback"] = json!({ "command": "sh", "args": ["-c", text] });
        let id = completed(&daemon, &batch("crash", &[operation(&ledger, "a", &[]), slow])).await;
        let key = |daemon: &Daemon| {
            daemon.request(reqwest::Method::POST, "/rollback/execute").header("Idempotency-Key", "once")
        };
        let body = json!({ "batch_id": id });
        let started = crate::support::answer(key(&daemon).json(&body)).await;
        let rollback = started.data()["rollback_id"].as_str().unwrap().to_owned();
        until("b is being undone", || async { lines(&ledger).contains(&"begin-b".to_owned()).then_some(()) }).await;
        daemon.kill();
        daemon.boot().await;
        let again = crate::support::answer(key(&daemon).json(&body)).await;
        assert_eq!(again.data()["rollback_id"], rollback.as_str(), "the same key is the same rollback");
        std::fs::write(&gate, "").unwrap();
        assert_eq!(daemon.rollback_ended(&rollback).await["status"], "Completed");
        assert_eq!(lines(&ledger), ["do-a", "do-b", "begin-b", "undo-b", "undo-a"]);
        assert_eq!(daemon.ended(&id).await["status"], "RolledBack");
    });
}

/// A program that stands for prov: what it makes is a file, and its deletion leaves that while there is a `stuck`.
const PROGRAM: &str = r#"#!/bin/sh
dir=$(dirname "$0")
case "$*" in
  *delete*--check*) [ -e "$dir/made" ] && { echo web-1; exit 3; }; exit 0 ;;
  *delete*) [ -e "$dir/stuck" ] || rm -f "$dir/made" ;;
  *) touch "$dir/made" ;;
esac
"#;

#[test]
fn a_rollback_is_done_when_the_provider_says_that_nothing_is_left() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        let program = daemon.path("program");
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        daemon.configure(&format!("command = {:?}", program.display().to_string()));
        daemon.boot().await;
        let servers = json!({
            "id": "web", "type": "server_batch", "provider": "local",
            "server_configs": [{ "name": "web-1", "plan": "1xCPU-512 MB", "zone": "local" }],
        });
        let body = batch("proof", &[servers]);
        let id = completed(&daemon, &body).await;
        std::fs::write(daemon.path("stuck"), "").unwrap();
        let ended = roll_back(&daemon, &json!({ "batch_id": id })).await;
        assert_eq!(ended["status"], "Failed");
        let proof = &ended["proof"][0];
        assert_eq!((&proof["answer"], &proof["found"]), (&json!("disproved"), &json!(["web-1"])));
        assert_eq!(ended["left"][0]["what"], "of what web made, this is still there: web-1");
        let view = daemon.ended(&id).await;
        assert_eq!((view["status"].as_str(), status(&view, "web")), (Some("RollbackFailed"), "RollbackFailed"));

        std::fs::remove_file(daemon.path("stuck")).unwrap();
        let path = format!("/rollback/executions/{}/retry", ended["rollback_id"].as_str().unwrap());
        let retried = daemon.post(&path, &json!({})).await;
        let ended = daemon.rollback_ended(retried.data()["rollback_id"].as_str().unwrap()).await;
        assert_eq!((&ended["status"], &ended["proof"][0]["answer"]), (&json!("Completed"), &json!("proved")));
        assert!(!daemon.path("made").exists());
        assert_eq!(daemon.ended(&id).await["status"], "RolledBack");

        // What somebody leaves as it is stands there with the reason, and can still be undone by another rollback.
        std::fs::write(daemon.path("stuck"), "").unwrap();
        let id = completed(&daemon, &body).await;
        let stuck = roll_back(&daemon, &json!({ "batch_id": id })).await;
        let rollback = stuck["rollback_id"].as_str().unwrap();
        let skip = json!({ "batch_id": id, "operation_id": "web", "reason": "somebody uses it" });
        assert_eq!(daemon.post(&format!("/rollback/executions/{rollback}/skip"), &skip).await.status.as_u16(), 200);
        let ended = daemon.rollback_ended(rollback).await;
        assert_eq!(
            (&ended["status"], &ended["steps"][0]["skipped"]),
            (&json!("Completed"), &json!("somebody uses it"))
        );
        let left = ended["left"][0]["what"].as_str().unwrap();
        assert!(left.contains("as somebody decided") && left.contains("web-1"), "{left}");
        std::fs::remove_file(daemon.path("stuck")).unwrap();
        assert_eq!(roll_back(&daemon, &json!({ "batch_id": id })).await["status"], "Completed");
        assert!(!daemon.path("made").exists());
    });
}
