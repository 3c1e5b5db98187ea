//! `prov cluster`: make, delete and list clusters, without a daemon.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::error::{CliError, Kind};
use super::infra::settings_error;
use super::printer::{Format, Printer, Rows, counted};
use super::servers::{unlisted, workspace, workspace_error};
use super::target::Target;
use super::taskserv::done_rows;
use super::{Global, complete};
use crate::model::batch::Payload;
use crate::model::name::Name;
use crate::provision::cluster::{self, ClusterError, Clusters, Listed, Plan};
use crate::provision::operation::{self, BatchOperation};
use crate::provision::report::Reporter;
use crate::provision::servers::{existing, load, require_infra};
use crate::provision::settings::ClusterSettings;
use crate::provision::workspace::Workspace;

/// Clusters: make, delete, list
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a cluster, or what of it is missing
    Create(Change),
    /// Delete a cluster with its servers
    #[command(visible_alias = "rm")]
    Delete(Change),
    /// List the clusters that are there
    #[command(visible_alias = "ls")]
    List(List),
}

#[derive(Debug, ClapArgs)]
struct Change {
    /// The cluster: its name in the settings, or a definition's
    #[arg(value_name = "NAME", add = complete::cluster_types(), required_unless_present = "operation", conflicts_with = "operation")]
    name: Option<Name>,
    #[command(flatten)]
    target: Target,
    /// Accepted for symmetry with servers: a cluster is always waited for, because its check must pass
    #[arg(short, long)]
    wait: bool,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// Only this cluster
    #[arg(value_name = "NAME")]
    name: Option<Name>,
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
}

/// Which cluster, and whose work it is.
struct Meant {
    cluster: ClusterSettings,
    operation: Option<BatchOperation>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let workspace = workspace(global)?;
    let reporter = Reporter::from_env(global.is_quiet());
    match &args.command {
        Command::Create(change) => create(change, &workspace, &reporter, global),
        Command::Delete(change) => delete(change, &workspace, &reporter, global),
        Command::List(list) => self::list(list, &workspace, global),
    }
}

