//! Where declaration, record and the things themselves differ: of an infra's servers, task services and clusters.
//!
//! Declared is what the settings say; recorded, what was made and installed; actual, what providers, services' checks and
//! clusters' checks say now. Puts together what [`super::servers`], [`super::taskserv`] and [`super::cluster`] find of their
//! own things. Changes nothing, takes no lock, and writes no record.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Clusters;
use super::cluster::definition::Wish;
use super::error::chain;
use super::plan::CLUSTER_LABEL;
use super::plan::drift::{Drift, DriftKind, Thing};
use super::provider::{Server, ServerSpec, ServerState};
use super::report::Reporter;
use super::servers::{Seen, Servers, ServersError, wanted};
use super::settings::{ClusterSettings, DEFAULT_PROVIDER, Settings};
use super::taskserv::Taskservs;
use super::taskserv::library::Library;
use super::workspace::Workspace;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

/// What was found out.
#[derive(Debug)]
pub struct Comparison {
    /// Where something differs or can't be asked: servers with their task services by name, then clusters.
    pub drift: Vec<Drift>,
    /// Why providers can't be asked; each error names one.
    pub unasked: Vec<ServersError>,
}

/// Compares what `settings` declare, nothing where there are none, with what is recorded and with what there is.
#[must_use]
pub fn compare(workspace: &Workspace, infra: &Name, servers: &Servers<'_>, settings: Option<&Settings>) -> Comparison {
    // What checks say is told in what differs, not while they run.
    let reporter = Reporter::silent();
    let place = Place { workspace, infra, settings, reporter: &reporter };
    let (members, seen) = place.without_members(servers.seen());
    let wanted = settings.map(|settings| wanted::by_settings(settings, "")).unwrap_or_default();
    let mut drift = servers.differences(&wanted, &seen);
    drift.extend(place.taskservs(&seen));
    drift.extend(place.clusters(&members));
    let key = |one: &Drift| (one.thing == Thing::Cluster, one.server.clone(), one.thing, one.name.clone(), one.kind);
    drift.sort_by_key(key);
    Comparison { drift, unasked: seen.unasked }
}

/// Where something is compared.
struct Place<'a> {
    workspace: &'a Workspace,
    infra: &'a Name,
    settings: Option<&'a Settings>,
    reporter: &'a Reporter,
}

/// The servers of clusters: what is said of them is said of the cluster.
struct Members {
    there: Vec<Server>,
    gone: Vec<(String, ServerSpec)>,
    unasked: BTreeSet<String>,
}

