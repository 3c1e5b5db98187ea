//! State: how far work is, what became of it, and how the daemon itself does.

use serde_json::{Value, json};

use crate::support::{Daemon, run, script, until};

/// A script that reports and then waits for a file.
fn reporting(daemon: &Daemon, id: &str, line: &str, gate: &str) -> Value {
    let gate = daemon.path(gate);
    script(id, &format!("echo '{line}' >> \"$PROV_EVENTS\"; until [ -e {} ]; do sleep 0.02; done", gate.display()))
}

async fn progress(daemon: &Daemon, id: &str) -> Value {
    daemon.get(&format!("/state/workflows/{id}/progress")).await.data().clone()
}

#[test]
fn progress_is_what_commands_report_and_the_rest_is_estimated_from_history() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let line = r#"{"progress":0.5,"step":"installing kubernetes","completed_steps":2,"total_steps":4}"#;
        let batch = |gate: &str| {
            let mut second = reporting(&daemon, "b", line, gate);
            second["dependencies"] = json!(["a"]);
            json!({ "name": "p", "infra": "lab", "operations": [script("a", "true"), second] })
        };
        let id = daemon.batch(&batch("one")).await;
        let half = until("the step is reported", || async {
            let found = progress(&daemon, &id).await;
            (found["current_step"] == "b: installing kubernetes").then_some(found)
        })
        .await;
        let expected = json!({
            "workflow_id": id, "status": "Running", "progress": 0.75, "current_step": "b: installing kubernetes",
            "total_steps": 2, "completed_steps": 1, "estimated_time_remaining": null,
        });
        assert_eq!(half, expected, "nothing called b has ended there yet");
        let task = daemon.get(&format!("/batch/operations/{id}")).await.data()["operations"][1]["task_id"].clone();
        let of_task = progress(&daemon, task.as_str().unwrap()).await;
        let expected = json!({
            "workflow_id": task, "status": "Running", "progress": 0.5, "current_step": "installing kubernetes",
            "total_steps": 4, "completed_steps": 2, "estimated_time_remaining": null,
        });
        assert_eq!(of_task, expected);
        std::fs::write(daemon.path("one"), "").unwrap();
        daemon.ended(&id).await;
        let done = progress(&daemon, &id).await;
        assert_eq!((&done["progress"], &done["estimated_time_remaining"]), (&json!(1.0), &json!(0)));
        assert_eq!((&done["current_step"], &done["completed_steps"]), (&Value::Null, &json!(2)));

        let again = daemon.batch(&batch("two")).await;
        let known = progress(&daemon, &again).await;
        assert!(known["estimated_time_remaining"].as_u64().is_some(), "{known}");
        let mut elsewhere = batch("two");
        elsewhere["infra"] = json!("other");
        let elsewhere = daemon.batch(&elsewhere).await;
        assert_eq!(progress(&daemon, &elsewhere).await["estimated_time_remaining"], Value::Null);
        std::fs::write(daemon.path("two"), "").unwrap();
        daemon.ended(&again).await;
        daemon.ended(&elsewhere).await;
        let unknown = daemon.get("/state/workflows/01a20dde-a76b-74cc-b9dd-d96eee9b4642/progress").await;
        assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "not_found"));
    });
}

#[test]
fn snapshots_are_the_transitions_newest_first_and_a_task_has_its_own() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let mut second = script("b", "exit 3");
        second["dependencies"] = json!(["a"]);
        let mut first = script("a", "true");
        first["rollback"] = json!({ "command": "true" });
        let id = daemon.batch(&json!({ "name": "s", "infra": "lab", "operations": [first, second] })).await;
        daemon.ended(&id).await;
        let all = daemon.get(&format!("/state/workflows/{id}/snapshots")).await;
        let snapshots = all.data().as_array().unwrap();
        assert_eq!(all.headers["x-total-count"], snapshots.len().to_string());
        assert_eq!(snapshots[0]["state"]["status"], "RolledBack");
        assert_eq!(snapshots.last().unwrap()["state"]["status"], "Pending");
        let place = |snapshot: &Value| snapshot["snapshot_id"].as_u64().unwrap();
        assert!(snapshots.windows(2).all(|pair| place(&pair[0]) > place(&pair[1])));
        let told: Vec<String> = snapshots
            .iter()
            .rev()
            .flat_map(|snapshot| snapshot["state"]["operations"].as_array().unwrap())
            .map(|one| format!("{} {}", one["operation_id"], one["status"]).replace('"', ""))
            .collect();
        let expected =
            ["a Running", "a Completed", "b Running", "b Failed", "a RollingBack", "a RolledBack"].map(str::to_owned);
        assert_eq!(told, expected);
        let failed = snapshots.iter().find(|one| one["state"]["operations"][0]["status"] == "Failed").unwrap();
        assert!(failed["state"]["operations"][0]["error"].as_str().unwrap().contains("exit status 3"), "{failed}");

        let mut paged = Vec::new();
        let mut path = format!("/state/workflows/{id}/snapshots?limit=2");
        loop {
            let part = daemon.get(&path).await;
            paged.extend(part.data().as_array().unwrap().clone());
            let Some(link) = part.headers.get("link") else { break };
            link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().clone_into(&mut path);
        }
        assert_eq!(&paged, snapshots);

        let view = daemon.get(&format!("/batch/operations/{id}")).await;
        let task = view.data()["operations"][1]["task_id"].as_str().unwrap().to_owned();
        let own = daemon.get(&format!("/state/workflows/{task}/snapshots")).await;
        let words: Vec<&Value> = own.data().as_array().unwrap().iter().map(|one| &one["state"]["status"]).collect();
        assert_eq!(words, ["Failed", "Running", "Pending"]);
        assert_eq!(daemon.get(&format!("/state/workflows/{id}/snapshots?limit=0")).await.code(), "invalid_request");
    });
}
