//! From a request to a plan: which servers are meant, by settings, by an operation or by their names, and what would change.
//!
//! Touches nothing. The command line shows the plan or asks about it, then has it carried out by [`Prepared::apply`].

use super::{Options, Outcome, Servers, ServersError, declared, wanted};
use crate::model::batch::Payload;
use crate::model::name::Name;
use crate::model::nearest::nearest;
use crate::provision::error::chain;
use crate::provision::lock;
use crate::provision::operation::{self, BatchOperation, OperationError};
use crate::provision::plan::{Changes, Others};
use crate::provision::provider;
use crate::provision::report::Reporter;
use crate::provision::settings::{self, DEFAULT_PROVIDER, Settings, SettingsError};
use crate::provision::workspace::{Workspace, WorkspaceError};

/// What says which servers are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The infra's settings, in this file or in the first of the default ones that is there.
    Settings(Option<String>),
    /// An operation of a batch, in this file or on standard input (`-`).
    Operation(String),
}

/// A plan and what it takes to carry it out.
pub struct Prepared<'a> {
    servers: Servers<'a>,
    /// The plan.
    pub changes: Changes,
    /// Where something may be that it is about, and nobody could look.
    unasked: Vec<ServersError>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The workspace.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The operation.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The providers.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// A server that was named isn't where anybody could look.
    #[error("can't tell whether there is a server {name} in {infra}")]
    Unseen {
        /// The name.
        name: Name,
        /// The infra.
        infra: Name,
        /// Where nobody could look, and why.
        source: Box<ServersError>,
    },
    /// A server that was named isn't there.
    #[error("there is no server {name} in {infra}")]
    NoServer {
        /// The name.
        name: Name,
        /// The infra.
        infra: Name,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl PrepareError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Workspace(error) => error.hint(),
            Self::Operation(error) => error.hint(),
            Self::Servers(error) => error.hint(),
            Self::Unseen { source, .. } => source.hint(),
            Self::NoServer { hint, .. } => hint.clone(),
        }
    }

    /// Whether something that was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Settings(error) => error.is_not_found(),
            Self::Workspace(error) => error.is_not_found(),
            Self::NoServer { .. } => true,
            Self::Operation(_) | Self::Servers(_) | Self::Unseen { .. } => false,
        }
    }

    /// Whether the request or a file is at fault, rather than this host or a provider.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Settings(error) => error.is_invalid_file(),
            Self::Servers(error) => error.is_invalid(),
            Self::Operation(_) => true,
            Self::Workspace(error) => matches!(error, WorkspaceError::Leaves { .. } | WorkspaceError::Path(_)),
            Self::NoServer { .. } | Self::Unseen { .. } => false,
        }
    }
}

