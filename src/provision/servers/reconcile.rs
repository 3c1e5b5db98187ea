//! What settings declare, what this workspace made, and what providers have: where the three differ, and bringing what
//! nobody has on record under somebody's hand again.

use serde::Serialize;

use super::{Servers, ServersError};
use crate::model::name::Name;
use crate::provision::error::chain;
use crate::provision::lock::ServerLocks;
use crate::provision::plan::{Action, Change, Others, Wanted};
use crate::provision::provider::{Server, ServerSpec};

/// A server about which declaration, record and provider don't agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The server.
    pub server: Name,
    /// Its provider.
    pub provider: String,
    /// How they differ.
    pub kind: DriftKind,
    /// More of it, for people.
    pub what: String,
}

/// How declaration, record and provider differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    /// It is declared, and was never made.
    Missing,
    /// It was made, and somebody else deleted it.
    Gone,
    /// It isn't as declared, or somebody changed it at its provider.
    Changed,
    /// It is as declared and doesn't run.
    Stopped,
    /// It is there, and nobody declares it.
    Undeclared,
    /// It carries the infra's labels, and this workspace has no record of it.
    Stray,
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
            Self::Undeclared => "undeclared",
            Self::Stray => "stray",
        }
    }
}

/// What became of a stray.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reconciled {
    /// The stray.
    pub server: Name,
    /// Its provider.
    pub provider: String,
    /// The provider's id.
    pub id: String,
    /// `adopted`, `deleted`, or why neither.
    pub outcome: String,
    /// Whether it is no stray any more.
    pub done: bool,
}

impl Servers<'_> {
    /// Where declaration, record and providers differ, by server.
    ///
    /// # Errors
    /// [`ServersError::List`].
    pub fn drift(&self, wanted: &[Wanted]) -> Result<Vec<Drift>, ServersError> {
        let there = self.list()?;
        let (gone, strays) = (self.gone()?, self.strays()?);
        let changes = crate::provision::plan::Changes::between(&self.infra, wanted, &there, Others::Leave);
        let of_changes = changes.changes.iter().filter_map(|change| of_change(change, &gone));
        // What a batch made is declared by nobody's settings: that it is gone is news all the same.
        let named = |spec: &ServerSpec| changes.changes.iter().any(|change| change.server == spec.name);
        let lost = gone.iter().filter(|spec| !named(spec)).map(|spec| Drift {
            server: spec.name.clone(),
            provider: String::new(),
            kind: DriftKind::Gone,
            what: "somebody deleted it at its provider".to_owned(),
        });
        let strays = strays.iter().map(|stray| Drift {
            server: stray.spec.name.clone(),
            provider: stray.provider.clone(),
            kind: DriftKind::Stray,
            what: format!("{} is on nobody's record here", stray.id),
        });
        let mut drift: Vec<Drift> = of_changes.chain(lost).chain(strays).collect();
        drift.sort_by(|a, b| (&a.server, a.kind).cmp(&(&b.server, b.kind)));
        Ok(drift)
    }

    /// Records strays as this workspace's own: each as the server of its name that is `wanted`, or as its labels say. Those
    /// that differ from what is wanted, and those whose names are taken, stay strays.
    ///
    /// # Errors
    /// [`ServersError::List`].
    pub fn adopt(&self, wanted: &[Wanted]) -> Result<Vec<Reconciled>, ServersError> {
        self.each_stray("adopted", |stray| {
            let declared = wanted.iter().find(|wanted| wanted.spec.name == stray.spec.name);
            let spec = declared.map_or_else(|| stray.spec.clone(), |wanted| as_declared(wanted, stray));
            let differs = spec.plan != stray.spec.plan || spec.zone != stray.spec.zone;
            if differs && stray.spec.plan.cpus > 0 {
                return Err(format!("it has {} in {}, and is declared otherwise", stray.spec.plan, stray.spec.zone));
            }
            let provider = self.provider(&stray.provider).map_err(|error| chain(&error))?;
            provider.adopt(&Server { spec, ..stray.clone() }).map(drop).map_err(|error| chain(&error))
        })
    }

    /// Deletes strays.
    ///
    /// # Errors
    /// [`ServersError::List`].
    pub fn delete_strays(&self) -> Result<Vec<Reconciled>, ServersError> {
        self.each_stray("deleted", |stray| {
            let provider = self.provider(&stray.provider).map_err(|error| chain(&error))?;
            provider.delete_stray(stray).map_err(|error| chain(&error))
        })
    }

    /// Takes servers off the record that somebody else deleted.
    ///
    /// # Errors
    /// [`ServersError::List`].
    pub fn forget_gone(&self) -> Result<Vec<Reconciled>, ServersError> {
        let mut outcomes = Vec::new();
        for (name, provider) in &self.providers {
            let listed = |source| self.cannot_list(name, source);
            for spec in provider.gone(&self.infra).map_err(listed)? {
                let locked = ServerLocks::acquire(self.workspace, &self.infra, [&spec.name], self.reporter);
                let forget = |_lock| provider.delete(&self.infra, &spec.name).map_err(|error| chain(&error));
                let result = locked.map_err(|error| chain(&error)).and_then(forget);
                outcomes.push(Reconciled {
                    server: spec.name.clone(),
                    provider: name.clone(),
                    id: String::new(),
                    done: result.is_ok(),
                    outcome: result.map_or_else(|why| why, |()| "forgotten".to_owned()),
                });
            }
        }
        Ok(outcomes)
    }

    fn each_stray(
        &self,
        done: &str,
        work: impl Fn(&Server) -> Result<(), String>,
    ) -> Result<Vec<Reconciled>, ServersError> {
        // What another process is making looks like a stray until it is on record: so the lists are read in this order.
        self.list()?;
        let strays = self.strays()?;
        let outcomes = strays.iter().map(|stray| {
            let locked = ServerLocks::acquire(self.workspace, &self.infra, [&stray.spec.name], self.reporter);
            let result = locked.map_err(|error| chain(&error)).and_then(|_lock| work(stray));
            Reconciled {
                server: stray.spec.name.clone(),
                provider: stray.provider.clone(),
                id: stray.id.clone(),
                done: result.is_ok(),
                outcome: result.map_or_else(|why| why, |()| done.to_owned()),
            }
        });
        Ok(outcomes.collect())
    }
}

