//! `prov taskserv`: install, remove and list task services, without a daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Map;

use super::error::{CliError, Kind};
use super::infra::settings_error;
use super::printer::{Format, Printer, Rows};
use super::servers::{servers_error, unlisted, workspace, workspace_error};
use super::target::Target;
use super::{Global, complete};
use crate::model::batch::{Payload, TaskservRef};
use crate::model::name::Name;
use crate::provision::declared;
use crate::provision::operation::{self, BatchOperation};
use crate::provision::provider::Server;
use crate::provision::report::Reporter;
use crate::provision::servers::{self, existing};
use crate::provision::settings::{DEFAULT_PROVIDER, Settings, SettingsError};
use crate::provision::taskserv::{Action, Done, Installed, Removal, TaskservError, Taskservs};
use crate::provision::workspace::Workspace;

/// Task services: install, remove, list
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install task services, as far as they aren't there
    Create(Change),
    /// Remove task services
    #[command(visible_alias = "rm")]
    Delete(Change),
    /// Remove task services, then install them again
    Reinstall(Change),
    /// List what is installed where, and whether it works
    #[command(visible_alias = "ls")]
    List(List),
}

#[derive(Debug, ClapArgs)]
struct Change {
    /// The task services [default: those of the infra's settings]
    #[arg(value_name = "NAME", add = complete::taskservs(), conflicts_with = "operation")]
    names: Vec<Name>,
    #[command(flatten)]
    target: Target,
    /// Only on these servers
    #[arg(long, value_name = "SERVER", add = complete::servers())]
    server: Vec<Name>,
    /// Accepted for symmetry with servers: a task service is always waited for, because its check must pass
    #[arg(short, long)]
    wait: bool,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
}

/// What is meant, by provider, and whose work it is.
struct Meant {
    by_provider: BTreeMap<String, Vec<TaskservRef>>,
    operation: Option<BatchOperation>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let workspace = workspace(global)?;
    let reporter = Reporter::from_env(global.is_quiet());
    let at = At { workspace: &workspace, reporter: &reporter, global };
    match &args.command {
        Command::Create(change) => at.create(change, false),
        Command::Reinstall(change) => at.create(change, true),
        Command::Delete(change) => at.delete(change),
        Command::List(list) => {
            at.require_infra(&list.infra)?;
            let ((installed, failures), printer) = (at.list(&list.infra), Printer::new(global));
            // Of a task service on several servers the name is said once.
            match printer.format() {
                Format::Name => printer.out(&names(&installed))?,
                _ => printer.list(&installed, installed_rows)?,
            }
            unlisted(failures, &reporter)
        }
    }
}

/// Where a command works.
struct At<'a> {
    workspace: &'a Workspace,
    reporter: &'a Reporter,
    global: &'a Global,
}

