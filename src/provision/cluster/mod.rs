//! Clusters: servers by role, their task services, and a check that they work as one.
//!
//! A [definition] is found like a task service's. Making one is making its servers, installing on them with every member
//! told of the others, then asking one of them whether the whole works. A cluster has a name, after which its servers are
//! named and which they carry in the label [`CLUSTER_LABEL`]; its type where nobody gives it another. Deleting it deletes
//! exactly those, and what isn't the cluster's own is never touched.

pub mod definition;
mod drift;
mod health;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Map;

use self::definition::Wish;
use super::plan::{Action, CLUSTER_LABEL, Changes, Others, Wanted};
use super::provider::{self, ProviderError, Server, ServerSpec, ServerState};
use super::report::Reporter;
use super::secret::SecretError;
use super::servers::{Options, Servers, ServersError};
use super::settings::{ClusterSettings, Settings, default_provider};
use super::taskserv::definition::DefinitionError;
use super::taskserv::library::Library;
use super::taskserv::{self, Done, TaskservError, Taskservs};
use super::workspace::Workspace;
use crate::model::name::Name;

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
        /// The cluster.
        name: Name,
        /// The parameter, where one alone is at fault.
        param: Option<String>,
        /// What is wrong.
        what: String,
    },
    /// Its servers.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// Its task services.
    #[error(transparent)]
    Taskservs(#[from] TaskservError),
    /// A secret among its parameters.
    #[error("a secret of the cluster's can't be had")]
    Secret(#[from] SecretError),
    /// The provider.
    #[error("the cluster's servers can't be reached")]
    Provider(#[from] ProviderError),
    /// A server has the name of one of the cluster's and isn't the cluster's.
    #[error("the cluster {name} needs the name {server}, and a server that isn't its own has it")]
    Taken {
        /// The cluster.
        name: Name,
        /// The server.
        server: Name,
    },
    /// Its servers could not reach each other.
    #[error("the cluster {name} needs servers that reach each other: {why}")]
    NoAddresses {
        /// The cluster.
        name: Name,
        /// Why they have no addresses.
        why: String,
    },
    /// Nobody says where its servers are to be, and the provider has several places.
    #[error("the cluster {name} needs `params.zone`: {provider} has no place of its own choice")]
    NoZone {
        /// The cluster.
        name: Name,
        /// The provider.
        provider: String,
        /// Its zones, as far as they are known.
        zones: Vec<String>,
    },
    /// Several clusters of a type are declared.
    #[error("the settings declare several clusters of the type {cluster_type}")]
    Ambiguous {
        /// The type.
        cluster_type: Name,
        /// Their names.
        names: Vec<Name>,
    },
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
            Self::Taken { server, .. } => {
                Some(format!("give the cluster another name in the settings, or delete {server} yourself"))
            }
            Self::NoAddresses { .. } => Some("run prov as root".to_owned()),
            Self::NoZone { provider, zones, .. } if zones.is_empty() => {
                Some(format!("see its zones: prov provider zones {provider}"))
            }
            Self::NoZone { zones, .. } => Some(format!("its zones are {}", zones.join(", "))),
            Self::Ambiguous { names, .. } => {
                let names: Vec<&str> = names.iter().map(Name::as_str).collect();
                Some(format!("name one: {}", names.join(", ")))
            }
            Self::Secret(error) => error.hint(),
            Self::Parameter { .. } | Self::Provider(_) => None,
        }
    }

    /// Whether the request or a definition is at fault.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Definition(_)
            | Self::Unknown { .. }
            | Self::Parameter { .. }
            | Self::Ambiguous { .. }
            | Self::NoZone { .. } => true,
            Self::Servers(error) => error.is_invalid(),
            Self::Taskservs(error) => error.is_invalid(),
            _ => false,
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
    /// How many task services are installed on them.
    pub taskservs: usize,
    /// How many of those pass their checks.
    pub healthy: usize,
}

/// What it takes for a cluster to be there.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Its servers.
    #[serde(flatten)]
    pub servers: Changes,
    /// Its task services; where servers are yet to be made, only those of these.
    pub taskservs: Vec<Done>,
}

impl Plan {
    /// Whether anything would change.
    #[must_use]
    pub fn any(&self) -> bool {
        self.servers.any() || self.taskservs.iter().any(|done| done.action != taskserv::Action::Keep)
    }
}

