//! Webhooks, with a receiver that fails and a daemon that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::hmac;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::receiver::{Received, Receiver};
use crate::support::{Answer, Daemon, answer, run, script, trusting, until};

const SECRET: &str = "swordfish-swordfish";
const GOOD: &str = "plum-orbit-canvas-thirteen";

/// A daemon that reaches this machine, and tries again soon.
async fn daemon(more: &str) -> Daemon {
    let mut daemon = Daemon::new(&[]);
    daemon.configure(&format!(
        "webhook_allow = [\"127.0.0.0/8\"]\nwebhook_retry_initial_ms = 10\nwebhook_retry_max_seconds = 1\n{more}"
    ));
    daemon.boot().await;
    daemon
}

async fn call(daemon: &Daemon, token: &str, method: Method, path: &str, body: Value) -> Answer {
    let request = daemon.http.request(method, format!("{}{path}", daemon.orchestrator())).bearer_auth(token);
    answer(if body.is_null() { request } else { request.json(&body) }).await
}

async fn put(daemon: &Daemon, path: &str, body: Value) -> Answer {
    call(daemon, &daemon.token, Method::PUT, path, body).await
}

/// The path of a new webhook.
async fn hook(daemon: &Daemon, body: Value) -> String {
    let made = daemon.post("/webhooks", &body).await;
    format!("/webhooks/{}", made.data()["id"].as_str().unwrap())
}

/// The signatures of a request, and whether one is what the secret makes of it.
fn signed(received: &Received, secret: &str) -> (usize, bool) {
    let value = received.header("x-prov-signature");
    let time = value.strip_prefix("t=").unwrap().split(',').next().unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[format!("{time}.").as_bytes(), &received.body].concat());
    let expected: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let signatures: Vec<&str> = value.split(',').filter_map(|part| part.strip_prefix("v1=")).collect();
    (signatures.len(), signatures.contains(&expected.as_str()))
}

fn batch(name: &str, infra: &str) -> Value {
    let mut operations: Vec<Value> = ["a", "b", "c", "d"].map(|id| script(id, "true")).to_vec();
    operations[1]["dependencies"] = json!(["a"]);
    json!({ "name": name, "infra": infra, "operations": operations })
}

/// Everything that happened, as the stream tells it.
async fn told(daemon: &Daemon, last: &str) -> Vec<u64> {
    let request = daemon.request(Method::GET, "/events?events=task,batch&since=0").send().await.unwrap();
    let (mut response, mut text) = (request, String::new());
    loop {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let frames: Vec<Value> = whole
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| serde_json::from_str(data.trim()).unwrap())
            .collect();
        let is_last = |frame: &Value| frame["data"]["workflow_id"] == last && frame["data"]["status"] == "Completed";
        if frames.iter().any(is_last) {
            return frames.iter().map(|frame| frame["sequence"].as_u64().unwrap()).collect();
        }
    }
}

#[test]
fn everything_arrives_in_order_though_the_receiver_fails_and_the_daemon_is_killed() {
    run(async {
        let mut daemon = daemon("").await;
        let receiver = Receiver::start(|number, _| match number * 2_654_435_761 % 7 {
            0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            1 => StatusCode::BAD_REQUEST.into_response(),
            2 => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")]).into_response(),
            _ => StatusCode::OK.into_response(),
        });
        hook(&daemon, json!({ "url": format!("{}/hook", receiver.url), "secret": SECRET })).await;
        let mut last = String::new();
        for round in 0..4 {
            for number in 0..3 {
                last = daemon.batch(&batch(&format!("b-{round}-{number}"), "lab")).await;
            }
            let enough = receiver.seen().len() + 7;
            until("some of it has arrived", || async { (receiver.seen().len() > enough).then_some(()) }).await;
            daemon.kill();
            daemon.boot().await;
        }
        daemon.ended(&last).await;
        let all = told(&daemon, &last).await;
        assert!(all.len() > 100, "{}", all.len());
        let taken = || receiver.seen().into_iter().filter(Received::was_taken);
        until("all has arrived", || async { taken().any(|it| it.sequence() == all.last().copied()).then_some(()) })
            .await;

        let seen = receiver.seen();
        let order: Vec<u64> = seen.iter().map(|it| it.sequence().unwrap()).collect();
        assert!(order.is_sorted(), "nothing overtakes anything: {order:?}");
        let arrived: BTreeSet<u64> = taken().map(|it| it.sequence().unwrap()).collect();
        assert_eq!(arrived.into_iter().collect::<Vec<_>>(), all, "everything arrives");
        let ids: BTreeSet<(u64, &str)> =
            seen.iter().map(|it| (it.sequence().unwrap(), it.header("x-prov-delivery"))).collect();
        assert_eq!(ids.len(), all.len(), "a frame has one id, however often it is sent");
        for received in &seen {
            let body = received.json();
            assert_eq!(signed(received, SECRET), (1, true));
            assert_eq!(body["id"], received.header("x-prov-delivery"));
            assert_eq!(body["webhook_id"], received.header("x-prov-webhook"));
            assert_eq!(body["event_type"], received.header("x-prov-event"));
            assert_eq!(body["sequence"].as_u64(), received.sequence());
            assert!(received.header("user-agent").starts_with("prov/"));
            assert_eq!((received.header("content-type"), received.path.as_str()), ("application/json", "/hook"));
        }
        assert!(daemon.terminate().success());
    });
}

