//! The client a command uses: where the daemon is, who the caller is, and what an error means for the exit code.

use std::future::Future;

use serde_json::Value;

use super::error::{CliError, Kind};
use crate::api::envelope::{Code, Failure};
use crate::client::session::Sessions;
use crate::client::{Client, ClientError, Servers};

/// Runs a future on a runtime of its own, made only when a command needs one.
///
/// # Errors
/// What the future returns, or that no runtime can be had.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::new(Kind::Failure, format!("can't start the runtime: {error}")))?.block_on(future)
}

/// The kept sessions of this user.
pub(super) fn sessions() -> Result<Sessions, CliError> {
    Sessions::of_user()
        .map_err(|error| CliError::new(Kind::Failure, format!("can't find where sessions are kept: {error}")))
}

/// Where the daemon is: environment over the kept session over the default.
pub(super) fn servers(sessions: Option<&Sessions>) -> Servers {
    let kept = sessions.and_then(Sessions::servers).unwrap_or_default();
    Servers {
        orchestrator: address("PROV_SERVER").unwrap_or(kept.orchestrator),
        control_center: address("PROV_CONTROL_CENTER").unwrap_or(kept.control_center),
    }
}

fn address(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty()).map(|value| value.trim_end_matches('/').to_owned())
}

/// A client with the caller's token: `PROV_TOKEN`, the file that `PROV_TOKEN_FILE` names, or the kept session.
pub(super) fn client() -> Result<Client, CliError> {
    let sessions = sessions()?;
    let client = Client::new(servers(Some(&sessions))).map_err(|error| failure(&error))?;
    if let Some(token) = token()? {
        return Ok(client.with_token(token));
    }
    Ok(match sessions.load() {
        Some(session) => client.with_session(session, sessions),
        None => client,
    })
}

fn token() -> Result<Option<String>, CliError> {
    if let Ok(token) = std::env::var("PROV_TOKEN")
        && !token.is_empty()
    {
        return Ok(Some(token));
    }
    let Some(path) = std::env::var_os("PROV_TOKEN_FILE") else { return Ok(None) };
    let unreadable =
        |error| CliError::new(Kind::Usage, format!("can't read PROV_TOKEN_FILE {}: {error}", path.display()));
    std::fs::read_to_string(&path).map(|text| Some(text.trim().to_owned())).map_err(unreadable)
}

/// A client's error as the command's: the kind decides the exit code.
pub(super) fn failure(error: &ClientError) -> CliError {
    match error {
        ClientError::Answered(failure) => answered(failure),
        ClientError::NotLoggedIn => CliError::of(Kind::Unauthenticated, error).hint("prov login".to_owned()),
        ClientError::Transport { unreachable: true, .. } => {
            let hint = "is the daemon running? start it with `prov serve`, or name another with PROV_SERVER and PROV_CONTROL_CENTER";
            CliError::of(Kind::Unreachable, error).hint(hint.to_owned())
        }
        ClientError::Session(_) | ClientError::Transport { .. } => CliError::of(Kind::Failure, error),
    }
}

fn answered(failure: &Failure) -> CliError {
    let (kind, hint) = match failure.code {
        Code::InvalidRequest | Code::PayloadTooLarge => (Kind::Usage, None),
        Code::Unauthenticated | Code::MfaRequired => (Kind::Unauthenticated, Some("prov login")),
        Code::Forbidden => (Kind::Denied, Some("ask an administrator for a role that permits it")),
        Code::NotFound => (Kind::NotFound, None),
        Code::Conflict => (Kind::Conflict, None),
        Code::RateLimited | Code::Unavailable => (Kind::Failure, Some("try again later")),
        Code::Internal => (Kind::Failure, Some("the daemon's log has the cause")),
    };
    let mut error = CliError::new(kind, failure.error.clone()).hint(hint.map(str::to_owned));
    error.causes = problems(failure.details.as_ref());
    error.request_id = Some(failure.request_id.clone());
    error
}

/// Every problem of a request, one a line; a single one is in the message already.
fn problems(details: Option<&Value>) -> Vec<String> {
    let problems = details.and_then(|details| details.get("problems")).and_then(Value::as_array);
    let text = |problem: &Value| {
        let part = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or("");
        format!("{} {}", part("pointer"), part("message")).trim().to_owned()
    };
    problems
        .filter(|problems| problems.len() > 3)
        .map(|problems| problems.iter().map(text).collect())
        .unwrap_or_default()
}
