//! What somebody with bad intentions sends: tricks with paths, headers, tokens and names.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Daemon, answer, run};

const GOOD: &str = "plum-orbit-canvas-thirteen";

/// The status of an answer to a request as it is written, head and all.
fn raw(base: &str, head: &str) -> u16 {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{head}\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{head}: {answer:?}")).parse().unwrap()
}

#[test]
fn no_spelling_of_a_path_is_a_way_round_the_token() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let spellings = [
            "//tasks",
            "/tasks/",
            "/./tasks",
            "/health/../tasks",
            "/%2e/tasks",
            "/health/%2e%2e/tasks",
            "/tasks%2f",
            "/%74asks",
            "/TASKS",
            "/tasks;x=1",
            "/tasks%00",
            "/tasks?token=x",
            "/tasks#health",
            "*",
            "/tasks%3flimit=1",
        ];
        for path in spellings {
            let status = raw(daemon.orchestrator(), &format!("GET {path} HTTP/1.1"));
            assert!([400, 401, 404].contains(&status), "{path}: {status}");
        }
        let absolute = format!("GET {}/tasks HTTP/1.1", daemon.orchestrator());
        assert_eq!(raw(daemon.orchestrator(), &absolute), 401);
        for method in ["HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "POST"] {
            let status = raw(daemon.orchestrator(), &format!("{method} /tasks HTTP/1.1"));
            assert!((400..500).contains(&status), "{method}: {status}");
        }
        for header in ["X-HTTP-Method-Override: GET", "X-Original-URL: /health", "X-Rewrite-URL: /health"] {
            assert_eq!(raw(daemon.orchestrator(), &format!("GET /tasks HTTP/1.1\r\n{header}")), 401, "{header}");
        }
    });
}

#[test]
fn a_token_counts_only_where_it_belongs_and_alone() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let status = |head: String| raw(daemon.orchestrator(), &format!("GET /tasks HTTP/1.1{head}"));
        let token = &daemon.token;
        assert_eq!(status(format!("\r\nAuthorization: Bearer {token}")), 200);
        assert_eq!(status(format!("\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}")), 400);
        assert_eq!(status(format!("\r\nAuthorization: Bearer x\r\nAuthorization: Bearer {token}")), 400);
        for head in ["Authorization: Basic", "Authorization: Bearer", "X-Authorization: Bearer", "Cookie: token="] {
            assert_eq!(status(format!("\r\n{head}{token}")), 401, "{head}");
        }
        let oversized = status(format!("\r\nAuthorization: Bearer {}", "a".repeat(30_000)));
        assert!([401, 431].contains(&oversized), "{oversized}");
        let huge = status(format!("\r\nAuthorization: Bearer {}", "a".repeat(200_000)));
        assert_eq!(huge, 431);
    });
}

#[test]
fn a_token_can_not_be_made_up_from_another() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let parts: Vec<&str> = daemon.token.split('.').collect();
        let decode = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (header, claims) = (decode(parts[0]), decode(parts[1]));
        let with = |value: &Value, key: &str, to: Value| {
            let mut value = value.clone();
            value[key] = to;
            encode(&value)
        };
        let made_up = [
            format!("{}.{}.", with(&header, "alg", json!("none")), parts[1]),
            format!("{}.{}.{}", with(&header, "alg", json!("HS256")), parts[1], parts[2]),
            format!("{}.{}.{}", with(&header, "kid", json!("../../keys")), parts[1], parts[2]),
            format!("{}.{}.{}", with(&header, "jku", json!("http://127.0.0.1/jwks")), parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], with(&claims, "exp", json!(4_000_000_000_u64)), parts[2]),
            format!("{}.{}.{}", parts[0], with(&claims, "mfa", json!(true)), parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[2]),
        ];
        for token in made_up {
            let answer = daemon.control(&token, Method::GET, "/auth/verify", Value::Null).await;
            assert_eq!(answer.status, 401, "{token}");
        }
    });
}