#[test]
fn what_nobody_takes_is_set_aside_and_sent_again_on_request() {
    run(async {
        let daemon = daemon("webhook_retry_for_seconds = 1").await;
        let is_sick = Arc::new(AtomicBool::new(true));
        let receiver = Receiver::start({
            let is_sick = Arc::clone(&is_sick);
            move |_, _| {
                if is_sick.load(Ordering::Acquire) {
                    (StatusCode::BAD_GATEWAY, "no\nroute")
                } else {
                    (StatusCode::OK, "")
                }
                .into_response()
            }
        });
        let hook = hook(&daemon, json!({ "url": receiver.url, "events": ["WorkflowProgressUpdate"] })).await;
        let one = json!({ "name": "one", "infra": "lab", "operations": [script("a", "true")] });
        let id = daemon.batch(&one).await;
        daemon.ended(&id).await;
        let dead = async || {
            let listed = daemon.get(&format!("{hook}/deliveries?status=dead")).await;
            (listed.headers["x-total-count"].to_str().unwrap().parse::<usize>().unwrap(), listed.data().clone())
        };
        let failing = until("it fails", || async {
            let view = daemon.get(&hook).await.data().clone();
            (view["state"] == "failing").then_some(view)
        });
        assert_eq!(failing.await["reason"], "the receiver answered 502: no route");
        let sent: BTreeSet<u64> = until("all is set aside", || async {
            let all = told(&daemon, &id).await.len();
            let (count, listed) = dead().await;
            // Of the whole only what tells of the workflow was wanted.
            let last = listed.as_array().unwrap().first()?.clone();
            let is_last = receiver.seen().last().is_some_and(|it| it.json()["data"]["status"] == "Completed");
            assert!(count < all);
            let sequences = receiver.seen().iter().filter_map(Received::sequence).collect::<BTreeSet<_>>();
            (is_last && last["sequence"].as_u64() == sequences.last().copied()).then_some(sequences)
        })
        .await;
        let (count, listed) = dead().await;
        assert_eq!(count, sent.len());
        for delivery in listed.as_array().unwrap() {
            assert!(delivery["attempts"].as_u64().unwrap() > 2, "{delivery}");
            assert_eq!((&delivery["response_status"], &delivery["next_attempt_at"]), (&json!(502), &Value::Null));
        }
        is_sick.store(false, Ordering::Release);
        let first = listed[0]["id"].clone();
        let again = daemon.post(&format!("{hook}/redeliver"), &json!({ "deliveries": [first] })).await;
        assert_eq!(again.data()["queued"], 1);
        until("one is sent again", || async { (dead().await.0 == count - 1).then_some(()) }).await;
        let taken = || receiver.seen().into_iter().filter(Received::was_taken).collect::<Vec<_>>();
        until("it arrives", || async { (!taken().is_empty()).then_some(()) }).await;
        assert_eq!(taken()[0].header("x-prov-delivery"), first.as_str().unwrap(), "under its own id");
        until("it is known to have arrived", || async {
            let again = json!({ "deliveries": [first] });
            let refused = daemon.post(&format!("{hook}/redeliver"), &again).await;
            (refused.status == 409).then_some(())
        })
        .await;
        assert_eq!(daemon.post(&format!("{hook}/redeliver"), &json!({})).await.data()["queued"], count - 1);
        until("the others are sent again", || async { (taken().len() == count).then_some(()) }).await;
        until("none is left", || async {
            let listed = daemon.get(&format!("{hook}/deliveries?status=delivered&limit=1")).await;
            (listed.headers["x-total-count"] == count.to_string().as_str()).then_some(())
        })
        .await;
        // And it goes on with what is new.
        daemon.ended(&daemon.batch(&one).await).await;
        until("what is new arrives", || async { (taken().len() > count).then_some(()) }).await;
        let active = until("it works", || async {
            let view = daemon.get(&hook).await.data().clone();
            (view["state"] == "active").then_some(view)
        });
        assert_eq!(active.await["failures"], 0);
    });
}

