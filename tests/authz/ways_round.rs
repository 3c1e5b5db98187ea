//! Ways round a rule, each tried by somebody who may not go it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::House;
use crate::support::{Answer, answer, run, script};

async fn policy(house: &House, name: &str, content: &str) -> Answer {
    let body = json!({ "name": name, "content": content, "enabled": true });
    house.control("Admin", Method::POST, "/policies", &body).await
}

#[test]
fn no_policy_hides_from_those_who_would_have_to_remove_it() {
    run(async {
        let house = House::open().await;
        let blind = r#"forbid (principal, action == Action::"policy_read", resource);"#;
        assert_eq!(policy(&house, "blind", blind).await.code(), "conflict");
        let ghost = r#"forbid (principal, action == Action::"policy_read", resource == Policy::"ghost");"#;
        assert_eq!(policy(&house, "ghost", ghost).await.code(), "conflict");
        let abroad = r#"forbid (principal, action == Action::"policy_manage", resource)
            unless { context.ip.isInRange(ip("10.0.0.0/8")) };"#;
        assert_eq!(policy(&house, "abroad", abroad).await.code(), "conflict", "it listens on its host alone");
    });
}

#[test]
fn the_administrator_whom_a_policy_relies_on_stays() {
    run(async {
        let house = House::open().await;
        let alone = r#"forbid (principal, action in [Action::"policy_manage", Action::"user_manage"], resource)
            unless { principal == User::"admin" || principal == User::"root" };"#;
        assert_eq!(policy(&house, "alone", alone).await.status, 200);
        let spare = json!({ "username": "spare", "roles": ["Admin"], "password": "nine kittens in a gale" });
        assert_eq!(house.control("Admin", Method::POST, "/users", &spare).await.status, 200);
        assert_eq!(house.control("Admin", Method::DELETE, "/users/admin", &json!({})).await.status, 200);
        for change in [json!({ "disabled": true }), json!({ "roles": ["Viewer"] })] {
            let refused = house.control("Admin", Method::PUT, "/users/root", &change).await;
            assert_eq!(refused.code(), "conflict", "{refused:?}");
            assert!(refused.body["error"].as_str().unwrap().contains("`alone`"), "{refused:?}");
        }
        assert_eq!(house.control("Admin", Method::DELETE, "/users/root", &json!({})).await.code(), "conflict");
        assert_eq!(house.control("Admin", Method::DELETE, "/users/spare", &json!({})).await.status, 200);
    });
}

