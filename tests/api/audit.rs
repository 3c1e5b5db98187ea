//! The audit trail of a real daemon: what is in it, what never is, and what becomes of it when somebody meddles.

use std::path::Path;

use prov::api::audit::CheckpointDocument;
use prov::audit::{Checkpoint, Head, Key, Mac};
use prov::auth::keys::SigningKey;
use prov::model::id::UserId;
use prov::model::time::Timestamp;
use prov::model::user::{Role, User};
use prov::store::record::UserRecord;
use prov::store::{Change, Store, Transaction};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ANY_PORT, Answer, Daemon, answer, command, run, script, until};

const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit_v1");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta_v1");

fn control(daemon: &Daemon, method: Method, path: &str) -> reqwest::RequestBuilder {
    daemon.http.request(method, format!("{}{path}", daemon.control_center)).bearer_auth(&daemon.token)
}

async fn get(daemon: &Daemon, path: &str) -> Answer {
    answer(control(daemon, Method::GET, path)).await
}

async fn text(daemon: &Daemon, path: &str) -> String {
    let response = control(daemon, Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

/// Entries that the query finds, newest first.
async fn entries(daemon: &Daemon, query: &str) -> Vec<Value> {
    get(daemon, &format!("/audit/logs?{query}")).await.data().as_array().unwrap().clone()
}

async fn only(daemon: &Daemon, query: &str) -> Value {
    let mut found = entries(daemon, query).await;
    assert_eq!(found.len(), 1, "{query}: {found:?}");
    found.remove(0)
}

async fn verification(daemon: &Daemon) -> Value {
    get(daemon, "/audit/verify").await.data().clone()
}

fn database(daemon: &Daemon) -> Database {
    Database::open(daemon.path("data/prov.redb")).unwrap()
}

/// Changes the stored entries of a daemon that doesn't run.
fn meddle(daemon: &Daemon, change: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>)) {
    let database = database(daemon);
    let write = database.begin_write().unwrap();
    change(&mut write.open_table(AUDIT).unwrap());
    write.commit().unwrap();
}

fn row(table: &redb::Table<'_, u64, &'static [u8]>, sequence: u64) -> Vec<u8> {
    table.get(sequence).unwrap().unwrap().value().to_vec()
}

#[test]
fn a_submission_leaves_its_entry() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let submit = daemon.request(Method::POST, "/workflows/servers/create").json(&json!({ "infra": "production" }));
        let submitted = answer(submit.header("user-agent", "a script").header("x-request-id", "req-1")).await;
        let task = submitted.data().as_str().unwrap().to_owned();
        let entry = only(&daemon, "action=workflow_servers_create").await;
        assert_eq!(entry["actor"]["username"], "admin");
        assert_eq!(entry["actor"]["roles"], json!(["Admin"]));
        assert_eq!(entry["actor"]["credential"], "session");
        assert_eq!((entry["address"].as_str(), entry["user_agent"].as_str()), (Some("127.0.0.1"), Some("a script")));
        assert_eq!(
            (entry["request_id"].as_str(), entry["resource"].as_str()),
            (Some("req-1"), Some("infra/production"))
        );
        assert_eq!(entry["decision"]["verdict"], "allowed");
        assert!(!entry["decision"]["policies"].as_array().unwrap().is_empty(), "{entry}");
        assert_eq!(entry["outcome"]["result"], "success");
        assert_eq!(entry["details"], json!({ "operation": "create", "check_mode": false, "task_id": task }));

        assert_eq!(verification(&daemon).await["verified"], true);
    });
}

