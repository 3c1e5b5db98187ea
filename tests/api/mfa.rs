//! The second factor, as its users use it, as others would misuse it, and as administrators demand it.

use prov::auth::lockout::FAILURES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::totp::code;
use crate::support::{Answer, Daemon, answer, run};

const GOOD: &str = "plum-orbit-canvas-thirteen";

async fn create(daemon: &Daemon, name: &str, role: &str) {
    let body = json!({ "username": name, "roles": [role], "password": GOOD });
    daemon.control(&daemon.token, Method::POST, "/users", body).await.data();
}

fn tokens(answer: &Answer) -> (String, String) {
    let text = |field: &str| answer.data()[field].as_str().unwrap().to_owned();
    (text("token"), text("refresh_token"))
}

async fn get(daemon: &Daemon, token: &str, path: &str) -> Answer {
    daemon.control(token, Method::GET, path, Value::Null).await
}

async fn enrol(daemon: &Daemon, token: &str, password: &str) -> Answer {
    daemon.control(token, Method::POST, "/mfa/enroll/totp", json!({ "current_password": password })).await
}

async fn verify(daemon: &Daemon, token: &str, code: &str) -> Answer {
    daemon.control(token, Method::POST, "/mfa/verify", json!({ "code": code })).await
}

async fn disable(daemon: &Daemon, token: &str, password: &str, code: &str) -> Answer {
    daemon.control(token, Method::DELETE, "/mfa", json!({ "current_password": password, "code": code })).await
}

/// What a user has who just set up a second factor; the code of the next step is still to be used.
struct Enrolled {
    token: String,
    refresh: String,
    secret: String,
    backup: Vec<String>,
}

async fn enrolled(daemon: &Daemon, token: &str, password: &str) -> Enrolled {
    let secret = enrol(daemon, token, password).await.data()["secret"].as_str().unwrap().to_owned();
    let verified = verify(daemon, token, &code(&secret, 0)).await;
    let data = verified.data();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Enrolled {
        token: text(&data["session"]["token"]),
        refresh: text(&data["session"]["refresh_token"]),
        secret,
        backup: data["backup_codes"].as_array().unwrap().iter().map(text).collect(),
    }
}

async fn trail(daemon: &Daemon, token: &str, action: &str) -> Vec<Value> {
    let listed = get(daemon, token, &format!("/audit/logs?action={action}")).await;
    listed.data().as_array().unwrap().clone()
}

#[test]
fn a_password_in_between_gives_no_more_guesses_of_a_code() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 1000");
        daemon.boot().await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        let alice = enrolled(&daemon, &token, GOOD).await;
        let mut password = GOOD.to_owned();
        for guess in 0..FAILURES {
            let wrong = disable(&daemon, &alice.token, &password, "nonsense").await;
            assert_eq!((wrong.status.as_u16(), wrong.code()), (403, "forbidden"));
            if guess + 1 < FAILURES {
                let next = format!("{GOOD}-{guess}");
                let change = json!({ "current_password": password, "new_password": next });
                daemon.control(&alice.token, Method::POST, "/auth/password", change).await.data();
                password = next;
            }
        }
        let locked = daemon.login_with("alice", &password, &alice.backup[0]).await;
        assert_eq!(locked.status, 401, "ten wrong codes lock the account");
        let users = daemon.control(&daemon.token, Method::GET, "/users/alice", Value::Null).await;
        assert!(users.data()["locked_until"].is_string(), "{users:?}");
    });
}

