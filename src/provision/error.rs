//! Why something could not be done at a provider or on its servers, and how an error reads.

use std::error::Error;

use crate::model::name::Name;

/// Why a provider could not do something.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The request itself is wrong; trying again is no use.
    #[error("{what}")]
    Invalid {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// This host or account lacks something the provider needs.
    #[error("{what}")]
    Unavailable {
        /// What is missing.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A server of that name is there and differs from what was asked.
    #[error("server {name} exists with another {field}: it has {actual}, asked for {wanted}")]
    Conflict {
        /// The server.
        name: Name,
        /// The field that differs.
        field: &'static str,
        /// What it has.
        actual: String,
        /// What was asked for.
        wanted: String,
    },
    /// No such server.
    #[error("there is no server {0}")]
    NotFound(Name),
    /// A call failed.
    #[error("{attempt}")]
    Failed {
        /// What was attempted on what.
        attempt: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ProviderError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. } | Self::Unavailable { hint, .. } => hint.clone(),
            Self::Conflict { .. } => Some("see what would change with --check".to_owned()),
            Self::NotFound(_) | Self::Failed { .. } => None,
        }
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
