//! Clusters: servers by role, their task services, and a check that they work as one.
//!
//! A definition is a directory with `cluster.toml` and `health.sh`, found like a task service's. Making one is making its
//! servers, installing on them with every member told of the others, then asking one of them whether the whole works.
//! A cluster's servers carry its name in the label [`CLUSTER_LABEL`]; deleting it deletes exactly those.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::{CLUSTER_LABEL, Changes, Others, Wanted};
use super::provider::{self, Exec, Provider, ProviderError, Server, ServerSpec, ServerState};
use super::report::Reporter;
use super::servers::{Options, Servers, ServersError};
use super::taskserv::definition::DefinitionError;
use super::taskserv::library::Library;
use super::taskserv::{TaskservError, Taskservs};
use super::workspace::Workspace;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::model::nearest::unknown;
use crate::model::plan::Plan;

/// A cluster's definition: `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, the same as its directory.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Parameters with their defaults.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Servers by role.
    pub roles: Vec<Role>,
    health: Health,
}

/// Servers that do the same.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: Name,
    /// How many servers, unless a parameter `ROLE_count` says otherwise.
    pub count: u32,
    /// Their size, unless a parameter `plan` says otherwise.
    pub plan: Plan,
    /// What is installed on them.
    pub taskservs: Vec<Name>,
    /// The cluster's parameters that are passed on to those.
    #[serde(default)]
    pub pass: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Health {
    role: Name,
    timeout_seconds: u64,
}

/// Why something with a cluster was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A definition can't be used.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// There is none of that name.
    #[error("there is no cluster definition {name}")]
    Unknown {
        /// The name.
        name: Name,
        /// What may have been meant.
        hint: String,
    },
    /// A parameter is unknown or wrong.
    #[error("the cluster {name}: {what}")]
    Parameter {
        /// The definition.
        name: Name,
        /// What is wrong.
        what: String,
    },
    /// Its servers.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// Its task services.
    #[error(transparent)]
    Taskservs(#[from] TaskservError),
    /// The provider.
    #[error("the cluster's servers can't be reached")]
    Provider(#[from] ProviderError),
    /// Its servers are there and don't work as one.
    #[error("the cluster {name} is not healthy: {why}")]
    Unhealthy {
        /// The cluster.
        name: Name,
        /// What its check said.
        why: String,
    },
}

impl ClusterError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Definition(error) => error.hint(),
            Self::Unknown { hint, .. } => Some(hint.clone()),
            Self::Servers(error) => error.hint(),
            Self::Taskservs(error) => error.hint(),
            Self::Unhealthy { .. } => Some("a repeated create goes on where this one ended".to_owned()),
            Self::Parameter { .. } | Self::Provider(_) => None,
        }
    }

    /// Whether the request or a definition is at fault.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Definition(_) | Self::Unknown { .. } | Self::Parameter { .. } => true,
            Self::Servers(error) => error.is_invalid(),
            Self::Taskservs(error) => error.is_invalid(),
            Self::Provider(_) | Self::Unhealthy { .. } => false,
        }
    }
}

/// A cluster that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub cluster: String,
    /// Its servers.
    pub servers: Vec<Name>,
    /// How many of them run.
    pub running: usize,
}

/// The clusters of one infra at one provider.
pub struct Clusters<'a> {
    workspace: &'a Workspace,
    infra: Name,
    provider: String,
    operation: String,
    reporter: &'a Reporter,
}

impl<'a> Clusters<'a> {
    /// Those of `infra` at `provider`; what is made is marked as `operation`'s.
    #[must_use]
    pub fn of(
        workspace: &'a Workspace,
        infra: &Name,
        provider: &str,
        operation: String,
        reporter: &'a Reporter,
    ) -> Self {
        Self { workspace, infra: infra.clone(), provider: provider.to_owned(), operation, reporter }
    }

