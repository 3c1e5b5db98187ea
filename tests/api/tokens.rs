//! API tokens: what they are worth, and when they stop being worth it.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, answer, run, until};

const GOOD: &str = "plum-orbit-canvas-thirteen";

/// A daemon with an Operator called alice, and the token of her login.
async fn with_alice() -> (Daemon, String) {
    let daemon = Daemon::start(&["--max-parallel", "0"]).await;
    let alice = json!({ "username": "alice", "roles": ["Operator", "Auditor"], "password": GOOD });
    assert_eq!(daemon.control(&daemon.token, Method::POST, "/users", alice).await.status, 200);
    let login = daemon.login("alice", GOOD).await.data()["token"].as_str().unwrap().to_owned();
    (daemon, login)
}

async fn make(daemon: &Daemon, login: &str, body: Value) -> Answer {
    daemon.control(login, Method::POST, "/auth/tokens", body).await
}

async fn made(daemon: &Daemon, login: &str, body: Value) -> (String, String) {
    let made = make(daemon, login, body).await;
    let word = |field: &str| made.data()[field].as_str().unwrap().to_owned();
    (word("token"), word("id"))
}

async fn verify(daemon: &Daemon, token: &str) -> Answer {
    daemon.control(token, Method::GET, "/auth/verify", Value::Null).await
}

async fn submit(daemon: &Daemon, token: &str) -> Answer {
    let url = format!("{}/workflows/servers/create", daemon.orchestrator());
    answer(daemon.http.post(url).bearer_auth(token).json(&json!({ "infra": "lab" }))).await
}

async fn revoke(daemon: &Daemon, token: &str, id: &str) -> Answer {
    daemon.control(token, Method::DELETE, &format!("/auth/tokens/{id}"), Value::Null).await
}

#[test]
fn a_token_is_shown_once_and_is_worth_its_roles_alone() {
    run(async {
        let (mut daemon, alice) = with_alice().await;
        let (token, id) = made(&daemon, &alice, json!({ "name": "ci", "roles": ["Operator"] })).await;
        let seen = verify(&daemon, &token).await;
        let user = &seen.data()["user"];
        assert_eq!((&user["username"], &user["roles"]), (&json!("alice"), &json!(["Operator"])));
        assert_eq!((&seen.data()["session_id"], &seen.data()["api_token_id"]), (&Value::Null, &json!(id)));
        assert_eq!(seen.data()["mfa"], false);
        let task = submit(&daemon, &token).await.data().as_str().unwrap().to_owned();
        assert_eq!(daemon.get(&format!("/tasks/{task}")).await.data()["submitted_by"], "alice");
        let users = daemon.control(&token, Method::GET, "/users", Value::Null).await;
        assert_eq!(users.code(), "forbidden", "alice may, as Auditor; the token may not");
        let listed = daemon.control(&alice, Method::GET, "/auth/tokens", Value::Null).await;
        let listed = &listed.data()[0];
        assert_eq!((listed["id"].as_str(), listed["name"].as_str()), (Some(&*id), Some("ci")));
        assert!(token.starts_with(listed["prefix"].as_str().unwrap()) && listed.get("token").is_none());
        assert!(listed["last_used_at"].is_string());

        daemon.terminate();
        let secret = token.rsplit('_').next().unwrap();
        for file in ["data/prov.redb", "daemon.log"] {
            let bytes = std::fs::read(daemon.path(file)).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{file}");
        }
        daemon.boot().await;
        assert_eq!(verify(&daemon, &token).await.status, 200, "it outlives a restart");
        assert_eq!(revoke(&daemon, &alice, &id).await.data()["deleted"], *id);
        assert_eq!(verify(&daemon, &token).await.status, 401, "from the next request on");
        daemon.kill();
        daemon.boot().await;
        assert_eq!(verify(&daemon, &token).await.status, 401);
    });
}

