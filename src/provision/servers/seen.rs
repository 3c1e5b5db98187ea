//! What all providers say of an infra's servers, as far as they answer: for people who look, and for what may be done at the
//! others where one of them doesn't.

use std::collections::BTreeSet;

use super::{Servers, ServersError};
use crate::model::name::Name;
use crate::provision::provider::{Provider, Server, ServerSpec};

/// What there is, and which providers can't be asked.
#[derive(Debug, Default)]
pub struct Seen {
    /// The servers on record, by name.
    pub there: Vec<Server>,
    /// Machines that carry the infra's labels and are on no record here, by name; none that another workspace made.
    pub strays: Vec<Server>,
    /// Those that other workspaces made.
    pub elsewhere: Vec<Server>,
    /// Servers on record that somebody else deleted, and their providers.
    pub gone: Vec<(String, ServerSpec)>,
    /// Why the other providers don't answer; each error names one.
    pub unasked: Vec<ServersError>,
}

impl Seen {
    /// All servers and strays, by name.
    #[must_use]
    pub fn all(self) -> Vec<Server> {
        let mut servers: Vec<Server> = self.there.into_iter().chain(self.strays).collect();
        servers.sort_by(|a, b| (&a.spec.name, a.stray).cmp(&(&b.spec.name, b.stray)));
        servers
    }

    /// What deletions may take: servers, and strays that say themselves that this workspace made them.
    #[must_use]
    pub fn own(mut self) -> Vec<Server> {
        self.strays.retain(|stray| stray.workspace.is_some());
        self.all()
    }

    /// Whether this provider is among those that can't be asked.
    #[must_use]
    pub fn is_unasked(&self, provider: &str) -> bool {
        self.unasked.iter().any(|error| error.provider() == Some(provider))
    }
}

impl Servers<'_> {
    /// The names of the servers that are on record, or that this machine has: nobody is asked over a network.
    #[must_use]
    pub fn recorded(&self) -> BTreeSet<Name> {
        let at = |provider: &dyn Provider| {
            let listed = || provider.list(&self.infra).unwrap_or_default().into_iter().map(|server| server.spec.name);
            provider.recorded(&self.infra).unwrap_or_else(|| listed().collect())
        };
        self.providers.values().flat_map(|provider| at(provider.as_ref())).collect()
    }

    /// Asks every provider.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for (name, provider) in &self.providers {
            // In this order: what another process is making looks like a stray until it is on record.
            let listed = provider.list(&self.infra).and_then(|there| {
                let strays = provider.strays(&self.infra)?;
                Ok((there, strays, provider.gone(&self.infra)?))
            });
            match listed {
                Ok((there, strays, gone)) => {
                    seen.there.extend(there);
                    let (elsewhere, strays): (Vec<_>, Vec<_>) =
                        strays.into_iter().partition(|stray| self.is_elsewhere(stray));
                    seen.strays.extend(strays);
                    seen.elsewhere.extend(elsewhere);
                    seen.gone.extend(gone.into_iter().map(|spec| (name.clone(), spec)));
                }
                Err(source) => seen.unasked.push(self.cannot_list(name, source)),
            }
        }
        seen.there.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        seen.strays.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        seen
    }
}
