//! `prov taskserv`: install, remove and list task services, without a daemon.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Map;

use super::Global;
use super::complete;
use super::confirm::confirm;
use super::error::{CliError, Kind};
use super::printer::{Format, Printer, Rows};
use crate::model::batch::{Payload, TaskservRef};
use crate::model::name::Name;
use crate::provision::operation::{self, BatchOperation};
use crate::provision::report::Reporter;
use crate::provision::servers;
use crate::provision::settings::DEFAULT_PROVIDER;
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
    Create(Create),
    /// Remove task services
    #[command(visible_alias = "rm")]
    Delete(Target),
    /// Remove task services, then install them again
    Reinstall(Target),
    /// List what is installed where, and whether it works
    #[command(visible_alias = "ls")]
    List(List),
}

#[derive(Debug, ClapArgs)]
struct Target {
    /// The task services [default: those of the infra's settings]
    #[arg(value_name = "NAME", conflicts_with = "operation")]
    names: Vec<Name>,
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
    /// The settings file, relative to the infra's directory
    #[arg(short, long, value_name = "FILE", conflicts_with = "operation")]
    settings: Option<String>,
    /// Carry out an operation of a batch: a file with its JSON, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    operation: Option<String>,
    /// Only on these servers
    #[arg(long, value_name = "SERVER")]
    server: Vec<Name>,
    /// Show what would change, and change nothing
    #[arg(short, long)]
    check: bool,
    /// Accepted for symmetry with servers: a task service is always waited for, because its check must pass
    #[arg(short, long)]
    wait: bool,
    /// Answer yes to whatever destroys something
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, ClapArgs)]
struct Create {
    #[command(flatten)]
    target: Target,
    /// Exit with 3 when something would change
    #[arg(long, requires = "check")]
    detailed_exitcode: bool,
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
    operation: String,
    of_batch: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let workspace =
        Workspace::open(&global.workspace).map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?;
    let reporter = Reporter::from_env(global.quiet);
    let printer = Printer::new(global);
    match &args.command {
        Command::Create(args) => create(args, &workspace, &reporter, printer),
        Command::Reinstall(target) => {
            let meant = meant(target, &workspace)?;
            if target.check {
                let plan = each(&meant, target, &workspace, &reporter, |services, wanted| services.plan(wanted, true))?;
                printer.list(&plan, done_rows)?;
                return Ok(ExitCode::SUCCESS);
            }
            agree("reinstall", target, global)?;
            let done = each(&meant, target, &workspace, &reporter, |services, wanted| services.create(wanted, true))?;
            finish(&done, "Successfully reinstalled", printer)
        }
        Command::Delete(target) => delete(target, &workspace, &reporter, global),
        Command::List(list) => {
            let services = Taskservs::open(&workspace, &list.infra, DEFAULT_PROVIDER, String::new(), &reporter);
            let installed = services.and_then(|services| services.list()).map_err(|error| failed(&error))?;
            printer.list(&installed, installed_rows)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn create(args: &Create, workspace: &Workspace, reporter: &Reporter, printer: Printer) -> Result<ExitCode, CliError> {
    let meant = meant(&args.target, workspace)?;
    if args.target.check {
        let plan = each(&meant, &args.target, workspace, reporter, |services, wanted| services.plan(wanted, false))?;
        printer.list(&plan, done_rows)?;
        let changes = plan.iter().any(|done| done.action != Action::Keep);
        return Ok(ExitCode::from(if args.detailed_exitcode && changes { Kind::Changes.code() } else { 0 }));
    }
    let done = each(&meant, &args.target, workspace, reporter, |services, wanted| services.create(wanted, false))?;
    finish(&done, "Successfully installed", printer)
}

fn delete(target: &Target, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    let meant = meant(target, workspace)?;
    if target.check {
        let all: Vec<Name> = meant.by_provider.values().flatten().map(|wanted| wanted.name.clone()).collect();
        let services = |name| Taskservs::open(workspace, &target.infra, name, String::new(), reporter);
        let mut plan: Vec<Done> = Vec::new();
        for provider in meant.by_provider.keys() {
            let installed = services(provider).and_then(|services| services.list()).map_err(|error| failed(&error))?;
            let goes = |one: &Installed| {
                if meant.of_batch { one.record.operation == meant.operation } else { all.contains(&one.record.name) }
            };
            plan.extend(installed.into_iter().filter(goes).map(|one| Done {
                server: one.server,
                taskserv: one.record.name,
                version: one.record.version,
                action: Action::Remove,
            }));
        }
        printer.list(&plan, done_rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    agree("remove", target, global)?;
    if meant.of_batch && !meant.operation.contains('/') {
        // Without its batch, everything that was installed by hand would be meant.
        let error = CliError::new(Kind::Usage, "the operation can't be undone: nothing says which batch it is part of");
        return Err(error.hint(Some("give its JSON a \"batch_id\"".to_owned())));
    }
    let removal = if meant.of_batch { Removal::OfOperation(meant.operation.clone()) } else { Removal::Named };
    let done = each(&meant, target, workspace, reporter, |services, unwanted| services.delete(unwanted, &removal))?;
    finish(&done, "Successfully removed", printer)
}

/// What was named, or what the settings or the operation name.
fn meant(target: &Target, workspace: &Workspace) -> Result<Meant, CliError> {
    if let Some(from) = &target.operation {
        let read = BatchOperation::read(from).map_err(|error| CliError::of(Kind::Usage, &error))?;
        let Payload::TaskservBatch { taskservs } = read.payload() else {
            return Err(CliError::of(Kind::Usage, &read.not_a("taskserv_batch")));
        };
        let provider = read.operation.provider.as_ref().map_or(DEFAULT_PROVIDER, Name::as_str).to_owned();
        let by_provider = [(provider, taskservs.clone())].into();
        return Ok(Meant { by_provider, operation: read.identity(), of_batch: true });
    }
    let settings = servers::load(workspace, &target.infra, target.settings.as_deref());
    let settings = match settings {
        Err(error) if !target.names.is_empty() && error.is_not_found() => None,
        other => Some(other.map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?),
    };
    let placed = settings.as_ref().map(crate::provision::settings::Settings::placed_taskservs).unwrap_or_default();
    let mut wanted: Vec<TaskservRef> = Vec::new();
    for name in &target.names {
        let declared: Vec<&TaskservRef> = placed.iter().filter(|placed| placed.name == *name).collect();
        if declared.is_empty() {
            wanted.push(TaskservRef { name: name.clone(), servers: Vec::new(), profile: None, params: Map::new() });
        }
        wanted.extend(declared.into_iter().cloned());
    }
    if target.names.is_empty() {
        wanted = placed;
    }
    for wanted in wanted.iter_mut().filter(|_| !target.server.is_empty()) {
        wanted.servers.clone_from(&target.server);
    }
    let mut by_provider: BTreeMap<String, Vec<TaskservRef>> = BTreeMap::new();
    for wanted in wanted {
        let provider = |server: &Name| {
            let declared =
                settings.iter().flat_map(|settings| &settings.servers).find(|declared| declared.name == *server);
            declared.map_or(DEFAULT_PROVIDER, |declared| declared.provider.as_str()).to_owned()
        };
        let mut split: BTreeMap<String, Vec<Name>> = BTreeMap::new();
        for server in &wanted.servers {
            split.entry(provider(server)).or_default().push(server.clone());
        }
        if split.is_empty() {
            split.insert(DEFAULT_PROVIDER.to_owned(), Vec::new());
        }
        for (provider, servers) in split {
            by_provider.entry(provider).or_default().push(TaskservRef { servers, ..wanted.clone() });
        }
    }
    Ok(Meant { by_provider, operation: operation::identity(), of_batch: false })
}

fn each(
    meant: &Meant,
    target: &Target,
    workspace: &Workspace,
    reporter: &Reporter,
    work: impl Fn(&Taskservs<'_>, &[TaskservRef]) -> Result<Vec<Done>, TaskservError>,
) -> Result<Vec<Done>, CliError> {
    let mut done = Vec::new();
    for (provider, wanted) in &meant.by_provider {
        let services = Taskservs::open(workspace, &target.infra, provider, meant.operation.clone(), reporter);
        done.extend(services.and_then(|services| work(&services, wanted)).map_err(|error| failed(&error))?);
    }
    Ok(done)
}

fn agree(verb: &str, target: &Target, global: &Global) -> Result<(), CliError> {
    let names = target.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let what = if names.is_empty() { "the task services".to_owned() } else { names };
    if target.yes { Ok(()) } else { confirm(global, &format!("{verb} {what} of {}", target.infra), "--yes") }
}

fn failed(error: &TaskservError) -> CliError {
    let kind = match error {
        TaskservError::Server { .. } => Kind::NotFound,
        error if error.is_invalid() => Kind::Usage,
        _ => Kind::Failure,
    };
    CliError::of(kind, error).hint(error.hint())
}

fn finish(done: &[Done], what: &str, printer: Printer) -> Result<ExitCode, CliError> {
    match printer.format() {
        Format::Table | Format::Wide => {
            let changed = done.iter().filter(|done| done.action != Action::Keep).count();
            let kept = done.len() - changed;
            let kept = if kept == 0 { String::new() } else { format!(", {kept} were there as wanted") };
            let noun = if changed == 1 { "task service" } else { "task services" };
            printer.out(&format!("{what} {changed} {noun}{kept}\n"))?;
        }
        _ => printer.list(done, done_rows)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn done_rows(done: &[Done]) -> Rows {
    let cells = |done: &Done| {
        vec![done.server.to_string(), done.taskserv.to_string(), done.version.clone(), done.action.to_string()]
    };
    Rows { header: vec!["SERVER", "TASKSERV", "VERSION", "ACTION"], narrow: 4, rows: done.iter().map(cells).collect() }
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
