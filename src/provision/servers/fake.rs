//! A provider in memory, for tests: it fails where it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Map;

use super::Servers;
use crate::model::name::Name;
use crate::model::plan::Plan;
use crate::provision::plan::Wanted;
use crate::provision::provider::{Provider, ProviderError, Server, ServerSpec, ServerState};
use crate::provision::report::Reporter;
use crate::provision::transport::Transport;
use crate::provision::workspace::Workspace;

/// Servers in memory.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    servers: BTreeMap<Name, Server>,
    failing: BTreeSet<String>,
    created: Vec<String>,
}

impl Fake {
    /// A fake that fails with whatever it is asked about the server `name`; where that is `list`, with its lists.
    pub fn failing(self, name: &str) -> Self {
        self.fail(name);
        self
    }

    pub fn fail(&self, name: &str) {
        self.0.lock().unwrap().failing.insert(name.to_owned());
    }

    pub fn heal(&self) {
        self.0.lock().unwrap().failing.clear();
    }

    pub fn stop(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        state.servers.get_mut(&Name::new(name).unwrap()).unwrap().state = ServerState::Stopped;
    }

    /// The servers that were made, by name.
    pub fn created(&self) -> Vec<String> {
        let mut created = self.0.lock().unwrap().created.clone();
        created.sort();
        created
    }
}

fn no_room(attempt: &str) -> ProviderError {
    ProviderError::Failed { attempt: attempt.to_owned(), source: "no room".into() }
}

impl Provider for Fake {
    fn name(&self) -> &'static str {
        "local"
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        match spec.extra.keys().next() {
            Some(key) => Err(ProviderError::Invalid { what: format!("unknown field {key}"), hint: None }),
            None => Ok(()),
        }
    }

    fn list(&self, _infra: &Name) -> Result<Vec<Server>, ProviderError> {
        let state = self.0.lock().unwrap();
        if state.failing.contains("list") {
            return Err(no_room("listing failed"));
        }
        Ok(state.servers.values().cloned().collect())
    }

    fn create(&self, spec: &ServerSpec) -> Result<Server, ProviderError> {
        let mut state = self.0.lock().unwrap();
        if state.failing.contains(spec.name.as_str()) {
            return Err(no_room("making it failed"));
        }
        if let Some(server) = state.servers.get_mut(&spec.name) {
            assert_eq!(server.spec, *spec, "a plan asks for nothing that conflicts");
            server.state = ServerState::Running;
            return Ok(server.clone());
        }
        state.created.push(spec.name.to_string());
        let server = Server {
            limits: "not enforced: it is a fake".to_owned(),
            ..Server::of(
                spec.clone(),
                self.name(),
                format!("{}-{}", spec.name, state.created.len()),
                ServerState::Running,
            )
        };
        state.servers.insert(spec.name.clone(), server.clone());
        Ok(server)
    }

    fn wait_ready(&self, _infra: &Name, name: &Name, _limit: Duration) -> Result<Server, ProviderError> {
        self.0.lock().unwrap().servers.get(name).cloned().ok_or_else(|| ProviderError::NotFound(name.clone()))
    }

    fn delete(&self, _infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let mut state = self.0.lock().unwrap();
        if state.failing.contains(name.as_str()) {
            return Err(no_room("deleting it failed"));
        }
        state.servers.remove(name);
        Ok(())
    }

    fn relabel(&self, _infra: &Name, name: &Name, labels: &BTreeMap<String, String>) -> Result<Server, ProviderError> {
        let mut state = self.0.lock().unwrap();
        let server = state.servers.get_mut(name).ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        server.spec.labels.clone_from(labels);
        Ok(server.clone())
    }

    fn transport(&self, _infra: &Name, name: &Name) -> Result<Box<dyn Transport + '_>, ProviderError> {
        Err(ProviderError::NotFound(name.clone()))
    }
}

/// A workspace with the fake as its `local` provider.
pub struct Sample {
    _dir: tempfile::TempDir,
    workspace: Workspace,
    reporter: Reporter,
    fake: Fake,
    pub infra: Name,
}

impl Sample {
    pub fn new(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        Self { _dir: dir, workspace, reporter: Reporter::silent(), fake, infra: Name::new("i").unwrap() }
    }

    pub fn fake(&self) -> Fake {
        self.fake.clone()
    }

    pub fn servers(&self) -> Servers<'_> {
        let provider: Box<dyn Provider> = Box::new(self.fake());
        Servers {
            workspace: &self.workspace,
            infra: self.infra.clone(),
            providers: BTreeMap::from([("local".to_owned(), provider)]),
            reporter: &self.reporter,
            own: None,
            also: None,
        }
    }
}

/// A wanted server of the infra `i`.
pub fn wanted(server: &str, cpus: u32) -> Wanted {
    let name = |text: &str| Name::new(text).unwrap();
    let spec = ServerSpec {
        infra: name("i"),
        name: name(server),
        plan: Plan { cpus, memory_mib: 1024 },
        zone: name("local"),
        operation: String::new(),
        labels: BTreeMap::new(),
        extra: Map::new(),
    };
    Wanted { provider: name("local"), spec }
}