#[test]
fn a_token_has_no_more_than_its_maker_and_does_not_outlive_them() {
    run(async {
        let (daemon, alice) = with_alice().await;
        let more = make(&daemon, &alice, json!({ "name": "x", "roles": ["Operator", "Admin"] })).await;
        assert_eq!(more.body["details"]["problems"][0]["pointer"], "/roles");
        let (token, _) = made(&daemon, &alice, json!({ "name": "ci" })).await;
        let roles = json!({ "roles": ["Auditor"] });
        assert_eq!(daemon.control(&daemon.token, Method::PUT, "/users/alice", roles).await.status, 200);
        assert_eq!(verify(&daemon, &token).await.data()["user"]["roles"], json!(["Auditor"]));
        assert_eq!(submit(&daemon, &token).await.code(), "forbidden");
        for (change, status) in [(json!({ "disabled": true }), 401), (json!({ "disabled": false }), 200)] {
            daemon.control(&daemon.token, Method::PUT, "/users/alice", change).await.data();
            assert_eq!(verify(&daemon, &token).await.status, status);
        }
        let others = json!({ "roles": ["Viewer"] });
        daemon.control(&daemon.token, Method::PUT, "/users/alice", others).await.data();
        assert_eq!(verify(&daemon, &token).await.status, 401, "nothing of what it was made with is left");
        let back = json!({ "roles": ["Operator"] });
        daemon.control(&daemon.token, Method::PUT, "/users/alice", back).await.data();
        assert_eq!(verify(&daemon, &token).await.status, 200);
        daemon.control(&daemon.token, Method::DELETE, "/users/alice", Value::Null).await.data();
        assert_eq!(verify(&daemon, &token).await.status, 401);
        let again = json!({ "username": "alice", "roles": ["Operator"], "password": GOOD });
        daemon.control(&daemon.token, Method::POST, "/users", again).await.data();
        assert_eq!(verify(&daemon, &token).await.status, 401, "another alice is another user");
    });
}

#[test]
fn whoever_finds_a_token_can_not_take_the_account_over() {
    run(async {
        let (daemon, alice) = with_alice().await;
        let (token, id) = made(&daemon, &alice, json!({ "name": "found" })).await;
        let (_, other) = made(&daemon, &alice, json!({ "name": "other" })).await;
        let change = json!({ "current_password": GOOD, "new_password": "violin quartz meadow eleven" });
        let attempts = [
            (Method::POST, "/auth/tokens".to_owned(), json!({ "name": "more" })),
            (Method::POST, "/auth/password".to_owned(), change),
            (Method::POST, "/auth/logout".to_owned(), json!({ "all": true })),
            (Method::GET, "/auth/sessions".to_owned(), Value::Null),
            (Method::GET, "/auth/tokens".to_owned(), Value::Null),
            (Method::DELETE, format!("/auth/tokens/{other}"), Value::Null),
        ];
        let by_login_alone = [
            (Method::GET, "/mfa", Value::Null),
            (Method::POST, "/mfa/enroll/totp", json!({ "current_password": GOOD })),
            (Method::POST, "/mfa/verify", json!({ "code": "000000" })),
            (Method::DELETE, "/mfa", json!({ "current_password": GOOD, "code": "000000" })),
        ];
        for (method, path, body) in by_login_alone {
            let refused = daemon.control(&token, method.clone(), path, body).await;
            assert_eq!(refused.code(), "forbidden", "{method} {path}");
            assert!(refused.body["error"].as_str().unwrap().contains("an API token can't"), "{refused:?}");
        }
        for (method, path, body) in attempts {
            assert_eq!(
                daemon.control(&token, method.clone(), &path, body).await.code(),
                "forbidden",
                "{method} {path}"
            );
        }
        assert_eq!(verify(&daemon, &alice).await.status, 200);
        assert_eq!(revoke(&daemon, &token, &id).await.status, 200, "but it can give itself up");
        assert_eq!(verify(&daemon, &token).await.status, 401);
    });
}

