//! What happens to every request: an id, a version check, a line in the log, an answer even to a panic.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use uuid::Uuid;

use super::error::{HttpError, INTERNAL};
use crate::api::envelope::Code;
use crate::app::{Caller, Quota};

tokio::task_local! {
    /// The id of the request that this task works on.
    static REQUEST_ID: RefCell<String>;
}

/// The media types that a client may ask for.
const ACCEPTED: [&str; 4] = ["application/json", "application/vnd.provisioning.v1+json", "application/*", "*/*"];

/// The address of the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Where the authenticating extractor leaves what is left of the caller's limit.
#[derive(Clone, Default)]
pub(super) struct QuotaCell(pub(super) Arc<OnceLock<Quota>>);

/// The id of the request being answered; empty outside of one.
pub(super) fn request_id() -> String {
    REQUEST_ID.try_with(|id| id.borrow().clone()).unwrap_or_default()
}

pub(super) async fn around(mut request: Request, next: Next) -> Response {
    let id = sane_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let address = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let quota = QuotaCell::default();
    request.extensions_mut().insert(Caller { address, request_id: id.clone() });
    request.extensions_mut().insert(quota.clone());
    REQUEST_ID.scope(RefCell::new(id.clone()), answer(request, next, &id, quota)).await
}

async fn answer(request: Request, next: Next, id: &str, quota: QuotaCell) -> Response {
    let (method, path, started) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let mut response = if accepts(request.headers()) {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(%method, path, request_id = id, "a handler panicked");
            HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, INTERNAL).into_response()
        })
    } else {
        let what = "this daemon answers application/json and application/vnd.provisioning.v1+json only";
        HttpError::new(StatusCode::NOT_ACCEPTABLE, Code::InvalidRequest, what).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", value);
    }
    if let Some(quota) = quota.0.get() {
        headers.insert("x-ratelimit-limit", HeaderValue::from(quota.limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(quota.remaining));
        headers.insert("x-ratelimit-reset", HeaderValue::from(quota.reset_seconds));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let elapsed_ms = started.elapsed().as_millis();
    tracing::debug!(%method, path, status = response.status().as_u16(), elapsed_ms, request_id = id, "answered");
    response
}

/// The client's own id, when it is one: 1 to 128 characters that are safe in a header and a log.
fn sane_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (!id.is_empty() && id.len() <= 128 && id.chars().all(sane)).then(|| id.to_owned())
}

/// Whether the client takes what we send. No `Accept` takes anything (RFC 9110 section 12.5.1).
fn accepts(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        any = true;
        let Ok(text) = value.to_str() else { continue };
        let kinds = text.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
        if kinds.into_iter().any(|kind| ACCEPTED.contains(&kind.as_str()) || kind.starts_with("text/")) {
            return true;
        }
    }
    !any
}

pub(super) async fn no_route(uri: Uri) -> HttpError {
    let path: String = uri.path().chars().take(200).collect();
    HttpError::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is nothing at {path}"))
}

pub(super) async fn no_method(method: Method, uri: Uri) -> HttpError {
    let what = format!("{} does not take {method}; the Allow header says what it takes", uri.path());
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidRequest, what)
}
