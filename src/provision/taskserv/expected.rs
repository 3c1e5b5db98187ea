//! What would be installed on servers that are yet to be made.

use std::collections::BTreeSet;

use super::{Action, Done, TaskservError, Taskservs, order};
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

impl Taskservs<'_> {
    /// As [`Taskservs::plan`], where the servers `expected` will have been made by then: on those that aren't there yet,
    /// everything is to install.
    ///
    /// # Errors
    /// [`TaskservError`].
    pub fn plan_expecting(
        &self,
        wanted: &[TaskservRef],
        reinstall: bool,
        expected: &[Name],
    ) -> Result<Vec<Done>, TaskservError> {
        let there: BTreeSet<Name> = self.provider_list()?.into_iter().map(|server| server.spec.name).collect();
        let coming: Vec<&Name> = expected.iter().filter(|name| !there.contains(*name)).collect();
        if coming.is_empty() {
            return self.plan(wanted, reinstall);
        }
        let now: Vec<TaskservRef> = wanted.iter().filter_map(|one| without(one, &coming, !there.is_empty())).collect();
        let mut plan = if now.is_empty() { Vec::new() } else { self.plan(&now, reinstall)? };
        for server in coming {
            let here = |one: &&TaskservRef| one.servers.is_empty() || one.servers.contains(server);
            let mine: Vec<TaskservRef> = wanted.iter().filter(here).cloned().collect();
            plan.extend(order::order(&mine, &self.library)?.into_iter().map(|placed| Done {
                server: server.clone(),
                taskserv: placed.definition.name,
                version: placed.definition.version,
                action: Action::Install,
            }));
        }
        Ok(plan)
    }
}

/// The part of a wish that is about servers which are there.
fn without(wanted: &TaskservRef, coming: &[&Name], is_any_there: bool) -> Option<TaskservRef> {
    if wanted.servers.is_empty() {
        return is_any_there.then(|| wanted.clone());
    }
    let servers: Vec<Name> = wanted.servers.iter().filter(|name| !coming.contains(name)).cloned().collect();
    (!servers.is_empty()).then(|| TaskservRef { servers, ..wanted.clone() })
}
