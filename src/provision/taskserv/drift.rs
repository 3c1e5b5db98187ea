//! Where task services differ from what is declared, from what was installed, and from what they say of themselves.
//!
//! A check that fails can't tell a service that is broken from one that is gone: the package system, the place of its files
//! or its own command says that. Installs nothing and writes no record.

use std::collections::{BTreeMap, BTreeSet};

use super::host::{Host, HostError};
use super::library::Library;
use super::members::Cluster;
use super::order::{self, Placed};
use super::record::{Stored, digest};
use super::{Taskservs, version};
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::provision::error::chain;
use crate::provision::plan::drift::{Drift, DriftKind};
use crate::provision::provider::{Server, ServerState};

/// The status of a shell that doesn't find a command.
const NOT_FOUND: i32 = 127;

/// What was found of a service.
type Found = (Name, DriftKind, String);
/// What one service is judged to be.
type Judged = Result<Vec<(DriftKind, String)>, HostError>;

impl Taskservs<'_> {
    /// Where what is on `servers` differs from what is `wanted` there; whatever can't be found out is said to be unknown.
    #[must_use]
    pub fn differences(&self, wanted: &[TaskservRef], servers: &[Server]) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut work = BTreeMap::new();
        for server in servers {
            let here = |wanted: &&TaskservRef| wanted.servers.contains(&server.spec.name);
            let mine: Vec<TaskservRef> = wanted.iter().filter(here).cloned().collect();
            if let Some((kind, what)) = without_asking(server.state) {
                // What is said of a server that nobody can ask is said of what it holds.
                let told = mine.iter().filter(|_| server.silent.is_none());
                drift.extend(told.map(|one| Drift::of_taskserv(&one.name, server, kind, what.to_owned())));
                continue;
            }
            match order::order(&mine, &self.library) {
                Ok(placed) => drop(work.insert(server.spec.name.clone(), (server.clone(), placed))),
                Err(error) => drift.push(unknown(server, &error)),
            }
        }
        let cluster = match self.as_members(&work) {
            Ok(cluster) => cluster,
            Err(error) => {
                drift.extend(work.values().map(|(server, _)| unknown(server, &error)));
                return drift;
            }
        };
        drift.extend(self.on_hosts(&work, cluster.as_ref()));
        drift
    }

    fn on_hosts(&self, work: &BTreeMap<Name, (Server, Vec<Placed>)>, cluster: Option<&Cluster>) -> Vec<Drift> {
        let differ = |host: &Host<'_>, placed: &[Placed]| host.differences(placed, &self.library);
        let mut drift = Vec::new();
        for (name, result) in self.results(work, cluster, &differ) {
            let Some((server, _)) = work.get(&name) else { continue };
            match result {
                Ok(found) => drift.extend(
                    found.into_iter().map(|(service, kind, what)| Drift::of_taskserv(&service, server, kind, what)),
                ),
                Err(error) => drift.push(unknown(server, &error)),
            }
        }
        drift
    }
}

/// What is known of the services of a server in this state, where it can't be asked itself: nothing is installed before a
/// server is made to its end, and what a whole one holds it keeps while it is stopped.
const fn without_asking(state: ServerState) -> Option<(DriftKind, &'static str)> {
    match state {
        ServerState::Running => None,
        ServerState::Stopped => Some((DriftKind::Stopped, "its server doesn't run")),
        ServerState::Incomplete => Some((DriftKind::Missing, "its server isn't ready")),
        ServerState::Damaged => Some((DriftKind::Unknown, "its server's record can't be read")),
    }
}

fn unknown(server: &Server, error: &dyn std::error::Error) -> Drift {
    let what = format!("its task services can't be asked: {}", chain(error));
    Drift::of_server(&server.spec.name, &server.provider, DriftKind::Unknown, what)
}