/// The cluster that `name` means: one that the settings declare by that name, else the only one that they declare of
/// that type, else one of that type with its name.
///
/// # Errors
/// [`ClusterError::Ambiguous`].
pub fn meant(settings: Option<&Settings>, name: &Name) -> Result<ClusterSettings, ClusterError> {
    let declared = settings.map_or(&[][..], |settings| &settings.clusters);
    if let Some(named) = declared.iter().find(|cluster| cluster.name == *name) {
        return Ok(named.clone());
    }
    let of_type: Vec<&ClusterSettings> = declared.iter().filter(|cluster| cluster.cluster_type == *name).collect();
    match of_type.as_slice() {
        [] => Ok(ClusterSettings {
            name: name.clone(),
            cluster_type: name.clone(),
            provider: settings.map_or_else(default_provider, |settings| settings.provider.clone()),
            params: Map::new(),
        }),
        [only] => Ok((*only).clone()),
        several => {
            let names = several.iter().map(|cluster| cluster.name.clone()).collect();
            Err(ClusterError::Ambiguous { cluster_type: name.clone(), names })
        }
    }
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

    /// What would change for the cluster to be there.
    ///
    /// # Errors
    /// [`ClusterError`]; [`ClusterError::Taken`] where that would touch a server that isn't the cluster's.
    pub fn plan(&self, cluster: &ClusterSettings) -> Result<Plan, ClusterError> {
        let wish = self.wish(cluster)?;
        let wanted = self.wanted(&wish)?;
        let servers = self.servers()?;
        servers.validate(&wanted)?;
        let there = servers.list()?;
        let of_name = |server: &Server| wanted.iter().any(|wanted| wanted.spec.name == server.spec.name);
        if let Some(taken) = there.iter().find(|server| of_name(server) && !may_have(server, &wish.name)) {
            return Err(ClusterError::Taken { name: wish.name, server: taken.spec.name.clone() });
        }
        let own: Vec<Server> =
            there.into_iter().filter(|server| of_name(server) || is_of(server, &wish.name)).collect();
        let servers = servers.warned(Changes::between(&self.infra, &wanted, &own, Others::Leave));
        let taskservs = self.planned(&wish, &servers)?;
        Ok(Plan { servers, taskservs })
    }

    /// What is to be installed. What servers that are yet to be made will be told of each other isn't known, so nothing
    /// is said of the others then.
    fn planned(&self, wish: &Wish, servers: &Changes) -> Result<Vec<Done>, ClusterError> {
        let services = self.services()?;
        let placed = wish.placed()?;
        if !servers.any() {
            return Ok(services.as_cluster(&wish.name).plan(&placed, false)?);
        }
        let mut planned = Vec::new();
        let made = |server: &Name| {
            let fresh = servers.of(Action::Create).chain(servers.of(Action::Replace));
            fresh.map(|change| &change.server).any(|fresh| fresh == server)
        };
        for service in placed {
            let version = services.definition(&service.name)?.version;
            planned.extend(service.servers.into_iter().filter(made).map(|server| Done {
                server,
                taskserv: service.name.clone(),
                version: version.clone(),
                action: taskserv::Action::Install,
            }));
        }
        Ok(planned)
    }

    /// Makes the cluster, or what of it is missing, by a plan that somebody agreed to; answers what its check said.
    ///
    /// # Errors
    /// [`ClusterError`]; what was made until then stays, and a repeated call goes on.
    pub fn create(&self, cluster: &ClusterSettings, plan: &Plan) -> Result<String, ClusterError> {
        let wish = self.wish(cluster)?;
        let services = self.services()?;
        for service in wish.definition.roles.iter().flat_map(|role| &role.taskservs) {
            services.definition(service)?;
        }
        let options = Options { ready_within: Some(Options::READY_WITHIN), ..Options::default() };
        self.reporter.begin_part(0, 2);
        self.servers()?.apply(&plan.servers, &options)?;
        self.reporter.begin_part(1, 2);
        services.as_cluster(&wish.name).create(&wish.placed()?, false)?;
        self.reporter.step(&format!("{}: asking whether it works as one", wish.name));
        self.healthy(&wish)
    }

    /// What would change for the cluster's servers to be gone; with `operation`, only those that it made.
    ///
    /// # Errors
    /// [`ClusterError`]; what is already gone is none.
    pub fn deletion(&self, name: &Name, operation: Option<&str>) -> Result<Changes, ClusterError> {
        let goes = |server: &Server| {
            is_of(server, name) && operation.is_none_or(|operation| server.spec.operation == operation)
        };
        let servers = self.servers()?;
        // As with an operation's servers: where nothing ever was, nobody needs to be asked.
        let there = if servers.is_untouched() { Vec::new() } else { servers.all()? };
        Ok(Changes::deleting(&self.infra, &there, goes))
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
        let servers = self.servers()?.list()?;
        let is_any = servers.iter().any(|server| server.spec.labels.contains_key(CLUSTER_LABEL));
        let installed = if is_any { self.services()?.list()? } else { Vec::new() };
        for server in servers {
            let Some(cluster) = server.spec.labels.get(CLUSTER_LABEL) else { continue };
            let fresh = Listed { cluster: cluster.clone(), servers: Vec::new(), running: 0, taskservs: 0, healthy: 0 };
            let here = || installed.iter().filter(|installed| installed.server == server.spec.name);
            let (taskservs, healthy) = (here().count(), here().filter(|installed| installed.healthy).count());
            let listed = clusters.entry(cluster.clone()).or_insert(fresh);
            listed.taskservs += taskservs;
            listed.healthy += healthy;
            listed.servers.push(server.spec.name);
            listed.running += usize::from(server.state == ServerState::Running);
        }
        Ok(clusters.into_values().collect())
    }

    fn servers(&self) -> Result<Servers<'a>, ServersError> {
        Servers::open(self.workspace, &self.infra, [self.provider.as_str()], self.reporter)
    }

    fn services(&self) -> Result<Taskservs<'a>, TaskservError> {
        Taskservs::open(self.workspace, &self.infra, &self.provider, self.operation.clone(), self.reporter)
    }

    /// What the cluster is to be, if it can be anything here.
    fn wish(&self, cluster: &ClusterSettings) -> Result<Wish, ClusterError> {
        let wish = Wish::of(&Library::of(self.workspace, &self.infra), cluster)?;
        let servers: u32 = wish.definition.roles.iter().map(|role| role.count).sum();
        let provider = provider::open(&self.provider, self.workspace, self.reporter)?;
        match provider.no_addresses().filter(|_| servers > 1) {
            Some(why) => Err(ClusterError::NoAddresses { name: wish.name, why }),
            None => Ok(wish),
        }
    }

    fn wanted(&self, wish: &Wish) -> Result<Vec<Wanted>, ClusterError> {
        let wrong = |what: String| ClusterError::Parameter { name: wish.name.clone(), param: None, what };
        let provider = Name::new(self.provider.as_str()).map_err(|error| wrong(error.to_string()))?;
        let zone = wish.zone_at(&self.provider, self.workspace)?;
        let mut wanted = Vec::new();
        for role in &wish.definition.roles {
            for name in wish.servers(role) {
                let spec = ServerSpec {
                    infra: self.infra.clone(),
                    name: name?,
                    plan: role.plan,
                    zone: zone.clone(),
                    operation: self.operation.clone(),
                    labels: [(CLUSTER_LABEL.to_owned(), wish.name.to_string())].into(),
                    extra: Map::new(),
                };
                wanted.push(Wanted { provider: provider.clone(), spec });
            }
        }
        Ok(wanted)
    }
}

