//! Login on the wire.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::{Problem, Problems, boolean, text};
use crate::model::id::{ApiTokenId, SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// Body of `POST /auth/login`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Login")]
pub struct LoginRequest {
    /// Who.
    pub username: String,
    /// Their password.
    pub password: String,
    /// The second factor, where one is enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_code: Option<String>,
}

/// Hides the password, because requests are logged.
impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Answer of login and refresh.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenPair {
    /// The access token (JWT).
    pub token: String,
    /// Spent by its first use.
    pub refresh_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds the access token is good for.
    pub expires_in: u64,
    /// When it stops being good.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub user: UserView,
}

/// Hides the tokens.
impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("expires_at", &self.expires_at)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A user as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct UserView {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// May be empty.
    pub email: String,
    /// Their roles.
    pub roles: Vec<Role>,
}

/// Answer of `GET /auth/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// Always true; an invalid token is answered with 401.
    pub valid: bool,
    /// Whose token it is.
    pub user: UserView,
    /// The session it belongs to; null for an API token.
    pub session_id: Option<SessionId>,
    /// The API token that it is; null for the access token of a session.
    #[serde(default)]
    pub api_token_id: Option<ApiTokenId>,
    /// When it stops being good.
    pub expires_at: Timestamp,
    /// Whether a second factor was given.
    pub mfa: bool,
}

impl LoginRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it; none repeats a value.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let username = object.required("username", text);
            let password = object.required("password", text);
            let mfa_code = object.optional("mfa_code", text);
            object.no_more();
            Some(Self { username: username?, password: password?, mfa_code })
        });
        problems.finish(read)
    }
}

/// Body of `POST /auth/refresh`.
#[derive(JsonSchema)]
pub struct Refresh {
    /// The refresh token of the pair that was answered last.
    pub refresh_token: String,
}

/// Reads a [`Refresh`]: the refresh token.
///
/// # Errors
/// Every problem of it.
pub fn read_refresh(body: &Value) -> Result<String, Vec<Problem>> {
    let problems = Problems::default();
    let read = problems.object(body, String::new()).and_then(|object| {
        let token = object.required("refresh_token", text);
        object.no_more();
        token
    });
    problems.finish(read)
}

/// Body of `POST /auth/logout`.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub struct Logout {
    /// Whether all sessions of the user end.
    #[schemars(default)]
    pub all: bool,
}

/// Reads a [`Logout`]: whether all sessions of the user end.
///
/// # Errors
/// Every problem of it.
pub fn read_logout(body: &Value) -> Result<bool, Vec<Problem>> {
    let problems = Problems::default();
    let read = problems.object(body, String::new()).map(|object| {
        let all = object.optional("all", boolean).unwrap_or(false);
        object.no_more();
        all
    });
    problems.finish(read)
}
