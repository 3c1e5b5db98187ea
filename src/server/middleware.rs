//! What happens to every request: an id, a version check, a line in the log, an answer even to a panic.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::accept::accepts;
use super::error::{HttpError, INTERNAL, show_quota};
use super::{body, query, safeguards};
use crate::api::envelope::Code;
use crate::api::operations::{self, Media};
use crate::api::read::shown;
use crate::app::{Caller, Quota};

tokio::task_local! {
    /// The id of the request that this task works on.
    static REQUEST_ID: RefCell<String>;
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Whether nobody can listen in.
    pub(super) is_encrypted: bool,
}

/// Where the authenticating extractor leaves what is left of the caller's limit.
#[derive(Clone, Default)]
pub(super) struct QuotaCell(pub(super) Arc<OnceLock<Quota>>);

/// The id of the request being answered; empty outside of one.
pub(super) fn request_id() -> String {
    REQUEST_ID.try_with(|id| id.borrow().clone()).unwrap_or_default()
}

pub(super) async fn around(mut request: Request, next: Next) -> Response {
    let id = sane_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let peer = request.extensions().get::<Peer>().copied();
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address);
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let quota = QuotaCell::default();
    request.extensions_mut().insert(Caller { address, request_id: id.clone(), user_agent });
    request.extensions_mut().insert(quota.clone());
    // On the level of errors, so that it is there whatever is logged.
    let span = tracing::error_span!("request", request_id = id, task_id = Empty, work_id = Empty);
    if let Some((name, subject)) = subject(&request) {
        span.record(name, subject);
    }
    let answered = answer(request, next, &id, quota).instrument(span);
    let mut response = REQUEST_ID.scope(RefCell::new(id.clone()), answered).await;
    safeguards::add(response.headers_mut(), peer.is_some_and(|peer| peer.is_encrypted));
    response
}

async fn answer(request: Request, next: Next, id: &str, quota: QuotaCell) -> Response {
    let (method, started) = (request.method().clone(), Instant::now());
    // The route alone: what else stands in a path may be a secret that was put in the wrong place.
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map(MatchedPath::as_str);
    let (parts, body) = request.into_parts();
    let (body, rest) = body::lend(body);
    let headers = parts.headers.clone();
    let request = Request::from_parts(parts, body);
    let handled = AssertUnwindSafe(handle(request, next)).catch_unwind().await;
    let mut response = handled.unwrap_or_else(|_| {
        tracing::error!(%method, path, "a handler panicked");
        HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, INTERNAL).into_response()
    });
    rest.discard(&headers).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", value);
    }
    if let Some(quota) = quota.0.get() {
        show_quota(headers, *quota);
    }
    let elapsed_ms = started.elapsed().as_millis();
    tracing::debug!(%method, path, status = response.status().as_u16(), elapsed_ms, "answered");
    response
}

/// The task or the work that a request is about, by its path.
fn subject(request: &Request) -> Option<(&'static str, &str)> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let name = match route.split("/{id}").next()? {
        "/tasks" => "task_id",
        "/batch/operations" | "/state/workflows" => "work_id",
        _ => return None,
    };
    let place = route.split('/').position(|part| part == "{id}")?;
    let given = request.uri().path().split('/').nth(place)?;
    Uuid::try_parse(given).is_ok().then_some((name, given))
}

/// The client's own id, when it is one: 1 to 128 characters that are safe in a header and a log.
fn sane_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (!id.is_empty() && id.len() <= 128 && id.chars().all(sane)).then(|| id.to_owned())
}

/// Hands a request to its operation, but for what no operation need see: that the client won't take the answer, or sends a
/// query where none is read.
async fn handle(request: Request, next: Next) -> Response {
    match refusal(&request) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(request: &Request) -> Option<HttpError> {
    let path = request.extensions().get::<MatchedPath>();
    let row = path.and_then(|path| operations::at(request.method().as_str(), path.as_str()));
    if !accepts(request.headers(), row.map_or(Media::Json, |row| row.media)) {
        let what = "this daemon answers application/json and application/vnd.provisioning.v1+json only";
        return Some(HttpError::new(StatusCode::NOT_ACCEPTABLE, Code::InvalidRequest, what));
    }
    row.filter(|row| !row.takes_query).and_then(|_| query::refuse_all(request.uri().query()).err())
}

pub(super) async fn no_route(uri: Uri) -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is nothing at {}", shown(uri.path())))
}

pub(super) async fn no_method(method: Method, uri: Uri) -> HttpError {
    let what = format!("{} does not take {method}; the Allow header says what it takes", shown(uri.path()));
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidRequest, what)
}
