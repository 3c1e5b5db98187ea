//! WebSockets: who is let in, what they are told, and how it ends.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use reqwest::Method;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::support::certificates::Authority;
use crate::support::sockets::{Said, Socket, answered, connect};
use crate::support::{Daemon, run, script, trusting, until};

const PASSWORD: &str = "plum-orbit-canvas-thirteen";

/// A batch of a few operations, one after another.
fn chain(infra: &str, last: &str) -> Value {
    let mut operations = [script("a", "true"), script("b", "true"), script("c", last)];
    operations[1]["dependencies"] = json!(["a"]);
    operations[2]["dependencies"] = json!(["b"]);
    json!({ "name": "chain", "infra": infra, "operations": operations })
}

fn sequence(frame: &Value) -> u64 {
    frame["sequence"].as_u64().unwrap_or_else(|| panic!("{frame}"))
}

fn is_end(frame: &Value, id: &str) -> bool {
    frame["event_type"] == "WorkflowProgressUpdate"
        && frame["data"]["workflow_id"] == id
        && !["Pending", "Running", "RollingBack"].contains(&frame["data"]["status"].as_str().unwrap())
}

/// The frames of a message.
fn frames(message: &Value) -> Vec<Value> {
    message.as_array().cloned().unwrap_or_else(|| vec![message.clone()])
}

/// Frames up to the end of a batch.
async fn until_ended(socket: &mut Socket, id: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        all.extend(frames(&socket.next().await.json()));
        if all.iter().any(|frame| is_end(frame, id)) {
            return all;
        }
    }
}

/// A user, logged in.
async fn user(daemon: &Daemon, name: &str, role: &str) -> String {
    let user = json!({ "username": name, "roles": [role], "password": PASSWORD });
    daemon.control(&daemon.token, Method::POST, "/users", user).await.data();
    daemon.login(name, PASSWORD).await.data()["token"].as_str().unwrap().to_owned()
}

async fn api_token(daemon: &Daemon) -> String {
    let made = daemon.control(&daemon.token, Method::POST, "/auth/tokens", json!({ "name": "script" })).await;
    made.data()["token"].as_str().unwrap().to_owned()
}

async fn levels(daemon: &Daemon, levels: &Value) {
    let answer = crate::support::answer(daemon.request(Method::PUT, "/logs/levels").json(levels)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_token_lets_in_three_ways_and_is_written_nowhere() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("websockets_per_user = 100");
        daemon.boot().await;
        levels(&daemon, &json!({ "default": "trace" })).await;
        let script = api_token(&daemon).await;
        let wrong = format!("{}x", daemon.token);
        for token in [daemon.token.clone(), script.clone()] {
            let mut in_query = Socket::open(&daemon, &format!("/ws?token={token}")).await;
            assert_eq!(in_query.next().await.json()["type"], "hello");
            let mut in_header = Socket::try_over(connect(&daemon, None).await, "/ws", Some(&token)).await.unwrap();
            assert_eq!(in_header.next().await.json()["type"], "hello");
            let mut in_frame = Socket::open(&daemon, "/ws").await;
            in_frame.say(&json!({ "type": "auth", "token": token })).await;
            let hello = in_frame.next().await.json();
            assert!(hello["sequence"].is_u64() && hello["expires_at"].is_string(), "{hello}");
            let twice = format!("/ws?token={token}");
            assert_eq!(Socket::try_over(connect(&daemon, None).await, &twice, Some(&token)).await.err(), Some(400));
        }
        let mut refused = vec![Socket::open(&daemon, &format!("/ws?token={wrong}")).await];
        refused.push(Socket::try_over(connect(&daemon, None).await, "/ws", Some(&wrong)).await.unwrap());
        for frame in [json!({ "type": "auth", "token": wrong }), json!({ "type": "ping" }), json!("what?")] {
            let mut socket = Socket::open(&daemon, "/ws").await;
            socket.say(&frame).await;
            refused.push(socket);
        }
        // Whoever says nothing is not waited for for ever.
        refused.push(Socket::open(&daemon, "/ws").await);
        for mut socket in refused {
            let error = socket.next().await.json();
            assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unauthenticated")), "{error}");
            let Said::Closed(code, reason) = socket.next().await else { panic!("it stays open") };
            assert_eq!((code, reason.is_empty()), (4401, false));
        }
        let plain = |path: String| daemon.http.get(format!("{}{path}", daemon.orchestrator()));
        assert_eq!(plain("/ws".to_owned()).send().await.unwrap().status(), 401);
        let upgrade = plain("/ws".to_owned()).bearer_auth(&daemon.token).send().await.unwrap();
        assert_eq!((upgrade.status().as_u16(), &upgrade.headers()["upgrade"]), (426, &"websocket".parse().unwrap()));
        for path in ["/ws", "/metrics", "/logs"] {
            let in_query = plain(format!("{path}?token={script}"));
            let answer = crate::support::answer(in_query.bearer_auth(&daemon.token)).await;
            assert_eq!(answer.code(), "invalid_request");
            assert!(!answer.body.to_string().contains(&script));
        }
        for path in [format!("/ws/{script}"), format!("/tasks/{script}")] {
            assert!(plain(path).bearer_auth(&daemon.token).send().await.unwrap().status().is_client_error());
        }
        let audit = daemon.control(&daemon.token, Method::GET, "/audit/logs?limit=1000", Value::Null).await;
        let metrics = plain("/metrics".to_owned()).bearer_auth(&daemon.token).send().await.unwrap();
        let kept = plain("/logs".to_owned()).bearer_auth(&daemon.token).send().await.unwrap();
        let kept = kept.text().await.unwrap();
        assert!(kept.contains("answered") && daemon.log().contains("answered"), "the log is as talkative as can be");
        let written = [audit.body.to_string(), metrics.text().await.unwrap(), kept, daemon.log()].concat();
        for token in [&daemon.token, &script, &wrong] {
            assert!(!written.contains(token.as_str()));
        }
    });
}

