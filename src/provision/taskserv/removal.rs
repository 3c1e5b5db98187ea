//! Removing task services from an infra's servers, by their names or by the operation that installed them.

use std::collections::BTreeMap;

use super::definition::DefinitionError;
use super::host::Host;
use super::{Done, TaskservError, Taskservs};
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::provision::lock::ServerLocks;
use crate::provision::provider::{Server, ServerState};
use crate::provision::report::Steps;

/// Whose services are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Whatever is called so.
    Named,
    /// What this operation installed.
    OfOperation(String),
}

impl Taskservs<'_> {
    /// Removes the services; absent ones count as removed. A server that is stopped is started for it: only it knows what
    /// it holds.
    ///
    /// # Errors
    /// [`TaskservError::Needed`] when something that stays needs one of them; [`DefinitionError::Unknown`] for a name that
    /// stands for nothing, neither a definition nor something installed.
    pub fn delete(&self, unwanted: &[TaskservRef], removal: &Removal) -> Result<Vec<Done>, TaskservError> {
        let work = self.prepare_removal(unwanted, true)?;
        let _locks = ServerLocks::acquire(self.workspace, &self.infra, work.keys(), self.reporter)?;
        let steps = Steps::of(work.len());
        let remove = |host: &Host<'_>, names: &[Name]| {
            let removed = host.remove(names, removal, &self.library)?;
            steps.done(self.reporter, &format!("{}: done", host.server.spec.name));
            Ok(removed)
        };
        let done = self.each(&work, None, &remove)?;
        self.refuse_unknown(unwanted, removal, &done)?;
        Ok(done)
    }

    /// What [`Taskservs::delete`] would remove.
    ///
    /// # Errors
    /// As there.
    pub fn plan_removal(&self, unwanted: &[TaskservRef], removal: &Removal) -> Result<Vec<Done>, TaskservError> {
        let work = self.prepare_removal(unwanted, false)?;
        let done = self.each(&work, None, &|host: &Host<'_>, names: &[Name]| host.plan_removal(names, removal))?;
        self.refuse_unknown(unwanted, removal, &done)?;
        Ok(done)
    }

    /// For each server the names that are meant there.
    fn prepare_removal(
        &self,
        unwanted: &[TaskservRef],
        may_start: bool,
    ) -> Result<BTreeMap<Name, (Server, Vec<Name>)>, TaskservError> {
        let mut work = BTreeMap::new();
        if self.provider.is_untouched(&self.infra) {
            return Ok(work);
        }
        let meant = self.servers(unwanted, true)?;
        for server in self.awake(meant, may_start)? {
            let here = |wanted: &&TaskservRef| wanted.servers.is_empty() || wanted.servers.contains(&server.spec.name);
            let names: Vec<Name> = unwanted.iter().filter(here).map(|wanted| wanted.name.clone()).collect();
            work.insert(server.spec.name.clone(), (server, names));
        }
        Ok(work)
    }

    /// A misspelt name must not look like one that is gone already.
    fn refuse_unknown(&self, unwanted: &[TaskservRef], removal: &Removal, done: &[Done]) -> Result<(), TaskservError> {
        let absent = |wanted: &&TaskservRef| !done.iter().any(|done| done.taskserv == wanted.name);
        for wanted in unwanted.iter().filter(absent) {
            if let Err(error @ DefinitionError::Unknown { .. }) = self.library.find(&wanted.name)
                && *removal == Removal::Named
            {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The servers that run, with those started that are stopped. What is no whole server is passed over.
    fn awake(&self, servers: Vec<Server>, may_start: bool) -> Result<Vec<Server>, TaskservError> {
        let (stopped, others): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|server| server.state == ServerState::Stopped);
        let mut awake = self.running(others);
        for server in stopped {
            let (name, infra) = (server.spec.name.clone(), self.infra.clone());
            if !may_start {
                return Err(TaskservError::Server { name, infra, what: "doesn't run, so what it holds isn't known" });
            }
            self.reporter.step(&format!("{name}: starting it, for it must run for that"));
            let failed = |source| TaskservError::Provider { name: server.provider.clone(), source: Box::new(source) };
            awake.push(self.provider.create(&server.spec).map_err(failed)?);
        }
        Ok(awake)
    }
}
