//! The one map from errors to HTTP.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::envelope::{Code, Failure};
use crate::api::policy::Denied;
use crate::api::read::Problem;
use crate::app::{self, Denial, Quota};

/// An answer that is a failure. The request's id is filled in on the way out.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    code: Code,
    message: String,
    details: Option<Box<Value>>,
    retry_after: Option<Duration>,
    quota: Option<Quota>,
}

pub(super) type Answered = Result<Response, HttpError>;

impl HttpError {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: None, retry_after: None, quota: None }
    }

    /// Something wrong with the request as it was written.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, message)
    }

    /// A body that is too large.
    pub(super) fn too_large(limit: usize) -> Self {
        let what = format!("the body has more than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::PayloadTooLarge, what)
    }

    /// What the caller reads.
    pub(super) fn failure(self, request_id: String) -> Failure {
        let details = self.details.map(|details| *details);
        Failure { success: false, error: self.message, code: self.code, details, request_id }
    }

    pub(super) fn problems(problems: Vec<Problem>) -> Self {
        app::Error::Invalid(problems).into()
    }
}

impl From<app::Error> for HttpError {
    fn from(error: app::Error) -> Self {
        use app::Error;
        let message = error.to_string();
        match error {
            Error::Invalid(problems) => {
                Self { details: Some(Box::new(json!({ "problems": problems }))), ..Self::invalid(message) }
            }
            Error::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, Code::NotFound, message),
            Error::Conflict(_) => Self::new(StatusCode::CONFLICT, Code::Conflict, message),
            Error::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message),
            Error::Policy(problems) => {
                Self { details: Some(Box::new(json!({ "problems": problems }))), ..Self::invalid(message) }
            }
            Error::Forbidden(denial) => {
                let details = Some(json!(denied(&denial)));
                Self { details: details.map(Box::new), ..Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message) }
            }
            Error::MfaRequired(_) => Self::new(StatusCode::UNAUTHORIZED, Code::MfaRequired, message),
            Error::NotAllowed(_) => Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message),
            Error::RateLimited { limit, retry_after, .. } => {
                let limited = Self::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, message);
                let quota = Quota { limit, remaining: 0, reset_seconds: retry_after.as_secs().max(1) };
                Self { retry_after: Some(retry_after), quota: Some(quota), ..limited }
            }
            Error::TooManyOpen { .. } => {
                let limited = Self::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, message);
                Self { retry_after: Some(Duration::from_secs(5)), ..limited }
            }
            Error::Unavailable(_) => {
                let unavailable = Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message);
                Self { retry_after: Some(Duration::from_secs(5)), ..unavailable }
            }
            Error::Internal(cause) => {
                tracing::error!(error = %Chain(&*cause), "internal error");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, INTERNAL)
            }
        }
    }
}

fn denied(denial: &Denial) -> Denied {
    Denied {
        operation: denial.operation.to_owned(),
        action: denial.action.to_string(),
        infra: denial.infra.clone(),
        reason: denial.to_string(),
        roles: denial.lacks.roles.clone(),
        second_factor: denial.lacks.second_factor,
        policies: denial.policies.clone(),
        hint: denial.hint.clone(),
    }
}

/// Says what is left of a limit.
pub(super) fn show_quota(headers: &mut HeaderMap, quota: Quota) {
    headers.insert("x-ratelimit-limit", HeaderValue::from(quota.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(quota.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(quota.reset_seconds));
}

/// What a caller learns of a fault of ours.
pub(super) const INTERNAL: &str = "something went wrong in the daemon; its log has the cause under this request id";

/// An error with its causes, for the log.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, retry_after, quota) = (self.status, self.retry_after, self.quota);
        let mut response = (status, Json(self.failure(super::middleware::request_id()))).into_response();
        let headers = response.headers_mut();
        if let Some(after) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(quota) = quota {
            show_quota(headers, quota);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