impl Place<'_> {
    /// The members of clusters apart from the servers that the settings declare themselves, and the rest.
    fn without_members(&self, mut seen: Seen) -> (Members, Seen) {
        let declared: BTreeSet<&Name> =
            self.settings.iter().flat_map(|settings| &settings.servers).map(|server| &server.name).collect();
        let members = self.names_of_members();
        let is_member = |spec: &ServerSpec| cluster_of(spec).is_some() && !declared.contains(&spec.name);
        // A record that can't be read doesn't say whose it is: its name does.
        for server in seen.there.iter_mut().filter(|server| server.state == ServerState::Damaged) {
            if let Some(cluster) = members.get(&server.spec.name) {
                server.spec.labels.insert(CLUSTER_LABEL.to_owned(), cluster.to_string());
            }
        }
        // Of a cluster that nobody declares only servers are left to tell of.
        let is_lost = |spec: &ServerSpec| is_member(spec) && cluster_of(spec).is_some_and(|name| self.declares(&name));
        let (members, there) = std::mem::take(&mut seen.there).into_iter().partition(|one| is_member(&one.spec));
        let (lost, gone) = std::mem::take(&mut seen.gone).into_iter().partition(|(_, spec)| is_lost(spec));
        let unasked = seen.unasked.iter().filter_map(ServersError::provider).map(str::to_owned).collect();
        (Members { there: members, gone: lost, unasked }, Seen { there, gone, ..seen })
    }

    /// The task services on servers that are declared, or that declared services name.
    fn taskservs(&self, seen: &Seen) -> Vec<Drift> {
        let Some(settings) = self.settings else { return Vec::new() };
        let placed = settings.placed_taskservs();
        let declared = settings.servers.iter().map(|server| (&server.name, server.provider.as_str()));
        let mut meant: BTreeMap<&Name, &str> = declared.collect();
        for name in placed.iter().flat_map(|service| &service.servers) {
            meant.entry(name).or_insert(settings.provider.as_str());
        }
        let mut drift = Vec::new();
        let mut by_provider: BTreeMap<&str, Vec<Server>> = BTreeMap::new();
        for (name, provider) in meant {
            match seen.there.iter().find(|server| server.spec.name == *name) {
                Some(server) => by_provider.entry(&server.provider).or_default().push(server.clone()),
                None if seen.is_unasked(provider) => {
                    let what = format!("{provider} can't be asked");
                    drift.extend(without_server(name, provider, &placed, DriftKind::Unknown, &what));
                }
                None => {
                    let what = "its server isn't there";
                    drift.extend(without_server(name, provider, &placed, DriftKind::Missing, what));
                }
            }
        }
        for (provider, servers) in by_provider {
            match Taskservs::open(self.workspace, self.infra, provider, String::new(), self.reporter) {
                Ok(services) => drift.extend(services.differences(&placed, &servers)),
                Err(error) => drift.extend(
                    servers
                        .iter()
                        .map(|server| Drift::of_server(&server.spec.name, provider, DriftKind::Unknown, chain(&error))),
                ),
            }
        }
        drift
    }

    /// The servers that the declared clusters are to have, and whose they are.
    fn names_of_members(&self) -> BTreeMap<Name, Name> {
        let library = Library::of(self.workspace, self.infra);
        let members = self.declared_clusters().iter().filter_map(|cluster| Wish::of(&library, cluster).ok());
        members.flat_map(|wish| wish.members().into_iter().map(move |server| (server, wish.name.clone()))).collect()
    }

    fn declared_clusters(&self) -> &[ClusterSettings] {
        self.settings.map_or(&[], |settings| &settings.clusters)
    }

    fn declares(&self, cluster: &Name) -> bool {
        self.declared_clusters().iter().any(|declared| declared.name == *cluster)
    }

    fn clusters(&self, members: &Members) -> Vec<Drift> {
        let mut drift = Vec::new();
        for cluster in self.declared_clusters() {
            let provider = cluster.provider.as_str();
            if members.unasked.contains(provider) {
                let what = format!("{provider} can't be asked");
                drift.push(Drift::of_cluster(&cluster.name, provider, DriftKind::Unknown, what));
                continue;
            }
            let clusters = Clusters::of(self.workspace, self.infra, provider, String::new(), self.reporter);
            let of_it = |spec: &ServerSpec| cluster_of(spec).as_ref() == Some(&cluster.name);
            let own: Vec<Server> = members.there.iter().filter(|server| of_it(&server.spec)).cloned().collect();
            let gone: Vec<&ServerSpec> = members.gone.iter().map(|(_, spec)| spec).filter(|spec| of_it(spec)).collect();
            drift.extend(clusters.differences(cluster, &own, &gone).unwrap_or_else(|error| {
                vec![Drift::of_cluster(&cluster.name, provider, DriftKind::Unknown, chain(&error))]
            }));
        }
        let mut undeclared: BTreeMap<Name, Vec<&Server>> = BTreeMap::new();
        for server in &members.there {
            let name = cluster_of(&server.spec).filter(|name| !self.declares(name));
            if let Some(name) = name {
                undeclared.entry(name).or_default().push(server);
            }
        }
        drift.extend(undeclared.into_iter().map(|(name, servers)| {
            let names: Vec<&str> = servers.iter().map(|server| server.spec.name.as_str()).collect();
            let provider = servers.first().map_or(DEFAULT_PROVIDER, |server| server.provider.as_str());
            let what = format!("not declared; its servers are {}", names.join(", "));
            Drift::of_cluster(&name, provider, DriftKind::Undeclared, what)
        }));
        drift
    }
}

/// The cluster whose server it is.
fn cluster_of(spec: &ServerSpec) -> Option<Name> {
    spec.labels.get(CLUSTER_LABEL).and_then(|label| Name::new(label.clone()).ok())
}

/// What is said of the services that a server which nobody sees was to have.
fn without_server(server: &Name, provider: &str, placed: &[TaskservRef], kind: DriftKind, what: &str) -> Vec<Drift> {
    let here = placed.iter().filter(|service| service.servers.contains(server));
    here.map(|service| Drift {
        thing: Thing::Taskserv,
        name: service.name.clone(),
        server: Some(server.clone()),
        provider: provider.to_owned(),
        kind,
        what: what.to_owned(),
    })
    .collect()
}
