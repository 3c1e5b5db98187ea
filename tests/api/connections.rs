//! Many connections, slow ones, and such as speak no HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use crate::support::{Daemon, http, run, until};

fn connect(daemon: &Daemon) -> TcpStream {
    TcpStream::connect(daemon.orchestrator().trim_start_matches("http://")).unwrap()
}

/// How long a client that was not there before waits for an answer.
async fn wait_of_a_new_client(daemon: &Daemon) -> Duration {
    let (started, client) = (Instant::now(), http());
    let answered = client.get(format!("{}/health", daemon.orchestrator())).send().await.unwrap();
    assert_eq!(answered.status(), 200);
    started.elapsed()
}

/// A line of the daemon's `/proc/PID/status` in KiB.
fn resident_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn sockets(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

#[test]
fn what_is_no_http_is_answered_in_the_envelope() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
        let header = format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(100_000));
        for (request, statuses) in [
            ("NO HTTP AT ALL\r\n\r\n", &["400"][..]),
            ("GET /health HTTP/1.1\r\nbad header\r\n\r\n", &["400"]),
            ("GET /health HTTP/9.9\r\n\r\n", &["400"]),
            (&long, &["414", "431"]),
            (&header, &["431"]),
        ] {
            let mut stream = connect(&daemon);
            // It may be answered, and closed, before it has sent everything.
            let _ = stream.write_all(request.as_bytes());
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8(answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:.60}: {answer:?}"));
            assert!(statuses.iter().any(|status| head.starts_with(&format!("HTTP/1.1 {status} "))), "{head}");
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!((&body["success"], &body["code"]), (&Value::Bool(false), &Value::from("invalid_request")));
            assert!(head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())), "{head}");
        }
    });
}

#[test]
fn thousands_of_connections_that_say_nothing_keep_nobody_waiting() {
    const WANTED: usize = 10_000;
    /// What the test and its neighbours need besides.
    const SPARE: u64 = 2000;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let count = WANTED.min(usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX));
    if count < WANTED {
        println!("with a limit of {limit} open files only {count} connections are tried");
    }
    run(async {
        let daemon = Daemon::start(&[]).await;
        let before = resident_kib(&daemon);
        let idle: Vec<TcpStream> = (0..count).map(|_| connect(&daemon)).collect();
        let slow: Vec<TcpStream> = (0..200)
            .map(|n| {
                let mut stream = connect(&daemon);
                // Half send a head that never ends, half ask for answers that they never read.
                let text =
                    if n % 2 == 0 { "GET /health HTTP/1.1\r\nx: " } else { "GET /health HTTP/1.1\r\nhost: x\r\n\r\n" };
                stream.write_all(text.repeat(if n % 2 == 0 { 1 } else { 100 }).as_bytes()).unwrap();
                stream
            })
            .collect();
        until("all are accepted", || async { (sockets(&daemon) > count).then_some(()) }).await;
        let mut waits = Vec::new();
        for _ in 0..5 {
            waits.push(wait_of_a_new_client(&daemon).await);
        }
        let resident = resident_kib(&daemon);
        println!("{count} idle connections: waits {waits:?}, resident {before} KiB before, {resident} KiB now");
        // The best of five: other tests run beside this one.
        assert!(waits.iter().min().is_some_and(|wait| *wait < Duration::from_secs(1)), "{waits:?}");
        assert!(resident.saturating_sub(before) < 100 * 1024, "{} KiB for {count} connections", resident - before);
        drop((idle, slow));
    });
}

#[test]
fn where_there_is_no_room_the_idlest_connections_go() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.limit_open_files(300);
        daemon.boot().await;
        let mut idle: Vec<TcpStream> = (0..600).map(|_| connect(&daemon)).collect();
        assert!(wait_of_a_new_client(&daemon).await < Duration::from_secs(10));
        assert_eq!(daemon.get("/tasks").await.status, 200);
        let first = &mut idle[0];
        first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(matches!(first.read(&mut [0]), Ok(0)), "the one that was idle longest was closed");
    });
}