#[test]
fn a_change_of_the_policies_that_is_stored_is_in_force_whoever_hangs_up() {
    run(async {
        let house = House::open().await;
        let address = house.daemon.control_center.strip_prefix("http://").unwrap().to_owned();
        for n in 0..20u64 {
            let content = format!(r#"forbid (principal, action == Action::"task_read", resource == Infra::"i{n}");"#);
            let body = json!({ "name": format!("p{n}"), "content": content, "enabled": true }).to_string();
            let token = &house.tokens["Admin"];
            let mut stream = TcpStream::connect(&address).unwrap();
            let head = format!(
                "POST /policies HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(1 + n))).unwrap();
            let _ = stream.read(&mut [0]);
            drop(stream);
        }
        // One change after the other: when this one is done, so are those before it.
        let last = r#"forbid (principal, action == Action::"task_read", resource == Infra::"last");"#;
        assert_eq!(policy(&house, "last", last).await.status, 200);
        let stored = house.control("Admin", Method::GET, "/policies?limit=100", &json!({})).await;
        let stored = stored.data().as_array().unwrap().clone();
        for infra in stored.iter().filter_map(|it| it["name"].as_str().unwrap().strip_prefix('p')) {
            let ask = json!({ "principal": "viewer", "action": "task_read", "resource": format!("i{infra}") });
            let verdict = house.control("Admin", Method::POST, "/policies/evaluate", &ask).await;
            assert_eq!(verdict.data()["decision"], "deny", "{infra}");
        }
    });
}

#[test]
fn to_retry_a_workflow_is_to_submit_it() {
    run(async {
        let house = House::open().await;
        let directory = house.daemon.path("ws/infra/app");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("config.yaml"), "environment: staging\nservers: []\n").unwrap();
        fs::write(directory.join("prod.yaml"), "environment: production\nservers: []\n").unwrap();
        let body = json!({ "infra": "app", "settings": "prod.yaml" });
        assert_eq!(house.post("Developer", "/workflows/servers/create", &body).await.code(), "forbidden");
        let task = house.post("Operator", "/workflows/servers/create", &body).await.data().as_str().unwrap().to_owned();
        house.post("Operator", &format!("/tasks/{task}/cancel"), &json!({})).await.data();
        house.daemon.task_ended(&task).await;
        let retry = format!("/tasks/{task}/retry");
        assert_eq!(house.post("Developer", &retry, &json!({})).await.code(), "forbidden");
        assert_eq!(house.post("Operator", &retry, &json!({})).await.status, 200);
    });
}

#[test]
fn an_api_token_gets_round_no_forbid_and_gains_nothing_by_having_less() {
    run(async {
        let house = House::open().await;
        let token = async |name: &str, role: &str| {
            let body = json!({ "name": name, "roles": [role] });
            let made = house.control("Operator", Method::POST, "/auth/tokens", &body).await;
            made.data()["token"].as_str().unwrap().to_owned()
        };
        let (developer, viewer) = (token("d", "Developer").await, token("v", "Viewer").await);
        let tasks = async |token: &str| {
            let url = format!("{}/tasks", house.daemon.orchestrator());
            answer(house.daemon.http.get(url).bearer_auth(token)).await.status.as_u16()
        };
        assert_eq!((tasks(&developer).await, tasks(&viewer).await), (200, 200));
        let forbid = r#"forbid (principal in Role::"Operator", action == Action::"task_read", resource);"#;
        assert_eq!(policy(&house, "pause", forbid).await.status, 200);
        assert_eq!((tasks(&developer).await, tasks(&viewer).await), (403, 403));
        let gift = r#"permit (principal in Role::"Viewer", action == Action::"policy_read", resource);"#;
        assert_eq!(policy(&house, "gift", gift).await.status, 200);
        let read = house.daemon.control(&viewer, Method::GET, "/policies", Value::Null).await;
        assert_eq!(read.code(), "forbidden", "its owner may not");
    });
}

#[test]
fn a_log_is_followed_no_longer_than_it_may_be_read() {
    run(async {
        let house = House::open().await;
        let task = house.task("Admin", "dev").await;
        let url = format!("{}/tasks/{task}/logs?follow=true", house.daemon.orchestrator());
        let followed = house.daemon.http.get(url).bearer_auth(&house.tokens["Viewer"]).send().await.unwrap();
        assert_eq!(followed.status(), 200);
        let mut bytes = followed.bytes_stream();
        assert_eq!(house.control("Admin", Method::DELETE, "/users/viewer", &json!({})).await.status, 200);
        // The task never starts: nothing but the loss of the right ends this.
        assert!(bytes.next().await.is_none_or(|part| part.is_err() || part.unwrap().is_empty()));
    });
}

#[test]
fn events_tell_of_nothing_that_their_reader_may_not_read() {
    run(async {
        let house = House::open().await;
        let own = house.task("Developer", "dev").await;
        let batch = json!({ "name": "dev", "infra": "dev", "operations": [script("o", "true")] });
        house.post("Admin", "/batch/execute", &batch).await.data();
        house.task("Admin", "dev").await;
        let rows = r#"forbid (principal in Role::"Developer", action in [Action::"task_read", Action::"batch_read"], resource)
            when { resource has submitted_by && resource.submitted_by != principal.username };"#;
        assert_eq!(policy(&house, "rows", rows).await.status, 200);
        let own_again = house.task("Developer", "dev").await;
        let url = format!("{}/events?since=0", house.daemon.orchestrator());
        let stream = house.daemon.http.get(url).bearer_auth(&house.tokens["Developer"]).send().await.unwrap();
        let (mut bytes, mut text) = (stream.bytes_stream(), String::new());
        while !text.contains(&own_again) {
            text.push_str(std::str::from_utf8(&bytes.next().await.unwrap().unwrap()).unwrap());
        }
        assert!(text.contains(&own), "{text}");
        assert!(!text.contains(r#""submitted_by":"root""#), "{text}");
    });
}

#[test]
fn a_new_password_from_an_administrator_ends_what_the_old_one_made() {
    run(async {
        let house = House::open().await;
        let token = &house.api_tokens["Viewer"];
        let verify =
            async || house.daemon.control(token, Method::GET, "/auth/verify", Value::Null).await.status.as_u16();
        assert_eq!(verify().await, 200);
        let change = json!({ "password": "nine kittens in a gale" });
        assert_eq!(house.control("Admin", Method::PUT, "/users/viewer", &change).await.status, 200);
        assert_eq!(verify().await, 401);
    });
}