#[test]
fn every_change_of_work_leaves_its_entry_and_what_changes_nothing_none() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let submitted = daemon.post("/workflows/servers/create", &json!({ "infra": "production" })).await;
        let task = submitted.data().as_str().unwrap().to_owned();
        daemon.post(&format!("/tasks/{task}/cancel"), &json!({})).await.data();
        daemon.task_ended(&task).await;
        daemon.post(&format!("/tasks/{task}/retry"), &json!({})).await.data();
        let batch = json!({ "name": "b", "infra": "staging", "operations": [script("one", "true")] });
        let id = daemon.batch(&batch).await;
        daemon.post(&format!("/batch/operations/{id}/cancel"), &json!({})).await.data();
        daemon.ended(&id).await;
        daemon.post(&format!("/batch/operations/{id}/retry"), &json!({})).await.data();
        for (action, resource) in [
            ("task_cancel", format!("task/{task}")),
            ("task_retry", format!("task/{task}")),
            ("batch_execute", "infra/staging".to_owned()),
            ("batch_cancel", format!("batch/{id}")),
            ("batch_retry", format!("batch/{id}")),
        ] {
            let entry = only(&daemon, &format!("action={action}")).await;
            assert_eq!((&entry["resource"], &entry["outcome"]["result"]), (&json!(resource), &json!("success")));
        }

        let mut plan = batch.clone();
        plan["check_mode"] = json!(true);
        daemon.post("/batch/execute", &plan).await.data();
        assert_eq!(daemon.post(&format!("/tasks/{task}/cancel"), &json!({})).await.status, 409);
        only(&daemon, "action=batch_execute").await;
        only(&daemon, "action=task_cancel").await;
        assert_eq!(verification(&daemon).await["verified"], true);
    });
}

#[test]
fn entries_are_found_by_who_what_and_when() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        for infra in ["one", "two", "two"] {
            daemon.post("/workflows/servers/create", &json!({ "infra": infra })).await.data();
        }
        daemon.login("nobody", "wrong").await;
        assert_eq!(entries(&daemon, "resource=infra").await.len(), 3);
        assert_eq!(entries(&daemon, "resource=infra/two&user_id=admin&outcome=success").await.len(), 2);
        assert_eq!(only(&daemon, "outcome=failure").await["actor"]["username"], "nobody");
        let one = only(&daemon, "resource=infra/one").await;
        let (id, at) = (one["actor"]["user"].as_str().unwrap(), one["at"].as_str().unwrap());
        assert_eq!(entries(&daemon, &format!("user_id={id}&resource=infra")).await.len(), 3);
        assert_eq!(only(&daemon, &format!("resource=infra/one&from_date={at}&to_date={at}")).await, one);
        assert_eq!(entries(&daemon, "to_date=2020-01-01").await, Vec::<Value>::new());

        let first = get(&daemon, "/audit/logs?resource=infra&limit=2").await;
        assert_eq!(first.headers["x-total-count"], "3");
        let last = first.data()[1]["sequence"].as_u64().unwrap();
        let link = first.headers["link"].to_str().unwrap();
        assert!(link.contains(&format!("after={last}>")) && link.contains("resource=infra"), "{link}");
        assert_eq!(only(&daemon, &format!("resource=infra&after={last}")).await, one);

        let wrong = get(&daemon, "/audit/logs?outcome=bad&from_date=soon&usr=admin").await;
        assert_eq!((wrong.status.as_u16(), wrong.body["details"]["problems"].as_array().unwrap().len()), (400, 3));
        assert!(!entries(&daemon, "action=audit_list").await.is_empty(), "reading is on record");
    });
}

