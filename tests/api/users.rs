//! Users, roles, passwords and sessions, as administrators use them and others would misuse them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, answer, run};

const GOOD: &str = "plum-orbit-canvas-thirteen";
const OTHER: &str = "violin quartz meadow eleven";

fn request(daemon: &Daemon, token: &str, method: Method, path: &str) -> RequestBuilder {
    daemon.http.request(method, format!("{}{path}", daemon.control_center)).bearer_auth(token)
}

async fn get(daemon: &Daemon, token: &str, path: &str) -> Answer {
    answer(request(daemon, token, Method::GET, path)).await
}

async fn send(daemon: &Daemon, token: &str, method: Method, path: &str, body: Value) -> Answer {
    answer(request(daemon, token, method, path).json(&body)).await
}

async fn create(daemon: &Daemon, name: &str, roles: &[&str]) -> Value {
    let body = json!({ "username": name, "roles": roles, "password": GOOD });
    send(daemon, &daemon.token, Method::POST, "/users", body).await.data().clone()
}

/// The token of a new login.
async fn token(daemon: &Daemon, name: &str, password: &str) -> String {
    daemon.login(name, password).await.data()["token"].as_str().unwrap().to_owned()
}

async fn put(daemon: &Daemon, token: &str, name: &str, body: Value) -> Answer {
    send(daemon, token, Method::PUT, &format!("/users/{name}"), body).await
}

async fn delete(daemon: &Daemon, token: &str, name: &str) -> Answer {
    answer(request(daemon, token, Method::DELETE, &format!("/users/{name}"))).await
}

#[test]
fn users_are_made_listed_by_name_changed_and_deleted() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let bob = create(&daemon, "Bob", &["Viewer"]).await;
        assert_eq!((bob["username"].as_str(), bob["mfa"].as_bool()), (Some("bob"), Some(false)));
        assert!(bob.get("password_hash").is_none() && bob.get("password").is_none(), "{bob}");
        create(&daemon, "alice", &["Operator", "Auditor"]).await;
        let part = get(&daemon, &daemon.token, "/users?limit=2").await;
        let names: Vec<_> = part.data().as_array().unwrap().iter().map(|user| user["username"].clone()).collect();
        assert_eq!(
            (names, &part.headers["x-total-count"]),
            (vec![json!("admin"), json!("alice")], &"3".parse().unwrap())
        );
        let after = format!("/users?after={}", part.data()[1]["id"].as_str().unwrap());
        assert_eq!(get(&daemon, &daemon.token, &after).await.data()[0]["username"], "bob");

        let taken = json!({ "username": "BOB", "roles": ["Viewer"], "password": GOOD });
        assert_eq!(send(&daemon, &daemon.token, Method::POST, "/users", taken).await.code(), "conflict");
        let id = bob["id"].as_str().unwrap();
        let changed =
            put(&daemon, &daemon.token, id, json!({ "email": "bob@example.org", "roles": ["Developer"] })).await;
        assert_eq!(
            (&changed.data()["email"], &changed.data()["roles"]),
            (&json!("bob@example.org"), &json!(["Developer"]))
        );
        assert_eq!(delete(&daemon, &daemon.token, "bob").await.data()["deleted"], id);
        assert_eq!(get(&daemon, &daemon.token, "/users/bob").await.code(), "not_found");
        assert_ne!(create(&daemon, "bob", &["Viewer"]).await["id"], id, "the name is free, the id is never used again");
    });
}

#[test]
fn names_passwords_and_fields_that_are_not_good_are_refused_by_name() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        for name in
            ["", "..", "a b", "a\r\nX-Role: Admin", "a\nb", "a/b", "älice", "01a20dde-a76b-74cc-b9dd-d96eee9b4642"]
        {
            let body = json!({ "username": name, "roles": ["Viewer"], "password": GOOD });
            let refused = send(&daemon, &daemon.token, Method::POST, "/users", body).await;
            assert_eq!(refused.body["details"]["problems"][0]["pointer"], "/username", "{name:?}: {refused:?}");
        }
        for password in ["short", "password12345", "mallory-mallory-mallory"] {
            let body = json!({ "username": "mallory", "roles": ["Viewer"], "password": password });
            let refused = send(&daemon, &daemon.token, Method::POST, "/users", body).await;
            assert_eq!(refused.body["details"]["problems"][0]["pointer"], "/password", "{refused:?}");
            assert!(!refused.body.to_string().contains(password), "{refused:?}");
        }
        create(&daemon, "alice", &["Viewer"]).await;
        let body = json!({ "id": "x", "username": "root", "password_hash": "x", "generation": 1, "mfa": true });
        let refused = put(&daemon, &daemon.token, "alice", body).await;
        assert_eq!(refused.body["details"]["problems"].as_array().unwrap().len(), 5, "{refused:?}");
    });
}

