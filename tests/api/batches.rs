//! Batches: order, limits, failure in its three kinds, rollback, cancel, retry, plans.

use serde_json::{Value, json};

use crate::support::{Daemon, run, script};

fn status<'b>(batch: &'b Value, id: &str) -> &'b str {
    let operations = batch["operations"].as_array().unwrap();
    operations.iter().find(|operation| operation["id"] == id).unwrap()["status"].as_str().unwrap()
}

fn with(mut operation: Value, more: &Value) -> Value {
    operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    operation
}

#[test]
fn dependencies_are_kept_and_everything_runs_once() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let write = |id: &str| script(id, &format!("echo {id} >> {}", ledger.display()));
        let batch = json!({
            "name": "order", "operations": [
                with(write("c"), &json!({ "dependencies": ["a", { "operation_id": "b", "type": "soft" }, { "operation_id": "gone", "type": "optional" }] })),
                write("a"),
                with(write("b"), &json!({ "dependencies": ["a"] })),
            ],
        });
        let ended = daemon.ended(&daemon.batch(&batch).await).await;
        assert_eq!(ended["status"], "Completed");
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "a\nb\nc\n");
        assert_eq!(ended["operations_completed"], 3);
    });
}

#[test]
fn a_failure_undoes_what_was_done_in_reverse_order() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let undo = |id: &str| json!({ "rollback": { "command": "sh", "args": ["-c", format!("echo undo-{id} >> {}", ledger.display())] } });
        let batch = json!({
            "name": "undo", "operations": [
                with(script("a", "true"), &undo("a")),
                with(with(script("b", "true"), &undo("b")), &json!({ "dependencies": ["a"] })),
                with(script("c", "echo broken >&2; exit 3"), &json!({ "dependencies": ["b"] })),
                with(with(script("d", "true"), &undo("d")), &json!({ "dependencies": ["c"] })),
            ],
        });
        let ended = daemon.ended(&daemon.batch(&batch).await).await;
        assert_eq!(ended["status"], "RolledBack");
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "undo-b\nundo-a\n");
        let words: Vec<&str> = ["a", "b", "c", "d"].iter().map(|id| status(&ended, id)).collect();
        assert_eq!(words, ["RolledBack", "RolledBack", "Failed", "Skipped"]);
        assert_eq!(ended["error"], "operation c: exit status 3: broken");
    });
}

#[test]
fn what_a_failure_means_is_the_operations_to_say() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let batch = |on_failure: &str| {
            json!({ "name": on_failure, "operations": [
                with(script("bad", "exit 1"), &json!({ "on_failure": on_failure })),
                with(script("needs", "true"), &json!({ "dependencies": ["bad"] })),
                with(script("after", "true"), &json!({ "dependencies": [{ "operation_id": "bad", "type": "soft" }] })),
            ] })
        };
        let go_on = daemon.ended(&daemon.batch(&batch("continue")).await).await;
        assert_eq!(go_on["status"], "Completed");
        assert_eq!(
            [status(&go_on, "bad"), status(&go_on, "needs"), status(&go_on, "after")],
            ["Failed", "Skipped", "Completed"]
        );
        let stop = daemon.ended(&daemon.batch(&batch("fail")).await).await;
        assert_eq!(stop["status"], "Failed");
        assert_eq!(
            [status(&stop, "bad"), status(&stop, "needs"), status(&stop, "after")],
            ["Failed", "Skipped", "Skipped"]
        );
    });
}

#[test]
fn a_stuck_rollback_says_what_is_left_and_can_be_tried_again() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let gate = daemon.path("gate");
        let undo = json!({ "rollback": { "command": "test", "args": ["-e", gate] } });
        let batch = json!({ "name": "stuck", "operations": [
            with(script("a", "true"), &undo),
            with(script("b", "exit 1"), &json!({ "dependencies": ["a"] })),
        ] });
        let id = daemon.batch(&batch).await;
        let stuck = daemon.ended(&id).await;
        assert_eq!((stuck["status"].as_str(), status(&stuck, "a")), (Some("RollbackFailed"), "RollbackFailed"));
        assert!(stuck["left"].as_array().unwrap().iter().any(|left| left["operation_id"] == "a"), "{stuck}");
        std::fs::write(&gate, "").unwrap();
        assert_eq!(daemon.post(&format!("/batch/operations/{id}/retry"), &json!({})).await.status, 200);
        let ended = daemon.ended(&id).await;
        assert_eq!((ended["status"].as_str(), status(&ended, "a")), (Some("RolledBack"), "RolledBack"));
    });
}

#[test]
fn a_retry_goes_on_from_what_failed_and_repeats_nothing() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let batch = json!({ "name": "again", "rollback_enabled": false, "operations": [
            script("a", &format!("echo a >> {}", ledger.display())),
            with(script("b", &format!("test -e {} && echo b >> {}", gate.display(), ledger.display())), &json!({ "dependencies": ["a"] })),
        ] });
        let id = daemon.batch(&batch).await;
        assert_eq!(daemon.ended(&id).await["status"], "Failed");
        std::fs::write(gate, "").unwrap();
        daemon.post(&format!("/batch/operations/{id}/retry"), &json!({})).await.data();
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "a\nb\n");
        let nothing = daemon.post(&format!("/batch/operations/{id}/retry"), &json!({})).await;
        assert_eq!((nothing.status.as_u16(), nothing.code()), (409, "conflict"));
    });
}