impl<'a> Prepared<'a> {
    /// What it takes for the servers that `source` describes to be there.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub fn create(
        workspace: &'a Workspace,
        infra: &Name,
        source: &Source,
        prune: bool,
        reporter: &'a Reporter,
    ) -> Result<Self, PrepareError> {
        let (wanted, others) = match source {
            Source::Settings(file) => {
                let settings = declared::load(workspace, infra, file.as_deref())?;
                let others = if prune { Others::Prune } else { Others::Leave };
                (wanted::by_settings(&settings, &operation::identity()), others)
            }
            Source::Operation(from) => (wanted::by_operation(infra, &BatchOperation::read(from)?)?, Others::Ignore),
        };
        let providers = wanted.iter().map(|wanted| wanted.provider.as_str());
        let default = (others != Others::Ignore).then_some(DEFAULT_PROVIDER);
        let servers = Servers::open(workspace, infra, providers, reporter)?.besides(default);
        servers.validate(&wanted)?;
        let changes = servers.plan(&wanted, others)?;
        Ok(Self { servers, changes, unasked: Vec::new() })
    }

    /// What it takes for the servers that `source` means to be gone: all of the infra that its providers report, declared
    /// or not, or those that an operation made. Of the infra's those go that can be seen; what is left is an error in the end.
    ///
    /// # Errors
    /// [`PrepareError`]; that there is no such server is none.
    pub fn delete(
        workspace: &'a Workspace,
        infra: &Name,
        source: &Source,
        reporter: &'a Reporter,
    ) -> Result<Self, PrepareError> {
        match source {
            Source::Settings(file) => {
                require_infra(workspace, infra)?;
                let servers = match file {
                    // An infra that batches alone made has no file, whatever is called so elsewhere.
                    Some(file) if workspace.infra_dir(infra).is_ok() => {
                        let settings = load(workspace, infra, Some(file))?;
                        everywhere(workspace, infra, Some(&settings), reporter)
                    }
                    _ => existing(workspace, infra, reporter),
                };
                let mut seen = servers.seen();
                let unasked = std::mem::take(&mut seen.unasked);
                let unasked = unasked.into_iter().filter(|error| is_left(error, reporter)).collect();
                let changes = Changes::deleting(infra, &seen.own(), |_| true);
                Ok(Self { servers, changes, unasked })
            }
            Source::Operation(from) => Self::undo(workspace, infra, &BatchOperation::read(from)?, reporter),
        }
    }

    /// The deletion of exactly those servers that `operation` made.
    fn undo(
        workspace: &'a Workspace,
        infra: &Name,
        operation: &BatchOperation,
        reporter: &'a Reporter,
    ) -> Result<Self, PrepareError> {
        if !matches!(operation.payload(), Payload::ServerBatch { .. }) {
            return Err(operation.not_a("server_batch").into());
        }
        let identity = operation.identity_to_undo()?;
        let servers = Servers::open(workspace, infra, [operation.provider()], reporter)?;
        // Whoever lacks the credentials to ask must not be told that something may be left where nothing ever was.
        let there = if servers.is_untouched() { Vec::new() } else { servers.all()? };
        let changes = Changes::deleting(infra, &there, |server| server.spec.operation == identity);
        Ok(Self { servers, changes, unasked: Vec::new() })
    }

    /// What it takes for the servers called `names` to be gone, whoever made them.
    ///
    /// # Errors
    /// [`PrepareError::NoServer`] where one of them isn't there: a person who names a server means one.
    pub fn delete_named(
        workspace: &'a Workspace,
        infra: &Name,
        names: &[Name],
        reporter: &'a Reporter,
    ) -> Result<Self, PrepareError> {
        let servers = existing(workspace, infra, reporter);
        // Those that are meant can go though a provider that has none of them doesn't answer.
        let mut seen = servers.seen();
        let unasked = std::mem::take(&mut seen.unasked);
        let unclaimed: Vec<Name> = seen.strays.iter().map(|stray| stray.spec.name.clone()).collect();
        let there = seen.own();
        let known: Vec<&str> = there.iter().map(|server| server.spec.name.as_str()).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let (name, infra) = (name.clone(), infra.clone());
            if let Some(source) = unasked.into_iter().next() {
                return Err(PrepareError::Unseen { name, infra, source: Box::new(source) });
            }
            let hint = match nearest(name.as_str(), &known) {
                _ if unclaimed.contains(&name) => {
                    Some(format!("nothing says which workspace made the stray: prov infra reconcile {infra}"))
                }
                Some(nearest) => Some(format!("did you mean {nearest}?")),
                None => Some(format!("see what there is: prov servers list --infra {infra}")),
            };
            return Err(PrepareError::NoServer { name, infra, hint });
        }
        let mut left = Vec::new();
        for error in unasked {
            match &error {
                ServersError::List { recorded: Some(recorded), .. } if names.iter().any(|it| recorded.contains(it)) => {
                    left.push(error);
                }
                _ => reporter.say(&format!("warning: not looked there: {}", chain(&error))),
            }
        }
        let changes = Changes::deleting(infra, &there, |server| names.contains(&server.spec.name));
        Ok(Self { servers, changes, unasked: left })
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// [`ServersError::Incomplete`].
    pub fn apply(&self, options: &Options) -> Result<Outcome, ServersError> {
        self.servers.apply(&self.changes, options)
    }

    /// What is left however the plan is carried out, because nobody could look there.
    #[must_use]
    pub fn left(&self) -> Option<ServersError> {
        let lines = self.unasked.iter().map(chain_of).collect::<Vec<_>>();
        let hint = self.unasked.iter().find_map(ServersError::hint);
        (!lines.is_empty()).then(|| ServersError::Left { infra: self.changes.infra.clone(), left: lines, hint })
    }
}