#[test]
fn a_factor_is_set_up_asked_for_and_each_code_is_good_once() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 1000");
        daemon.boot().await;
        create(&daemon, "alice", "Viewer").await;
        let (token, refresh) = tokens(&daemon.login("alice", GOOD).await);
        let (other, _) = tokens(&daemon.login("alice", GOOD).await);
        assert_eq!(verify(&daemon, &token, "123456").await.code(), "conflict", "nothing is being set up");
        let wrong = enrol(&daemon, &token, "wrong").await;
        assert_eq!((wrong.status.as_u16(), wrong.code()), (403, "forbidden"), "a stolen session is not enough");

        let first = enrol(&daemon, &token, GOOD).await.data()["secret"].as_str().unwrap().to_owned();
        let second = enrol(&daemon, &token, GOOD).await;
        let secret = second.data()["secret"].as_str().unwrap().to_owned();
        let uri = second.data()["otpauth_uri"].as_str().unwrap();
        assert!(uri.starts_with("otpauth://totp/prov:alice?") && uri.contains(&secret), "{uri}");
        assert_eq!(daemon.login("alice", GOOD).await.status, 200, "nothing is active yet");
        assert_eq!(get(&daemon, &token, "/mfa").await.data()["pending"], true);
        assert_eq!(verify(&daemon, &token, &code(&first, 0)).await.code(), "forbidden", "it was replaced");

        let present = code(&secret, 0);
        let verified = verify(&daemon, &token, &present).await;
        let data = verified.data();
        let backup: Vec<&str> = data["backup_codes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((backup.len(), data["sessions_ended"].as_u64()), (10, Some(2)));
        let (raised, next) = (data["session"]["token"].as_str().unwrap(), &data["session"]["refresh_token"]);
        assert_eq!(get(&daemon, raised, "/auth/verify").await.data()["mfa"], true);
        assert_eq!(
            get(&daemon, &token, "/auth/verify").await.data()["mfa"],
            false,
            "the token from before is as it was"
        );
        assert_eq!(get(&daemon, &other, "/auth/verify").await.status, 401);
        assert_eq!(enrol(&daemon, raised, GOOD).await.code(), "conflict");
        assert_eq!(verify(&daemon, raised, &code(&secret, 1)).await.code(), "conflict");

        let missing = daemon.login("alice", GOOD).await;
        assert_eq!((missing.status.as_u16(), missing.code()), (401, "mfa_required"));
        assert_eq!(daemon.login("alice", "wrong").await.code(), "unauthenticated", "first the password");
        let spent = daemon.login_with("alice", GOOD, &present).await;
        assert_eq!((spent.status.as_u16(), spent.code()), (401, "unauthenticated"), "verify has spent it");
        let coming = code(&secret, 1);
        let (with_code, _) = tokens(&daemon.login_with("alice", GOOD, &coming).await);
        assert_eq!(get(&daemon, &with_code, "/auth/verify").await.data()["mfa"], true);
        assert_eq!(daemon.login_with("alice", GOOD, &coming).await.status, 401, "no code twice");
        assert_eq!(daemon.login_with("alice", GOOD, backup[3]).await.status, 200);
        assert_eq!(daemon.login_with("alice", GOOD, backup[3]).await.status, 401, "no backup code twice");
        assert_eq!(daemon.login_with("alice", GOOD, &backup[4].to_uppercase().replace('-', " ")).await.status, 200);
        let status = get(&daemon, &with_code, "/mfa").await;
        assert_eq!((&status.data()["active"], &status.data()["backup_codes_left"]), (&json!(true), &json!(8)));

        let again = daemon.http.post(format!("{}/auth/refresh", daemon.control_center));
        let again = tokens(&answer(again.json(&json!({ "refresh_token": next }))).await).0;
        assert_eq!(get(&daemon, &again, "/auth/verify").await.data()["mfa"], true);
        let replayed = daemon.http.post(format!("{}/auth/refresh", daemon.control_center));
        assert_eq!(answer(replayed.json(&json!({ "refresh_token": refresh }))).await.status, 401);
        assert_eq!(get(&daemon, &again, "/auth/verify").await.status, 401, "somebody had a copy");
    });
}

#[test]
fn a_code_that_comes_many_times_at_once_is_good_once() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 1000");
        daemon.boot().await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        let secret = enrol(&daemon, &token, GOOD).await.data()["secret"].as_str().unwrap().to_owned();
        let first = code(&secret, 0);
        let answers = futures_util::future::join_all((0..4).map(|_| verify(&daemon, &token, &first))).await;
        let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        let backup = made[0].data()["backup_codes"][0].as_str().unwrap();
        for code in [code(&secret, 1).as_str(), backup] {
            let logins = futures_util::future::join_all((0..4).map(|_| daemon.login_with("alice", GOOD, code))).await;
            assert_eq!(logins.iter().filter(|login| login.status == 200).count(), 1, "{logins:?}");
        }
    });
}