#[test]
fn attempts_are_repeated_and_time_runs_out() {
    run(async {
        let daemon = Daemon::start(&["--drain-seconds", "1"]).await;
        let count = daemon.path("count");
        let flaky = format!("echo x >> {0}; test $(wc -l < {0}) -ge 3", count.display());
        let batch = json!({ "name": "flaky", "rollback_enabled": false, "operations": [
            with(script("flaky", &flaky), &json!({ "retry": { "max_attempts": 5, "initial_delay_seconds": 0 } })),
            with(script("slow", "sleep 600"), &json!({ "timeout_seconds": 1, "on_failure": "continue" })),
        ] });
        let ended = daemon.ended(&daemon.batch(&batch).await).await;
        assert_eq!((status(&ended, "flaky"), status(&ended, "slow")), ("Completed", "Failed"));
        assert_eq!(ended["operations"][0]["attempt"], 3);
        assert!(ended["operations"][1]["error"].as_str().unwrap().contains("longer than 1 s"), "{ended}");
    });
}

#[test]
fn an_attempt_that_was_taken_back_is_not_counted() {
    run(async {
        // One slot: the second attempt of `a` waits while `b` runs, whose failure takes it back and starts the rollback.
        let daemon = Daemon::start(&["--max-parallel", "1"]).await;
        let again = json!({ "retry": { "max_attempts": 2, "initial_delay_seconds": 0 } });
        let operations = [with(script("a", "exit 1"), &again), script("b", "exit 1")];
        let id = daemon.batch(&json!({ "name": "taken-back", "operations": operations })).await;
        let ended = daemon.ended(&id).await;
        assert_eq!((status(&ended, "a"), status(&ended, "b")), ("Failed", "Failed"));
        assert_eq!(ended["operations"][0]["attempt"], 1);
        let task = daemon.get(&format!("/tasks/{}", ended["operations"][0]["task_id"].as_str().unwrap())).await;
        assert_eq!((task.data()["status"].as_str(), task.data()["attempt"].as_u64()), (Some("Failed"), Some(1)));
    });
}

#[test]
fn cancel_ends_what_runs_and_rolls_back_when_asked_to() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let undone = daemon.path("undone");
        let batch = json!({ "name": "long", "operations": [
            with(script("a", "true"), &json!({ "rollback": { "command": "touch", "args": [undone] } })),
            with(script("b", "sleep 600"), &json!({ "dependencies": ["a"] })),
            with(script("c", "true"), &json!({ "dependencies": ["b"] })),
        ] });
        let id = daemon.batch(&batch).await;
        crate::support::until("b runs", || async {
            (status(daemon.get(&format!("/batch/operations/{id}")).await.data(), "b") == "Running").then_some(())
        })
        .await;
        daemon.post(&format!("/batch/operations/{id}/cancel"), &json!({ "rollback": true })).await.data();
        let ended = daemon.ended(&id).await;
        assert_eq!(ended["status"], "RolledBack");
        assert_eq!(
            [status(&ended, "a"), status(&ended, "b"), status(&ended, "c")],
            ["RolledBack", "Cancelled", "Skipped"]
        );
        assert!(undone.exists());
        let again = daemon.post(&format!("/batch/operations/{id}/cancel"), &json!({})).await;
        assert_eq!(again.status, 409);
    });
}

#[test]
fn a_bad_graph_is_refused_whole_and_a_good_one_planned() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let on = |id: &str, dependencies: Value| with(script(id, "true"), &json!({ "dependencies": dependencies }));
        let bad = json!({ "name": "bad", "operations": [
            on("a", json!(["b"])), on("b", json!(["c"])), on("c", json!(["a"])), on("d", json!(["nothing"])), on("d", json!([])),
        ] });
        let refused = daemon.post("/batch/execute", &bad).await;
        let text = refused.body.to_string();
        assert_eq!(refused.status, 400);
        assert!(text.contains("a → b → c → a") && text.contains("`nothing`") && text.contains("the id `d`"), "{text}");
        let good = json!({ "name": "good", "check_mode": true, "storage_backend": "surrealdb",
            "operations": [on("x", json!([])), on("y", json!(["x"])), on("z", json!(["x"]))] });
        let plan = daemon.post("/batch/execute", &good).await;
        assert_eq!(plan.data()["waves"], json!([["x"], ["y", "z"]]));
        assert!(plan.body["warnings"][0].as_str().unwrap().contains("redb"), "{plan:?}");
        assert!(daemon.get("/batch/operations").await.data().as_array().unwrap().is_empty());
    });
}

#[test]
fn at_most_the_limit_runs_at_once_and_many_operations_are_no_matter() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "8"]).await;
        let (running, most) = (daemon.path("running"), daemon.path("most"));
        std::fs::create_dir(&running).unwrap();
        let watch = format!(
            "touch {0}/$PROV_OPERATION_ID; n=$(ls {0} | wc -l); echo $n >> {1}; rm {0}/$PROV_OPERATION_ID",
            running.display(),
            most.display()
        );
        let mut operations: Vec<Value> = (0..60).map(|index| script(&format!("w{index}"), &watch)).collect();
        operations.extend((0..500).map(
            |index| json!({ "id": format!("t{index}"), "type": "command", "command": "true", "dependencies": ["w0"] }),
        ));
        let batch = json!({ "name": "many", "parallel_limit": 3, "operations": operations });
        let ended = daemon.ended(&daemon.batch(&batch).await).await;
        assert_eq!((ended["status"].as_str(), ended["operations_completed"].as_u64()), (Some("Completed"), Some(560)));
        let counts = std::fs::read_to_string(most).unwrap();
        assert!(counts.lines().all(|line| line.trim().parse::<u32>().unwrap() <= 3), "{counts}");
    });
}