    /// The definition called `name`.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn definition(&self, name: &Name) -> Result<(Definition, String), ClusterError> {
        let library = Library::of(self.workspace, &self.infra);
        let Some((place, files)) = library.files("clusters", name)? else {
            return Err(ClusterError::Unknown { name: name.clone(), hint: library.suggestion("clusters", name) });
        };
        let file = |file: &str| {
            let missing = || DefinitionError::Missing { name: name.clone(), file: format!("{place}/{file}") };
            files.get(file).cloned().ok_or_else(missing)
        };
        let invalid = |why: String| DefinitionError::Invalid { file: format!("{place}/cluster.toml"), why };
        let definition: Definition =
            toml::from_str(&file("cluster.toml")?).map_err(|error| invalid(error.to_string()))?;
        if definition.name != *name {
            return Err(invalid(format!("its name is {}, its directory is {name}", definition.name)).into());
        }
        Ok((definition, file("health.sh")?))
    }

    /// What would change for the cluster's servers to be there.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn plan(&self, name: &Name, params: &Map<String, Value>) -> Result<Changes, ClusterError> {
        let (definition, _) = self.definition(name)?;
        let wanted = self.wanted(&definition, &merged(&definition, params)?)?;
        Ok(self.servers()?.plan(&wanted, Others::Ignore)?)
    }

    /// Makes the cluster, or what of it is missing; answers what its check said.
    ///
    /// # Errors
    /// [`ClusterError`]; what was made until then stays, and a repeated call goes on.
    pub fn create(&self, name: &Name, params: &Map<String, Value>) -> Result<String, ClusterError> {
        let (definition, health) = self.definition(name)?;
        let params = merged(&definition, params)?;
        let services =
            Taskservs::open(self.workspace, &self.infra, &self.provider, self.operation.clone(), self.reporter)?;
        for service in definition.roles.iter().flat_map(|role| &role.taskservs) {
            services.definition(service)?;
        }
        let wanted = self.wanted(&definition, &params)?;
        let servers = self.servers()?;
        servers.validate(&wanted)?;
        let changes = servers.plan(&wanted, Others::Ignore)?;
        servers.apply(&changes, &Options { ready_within: Some(Options::READY_WITHIN), ..Options::default() })?;
        services.as_cluster().create(&placed(&definition, &params, &wanted), false)?;
        self.reporter.step(&format!("{name}: asking whether it works as one"));
        self.healthy(&definition, &health, &params)
    }

    /// What would change for the cluster's servers to be gone; with `operation`, only those that it made.
    ///
    /// # Errors
    /// [`ClusterError`]; what is already gone is none.
    pub fn deletion(&self, name: &Name, operation: Option<&str>) -> Result<Changes, ClusterError> {
        let goes = |server: &Server| {
            is_of(server, name) && operation.is_none_or(|operation| server.spec.operation == operation)
        };
        Ok(Changes::deleting(&self.infra, &self.servers()?.list()?, goes))
    }

    /// Carries a deletion out; answers how many servers it took.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn delete(&self, deletion: &Changes) -> Result<usize, ClusterError> {
        let outcome = self.servers()?.apply(deletion, &Options { keep_going: true, ..Options::default() })?;
        Ok(outcome.done.len())
    }

    /// The clusters that are there.
    ///
    /// # Errors
    /// When the provider can't be asked.
    pub fn list(&self) -> Result<Vec<Listed>, ClusterError> {
        let mut clusters: BTreeMap<String, Listed> = BTreeMap::new();
        for server in self.servers()?.list()? {
            let Some(cluster) = server.spec.labels.get(CLUSTER_LABEL) else { continue };
            let fresh = Listed { cluster: cluster.clone(), servers: Vec::new(), running: 0 };
            let listed = clusters.entry(cluster.clone()).or_insert(fresh);
            listed.servers.push(server.spec.name);
            listed.running += usize::from(server.state == ServerState::Running);
        }
        Ok(clusters.into_values().collect())
    }

    fn servers(&self) -> Result<Servers<'a>, ServersError> {
        Servers::open(self.workspace, &self.infra, [self.provider.as_str()], self.reporter)
    }

    fn wanted(&self, definition: &Definition, params: &Map<String, Value>) -> Result<Vec<Wanted>, ClusterError> {
        let wrong = |what: String| ClusterError::Parameter { name: definition.name.clone(), what };
        let mut wanted = Vec::new();
        for role in &definition.roles {
            for number in 1..=role.count {
                let name = Name::new(format!("{}-{}-{number}", definition.name, role.name));
                let spec = ServerSpec {
                    infra: self.infra.clone(),
                    name: name.map_err(|error| wrong(error.to_string()))?,
                    plan: role.plan,
                    zone: zone(params).map_err(wrong)?,
                    operation: self.operation.clone(),
                    labels: [(CLUSTER_LABEL.to_owned(), definition.name.to_string())].into(),
                    extra: Map::new(),
                };
                let provider = Name::new(self.provider.as_str()).map_err(|error| wrong(error.to_string()))?;
                wanted.push(Wanted { provider, spec });
            }
        }
        Ok(wanted)
    }

    /// Asks one server of the role that knows.
    fn healthy(
        &self,
        definition: &Definition,
        script: &str,
        params: &Map<String, Value>,
    ) -> Result<String, ClusterError> {
        let provider = provider::by_name(&self.provider, self.workspace.root())?;
        let members: Vec<Server> =
            provider.list(&self.infra)?.into_iter().filter(|server| is_of(server, &definition.name)).collect();
        let prefix = format!("{}-{}-", definition.name, definition.health.role);
        let unhealthy = |why: String| ClusterError::Unhealthy { name: definition.name.clone(), why };
        let asked = members.iter().find(|server| server.spec.name.as_str().starts_with(&prefix));
        let asked =
            asked.ok_or_else(|| unhealthy(format!("it has no server of the role {}", definition.health.role)))?;
        let peer =
            |server: &Server| format!("{}={}", server.spec.name, server.address.as_deref().unwrap_or("127.0.0.1"));
        let mut env: Vec<(String, String)> = params.iter().map(|(name, value)| variable(name, value)).collect();
        env.push(("PROV_PEERS".to_owned(), members.iter().map(peer).collect::<Vec<_>>().join(" ")));
        let exec = Exec {
            argv: ["bash", "-eu", "-o", "pipefail", "-s"].map(str::to_owned).to_vec(),
            env,
            stdin: script.as_bytes(),
            deadline: Some(Instant::now() + Duration::from_secs(definition.health.timeout_seconds)),
        };
        let result = self.ask(&*provider, &asked.spec.name, &exec)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match (result.timed_out, result.status) {
            (true, _) => Err(unhealthy(format!("its check took longer than {} s", definition.health.timeout_seconds))),
            (false, 0) => Ok(text(&result.stdout)),
            (false, _) => Err(unhealthy(text(&result.stderr))),
        }
    }

    fn ask(
        &self,
        provider: &dyn Provider,
        server: &Name,
        exec: &Exec<'_>,
    ) -> Result<provider::ExecResult, ProviderError> {
        provider.exec(&self.infra, server, exec)
    }
}

