//! Bringing what nobody has on record under somebody's hand again, and forgetting what is on record and gone.

use serde::Serialize;

use super::{Servers, ServersError};
use crate::model::name::Name;
use crate::provision::error::chain;
use crate::provision::lock::ServerLocks;
use crate::provision::plan::Wanted;
use crate::provision::provider::{Server, ServerSpec};

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
