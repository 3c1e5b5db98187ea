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
use super::identity;
use super::plan::{Action, Changes, Others, Wanted};
use super::provider::{self, Provider, ProviderError, Server, ServerSpec, ServerState};
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
    /// The id of the workspace, if it has one.
    own: Option<String>,
    /// Another one whose machines count as this one's strays.
    also: Option<String>,
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
    #[error("can't list the servers of {infra} at {provider}{}", on_record(recorded.as_deref()))]
    List {
        /// The infra.
        infra: Name,
        /// The provider.
        provider: String,
        /// The servers that this workspace has on record there; none where it keeps none.
        recorded: Option<Vec<Name>>,
        /// Why.
        source: Box<ProviderError>,
    },
    /// What could be deleted was, and something is left at providers that can't be asked.
    #[error("{} asked, so servers of {infra} are left:{}", counted(left.len(), "provider can't be", "providers can't be"), list(left))]
    Left {
        /// The infra.
        infra: Name,
        /// What is left where, and why, one line a provider.
        left: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
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
        /// Another workspace that made some of them.
        of: Option<String>,
    },
    /// The record of a wanted server can't be read.
    #[error("the server {server} of {infra} is there, and nobody can say what it is: {why}")]
    Damaged {
        /// The infra.
        infra: Name,
        /// The server.
        server: Name,
        /// What its provider says of that.
        why: String,
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
            Self::Provider { source, .. } | Self::List { source, .. } => source.hint(),
            Self::Invalid { hint, .. } | Self::Left { hint, .. } => hint.clone(),
            Self::Strays { infra, of: Some(other), .. } => Some(provider::of_another_workspace(infra, other)),
            Self::Strays { infra, of: None, .. } => Some(format!("adopt or delete them: prov infra reconcile {infra}")),
            Self::Damaged { infra, server, .. } => Some(format!(
                "put a copy of the record back, or delete the server with all it holds: prov servers delete {server} --infra {infra}"
            )),
            Self::Incomplete(outcome) => outcome.hint(),
        }
    }

    /// The provider that can't be used or asked, where it is about one.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::Provider { name: provider, .. } | Self::List { provider, .. } => Some(provider),
            Self::Invalid { .. }
            | Self::Incomplete(_)
            | Self::Strays { .. }
            | Self::Damaged { .. }
            | Self::Left { .. } => None,
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
            Self::Incomplete(_) | Self::Strays { .. } | Self::Damaged { .. } | Self::Left { .. } => false,
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
        let mut servers = Self::at_none(workspace, infra, reporter);
        for name in providers {
            if !servers.providers.contains_key(name) {
                let provider = provider::open(name, workspace, reporter);
                let failed = |source| ServersError::Provider { name: name.to_owned(), source: Box::new(source) };
                servers.providers.insert(name.to_owned(), provider.map_err(failed)?);
            }
        }
        Ok(servers)
    }

    /// Those of no provider yet.
    fn at_none(workspace: &'a Workspace, infra: &Name, reporter: &'a Reporter) -> Self {
        let own = identity::of(workspace).unwrap_or_else(|error| {
            reporter.say(&format!("warning: {error}; all that says which workspace made it counts as another one's"));
            None
        });
        Self { workspace, infra: infra.clone(), providers: BTreeMap::new(), reporter, own, also: None }
    }

    /// With the machines of another workspace as this one's strays: it is lost, or was this one before its `.prov` was lost.
    #[must_use]
    pub fn with_those_of(self, workspace: Option<String>) -> Self {
        Self { also: workspace, ..self }
    }

    /// With these providers besides; one that can't be used says why when it is asked.
    #[must_use]
    pub fn besides<'n>(mut self, providers: impl IntoIterator<Item = &'n str>) -> Self {
        for name in providers {
            let opened = || provider::open_or_why(name, self.workspace, self.reporter);
            self.providers.entry(name.to_owned()).or_insert_with(opened);
        }
        self
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

    /// The machines that carry the infra's labels though this workspace has no record of making them, by name: its own, and
    /// those that don't say whose they are.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn strays(&self) -> Result<Vec<Server>, ServersError> {
        let mut strays = self.of_each(|provider| provider.strays(&self.infra))?;
        strays.retain(|stray| !self.is_elsewhere(stray));
        Ok(strays)
    }

    /// The machines of other workspaces that carry the labels of an infra of this name.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn elsewhere(&self) -> Result<Vec<Server>, ServersError> {
        let mut strays = self.of_each(|provider| provider.strays(&self.infra))?;
        strays.retain(|stray| self.is_elsewhere(stray));
        Ok(strays)
    }

    /// Whether it is another workspace's.
    fn is_elsewhere(&self, stray: &Server) -> bool {
        let is_another = |id: &String| Some(id) != self.own.as_ref() && Some(id) != self.also.as_ref();
        stray.workspace.as_ref().is_some_and(is_another)
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

    /// What deletions may take: what [`list`](Self::list) says, and the [`strays`](Self::strays) that say themselves that
    /// this workspace made them.
    ///
    /// # Errors
    /// [`ServersError::List`] where a provider can't say.
    pub fn all(&self) -> Result<Vec<Server>, ServersError> {
        let mut servers = self.list()?;
        servers.extend(self.strays()?.into_iter().filter(|stray| stray.workspace.is_some()));
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
        let recorded = self.providers.get(provider).and_then(|it| it.recorded(&self.infra));
        let (infra, provider) = (self.infra.clone(), provider.to_owned());
        ServersError::List { infra, provider, recorded, source: Box::new(source) }
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
                hint = hint.or_else(|| error.hint());
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ServersError::Invalid { problems, hint }) }
    }

    /// What has to change for what is there to become what is wanted. A provider that nothing is wanted of needn't answer,
    /// unless what it has is to be deleted.
    ///
    /// # Errors
    /// [`ServersError::List`].
    pub fn plan(&self, wanted: &[Wanted], others: Others) -> Result<Changes, ServersError> {
        let mut seen = self.seen();
        for unasked in std::mem::take(&mut seen.unasked) {
            let is_wanted = wanted.iter().any(|wanted| unasked.provider() == Some(wanted.provider.as_str()));
            if is_wanted || others == Others::Prune {
                return Err(unasked);
            }
            self.reporter.say(&format!("warning: {}", chain(&unasked)));
        }
        self.refuse_strays(wanted, &seen)?;
        self.refuse_damaged(wanted, &seen)?;
        Ok(self.warned(Changes::between(&self.infra, wanted, &seen.there, others)))
    }

    /// A wanted server whose name a stray has can be neither made nor kept before somebody says what the stray is.
    fn refuse_strays(&self, wanted: &[Wanted], seen: &Seen) -> Result<(), ServersError> {
        let is_wanted = |stray: &&Server| {
            let named = |spec: &ServerSpec| spec.name == stray.spec.name;
            wanted.iter().any(|wanted| named(&wanted.spec)) && !seen.there.iter().any(|server| named(&server.spec))
        };
        let strays: Vec<&Server> = seen.strays.iter().chain(&seen.elsewhere).filter(is_wanted).collect();
        if strays.is_empty() {
            return Ok(());
        }
        let of = strays.iter().find(|stray| self.is_elsewhere(stray)).and_then(|stray| stray.workspace.clone());
        let strays = strays.into_iter().map(stray_line).collect();
        Err(ServersError::Strays { infra: self.infra.clone(), strays, of })
    }

    /// Of a wanted server whose record can't be read nobody knows what it is: it isn't replaced because of that.
    fn refuse_damaged(&self, wanted: &[Wanted], seen: &Seen) -> Result<(), ServersError> {
        let is_wanted = |server: &&Server| wanted.iter().any(|wanted| wanted.spec.name == server.spec.name);
        let mut damaged = seen.there.iter().filter(|server| server.state == ServerState::Damaged).filter(is_wanted);
        damaged.next().map_or(Ok(()), |server| {
            let (infra, server, why) = (self.infra.clone(), server.spec.name.clone(), server.notes.join("; "));
            Err(ServersError::Damaged { infra, server, why })
        })
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

/// `, where web-1 and web-2 are on record`.
fn on_record(recorded: Option<&[Name]>) -> String {
    match recorded {
        None | Some([]) => String::new(),
        Some([only]) => format!(", where {only} is on record"),
        Some([first @ .., last]) => {
            let first: Vec<&str> = first.iter().map(Name::as_str).collect();
            format!(", where {} and {last} are on record", first.join(", "))
        }
    }
}

fn stray_line(stray: &Server) -> String {
    let by = stray.workspace.iter().map(|workspace| format!(", made by the workspace {workspace}"));
    format!("{} at {}: {}{}", stray.spec.name, stray.provider, stray.id, by.collect::<String>())
}

fn list(lines: &[String]) -> String {
    lines.iter().flat_map(|line| ["\n  ", line.as_str()]).collect()
}

/// `1 server`, `2 servers`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