/// Whether the server may be made a part of the cluster: it is one, or nobody knows what it is.
fn may_have(server: &Server, cluster: &Name) -> bool {
    is_of(server, cluster) || server.state == ServerState::Damaged
}

fn is_of(server: &Server, cluster: &Name) -> bool {
    server.spec.labels.get(CLUSTER_LABEL).is_some_and(|label| label == cluster.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_meant_by_its_name_else_by_its_type_if_that_is_clear() {
        let name = |text: &str| Name::new(text).unwrap();
        let cluster = |own: &str, cluster_type: &str| ClusterSettings {
            name: name(own),
            cluster_type: name(cluster_type),
            provider: name("local"),
            params: Map::new(),
        };
        let settings = |clusters: Vec<ClusterSettings>| Settings {
            name: name("i"),
            environment: name("i"),
            provider: name("local"),
            servers: Vec::new(),
            taskservs: Vec::new(),
            clusters,
        };
        let two = settings(vec![cluster("main", "etcd"), cluster("spare", "etcd"), cluster("builders", "buildkit")]);
        let meant = |text: &str| meant(Some(&two), &name(text));
        assert_eq!(meant("spare").unwrap().cluster_type.as_str(), "etcd");
        assert_eq!(meant("buildkit").unwrap().name.as_str(), "builders");
        assert_eq!(meant("k8s").unwrap(), cluster("k8s", "k8s"));
        assert_eq!(meant("etcd").unwrap_err().hint().as_deref(), Some("name one: main, spare"));
        assert_eq!(super::meant(None, &name("etcd")).unwrap(), cluster("etcd", "etcd"));
    }
}