#[test]
fn nothing_is_reached_that_may_not_be_and_nobody_is_followed() {
    run(async {
        let strict = Daemon::start(&[]).await;
        let receiver = Receiver::start(|_, path| match path {
            "/moved" => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/secret")]).into_response(),
            _ => StatusCode::OK.into_response(),
        });
        let port = receiver.url.rsplit(':').next().unwrap().to_owned();
        for url in ["127.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"] {
            let refused = strict.post("/webhooks", &json!({ "url": format!("https://{url}:{port}/") })).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"), "{url}");
            assert_eq!(refused.body["details"]["problems"][0]["pointer"], "/url");
        }
        let plain = strict.post("/webhooks", &json!({ "url": format!("http://localhost:{port}/") })).await;
        assert_eq!(plain.status, 400, "nothing goes unencrypted unless a network is named");
        // What a name stands for is seen when it is looked up.
        let named = hook(&strict, json!({ "url": format!("https://localhost:{port}/") })).await;
        let ping = strict.post(&format!("{named}/ping"), &json!({})).await;
        let error = ping.data()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("its name stands for a loopback address"), "{error}");
        assert_eq!((ping.data()["status"].as_str(), receiver.seen().len()), (Some("dead"), 0));

        let open = daemon("").await;
        let moved = hook(&open, json!({ "url": format!("http://localhost:{port}/moved") })).await;
        let ping = open.post(&format!("{moved}/ping"), &json!({})).await;
        assert_eq!(ping.data()["response_status"], 307);
        assert!(ping.data()["error"].as_str().unwrap().contains("redirects are not followed"));
        let seen = receiver.seen();
        assert_eq!((seen.len(), seen[0].path.as_str(), seen[0].header("x-prov-event")), (1, "/moved", "Ping"));
        assert_eq!(put(&open, &moved, json!({ "url": "https://10.0.0.1/" })).await.status, 400);
        let good = put(&open, &moved, json!({ "url": format!("http://127.0.0.1:{port}/") })).await;
        assert_eq!(good.status, 200);
        assert_eq!(open.post(&format!("{moved}/ping"), &json!({})).await.data()["status"], "delivered");
    });
}

