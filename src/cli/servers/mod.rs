//! `prov servers`: make, delete and list the servers of an infra, without a daemon.
//!
//! Shows the plan, asks before anything is destroyed, and has it carried out; what the plan is, is
//! [`crate::provision::servers`]' to say.

mod console;
mod render;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

pub(super) use self::render::server_rows;
use self::render::{done_rows, plan_rows};
use super::error::{CliError, Kind};
use super::infra::settings_kind;
use super::printer::{Format, Printer};
use super::target::Target;
use super::{Global, complete};
use crate::model::name::Name;
use crate::provision::lock;
use crate::provision::plan::Changes;
use crate::provision::report::Reporter;
use crate::provision::servers::{Options, PrepareError, Prepared, ServersError, Source, existing, require_infra};
use crate::provision::workspace::{Workspace, WorkspaceError};

/// Servers: make, delete, list
#[derive(Debug, ClapArgs)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the servers that an infra's settings declare, as far as they aren't there
    Create(Create),
    /// Delete all servers of an infra, declared or not, or those named
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// List servers as their providers report them
    #[command(visible_alias = "ls")]
    List(List),
    /// Show the last that a server wrote on its console, where its provider has that
    Console(console::Args),
}

#[derive(Debug, ClapArgs)]
struct Create {
    #[command(flatten)]
    target: Target,
    /// Wait until commands can run in the servers
    #[arg(short, long)]
    wait: bool,
    /// Delete servers that the settings no longer declare; never those of batches and clusters
    #[arg(long, conflicts_with = "operation")]
    prune: bool,
    #[command(flatten)]
    parallel: Parallel,
}

#[derive(Debug, ClapArgs)]
struct Parallel {
    /// Servers at once
    #[arg(long, value_name = "N", default_value_t = Options::DEFAULT_PARALLEL, value_parser = parallel)]
    parallel: usize,
}

#[derive(Debug, ClapArgs)]
struct Delete {
    /// Servers by name, declared or not
    #[arg(value_name = "SERVER", add = complete::servers(), conflicts_with_all = ["settings", "operation"])]
    names: Vec<Name>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    parallel: Parallel,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// The infra [default: all of the workspace]
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Option<Name>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let reporter = Reporter::from_env(global.is_quiet());
    match &args.command {
        Command::Create(create) => self::create(create, &workspace(global)?, &reporter, global),
        Command::Delete(delete) => self::delete(delete, &workspace(global)?, &reporter, global),
        Command::List(list) => self::list(list, &workspace_to_look_at(global)?, &reporter, global),
        Command::Console(args) => console::run(args, &workspace_to_look_at(global)?, &reporter, global),
    }
}

fn create(args: &Create, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let target = &args.target;
    let prepared = Prepared::create(workspace, &target.infra, &source(target), args.prune, reporter);
    let ready_within = args.wait.then_some(Options::READY_WITHIN);
    let options = Options { parallel: args.parallel.parallel, ready_within, keep_going: false };
    carry_out(&prepared.map_err(prepare_error)?, target, &options, reporter, global)
}

fn delete(args: &Delete, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let target = &args.target;
    let prepared = if args.names.is_empty() {
        Prepared::delete(workspace, &target.infra, &source(target), reporter)
    } else {
        Prepared::delete_named(workspace, &target.infra, &args.names, reporter)
    };
    let options = Options { parallel: args.parallel.parallel, ready_within: None, keep_going: true };
    carry_out(&prepared.map_err(prepare_error)?, target, &options, reporter, global)
}

/// Shows the plan, or has it carried out once whoever is there agrees.
fn carry_out(
    prepared: &Prepared<'_>,
    target: &Target,
    options: &Options,
    reporter: &Reporter,
    global: &Global,
) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    let changes = &prepared.changes;
    let left = prepared.left().map(|left| servers_error(&left));
    if target.check {
        let shown = target.show(changes, printer)?;
        return left.map_or(Ok(shown), Err);
    }
    target.agree_to(changes, global)?;
    let outcome = match prepared.apply(options) {
        Ok(outcome) => outcome,
        Err(error) => return unlisted(left.into_iter().chain([servers_error(&error)]).collect(), reporter),
    };
    match printer.format() {
        Format::Table | Format::Wide => printer.out(&format!("{}\n", outcome.sentence()))?,
        _ => printer.list(&outcome.done, done_rows)?,
    }
    left.map_or(Ok(ExitCode::SUCCESS), Err)
}

