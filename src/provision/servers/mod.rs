//! An infra's servers over all its providers: list them, plan, carry the plan out.
//!
//! Start at [`Servers`]. What is wanted comes from settings or from an operation of a batch ([`wanted`]); what has to
//! change is [`super::plan`]'s decision; [`apply`] does it, several servers at once. Knows no particular provider, and
//! asks nobody for leave: the command line does that before it calls [`Servers::apply`].

mod apply;
pub mod declared;
mod drift;
#[cfg(test)]
mod fake;
mod outcome;
mod prepare;
mod reconcile;
mod seen;
pub mod wanted;

use std::collections::BTreeMap;

use super::error::chain;
use super::plan::{Action, Changes, Others, Wanted};
use super::provider::{self, Provider, ProviderError, Server, ServerSpec};
use super::report::Reporter;
use super::workspace::Workspace;
use crate::model::name::Name;

pub use self::apply::Options;
pub use self::outcome::{Done, Failure, Outcome};
pub use self::prepare::{PrepareError, Prepared, Source, everywhere, existing, load, require_infra};
pub use self::reconcile::Reconciled;
pub use self::seen::Seen;

/// The servers of one infra.
pub struct Servers<'a> {
    workspace: &'a Workspace,
    infra: Name,
    providers: BTreeMap<String, Box<dyn Provider>>,
    reporter: &'a Reporter,
}

/// Why something with servers could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// A provider can't be had.
    #[error("the provider {name} can't be used")]
    Provider {
        /// The provider.
        name: String,
        /// Why.
        source: Box<ProviderError>,
    },
    /// A provider can't say what servers it has.
    #[error("can't list the servers of {infra} at {provider}")]
    List {
        /// The infra.
        infra: Name,
        /// The provider.
        provider: String,
        /// Why.
        source: Box<ProviderError>,
    },
    /// What is wanted is wrong; everything that the providers found is listed.
    #[error("{} wrong:{}", counted(problems.len(), "server is", "servers are"), list(problems))]
    Invalid {
        /// What is wrong, one line a server.
        problems: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Machines have the names of wanted servers, and this workspace has no record of making them.
    #[error("{} not on record here, and in the way:{}", counted(strays.len(), "machine is", "machines are"), list(strays))]
    Strays {
        /// The infra.
        infra: Name,
        /// One line each.
        strays: Vec<String>,
    },
    /// Some servers were done and some were not.
    #[error("{0}")]
    Incomplete(Box<Outcome>),
}

impl ServersError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Provider { source, .. } | Self::List { source, .. } => provider_hint(source),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Strays { infra, .. } => Some(format!("adopt or delete them: prov infra reconcile {infra}")),
            Self::Incomplete(outcome) => outcome.hint(),
        }
    }

    /// The provider that can't be used or asked, where it is about one.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::Provider { name: provider, .. } | Self::List { provider, .. } => Some(provider),
            Self::Invalid { .. } | Self::Incomplete(_) | Self::Strays { .. } => None,
        }
    }

    /// Whether the request itself is at fault.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Invalid { .. } => true,
            Self::Provider { source, .. } | Self::List { source, .. } => {
                matches!(**source, ProviderError::Invalid { .. })
            }
            Self::Incomplete(_) | Self::Strays { .. } => false,
        }
    }
}

