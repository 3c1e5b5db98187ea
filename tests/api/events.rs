//! Following what happens: everything, once, in order, whoever is cut off.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Daemon, run, script};

/// A stream of server-sent events as it comes.
struct Followed {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>>>>,
    buffer: String,
}

impl Followed {
    async fn open(daemon: &Daemon, token: &str, query: &str) -> Self {
        let url = format!("{}/events{query}", daemon.orchestrator());
        let response = daemon.http.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: Box::pin(response.bytes_stream()), buffer: String::new() }
    }

    /// The next event's name and data; none when the stream ends.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
                };
                let found = field("event:").zip(field("data:"));
                let rest = rest.to_owned();
                self.buffer = rest;
                if let Some((name, data)) = found {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
            }
            let bytes = self.bytes.next().await?.ok()?;
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// Frames up to the end of a workflow or batch.
    async fn until_ended(&mut self, id: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let (_, frame) = self.next().await.unwrap();
            let is_end = frame["event_type"] == "WorkflowProgressUpdate"
                && frame["data"]["workflow_id"] == id
                && !["Pending", "Running", "RollingBack"].contains(&frame["data"]["status"].as_str().unwrap());
            frames.push(frame);
            if is_end {
                return frames;
            }
        }
    }
}

fn chain(name: &str, last: &str) -> Value {
    let mut operations: Vec<Value> = ["a", "b", "c"].map(|id| script(id, "true")).to_vec();
    operations[2] = script("c", last);
    operations[1]["dependencies"] = json!(["a"]);
    operations[2]["dependencies"] = json!(["b"]);
    json!({ "name": name, "infra": "lab", "operations": operations })
}

fn sequence(frame: &Value) -> u64 {
    frame["sequence"].as_u64().unwrap()
}

#[test]
fn a_batch_is_told_from_beginning_to_end() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let mut stream = Followed::open(&daemon, &daemon.token, "").await;
        let id = daemon.batch(&chain("b", "exit 3")).await;
        let frames = stream.until_ended(&id).await;
        let told = |kind: &str, field: &str| -> Vec<String> {
            let of_kind = frames.iter().filter(|frame| frame["event_type"] == kind);
            of_kind
                .map(|frame| format!("{} {}", frame["data"][field], frame["data"]["status"]).replace('"', ""))
                .collect()
        };
        let operations = told("BatchOperationUpdate", "operation_id");
        assert_eq!(operations[..6], ["a Running", "a Completed", "b Running", "b Completed", "c Running", "c Failed"]);
        let whole: Vec<String> = told("WorkflowProgressUpdate", "completed_steps");
        assert_eq!(whole.first().unwrap(), "0 Pending");
        assert!(whole.contains(&"2 Running".to_owned()), "{whole:?}");
        let failed = frames.iter().find(|frame| frame["data"]["status"] == "Failed").unwrap();
        assert!(failed["data"]["error"].as_str().unwrap().contains('3'), "{failed}");
        assert_eq!(failed["metadata"], json!({ "infra": "lab", "submitted_by": "admin" }));
        let tasks = frames.iter().filter(|frame| frame["event_type"] == "TaskStatusChanged");
        for frame in tasks {
            let (status, before) = (&frame["data"]["status"], &frame["data"]["previous_status"]);
            assert_eq!(*before == Value::Null, *status == "Pending", "{frame}");
        }
        assert!(frames.windows(2).all(|pair| sequence(&pair[0]) < sequence(&pair[1])));
        assert!(daemon.terminate().success(), "nobody who follows keeps a daemon from ending");
        assert!(stream.next().await.is_none_or(|(name, _)| name == "error"));
    });
}

