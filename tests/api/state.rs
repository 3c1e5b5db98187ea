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

#[test]
fn figures_count_what_ended_and_health_says_how_each_part_does() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        for (text, end) in [("true", "Completed"), ("true", "Completed"), ("exit 1", "RolledBack")] {
            let id = daemon.batch(&json!({ "name": "m", "infra": "lab", "operations": [script("o", text)] })).await;
            assert_eq!(daemon.ended(&id).await["status"], end);
        }
        let figures = daemon.get("/state/system/metrics").await.data().clone();
        let counts = ["active_workflows", "queued_tasks", "running_tasks", "completed_tasks", "failed_tasks"];
        assert_eq!(counts.map(|name| figures[name].as_u64().unwrap()), [0, 0, 0, 2, 1], "{figures}");
        for usage in ["cpu_usage", "memory_usage", "disk_usage"] {
            assert!((0.0..=1.0).contains(&figures[usage].as_f64().unwrap()), "{figures}");
        }
        assert!(figures["network_usage"].as_f64().unwrap() >= 0.0 && figures["uptime_seconds"].is_u64());

        let health = daemon.get("/state/system/health").await.data().clone();
        let parts = health["components"].as_object().unwrap();
        for part in ["store", "scheduler", "executor"] {
            assert_eq!(parts[part], json!({ "status": "Healthy", "reason": null }), "{health}");
        }
        assert!(parts.contains_key("disk") && parts["provider:local"]["status"] == "Unknown", "{health}");
        assert!(["Healthy", "Degraded", "Unhealthy"].contains(&health["overall_status"].as_str().unwrap()));

        let statistics = daemon.get("/state/statistics").await.data().clone();
        assert_eq!(statistics["totals"], json!({ "Completed": 2, "Failed": 1, "Cancelled": 0 }));
        let rate = statistics["success_rate"].as_f64().unwrap();
        assert!((rate - 2.0 / 3.0).abs() < 1e-9, "{statistics}");
        assert!(statistics["average_completion_time"].as_f64().unwrap() < 10.0);
        assert_eq!(
            (&statistics["by_infra"]["lab"]["total"], &statistics["by_type"]["command"]["total"]),
            (&json!(3), &json!(3))
        );
        assert_eq!(statistics["by_provider"]["-"]["total"], 3);
        let before = daemon.get("/state/statistics?since=2020-01-01&until=2020-12-31").await.data().clone();
        assert_eq!((&before["total"], &before["success_rate"]), (&json!(0), &Value::Null));
        assert_eq!(before["since"], "2020-01-01T00:00:00.000Z");
        assert_eq!(daemon.get("/state/statistics?since=2020-01-02&until=2020-01-01").await.code(), "invalid_request");
        assert_eq!(daemon.get("/state/statistics?since=soon").await.code(), "invalid_request");

        daemon.kill();
        daemon.boot().await;
        let again = daemon.get("/state/statistics").await.data().clone();
        assert_eq!(again["totals"], statistics["totals"], "nothing is lost or counted twice");
    });
}

#[test]
fn statistics_are_of_what_the_reader_may_see() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let good = "plum-orbit-canvas-thirteen";
        let user = json!({ "username": "dev", "roles": ["Developer"], "password": good });
        daemon.control(&daemon.token, reqwest::Method::POST, "/users", user).await.data();
        let dev = daemon.login("dev", good).await.data()["token"].as_str().unwrap().to_owned();
        for infra in ["production", "staging"] {
            let id = daemon.batch(&json!({ "name": "m", "infra": infra, "operations": [script("o", "true")] })).await;
            daemon.ended(&id).await;
        }
        let url = format!("{}/state/statistics", daemon.orchestrator());
        let seen = crate::support::answer(daemon.http.get(url).bearer_auth(&dev)).await;
        assert_eq!(seen.data()["total"], 1);
        assert_eq!(seen.data()["by_infra"].as_object().unwrap().keys().collect::<Vec<_>>(), ["staging"]);
        assert_eq!(daemon.get("/state/statistics").await.data()["total"], 2);
    });
}

#[test]
fn prometheus_reads_every_figure_and_gets_no_two_of_a_kind() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let id = daemon.batch(&json!({ "name": "m", "infra": "lab", "operations": [script("o", "true")] })).await;
        daemon.ended(&id).await;
        daemon.get("/nowhere").await;
        let accept = "text/plain;version=0.0.4";
        let request = daemon.request(reqwest::Method::GET, "/metrics").header("accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = response.text().await.unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok() && seen.insert(name), "{line}");
            let family = name.split('{').next().unwrap();
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end)).unwrap_or(family);
            for mark in ["HELP", "TYPE"] {
                assert_eq!(text.matches(&format!("# {mark} {family} ")).count(), 1, "{line}");
            }
        }
        for line in [
            "prov_tasks_total{status=\"Completed\"} 1",
            "prov_tasks_queued 0",
            "prov_task_duration_seconds_count{type=\"command\"} 1",
            "prov_supervisor_connected 1",
            "prov_http_requests_total{operation=\"batch_execute\",status=\"2xx\"} 1",
            "prov_http_requests_total{operation=\"none\",status=\"4xx\"} 1",
            "prov_http_requests_total{operation=\"auth_login\",status=\"2xx\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        for name in ["prov_store_commit_duration_seconds_count", "process_resident_memory_bytes", "process_open_fds"] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            assert!(value.trim().parse::<f64>().unwrap() > 0.0, "{name}{value}");
        }
    });
}