#[test]
fn nobody_promotes_themselves_and_roles_count_with_the_next_request() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", &["Auditor"]).await;
        let alice = token(&daemon, "alice", GOOD).await;
        assert_eq!(get(&daemon, &alice, "/users").await.status, 200);
        for (method, path) in
            [(Method::PUT, "/users/alice"), (Method::POST, "/users"), (Method::POST, "/users/x/unlock")]
        {
            let body = match path {
                "/users" => json!({ "username": "x", "roles": ["Admin"], "password": GOOD }),
                "/users/alice" => json!({ "roles": ["Admin"] }),
                _ => json!({}),
            };
            assert_eq!(send(&daemon, &alice, method, path, body).await.code(), "forbidden", "{path}");
        }
        assert_eq!(delete(&daemon, &alice, "admin").await.code(), "forbidden");
        assert_eq!(delete(&daemon, &alice, "nobody").await.code(), "forbidden", "it isn't told who there is");
        assert_eq!(put(&daemon, &daemon.token, "alice", json!({ "roles": ["Viewer"] })).await.status, 200);
        assert_eq!(
            get(&daemon, &alice, "/users").await.code(),
            "forbidden",
            "the token says Auditor, and that is over"
        );
        assert_eq!(put(&daemon, &daemon.token, "alice", json!({ "roles": ["Admin"] })).await.status, 200);
        assert_eq!(get(&daemon, &alice, "/users").await.status, 200);
        assert_eq!(delete(&daemon, &daemon.token, "alice").await.status, 200);
        assert_eq!(get(&daemon, &alice, "/auth/verify").await.code(), "unauthenticated");
        assert_eq!(
            answer(daemon.http.get(format!("{}/tasks", daemon.orchestrator())).bearer_auth(&alice)).await.status,
            401
        );
    });
}

#[test]
fn the_last_admin_stays_even_when_two_go_at_once() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        for body in [json!({ "roles": ["Viewer"] }), json!({ "disabled": true })] {
            assert_eq!(put(&daemon, &daemon.token, "admin", body).await.code(), "conflict");
        }
        assert_eq!(delete(&daemon, &daemon.token, "admin").await.code(), "conflict");
        create(&daemon, "alice", &["Admin"]).await;
        let alice = token(&daemon, "alice", GOOD).await;
        let (one, two) = tokio::join!(
            put(&daemon, &daemon.token, "alice", json!({ "roles": ["Viewer"] })),
            put(&daemon, &alice, "admin", json!({ "disabled": true })),
        );
        let done = [&one, &two].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(done, 1, "{one:?} {two:?}");
    });
}

#[test]
fn a_changed_password_ends_the_other_sessions() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", &["Viewer"]).await;
        let (one, two) = (token(&daemon, "alice", GOOD).await, token(&daemon, "alice", GOOD).await);
        let sessions = get(&daemon, &one, "/auth/sessions").await.data().clone();
        assert_eq!((sessions.as_array().unwrap().len(), &sessions[1]["current"]), (2, &json!(true)));
        assert_ne!(sessions[0]["id"], sessions[1]["id"], "each login begins a session of its own");
        let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
        let password = |body| send(&daemon, &one, Method::POST, "/auth/password", body);
        let wrong = password(change(OTHER, OTHER)).await;
        assert_eq!((wrong.status.as_u16(), wrong.code()), (403, "forbidden"));
        for bad in [GOOD, "alice-alice-alice"] {
            assert_eq!(password(change(GOOD, bad)).await.code(), "invalid_request");
        }
        assert_eq!(password(change(GOOD, OTHER)).await.data()["sessions_ended"], 1);
        assert_eq!(get(&daemon, &one, "/auth/verify").await.status, 200);
        assert_eq!(get(&daemon, &two, "/auth/verify").await.status, 401);
        assert_eq!(daemon.login("alice", GOOD).await.status, 401);

        let own = put(&daemon, &daemon.token, "admin", json!({ "password": OTHER })).await;
        assert_eq!(own.code(), "invalid_request", "a stolen session is not enough to take an account over");
        assert_eq!(put(&daemon, &daemon.token, "alice", json!({ "password": GOOD })).await.status, 200);
        assert_eq!(get(&daemon, &one, "/auth/verify").await.status, 401);
        let alice = token(&daemon, "Alice", GOOD).await;
        assert_eq!(put(&daemon, &daemon.token, "alice", json!({ "disabled": true })).await.data()["disabled"], true);
        assert_eq!(get(&daemon, &alice, "/auth/verify").await.status, 401);
        let (shut_out, nobody) = (daemon.login("alice", GOOD).await, daemon.login("nobody", GOOD).await);
        assert_eq!((shut_out.status, &shut_out.body["error"]), (nobody.status, &nobody.body["error"]));
    });
}

