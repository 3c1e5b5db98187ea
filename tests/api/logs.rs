//! The daemon's own log: reading along, and how much there is of it.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::sockets::Socket;
use crate::support::{Answer, Daemon, answer, run, script};

/// Lines as they come.
struct Lines {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>>>>,
    buffer: String,
}

impl Lines {
    async fn open(daemon: &Daemon, query: &str) -> Self {
        let response = daemon.request(Method::GET, &format!("/logs{query}")).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/jsonl".parse().unwrap())
        );
        Self { bytes: Box::pin(response.bytes_stream()), buffer: String::new() }
    }

    /// The next line; none when the answer ends.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((line, rest)) = self.buffer.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.buffer = rest;
                if !line.is_empty() {
                    return Some(serde_json::from_str(&line).unwrap());
                }
            }
            let bytes = self.bytes.next().await?.ok()?;
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn all(daemon: &Daemon, query: &str) -> Vec<Value> {
        let (mut lines, mut all) = (Self::open(daemon, query).await, Vec::new());
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }
}

async fn levels(daemon: &Daemon, change: Value) -> Answer {
    answer(daemon.request(Method::PUT, "/logs/levels").json(&change)).await
}

/// A request that is told in the log where the server logs much.
async fn ask(daemon: &Daemon, id: &str) {
    let asked = daemon.request(Method::GET, "/tasks").header("x-request-id", id).send().await.unwrap();
    assert_eq!(asked.status(), 200);
}

#[test]
fn a_level_counts_at_once_and_its_change_is_on_record() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let now = daemon.get("/logs/levels").await;
        assert_eq!((&now.data()["default"], &now.data()["components"]["server"]), (&json!("warn"), &json!("warn")));
        ask(&daemon, "before").await;
        let changed = levels(&daemon, json!({ "components": { "server": "debug" } })).await;
        assert_eq!(changed.data()["components"]["server"], "debug");
        assert_eq!(changed.data()["components"]["store"], "warn");
        ask(&daemon, "within").await;
        let changed = levels(&daemon, json!({ "components": { "server": null } })).await;
        assert_eq!(changed.data()["components"]["server"], "warn");
        ask(&daemon, "after").await;
        let lines = Lines::all(&daemon, "").await;
        let of = |id: &str| lines.iter().filter(|line| line["request_id"] == id).cloned().collect::<Vec<Value>>();
        assert_eq!((of("before"), of("after")), (vec![], vec![]));
        let [line] = of("within").try_into().unwrap();
        assert_eq!((&line["component"], &line["level"]), (&json!("server"), &json!("debug")));
        assert_eq!((&line["fields"]["path"], &line["fields"]["status"]), (&json!("/tasks"), &json!(200)));
        assert!(daemon.log().lines().any(|written| serde_json::from_str(written).is_ok_and(|it: Value| it == line)));

        let audit =
            daemon.control(&daemon.token, Method::GET, "/audit/logs?action=log_levels_update", Value::Null).await;
        let entries = audit.data().as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1]["details"]["levels"], json!({ "components": { "server": "debug" } }));
        // A line about a task or a batch names it.
        levels(&daemon, json!({ "default": "debug" })).await.data();
        let id = daemon.batch(&json!({ "name": "b", "infra": "lab", "operations": [script("o", "true")] })).await;
        daemon.ended(&id).await;
        let lines = Lines::all(&daemon, &format!("?search=work_id={id}")).await;
        let of = |component: &str| lines.iter().any(|line| line["component"] == component && line["work_id"] == *id);
        assert!(of("server") && of("scheduler"), "{lines:?}");
        assert!(lines.iter().any(|line| line["component"] == "scheduler" && line["task_id"].is_string()), "{lines:?}");
        for wrong in [json!({ "components": { "stor": "debug" } }), json!({ "default": "loud" }), json!({ "level": 1 })]
        {
            assert_eq!(levels(&daemon, wrong).await.code(), "invalid_request");
        }
    });
}

#[test]
fn lines_are_found_and_followed_over_a_stream_and_a_socket() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        levels(&daemon, json!({ "components": { "server": "debug" } })).await.data();
        for id in ["one", "two", "three"] {
            ask(&daemon, id).await;
        }
        let found = Lines::all(&daemon, "?search=TWO&component=server&level=debug").await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["request_id"], "two");
        assert!(Lines::all(&daemon, "?search=two&level=warn").await.is_empty());
        let last = Lines::all(&daemon, "?component=server&tail=2").await;
        assert_eq!(last.len(), 2);

        let mut followed = Lines::open(&daemon, "?follow=true&component=server&search=/tasks").await;
        let (mut socket, _) = Socket::greeted(&daemon, "/logs?component=server&search=/tasks&tail=0").await;
        for id in ["one", "two", "three"] {
            assert_eq!(followed.next().await.unwrap()["request_id"], id, "what is kept comes first");
        }
        ask(&daemon, "four").await;
        let line = followed.next().await.unwrap();
        assert_eq!(line["request_id"], "four");
        assert_eq!(socket.next().await.json(), line);
        let since = format!("?search=/tasks&since={}", found[0]["sequence"]);
        let rest = Lines::all(&daemon, &since).await;
        assert_eq!(
            rest.iter().map(|line| line["request_id"].clone()).collect::<Vec<_>>(),
            [json!("three"), json!("four")]
        );

        socket.say(&json!({ "type": "subscribe", "events": ["task"] })).await;
        assert_eq!(socket.next().await.json()["code"], "conflict");
        daemon.control(&daemon.token, Method::POST, "/auth/logout", json!({})).await.data();
        let ended = followed.next().await.unwrap();
        assert_eq!((&ended["type"], &ended["code"]), (&json!("error"), &json!("unauthenticated")));
        assert!(followed.next().await.is_none());
        assert_eq!(socket.closed().await, 4401);
    });
}
