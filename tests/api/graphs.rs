//! What is wrong with a batch is told all at once, shortly and quickly; what is odd about it in few words.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, answer, run, script, until};

fn pointers(refused: &Answer) -> Vec<&str> {
    assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"));
    let problems = refused.body["details"]["problems"].as_array().unwrap();
    problems.iter().map(|problem| problem["pointer"].as_str().unwrap()).collect()
}

#[test]
fn faults_of_shape_and_of_graph_are_told_together() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let batch = json!({ "name": "all", "operations": [
            { "id": "a", "type": "comand", "dependencies": ["c"], "commnd": "x", "args": [1], "provider": "nope" },
            { "id": "b", "type": "server_batch", "server_configs": [{ "name": "x" }, { "name": "x" }], "zone": "z" },
            { "id": "c", "type": "command", "command": "x", "args": ["y", 1, 2], "env": { "A": 1, "PROV_X": "y" }, "dependencies": ["a"] },
            { "id": "c", "type": "taskserv_batch", "provider": "local", "taskservs": [{ "name": "k", "servers": ["ok", "a b"] }] },
            { "id": "d", "type": "command", "timeout_seconds": 0, "dependencies": ["missing", "../x"] },
        ] });
        let refused = daemon.post("/batch/execute", &batch).await;
        let found = pointers(&refused);
        for pointer in [
            "/operations/0/type",
            "/operations/0/commnd",
            "/operations/0/provider",
            "/operations/1/provider",
            "/operations/1/zone",
            "/operations/1/server_configs/0/plan",
            "/operations/1/server_configs/1/name",
            "/operations/2/args/1",
            "/operations/2/args/2",
            "/operations/2/env/A",
            "/operations/2/env/PROV_X",
            "/operations/3/taskservs/0/servers/1",
            "/operations/4/command",
            "/operations/4/timeout_seconds",
            "/operations/4/dependencies/1",
            "/operations/3/id",
            "/operations/4/dependencies/0",
            "/operations/0/dependencies",
        ] {
            assert!(found.contains(&pointer), "{pointer} is missing in {found:?}");
        }
        let text = refused.body.to_string();
        assert!(text.contains("a → c → a") && text.contains("unknown provider `nope`; known: local"), "{text}");
    });
}

#[test]
fn a_batch_is_the_infra_of_its_name_or_says_that_it_needs_one() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        for name in ["prod_eu", "A.B", "multi_cloud_deployment"] {
            let id = daemon.batch(&json!({ "name": name, "operations": [script("a", "true")] })).await;
            assert_eq!(daemon.get(&format!("/batch/operations/{id}")).await.data()["infra"], name);
        }
        for name in ["prod eu", "größe", &"x".repeat(64)] {
            let batch = |infra: Value| json!({ "name": name, "infra": infra, "operations": [script("a", "true")] });
            let refused = daemon.post("/batch/execute", &batch(Value::Null)).await;
            assert_eq!(pointers(&refused), ["/infra"]);
            let id = daemon.batch(&batch(json!("prod"))).await;
            assert_eq!(daemon.get(&format!("/batch/operations/{id}")).await.data()["infra"], "prod");
        }
    });
}

#[test]
fn a_huge_graph_of_faults_is_refused_soon_and_shortly() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let operation = |n: usize| json!({ "id": format!("operation-{n}"), "type": "command", "command": "true", "dependencies": ["operatoin"] });
        let operations: Vec<Value> = (0..20_000).map(operation).collect();
        let started = Instant::now();
        let refused = daemon.post("/batch/execute", &json!({ "name": "huge", "operations": operations })).await;
        assert_eq!(pointers(&refused).len(), 101);
        assert!(refused.body.to_string().contains("and 19900 more problems"));
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());

        let names: Vec<String> = (0..700).map(|n| format!("o{n}")).collect();
        // Each waits for the next, then for all before it: one long way round with many short cuts.
        let dense = |n: usize| {
            let on: Vec<&String> = names.get(n + 1).into_iter().chain(&names[..n]).collect();
            json!({ "id": names[n], "type": "command", "command": "true", "dependencies": on })
        };
        let operations: Vec<Value> = (0..names.len()).map(dense).collect();
        let refused = daemon.post("/batch/validate", &json!({ "name": "dense", "operations": operations })).await;
        assert_eq!(pointers(&refused).len(), 1);
        assert!(refused.body.to_string().len() < 2000);

        let long = "x".repeat(5_000_000);
        let batch = json!({ "name": "long", "operations": [{ "id": "a", "type": long }], "storage_backend": long });
        let refused = daemon.post("/batch/execute", &batch).await;
        assert_eq!(pointers(&refused).len(), 2);
        assert!(refused.body.to_string().len() < 2000);
    });
}

#[test]
fn only_taskservs_without_known_servers_are_remarked_on_and_in_one_sentence() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let servers = json!({ "id": "servers", "type": "server_batch", "provider": "upcloud",
            "server_configs": [{ "name": "w", "plan": "1xCPU-1 GB", "zone": "de-fra1" }] });
        let taskserv = |id: &str, on: &[&str]| json!({ "id": id, "type": "taskserv_batch", "provider": "upcloud", "taskservs": ["k"], "dependencies": on });
        let warnings = |operations: Vec<Value>| {
            let daemon = &daemon;
            async move {
                let planned =
                    daemon.post("/batch/validate", &json!({ "name": "known", "operations": operations })).await;
                planned.data();
                planned.body["warnings"].as_array().cloned().unwrap_or_default()
            }
        };
        let between = script("between", "true");
        let mut between = between;
        between["dependencies"] = json!(["servers"]);
        let earlier = vec![servers.clone(), between, taskserv("t", &["between"])];
        assert!(warnings(earlier).await.is_empty());
        let beside = warnings(vec![servers.clone(), taskserv("t", &[])]).await;
        assert!(beside.len() == 1 && beside[0].as_str().unwrap().contains("operation t installs"), "{beside:?}");
        let ids: Vec<String> = (0..500).map(|n| format!("t{n}")).collect();
        let many: Vec<Value> = ids.iter().map(|id| taskserv(id, &[])).collect();
        let told = warnings(many.clone()).await;
        assert!(told.len() == 1 && told[0].as_str().unwrap().contains("t0, t1, t2 and 497 more"), "{told:?}");
        std::fs::create_dir_all(daemon.path("ws/infra/known")).unwrap();
        assert!(warnings(many).await.is_empty());
    });
}

#[test]
fn a_list_and_a_single_batch_agree_on_the_progress() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let mut waits = script("waits", "sleep 600");
        waits["dependencies"] = json!(["done"]);
        let id = daemon.batch(&json!({ "name": "half", "operations": [script("done", "true"), waits] })).await;
        until("one is done and one runs", || async {
            let batch = daemon.get(&format!("/batch/operations/{id}")).await;
            (batch.data()["operations"][1]["status"] == "Running").then_some(())
        })
        .await;
        let single = daemon.get(&format!("/batch/operations/{id}")).await.data()["progress"].clone();
        assert_eq!(single, 0.5);
        assert_eq!(daemon.get("/batch/operations").await.data()[0]["progress"], single);
    });
}

#[test]
fn a_member_given_twice_is_refused_by_name() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let body = r#"{"name": "x", "rollback_enabled": true, "rollback_enabled": false, "operations": []}"#;
        let request = daemon.request(Method::POST, "/batch/execute").header("content-type", "application/json");
        let refused = answer(request.body(body)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"));
        assert!(refused.body["error"].as_str().unwrap().contains("`rollback_enabled` is given twice"), "{refused:?}");
    });
}
