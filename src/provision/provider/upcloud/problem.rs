//! What UpCloud says of a call that failed, in either of its two formats, and how far that call is.

use std::time::Duration;

use serde::Deserialize;

use crate::provision::provider::cloud::CallError;

/// Characters of what UpCloud says that are passed on.
const MOST_CHARS: usize = 300;

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer, or one that says "too many calls".
    Call(CallError),
    /// An answer that tells of a problem.
    Said(Problem),
}

/// A problem as UpCloud tells of it. Its text is free of secrets that prov knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: u16,
    /// `SERVER_STATE_ILLEGAL`, …; empty where it says none.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// How far a call is that changes nothing: a lost answer leaves nothing open.
    pub(super) fn into_read(self) -> CallError {
        match self {
            Self::Call(CallError::Unknown(what)) => CallError::Later { what, after: None, throttled: false },
            Self::Call(error) => error,
            Self::Said(problem) if problem.status >= 500 => {
                let (what, after) = (problem.text(), problem.retry_after);
                CallError::Later { what, after, throttled: false }
            }
            Self::Said(problem) => problem.into_error(),
        }
    }

    /// How far a call is that changes something.
    pub(super) fn into_change(self) -> CallError {
        match self {
            Self::Call(error) => error,
            Self::Said(problem) if problem.status >= 500 || problem.status == 408 => CallError::Unknown(problem.text()),
            Self::Said(problem) => problem.into_error(),
        }
    }
}

/// The legacy format.
#[derive(Deserialize)]
struct Legacy {
    error: LegacyError,
}

#[derive(Deserialize)]
struct LegacyError {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
}

/// RFC 7807.
#[derive(Deserialize)]
struct Detailed {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    invalid_params: Vec<Parameter>,
    #[serde(default)]
    correlation_id: String,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(default)]
    name: String,
    #[serde(default)]
    reason: String,
}

impl Problem {
    /// What an answer tells of; `covered` takes out of a text what nobody may see.
    pub(super) fn read(
        (status, media_type, body): (u16, &str, &[u8]),
        retry_after: Option<Duration>,
        covered: impl Fn(&str) -> String,
    ) -> Self {
        let (code, message) = if media_type == "application/problem+json" { detailed(body) } else { legacy(body) }
            .unwrap_or_else(|| (String::new(), "the answer says no more than that".to_owned()));
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let code = covered(&code).chars().filter(fits).take(80).collect();
        let message: String = covered(&message).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let message = message.trim().chars().take(MOST_CHARS).collect();
        Self { status, code, message, retry_after }
    }

    /// Whether it says that the server isn't there.
    pub(super) fn is_gone(&self) -> bool {
        self.status == 404 && matches!(self.code.as_str(), "SERVER_NOT_FOUND" | "NOT_FOUND" | "")
    }

    fn text(&self) -> String {
        // A refused login may be answered with what was sent.
        let message = if self.status == 401 { "the credentials are refused" } else { &self.message };
        match self.code.as_str() {
            "" => format!("UpCloud answers {}: {message}", self.status),
            code => format!("UpCloud answers {} {code}: {message}", self.status),
        }
    }

    /// The error for an answer below 500, which says that nothing was done.
    fn into_error(self) -> CallError {
        let what = self.text();
        let in_between = matches!(
            self.code.as_str(),
            "SERVER_STATE_ILLEGAL" | "STORAGE_STATE_ILLEGAL" | "SERVER_CREATING_LIMIT_REACHED"
        );
        if in_between {
            return CallError::Later { what, after: self.retry_after, throttled: false };
        }
        CallError::Refused { what, hint: self.hint().map(str::to_owned) }
    }

    fn hint(&self) -> Option<&'static str> {
        let resources = self.code.ends_with("_RESOURCES_UNAVAILABLE");
        match self.status {
            401 => Some(
                "check UPCLOUD_TOKEN, or UPCLOUD_USERNAME and UPCLOUD_PASSWORD (see `prov credentials list`); a token \
                 may have expired, or be bound to other addresses",
            ),
            402 => Some("the account has no credit left: top it up at hub.upcloud.com"),
            403 if self.code.ends_with("_LIMIT_REACHED") => {
                Some("the account's limit is reached: delete something, or ask UpCloud for a higher one")
            }
            403 => Some("the account or token may not do that: give it the permission at hub.upcloud.com"),
            409 if resources => Some("the zone has no room for it now: choose another zone"),
            _ if self.code == "ZONE_NOT_FOUND" || self.code == "ZONE_INVALID" => {
                Some("zones are called as in de-fra1, fi-hel1, us-nyc1")
            }
            _ => None,
        }
    }
}

