//! What can go wrong with a use case.

use std::time::Duration;

use super::authorise::Denial;
use crate::api::policy::PolicyProblem;
use crate::api::read::{LISTED, Problem};
use crate::auth::key_files::KeyError;
use crate::auth::secret::NoRandomness;
use crate::auth::token::TokenError;
use crate::engine::react::NotNow;
use crate::scheduler::ScheduleError;
use crate::store::{CommitError, StoreError};

/// Why a use case was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request contradicts itself or names what can't be.
    #[error("the request is not valid: {}", summary(.0))]
    Invalid(Vec<Problem>),
    /// There is no such thing.
    #[error("there is no {kind} {id}")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Which.
        id: String,
    },
    /// The state doesn't allow it.
    #[error("{0}")]
    Conflict(String),
    /// No valid token, or a wrong name or password.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller may not.
    #[error("{0}; {hint}", hint = .0.hint)]
    Forbidden(Box<Denial>),
    /// The text of a policy is wrong.
    #[error("the policy is not valid: {}", problems(.0))]
    Policy(Vec<PolicyProblem>),
    /// The password was right, and a second factor is needed.
    #[error("{0}")]
    MfaRequired(&'static str),
    /// A rule that no policy can change forbids it.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// Too many requests.
    #[error("too many {what}; try again in {} s", retry_after.as_secs().max(1))]
    RateLimited {
        /// Of what.
        what: &'static str,
        /// How many a minute are allowed.
        limit: u32,
        /// When to try again.
        retry_after: Duration,
    },
    /// The caller holds as many connections open as one may.
    #[error("you have {limit} {what} open, and no more are allowed; close one first")]
    TooManyOpen {
        /// Of what.
        what: &'static str,
        /// How many are allowed at once.
        limit: u32,
    },
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours; the text goes to the log, never to the caller.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Who follows something is let go.
    #[must_use]
    pub fn ending() -> Self {
        Self::Unavailable("the daemon is ending".to_owned())
    }
}

fn summary(problems: &[Problem]) -> String {
    let shown = problems.iter().take(3).map(|problem| match problem.pointer.as_str() {
        "" => problem.message.clone(),
        pointer => format!("{pointer} {}", problem.message),
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    match problems.len() {
        0..=3 => shown,
        // The last one only says how many are not listed.
        len if len > LISTED => format!("{shown}; and more than {} more", LISTED - 3),
        len => format!("{shown}; and {} more", len - 3),
    }
}

fn problems(problems: &[PolicyProblem]) -> String {
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(_) => {
                Self::Conflict("somebody else changed it at the same time; try again".to_owned())
            }
            CommitError::Unavailable(why) => Self::Unavailable(unwritable(&why)),
        }
    }
}

impl From<ScheduleError> for Error {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Refused(_) => {
                Self::Conflict("the idempotency key was used at the same time; try again".to_owned())
            }
            ScheduleError::NotNow(reason) => Self::Conflict(reason.to_string()),
            ScheduleError::Unknown(id) => Self::Conflict(format!("{id} has already ended")),
            ScheduleError::Unavailable(why) => Self::Unavailable(unwritable(&why)),
            ScheduleError::Ending => Self::Unavailable("the daemon is ending; it takes no new work".to_owned()),
            ScheduleError::Store(error) => error.into(),
        }
    }
}

fn unwritable(why: &str) -> String {
    tracing::error!(why, "the store refuses to write");
    "the daemon can't write to its store at the moment, so it takes no new work; see its log".to_owned()
}

impl From<NotNow> for Error {
    fn from(reason: NotNow) -> Self {
        Self::Conflict(reason.to_string())
    }
}

impl From<NoRandomness> for Error {
    fn from(error: NoRandomness) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => Self::Unauthenticated("the token is not valid; log in again"),
            TokenError::Expired => Self::Unauthenticated("the token has expired; refresh it or log in again"),
            TokenError::Unsigned => Self::Internal(Box::new(error)),
        }
    }
}
