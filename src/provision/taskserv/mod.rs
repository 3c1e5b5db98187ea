//! Task services: software that scripts install on servers.
//!
//! Start at [`Taskservs`]. A service is a directory ([`definition`]) found nearest first ([`library`]): the infra's own,
//! the workspace's, built in. [`order`] puts what is wanted and what it needs in order, [`software`] says what it is made of;
//! [`host`] does one server: packages, artifacts, install, check, and the record inside the server that makes it idempotent;
//! [`run`] runs the scripts, which get parameters as environment, never as text; [`removal`] is the way back. Knows servers
//! through [`Provider`] alone.

pub mod definition;
mod drift;
mod error;
mod expected;
pub(super) mod host;
pub mod library;
mod members;
mod order;
pub mod packages;
mod parameter;
mod place;
mod record;
mod removal;
pub(super) mod run;
mod script;
mod send;
mod software;
mod version;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use self::definition::Definition;
pub use self::error::TaskservError;
use self::host::{Host, HostError};
use self::library::Library;
use self::members::Cluster;
use self::order::Placed;
pub use self::parameter::Parameter;
pub(super) use self::place::arch;
pub use self::record::Record;
pub use self::removal::Removal;
pub use self::software::Asked;
use super::error::chain;
use super::lock::ServerLocks;
use super::provider::{Provider, Server, ServerState};
use super::report::{Reporter, Steps};
use super::workspace::Workspace;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

/// Servers worked on at once.
const PARALLEL: usize = 8;

/// The task services of one infra at one provider.
pub struct Taskservs<'a> {
    workspace: &'a Workspace,
    infra: Name,
    provider: Box<dyn Provider>,
    library: Library,
    reporter: &'a Reporter,
    operation: String,
    /// The cluster that the servers are.
    cluster: Option<Name>,
}

/// What became of one service on one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The server.
    pub server: Name,
    /// The service.
    pub taskserv: Name,
    /// Its version.
    pub version: String,
    /// What was done, or would be.
    pub action: Action,
}

/// What is done with one service on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is installed, or installed over another version or other parameters.
    Install,
    /// It is there as wanted.
    Keep,
    /// It is removed.
    Remove,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Install => "install",
            Self::Keep => "keep",
            Self::Remove => "remove",
        })
    }
}

/// A service on a server as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Installed {
    /// The server.
    pub server: Name,
    /// What stands in its record.
    #[serde(flatten)]
    pub record: Record,
    /// Whether its check passes.
    pub healthy: bool,
}

/// What one service is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeOf {
    /// The service.
    pub taskserv: Name,
    /// Its packages.
    pub packages: packages::Wanted,
    /// Its artifacts, with what was said of each.
    pub artifacts: Vec<Asked>,
}

/// What these services, and those that they need, are made of.
///
/// # Errors
/// [`TaskservError`].
pub fn made_of(wanted: &[TaskservRef], library: &Library) -> Result<Vec<MadeOf>, TaskservError> {
    let placed = order::order(wanted, library)?.into_iter();
    let made = placed.map(|Placed { definition, software, .. }| MadeOf {
        taskserv: definition.name,
        packages: software.packages,
        artifacts: software.artifacts,
    });
    Ok(made.collect())
}

impl<'a> Taskservs<'a> {
    /// Those of `infra` at `provider`; what is installed is marked as `operation`'s.
    ///
    /// # Errors
    /// When the provider can't be used.
    pub fn open(
        workspace: &'a Workspace,
        infra: &Name,
        provider: &str,
        operation: String,
        reporter: &'a Reporter,
    ) -> Result<Self, TaskservError> {
        let opened = super::provider::open(provider, workspace, reporter);
        let failed = |source| TaskservError::Provider { name: provider.to_owned(), source: Box::new(source) };
        Ok(Self {
            workspace,
            infra: infra.clone(),
            provider: opened.map_err(failed)?,
            library: Library::of(workspace, infra),
            reporter,
            operation,
            cluster: None,
        })
    }

