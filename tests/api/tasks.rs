//! Workflows and their tasks: the command that is run, lists, logs, idempotency.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Daemon, answer, run, script, until};

#[cfg(unix)]
fn stand_in(dir: &std::path::Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("provisioning");
    std::fs::write(&path, "#!/bin/sh\necho \"ran $*\"\necho log line >&2\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_workflow_is_one_command_of_the_configured_program() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let program = stand_in(dir.path());
        let daemon = Daemon::start(&["--command", &program]).await;
        let calls: [(&str, Value, &str, &str, &str); 4] = [
            (
                "servers/create",
                json!({ "infra": "production", "wait": true }),
                "create_servers",
                "servers create",
                "--infra production --settings config.ncl --wait",
            ),
            (
                "servers/delete",
                json!({ "infra": "production" }),
                "delete_servers",
                "servers delete",
                "--infra production --settings config.ncl --yes",
            ),
            (
                "taskserv/create",
                json!({ "infra": "p", "taskserv": "kubernetes", "settings": "a.yaml", "check_mode": true }),
                "create_taskserv",
                "taskserv create",
                "kubernetes --infra p --settings a.yaml --check",
            ),
            (
                "cluster/create",
                json!({ "infra": "p", "operation": "delete", "cluster_type": "buildkit" }),
                "delete_cluster",
                "cluster delete",
                "buildkit --infra p --settings config.ncl --yes",
            ),
        ];
        for (path, body, name, words, args) in calls {
            let id = daemon.post(&format!("/workflows/{path}"), &body).await.data().as_str().unwrap().to_owned();
            let task = daemon.task_ended(&id).await;
            assert_eq!((task["status"].as_str(), task["name"].as_str()), (Some("Completed"), Some(name)));
            assert_eq!(task["command"], format!("{program} {words}"));
            assert_eq!(task["args"], json!(args.split(' ').collect::<Vec<_>>()));
            assert_eq!(task["output"], format!("ran {words} {args}"));
            let log = daemon.request(Method::GET, &format!("/tasks/{id}/logs?stream=stderr")).send().await.unwrap();
            assert_eq!(log.text().await.unwrap(), "log line\n");
        }
    });
}

#[test]
fn lists_are_filtered_paged_and_counted() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let operations: Vec<Value> =
            (0..5).map(|n| script(&format!("o{n}"), if n == 0 { "exit 1" } else { "true" })).collect();
        let batch = daemon.batch(&json!({ "name": "five", "rollback_enabled": false, "operations": operations })).await;
        daemon.ended(&batch).await;
        let all = daemon.get("/tasks").await;
        assert_eq!(all.headers["x-total-count"], "5");
        let first = daemon.get("/tasks?limit=2").await;
        assert_eq!(first.data().as_array().unwrap().len(), 2);
        let link = first.headers["link"].to_str().unwrap().to_owned();
        let next = link.split(['<', '>']).nth(1).unwrap();
        let second = daemon.get(next).await;
        let ids = |answer: &crate::support::Answer| {
            answer
                .data()
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!([ids(&first), ids(&second)].concat(), ids(&all)[..4]);
        assert_eq!(ids(&daemon.get("/tasks?limit=2&offset=2").await), ids(&second));
        let failed = daemon.get(&format!("/tasks?status=Failed&batch_id={batch}&infra=five")).await;
        assert_eq!((failed.headers["x-total-count"].to_str().unwrap(), ids(&failed).len()), ("1", 1));
        assert_eq!(daemon.get("/tasks?name=o3").await.data()[0]["operation_id"], "o3");
        assert_eq!(daemon.get("/batch/operations?status=Failed").await.headers["x-total-count"], "1");
    });
}

