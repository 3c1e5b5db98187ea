//! What can go wrong between client and daemon.

use crate::api::envelope::Failure;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon answered with a failure.
    #[error("{}", .0.error)]
    Answered(Failure),
    /// There is no session.
    #[error("you are not logged in")]
    NotLoggedIn,
    /// The session can't be kept.
    #[error("can't keep the session")]
    Session(#[source] std::io::Error),
    /// No answer came, or not a whole one.
    #[error("can't {attempt} at {url}")]
    Transport {
        /// What was attempted.
        attempt: &'static str,
        /// Where.
        url: String,
        /// Whether the daemon could not be reached at all.
        unreachable: bool,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

impl ClientError {
    pub(super) fn transport(attempt: &'static str, url: &str, source: reqwest::Error) -> Self {
        Self::Transport { attempt, url: url.to_owned(), unreachable: source.is_connect(), source: source.without_url() }
    }
}
