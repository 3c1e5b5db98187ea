//! What can go wrong between client and daemon.

use crate::api::envelope::{Code, Failure};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon answered with a failure.
    #[error("{}", .0.error)]
    Answered(Box<Failure>),
    /// There is no session.
    #[error("you are not logged in")]
    NotLoggedIn,
    /// The session can't be read or kept.
    #[error("can't {attempt} the session")]
    Session {
        /// What was attempted.
        attempt: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The daemon let go of a stream, as when it ends.
    #[error("the daemon ended the stream")]
    Ended,
    /// No answer came, or not a whole one.
    #[error("can't {attempt} at {url}")]
    Transport {
        /// What was attempted.
        attempt: &'static str,
        /// Where.
        url: String,
        /// What kind of trouble.
        trouble: Trouble,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// How a call got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody listens there.
    Unreachable,
    /// Somebody took the connection and said nothing in time.
    Hanging,
    /// The connection broke.
    Broken,
    /// The answer can't be understood, or the call can't be made.
    Garbled,
}

impl Trouble {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Hanging
        } else if error.is_connect() {
            Self::Unreachable
        } else if error.is_decode() || error.is_builder() || error.is_redirect() {
            Self::Garbled
        } else {
            Self::Broken
        }
    }
}

impl ClientError {
    pub(super) fn transport(attempt: &'static str, url: &str, source: reqwest::Error) -> Self {
        Self::Transport { attempt, url: url.to_owned(), trouble: Trouble::of(&source), source: source.without_url() }
    }

    /// Whether the daemon is away rather than of another opinion.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Transport { trouble, .. } => *trouble != Trouble::Garbled,
            Self::Answered(failure) => failure.code == Code::Unavailable,
            Self::Ended => true,
            Self::NotLoggedIn | Self::Session { .. } => false,
        }
    }
}
