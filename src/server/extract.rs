//! What handlers take: the caller's context, a JSON body, an id from the path.

use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde_json::Value;

use super::body;
use super::error::HttpError;
use super::middleware::QuotaCell;
use crate::api::envelope::Code;
use crate::api::json;
use crate::api::operations;
use crate::api::read::Problem;
use crate::app::{self, App, Caller, Context, Idempotency, Limits, Phase};
use crate::model::digest::sha256;

/// From this size on a body is parsed where it keeps no other request waiting.
const LARGE_BYTES: usize = 64 * 1024;
/// The most that a body of a call without a token can have: anybody may send one, and nothing in it is long.
const PUBLIC_BYTES: usize = 16 * 1024;

/// The context of a request with a good token.
pub(super) struct Authenticated(pub(super) Context);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let caller = caller(parts)?;
        let operation = parts.extensions.get::<MatchedPath>().map_or("", |path| path.as_str());
        let operation = operations::at(parts.method.as_str(), operation).map_or("", |row| row.id);
        let token = bearer(&parts.headers).inspect_err(|_| app.unproven(&caller, operation))?;
        let (context, quota) = app.authenticate(token, caller, operation).await?;
        if let Some(cell) = parts.extensions.get::<QuotaCell>() {
            let _ = cell.0.set(quota);
        }
        Ok(Self(context))
    }
}

/// Where a request without a token comes from.
pub(super) struct Anonymous(pub(super) Caller);

impl FromRequestParts<Arc<App>> for Anonymous {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, HttpError> {
        caller(parts).map(Self)
    }
}

pub(super) fn caller(parts: &Parts) -> Result<Caller, HttpError> {
    parts.extensions.get::<Caller>().cloned().ok_or_else(|| HttpError::invalid("the request has no origin"))
}

pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, HttpError> {
    let missing = || app::Error::Unauthenticated("this needs a token: send `Authorization: Bearer …`, or log in first");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(HttpError::invalid("there is more than one Authorization header"));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing().into()) }
}

/// Refuses what makes work while the daemon is ending.
pub(super) struct Accepting;

impl FromRequestParts<Arc<App>> for Accepting {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        match app.phase() {
            Phase::Ready => Ok(Self),
            Phase::Draining | Phase::Ending => {
                Err(app::Error::Unavailable("the daemon is ending; it takes no new work".to_owned()).into())
            }
        }
    }
}

/// An id from the path. One that is no id names nothing.
pub(super) struct Id<T>(pub(super) T);

impl<T: FromStr<Err: Display> + Send> FromRequestParts<Arc<App>> for Id<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|_| HttpError::invalid("the path is not valid UTF-8"))?;
        let given = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
        let unknown = |error: T::Err| HttpError::new(StatusCode::NOT_FOUND, Code::NotFound, error.to_string());
        given.parse().map(Self).map_err(unknown)
    }
}

/// A JSON body of the size `S`, with the idempotency key it came with. An empty body is an empty object.
pub(super) struct JsonBody<S = Usual> {
    value: Value,
    /// The key, when there is one.
    pub(super) key: Option<Idempotency>,
    size: PhantomData<S>,
}

/// How large a body may be.
pub(super) trait Size {
    fn bytes(limits: Limits) -> usize;
}

/// The size of most bodies.
pub(super) struct Usual;

impl Size for Usual {
    fn bytes(limits: Limits) -> usize {
        limits.body_bytes
    }
}

/// The size of what anybody may send.
pub(super) struct Public;

impl Size for Public {
    fn bytes(limits: Limits) -> usize {
        limits.body_bytes.min(PUBLIC_BYTES)
    }
}

/// The size of a batch.
pub(super) struct Batch;

impl Size for Batch {
    fn bytes(limits: Limits) -> usize {
        limits.batch_bytes
    }
}

impl<S> JsonBody<S> {
    /// The body as what `read` makes of it.
    pub(super) fn read<T>(&self, read: fn(&Value) -> Result<T, Vec<Problem>>) -> Result<T, HttpError> {
        read(&self.value).map_err(HttpError::problems)
    }

    /// The same for a body so large that reading it would keep other requests waiting.
    pub(super) async fn read_aside<T: Send + 'static>(&mut self, read: fn(&Value) -> T) -> Result<T, HttpError> {
        let value = std::mem::take(&mut self.value);
        aside(move || read(&value)).await
    }
}

impl<S: Size> FromRequest<Arc<App>> for JsonBody<S> {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpError> {
        let (parts, body) = request.into_parts();
        let bytes = collect(&parts.headers, body, S::bytes(app.limits())).await?;
        if !bytes.is_empty() && !is_json(&parts.headers) {
            let what = "the body must be application/json; say so in Content-Type";
            return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidRequest, what));
        }
        let key = idempotency(&parts, &bytes)?;
        let value = match bytes.len() {
            0 => Value::Object(serde_json::Map::new()),
            1..LARGE_BYTES => parse(&bytes)?,
            _ => aside(move || parse(&bytes)).await??,
        };
        Ok(Self { value, key, size: PhantomData })
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HttpError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| app::Error::Internal(Box::new(error)).into())
}

/// The whole body. What is not read of one that is too large is the middleware's to throw away.
async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, HttpError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(HttpError::too_large(limit));
    }
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| HttpError::invalid(body::cause(&error).to_string()))?;
        if bytes.len() + chunk.len() > limit {
            return Err(HttpError::too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn parse(bytes: &[u8]) -> Result<Value, HttpError> {
    json::parse(bytes).map_err(|error| HttpError::invalid(format!("the body is not good JSON: {error}")))
}

fn idempotency(parts: &Parts, bytes: &[u8]) -> Result<Option<Idempotency>, HttpError> {
    let mut values = parts.headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(HttpError::invalid("there is more than one Idempotency-Key header"));
    }
    let key =
        value.to_str().ok().filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
    let key = key.ok_or_else(|| HttpError::invalid("the Idempotency-Key must be 1 to 255 visible ASCII characters"))?;
    let request = [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), bytes].join(&0);
    Ok(Some(Idempotency { key: key.to_owned(), digest: sha256(&request) }))
}
