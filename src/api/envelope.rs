//! The envelope around every answer, and the codes of failure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A success: `{"success": true, "data": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Success<T> {
    /// Always true.
    pub success: bool,
    /// What was asked for.
    pub data: T,
    /// What the caller should know although it worked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A failure: `{"success": false, "error": …, "code": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Always false.
    #[schemars(extend("const" = false))]
    pub success: bool,
    /// A sentence a person can act on.
    pub error: String,
    /// What kind of failure.
    pub code: Code,
    /// More, by kind: for `invalid_request` the list of problems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// The request it answers, for the daemon's log.
    #[serde(default)]
    pub request_id: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The path, query or body is wrong; the same request will fail again.
    InvalidRequest,
    /// No valid token.
    Unauthenticated,
    /// The password was right and a second factor is needed.
    MfaRequired,
    /// A policy denies it.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// Too many requests; `Retry-After` says when.
    RateLimited,
    /// Not now: starting, draining, or the store refuses to write.
    Unavailable,
    /// A fault of the daemon; its log has the cause under the request id.
    Internal,
}

impl Code {
    /// The code's word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::MfaRequired => "mfa_required",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}
