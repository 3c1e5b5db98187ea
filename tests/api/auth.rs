//! Login, refresh, logout.

use serde_json::json;

use crate::support::{Answer, Daemon, answer, run, until};

async fn refresh(daemon: &Daemon, token: &str) -> Answer {
    let request = daemon.http.post(format!("{}/auth/refresh", daemon.control_center));
    answer(request.json(&json!({ "refresh_token": token }))).await
}

async fn verify(daemon: &Daemon, token: &str) -> Answer {
    answer(daemon.http.get(format!("{}/auth/verify", daemon.control_center)).bearer_auth(token)).await
}

#[test]
fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let login = daemon.login("admin", &daemon.password()).await;
        let data = login.data();
        assert_eq!((data["token_type"].as_str(), data["expires_in"].as_u64()), (Some("Bearer"), Some(900)));
        assert_eq!(data["user"]["username"], "admin");
        let first = data["refresh_token"].as_str().unwrap().to_owned();
        let second = refresh(&daemon, &first).await.data().clone();
        let token = second["token"].as_str().unwrap();
        assert_eq!(verify(&daemon, token).await.data()["valid"], true);
        let replayed = refresh(&daemon, &first).await;
        assert_eq!((replayed.status.as_u16(), replayed.code()), (401, "unauthenticated"));
        assert_eq!(refresh(&daemon, second["refresh_token"].as_str().unwrap()).await.status, 401);
        assert_eq!(verify(&daemon, token).await.status, 401);
        assert_eq!(verify(&daemon, &daemon.token).await.status, 200, "another session goes on");
    });
}

#[test]
fn whoever_loses_a_race_of_two_refreshes_is_told_to_use_the_new_pair() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 1000");
        daemon.boot().await;
        let mut told = None;
        // One may be answered before the other is read; mostly they meet.
        for _ in 0..50 {
            let login = daemon.login("admin", &daemon.password()).await;
            let token = login.data()["refresh_token"].as_str().unwrap().to_owned();
            let (one, two) = tokio::join!(refresh(&daemon, &token), refresh(&daemon, &token));
            told = [one, two].into_iter().find(|answer| answer.status == 409);
            if told.is_some() {
                break;
            }
        }
        let told = told.expect("two refreshes meet");
        let text = told.body["error"].as_str().unwrap();
        assert!(told.code() == "conflict" && text.contains("use the pair"), "{text}");
        assert!(!text.contains("try again"), "{text}");
    });
}

#[test]
fn after_logout_the_token_is_good_no_more_even_after_a_restart() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let login = daemon.login("admin", &daemon.password()).await;
        let token = login.data()["token"].as_str().unwrap().to_owned();
        let out = daemon.http.post(format!("{}/auth/logout", daemon.control_center)).bearer_auth(&token);
        assert_eq!(answer(out).await.status, 200);
        assert_eq!(verify(&daemon, &token).await.status, 401);
        daemon.kill();
        daemon.boot().await;
        assert_eq!(verify(&daemon, &token).await.status, 401);
    });
}

#[test]
fn a_key_that_signed_long_enough_gives_way_and_logs_nobody_out() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        daemon.kill();
        let keys = daemon.path("data/keys");
        let key = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap().path();
        let signed: i64 = key.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let long_ago = keys.join(format!("{}.pk8", signed - 91 * 24 * 3600 * 1000));
        std::fs::rename(&key, long_ago).unwrap();
        daemon.spawn();
        daemon.greet().await;
        let jwks = async || {
            let jwks =
                daemon.http.get(format!("{}/.well-known/jwks.json", daemon.control_center)).send().await.unwrap();
            let jwks: serde_json::Value = jwks.json().await.unwrap();
            (jwks["keys"].as_array().unwrap().len() == 2).then_some(())
        };
        until("a second key", jwks).await;
        assert_eq!(verify(&daemon, &daemon.token).await.status, 200, "what the old key signed stays good");
        let entry = async || {
            let query = "/audit/logs?action=keys_rotate";
            let entries = daemon.control(&daemon.token, reqwest::Method::GET, query, json!(null)).await;
            (entries.data().as_array().unwrap().len() == 1).then_some(())
        };
        until("an entry of it", entry).await;
    });
}

#[test]
fn whoever_owns_the_host_gets_the_administrator_back() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let old = (daemon.password(), daemon.token.clone());
        let other = json!({ "username": "other", "roles": ["Admin"], "password": "plum-orbit-canvas-thirteen" });
        daemon.control(&daemon.token, reqwest::Method::POST, "/users", other).await.data();
        let login =
            daemon.login("other", "plum-orbit-canvas-thirteen").await.data()["token"].as_str().unwrap().to_owned();
        let shut = json!({ "disabled": true, "roles": ["Viewer"] });
        daemon.control(&login, reqwest::Method::PUT, "/users/admin", shut).await.data();
        daemon.kill();
        daemon.options.push("--reset-admin".to_owned());
        daemon.boot().await;
        assert_ne!(daemon.password(), old.0);
        assert_eq!(verify(&daemon, &old.1).await.status, 401);
        assert_eq!(verify(&daemon, &daemon.token).await.data()["user"]["roles"], json!(["Admin", "Viewer"]));
        let query = "/audit/logs?action=admin_bootstrap";
        let told = daemon.control(&daemon.token, reqwest::Method::GET, query, json!(null)).await;
        assert_eq!(told.data()[0]["details"]["reset"], true);
        assert_eq!(verify(&daemon, &login).await.status, 200, "nobody else is touched");
    });
}

#[test]
fn wrong_logins_are_told_nothing_and_stopped_after_five() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let wrong = daemon.login("admin", "wrong").await;
        let nobody = daemon.login("nobody", "wrong").await;
        assert_eq!((wrong.status.as_u16(), nobody.status.as_u16()), (401, 401));
        assert_eq!(wrong.body["error"], nobody.body["error"]);
        for _ in 0..3 {
            assert_eq!(daemon.login("admin", "wrong").await.status, 401);
        }
        let stopped = daemon.login("admin", &daemon.password()).await;
        assert_eq!((stopped.status.as_u16(), stopped.code()), (429, "rate_limited"));
        assert!(stopped.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    });
}

#[test]
fn the_password_file_is_private_and_the_keys_are_published() {
    run(async {
        use std::os::unix::fs::PermissionsExt;
        let daemon = Daemon::start(&[]).await;
        let keys = std::fs::read_dir(daemon.path("data/keys")).unwrap().map(|key| key.unwrap().path());
        for file in keys.chain([daemon.path("data/admin-password")]) {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let jwks = daemon.http.get(format!("{}/.well-known/jwks.json", daemon.control_center)).send().await.unwrap();
        let jwks: serde_json::Value = jwks.json().await.unwrap();
        assert_eq!((jwks["keys"][0]["kty"].as_str(), jwks["keys"][0]["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
    });
}
