//! Where a cluster differs from what is declared: its servers, their task services, and whether they work as one.

use super::definition::Wish;
use super::{ClusterError, Clusters};
use crate::provision::error::chain;
use crate::provision::plan::drift::{Drift, DriftKind, Thing};
use crate::provision::plan::{Action, Change, Changes, Others};
use crate::provision::provider::{Server, ServerSpec, ServerState};
use crate::provision::settings::ClusterSettings;
use crate::provision::taskserv::library::Library;

/// What is found of one cluster, by kind.
#[derive(Default)]
struct Found {
    changed: Vec<String>,
    unhealthy: Vec<String>,
    unknown: Vec<String>,
}

impl Clusters<'_> {
    /// Where `cluster` differs from its servers that are there and those that are `gone`.
    ///
    /// # Errors
    /// [`ClusterError`] where it can't be told what it should be.
    pub fn differences(
        &self,
        cluster: &ClusterSettings,
        own: &[Server],
        gone: &[&ServerSpec],
    ) -> Result<Vec<Drift>, ClusterError> {
        let name = &cluster.name;
        let of = |kind: DriftKind, what: String| Drift::of_cluster(name, &self.provider, kind, what);
        if own.is_empty() {
            return Ok(vec![match gone {
                [] => of(DriftKind::Missing, "it isn't there".to_owned()),
                _ => of(DriftKind::Gone, "somebody deleted its servers at their provider".to_owned()),
            }]);
        }
        // Whoever is told of its members, and what each of them is, isn't known without their records.
        let damaged = own.iter().filter(|server| server.state == ServerState::Damaged);
        let damaged: Vec<String> =
            damaged.map(|server| format!("the record of {} can't be read", server.spec.name)).collect();
        if !damaged.is_empty() {
            return Ok(vec![of(DriftKind::Unknown, damaged.join("; "))]);
        }
        let wish = Wish::of(&Library::of(self.workspace, &self.infra), cluster)?;
        let changes = Changes::between(&self.infra, &self.wanted(&wish)?, own, Others::Leave);
        let mut found = Found::default();
        for change in &changes.changes {
            found.take_server(change, gone);
        }
        // Members that are elsewhere than they should be, or are to be others, aren't asked: all of it is to be made anew.
        let is_staying =
            own.iter().all(|server| server.provider == self.provider) && changes.of(Action::Replace).next().is_none();
        if is_staying {
            self.ask(&wish, own, &changes, &mut found)?;
        }
        let kinds = [
            (DriftKind::Changed, found.changed),
            (DriftKind::Unhealthy, found.unhealthy),
            (DriftKind::Unknown, found.unknown),
        ];
        let said = kinds.into_iter().filter(|(_, what)| !what.is_empty());
        Ok(said.map(|(kind, what)| of(kind, what.join("; "))).collect())
    }

    /// Asks the members' task services, and whether the whole works.
    fn ask(&self, wish: &Wish, own: &[Server], changes: &Changes, found: &mut Found) -> Result<(), ClusterError> {
        // What the members are told of each other is known while all of them are there and run.
        if found.unhealthy.is_empty() && changes.of(Action::Create).next().is_none() {
            let services = self.services()?.as_cluster(&wish.name).differences(&wish.placed()?, own);
            for drift in &services {
                found.take_service(drift);
            }
        }
        match self.healthy(wish) {
            Ok(_) => {}
            Err(ClusterError::Unhealthy { why, .. }) => found.unhealthy.push(why),
            // That one of them is stopped has been said.
            Err(_) if own.iter().any(|server| server.state == ServerState::Stopped && server.silent.is_none()) => {}
            Err(error) => found.unknown.push(chain(&error)),
        }
        Ok(())
    }
}

impl Found {
    fn take_server(&mut self, change: &Change, gone: &[&ServerSpec]) {
        let server = &change.server;
        let silent = change.actual.as_ref().and_then(|actual| actual.silent.clone());
        let altered = change.actual.iter().flat_map(|actual| actual.changed.clone());
        let differences = change.differences.iter().map(ToString::to_string).chain(altered);
        match change.action {
            Action::Create if gone.iter().any(|spec| spec.name == *server) => {
                self.changed.push(format!("server {server} was deleted at its provider"));
            }
            Action::Create if change.actual.is_none() => self.changed.push(format!("server {server} is missing")),
            Action::Start => match silent {
                Some(why) => self.unknown.push(format!("server {server} doesn't answer: {why}")),
                None => self.unhealthy.push(format!("server {server} is stopped")),
            },
            Action::Leave => self.changed.push(format!("server {server} is one too many")),
            _ => {
                let details: Vec<String> = differences.chain(change.reason.clone()).collect();
                self.changed.extend((!details.is_empty()).then(|| format!("server {server}: {}", details.join(", "))));
            }
        }
    }

    fn take_service(&mut self, drift: &Drift) {
        let line = match drift.thing {
            Thing::Taskserv => format!("{}: {}: {}", drift.subject(), drift.kind.as_str(), drift.what),
            Thing::Server | Thing::Cluster => format!("{}: {}", drift.subject(), drift.what),
        };
        match drift.kind {
            DriftKind::Unknown => self.unknown.push(line),
            DriftKind::Failing | DriftKind::Stopped => self.unhealthy.push(line),
            _ => self.changed.push(line),
        }
    }
}
