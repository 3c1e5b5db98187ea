//! What this host and account can do for servers, found out by making one and deleting it again.
//!
//! Nothing else tells the truth: kernels, containers and security modules forbid each step in their own way.

use serde::Serialize;

use super::super::{Provider, ProviderError, Server, ServerSpec};
use super::{LocalProvider, unprivileged};
use crate::model::name::Name;
use crate::model::plan::Plan;
use crate::provision::transport::Exec;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// What it is about.
    pub what: &'static str,
    /// Whether it works here.
    pub works: bool,
    /// How it works, or why it doesn't.
    pub detail: String,
    /// What would make it work, or work better.
    pub remedy: Option<String>,
}

/// The infra of the server that is tried; nobody's settings name it by accident.
const INFRA: &str = "prov-doctor";

impl LocalProvider {
    /// Makes a small server, runs a command in it and deletes it; says what worked. Takes a moment.
    #[must_use]
    pub fn probe(&self) -> Vec<Probe> {
        let name = |text: String| Name::new(text).expect("letters, digits and dashes");
        let spec = ServerSpec {
            infra: name(INFRA.to_owned()),
            name: name(format!("probe-{}", std::process::id())),
            plan: Plan { cpus: 1, memory_mib: 256 },
            zone: name("here".to_owned()),
            operation: String::new(),
            labels: std::collections::BTreeMap::new(),
            extra: serde_json::Map::new(),
        };
        let mut found = vec![account()];
        match self.create(&spec) {
            Ok(server) => {
                found.extend([running(&server), disk(&server), self.command(&spec), address(&server), limits(&server)]);
            }
            Err(error) => found.push(failure("servers", &error)),
        }
        found.push(match self.containers().describe() {
            Ok(engine) => good("containers", engine),
            Err(error) => failure("containers", &error),
        });
        if let Err(error) = self.delete(&spec.infra, &spec.name) {
            found.push(failure("deletion", &error));
        }
        found
    }

    fn command(&self, spec: &ServerSpec) -> Probe {
        let exec = Exec { argv: vec!["true".to_owned()], ..Exec::default() };
        match self.transport(&spec.infra, &spec.name).and_then(|way| way.exec(&exec)) {
            Ok(result) if result.status == 0 => good("commands", "commands run in servers".to_owned()),
            Ok(result) => bad("commands", format!("`true` ended with status {}", result.status), None),
            Err(error) => failure("commands", &error),
        }
    }
}

fn account() -> Probe {
    if unprivileged::is_privileged() {
        return good("account", "root: namespaces without a user namespace".to_owned());
    }
    let detail = "an ordinary user: each server has a user namespace with one user, its root".to_owned();
    let remedy = "services that insist on another user (PostgreSQL, sshd) need prov as root".to_owned();
    Probe { what: "account", works: true, detail, remedy: Some(remedy) }
}

fn running(server: &Server) -> Probe {
    good("servers", format!("{} was made from this host's own directories", server.spec.name))
}

fn disk(server: &Server) -> Probe {
    let remedy = "put the workspace on a local disk with ext4, xfs or btrfs".to_owned();
    match server.notes.iter().find(|note| note.contains("in memory")) {
        Some(note) => bad("disk", note.clone(), Some(remedy)),
        None => good("disk", "what servers write is kept in the workspace".to_owned()),
    }
}

fn address(server: &Server) -> Probe {
    let remedy = "run prov as root with CAP_NET_ADMIN; or set `network: \"host\"` for a server".to_owned();
    if server.address.is_none() {
        let why = server.notes.iter().find(|note| note.contains("no address")).cloned();
        return bad("network", why.unwrap_or_else(|| "servers have no address".to_owned()), Some(remedy));
    }
    let detail = "servers have addresses that this host and the other servers reach; nothing beyond this host";
    let remedy = "a server that must reach further: set `network: \"host\"` for it".to_owned();
    Probe { what: "network", works: true, detail: detail.to_owned(), remedy: Some(remedy) }
}

fn limits(server: &Server) -> Probe {
    if server.limits.starts_with("enforced") {
        return good("limits", format!("of plans: {}", server.limits));
    }
    let remedy = "run prov as root on a host with the memory, cpu and pids control groups".to_owned();
    bad("limits", format!("of plans: {}", server.limits), Some(remedy))
}

fn good(what: &'static str, detail: String) -> Probe {
    Probe { what, works: true, detail, remedy: None }
}

fn bad(what: &'static str, detail: String, remedy: Option<String>) -> Probe {
    Probe { what, works: false, detail, remedy }
}

fn failure(what: &'static str, error: &ProviderError) -> Probe {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    bad(what, format!("{error}{cause}"), error.hint())
}
