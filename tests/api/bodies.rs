//! Bodies and queries where none is expected, and uploads that are refused before they were read.

use reqwest::Method;
use serde_json::json;

use crate::support::{Daemon, answer, run, script};

#[test]
fn a_call_that_takes_nothing_refuses_something_before_it_acts() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let task = daemon.post("/workflows/servers/create", &json!({ "infra": "a" })).await;
        let task = task.data().as_str().unwrap().to_owned();
        let batch = daemon.batch(&json!({ "name": "b", "operations": [script("a", "true")] })).await;
        let orchestrator = daemon.orchestrator();
        let urls = [
            format!("{orchestrator}/tasks/{task}/cancel"),
            format!("{orchestrator}/tasks/{task}/retry"),
            format!("{orchestrator}/batch/operations/{batch}/retry"),
            format!("{}/auth/logout", daemon.control_center),
        ];
        let post = |url: &str| daemon.http.post(url).bearer_auth(&daemon.token);
        for url in &urls {
            let unknown = answer(post(url).json(&json!({ "rollbck": true }))).await;
            assert_eq!(unknown.status, 400, "{url}");
            assert_eq!(unknown.body["details"]["problems"][0]["pointer"], "/rollbck", "{url}");
            let malformed = answer(post(url).header("content-type", "application/json").body("{")).await;
            assert_eq!(malformed.status, 400, "{url}");
            let text = answer(post(url).header("content-type", "text/plain").body("{}")).await;
            assert_eq!(text.status, 415, "{url}");
            let large = answer(post(url).json(&"x".repeat(2 << 20))).await;
            assert_eq!((large.status.as_u16(), large.code()), (413, "payload_too_large"), "{url}");
            let query = answer(post(&format!("{url}?check_mode=true"))).await;
            assert_eq!(query.status, 400, "{url}");
            assert!(query.body["error"].as_str().unwrap().contains("`check_mode`"), "{query:?}");
        }
        assert_eq!(daemon.get(&format!("/tasks/{task}")).await.data()["status"], "Pending");
        assert_eq!(answer(post(&urls[0])).await.data()["id"].as_str(), Some(&*task), "no body at all is fine");
        assert_eq!(answer(post(&urls[3]).json(&json!({}))).await.status, 200);
    });
}

#[test]
fn a_parameter_is_read_or_refused_and_never_passed_over() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let batch = json!({ "name": "b", "operations": [script("a", "true")] });
        let refused = daemon.post("/batch/execute?check_mode=true", &batch).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"));
        assert!(daemon.get("/batch/operations").await.data().as_array().unwrap().is_empty());
        for path in
            ["/health?x=1", "/tasks/01a20dde-a76b-74cc-b9dd-d96eee9b4642?limit=1", "/tasks?name=%ff", "/tasks?%ff=1"]
        {
            let refused = daemon.get(path).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"), "{path}");
        }
        assert_eq!(daemon.get("/tasks?name=%c3%bc&limit=1").await.status, 200);
        let long = daemon.get(&format!("/tasks?status={0}&{0}=1", "x".repeat(5000))).await;
        assert!(long.status == 400 && long.body.to_string().len() < 1500, "{}", long.body);
    });
}

#[test]
fn whoever_uploads_much_sees_why_it_is_refused() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let orchestrator = daemon.orchestrator();
        let body = vec![b'x'; 20 << 20];
        let send = |method: Method, path: &str, token: &str, accept: &str| {
            let request = daemon.http.request(method, format!("{orchestrator}{path}")).bearer_auth(token);
            answer(request.header("accept", accept).header("content-type", "application/json").body(body.clone()))
        };
        let token = daemon.token.as_str();
        for (method, path, token, accept, status) in [
            (Method::POST, "/batch/execute", "nonsense", "*/*", 401),
            (Method::POST, "/nothing", token, "*/*", 404),
            (Method::PUT, "/tasks", token, "*/*", 405),
            (Method::POST, "/batch/execute", token, "text/html", 406),
            (Method::POST, "/batch/execute?x=1", token, "*/*", 400),
            (Method::POST, "/batch/execute", token, "*/*", 413),
            (Method::GET, "/health", token, "*/*", 200),
        ] {
            for _ in 0..3 {
                let answered = send(method.clone(), path, token, accept).await;
                assert_eq!(answered.status, status, "{method} {path}");
            }
        }
    });
}