#[test]
fn to_remove_it_takes_the_password_and_a_code() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        assert_eq!(disable(&daemon, &token, GOOD, "123456").await.code(), "conflict");
        let alice = enrolled(&daemon, &token, GOOD).await;
        let (other, _) = tokens(&daemon.login_with("alice", GOOD, &alice.backup[0]).await);
        for (password, code) in [("wrong", alice.backup[1].as_str()), (GOOD, "000000"), (GOOD, &alice.backup[0])] {
            let refused = disable(&daemon, &alice.token, password, code).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden"), "{code}");
        }
        assert_eq!(disable(&daemon, &alice.token, GOOD, &alice.backup[1]).await.data()["sessions_ended"], 1);
        assert_eq!(get(&daemon, &other, "/auth/verify").await.status, 401);
        assert_eq!(get(&daemon, &alice.token, "/auth/verify").await.data()["mfa"], false);
        let next = daemon.http.post(format!("{}/auth/refresh", daemon.control_center));
        let (next, _) = tokens(&answer(next.json(&json!({ "refresh_token": alice.refresh }))).await);
        assert_eq!(get(&daemon, &next, "/auth/verify").await.data()["mfa"], false, "it proved what is no more");
        assert_eq!(daemon.login("alice", GOOD).await.status, 200);
        let secret = enrol(&daemon, &next, GOOD).await.data()["secret"].as_str().unwrap().to_owned();
        assert_ne!(secret, alice.secret);
    });
}

#[test]
fn an_administrator_takes_it_from_who_lost_it_and_gives_none() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        let alice = enrolled(&daemon, &token, GOOD).await;
        let put = async |name: &str, mfa: bool| {
            daemon.control(&daemon.token, Method::PUT, &format!("/users/{name}"), json!({ "mfa": mfa })).await
        };
        assert_eq!(get(&daemon, &daemon.token, "/users/alice").await.data()["mfa"], true);
        for (name, mfa) in [("alice", true), ("admin", false)] {
            let refused = put(name, mfa).await;
            assert_eq!(refused.body["details"]["problems"][0]["pointer"], "/mfa", "{refused:?}");
        }
        assert_eq!(put("alice", false).await.data()["mfa"], false);
        assert_eq!(get(&daemon, &alice.token, "/auth/verify").await.status, 401);
        let (again, _) = tokens(&daemon.login("alice", GOOD).await);
        assert_eq!(put("alice", false).await.status, 200, "there is nothing to take");
        assert_eq!(get(&daemon, &again, "/auth/verify").await.status, 200);
        assert_eq!(trail(&daemon, &daemon.token, "user_update").await[0]["details"]["changed"], json!(["mfa"]));
    });
}

#[test]
fn guessing_codes_locks_the_account() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 1000");
        daemon.boot().await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        let alice = enrolled(&daemon, &token, GOOD).await;
        for guess in 0..10 {
            // Half of the guesses with a session, half without: they count together.
            let code = format!("{guess:06}");
            let refused = if guess % 2 == 0 {
                daemon.login_with("alice", GOOD, &code).await
            } else {
                disable(&daemon, &alice.token, GOOD, &code).await
            };
            assert!([401, 403].contains(&refused.status.as_u16()), "{refused:?}");
        }
        assert_eq!(daemon.login_with("alice", GOOD, &code(&alice.secret, 1)).await.code(), "unauthenticated");
        assert_eq!(disable(&daemon, &alice.token, GOOD, &alice.backup[0]).await.code(), "forbidden");
        assert!(get(&daemon, &daemon.token, "/users/alice").await.data()["locked_until"].is_string());
        daemon.control(&daemon.token, Method::POST, "/users/alice/unlock", json!({})).await.data();
        assert_eq!(daemon.login_with("alice", GOOD, &code(&alice.secret, 1)).await.status, 200, "it was not spent");

        create(&daemon, "bob", "Viewer").await;
        let (token, _) = tokens(&daemon.login("bob", GOOD).await);
        let secret = enrol(&daemon, &token, GOOD).await.data()["secret"].as_str().unwrap().to_owned();
        for guess in 0..10 {
            assert_eq!(verify(&daemon, &token, &format!("{guess:06}")).await.code(), "forbidden");
        }
        assert_eq!(verify(&daemon, &token, &code(&secret, 0)).await.code(), "forbidden", "locked as well");
    });
}