fn legacy(body: &[u8]) -> Option<(String, String)> {
    let error = serde_json::from_slice::<Legacy>(body).ok()?.error;
    Some((error.error_code, error.error_message))
}

fn detailed(body: &[u8]) -> Option<(String, String)> {
    let problem: Detailed = serde_json::from_slice(body).ok()?;
    // The code is the fragment of the page that describes it, or the type itself.
    let code = problem.kind.rsplit_once('#').map_or(problem.kind.as_str(), |(_, fragment)| fragment);
    let code = code.strip_prefix("ERROR_").unwrap_or(code).to_owned();
    let params = problem.invalid_params.iter().map(|param| format!("; {}: {}", param.name, param.reason));
    let correlation = match problem.correlation_id.as_str() {
        "" => String::new(),
        id => format!(" (correlation id {id})"),
    };
    Some((code, format!("{}{}{correlation}", problem.title, params.collect::<String>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, media_type: &str, body: &str) -> Problem {
        Problem::read((status, media_type, body.as_bytes()), None, |text| text.replace("swordfish", "***"))
    }

    #[test]
    fn both_formats_tell_the_same() {
        let old = r#"{"error":{"error_code":"SERVER_INVALID","error_message":"The server is wrong."}}"#;
        let problem = read(400, "application/json", old);
        assert_eq!((problem.code.as_str(), problem.message.as_str()), ("SERVER_INVALID", "The server is wrong."));
        let new = r#"{"type":"https://developers.upcloud.com/1.3/errors#ERROR_INVALID_REQUEST","title":"Validation error.",
            "status":400,"invalid_params":[{"name":"labels","reason":"swordfish\nis too long"}],"correlation_id":"01FFF"}"#;
        let problem = read(400, "application/problem+json", new);
        assert_eq!(problem.code, "INVALID_REQUEST");
        assert_eq!(problem.message, "Validation error.; labels: *** is too long (correlation id 01FFF)");
        let nothing = read(502, "text/html", "<html>");
        assert_eq!((nothing.code.as_str(), nothing.message.as_str()), ("", "the answer says no more than that"));
    }

    #[test]
    fn an_answer_says_how_far_the_call_is() {
        let said = |status, code: &str| {
            let body = format!(r#"{{"error":{{"error_code":"{code}","error_message":"text"}}}}"#);
            Failure::Said(read(status, "application/json", &body))
        };
        let refused = |failure: Failure| match failure.into_change() {
            CallError::Refused { what, hint } => (what, hint.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        let (what, hint) = refused(said(401, "AUTHENTICATION_FAILED"));
        assert!(!what.contains("text") && hint.contains("UPCLOUD_TOKEN"), "{what}");
        assert!(refused(said(402, "INSUFFICIENT_CREDITS")).1.contains("credit"));
        assert!(refused(said(403, "SERVER_FORBIDDEN")).1.contains("permission"));
        assert!(refused(said(409, "SERVER_RESOURCES_UNAVAILABLE")).1.contains("another zone"));
        assert!(matches!(said(409, "SERVER_STATE_ILLEGAL").into_change(), CallError::Later { throttled: false, .. }));
        assert!(matches!(said(500, "").into_change(), CallError::Unknown(_)));
        assert!(matches!(said(500, "").into_read(), CallError::Later { .. }));
        assert!(matches!(Failure::Call(CallError::Unknown(String::new())).into_read(), CallError::Later { .. }));
        let Failure::Said(gone) = said(404, "SERVER_NOT_FOUND") else { panic!() };
        let Failure::Said(zone) = said(404, "ZONE_NOT_FOUND") else { panic!() };
        assert!(gone.is_gone() && !zone.is_gone());
    }
}