#[test]
fn a_webhook_is_told_what_its_owner_may_read_and_seen_by_whom_it_concerns() {
    run(async {
        let daemon = daemon("").await;
        let user = |name: &str| json!({ "username": name, "roles": ["Developer"], "password": GOOD });
        for name in ["dev", "other"] {
            daemon.control(&daemon.token, Method::POST, "/users", user(name)).await.data();
        }
        let login = async |name: &str| daemon.login(name, GOOD).await.data()["token"].as_str().unwrap().to_owned();
        let (dev, other) = (login("dev").await, login("other").await);
        let receiver = Receiver::willing();
        let wanted = json!({ "url": receiver.url, "events": ["batch"] });
        assert_eq!(call(&daemon, &dev, Method::POST, "/webhooks", wanted.clone()).await.status, 403);
        let content = r#"permit (principal in Role::"Developer", action == Action::"webhook_manage", resource == System::"prov");"#;
        let policy = json!({ "name": "hooks", "content": content });
        daemon.control(&daemon.token, Method::POST, "/policies", policy).await.data();
        let made = call(&daemon, &dev, Method::POST, "/webhooks", wanted).await;
        let theirs = format!("/webhooks/{}", made.data()["id"].as_str().unwrap());
        let own = hook(&daemon, json!({ "url": "https://localhost/" })).await;

        for (method, path) in [(Method::GET, ""), (Method::DELETE, ""), (Method::GET, "/deliveries")] {
            let hidden = call(&daemon, &other, method, &format!("{theirs}{path}"), Value::Null).await;
            assert_eq!((hidden.status.as_u16(), hidden.code()), (404, "not_found"));
        }
        assert_eq!(call(&daemon, &dev, Method::GET, &own, Value::Null).await.status, 404);
        let count = async |token: &str, query: &str| {
            let listed = call(&daemon, token, Method::GET, &format!("/webhooks{query}"), Value::Null).await;
            listed.data().as_array().unwrap().len()
        };
        assert_eq!((count(&dev, "").await, count(&other, "").await, count(&daemon.token, "").await), (1, 0, 2));
        assert_eq!((count(&daemon.token, "?user=dev").await, count(&other, "?user=dev").await), (1, 0));

        let hidden = daemon.batch(&batch("hidden", "production")).await;
        daemon.ended(&hidden).await;
        let shown = daemon.batch(&batch("shown", "staging")).await;
        let has_ended = |it: &Received| {
            it.json()["data"]["workflow_id"] == shown.as_str() && it.json()["data"]["status"] == "Completed"
        };
        until("what is shown arrives", || async { receiver.seen().iter().any(has_ended).then_some(()) }).await;
        let seen = receiver.seen();
        assert!(seen.iter().all(|it| it.json()["metadata"]["infra"] == "staging"), "{seen:?}");
        assert!(seen.iter().all(|it| it.header("x-prov-event") != "TaskStatusChanged"));

        let user = "/users/dev";
        daemon.control(&daemon.token, Method::PUT, user, json!({ "disabled": true })).await.data();
        let view = daemon.get(&theirs).await;
        assert_eq!(view.data()["state"], "suspended");
        assert_eq!(view.data()["reason"], "its owner is gone or shut out");
        let before = receiver.seen().len();
        daemon.ended(&daemon.batch(&batch("late", "staging")).await).await;
        daemon.control(&daemon.token, Method::PUT, user, json!({ "disabled": false })).await.data();
        put(&daemon, &theirs, json!({ "events": [] })).await.data();
        until("what was missed arrives", || async { (receiver.seen().len() > before).then_some(()) }).await;
        assert_eq!(daemon.control(&daemon.token, Method::DELETE, user, Value::Null).await.status, 200);
        assert_eq!(daemon.get(&theirs).await.status, 404, "it goes with its owner");
    });
}

#[test]
fn a_secret_is_shown_once_and_changed_without_a_gap() {
    run(async {
        let daemon = daemon("").await;
        let receiver = Receiver::willing();
        let url = format!("{}/path-that-nobody-guesses", receiver.url);
        let made = daemon.post("/webhooks", &json!({ "url": url })).await;
        let first = made.data()["secret"].as_str().unwrap().to_owned();
        let path = format!("/webhooks/{}", made.data()["id"].as_str().unwrap());
        assert!(first.len() >= 32);
        let ping = async || {
            daemon.post(&format!("{path}/ping"), &json!({})).await.data();
            receiver.seen().pop().unwrap()
        };
        assert_eq!(signed(&ping().await, &first), (1, true));
        let rolled = put(&daemon, &path, json!({ "roll_secret": true })).await;
        let second = rolled.data()["secret"].as_str().unwrap().to_owned();
        assert!(rolled.data()["former_secret_until"].is_string());
        let both = ping().await;
        assert_eq!((signed(&both, &first), signed(&both, &second)), ((2, true), (2, true)));
        let given = put(&daemon, &path, json!({ "secret": SECRET, "overlap_seconds": 0 })).await;
        assert_eq!(given.data()["secret"], SECRET);
        let last = ping().await;
        assert_eq!((signed(&last, SECRET), signed(&last, &second)), ((1, true), (1, false)));
        assert_eq!(put(&daemon, &path, json!({ "secret": "short" })).await.status, 400);

        daemon.ended(&daemon.batch(&batch("b", "lab")).await).await;
        let shown = [
            daemon.get(&path).await.body.to_string(),
            daemon.get("/webhooks").await.body.to_string(),
            daemon.get(&format!("{path}/deliveries")).await.body.to_string(),
            daemon.control(&daemon.token, Method::GET, "/audit/export?format=json", Value::Null).await.body.to_string(),
            daemon.log(),
        ];
        for text in &shown {
            assert!(![first.as_str(), &second, SECRET].iter().any(|secret| text.contains(secret)), "{text}");
        }
        assert!(!shown[3].contains("nobody-guesses") && !shown[4].contains("nobody-guesses"));
        let entries = daemon.control(&daemon.token, Method::GET, "/audit/logs?resource=webhook", Value::Null).await;
        let actions: Vec<&str> =
            entries.data().as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        for action in ["webhook_create", "webhook_ping", "webhook_update"] {
            assert!(actions.contains(&action), "{actions:?}");
        }
    });
}

