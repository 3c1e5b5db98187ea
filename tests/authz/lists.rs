//! Lists show what their reader may see, and count it; what an infra is stands in its settings.

use std::fs;

use reqwest::Method;
use serde_json::json;

use super::{House, total};
use crate::support::{run, script};

fn settings(house: &House, infra: &str, text: &str) {
    let directory = house.daemon.path("ws/infra").join(infra);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.yaml"), text).unwrap();
}

#[test]
fn a_developer_sees_what_is_not_production_whatever_it_is_called() {
    run(async {
        let house = House::open().await;
        settings(&house, "blue", "environment: production\nservers: []\n");
        settings(&house, "broken", "environment: [\n");
        settings(&house, "production", "environment: staging\nservers: []\n");
        for (infra, count) in [("dev", 3), ("blue", 2), ("broken", 1), ("production", 1)] {
            for _ in 0..count {
                house.task("Admin", infra).await;
            }
        }
        for (role, expected) in [("Admin", 7), ("Viewer", 7), ("Developer", 4)] {
            assert_eq!(total(&house.get(role, "/tasks").await), expected, "{role}");
        }
        assert_eq!(total(&house.get("Developer", "/tasks?infra=blue").await), 0);
        assert_eq!(total(&house.get("Developer", "/tasks?infra=dev&status=Pending").await), 3);
        let mut path = "/tasks?limit=3".to_owned();
        let mut seen = Vec::new();
        loop {
            let part = house.get("Developer", &path).await;
            assert_eq!(total(&part), 4);
            seen.extend(part.data().as_array().unwrap().iter().map(|task| task["infra"].as_str().unwrap().to_owned()));
            let Some(link) = part.headers.get("link") else { break };
            path = link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        }
        assert_eq!(seen, ["production", "dev", "dev", "dev"], "newest first");

        // What the settings say counts from the moment they say it.
        settings(&house, "blue", "environment: testing\nservers: []\n");
        assert_eq!(total(&house.get("Developer", "/tasks").await), 6);
    });
}

#[test]
fn a_policy_that_looks_at_rows_is_asked_about_each() {
    run(async {
        let house = House::open().await;
        house.task("Admin", "dev").await;
        let own = house.task("Developer", "dev").await;
        let batch = json!({ "name": "dev", "operations": [script("o", "true")] });
        house.post("Admin", "/batch/execute", &batch).await.data();
        assert_eq!(total(&house.get("Developer", "/tasks").await), 3);
        assert_eq!(total(&house.get("Developer", "/batch/operations").await), 1);
        let content = r#"forbid (principal in Role::"Developer", action in [Action::"task_read", Action::"batch_read"], resource)
            when { resource has submitted_by && resource.submitted_by != principal.username };"#;
        let policy = json!({ "name": "own-work", "content": content });
        house.control("Admin", Method::POST, "/policies", &policy).await.data();
        let listed = house.get("Developer", "/tasks").await;
        assert_eq!((total(&listed), listed.data()[0]["id"].as_str()), (1, Some(own.as_str())));
        assert_eq!(total(&house.get("Developer", "/batch/operations").await), 0);
        assert_eq!(total(&house.get("Operator", "/tasks").await), 3);
    });
}

#[test]
fn programs_of_ones_own_choice_take_a_right_of_their_own() {
    run(async {
        let house = House::open().await;
        let mut batch = json!({ "name": "dev", "operations": [script("o", "true")] });
        let denied = house.post("Developer", "/batch/execute", &batch).await;
        assert_eq!((denied.status.as_u16(), denied.code()), (403, "forbidden"));
        assert_eq!(denied.body["details"]["action"], "batch_execute_command");
        let server = json!({ "name": "s", "plan": "1xCPU-1 GB", "zone": "local" });
        let made = json!({ "id": "o", "type": "server_batch", "provider": "local", "server_configs": [server] });
        batch["operations"] = json!([made]);
        assert_eq!(house.post("Developer", "/batch/validate", &batch).await.status, 200);
        batch["operations"][0]["rollback"] = json!({ "command": "true" });
        assert_eq!(house.post("Developer", "/batch/validate", &batch).await.status, 403, "to undo is to run as well");
        assert_eq!(house.post("Operator", "/batch/validate", &batch).await.status, 200);
    });
}