    /// As members of the cluster `name`: every script is told the names and addresses of all servers.
    #[must_use]
    pub fn as_cluster(self, name: &Name) -> Self {
        Self { cluster: Some(name.clone()), ..self }
    }

    /// What would be done to have these services, and on which servers; `reinstall` as in [`Taskservs::create`].
    ///
    /// # Errors
    /// [`TaskservError`].
    pub fn plan(&self, wanted: &[TaskservRef], reinstall: bool) -> Result<Vec<Done>, TaskservError> {
        let work = self.prepare(wanted)?;
        let plan = |host: &Host<'_>, placed: &[Placed]| host.plan(placed);
        let mut plan = self.each(&work, self.as_members(&work)?.as_ref(), &plan)?;
        let again = |done: &&mut Done| reinstall && wanted.iter().any(|wanted| wanted.name == done.taskserv);
        for done in plan.iter_mut().filter(again) {
            done.action = Action::Install;
        }
        Ok(plan)
    }

    /// Installs the services and what they need; what is there as wanted is left as it is.
    ///
    /// # Errors
    /// [`TaskservError::Failed`] names every server where it did not work.
    pub fn create(&self, wanted: &[TaskservRef], reinstall: bool) -> Result<Vec<Done>, TaskservError> {
        let work = self.prepare(wanted)?;
        let _locks = ServerLocks::acquire(self.workspace, &self.infra, work.keys(), self.reporter)?;
        let names: BTreeSet<Name> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        let again = |placed: &Placed| reinstall && names.contains(&placed.definition.name);
        let steps = Steps::of(work.values().map(|(_, placed)| placed.len()).sum());
        let install = |host: &Host<'_>, placed: &[Placed]| {
            let mut done = Vec::new();
            for one in placed {
                let installed = host.install(one, again(one))?;
                steps.done(self.reporter, &format!("{} {}: done", installed.server, installed.taskserv));
                done.push(installed);
            }
            Ok(done)
        };
        self.each(&work, self.as_members(&work)?.as_ref(), &install)
    }

    /// What is installed where.
    ///
    /// # Errors
    /// When a server can't be asked.
    pub fn list(&self) -> Result<Vec<Installed>, TaskservError> {
        let servers = self.running(self.provider_list()?);
        let work = servers.into_iter().map(|server| (server.spec.name.clone(), (server, Vec::<()>::new()))).collect();
        self.each(&work, None, &|host: &Host<'_>, _: &[()]| host.list(&self.library))
    }

    /// For each server what goes there, in order.
    fn prepare(&self, wanted: &[TaskservRef]) -> Result<BTreeMap<Name, (Server, Vec<Placed>)>, TaskservError> {
        let mut work = BTreeMap::new();
        for server in self.servers(wanted, false)? {
            let here = |wanted: &&TaskservRef| wanted.servers.is_empty() || wanted.servers.contains(&server.spec.name);
            let mine: Vec<TaskservRef> = wanted.iter().filter(here).cloned().collect();
            work.insert(server.spec.name.clone(), (server, order::order(&mine, &self.library)?));
        }
        Ok(work)
    }

    /// The servers that are meant. When removing, a server that is gone needs nothing removed.
    fn servers(&self, wanted: &[TaskservRef], removing: bool) -> Result<Vec<Server>, TaskservError> {
        let there = self.provider_list()?;
        let everywhere = wanted.iter().any(|wanted| wanted.servers.is_empty());
        let named: BTreeSet<&Name> = wanted.iter().flat_map(|wanted| &wanted.servers).collect();
        if !removing {
            for name in &named {
                let found = there.iter().find(|server| server.spec.name == **name);
                let what = match found.map(|server| server.state) {
                    Some(ServerState::Running) => continue,
                    Some(ServerState::Damaged) => "has a record that can't be read",
                    Some(_) => "doesn't run",
                    None => "doesn't exist",
                };
                return Err(TaskservError::Server { name: (*name).clone(), infra: self.infra.clone(), what });
            }
        }
        let meant = there.into_iter().filter(|server| everywhere || named.contains(&server.spec.name)).collect();
        if removing {
            return Ok(meant);
        }
        let servers = self.running(meant);
        if servers.is_empty() {
            return Err(TaskservError::NoServers {
                infra: self.infra.clone(),
                provider: self.provider.name().to_owned(),
            });
        }
        Ok(servers)
    }

    /// Refuses names of servers that aren't there.
    ///
    /// # Errors
    /// [`TaskservError::Server`] names the first.
    pub fn require(&self, names: &[Name]) -> Result<(), TaskservError> {
        let there = self.provider_list()?;
        match names.iter().find(|name| !there.iter().any(|server| server.spec.name == **name)) {
            None => Ok(()),
            Some(name) => {
                let (name, infra) = (name.clone(), self.infra.clone());
                Err(TaskservError::Server { name, infra, what: "doesn't exist" })
            }
        }
    }

    fn running(&self, servers: Vec<Server>) -> Vec<Server> {
        let (running, others): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|server| server.state == ServerState::Running);
        for server in others {
            let why = match server.state {
                ServerState::Damaged => "has a record that can't be read",
                _ => "doesn't run",
            };
            self.reporter.say(&format!("{} {why} and is passed over", server.spec.name));
        }
        running
    }

    fn provider_list(&self) -> Result<Vec<Server>, TaskservError> {
        let failed =
            |source| TaskservError::Provider { name: self.provider.name().to_owned(), source: Box::new(source) };
        self.provider.list(&self.infra).map_err(failed)
    }

    /// Does something on every server, several at once, and gathers what came of it.
    fn each<W: Sync, T: Send>(
        &self,
        work: &BTreeMap<Name, (Server, Vec<W>)>,
        cluster: Option<&Cluster>,
        each: &(impl Fn(&Host<'_>, &[W]) -> Result<Vec<T>, HostError> + Sync),
    ) -> Result<Vec<T>, TaskservError> {
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for (server, result) in self.results(work, cluster, each) {
            match result {
                Ok(some) => done.extend(some),
                Err(HostError::Needed { needed, by }) => return Err(TaskservError::Needed { needed, server, by }),
                Err(error) => failures.push((server, chain(&error))),
            }
        }
        if failures.is_empty() { Ok(done) } else { Err(TaskservError::Failed(failures)) }
    }

    /// The same with what came of it on each, by name.
    fn results<W: Sync, T: Send>(
        &self,
        work: &BTreeMap<Name, (Server, Vec<W>)>,
        cluster: Option<&Cluster>,
        each: &(impl Fn(&Host<'_>, &[W]) -> Result<Vec<T>, HostError> + Sync),
    ) -> BTreeMap<Name, Result<Vec<T>, HostError>> {
        let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work: Vec<&(Server, Vec<W>)> = work.values().collect();
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(work.len()) {
                scope.spawn(|| {
                    while let Some((server, items)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let opened = self.provider.transport(&self.infra, &server.spec.name);
                        let result = opened.map_err(HostError::from).and_then(|transport| {
                            let transport = transport.as_ref();
                            let (operation, reporter) = (self.operation.as_str(), self.reporter);
                            let (cache, workspace) = (self.cache(), self.workspace);
                            each(&Host { transport, server, operation, cluster, cache, workspace, reporter }, items)
                        });
                        results.lock().unwrap_or_else(PoisonError::into_inner).insert(server.spec.name.clone(), result);
                    }
                });
            }
        });
        results.into_inner().unwrap_or_default()
    }

    fn cache(&self) -> PathBuf {
        self.workspace.state_dir().join("cache")
    }

    /// A definition by name.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn definition(&self, name: &Name) -> Result<Definition, TaskservError> {
        Ok(self.library.find(name)?)
    }
}