#[test]
fn what_a_socket_says_is_what_the_stream_says_however_often_it_is_cut() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        for last in ["exit 1", "true"] {
            let id = daemon.batch(&chain("lab", last)).await;
            daemon.ended(&id).await;
        }
        let last = daemon.batch(&chain("lab", "true")).await;
        daemon.ended(&last).await;
        let expected = followed(&daemon, "?since=0&events=task,batch", &last).await;
        assert!(expected.len() > 30, "{}", expected.len());
        let mut dice = 7_u64;
        let mut throw = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for _ in 0..12 {
            let (mut seen, mut since) = (Vec::new(), 0);
            while seen.last().is_none_or(|frame| !is_end(frame, &last)) {
                let (size, compression) = (1 + throw(7), throw(2) == 1);
                let target = format!(
                    "/ws?since={since}&events=task,batch&batch_size={size}&compression={compression}&token={}",
                    daemon.token
                );
                let mut socket = Socket::open(&daemon, &target).await;
                assert_eq!(socket.next().await.json()["sequence"], since);
                for _ in 0..=throw(4) {
                    let said = socket.next().await;
                    assert_eq!(matches!(said, Said::Binary(_)), compression);
                    let message = said.json();
                    assert_eq!(message.is_array(), size > 1, "{message}");
                    let mut frames = frames(&message);
                    assert!((1..=size).contains(&(frames.len() as u64)));
                    seen.append(&mut frames);
                    since = seen.last().map_or(since, sequence);
                    if seen.last().is_some_and(|frame| is_end(frame, &last)) {
                        break;
                    }
                }
            }
            assert_eq!(seen, expected);
        }
    });
}

/// What `GET /events` says up to the end of a batch.
async fn followed(daemon: &Daemon, query: &str, last: &str) -> Vec<Value> {
    let response = daemon.request(Method::GET, &format!("/events{query}")).send().await.unwrap();
    let mut bytes: Pin<Box<dyn Stream<Item = _>>> = Box::pin(response.bytes_stream());
    let (mut text, mut frames) = (String::new(), Vec::new());
    loop {
        while let Some((event, rest)) = text.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
            text = rest.to_owned();
            frames.extend(data.map(|data| serde_json::from_str::<Value>(&data).unwrap()));
            if frames.last().is_some_and(|frame| is_end(frame, last)) {
                return frames;
            }
        }
        text.push_str(std::str::from_utf8(&bytes.next().await.unwrap().unwrap()).unwrap());
    }
}

