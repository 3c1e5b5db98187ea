//! What webhooks are sent to in tests: keeps what comes, and answers as it is told.

use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What it was answered.
    pub status: StatusCode,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The frame's sequence; a ping has none.
    pub fn sequence(&self) -> Option<u64> {
        self.headers.get("x-prov-sequence").map(|value| value.to_str().unwrap().parse().unwrap())
    }

    pub fn was_taken(&self) -> bool {
        self.status.is_success()
    }
}

/// A server on a free port and a thread of its own, so that it answers while a test waits for a process. It stays until the
/// tests are over.
pub struct Receiver {
    pub url: String,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// One that answers what `answer` says of the number of a request and its path.
    pub fn start(answer: impl Fn(usize, &str) -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let listener = std::net::TcpListener::bind(super::ANY_PORT).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let handle = async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let mut seen = kept.lock().unwrap();
            let response = answer(seen.len(), parts.uri.path());
            let (path, status) = (parts.uri.path().to_owned(), response.status());
            seen.push(Received { path, headers: parts.headers, body, status });
            response
        };
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(handle)).await.unwrap();
            });
        });
        Self { url, seen }
    }

    /// One that takes everything.
    pub fn willing() -> Self {
        Self::start(|_, _| StatusCode::NO_CONTENT.into_response())
    }

    pub fn seen(&self) -> Vec<Received> {
        self.seen.lock().unwrap().clone()
    }
}