#[test]
fn a_receiver_that_is_gone_pauses_and_what_was_missed_is_sent_when_it_is_back() {
    run(async {
        let daemon = daemon("").await;
        let is_gone = Arc::new(AtomicBool::new(true));
        let receiver = Receiver::start({
            let is_gone = Arc::clone(&is_gone);
            move |_, _| if is_gone.load(Ordering::Acquire) { StatusCode::GONE } else { StatusCode::OK }.into_response()
        });
        let path = hook(&daemon, json!({ "url": receiver.url, "infras": ["lab"] })).await;
        daemon.ended(&daemon.batch(&batch("elsewhere", "other")).await).await;
        let id = daemon.batch(&batch("b", "lab")).await;
        daemon.ended(&id).await;
        let paused = until("it is paused", || async {
            let view = daemon.get(&path).await.data().clone();
            (view["state"] == "paused").then_some(view)
        })
        .await;
        assert_eq!((&paused["reason"], &paused["enabled"]), (&json!("the receiver answered 410 Gone"), &json!(false)));
        assert_eq!(receiver.seen().len(), 1);
        is_gone.store(false, Ordering::Release);
        assert_ne!(put(&daemon, &path, json!({ "enabled": true })).await.data()["state"], "paused");
        let is_end = |it: &Received| {
            it.json()["data"]["workflow_id"] == id.as_str() && it.json()["data"]["status"] == "Completed"
        };
        until("what was missed arrives", || async { receiver.seen().iter().any(is_end).then_some(()) }).await;
        let seen = receiver.seen();
        assert_eq!(seen[0].sequence(), seen[1].sequence(), "it goes on where it was");
        assert!(seen.iter().all(|it| it.json()["metadata"]["infra"] == "lab"), "only what was wanted");
        let metrics = daemon.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("prov_webhook_deliveries_total{outcome=\"failed\"} 1"), "{metrics}");
        assert_eq!(call(&daemon, &daemon.token, Method::DELETE, &path, Value::Null).await.status, 200);
        assert_eq!(daemon.get(&path).await.code(), "not_found");
    });
}

#[test]
fn an_encrypted_receiver_is_recognised_by_an_authority_or_told_nothing() {
    run(async {
        // Any server with a certificate will do: how it answers a POST tells that it was reached.
        let (authority, mut receiver) = (Authority::new(), Daemon::new(&[]));
        let (certificate, key) = authority.issue().write(receiver.dir.path(), "receiver");
        let (certificate, key) = (certificate.display(), key.display());
        receiver.configure(&format!("tls_certificate = \"{certificate}\"\ntls_key = \"{key}\""));
        receiver.http = trusting([authority.certificate()]).build().unwrap();
        receiver.boot().await;
        let url = format!("{}/health", receiver.orchestrator());
        let ping = async |sender: &Daemon| {
            let path = hook(sender, json!({ "url": url })).await;
            sender.post(&format!("{path}/ping"), &json!({})).await.data().clone()
        };
        let refused = ping(&daemon("").await).await;
        let error = refused["error"].as_str().unwrap();
        assert!(error.starts_with("can't connect to the receiver") && error.contains("certificate"), "{error}");
        assert_eq!(refused["response_status"], Value::Null);

        let mut knowing = Daemon::new(&[]);
        let (authorities, program) = (knowing.path("ca.pem"), knowing.path("prov"));
        fs::write(&authorities, authority.pem()).unwrap();
        let (file, prov) = (authorities.display(), knowing.program.display());
        fs::write(&program, format!("#!/bin/sh\nSSL_CERT_FILE='{file}' exec '{prov}' \"$@\"\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        knowing.program = program;
        knowing.configure("webhook_allow = [\"127.0.0.0/8\"]");
        knowing.boot().await;
        assert_eq!(ping(&knowing).await["response_status"], 405);
    });
}

#[test]
fn nobody_has_more_webhooks_than_are_allowed() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let wanted = json!({ "url": "https://localhost/" });
        for _ in 0..50 {
            assert_eq!(daemon.post("/webhooks", &wanted).await.status, 200);
        }
        let refused = daemon.post("/webhooks", &wanted).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "conflict"));
        let listed = daemon.get("/webhooks?limit=20").await;
        let next = listed.headers["link"].to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        let rest = daemon.get(&next).await;
        assert_eq!((listed.data().as_array().unwrap().len(), rest.data().as_array().unwrap().len()), (20, 20));
        assert_eq!(listed.headers["x-total-count"], "50");
    });
}
