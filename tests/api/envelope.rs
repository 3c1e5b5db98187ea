//! Whatever goes wrong is answered in the envelope, with the right status and all problems.

use prov::api::operations::{Access, Api, TABLE};
use reqwest::Method;
use serde_json::json;

use crate::support::{Daemon, answer, run};

#[test]
fn every_wrong_request_is_answered_in_the_envelope() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let health = answer(daemon.http.get(format!("{}/health", base(&daemon)))).await;
        assert_eq!(health.data(), "Orchestrator is healthy");

        let unknown = daemon.get("/nothing/here").await;
        assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "not_found"));
        let method = answer(daemon.request(Method::DELETE, "/tasks")).await;
        assert_eq!((method.status.as_u16(), method.code()), (405, "invalid_request"));
        assert!(method.headers["allow"].to_str().unwrap().contains("GET"));
        let version = daemon.request(Method::GET, "/tasks").header("accept", "application/vnd.provisioning.v2+json");
        assert_eq!(answer(version).await.status, 406);
        let version = daemon.request(Method::GET, "/tasks").header("accept", "application/vnd.provisioning.v1+json");
        assert_eq!(answer(version).await.status, 200);
        for (accept, status) in [
            ("*/*", 200),
            ("application/*", 200),
            ("text/html, */*;q=0.1", 200),
            ("application/json;q=0", 406),
            ("application/json;version=2", 406),
            ("text/html", 406),
            ("text/csv", 406),
            ("text/plain", 406),
        ] {
            let answered = answer(daemon.request(Method::GET, "/tasks").header("accept", accept)).await;
            assert_eq!(answered.status, status, "{accept}");
        }
        let kind = daemon.request(Method::POST, "/batch/execute").header("content-type", "text/plain").body("{}");
        assert_eq!(answer(kind).await.status, 415);
        let no_id = daemon.get("/tasks/not-an-id").await;
        assert_eq!((no_id.status.as_u16(), no_id.code()), (404, "not_found"));
        let nobody = daemon.get("/tasks/01a20dde-a76b-74cc-b9dd-d96eee9b4642").await;
        assert_eq!((nobody.status.as_u16(), nobody.code()), (404, "not_found"));
        let own = answer(daemon.request(Method::GET, "/tasks").header("x-request-id", "mine-1")).await;
        assert_eq!(own.headers["x-request-id"], "mine-1");
    });
}

#[test]
fn every_wrong_body_is_refused_with_all_its_problems() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let json = |body: String| {
            daemon.request(Method::POST, "/batch/execute").header("content-type", "application/json").body(body)
        };
        for malformed in ["{", "[1,", "\u{0}", "{\"a\":1}x"] {
            let refused = answer(json(malformed.to_owned())).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"), "{malformed:?}");
        }
        let deep = answer(json("[".repeat(100_000))).await;
        assert_eq!((deep.status.as_u16(), deep.code()), (400, "invalid_request"));
        let large = answer(json(format!("\"{}\"", "x".repeat(20 << 20)))).await;
        assert_eq!((large.status.as_u16(), large.code()), (413, "payload_too_large"));
        let large =
            daemon.request(Method::POST, "/workflows/servers/create").header("content-type", "application/json");
        assert_eq!(answer(large.body(format!("\"{}\"", "x".repeat(2 << 20)))).await.status, 413);

        let batch = json!({
            "name": "b", "rolback_enabled": false, "parallel_limit": 0,
            "operations": [
                { "id": "a", "type": "server_batch", "provider": "locl", "server_configs": [{ "name": "x", "plan": "big", "zone": "a b" }] },
                { "id": "../x", "type": "comand" },
            ],
        });
        let refused = daemon.post("/batch/execute", &batch).await;
        assert_eq!(refused.status, 400);
        let problems = refused.body["details"]["problems"].as_array().unwrap();
        let pointers: Vec<&str> = problems.iter().map(|problem| problem["pointer"].as_str().unwrap()).collect();
        for pointer in [
            "/rolback_enabled",
            "/parallel_limit",
            "/operations/0/provider",
            "/operations/0/server_configs/0/plan",
            "/operations/0/server_configs/0/zone",
            "/operations/1/id",
            "/operations/1/type",
        ] {
            assert!(pointers.contains(&pointer), "{pointer} is missing in {pointers:?}");
        }
        assert!(refused.body.to_string().contains("did you mean `rollback_enabled`?"), "{refused:?}");
        let query = daemon.get("/tasks?limit=0&offset=x&statsu=Running&status=Done").await;
        assert_eq!(query.status, 400);
        assert_eq!(query.body["details"]["problems"].as_array().unwrap().len(), 4, "{query:?}");
        for infra in ["../up", "/etc", "a b", "a;b", "a\nb", &"x".repeat(10_000)] {
            let refused = daemon.post("/workflows/servers/create", &json!({ "infra": infra })).await;
            assert_eq!(refused.status, 400, "{infra:?}");
            let refused = daemon
                .post("/workflows/servers/create", &json!({ "infra": "ok", "settings": format!("../{infra}") }))
                .await;
            assert_eq!(refused.status, 400, "{infra:?}");
        }
    });
}

#[test]
fn every_operation_is_served_and_refuses_whoever_has_no_good_token() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        for row in TABLE {
            let base = if row.api == Api::Orchestrator { base(&daemon) } else { daemon.control_center.clone() };
            let url = format!("{base}{}", row.path.replace("{id}", "01a20dde-a76b-74cc-b9dd-d96eee9b4642"));
            let method: Method = row.method.parse().unwrap();
            for token in [None, Some("nonsense"), Some("eyJhbGciOiJub25lIn0.e30.")] {
                let request = daemon.http.request(method.clone(), &url);
                let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
                let response = request.send().await.unwrap();
                if row.access == Access::Public {
                    assert_ne!(response.status(), 404, "{} is not served", row.id);
                    assert_ne!(response.status(), 405, "{} is not served", row.id);
                } else {
                    assert_eq!(response.status(), 401, "{} with {token:?}", row.id);
                }
            }
        }
    });
}

fn base(daemon: &Daemon) -> String {
    let request = daemon.request(Method::GET, "").build().unwrap();
    request.url().as_str().trim_end_matches('/').to_owned()
}