fn is_of(server: &Server, cluster: &Name) -> bool {
    server.spec.labels.get(CLUSTER_LABEL).is_some_and(|label| label == cluster.as_str())
}

/// The defaults, overridden by what is given; every provider's `zone` may be given as well.
fn merged(definition: &Definition, given: &Map<String, Value>) -> Result<Map<String, Value>, ClusterError> {
    let mut params = definition.params.clone();
    let known: Vec<&str> = definition.params.keys().map(String::as_str).chain(["zone"]).collect();
    for (name, value) in given {
        if !known.contains(&name.as_str()) {
            let what = unknown("parameter", name, &known);
            return Err(ClusterError::Parameter { name: definition.name.clone(), what });
        }
        params.insert(name.clone(), value.clone());
    }
    Ok(params)
}

fn zone(params: &Map<String, Value>) -> Result<Name, String> {
    let zone = params.get("zone").map_or(Some("local"), Value::as_str).ok_or("zone must be a text")?;
    Name::new(zone).map_err(|error| error.to_string())
}

/// Each role's services on its servers, with the parameters that are passed on.
fn placed(definition: &Definition, params: &Map<String, Value>, wanted: &[Wanted]) -> Vec<TaskservRef> {
    let of_role = |role: &Role| {
        let prefix = format!("{}-{}-", definition.name, role.name);
        let names = wanted.iter().map(|wanted| &wanted.spec.name).filter(|name| name.as_str().starts_with(&prefix));
        let servers: Vec<Name> = names.cloned().collect();
        let passed = params.iter().filter(|(name, _)| role.pass.contains(name));
        let params: Map<String, Value> = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
        let place = move |name: &Name| TaskservRef {
            name: name.clone(),
            servers: servers.clone(),
            profile: None,
            params: params.clone(),
        };
        role.taskservs.iter().map(place).collect::<Vec<_>>()
    };
    definition.roles.iter().flat_map(of_role).collect()
}

fn variable(name: &str, value: &Value) -> (String, String) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (format!("PROV_PARAM_{}", name.to_ascii_uppercase()), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_built_in_is_sound_and_unknown_parameters_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let reporter = Reporter::silent();
        let clusters = Clusters::of(&workspace, &Name::new("i").unwrap(), "local", String::new(), &reporter);
        for name in ["etcd", "buildkit"] {
            let (definition, _) = clusters.definition(&Name::new(name).unwrap()).unwrap();
            let params = merged(&definition, &Map::new()).unwrap();
            let wanted = clusters.wanted(&definition, &params).unwrap();
            let placed = placed(&definition, &params, &wanted);
            assert_eq!(placed.iter().map(|placed| placed.servers.len()).sum::<usize>(), wanted.len());
            let error = merged(&definition, json!({ "zoen": "x" }).as_object().unwrap()).unwrap_err();
            assert!(error.to_string().contains("did you mean `zone`?"), "{error}");
        }
        let error = clusters.definition(&Name::new("ectd").unwrap()).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean etcd?"));
    }
}