#[test]
fn logins_are_on_record_without_what_proves_them() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let login = daemon.login("admin", &daemon.password()).await.data().clone();
        daemon.login("admin", "a-wrong-password").await;
        let refresh = |token: Value| {
            let request = daemon.http.post(format!("{}/auth/refresh", daemon.control_center));
            answer(request.json(&json!({ "refresh_token": token })))
        };
        refresh(login["refresh_token"].clone()).await.data();
        assert_eq!(refresh(login["refresh_token"].clone()).await.status, 401);
        let other = daemon.login("admin", &daemon.password()).await.data()["token"].as_str().unwrap().to_owned();
        let out = daemon.http.post(format!("{}/auth/logout", daemon.control_center)).bearer_auth(&other);
        answer(out).await.data();
        assert_eq!(entries(&daemon, "action=auth_login&outcome=success").await.len(), 3);
        assert_eq!(only(&daemon, "action=auth_login&outcome=failure").await["outcome"]["code"], "unauthenticated");
        let replay = only(&daemon, "action=auth_refresh").await;
        assert!(replay["details"]["reason"].as_str().unwrap().contains("spent"), "{replay}");
        only(&daemon, "action=auth_logout").await;
        assert_eq!(refresh(json!("never-good")).await.status, 401);
        let told = async || {
            let found = entries(&daemon, "action=auth_refresh").await;
            found.into_iter().find(|entry| entry["actor"]["username"] == "")
        };
        let unknown = until("the trail tells of a token that was never good", told).await;
        assert_eq!(unknown["outcome"]["code"], "unauthenticated");
        for _ in 0..20 {
            daemon.login("admin", "a-wrong-password").await;
        }
        let limited = entries(&daemon, "action=auth_login&outcome=failure").await;
        let told: Vec<&Value> = limited.iter().filter(|entry| entry["outcome"]["code"] == "rate_limited").collect();
        assert_eq!(told.len(), 2, "the first, and one for those like it: {told:?}");
        assert!(told[0]["details"]["repeated"].as_u64().unwrap() > 10, "{told:?}");

        let export = text(&daemon, "/audit/export").await;
        let secrets = ["a-wrong-password", &daemon.password(), &daemon.token, &other];
        for secret in secrets.iter().copied().chain(login["refresh_token"].as_str()) {
            assert!(!export.contains(secret));
        }
    });
}

#[test]
fn whoever_is_refused_is_on_record_and_a_flood_is_one_entry_more() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        daemon.terminate();
        let secret: [u8; 32] = std::fs::read(daemon.path("data/audit-key")).unwrap().try_into().unwrap();
        let store = Store::open(&daemon.path("data"), 1 << 20, Key::from_bytes(1, secret)).unwrap();
        let user = User {
            id: UserId(uuid::Uuid::now_v7()),
            username: "mallory".to_owned(),
            email: String::new(),
            roles: vec![Role::Viewer],
            created_at: Timestamp::now(),
        };
        let password_hash = prov::auth::password::hash("a password").unwrap();
        let put = Change::PutUser(Box::new(UserRecord::new(user, password_hash)));
        store.commit(Transaction::of(vec![put])).await.unwrap();
        drop(store);
        daemon.boot().await;
        let admin = daemon.token.clone();
        let mallory = daemon.login("mallory", "a password").await;
        mallory.data()["token"].as_str().unwrap().clone_into(&mut daemon.token);
        for _ in 0..50 {
            let refused = daemon.post("/workflows/servers/create", &json!({ "infra": "production" })).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden"));
        }
        assert_eq!(get(&daemon, "/audit/logs").await.status, 403);
        daemon.token = admin;
        let found = until("the refusals are on disk", || async {
            let found = entries(&daemon, "user_id=mallory&outcome=denied").await;
            (found.len() == 3).then_some(found)
        });
        let found = found.await;
        let told = found.iter().find(|entry| entry["details"]["repeated"] == 49);
        assert!(told.is_some_and(|entry| entry["action"] == "workflow_servers_create"), "{found:?}");
        assert!(found.iter().all(|entry| entry["decision"]["verdict"] == "denied"), "{found:?}");
    });
}

#[test]
fn names_from_outside_forge_no_lines_and_no_formulas() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        daemon.login("x\n{\"entry\":{\"sequence\":1}}\r\n\u{1b}[2J", "wrong").await;
        daemon.login("=HYPERLINK(\"http://example.org\")", "wrong").await;
        daemon.login("Correct horse battery staple", "").await;
        let export = text(&daemon, "/audit/export").await;
        let total = verification(&daemon).await["entries"].as_u64().unwrap();
        let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(line["entry"]["sequence"].as_u64(), Some(index as u64 + 1));
        }
        assert!(lines.len() as u64 <= total);
        assert!(!export.contains('\u{1b}') && !export.contains("\\u001b"), "{export}");
        let csv = text(&daemon, "/audit/export?format=csv&outcome=failure").await;
        assert_eq!(csv.matches(",not a user name,").count(), 3, "{csv}");
        let export = export.to_lowercase() + &csv.to_lowercase();
        assert!(!export.contains("hyperlink") && !export.contains("horse"), "what can't be a name may be a password");
        let json: Value = serde_json::from_str(&text(&daemon, "/audit/export?format=json").await).unwrap();
        assert!(json.as_array().unwrap().len() > lines.len());
        for format in ["ecs", "splunk"] {
            let lines = text(&daemon, &format!("/audit/export?format={format}&action=auth_login")).await;
            assert_eq!(lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 4, "{lines}");
        }
    });
}