#[test]
fn a_client_says_what_it_wants_and_is_told_what_was_wrong() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let (mut socket, hello) = Socket::greeted(&daemon, "/ws?events=task").await;
        socket.say(&json!({ "type": "ping" })).await;
        let pong = socket.next().await.json();
        assert_eq!(pong, json!({ "type": "pong", "sequence": hello["sequence"] }));
        let first = daemon.batch(&chain("lab", "true")).await;
        daemon.ended(&first).await;
        socket.say(&json!({ "type": "subscribe", "events": ["batch"] })).await;
        let (subscribed, before) = socket.notice("subscribed").await;
        assert_eq!(subscribed["events"], json!(["task", "batch"]));
        let before: Vec<Value> = before.iter().flat_map(frames).collect();
        assert!(before.iter().all(|frame| frame["event_type"] == "TaskStatusChanged"), "{before:?}");
        let second = daemon.batch(&chain("lab", "true")).await;
        let told = until_ended(&mut socket, &second).await;
        assert!(told.iter().any(|frame| frame["event_type"] == "BatchOperationUpdate"));
        socket.say(&json!({ "type": "unsubscribe", "events": ["task"] })).await;
        socket.notice("subscribed").await;
        let third = daemon.batch(&chain("lab", "true")).await;
        let told = until_ended(&mut socket, &third).await;
        assert!(told.iter().all(|frame| frame["event_type"] != "TaskStatusChanged"), "{told:?}");

        let wrong = [
            Message::Text("{".into()),
            Message::Text("{\"type\":\"subscrib\"}".into()),
            Message::Text("{\"type\":\"subscribe\",\"events\":[\"tasks\"]}".into()),
            Message::Binary(vec![1].into()),
        ];
        for frame in wrong.iter().cycle().take(9) {
            socket.raw(frame.clone()).await;
            let error = socket.next().await.json();
            assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("invalid_request")), "{error}");
        }
        socket.say(&json!({ "type": "ping" })).await;
        assert_eq!(socket.next().await.json()["type"], "pong", "the connection goes on");
        socket.raw(wrong[0].clone()).await;
        assert_eq!(socket.closed().await, 1008);

        let (mut large, _) = Socket::greeted(&daemon, "/ws").await;
        large.say(&json!({ "type": "auth", "token": "x".repeat(20_000) })).await;
        assert_eq!(large.closed().await, 1009);
        for query in ["batch_size=0", "batch_size=1001", "compression=yes", "events=tasks", "unheard_of=1"] {
            let target = format!("/ws?{query}");
            let refused = Socket::try_over(connect(&daemon, None).await, &target, Some(&daemon.token)).await;
            assert_eq!(refused.err(), Some(400), "{query}");
        }
        let mut ahead = Socket::open(&daemon, &format!("/ws?since=1000000000&token={}", daemon.token)).await;
        let error = ahead.next().await.json();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("invalid_request")), "{error}");
        assert_eq!(ahead.closed().await, 1008);
    });
}