impl<'a> At<'a> {
    fn open(&self, infra: &Name, provider: &str, operation: String) -> Result<Taskservs<'a>, CliError> {
        Taskservs::open(self.workspace, infra, provider, operation, self.reporter).map_err(|error| failed(&error))
    }

    /// Refuses a misspelt infra; a batch may name any.
    fn require_infra(&self, infra: &Name) -> Result<(), CliError> {
        servers::require_infra(self.workspace, infra).map_err(|error| workspace_error(&error))
    }

    /// What is installed on the infra's servers, whichever provider has them, and why some can't say.
    fn list(&self, infra: &Name) -> (Vec<Installed>, Vec<CliError>) {
        let servers = existing(self.workspace, infra, self.reporter);
        let (mut installed, mut failures) = (Vec::new(), Vec::new());
        for provider in servers.touched() {
            let services = self.open(infra, provider, String::new());
            match services.and_then(|services| services.list().map_err(|error| failed(&error))) {
                Ok(some) => installed.extend(some),
                Err(error) => failures.push(error),
            }
        }
        installed.sort_by(|a, b| (&a.server, &a.record.name).cmp(&(&b.server, &b.record.name)));
        (installed, failures)
    }

    fn create(&self, args: &Change, again: bool) -> Result<ExitCode, CliError> {
        let (target, printer) = (&args.target, Printer::new(self.global));
        if target.operation.is_none() {
            self.require_infra(&target.infra)?;
        }
        let meant = meant(args, self.workspace, declared::taskservs)?;
        if target.check {
            let expected = meant.operation.as_ref().map_or(&[][..], |operation| &operation.made_before);
            let (plan, failures) =
                self.each(&meant, target, |services, wanted| services.plan_expecting(wanted, again, expected));
            printer.list(&plan, done_rows)?;
            unlisted(failures, self.reporter)?;
            return Ok(target.checked(plan.iter().any(|done| done.action != Action::Keep)));
        }
        if again {
            target.agree(&format!("reinstall {}", args.what()), self.global)?;
        }
        let done = self.each(&meant, target, |services, wanted| services.create(wanted, again));
        finish(done, if again { "Successfully reinstalled" } else { "Successfully installed" }, printer, self.reporter)
    }

    fn delete(&self, args: &Change) -> Result<ExitCode, CliError> {
        let (target, printer) = (&args.target, Printer::new(self.global));
        if target.operation.is_none() {
            self.require_infra(&target.infra)?;
        }
        let meant = meant(args, self.workspace, servers::load)?;
        for provider in meant.by_provider.keys().filter(|_| meant.operation.is_none()) {
            let named: Vec<Name> = args.server.iter().filter(|name| meant.is_at(provider, name)).cloned().collect();
            let services = self.open(&target.infra, provider, String::new())?;
            services.require(&named).map_err(|error| failed(&error))?;
        }
        let removal = match &meant.operation {
            None => Removal::Named,
            Some(operation) => Removal::OfOperation(
                operation.identity_to_undo().map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?,
            ),
        };
        if target.check {
            let (plan, failures) =
                self.each(&meant, target, |services, unwanted| services.plan_removal(unwanted, &removal));
            printer.list(&plan, done_rows)?;
            unlisted(failures, self.reporter)?;
            return Ok(target.checked(!plan.is_empty()));
        }
        target.agree(&format!("remove {}", args.what()), self.global)?;
        let done = self.each(&meant, target, |services, unwanted| services.delete(unwanted, &removal));
        finish(done, "Successfully removed", printer, self.reporter)
    }

    /// What is done at each provider, and why nothing is at some: those don't keep the others from it.
    fn each(
        &self,
        meant: &Meant,
        target: &Target,
        work: impl Fn(&Taskservs<'_>, &[TaskservRef]) -> Result<Vec<Done>, TaskservError>,
    ) -> (Vec<Done>, Vec<CliError>) {
        let identity = meant.operation.as_ref().map_or_else(operation::identity, BatchOperation::identity);
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for (provider, wanted) in &meant.by_provider {
            let services = self.open(&target.infra, provider, identity.clone());
            match services.and_then(|services| work(&services, wanted).map_err(|error| failed(&error))) {
                Ok(some) => done.extend(some),
                Err(error) => failures.push(error),
            }
        }
        (done, failures)
    }
}

impl Meant {
    fn is_at(&self, provider: &str, server: &Name) -> bool {
        self.by_provider.get(provider).is_some_and(|all| all.iter().any(|one| one.servers.contains(server)))
    }
}

impl Change {
    /// What is changed, for people.
    fn what(&self) -> String {
        let names = self.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "the task services".to_owned() } else { names };
        format!("{names} of {}", self.target.infra)
    }
}