#[test]
fn whatever_is_done_to_the_stored_trail_is_found() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        for n in 0..4 {
            daemon.login(&format!("nobody-{n}"), "wrong").await;
        }
        let failed = entries(&daemon, "action=auth_login&outcome=failure").await;
        let at = failed.last().unwrap()["sequence"].as_u64().unwrap();
        let sound = verification(&daemon).await;
        assert_eq!(sound["verified"], true, "{sound}");
        daemon.terminate();

        let mut good = Vec::new();
        meddle(&daemon, |table| {
            good = row(table, at);
            let mut bytes = good.clone();
            bytes[40] ^= 1;
            table.insert(at, &bytes[..]).unwrap();
        });
        daemon.boot().await;
        let found = verification(&daemon).await;
        assert_eq!((found["verified"].as_bool(), found["first_broken"]["sequence"].as_u64()), (Some(false), Some(at)));
        daemon.terminate();

        meddle(&daemon, |table| {
            let text = String::from_utf8(good[5..].to_vec()).unwrap().replace("failure", "success");
            let mut bytes = vec![1];
            bytes.extend(crc32fast::hash(text.as_bytes()).to_le_bytes());
            bytes.extend(text.into_bytes());
            assert_ne!(bytes, good);
            table.insert(at, &bytes[..]).unwrap();
        });
        daemon.boot().await;
        let found = verification(&daemon).await;
        assert_eq!(found["first_broken"]["sequence"].as_u64(), Some(at), "{found}");
        daemon.terminate();

        meddle(&daemon, |table| drop(table.remove(at).unwrap()));
        daemon.boot().await;
        let found = verification(&daemon).await;
        assert_eq!(found["first_broken"]["sequence"].as_u64(), Some(at));
        assert!(found["first_broken"]["what"].as_str().unwrap().contains("missing"), "{found}");
        daemon.terminate();

        meddle(&daemon, |table| {
            let next = row(table, at + 1);
            table.insert(at, &next[..]).unwrap();
            table.insert(at + 1, &good[..]).unwrap();
        });
        daemon.boot().await;
        let found = verification(&daemon).await;
        assert_eq!(found["first_broken"]["sequence"].as_u64(), Some(at), "{found}");
        daemon.terminate();

        let mut cut = 0;
        meddle(&daemon, |table| {
            let (third, fourth) = (row(table, at + 1), row(table, at));
            table.insert(at, &third[..]).unwrap();
            table.insert(at + 1, &fourth[..]).unwrap();
            cut = table.last().unwrap().unwrap().0.value();
            drop(table.remove(cut).unwrap());
        });
        daemon.boot().await;
        let found = verification(&daemon).await;
        assert_eq!(found["first_broken"]["sequence"].as_u64(), Some(cut), "the tail was cut: {found}");
    });
}

