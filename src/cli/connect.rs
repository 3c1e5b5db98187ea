//! The client a command uses: where the daemon is, who the caller is, and what an error means for the exit code.

use std::future::Future;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Printer;
use super::error::{CliError, Kind};
use super::progress::Waiting;
use super::recognise;
use crate::api::envelope::{Code, Failure};
use crate::api::policy::Denied;
use crate::client::session::Sessions;
use crate::client::{Client, ClientError, Servers, Trouble, Trust, address};
use crate::model::name::Name;

/// Runs a future on a runtime of its own, made only when a command needs one.
///
/// # Errors
/// What the future returns, or that no runtime can be had.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(Kind::Failure, format!("can't start the runtime: {error}")))?;
    let done = runtime.block_on(future);
    // A look-up of a name that takes its time must not keep the command from ending.
    runtime.shutdown_background();
    done
}

/// Waits for an answer of the daemon, visibly where somebody looks on.
///
/// # Errors
/// As [`failure`] sees it.
pub(super) async fn ask<T>(
    printer: &Printer,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, CliError> {
    answer(printer, call).await?.map_err(|error| failure(&error))
}

/// Waits for an answer to a request that proves something: as [`ask`] does, but when no policy and no rule about tokens
/// refused it, then the password or the code was wrong.
///
/// # Errors
/// As [`unproven`] sees it.
pub(super) async fn ask_with_proof<T>(
    printer: &Printer,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, CliError> {
    answer(printer, call).await?.map_err(|error| unproven(&error))
}

/// Waits for an answer as [`ask`] does, and leaves it to the caller what a failure means.
///
/// # Errors
/// When somebody pressed Ctrl-C.
pub(super) async fn answer<T>(
    printer: &Printer,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<Result<T, ClientError>, CliError> {
    tokio::select! {
        biased;
        answer = Waiting::during(printer, call) => Ok(answer),
        _ = tokio::signal::ctrl_c() => {
            let message = "interrupted before the daemon answered; what was asked for may have been done";
            Err(CliError::new(Kind::Interrupted, message))
        }
    }
}

/// The kept session of the context that is meant: that of `PROV_CONTEXT`, else the current one.
pub(super) fn sessions() -> Result<Sessions, CliError> {
    let given = std::env::var(CONTEXT).ok().filter(|given| !given.is_empty());
    let wrong = |error| CliError::new(Kind::Usage, format!("{CONTEXT} names no context: {error}"));
    let given = given.map(Name::new).transpose().map_err(wrong)?;
    Sessions::of_user(given)
        .map_err(|error| CliError::new(Kind::Failure, format!("can't find where sessions are kept: {error}")))
}

/// Names the context.
const CONTEXT: &str = "PROV_CONTEXT";

/// Where the daemon is: environment over the kept session over the default.
pub(super) fn servers(sessions: &Sessions) -> Result<Servers, CliError> {
    let (orchestrator, control_center) = (given_address(SERVER)?, given_address(CONTROL_CENTER)?);
    let kept = match (&orchestrator, &control_center) {
        (Some(_), Some(_)) => sessions.servers().ok().flatten(),
        _ => sessions.servers().map_err(|error| damaged(&error))?,
    };
    let servers = kept.unwrap_or_default().at(orchestrator, control_center);
    Ok(Servers { trust: given_trust()?.or(servers.trust), ..servers })
}

/// What the environment says of certificates.
pub(super) fn given_trust() -> Result<Trust, CliError> {
    let file = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(|path| absolute(Path::new(&path)));
    let fingerprint = std::env::var(FINGERPRINT).ok().filter(|value| !value.is_empty());
    let wrong = |why| CliError::new(Kind::Usage, format!("{FINGERPRINT}: {why}"));
    Ok(Trust {
        fingerprint: fingerprint.map(|text| text.parse().map_err(wrong)).transpose()?,
        ca_certificate: file("PROV_CA_CERTIFICATE"),
        client_certificate: file("PROV_CLIENT_CERTIFICATE"),
        client_key: file("PROV_CLIENT_KEY"),
    })
}

/// The path as it means the same in every directory: it may be kept.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Names the daemon's certificate.
const FINGERPRINT: &str = "PROV_FINGERPRINT";
/// Names the orchestrator.
pub(super) const SERVER: &str = "PROV_SERVER";
/// Names the control center.
pub(super) const CONTROL_CENTER: &str = "PROV_CONTROL_CENTER";

/// The address in a variable of the environment; one that is empty is not set.
pub(super) fn given_address(variable: &str) -> Result<Option<String>, CliError> {
    let given = std::env::var(variable).ok().filter(|value| !value.is_empty());
    let wrong = |given: &str, why: String| CliError::new(Kind::Usage, format!("{variable} is {given:?}: {why}"));
    given.map(|given| address(&given).map_err(|why| wrong(&given, why))).transpose()
}

/// A client with the caller's token: `PROV_TOKEN`, the file that `PROV_TOKEN_FILE` names, or the kept session where that is
/// one of the daemon that is asked: no other gets to see it.
pub(super) fn client() -> Result<Client, CliError> {
    let sessions = sessions()?;
    let client = Client::new(servers(&sessions)?).map_err(|error| failure(&error))?;
    if let Some(token) = token()? {
        return Ok(client.with_token(token));
    }
    Ok(match sessions.load().map_err(|error| damaged(&error))? {
        Some(session) if !session.servers.are_at(client.servers()) => {
            return Err(elsewhere(&session.servers, client.servers(), &sessions));
        }
        Some(session) => client.with_session(session, sessions),
        None => client,
    })
}

/// The kept session is another daemon's. An address that wasn't given comes from that session, and is none to log in at.
fn elsewhere(kept: &Servers, asked: &Servers, sessions: &Sessions) -> CliError {
    let new = |kept: &str, asked: &str| if kept == asked { "URL".to_owned() } else { asked.to_owned() };
    let server = new(&kept.orchestrator, &asked.orchestrator);
    let control = new(&kept.control_center, &asked.control_center);
    let context = sessions.context();
    let message = format!(
        "not logged in to {} and {}: the session of the context {context} is one of {} and {}",
        asked.orchestrator, asked.control_center, kept.orchestrator, kept.control_center
    );
    let error = CliError::new(Kind::Unauthenticated, message);
    error.hint(format!("prov login --server {server} --control-center {control} --context NAME"))
}

fn damaged(error: &std::io::Error) -> CliError {
    let error = CliError::new(Kind::Unauthenticated, format!("can't use the kept session: {error}"));
    error.hint("start a new one: prov login".to_owned())
}

/// Where a token may stand, and the name of a file with one.
const TOKEN: &str = "PROV_TOKEN";
const TOKEN_FILE: &str = "PROV_TOKEN_FILE";

/// The token of the environment; white space around it and variables that are empty don't count.
fn token() -> Result<Option<String>, CliError> {
    let good = |text: &str, origin: &str| {
        let token = text.trim();
        if token.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
            return Err(CliError::new(Kind::Usage, format!("{origin} holds no token: one has no spaces and one line")));
        }
        Ok(Some(token.to_owned()).filter(|token| !token.is_empty()))
    };
    if let Some(token) = std::env::var_os(TOKEN)
        && let Some(token) = good(&token.to_string_lossy(), TOKEN)?
    {
        return Ok(Some(token));
    }
    let Some(path) = std::env::var_os(TOKEN_FILE).filter(|path| !path.is_empty()) else { return Ok(None) };
    let origin = format!("{TOKEN_FILE} {}", Path::new(&path).display());
    let unreadable = |error| CliError::new(Kind::Usage, format!("can't read {origin}: {error}"));
    let token = std::fs::read_to_string(&path).map_err(unreadable).and_then(|text| good(&text, &origin))?;
    token.map(Some).ok_or_else(|| CliError::new(Kind::Usage, format!("{origin} is empty")))
}

/// The variable whose token hides any session.
fn given_token() -> Option<&'static str> {
    [TOKEN, TOKEN_FILE].into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// What to do without a good token.
fn how_to_log_in() -> String {
    given_token().map_or_else(
        || "prov login".to_owned(),
        |name| format!("the token of {name} is used: set another one, or unset it to use the session of `prov login`"),
    )
}

/// What to do where a rule refused it that no role changes: a session may do what the token of the environment may not.
fn without_token() -> Option<String> {
    given_token().map(|name| format!("the token of {name} is used: unset it to use the session of `prov login`"))
}

/// A client's error as the command's: the kind decides the exit code.
pub(super) fn failure(error: &ClientError) -> CliError {
    let (kind, hint) = match error {
        ClientError::Answered(failure) => return answered(failure),
        ClientError::NotLoggedIn => (Kind::Unauthenticated, Some(how_to_log_in())),
        ClientError::Session { .. } => (Kind::Failure, Some("prov login".to_owned())),
        ClientError::File(_) => (Kind::Usage, None),
        ClientError::Unencrypted { .. } => (Kind::Usage, Some("write https://".to_owned())),
        ClientError::Untrusted { certificate, .. } => (Kind::Failure, Some(recognise::hint(certificate))),
        ClientError::Transport { trouble, .. } => trouble_of(*trouble),
        ClientError::Ended => trouble_of(Trouble::Broken),
    };
    CliError::of(kind, error).hint(hint)
}

/// The same where the request proves something.
pub(super) fn unproven(error: &ClientError) -> CliError {
    let mut told = failure(error);
    if let ClientError::Answered(failure) = error {
        let is_proof = failure.code == Code::Forbidden && denied(failure).is_none() && given_token().is_none();
        told.kind = if is_proof { Kind::Unauthenticated } else { told.kind };
    }
    told
}

fn trouble_of(trouble: Trouble) -> (Kind, Option<String>) {
    let hint = match trouble {
        Trouble::Unreachable => {
            "is the daemon running? start it with `prov serve`, or name another with PROV_SERVER and PROV_CONTROL_CENTER"
        }
        Trouble::Hanging => "the daemon is there and says nothing: is it stopped, or its machine overloaded?",
        Trouble::Broken => "the connection broke before the answer came; what was asked for may have been done",
        Trouble::Unwelcome => {
            let hint =
                "give the certificate that the daemon asks for: prov login --client-certificate FILE --client-key FILE";
            return (Kind::Unauthenticated, Some(hint.to_owned()));
        }
        Trouble::Plain => {
            let hint = "nothing encrypts there: is it the right address? http:// is for a daemon on this machine";
            return (Kind::Usage, Some(hint.to_owned()));
        }
        Trouble::Garbled => return (Kind::Failure, None),
    };
    (Kind::Unreachable, Some(hint.to_owned()))
}

fn answered(failure: &Failure) -> CliError {
    if let Some(denied) = denied(failure) {
        // Who lacks nothing but a second factor may be let in by another login.
        let kind = if denied.second_factor && denied.roles.is_empty() { Kind::Unauthenticated } else { Kind::Denied };
        let mut error = CliError::new(kind, denied.reason).hint(denied.hint);
        error.request_id = Some(failure.request_id.clone());
        return error;
    }
    let told = |text: &str| Some(text.to_owned());
    let (kind, hint) = match failure.code {
        Code::InvalidRequest | Code::PayloadTooLarge => (Kind::Usage, None),
        Code::Unauthenticated => (Kind::Unauthenticated, Some(how_to_log_in())),
        // It says which of two commands helps.
        Code::MfaRequired => (Kind::Unauthenticated, None),
        Code::Forbidden => (Kind::Denied, without_token()),
        Code::NotFound => (Kind::NotFound, None),
        Code::Conflict => (Kind::Conflict, None),
        Code::RateLimited | Code::Unavailable => (Kind::Failure, told("try again later")),
        Code::Internal => (Kind::Failure, told("the daemon's log has the cause")),
    };
    let mut error = CliError::new(kind, failure.error.clone()).hint(hint);
    error.causes = problems(failure.details.as_ref());
    error.request_id = Some(failure.request_id.clone());
    error
}

/// What a denial says of itself.
fn denied(failure: &Failure) -> Option<Denied> {
    let details = failure.details.as_ref().filter(|_| failure.code == Code::Forbidden)?;
    serde_json::from_value(details.clone()).ok()
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