/// `upcloud: web-1, web-2 (why it can't be asked)`.
fn chain_of(error: &ServersError) -> String {
    let ServersError::List { provider, recorded, source, .. } = error else { return chain(error) };
    let names = recorded.iter().flatten().map(Name::as_str).collect::<Vec<_>>();
    let what = if names.is_empty() { "whatever is there".to_owned() } else { names.join(", ") };
    format!("at {provider}: {what} ({})", chain(source.as_ref()))
}

/// Whether something of this workspace's is left at a provider that can't be asked. Where nothing is on record, nobody must
/// be told so.
fn is_left(error: &ServersError, reporter: &Reporter) -> bool {
    let is_empty = matches!(error, ServersError::List { recorded: Some(recorded), .. } if recorded.is_empty());
    if is_empty {
        reporter.say(&format!("warning: not looked there, where nothing is on record: {}", chain(error)));
    }
    !is_empty
}

/// Refuses an infra that neither the workspace describes nor a batch ever worked in: a misspelt name must not look like an
/// empty infra.
///
/// # Errors
/// [`WorkspaceError::NoInfra`].
pub fn require_infra(workspace: &Workspace, infra: &Name) -> Result<(), WorkspaceError> {
    if lock::known_infras(workspace).contains(infra) { Ok(()) } else { workspace.infra_dir(infra).map(drop) }
}

/// The settings of `infra`, from `file` or from the first of the default files that is there.
///
/// # Errors
/// [`SettingsError`].
pub fn load(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    match file {
        Some(file) => settings::load(workspace, infra, file),
        None => settings::load(workspace, infra, settings::default_file(workspace, infra)?),
    }
}

/// The servers of `infra` wherever they may be: at the providers of its settings, or, where it has none because batches
/// alone made it, at the default one. Settings that are wrong are said so and done without; providers that can't be used say
/// why when they are asked.
#[must_use]
pub fn existing<'a>(workspace: &'a Workspace, infra: &Name, reporter: &'a Reporter) -> Servers<'a> {
    let settings = match load(workspace, infra, None) {
        Ok(settings) => Some(settings),
        Err(error) => {
            if !error.is_not_found() {
                reporter.say(&format!("warning: {error}"));
            }
            None
        }
    };
    everywhere(workspace, infra, settings.as_ref(), reporter)
}

/// The servers of `infra` at every provider where one may be.
#[must_use]
pub fn everywhere<'a>(
    workspace: &'a Workspace,
    infra: &Name,
    settings: Option<&Settings>,
    reporter: &'a Reporter,
) -> Servers<'a> {
    let used = provider::used(workspace, infra);
    Servers::at_none(workspace, infra, reporter).besides(providers(settings, &used))
}

/// The default provider, where batches may have made servers, those of the settings, and those at which this workspace ever
/// made something.
fn providers<'s>(settings: Option<&'s Settings>, used: &'s [String]) -> Vec<&'s str> {
    let of_servers = settings.into_iter().flat_map(|settings| &settings.servers);
    let of_clusters = settings.into_iter().flat_map(|settings| &settings.clusters);
    let declared = of_servers.map(|server| &server.provider).chain(of_clusters.map(|cluster| &cluster.provider));
    [DEFAULT_PROVIDER].into_iter().chain(declared.map(Name::as_str)).chain(used.iter().map(String::as_str)).collect()
}
