//! Why something with task services was not done, and what to do about it.

use super::definition::DefinitionError;
use crate::model::name::Name;
use crate::provision::lock::LockError;
use crate::provision::operation::OperationError;
use crate::provision::provider::ProviderError;

/// Why something with task services was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskservError {
    /// A definition can't be used.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The operation can't be read.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// Services need each other.
    #[error("these task services need each other: {}", .0.join(" → "))]
    Cycle(Vec<String>),
    /// The provider can't be used.
    #[error("the provider {name} can't be used")]
    Provider {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<ProviderError>,
    },
    /// There is nothing to install on.
    #[error("{infra} has no servers at {provider} to install on")]
    NoServers {
        /// The infra.
        infra: Name,
        /// The provider.
        provider: String,
    },
    /// A server that was named isn't there or doesn't run.
    #[error("the server {name} of {infra} {what}")]
    Server {
        /// Its name.
        name: Name,
        /// The infra.
        infra: Name,
        /// What is the matter with it.
        what: &'static str,
    },
    /// Another installed service needs the one to go.
    #[error("{needed} can't be removed from {server}: {by} needs it")]
    Needed {
        /// The one to go.
        needed: Name,
        /// Where.
        server: Name,
        /// What needs it.
        by: Name,
    },
    /// The servers can't be had for oneself.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Some servers were done and some were not.
    #[error("{}", failures(.0))]
    Failed(Vec<(Name, String)>),
}

fn failures(failed: &[(Name, String)]) -> String {
    failed.iter().map(|(server, why)| format!("{server}: {why}")).collect::<Vec<_>>().join("\n")
}

impl TaskservError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Definition(error) => error.hint(),
            Self::Provider { source, .. } => source.hint(),
            Self::NoServers { infra, .. } => Some(format!(
                "make some first: prov servers create --infra {infra}, or an earlier operation of the batch"
            )),
            Self::Server { infra, what, .. } if what.starts_with("doesn't run") => {
                Some(format!("start it: prov servers create --infra {infra}"))
            }
            Self::Server { infra, .. } => Some(format!("see what there is: prov servers list --infra {infra}")),
            Self::Needed { by, .. } => Some(format!("remove {by} as well")),
            _ => None,
        }
    }

    /// Whether the request or a definition is at fault.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Definition(_) | Self::Operation(_) | Self::Cycle(_) | Self::Needed { .. })
    }
}
