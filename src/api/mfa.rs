//! The second factor on the wire.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::TokenPair;
use super::read::{Problem, Problems, text};
use crate::model::time::Timestamp;

/// How a user's second factor stands: answer of `GET /mfa`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MfaStatus {
    /// Whether logins ask for a code.
    pub active: bool,
    /// Whether one is being set up, and waits for its first code.
    pub pending: bool,
    /// When its secret was handed out.
    pub enrolled_at: Option<Timestamp>,
    /// How many backup codes are left.
    pub backup_codes_left: usize,
    /// Whether a second factor was given in this session.
    pub session: bool,
    /// Whether a role of the user takes one.
    pub required: bool,
}

/// Answer of `POST /mfa/enroll/totp`: what an authenticator app wants to know.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MfaEnrolment")]
pub struct Enrolment {
    /// The secret in base 32, for typing.
    pub secret: String,
    /// The secret as a URI that apps read, mostly from a QR code.
    pub otpauth_uri: String,
}

/// Hides all of it.
impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enrolment(hidden)")
    }
}

/// Answer of `POST /mfa/verify`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MfaActivated")]
pub struct Activated {
    /// Each stands in for a code once; they are shown this one time.
    pub backup_codes: Vec<String>,
    /// How many other sessions of the user were ended.
    pub sessions_ended: usize,
    /// The tokens of this session, which has a second factor from now on; the refresh token from before is spent.
    pub session: TokenPair,
}

/// Hides codes and tokens.
impl fmt::Debug for Activated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activated").field("sessions_ended", &self.sessions_ended).finish_non_exhaustive()
    }
}

/// Body of `DELETE /mfa`.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "MfaRemoval")]
pub struct Removal {
    /// The present password.
    pub current_password: String,
    /// A code of the app, or a backup code.
    pub code: String,
}

/// Hides all of it.
impl fmt::Debug for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Removal(hidden)")
    }
}

impl Removal {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it; none repeats a value.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let current_password = object.required("current_password", text);
            let code = object.required("code", text);
            object.no_more();
            Some(Self { current_password: current_password?, code: code? })
        });
        problems.finish(read)
    }
}

/// Answer of `DELETE /mfa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MfaRemoved")]
pub struct Removed {
    /// How many other sessions of the user were ended.
    pub sessions_ended: usize,
}

/// Body of `POST /mfa/enroll/totp`.
#[derive(JsonSchema)]
pub struct MfaEnrol {
    /// The present password.
    pub current_password: String,
}

/// Body of `POST /mfa/verify`.
#[derive(JsonSchema)]
pub struct MfaVerify {
    /// The first code that the app shows.
    pub code: String,
}

/// Reads an [`MfaEnrol`]: the present password.
///
/// # Errors
/// Every problem of it.
pub fn read_enrolment(body: &Value) -> Result<String, Vec<Problem>> {
    only(body, "current_password")
}

/// Reads an [`MfaVerify`]: the first code.
///
/// # Errors
/// Every problem of it.
pub fn read_code(body: &Value) -> Result<String, Vec<Problem>> {
    only(body, "code")
}

/// The one text that a body has.
fn only(body: &Value, field: &'static str) -> Result<String, Vec<Problem>> {
    let problems = Problems::default();
    let read = problems.object(body, String::new()).and_then(|object| {
        let text = object.required(field, text);
        object.no_more();
        text
    });
    problems.finish(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        let told = |read: Result<Removal, Vec<Problem>>| format!("{:?}", read.unwrap_err());
        let wrong = told(Removal::read(&json!({ "current_pasword": "hunter2", "code": 123_456 })));
        assert!(wrong.contains("/current_password") && wrong.contains("did you mean `current_password`?"), "{wrong}");
        assert!(wrong.contains("/code") && !wrong.contains("hunter2") && !wrong.contains("123456"), "{wrong}");
        assert_eq!(read_code(&json!({ "code": "123 456" })).unwrap(), "123 456");
        assert!(read_enrolment(&json!({})).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let enrolment = Enrolment { secret: "ABC".to_owned(), otpauth_uri: "otpauth://ABC".to_owned() };
        let removal = Removal { current_password: "ABC".to_owned(), code: "ABC".to_owned() };
        assert!(!format!("{enrolment:?} {removal:?}").contains("ABC"));
    }
}