#[test]
fn everybody_is_told_what_they_may_know_for_as_long_as_they_may() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let dev = user(&daemon, "dev", "Developer").await;
        let mut socket = Socket::open(&daemon, &format!("/ws?events=task,batch&token={dev}")).await;
        socket.next().await;
        let hidden = daemon.batch(&chain("production", "true")).await;
        daemon.ended(&hidden).await;
        let shown = daemon.batch(&chain("staging", "true")).await;
        let told = until_ended(&mut socket, &shown).await;
        assert!(told.iter().all(|frame| frame["metadata"]["infra"] == "staging"), "{told:?}");

        // Another token of theirs keeps the connection when the first is gone; one of somebody else is refused.
        let newer = daemon.login("dev", PASSWORD).await.data()["token"].as_str().unwrap().to_owned();
        socket.say(&json!({ "type": "auth", "token": daemon.token })).await;
        assert_eq!(socket.next().await.json()["code"], "forbidden");
        socket.say(&json!({ "type": "auth", "token": newer })).await;
        assert_eq!(socket.next().await.json()["type"], "hello");
        daemon.control(&dev, Method::POST, "/auth/logout", json!({})).await.data();
        let again = daemon.batch(&chain("staging", "true")).await;
        until_ended(&mut socket, &again).await;
        daemon.control(&newer, Method::POST, "/auth/logout", json!({})).await.data();
        assert_eq!(socket.closed().await, 4401, "a session that is over ends what it opened");

        let viewer = user(&daemon, "vera", "Viewer").await;
        let mut socket = Socket::open(&daemon, &format!("/ws?token={viewer}")).await;
        socket.next().await;
        let forbid =
            "forbid (principal, action == Action::\"event_read\", resource) when { principal.username == \"vera\" };";
        let policy = json!({ "name": "no-events", "content": forbid });
        let made = daemon.control(&daemon.token, Method::POST, "/policies", policy).await;
        assert_eq!(made.status, 200, "{made:?}");
        assert_eq!(socket.closed().await, 4403, "a right that is gone ends what it was for");
        let mut refused = Socket::open(&daemon, &format!("/ws?token={viewer}")).await;
        assert_eq!(refused.next().await.json()["code"], "forbidden");
        assert_eq!(refused.closed().await, 4403);
    });
}

#[test]
fn so_many_connections_and_no_more() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("websockets_per_user = 2\nstreams_per_user = 1");
        daemon.boot().await;
        let mut open = vec![Socket::greeted(&daemon, "/ws").await.0, Socket::greeted(&daemon, "/metrics").await.0];
        let script = api_token(&daemon).await;
        let mut more = Socket::open(&daemon, &format!("/ws?token={script}")).await;
        let error = more.next().await.json();
        assert_eq!(error["code"], "rate_limited");
        assert!(error["error"].as_str().unwrap().contains("you have 2 WebSockets open"), "{error}");
        assert_eq!(more.closed().await, 4429);
        let vera = user(&daemon, "vera", "Viewer").await;
        let mut hers = Socket::open(&daemon, &format!("/ws?token={vera}")).await;
        assert_eq!(hers.next().await.json()["type"], "hello", "each has their own");
        open.pop();
        let greeting = || async {
            let mut socket = Socket::open(&daemon, &format!("/ws?token={script}")).await;
            (socket.next().await.json()["type"] == "hello").then_some(())
        };
        until("the place of one that has gone is free", greeting).await;

        let stream = daemon.request(Method::GET, "/events").send().await.unwrap();
        assert_eq!(stream.status(), 200);
        for path in ["/events", "/logs?follow=true"] {
            let refused = daemon.get(path).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (429, "rate_limited"));
            assert!(refused.headers.contains_key("retry-after"));
        }
        drop(stream);
        let followed = || async {
            let status = daemon.request(Method::GET, "/events").send().await.unwrap().status();
            (status == 200).then_some(())
        };
        until("the stream's place is free", followed).await;
    });
}