#[test]
fn the_same_key_makes_one_task_and_another_body_is_a_conflict() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let send = |key: &'static str, infra: &'static str| {
            let request = daemon.request(Method::POST, "/workflows/servers/create").header("idempotency-key", key);
            answer(request.json(&json!({ "infra": infra })))
        };
        let (one, two) = tokio::join!(send("k1", "a"), send("k1", "a"));
        assert_eq!(one.data(), two.data());
        assert_eq!(send("k1", "a").await.data(), one.data());
        let other = send("k1", "b").await;
        assert_eq!((other.status.as_u16(), other.code()), (409, "conflict"));
        assert_ne!(send("k2", "a").await.data(), one.data());
        assert_eq!(daemon.get("/tasks?status=Pending").await.headers["x-total-count"], "2");
        let id = one.data().as_str().unwrap().to_owned();
        daemon.post(&format!("/tasks/{id}/cancel"), &json!({})).await.data();
        assert_eq!(daemon.task_ended(&id).await["status"], "Cancelled");
        let again = daemon.post(&format!("/tasks/{id}/cancel"), &json!({})).await;
        assert_eq!(again.status, 409);
        let retried = daemon.post(&format!("/tasks/{id}/retry"), &json!({})).await;
        assert_ne!(retried.data().as_str().unwrap(), id);
    });
}

#[test]
fn a_log_is_followed_to_the_end_and_kept_within_its_limit() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("max_log_bytes = 100000");
        daemon.boot().await;
        let gate = daemon.path("gate");
        let wait = format!("echo one; while [ ! -e {} ]; do sleep 0.02; done; echo two", gate.display());
        let flood = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end";
        let id = daemon
            .batch(&json!({ "name": "logs", "operations": [script("wait", &wait), script("flood", flood)] }))
            .await;
        let task = |name: &'static str| {
            let daemon = &daemon;
            async move {
                until("the task is there", || async {
                    daemon.get(&format!("/tasks?name={name}")).await.data()[0]["id"].as_str().map(str::to_owned)
                })
                .await
            }
        };
        let followed = daemon
            .request(Method::GET, &format!("/tasks/{}/logs?follow=true&stream=stdout", task("wait").await))
            .send();
        let mut followed = followed.await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"one\n") {
            text.extend(followed.chunk().await.unwrap().unwrap());
        }
        std::fs::write(gate, "").unwrap();
        while let Some(chunk) = followed.chunk().await.unwrap() {
            text.extend(chunk);
        }
        assert_eq!(text, b"one\ntwo\n");
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        let flood = task("flood").await;
        let whole =
            daemon.request(Method::GET, &format!("/tasks/{flood}/logs")).send().await.unwrap().text().await.unwrap();
        assert!(
            whole.len() < 200_000 && whole.contains("bytes left out here") && whole.ends_with("the end\n"),
            "{}",
            whole.len()
        );
        let tail = daemon.request(Method::GET, &format!("/tasks/{flood}/logs?tail=1")).send().await.unwrap();
        assert_eq!(tail.text().await.unwrap(), "the end\n");
    });
}

#[test]
fn output_that_was_cut_says_so_and_two_streams_are_not_glued() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let operations = [
            script("long", "head -c 100000 /dev/zero | tr '\\0' x; echo end"),
            script("both", "printf out; printf err >&2"),
        ];
        let id = daemon.batch(&json!({ "name": "cut", "operations": operations })).await;
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        let cut = daemon.get("/tasks?name=long").await.data()[0].clone();
        let (mark, kept) = cut["output"].as_str().unwrap().split_once('\n').unwrap();
        assert_eq!(mark, format!("[prov: {} bytes left out; see the log]", 100_004 - 64 * 1024));
        assert!(kept.len() < 64 * 1024 && kept.ends_with("xend"));
        let both = daemon.get("/tasks?name=both").await.data()[0].clone();
        assert_eq!(both["output"], "out");
        let log = daemon.request(Method::GET, &format!("/tasks/{}/logs", both["id"].as_str().unwrap()));
        assert_eq!(log.send().await.unwrap().text().await.unwrap(), "out\nerr");
    });
}

#[test]
fn a_settings_file_is_refused_with_what_is_wrong_about_its_name() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        for (settings, why) in [
            ("/etc/passwd", "absolute"),
            ("a/../../b", "`..`"),
            ("-x", "starts with `-`"),
            (&"x".repeat(2000), "longer than"),
            ("a\u{7}b", "control character"),
        ] {
            let body = json!({ "infra": "a", "settings": settings });
            let refused = daemon.post("/workflows/servers/create", &body).await;
            let problem = &refused.body["details"]["problems"][0];
            assert_eq!((refused.status.as_u16(), problem["pointer"].as_str()), (400, Some("/settings")));
            assert!(problem["message"].as_str().unwrap().contains(why), "{problem}");
        }
    });
}