#[test]
fn too_many_wrong_codes_a_minute_are_not_looked_at() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        enrol(&daemon, &token, GOOD).await.data();
        for _ in 0..5 {
            assert_eq!(verify(&daemon, &token, "nonsense").await.status, 403);
        }
        let stopped = verify(&daemon, &token, "nonsense").await;
        assert_eq!((stopped.status.as_u16(), stopped.code()), (429, "rate_limited"));
    });
}

#[test]
fn who_must_have_one_may_only_set_it_up() {
    run(async {
        let daemon = Daemon::start(&["--require-mfa", "Admin", "--max-parallel", "0"]).await;
        let nothing = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";
        for path in ["/tasks".to_owned(), format!("/tasks/{nothing}"), format!("/batch/operations/{nothing}")] {
            let refused = daemon.get(&path).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (401, "mfa_required"), "{path}");
            assert!(refused.body["error"].as_str().unwrap().contains("`prov mfa enroll`"), "{refused:?}");
        }
        let submitted = daemon.post("/workflows/servers/create", &json!({ "infra": "dev" })).await;
        assert_eq!(submitted.code(), "mfa_required");
        for path in ["/users", "/users/admin", "/users/nobody", "/audit/logs", "/policies"] {
            assert_eq!(get(&daemon, &daemon.token, path).await.code(), "mfa_required", "{path}");
        }
        let own = json!({ "email": "admin@example.org" });
        assert_eq!(daemon.control(&daemon.token, Method::PUT, "/users/admin", own).await.code(), "mfa_required");
        let status = get(&daemon, &daemon.token, "/mfa").await;
        assert_eq!((&status.data()["required"], &status.data()["session"]), (&json!(true), &json!(false)));
        for path in ["/auth/verify", "/auth/sessions"] {
            assert_eq!(get(&daemon, &daemon.token, path).await.status, 200, "{path}");
        }

        let password = daemon.password();
        let admin = enrolled(&daemon, &daemon.token, &password).await;
        assert_eq!(daemon.get("/tasks").await.code(), "mfa_required", "the token from before has proven nothing");
        let tasks = daemon.http.get(format!("{}/tasks", daemon.orchestrator())).bearer_auth(&admin.token);
        assert_eq!(answer(tasks).await.status, 200);
        let refused = trail(&daemon, &admin.token, "task_list").await;
        assert_eq!(refused[0]["outcome"], json!({ "result": "failure", "code": "mfa_required" }), "{refused:?}");
        // Who has none of these roles is not bothered.
        let viewer = json!({ "username": "alice", "roles": ["Viewer"], "password": GOOD });
        daemon.control(&admin.token, Method::POST, "/users", viewer).await.data();
        let (alice, _) = tokens(&daemon.login("alice", GOOD).await);
        let tasks = daemon.http.get(format!("{}/tasks", daemon.orchestrator())).bearer_auth(&alice);
        assert_eq!(answer(tasks).await.status, 200);
        // A token of a script stands for the login that made it.
        let named = json!({ "name": "script" });
        let refused = daemon.control(&daemon.token, Method::POST, "/auth/tokens", named.clone()).await;
        assert_eq!(refused.code(), "mfa_required");
        let made = daemon.control(&admin.token, Method::POST, "/auth/tokens", named).await;
        let script = made.data()["token"].as_str().unwrap();
        assert_eq!(get(&daemon, script, "/users").await.status, 200);
        assert_eq!(disable(&daemon, &admin.token, &password, &admin.backup[0]).await.status, 200);
        assert_eq!(get(&daemon, script, "/users").await.code(), "mfa_required");
        assert_eq!(get(&daemon, &admin.token, "/users").await.code(), "mfa_required", "without it it is as before");
    });
}

