//! The words for what differs between declaration, record and the things themselves.

use serde::Serialize;

use crate::model::name::Name;
use crate::provision::provider::Server;

/// A thing about which declaration, record and the thing itself don't agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// What it is.
    #[serde(rename = "type")]
    pub thing: Thing,
    /// Its name.
    pub name: Name,
    /// The server: itself, or the one that the task service is on; none for a cluster.
    pub server: Option<Name>,
    /// Its provider.
    pub provider: String,
    /// How they differ.
    pub kind: DriftKind,
    /// More of it, for people.
    pub what: String,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Thing {
    /// A server.
    Server,
    /// A task service on a server.
    Taskserv,
    /// A cluster.
    Cluster,
}

/// How declaration, record and thing differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    /// It is declared, and not on record: it was never made or installed, or prov deleted it.
    Missing,
    /// It was made or installed, and is there no more.
    Gone,
    /// It isn't as declared, or somebody changed it.
    Changed,
    /// It is as declared and doesn't run.
    Stopped,
    /// It is installed, and its check fails.
    Failing,
    /// It is there, and its check says that it doesn't work as one.
    Unhealthy,
    /// It is there, and nobody declares it.
    Undeclared,
    /// It carries the infra's labels, and this workspace has no record of it.
    Stray,
    /// Nobody can say: it can't be asked.
    Unknown,
}

impl DriftKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Stopped => "stopped",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
            Self::Undeclared => "undeclared",
            Self::Stray => "stray",
            Self::Unknown => "unknown",
        }
    }
}

impl Drift {
    /// Of a server.
    #[must_use]
    pub fn of_server(name: &Name, provider: &str, kind: DriftKind, what: String) -> Self {
        let (provider, server) = (provider.to_owned(), Some(name.clone()));
        Self { thing: Thing::Server, name: name.clone(), server, provider, kind, what }
    }

    /// Of the task service `name` on `server`.
    #[must_use]
    pub fn of_taskserv(name: &Name, server: &Server, kind: DriftKind, what: String) -> Self {
        let (provider, on) = (server.provider.clone(), Some(server.spec.name.clone()));
        Self { thing: Thing::Taskserv, name: name.clone(), server: on, provider, kind, what }
    }

    /// Of a cluster.
    #[must_use]
    pub fn of_cluster(name: &Name, provider: &str, kind: DriftKind, what: String) -> Self {
        Self { thing: Thing::Cluster, name: name.clone(), server: None, provider: provider.to_owned(), kind, what }
    }

    /// What it is about: `server web-1`, `taskserv redis on web-1`, `cluster etcd`.
    #[must_use]
    pub fn subject(&self) -> String {
        match (self.thing, &self.server) {
            (Thing::Taskserv, Some(server)) => format!("taskserv {} on {server}", self.name),
            (Thing::Taskserv, None) => format!("taskserv {}", self.name),
            (Thing::Server, _) => format!("server {}", self.name),
            (Thing::Cluster, _) => format!("cluster {}", self.name),
        }
    }
}