#[test]
fn a_client_that_takes_nothing_is_told_what_it_missed_and_where_to_resume() {
    const OPERATIONS: usize = 8000;
    run(async {
        let mut daemon = Daemon::new(&["--max-parallel", "0"]);
        daemon.configure("lag_sequences = 100");
        daemon.boot().await;
        let stream = connect(&daemon, Some(4096)).await;
        let mut socket =
            Socket::try_over(stream, "/ws?events=batch&batch_size=1000", Some(&daemon.token)).await.unwrap();
        let since = sequence(&socket.next().await.json());
        let operations: Vec<Value> = (0..OPERATIONS).map(|n| script(&format!("o{n}"), "true")).collect();
        for name in ["one", "two", "three"] {
            let id = daemon.batch(&json!({ "name": name, "infra": "lab", "operations": operations })).await;
            daemon.post(&format!("/batch/operations/{id}/cancel"), &json!({ "rollback": false })).await.data();
            daemon.ended(&id).await;
        }
        // More than fits on its way waits by now. To take nothing for so long is what a slow client is.
        tokio::time::timeout(std::time::Duration::from_secs(2), std::future::pending::<()>()).await.unwrap_err();
        let (lagged, before) = socket.notice("lagged").await;
        let before: Vec<Value> = before.iter().flat_map(frames).collect();
        let last = before.last().map_or(since, sequence);
        assert!(lagged["since"].as_u64().unwrap() >= last, "{lagged}");
        let missed = lagged["missed"].as_u64().unwrap();
        // It goes on with what comes now.
        let small = json!({ "name": "four", "infra": "lab", "operations": [script("o", "true")] });
        let four = daemon.batch(&small).await;
        let next = frames(&socket.next().await.json());
        assert!(next.iter().all(|frame| frame["data"].to_string().contains(&four)), "{next:?}");
        // And what it missed is there, where it was told to resume.
        let target = format!("/ws?events=batch&batch_size=1000&since={}", lagged["since"]);
        let (mut again, _) = Socket::greeted(&daemon, &target).await;
        let mut found = 0;
        loop {
            let frames = frames(&again.next().await.json());
            found += frames.iter().filter(|frame| sequence(frame) <= lagged["sequence"].as_u64().unwrap()).count();
            if frames.iter().any(|frame| sequence(frame) > lagged["sequence"].as_u64().unwrap()) {
                break;
            }
        }
        assert_eq!(found as u64, missed);
    });
}

#[test]
fn a_client_that_does_not_answer_is_let_go() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("heartbeat_seconds = 1");
        daemon.boot().await;
        let mut stream = connect(&daemon, None).await;
        let request = format!(
            "GET /ws?events=batch&token={} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            daemon.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut answers, _) = Socket::greeted(&daemon, "/ws?events=batch").await;
        let mut said = Vec::new();
        tokio::select! {
            read = stream.read_to_end(&mut said) => drop(read.unwrap()),
            // To read is to answer.
            other = answers.next() => panic!("{other:?}"),
        }
        let head = String::from_utf8_lossy(&said);
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("hello"), "{head}");
        assert!(said.windows(2).any(|bytes| bytes == [0x89, 0]), "it was asked whether it is there");
        answers.say(&json!({ "type": "ping" })).await;
        assert_eq!(answers.next().await.json()["type"], "pong", "whoever answers stays");
    });
}

#[test]
fn a_close_is_answered_and_a_broken_protocol_is_closed() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        // Client frames are masked; a mask of zeros leaves the bytes as they are.
        let cases: [(&[u8], u16); 6] = [
            (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], 1000),
            (&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1], 4001),
            (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
            (&[0x83, 0x80, 0, 0, 0, 0], 1002),
            (&[0x81, 0x02, b'{', b'}'], 1002),
            (&[0xc1, 0x82, 0, 0, 0, 0, b'{', b'}'], 1002),
        ];
        // Whoever has said who it is, and whoever hasn't yet.
        for target in [format!("/ws?events=batch&token={}", daemon.token), "/ws".to_owned()] {
            for (bytes, code) in cases {
                let said = answered(&daemon, &target, bytes).await;
                let [high, low] = code.to_be_bytes();
                let is_close =
                    |end: &[u8]| end[0] == 0x88 && usize::from(end[1]) + 2 == end.len() && end[2..4] == [high, low];
                let is_closed = (4..=127).any(|len| said.len() >= len && is_close(&said[said.len() - len..]));
                assert!(is_closed, "{bytes:x?}: {}", String::from_utf8_lossy(&said));
            }
            let said = answered(&daemon, &target, &[0x88, 0x80, 0, 0, 0, 0]).await;
            assert!(said.ends_with(&[0x88, 0]), "{said:x?}");
        }
    });
}

#[test]
fn a_daemon_that_ends_says_so_and_ends() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let mut sockets = Vec::new();
        for path in ["/ws", "/metrics", "/logs"] {
            sockets.push(Socket::greeted(&daemon, path).await.0);
        }
        assert!(tokio::task::spawn_blocking(move || daemon.terminate()).await.unwrap().success());
        for mut socket in sockets {
            assert_eq!(socket.closed().await, 1001);
        }
    });
}