impl<'a> Servers<'a> {
    /// The servers of `infra` at the providers named, each once.
    ///
    /// # Errors
    /// [`ServersError::Provider`] for a provider that this host can't use.
    pub fn open<'n>(
        workspace: &'a Workspace,
        infra: &Name,
        providers: impl IntoIterator<Item = &'n str>,
        reporter: &'a Reporter,
    ) -> Result<Self, ServersError> {
        let mut opened = BTreeMap::new();
        for name in providers {
            if !opened.contains_key(name) {
                let provider = provider::open(name, workspace);
                let failed = |source| ServersError::Provider { name: name.to_owned(), source: Box::new(source) };
                opened.insert(name.to_owned(), provider.map_err(failed)?);
            }
        }
        Ok(Self { workspace, infra: infra.clone(), providers: opened, reporter })
    }

    /// The servers that are there, by name.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn list(&self) -> Result<Vec<Server>, ServersError> {
        let mut servers = self.of_each(|provider| provider.list(&self.infra))?;
        servers.sort_by(|a: &Server, b: &Server| a.spec.name.cmp(&b.spec.name));
        Ok(servers)
    }

    /// The servers at the providers at which this workspace may have had something made: the others needn't be asked.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn list_touched(&self) -> Result<Vec<Server>, ServersError> {
        let list = |provider: &dyn Provider| provider.list(&self.infra);
        self.of_each(|provider| if provider.is_untouched(&self.infra) { Ok(Vec::new()) } else { list(provider) })
    }

    /// The machines that carry the infra's labels though this workspace has no record of making them, by name.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn strays(&self) -> Result<Vec<Server>, ServersError> {
        self.of_each(|provider| provider.strays(&self.infra))
    }

    /// The servers that this workspace made and somebody else deleted.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn gone(&self) -> Result<Vec<ServerSpec>, ServersError> {
        self.of_each(|provider| provider.gone(&self.infra))
    }

    /// Whether it is certain, without asking a provider, that this workspace never had anything made here.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.providers.values().all(|provider| provider.is_untouched(&self.infra))
    }

    /// The providers at which this workspace may have had something made here, by name.
    pub fn touched(&self) -> impl Iterator<Item = &str> {
        let touched = self.providers.iter().filter(|(_, provider)| !provider.is_untouched(&self.infra));
        touched.map(|(name, _)| name.as_str())
    }

    /// Everything that there is: what [`list`](Self::list) and [`strays`](Self::strays) say.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn all(&self) -> Result<Vec<Server>, ServersError> {
        let mut servers = self.list()?;
        servers.extend(self.strays()?);
        servers.sort_by(|a, b| (&a.spec.name, a.stray).cmp(&(&b.spec.name, b.stray)));
        Ok(servers)
    }

    fn of_each<T>(&self, ask: impl Fn(&dyn Provider) -> Result<Vec<T>, ProviderError>) -> Result<Vec<T>, ServersError> {
        let mut answers = Vec::new();
        for (name, provider) in &self.providers {
            answers.extend(ask(provider.as_ref()).map_err(|source| self.cannot_list(name, source))?);
        }
        Ok(answers)
    }

    fn cannot_list(&self, provider: &str, source: ProviderError) -> ServersError {
        ServersError::List { infra: self.infra.clone(), provider: provider.to_owned(), source: Box::new(source) }
    }

    /// Asks the providers whether they could make what is wanted; touches nothing.
    ///
    /// # Errors
    /// [`ServersError::Invalid`] with everything that is wrong.
    pub fn validate(&self, wanted: &[Wanted]) -> Result<(), ServersError> {
        let mut problems = Vec::new();
        let mut hint = None;
        for wanted in wanted {
            if let Err(error) = self.provider(wanted.provider.as_str()).and_then(|p| p.validate(&wanted.spec)) {
                let why = chain(&error);
                let name = &wanted.spec.name;
                problems.push(if why.starts_with(&format!("server {name}:")) { why } else { format!("{name}: {why}") });
                hint = hint.or_else(|| provider_hint(&error));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ServersError::Invalid { problems, hint }) }
    }

    /// What has to change for what is there to become what is wanted.
    ///
    /// # Errors
    /// [`ServersError::List`].
    pub fn plan(&self, wanted: &[Wanted], others: Others) -> Result<Changes, ServersError> {
        let there = self.list()?;
        self.refuse_strays(wanted, &there)?;
        Ok(self.warned(Changes::between(&self.infra, wanted, &there, others)))
    }

    /// A wanted server whose name a stray has can be neither made nor kept before somebody says what the stray is.
    fn refuse_strays(&self, wanted: &[Wanted], there: &[Server]) -> Result<(), ServersError> {
        let is_wanted = |stray: &&Server| {
            let named = |spec: &ServerSpec| spec.name == stray.spec.name;
            wanted.iter().any(|wanted| named(&wanted.spec)) && !there.iter().any(|server| named(&server.spec))
        };
        let strays: Vec<String> = self.strays()?.iter().filter(is_wanted).map(stray_line).collect();
        if strays.is_empty() { Ok(()) } else { Err(ServersError::Strays { infra: self.infra.clone(), strays }) }
    }

    /// The changes with what the providers say beforehand of servers that are yet to be made.
    #[must_use]
    pub fn warned(&self, mut changes: Changes) -> Changes {
        for change in &mut changes.changes {
            if let (Action::Create | Action::Replace, Some(wanted)) = (change.action, &change.wanted) {
                change.warnings = self.provider(&change.provider).map_or_else(|_| Vec::new(), |it| it.warnings(wanted));
            }
        }
        changes
    }

    fn provider(&self, name: &str) -> Result<&dyn Provider, ProviderError> {
        self.providers.get(name).map(AsRef::as_ref).ok_or_else(|| ProviderError::Invalid {
            what: format!("the provider {name:?} is not among those of {}", self.infra),
            hint: None,
        })
    }
}

fn stray_line(stray: &Server) -> String {
    format!("{} at {}: {}", stray.spec.name, stray.provider, stray.id)
}

fn provider_hint(error: &ProviderError) -> Option<String> {
    match error {
        ProviderError::Invalid { hint, .. } | ProviderError::Unavailable { hint, .. } => hint.clone(),
        ProviderError::Conflict { .. } => Some("see what would change with --check".to_owned()),
        ProviderError::NotFound(_) | ProviderError::Failed { .. } => None,
    }
}

fn list(lines: &[String]) -> String {
    lines.iter().flat_map(|line| ["\n  ", line.as_str()]).collect()
}

/// `1 server`, `2 servers`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