/// What a stray is recorded as where it is declared: whose work made it, and its labels, are as they are.
fn as_declared(wanted: &Wanted, stray: &Server) -> ServerSpec {
    let (operation, labels) = (stray.spec.operation.clone(), stray.spec.labels.clone());
    ServerSpec { operation, labels, ..wanted.spec.clone() }
}

fn of_change(change: &Change, gone: &[ServerSpec]) -> Option<Drift> {
    let changed = change.actual.iter().flat_map(|actual| actual.changed.clone());
    let differences = change.differences.iter().map(ToString::to_string);
    let details: Vec<String> = differences.chain(changed).chain(change.reason.clone()).collect();
    let (kind, what) = match change.action {
        Action::Create if gone.iter().any(|spec| spec.name == change.server) => {
            (DriftKind::Gone, "somebody deleted it at its provider".to_owned())
        }
        Action::Create if change.actual.is_none() => (DriftKind::Missing, "it was never made".to_owned()),
        Action::Start => (DriftKind::Stopped, details.join("; ")),
        Action::Leave => (DriftKind::Undeclared, details.join("; ")),
        Action::Keep if details.is_empty() => return None,
        _ => (DriftKind::Changed, details.join("; ")),
    };
    Some(Drift { server: change.server.clone(), provider: change.provider.clone(), kind, what })
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Sample, wanted};
    use super::super::{Options, Servers};
    use super::*;

    #[test]
    fn drift_names_what_is_missing_changed_stopped_and_undeclared() {
        let sample = Sample::new(Fake::default());
        let servers: Servers<'_> = sample.servers();
        let made = [wanted("a", 1), wanted("b", 1), wanted("c", 1), wanted("d", 1)];
        servers.apply(&servers.plan(&made, Others::Leave).unwrap(), &Options::default()).unwrap();
        assert!(servers.drift(&made).unwrap().is_empty());
        sample.fake().stop("b");
        let now = [wanted("a", 2), wanted("b", 1), wanted("c", 1), wanted("e", 1)];
        let drift = servers.drift(&now).unwrap();
        let seen: Vec<(&str, DriftKind)> = drift.iter().map(|drift| (drift.server.as_str(), drift.kind)).collect();
        let expected = [
            ("a", DriftKind::Changed),
            ("b", DriftKind::Stopped),
            ("d", DriftKind::Undeclared),
            ("e", DriftKind::Missing),
        ];
        assert_eq!(seen, expected);
        assert_eq!(drift[0].what, "plan: 1xCPU-1 GB → 2xCPU-1 GB");
    }
}