#[test]
fn whoever_guesses_does_not_choose_where_they_come_from() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let guess = async |n: usize| {
            let url = format!("{}/auth/login", daemon.control_center);
            let body = json!({ "username": format!("name-{n}"), "password": "wrong" });
            let forged = format!("192.0.2.{n}");
            let request = daemon.http.post(url).json(&body).header("x-forwarded-for", &forged);
            answer(request.header("x-real-ip", &forged).header("forwarded", format!("for={forged}"))).await
        };
        for n in 0..5 {
            assert_eq!(guess(n).await.status, 401);
        }
        assert_eq!(guess(5).await.status, 429, "it is one address all the same");
        let entries = daemon.control(&daemon.token, Method::GET, "/audit/logs?action=auth_login", Value::Null).await;
        assert_eq!(entries.data()[0]["address"], "127.0.0.1");
    });
}

#[test]
fn a_name_with_line_ends_forges_no_line_of_the_log() {
    run(async {
        let mut daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let name = "mallory\n2026-01-01T00:00:00Z  INFO prov: logged in user=\"admin\"\r\u{1b}[31m";
        assert_eq!(daemon.login(name, "wrong").await.status, 401);
        let url = format!("{}/health", daemon.control_center);
        let agent = daemon.http.get(&url).header("user-agent", "x\ty").header("x-request-id", "a b");
        assert_eq!(answer(agent).await.status, 200);
        let body = json!({ "username": name, "roles": ["Viewer"], "password": GOOD });
        let made = daemon.control(&daemon.token, Method::POST, "/users", body).await;
        assert_eq!(made.code(), "invalid_request");
        let csv = daemon.http.get(format!("{}/audit/export?format=csv", daemon.control_center));
        let csv = csv.bearer_auth(&daemon.token).send().await.unwrap().text().await.unwrap();
        assert!(!csv.contains('\u{1b}') && csv.lines().all(|line| !line.starts_with("2026-01-01")), "{csv}");
        daemon.terminate();
        let log = daemon.log();
        assert!(log.contains("login failed"), "{log}");
        assert!(!log.contains('\u{1b}') && log.lines().all(|line| !line.starts_with("2026-01-01")), "{log}");
    });
}

#[test]
fn nobody_raises_themselves() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let mut logins = Vec::new();
        for role in ["Operator", "Developer", "Viewer", "Auditor"] {
            let body = json!({ "username": role, "roles": [role], "password": GOOD });
            daemon.control(&daemon.token, Method::POST, "/users", body).await.data();
            logins.push((role, daemon.login(role, GOOD).await.data()["token"].as_str().unwrap().to_owned()));
        }
        let innocent = json!({ "name": "weekly-report", "description": "lets reports run", "enabled": true,
            "content": "permit (principal, action, resource);" });
        for (role, login) in &logins {
            let raise = json!({ "roles": ["Admin"] });
            let own = daemon.control(login, Method::PUT, &format!("/users/{role}"), raise).await;
            assert_eq!(own.code(), "forbidden", "{role}");
            let policy = daemon.control(login, Method::POST, "/policies", innocent.clone()).await;
            assert_eq!(policy.code(), "forbidden", "{role}");
            let token = json!({ "name": "x", "roles": ["Admin"] });
            let token = daemon.control(login, Method::POST, "/auth/tokens", token).await;
            assert_eq!(token.code(), "invalid_request", "{role}");
        }
    });
}

#[test]
fn a_body_sets_nothing_that_is_not_its_to_set() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let admin = |method: Method, path: &'static str, body: Value| daemon.control(&daemon.token, method, path, body);
        let user = json!({ "username": "alice", "roles": ["Viewer"], "password": GOOD });
        admin(Method::POST, "/users", user).await.data();
        for field in ["id", "username", "password_hash", "created_at", "last_login_at", "generation", "lockout"] {
            let answer = admin(Method::PUT, "/users/alice", json!({ field: "x" })).await;
            assert_eq!(answer.body["details"]["problems"][0]["pointer"], format!("/{field}"), "{answer:?}");
        }
        for field in ["id", "shipped", "created_by", "updated_at"] {
            let answer = admin(Method::PUT, "/policies/role-viewer", json!({ field: "x" })).await;
            assert_eq!(answer.code(), "invalid_request", "{field}");
        }
        for field in ["submitted_by", "status", "command", "id"] {
            let body = json!({ "infra": "lab", field: "x" });
            let answer = daemon.post("/workflows/servers/create", &body).await;
            assert_eq!(answer.code(), "invalid_request", "{field}");
        }
    });
}