/// What was named, or what the settings, as `load` reads them, or the operation name.
fn meant(
    args: &Change,
    workspace: &Workspace,
    load: impl Fn(&Workspace, &Name, Option<&str>) -> Result<Settings, SettingsError>,
) -> Result<Meant, CliError> {
    let target = &args.target;
    if let Some(read) = target.operation()? {
        let Payload::TaskservBatch { taskservs } = read.payload() else {
            return Err(CliError::of(Kind::Usage, &read.not_a("taskserv_batch")));
        };
        let by_provider = [(read.provider().to_owned(), taskservs.clone())].into();
        return Ok(Meant { by_provider, operation: Some(read) });
    }
    let settings = load(workspace, &target.infra, target.settings.as_deref());
    let settings = match settings {
        Err(error) if !args.names.is_empty() && error.is_not_found() => None,
        other => Some(other.map_err(|error| settings_error(&error))?),
    };
    let placed = settings.as_ref().map(Settings::placed_taskservs).unwrap_or_default();
    let mut wanted: Vec<TaskservRef> = Vec::new();
    for name in &args.names {
        let declared: Vec<&TaskservRef> = placed.iter().filter(|placed| placed.name == *name).collect();
        if declared.is_empty() {
            wanted.push(TaskservRef { name: name.clone(), servers: Vec::new(), profile: None, params: Map::new() });
        }
        wanted.extend(declared.into_iter().cloned());
    }
    if args.names.is_empty() {
        wanted = placed;
    }
    for wanted in wanted.iter_mut().filter(|_| !args.server.is_empty()) {
        wanted.servers.clone_from(&args.server);
    }
    let declared: BTreeMap<&Name, &str> = settings
        .iter()
        .flat_map(|settings| &settings.servers)
        .map(|server| (&server.name, server.provider.as_str()))
        .collect();
    let is_known = |wanted: &TaskservRef| {
        !wanted.servers.is_empty() && wanted.servers.iter().all(|server| declared.contains_key(server))
    };
    // Servers that batches alone made are where they are.
    let there = if wanted.iter().all(is_known) { Vec::new() } else { there(workspace, &target.infra)? };
    let usual = settings.as_ref().map_or(DEFAULT_PROVIDER, |settings| settings.provider.as_str());
    let mut by_provider: BTreeMap<String, Vec<TaskservRef>> = BTreeMap::new();
    for wanted in wanted {
        let mut split: BTreeMap<String, Vec<Name>> = BTreeMap::new();
        for server in &wanted.servers {
            let made = || there.iter().find(|made| made.spec.name == *server).map(|made| made.provider.as_str());
            let provider = declared.get(server).copied().or_else(made).unwrap_or(usual);
            split.entry(provider.to_owned()).or_default().push(server.clone());
        }
        if wanted.servers.is_empty() {
            split.extend(there.iter().map(|made| (made.provider.clone(), Vec::new())));
        }
        if split.is_empty() {
            split.insert(usual.to_owned(), Vec::new());
        }
        for (provider, servers) in split {
            by_provider.entry(provider).or_default().push(TaskservRef { servers, ..wanted.clone() });
        }
    }
    Ok(Meant { by_provider, operation: None })
}

/// The servers of an infra, wherever this workspace has made some.
fn there(workspace: &Workspace, infra: &Name) -> Result<Vec<Server>, CliError> {
    let reporter = Reporter::silent();
    existing(workspace, infra, &reporter).list_touched().map_err(|error| servers_error(&error))
}

fn failed(error: &TaskservError) -> CliError {
    let kind = match error {
        TaskservError::Server { .. } => Kind::NotFound,
        error if error.is_invalid() => Kind::Usage,
        _ => Kind::Failure,
    };
    CliError::of(kind, error).hint(error.hint())
}

/// Says what was done; what could not be done is the command's error.
fn finish(
    (done, failures): (Vec<Done>, Vec<CliError>),
    what: &str,
    printer: Printer,
    reporter: &Reporter,
) -> Result<ExitCode, CliError> {
    match printer.format() {
        _ if done.is_empty() && !failures.is_empty() => {}
        Format::Table | Format::Wide => {
            let changed = done.iter().filter(|done| done.action != Action::Keep).count();
            let kept = done.len() - changed;
            let kept = if kept == 0 { String::new() } else { format!(", {kept} were there as wanted") };
            let noun = if changed == 1 { "task service" } else { "task services" };
            printer.out(&format!("{what} {changed} {noun}{kept}\n"))?;
        }
        _ => printer.list(&done, done_rows)?,
    }
    unlisted(failures, reporter)
}

pub(super) fn done_rows(done: &[Done]) -> Rows {
    let cells = |done: &Done| {
        vec![done.server.to_string(), done.taskserv.to_string(), done.version.clone(), done.action.to_string()]
    };
    Rows { header: vec!["SERVER", "TASKSERV", "VERSION", "ACTION"], narrow: 4, rows: done.iter().map(cells).collect() }
}

fn names(installed: &[Installed]) -> String {
    let names: BTreeSet<String> = installed.iter().map(|one| one.record.name.to_string()).collect();
    names.iter().map(|name| format!("{name}\n")).collect()
}

fn installed_rows(installed: &[Installed]) -> Rows {
    let cells = |one: &Installed| {
        let state = match (one.record.complete, one.healthy) {
            (false, _) => "incomplete",
            (true, true) => "works",
            (true, false) => "fails its check",
        };
        vec![
            one.server.to_string(),
            one.record.name.to_string(),
            one.record.version.clone(),
            state.to_owned(),
            one.record.at.to_string(),
            one.record.operation.clone(),
        ]
    };
    Rows {
        header: vec!["SERVER", "TASKSERV", "VERSION", "STATE", "SINCE", "OPERATION"],
        narrow: 4,
        rows: installed.iter().map(cells).collect(),
    }
}