pub(super) fn show(printer: Printer, changes: &Changes) -> Result<(), CliError> {
    if printer.format().is_structured() {
        return printer.item(changes, changes.infra.as_str(), |_| String::new());
    }
    printer.list(&changes.changes, plan_rows)?;
    if printer.format() != Format::Name {
        printer.out(&format!("\n{}\n", changes.sentence()))?;
    }
    Ok(())
}

fn list(args: &List, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let infras = match &args.infra {
        Some(infra) => vec![infra.clone()],
        None => all_infras(workspace)?,
    };
    if let Some(infra) = &args.infra {
        require_infra(workspace, infra).map_err(|error| workspace_error(&error))?;
    }
    let (mut servers, mut failures) = (Vec::new(), Vec::new());
    for infra in &infras {
        let mut seen = existing(workspace, infra, reporter).seen();
        failures.extend(std::mem::take(&mut seen.unasked).iter().map(servers_error));
        servers.extend(seen.all());
    }
    // A provider that can't be asked hides nothing of the others.
    Printer::new(global).list(&servers, server_rows)?;
    unlisted(failures, reporter)
}

/// That something is missing from a list is an error all the same.
pub(super) fn unlisted(mut failures: Vec<CliError>, reporter: &Reporter) -> Result<ExitCode, CliError> {
    let Some(last) = failures.pop() else { return Ok(ExitCode::SUCCESS) };
    for failure in &failures {
        let chained: Vec<&str> = std::iter::once(&failure.message).chain(&failure.causes).map(String::as_str).collect();
        reporter.say(&format!("warning: {}", chained.join(": ")));
    }
    Err(last)
}

/// The infras that the workspace describes, and those that batches alone made servers in.
fn all_infras(workspace: &Workspace) -> Result<Vec<Name>, CliError> {
    let mut infras = workspace.infras().map_err(|error| workspace_error(&error))?;
    infras.extend(lock::known_infras(workspace));
    infras.sort();
    infras.dedup();
    Ok(infras)
}

fn source(target: &Target) -> Source {
    match &target.operation {
        Some(from) => Source::Operation(from.clone()),
        None => Source::Settings(target.settings.clone()),
    }
}

fn parallel(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=64).contains(count)).ok_or_else(|| "must be from 1 to 64".to_owned())
}

/// The workspace of a command that changes nothing: it must be one, or a wrong directory would pass for an empty one.
pub(super) fn workspace_to_look_at(global: &Global) -> Result<Workspace, CliError> {
    let workspace = Workspace::existing(&global.workspace).map_err(|error| workspace_error(&error))?;
    Ok(workspace.with_mode(global.provider_mode.clone()))
}

/// The workspace of a command that may be the first to make something in it.
pub(super) fn workspace(global: &Global) -> Result<Workspace, CliError> {
    let workspace = Workspace::open(&global.workspace).map_err(|error| workspace_error(&error))?;
    Ok(workspace.with_mode(global.provider_mode.clone()))
}

pub(super) fn workspace_error(error: &WorkspaceError) -> CliError {
    CliError::of(workspace_kind(error), error).hint(error.hint())
}

/// An infra that isn't there is not found; a directory or file that can't be used is wrong use.
pub(super) fn workspace_kind(error: &WorkspaceError) -> Kind {
    if matches!(error, WorkspaceError::NoInfra { .. }) { Kind::NotFound } else { Kind::Usage }
}

pub(super) fn servers_error(error: &ServersError) -> CliError {
    let kind = if error.is_invalid() { Kind::Usage } else { Kind::Failure };
    CliError::of(kind, error).hint(error.hint())
}

// Taken by value to stand in `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn prepare_error(error: PrepareError) -> CliError {
    let kind = match &error {
        PrepareError::Settings(error) => settings_kind(error),
        PrepareError::Workspace(error) => workspace_kind(error),
        PrepareError::NoServer { .. } => Kind::NotFound,
        _ if error.is_invalid() => Kind::Usage,
        _ => Kind::Failure,
    };
    CliError::of(kind, &error).hint(error.hint())
}
