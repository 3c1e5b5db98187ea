//! A client that costs next to nothing: the request is made once, the answer is hardly looked at. So what is measured is the
//! daemon, even where both share a small machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::measure::rate;
use super::support::Daemon;

/// A request with a token, ready to be sent.
pub struct Request {
    address: String,
    bytes: Vec<u8>,
}

impl Request {
    pub fn get(daemon: &Daemon, path: &str) -> Self {
        Self::new(daemon, "GET", path, "")
    }

    pub fn post(daemon: &Daemon, path: &str, body: &Value) -> Self {
        Self::new(daemon, "POST", path, &body.to_string())
    }

    fn new(daemon: &Daemon, method: &str, path: &str, body: &str) -> Self {
        let address = daemon.orchestrator().trim_start_matches("http://").to_owned();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            daemon.token,
            body.len()
        );
        Self { bytes: [head.as_bytes(), body.as_bytes()].concat(), address }
    }

    /// Sends it `count` times over so many connections, which are open before the time starts; how many were answered a
    /// second, and how long each took.
    pub async fn drive(self, connections: usize, count: usize) -> (f64, Vec<Duration>) {
        let (request, left) = (Arc::new(self), Arc::new(AtomicUsize::new(count)));
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(Connection::open(&request.address).await);
        }
        let start = Instant::now();
        let client = |mut connection: Connection| {
            let (request, left) = (Arc::clone(&request), Arc::clone(&left));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    times.push(connection.send(&request).await.0);
                }
                times
            })
        };
        let clients: Vec<_> = open.into_iter().map(client).collect();
        let mut times = Vec::with_capacity(count);
        for client in clients {
            times.extend(client.await.unwrap());
        }
        (rate(count, start.elapsed()), times)
    }
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn to(daemon: &Daemon) -> Self {
        Self::open(daemon.orchestrator().trim_start_matches("http://")).await
    }

    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::new() }
    }

    /// Sends a request; the time until all of its answer was there, and the answer's body.
    pub async fn send(&mut self, request: &Request) -> (Duration, &[u8]) {
        let start = Instant::now();
        self.stream.write_all(&request.bytes).await.unwrap();
        self.answer.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.answer).await.unwrap() > 0, "the daemon hung up");
            let Some(head) = self.answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
                continue;
            };
            let text = std::str::from_utf8(&self.answer[..head]).unwrap();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if self.answer.len() == head + length.parse::<usize>().unwrap() {
                assert!(text.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.answer));
                return (start.elapsed(), &self.answer[head..]);
            }
        }
    }
}