fn create(args: &Change, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let (target, printer) = (&args.target, Printer::new(global));
    let Meant { cluster, operation } = meant(args, workspace)?;
    let identity = operation.as_ref().map_or_else(operation::identity, BatchOperation::identity);
    let clusters = Clusters::of(workspace, &target.infra, cluster.provider.as_str(), identity, reporter);
    let plan = clusters.plan(&cluster).map_err(|error| failed(&error))?;
    if target.check {
        show(&plan, &cluster.name, printer)?;
        return Ok(target.checked(plan.any()));
    }
    target.agree_to(&plan.servers, global)?;
    let said = clusters.create(&cluster, &plan).map_err(|error| failed(&error))?;
    let name = &cluster.name;
    printer.item(&said, name.as_str(), |said| format!("Successfully created cluster {name}: {said}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows a plan: the servers, then what is installed on them.
fn show(plan: &Plan, name: &Name, printer: Printer) -> Result<(), CliError> {
    if printer.format().is_structured() {
        return printer.item(plan, name.as_str(), |_| String::new());
    }
    super::servers::show(printer, &plan.servers)?;
    if printer.format() != Format::Name && !plan.taskservs.is_empty() {
        printer.out("\n")?;
        printer.list(&plan.taskservs, done_rows)?;
    }
    Ok(())
}

fn delete(args: &Change, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let (target, printer) = (&args.target, Printer::new(global));
    let Meant { cluster, operation } = meant(args, workspace)?;
    let only = operation.as_ref().map(BatchOperation::identity_to_undo).transpose();
    let only = only.map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?;
    let clusters = Clusters::of(workspace, &target.infra, cluster.provider.as_str(), String::new(), reporter);
    let deletion = clusters.deletion(&cluster.name, only.as_deref()).map_err(|error| failed(&error))?;
    if target.check {
        return target.show(&deletion, printer);
    }
    target.agree_to(&deletion, global)?;
    let count = clusters.delete(&deletion).map_err(|error| failed(&error))?;
    printer.item(&count, cluster.name.as_str(), |count| match count {
        0 => format!("There is no cluster {} in {}: nothing was deleted\n", cluster.name, target.infra),
        _ => format!("Successfully deleted cluster {} with {}\n", cluster.name, counted(*count, "server")),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(args: &List, workspace: &Workspace, global: &Global) -> Result<ExitCode, CliError> {
    require_infra(workspace, &args.infra).map_err(|error| workspace_error(&error))?;
    // What the checks of task services say is nobody's question here.
    let reporter = Reporter::silent();
    let servers = existing(workspace, &args.infra, &reporter);
    let (mut listed, mut failures) = (Vec::new(), Vec::new());
    for provider in servers.touched() {
        match Clusters::of(workspace, &args.infra, provider, String::new(), &reporter).list() {
            Ok(some) => listed.extend(some),
            Err(error) => failures.push(failed(&error)),
        }
    }
    listed.sort_by(|a: &Listed, b| a.cluster.cmp(&b.cluster));
    if let Some(name) = &args.name {
        listed.retain(|listed| listed.cluster == name.as_str());
    }
    Printer::new(global).list(&listed, rows)?;
    unlisted(failures, &Reporter::from_env(global.is_quiet()))
}

fn meant(args: &Change, workspace: &Workspace) -> Result<Meant, CliError> {
    let target = &args.target;
    if let Some(read) = target.operation()? {
        let cluster = of_operation(&read)?;
        return Ok(Meant { cluster, operation: Some(read) });
    }
    require_infra(workspace, &target.infra).map_err(|error| workspace_error(&error))?;
    let name = args.name.as_ref().expect("clap asks for it where there is no operation");
    let settings = match load(workspace, &target.infra, target.settings.as_deref()) {
        Err(error) if error.is_not_found() && target.settings.is_none() => None,
        other => Some(other.map_err(|error| settings_error(&error))?),
    };
    let cluster = cluster::meant(settings.as_ref(), name).map_err(|error| failed(&error))?;
    Ok(Meant { cluster, operation: None })
}

/// The cluster of an operation, which says its name, where it has one, among its parameters.
fn of_operation(read: &BatchOperation) -> Result<ClusterSettings, CliError> {
    let Payload::ClusterBatch { cluster_type, params } = read.payload() else {
        return Err(CliError::of(Kind::Usage, &read.not_a("cluster_batch")));
    };
    let mut params = params.clone();
    let wrong = |error: String| CliError::new(Kind::Usage, format!("the cluster's name: {error}"));
    let parse = |text: &str| Name::new(text).map_err(|error| wrong(error.to_string()));
    let name = match params.remove("name") {
        None => cluster_type.clone(),
        Some(name) => parse(name.as_str().ok_or_else(|| wrong("it must be a text".to_owned()))?)?,
    };
    Ok(ClusterSettings { name, cluster_type: cluster_type.clone(), provider: parse(read.provider())?, params })
}

fn failed(error: &ClusterError) -> CliError {
    let kind = match error {
        ClusterError::Taken { .. } => Kind::Conflict,
        error if error.is_invalid() => Kind::Usage,
        _ => Kind::Failure,
    };
    CliError::of(kind, error).hint(error.hint())
}

fn rows(clusters: &[Listed]) -> Rows {
    let cells = |listed: &Listed| {
        let servers = listed.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let running = format!("{}/{}", listed.running, listed.servers.len());
        vec![listed.cluster.clone(), running, format!("{}/{}", listed.healthy, listed.taskservs), servers]
    };
    Rows {
        header: vec!["CLUSTER", "RUNNING", "HEALTHY", "SERVERS"],
        narrow: 4,
        rows: clusters.iter().map(cells).collect(),
    }
}