#[test]
fn others_tokens_are_hidden_but_from_those_who_manage_tokens() {
    run(async {
        let (daemon, alice) = with_alice().await;
        let bob = json!({ "username": "bob", "roles": ["Operator"], "password": GOOD });
        daemon.control(&daemon.token, Method::POST, "/users", bob).await.data();
        let bob = daemon.login("bob", GOOD).await.data()["token"].as_str().unwrap().to_owned();
        let (token, id) = made(&daemon, &alice, json!({ "name": "ci" })).await;
        for path in ["/auth/tokens?user=alice", "/auth/tokens?user=nobody"] {
            assert_eq!(daemon.control(&bob, Method::GET, path, Value::Null).await.code(), "forbidden");
        }
        assert_eq!(revoke(&daemon, &bob, &id).await.code(), "not_found");
        let seen = daemon.control(&daemon.token, Method::GET, "/auth/tokens?user=Alice", Value::Null).await;
        assert_eq!(seen.data()[0]["id"], *id);
        assert_eq!(revoke(&daemon, &daemon.token, &id).await.status, 200);
        assert_eq!(verify(&daemon, &token).await.status, 401);
        let query = format!("/audit/logs?resource=token/{id}");
        let entries = daemon.control(&daemon.token, Method::GET, &query, Value::Null).await;
        let told = |n: usize| (&entries.data()[n]["action"], &entries.data()[n]["actor"]["username"]);
        assert_eq!(told(0), (&json!("token_delete"), &json!("admin")));
        assert_eq!(told(1), (&json!("token_create"), &json!("alice")));
    });
}

#[test]
fn a_name_is_given_once_and_a_hundred_tokens_are_enough() {
    run(async {
        let (daemon, alice) = with_alice().await;
        made(&daemon, &alice, json!({ "name": "ci" })).await;
        assert_eq!(make(&daemon, &alice, json!({ "name": "ci" })).await.code(), "conflict");
        for (body, pointer) in [
            (json!({ "name": "x", "expires_in": 59 }), "/expires_in"),
            (json!({ "name": "x", "expires_in": 40_000_000 }), "/expires_in"),
            (json!({ "name": "a\nb" }), "/name"),
            (json!({ "name": "x", "owner": "admin" }), "/owner"),
        ] {
            let refused = make(&daemon, &alice, body).await;
            assert_eq!(refused.body["details"]["problems"][0]["pointer"], pointer, "{refused:?}");
        }
        let many = (1..100).map(|n| make(&daemon, &alice, json!({ "name": format!("n{n}") })));
        assert!(join_all(many).await.iter().all(|made| made.status == 200));
        assert_eq!(make(&daemon, &alice, json!({ "name": "one more" })).await.code(), "conflict");
    });
}

#[test]
fn a_typo_is_told_from_a_token_that_is_not_good_and_both_are_in_the_trail() {
    run(async {
        let (daemon, alice) = with_alice().await;
        let (token, _) = made(&daemon, &alice, json!({ "name": "ci" })).await;
        let typo = format!("{}{}", &token[..token.len() - 1], if token.ends_with('0') { '1' } else { '0' });
        let answer = verify(&daemon, &typo).await;
        assert_eq!(answer.status, 401);
        assert!(answer.body["error"].as_str().unwrap().contains("typo"), "{answer:?}");
        for bad in ["prov_", "prov_aaaaaaaa_bbbb", &format!("{token}{token}"), &"prov_".repeat(4000)] {
            let answer = verify(&daemon, bad).await;
            assert!([401, 431].contains(&answer.status.as_u16()), "{answer:?}");
        }
        let query = "/audit/logs?action=auth_verify&outcome=failure";
        let found = until("the refusal in the trail", || async {
            let found = daemon.control(&daemon.token, Method::GET, query, Value::Null).await;
            found.data().get(0).cloned()
        });
        assert_eq!(found.await["outcome"]["code"], "unauthenticated");
    });
}