#[test]
fn a_policy_that_lacks_nothing_else_says_how_to_come_by_it() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let enable = json!({ "enabled": true });
        daemon.control(&daemon.token, Method::PUT, "/policies/mfa", enable).await.data();
        create(&daemon, "oscar", "Operator").await;
        create(&daemon, "vera", "Viewer").await;
        let submit = async |token: &str| {
            let url = format!("{}/workflows/servers/create", daemon.orchestrator());
            answer(daemon.http.post(url).bearer_auth(token).json(&json!({ "infra": "production" }))).await
        };
        let told = async |token: &str| {
            let denied = submit(token).await;
            assert_eq!((denied.status.as_u16(), &denied.body["details"]["second_factor"]), (403, &json!(true)));
            denied.body["error"].as_str().unwrap().to_owned()
        };
        let (oscar, _) = tokens(&daemon.login("oscar", GOOD).await);
        let without = told(&oscar).await;
        assert!(without.contains("it takes a login with a second factor"), "{without}");
        assert!(without.ends_with("set up a second factor: `prov mfa enroll`"), "{without}");
        let raised = enrolled(&daemon, &oscar, GOOD).await.token;
        assert_eq!(submit(&raised).await.status, 200);
        let before = told(&oscar).await;
        assert!(before.ends_with("log in with a code of your second factor: `prov login`"), "{before}");
        let (vera, _) = tokens(&daemon.login("vera", GOOD).await);
        let more = told(&vera).await;
        assert!(more.contains("ask an administrator") && more.contains("`prov mfa enroll`"), "{more}");
    });
}

#[test]
fn all_of_it_is_on_record_and_no_secret_is() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        create(&daemon, "alice", "Viewer").await;
        let (token, _) = tokens(&daemon.login("alice", GOOD).await);
        enrol(&daemon, &token, "wrong password of hers").await.code();
        let alice = enrolled(&daemon, &token, GOOD).await;
        let coming = code(&alice.secret, 1);
        daemon.login_with("alice", GOOD, &coming).await.data();
        daemon.login_with("alice", GOOD, &alice.backup[0]).await.data();
        daemon.login_with("alice", GOOD, &alice.backup[0]).await.code();
        disable(&daemon, &alice.token, GOOD, &alice.backup[1]).await.data();
        for (action, outcomes) in [
            ("mfa_enroll_totp", vec!["success", "failure"]),
            ("mfa_verify", vec!["success"]),
            ("mfa_disable", vec!["success"]),
        ] {
            let entries = trail(&daemon, &daemon.token, action).await;
            let found: Vec<_> = entries.iter().map(|entry| entry["outcome"]["result"].as_str().unwrap()).collect();
            assert_eq!(found, outcomes, "{action}: {entries:?}");
            assert_eq!(entries[0]["resource"], "user/alice", "{entries:?}");
        }
        let logins = trail(&daemon, &daemon.token, "auth_login").await;
        let given: Vec<&Value> = logins.iter().map(|entry| &entry["details"]["second_factor"]).collect();
        assert_eq!(given[..3], [&Value::Null, &json!("backup code"), &json!("authenticator app")], "{logins:?}");
        let all = get(&daemon, &daemon.token, "/audit/logs?limit=1000").await.data().to_string() + &daemon.log();
        for secret in [&alice.secret, &coming, &alice.backup[0], &alice.backup[1], &GOOD.to_owned()] {
            assert!(!all.contains(secret.as_str()), "{secret}: {all}");
        }
        assert!(!all.contains("otpauth") && !all.contains("wrong password"), "{all}");
        assert_eq!(get(&daemon, &daemon.token, "/audit/verify").await.data()["verified"], true);
    });
}