#[test]
fn whoever_is_cut_off_anywhere_misses_nothing_and_gets_nothing_twice_even_after_a_restart() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let one = daemon.batch(&chain("one", "exit 1")).await;
        daemon.ended(&one).await;
        daemon.post(&format!("/batch/operations/{one}/retry"), &json!({})).await.data();
        daemon.ended(&one).await;
        let two = daemon.batch(&chain("two", "true")).await;
        daemon.ended(&two).await;
        let all = Followed::open(&daemon, &daemon.token, "?events=task,batch&since=0").await.until_ended(&two).await;
        assert!(all.len() > 20, "{}", all.len());
        daemon.kill();
        daemon.boot().await;
        for cut in 0..all.len() - 1 {
            let since = sequence(&all[cut]);
            let mut rest = Followed::open(&daemon, &daemon.token, &format!("?events=task,batch&since={since}")).await;
            assert_eq!(rest.until_ended(&two).await, all[cut + 1..], "after {since}");
        }
        let url = format!("{}/events?events=task,batch", daemon.orchestrator());
        let resumed = daemon.http.get(&url).bearer_auth(&daemon.token).header("last-event-id", sequence(&all[3]));
        let bytes = Box::pin(resumed.send().await.unwrap().bytes_stream());
        let mut resumed = Followed { bytes, buffer: String::new() };
        assert_eq!(resumed.next().await.unwrap().1, all[4]);
        let wrong = daemon.http.get(&url).bearer_auth(&daemon.token).header("last-event-id", "x");
        assert_eq!(wrong.send().await.unwrap().status(), 400);
        let ahead = daemon.http.get(&url).bearer_auth(&daemon.token).header("last-event-id", 1_000_000_000);
        assert_eq!(ahead.send().await.unwrap().status(), 400, "it would hear nothing for long");
        let ahead = daemon.get("/events?since=1000000000").await;
        assert_eq!(ahead.code(), "invalid_request");
        let last = ahead.body["error"].as_str().and_then(|text| text.split_once("at most ")).unwrap().1;
        let last: u64 = last.split(',').next().unwrap().parse().unwrap();
        assert!(last >= sequence(all.last().unwrap()) && last < 1_000_000_000, "{last}");
        assert_eq!(daemon.get(&format!("/events?since={}", last + 1)).await.code(), "invalid_request");
        let mut at_the_end = Followed::open(&daemon, &daemon.token, &format!("?events=batch&since={last}")).await;
        let three = daemon.batch(&chain("three", "true")).await;
        assert!(sequence(&at_the_end.until_ended(&three).await[0]) > last);
        assert_eq!(daemon.get("/events?since=x").await.code(), "invalid_request");
        assert_eq!(daemon.get("/events?events=tasks").await.code(), "invalid_request");
    });
}

#[test]
fn everybody_is_told_what_they_want_and_may_read() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let good = "plum-orbit-canvas-thirteen";
        let user = json!({ "username": "dev", "roles": ["Developer"], "password": good });
        daemon.control(&daemon.token, Method::POST, "/users", user).await.data();
        let dev = daemon.login("dev", good).await.data()["token"].as_str().unwrap().to_owned();
        let mut seen = Followed::open(&daemon, &dev, "?events=batch").await;
        let batch = |infra: &str| {
            let mut batch = chain("b", "true");
            batch["infra"] = json!(infra);
            batch
        };
        let hidden = daemon.batch(&batch("production")).await;
        daemon.ended(&hidden).await;
        let shown = daemon.batch(&batch("staging")).await;
        let frames = seen.until_ended(&shown).await;
        assert!(frames.iter().all(|frame| frame["metadata"]["infra"] == "staging"), "{frames:?}");
        assert!(frames.iter().all(|frame| frame["event_type"] != "TaskStatusChanged"));
        let mut only = Followed::open(&daemon, &daemon.token, &format!("?since=0&work={hidden}")).await;
        let frames = only.until_ended(&hidden).await;
        assert!(frames.iter().all(|frame| frame["metadata"]["infra"] == "production"));

        let ended = daemon.control(&dev, Method::POST, "/auth/logout", json!({})).await;
        assert_eq!(ended.status, 200);
        let (name, failure) = seen.next().await.unwrap();
        assert_eq!((name.as_str(), &failure["code"]), ("error", &json!("unauthenticated")));
        assert!(seen.next().await.is_none(), "the stream is over");
    });
}