#[test]
fn a_checkpoint_is_signed_and_kept() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        assert_eq!(get(&daemon, "/audit/checkpoints").await.status, 404);
        let made = answer(control(&daemon, Method::POST, "/audit/checkpoints").json(&json!({}))).await.data().clone();
        assert_eq!(*get(&daemon, "/audit/checkpoints").await.data(), made);
        let verify = |document: &Value| {
            let request = control(&daemon, Method::GET, "/audit/verify");
            answer(request.query(&[("checkpoint", document.to_string())]))
        };
        let found = verify(&made).await.data().clone();
        assert_eq!((found["verified"].as_bool(), found["checkpoints"].as_u64()), (Some(true), Some(2)));
        let mut forged = made.clone();
        forged["sequence"] = json!(1);
        assert_eq!(verify(&forged).await.status, 400);

        // Anybody can sign what contradicts the trail.
        let stranger = SigningKey::generate(Timestamp(0)).unwrap();
        let head = Head { sequence: 1, mac: Mac([7; 32]), key: 1 };
        let lie = Checkpoint { head, first: 1, at: Timestamp(0) };
        let signed = lie.sign(stranger.kid(), |message| stranger.sign(message));
        let refused = verify(&json!(CheckpointDocument::new(signed, stranger.public_key()))).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"));
        assert!(refused.body["error"].as_str().unwrap().contains(stranger.kid()), "{refused:?}");
        assert!(!daemon.log().contains("\"level\":\"error\""), "{}", daemon.log());
    });
}

#[test]
fn a_checkpoint_outlives_the_key_that_signed_it() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let made = answer(control(&daemon, Method::POST, "/audit/checkpoints").json(&json!({}))).await.data().clone();
        daemon.terminate();
        std::fs::remove_dir_all(daemon.path("data/keys")).unwrap();
        daemon.boot().await;
        let request = control(&daemon, Method::GET, "/audit/verify");
        let found = answer(request.query(&[("checkpoint", made.to_string())])).await.data().clone();
        assert_eq!((found["verified"].as_bool(), found["checkpoints"].as_u64()), (Some(true), Some(2)));
    });
}

/// The number of commits that the store of a daemon that doesn't run has seen.
fn commits(data: &Path) -> u64 {
    let database = Database::open(data.join("prov.redb")).unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    u64::from_be_bytes(meta.get("commits").unwrap().unwrap().value().try_into().unwrap())
}

#[test]
fn a_submission_is_one_commit_with_its_entry() {
    run(async {
        let mut daemon = Daemon::start(&["--max-parallel", "0"]).await;
        daemon.terminate();
        let mut counts = vec![commits(&daemon.path("data"))];
        for submissions in [0, 1] {
            daemon.boot().await;
            for _ in 0..submissions {
                daemon.post("/workflows/servers/create", &json!({ "infra": "one" })).await.data();
            }
            daemon.kill();
            counts.push(commits(&daemon.path("data")));
        }
        assert_eq!(counts[2] - counts[1], counts[1] - counts[0] + 1, "{counts:?}");
    });
}

#[test]
fn what_was_acknowledged_before_a_kill_is_on_record_without_a_gap() {
    run(async {
        let mut daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let mut tasks = Vec::new();
        for _ in 0..3 {
            for infra in ["one", "two", "three"] {
                let answer = daemon.post("/workflows/servers/create", &json!({ "infra": infra })).await;
                tasks.push(answer.data().as_str().unwrap().to_owned());
            }
            daemon.kill();
            daemon.boot().await;
            let found = entries(&daemon, "action=workflow_servers_create&limit=1000").await;
            let told: Vec<&str> = found.iter().rev().map(|e| e["details"]["task_id"].as_str().unwrap()).collect();
            assert_eq!(told, tasks);
            assert_eq!(verification(&daemon).await["verified"], true);
        }
    });
}

#[test]
fn a_trail_without_its_key_keeps_the_daemon_from_starting() {
    use std::os::unix::fs::PermissionsExt;
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        daemon.terminate();
        let path = daemon.path("data/audit-key");
        let key = std::fs::read(&path).unwrap();
        let refuses = |told: &str| {
            let refused = command(&daemon.path("ws"), &daemon.path("data"), ANY_PORT).output();
            let output = refused.unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(told) && text.contains("hint: ") && !text.contains("remove"), "{text}");
        };
        std::fs::write(&path, "short").unwrap();
        refuses("is damaged");
        std::fs::remove_file(&path).unwrap();
        refuses("is missing");
        assert!(!path.exists(), "no other key is made");
        std::fs::write(&path, key).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        refuses("chmod 600");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        daemon.boot().await;
        assert_eq!(verification(&daemon).await["verified"], true);
    });
}