#[test]
fn how_the_daemon_does_is_told_at_once_and_with_every_change() {
    run(async {
        let daemon = Daemon::start(&["--max-parallel", "0"]).await;
        let (mut socket, hello) = Socket::greeted(&daemon, "/ws?events=system&batch_size=1").await;
        let first = socket.next().await.json();
        assert_eq!(first["event_type"], "SystemHealthUpdate");
        assert_eq!((&first["data"]["previous_status"], &first["sequence"]), (&Value::Null, &hello["sequence"]));
        assert_eq!(first["metadata"], json!({ "infra": null, "submitted_by": "prov" }));
        let scheduler = |frame: &Value| frame["data"]["components"]["scheduler"]["status"].clone();
        assert_eq!(scheduler(&first), "Healthy");
        // Accepted, and never started.
        let batch = daemon.batch(&chain("lab", "true")).await;
        let second = socket.next().await.json();
        assert_eq!(
            (scheduler(&second), second["data"]["overall_status"].clone()),
            (json!("Degraded"), json!("Degraded"))
        );
        assert_eq!(second["data"]["previous_status"], first["data"]["overall_status"]);
        assert!(sequence(&second) >= sequence(&first));
        // To go on after it misses nothing of what came later.
        let since = sequence(&second);
        daemon.post(&format!("/batch/operations/{batch}/cancel"), &json!({})).await.data();
        daemon.ended(&batch).await;
        let (mut again, _) = Socket::greeted(&daemon, &format!("/ws?events=batch&since={since}")).await;
        until_ended(&mut again, &batch).await;
        // The same over the stream of events, and nothing of it where one work is followed.
        let response = daemon.request(Method::GET, "/events?events=system").send().await.unwrap();
        let mut bytes: Pin<Box<dyn Stream<Item = _>>> = Box::pin(response.bytes_stream());
        let mut text = String::new();
        while !text.contains("event: SystemHealthUpdate\n") {
            text.push_str(std::str::from_utf8(&bytes.next().await.unwrap().unwrap()).unwrap());
        }
        let (mut only, _) = Socket::greeted(&daemon, &format!("/ws?since=0&work={batch}")).await;
        let told = until_ended(&mut only, &batch).await;
        assert!(told.iter().all(|frame| frame["event_type"] != "SystemHealthUpdate"));
    });
}

#[test]
fn figures_come_every_second() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let (mut socket, _) = Socket::greeted(&daemon, "/metrics").await;
        for _ in 0..2 {
            let Said::Text(text) = socket.next().await else { panic!("no text") };
            assert!(text.contains("prov_build_info{version="), "{text}");
        }
        socket.say(&json!({ "type": "subscribe", "events": ["task"] })).await;
        loop {
            match socket.next().await {
                Said::Text(text) if text.starts_with('{') => {
                    break assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["code"], "conflict");
                }
                Said::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let plain = daemon.request(Method::GET, "/metrics").send().await.unwrap();
        assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    });
}

#[test]
fn encrypted_connections_become_sockets_too() {
    run(async {
        let authority = Authority::new();
        let mut daemon = Daemon::new(&[]);
        let (certificate, key) = authority.issue().write(daemon.dir.path(), "daemon");
        daemon.configure(&format!("tls_certificate = {certificate:?}\ntls_key = {key:?}"));
        daemon.http = trusting([authority.certificate()]).build().unwrap();
        daemon.boot().await;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(client)).connect(name, connect(&daemon, None).await).await.unwrap();
        let mut socket = Socket::try_over(stream, "/ws?events=batch", Some(&daemon.token)).await.unwrap();
        assert_eq!(socket.next().await.json()["type"], "hello");
        let id = daemon.batch(&chain("lab", "true")).await;
        let told = until_ended(&mut socket, &id).await;
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for frame in &told {
            *kinds.entry(frame["event_type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert!(kinds.len() == 2 && kinds["BatchOperationUpdate"] >= 6, "{kinds:?}");
    });
}