impl Host<'_> {
    /// Where what is here differs from what is to be here.
    fn differences(&self, placed: &[Placed], library: &Library) -> Result<Vec<Found>, HostError> {
        let records = self.records()?;
        let stored = |name: &Name| records.iter().find(|stored| stored.record.name == *name);
        let is_placed = |stored: &&Stored| placed.iter().any(|placed| placed.definition.name == stored.record.name);
        let undeclared = records.iter().filter(|stored| !is_placed(stored));
        let mut found: Vec<Found> = undeclared
            .map(|Stored { record, .. }| {
                let by = match record.operation.as_str() {
                    "" => String::new(),
                    operation => format!(" by {operation}"),
                };
                (
                    record.name.clone(),
                    DriftKind::Undeclared,
                    format!("not declared; {} was installed{by}", record.version),
                )
            })
            .collect();
        // All are asked at once, for a check may take its time to say no.
        let judged: Vec<(Name, Judged)> = std::thread::scope(|scope| {
            let judge = |placed: &'_ Placed| self.judge(placed, stored(&placed.definition.name), library);
            let asked: Vec<_> =
                placed.iter().map(|placed| (&placed.definition.name, scope.spawn(move || judge(placed)))).collect();
            asked.into_iter().map(|(name, one)| (name.clone(), one.join().unwrap_or_else(|_| Ok(Vec::new())))).collect()
        });
        for (name, result) in judged {
            let kinds = result.unwrap_or_else(|error| vec![(DriftKind::Unknown, chain(&error))]);
            found.extend(kinds.into_iter().map(|(kind, what)| (name.clone(), kind, what)));
        }
        Ok(found)
    }

    fn judge(&self, placed: &Placed, stored: Option<&Stored>, library: &Library) -> Judged {
        let Some(stored) = stored else {
            return Ok(vec![(DriftKind::Missing, "it was never installed".to_owned())]);
        };
        if !stored.record.complete {
            return Ok(vec![(DriftKind::Missing, "its installation was cut short".to_owned())]);
        }
        let mut changes = self.changes(placed, stored)?;
        let mut found = Vec::new();
        match self.check_kept(stored, library) {
            Err(HostError::Exec(error)) => return Err(error.into()),
            Err(failed) if self.is_gone(placed, &failed)? => {
                let what = format!("{} was installed, and is there no more: {}", stored.record.version, said(&failed));
                return Ok(vec![(DriftKind::Gone, what)]);
            }
            Err(failed) => found.push((DriftKind::Failing, said(&failed))),
            Ok(_) => changes.extend(self.other_version(placed, stored)),
        }
        if !changes.is_empty() {
            found.push((DriftKind::Changed, changes.join("; ")));
        }
        Ok(found)
    }

    /// In what a service is wanted otherwise than it was installed.
    fn changes(&self, placed: &Placed, stored: &Stored) -> Result<Vec<String>, HostError> {
        if digest(placed, self.peers(), self.workspace)? == stored.record.digest {
            return Ok(Vec::new());
        }
        let (asked, version) = (&placed.software.version, &stored.record.version);
        let mut changes = Vec::new();
        if !asked.is_empty() && !version::means(asked, version) {
            changes.push(format!("version: {version} → {asked}"));
        }
        // Their values may be secret: they are only named.
        let variables: BTreeSet<&String> =
            placed.environment.iter().chain(&stored.environment).map(|(name, _)| name).collect();
        let value = |of: &[(String, super::Parameter)], name: &String| {
            of.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        };
        let differ = |name: &&String| value(&placed.environment, name) != value(&stored.environment, name);
        let parameters: Vec<String> = variables
            .into_iter()
            .filter(differ)
            .map(|name| name.strip_prefix("PROV_PARAM_").unwrap_or(name).to_ascii_lowercase())
            .filter(|name| name != "version")
            .collect();
        if !parameters.is_empty() {
            changes.push(format!("other parameters: {}", parameters.join(", ")));
        }
        if changes.is_empty() {
            let peers = if self.cluster.is_some() { ", the cluster's members" } else { "" };
            changes.push(format!("its definition{peers} or a secret is another one than when it was installed"));
        }
        Ok(changes)
    }

    /// The version that is there, where it is another one than what was installed, and not what is wanted either. What
    /// can't say it says nothing.
    fn other_version(&self, placed: &Placed, stored: &Stored) -> Option<String> {
        let (asked, recorded) = (&placed.software.version, &stored.record.version);
        let actual = self.actual_version(placed).ok().flatten()?;
        let is_wanted = !asked.is_empty() && version::means(asked, &actual);
        (actual != *recorded && !is_wanted).then(|| format!("version: {recorded} was installed, {actual} is there"))
    }

    /// Whether a service whose check failed isn't there at all, as far as anything but its check knows.
    fn is_gone(&self, placed: &Placed, failed: &HostError) -> Result<bool, HostError> {
        let is_unfound = |error: &HostError| matches!(error, HostError::Script { status: NOT_FOUND, .. });
        if let Some(package) = placed.software.packages.needed.first() {
            let ask = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package.name.as_str()];
            let answer = self.run(&ask, b"")?;
            return Ok(answer.status != 0 || String::from_utf8_lossy(&answer.stdout).trim() != "installed");
        }
        if let Some(artifact) = placed.software.artifacts.first() {
            let definition = &artifact.definition;
            let provides = definition.provides.as_deref().unwrap_or_default();
            let there = r#"[ -e "$1" ] || { [ -n "$2" ] && command -v "$2" >/dev/null; }"#;
            return Ok(self.run(&["sh", "-c", there, "sh", &definition.destination, provides], b"")?.status != 0);
        }
        Ok(is_unfound(failed) || self.actual_version(placed).as_ref().is_err_and(is_unfound))
    }
}

/// A failure without the name of the service, which stands beside it.
fn said(failed: &HostError) -> String {
    let text = chain(failed);
    text.split_once(": ").filter(|(name, _)| Name::new(*name).is_ok()).map_or(text.clone(), |(_, rest)| rest.to_owned())
}
