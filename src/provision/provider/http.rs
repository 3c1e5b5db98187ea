//! Calls over HTTP, and how far one is that fails.
//!
//! Each waits for its turn ([`Pace`]) and is made once: whether it is made again is the caller's to say. Knows no provider.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::RETRY_AFTER;

use super::cloud::CallError;
use super::pace::Pace;
use crate::provision::web;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes of an answer that are read.
const MOST_BYTES: u64 = 32 << 20;

/// Makes calls to one account.
#[derive(Debug)]
pub struct Http {
    client: Client,
    pace: Pace,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The media type, without its parameters.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// The wait that it asks for.
    pub retry_after: Option<Duration>,
}

impl Http {
    /// Calls at this pace.
    ///
    /// # Errors
    /// [`CallError::Refused`] where this host can make none.
    pub fn new(pace: Pace) -> Result<Self, CallError> {
        let unable = |error: &dyn Error| CallError::Refused { what: format!("no HTTP client: {error}"), hint: None };
        let client = web::client()
            .map_err(|error| unable(&error))?
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build();
        Ok(Self { client: client.map_err(|error| unable(&error))?, pace })
    }

    /// What calls are built with.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a call once it may be made. Every status is an answer here, but for those that say "too many calls": they slow
    /// all calls of the account down.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] where nothing was sent, [`CallError::Unknown`] where the answer was lost,
    /// [`CallError::Later`] where there are too many calls. Messages hold no address with a query, no header and no body.
    pub fn send(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        self.pace.take().map_err(CallError::left_alone)?;
        let response = request.send().map_err(|error| lost(&error))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.throttled("the provider says that there are too many requests", retry_after));
        }
        let media_type = media_type(&response);
        let body = read(response)?;
        if status.is_success() {
            self.pace.speed_up();
        }
        Ok(Answer { status: status.as_u16(), media_type, body, retry_after })
    }

    /// The error for an answer that says in its own words that there are too many calls; slows all of them down.
    #[must_use]
    pub fn throttled(&self, what: &str, after: Option<Duration>) -> CallError {
        self.pace.slow_down(after);
        CallError::Later { what: what.to_owned(), after, throttled: true }
    }
}

/// Where calls go, as the variable `variable` says; without a slash at its end. In clear only to this machine: calls carry
/// what opens the account, and secrets of servers.
///
/// # Errors
/// [`CallError::Refused`] without what was given, which may hold credentials.
pub fn endpoint(variable: &str, given: &str) -> Result<String, CallError> {
    let wrong = |why: &str| {
        let hint = Some(format!("unset {variable} to reach the provider itself"));
        CallError::Refused { what: format!("{variable} is no address of an interface: {why}"), hint }
    };
    let url: reqwest::Url = given.parse().map_err(|_| wrong("it is no URL"))?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        "http" => return Err(wrong("it must begin with https://, for calls carry secrets")),
        _ => return Err(wrong("it must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong("it must hold neither credentials nor a query"));
    }
    Ok(given.trim_end_matches('/').to_owned())
}

fn read(response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(response, MOST_BYTES), &mut body);
    read.map_err(|error| CallError::Unknown(format!("the answer broke off: {error}")))?;
    Ok(body)
}

/// Seconds only: providers send no dates.
fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn media_type(response: &Response) -> String {
    let header = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    header.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

/// What is known of a call without an answer. Its address is left out: a query may say too much.
fn lost(error: &reqwest::Error) -> CallError {
    let mut cause: Option<&dyn Error> = error.source();
    let mut why = if error.is_timeout() { "it took too long".to_owned() } else { "the connection failed".to_owned() };
    while let Some(inner) = cause {
        why = inner.to_string();
        cause = inner.source();
    }
    if error.is_connect() {
        CallError::Unreachable(format!("the provider can't be reached: {why}"))
    } else if error.is_builder() {
        CallError::Refused { what: format!("the call can't be made: {why}"), hint: None }
    } else {
        CallError::Unknown(format!("the answer was lost: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_travel_in_clear_to_nobody_else() {
        let to = |url: &str| endpoint("X_URL", url);
        assert_eq!(to("http://127.0.0.1:8080/").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(to("http://[::1]:1").unwrap(), "http://[::1]:1");
        assert_eq!(to("https://api.example.org/mirror").unwrap(), "https://api.example.org/mirror");
        for bad in ["http://api.example.org", "http://127.0.0.1.example.org", "api", "https://u:p@h", "file:///etc"] {
            let error = to(bad).unwrap_err();
            let CallError::Refused { what, hint: Some(hint) } = &error else { panic!("{bad}: {error:?}") };
            assert!(!what.contains("u:p") && what.contains("X_URL") && hint.contains("unset X_URL"), "{what}");
        }
    }
}