#[test]
fn a_session_is_ended_by_its_user_or_an_administrator() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", &["Viewer"]).await;
        create(&daemon, "bob", &["Operator"]).await;
        let (one, two) = (token(&daemon, "alice", GOOD).await, token(&daemon, "alice", GOOD).await);
        let (bob, third) = (token(&daemon, "bob", GOOD).await, token(&daemon, "alice", GOOD).await);
        let other = get(&daemon, &two, "/auth/verify").await.data()["session_id"].as_str().unwrap().to_owned();
        let end = |token: String| {
            let (daemon, path) = (&daemon, format!("/auth/sessions/{other}"));
            async move { answer(request(daemon, &token, Method::DELETE, &path)).await }
        };
        assert_eq!(end(bob.clone()).await.code(), "not_found");
        assert_eq!(get(&daemon, &bob, "/auth/sessions?user=alice").await.code(), "forbidden");
        assert_eq!(get(&daemon, &bob, "/auth/sessions?user=nobody").await.code(), "forbidden");
        assert_eq!(end(one.clone()).await.data()["deleted"], *other);
        assert_eq!(get(&daemon, &two, "/auth/verify").await.status, 401);
        assert_eq!(end(one).await.code(), "not_found");
        let seen = get(&daemon, &daemon.token, "/auth/sessions?user=alice").await.data().clone();
        let last = seen[0]["id"].as_str().unwrap();
        assert_eq!((seen.as_array().unwrap().len(), &seen[0]["current"]), (2, &false.into()));
        let path = format!("/auth/sessions/{last}");
        assert_eq!(answer(request(&daemon, &daemon.token, Method::DELETE, &path)).await.data()["deleted"], *last);
        assert_eq!(get(&daemon, &third, "/auth/verify").await.status, 401);
    });
}

#[test]
fn guessing_locks_an_account_unseen_until_it_is_unlocked() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 1000");
        daemon.boot().await;
        create(&daemon, "alice", &["Viewer"]).await;
        let guesses = futures_util::future::join_all((0..12).map(|_| daemon.login("alice", "wrong"))).await;
        let stranger = daemon.login("nobody", "wrong").await;
        let locked = daemon.login("alice", GOOD).await;
        for answer in guesses.iter().chain([&locked]) {
            assert_eq!((answer.status, answer.code()), (stranger.status, stranger.code()));
            assert_eq!(answer.body["error"], stranger.body["error"]);
        }
        let alice = get(&daemon, &daemon.token, "/users/alice").await;
        assert!(alice.data()["locked_until"].is_string(), "{alice:?}");
        daemon.kill();
        daemon.boot().await;
        assert_eq!(daemon.login("alice", GOOD).await.status, 401, "a restart is no way round it");
        let unlocked = send(&daemon, &daemon.token, Method::POST, "/users/alice/unlock", json!({})).await;
        assert!(unlocked.data()["locked_until"].is_null(), "{unlocked:?}");
        assert_eq!(daemon.login("alice", GOOD).await.status, 200);
    });
}

#[test]
fn roles_say_what_they_may_and_changes_are_in_the_audit_trail() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let roles = get(&daemon, &daemon.token, "/roles").await.data().clone();
        let actions = |index: usize, field: &str| roles[index][field].as_array().unwrap().clone();
        assert_eq!((&roles[0]["role"], actions(0, "outside_production").len()), (&json!("Admin"), 0));
        assert!(actions(0, "actions").contains(&json!("user_manage")));
        assert!(actions(2, "outside_production").contains(&json!("workflow_submit")), "{roles}");
        assert!(!actions(3, "actions").contains(&json!("workflow_submit")), "{roles}");
        create(&daemon, "alice", &["Viewer"]).await;
        assert_eq!(daemon.login("alice", "wrong").await.status, 401);
        delete(&daemon, &daemon.token, "alice").await;
        let trail = get(&daemon, &daemon.token, "/audit/logs").await.data().to_string();
        for action in ["user_create", "user_delete", "auth_login"] {
            assert!(trail.contains(action), "{action}: {trail}");
        }
        assert!(!trail.contains(GOOD) && !trail.contains("argon2"), "{trail}");
        let two = request(&daemon, &daemon.token, Method::GET, "/users").header("authorization", "Bearer x");
        assert_eq!(answer(two).await.status, 400, "two Authorization headers");
    });
}
