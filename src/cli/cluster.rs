//! `prov cluster`: make, delete and list clusters, without a daemon.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Map;

use super::error::{CliError, Kind};
use super::infra::settings_error;
use super::printer::{Printer, Rows, counted};
use super::servers::workspace;
use super::target::Target;
use super::{Global, complete};
use crate::model::batch::Payload;
use crate::model::name::Name;
use crate::provision::cluster::{ClusterError, Clusters, Listed};
use crate::provision::operation::{self, BatchOperation};
use crate::provision::report::Reporter;
use crate::provision::servers::load;
use crate::provision::settings::DEFAULT_PROVIDER;
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
    /// The cluster's definition
    #[arg(value_name = "TYPE", add = complete::cluster_types(), required_unless_present = "operation", conflicts_with = "operation")]
    cluster_type: Option<Name>,
    #[command(flatten)]
    target: Target,
    /// Accepted for symmetry with servers: a cluster is always waited for, because its check must pass
    #[arg(short, long)]
    wait: bool,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
}

/// Which cluster, where, and whose work it is.
struct Meant {
    name: Name,
    provider: String,
    params: Map<String, serde_json::Value>,
    operation: Option<BatchOperation>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let workspace = workspace(global)?;
    let reporter = Reporter::from_env(global.is_quiet());
    match &args.command {
        Command::Create(change) => create(change, &workspace, &reporter, global),
        Command::Delete(change) => delete(change, &workspace, &reporter, global),
        Command::List(list) => {
            let clusters = Clusters::of(&workspace, &list.infra, DEFAULT_PROVIDER, String::new(), &reporter);
            Printer::new(global).list(&clusters.list().map_err(|error| failed(&error))?, rows)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn create(args: &Change, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let (target, printer) = (&args.target, Printer::new(global));
    let meant = meant(args, workspace)?;
    let identity = meant.operation.as_ref().map_or_else(operation::identity, BatchOperation::identity);
    let clusters = Clusters::of(workspace, &target.infra, &meant.provider, identity, reporter);
    if target.check {
        let changes = clusters.plan(&meant.name, &meant.params).map_err(|error| failed(&error))?;
        return target.show(&changes, printer);
    }
    let said = clusters.create(&meant.name, &meant.params).map_err(|error| failed(&error))?;
    printer
        .item(&said, meant.name.as_str(), |said| format!("Successfully created cluster {}: {said}\n", meant.name))?;
    Ok(ExitCode::SUCCESS)
}

fn delete(args: &Change, workspace: &Workspace, reporter: &Reporter, global: &Global) -> Result<ExitCode, CliError> {
    let (target, printer) = (&args.target, Printer::new(global));
    let meant = meant(args, workspace)?;
    let only = meant.operation.as_ref().map(BatchOperation::identity_to_undo).transpose();
    let only = only.map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?;
    let clusters = Clusters::of(workspace, &target.infra, &meant.provider, String::new(), reporter);
    let deletion = clusters.deletion(&meant.name, only.as_deref()).map_err(|error| failed(&error))?;
    if target.check {
        return target.show(&deletion, printer);
    }
    target.agree_to(&deletion, global)?;
    let count = clusters.delete(&deletion).map_err(|error| failed(&error))?;
    printer.item(&count, meant.name.as_str(), |count| match count {
        0 => format!("There is no cluster {} in {}: nothing was deleted\n", meant.name, target.infra),
        _ => format!("Successfully deleted cluster {} with {}\n", meant.name, counted(*count, "server")),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn meant(args: &Change, workspace: &Workspace) -> Result<Meant, CliError> {
    let target = &args.target;
    if let Some(read) = target.operation()? {
        let Payload::ClusterBatch { cluster_type, params } = read.payload() else {
            return Err(CliError::of(Kind::Usage, &read.not_a("cluster_batch")));
        };
        let (name, params, provider) = (cluster_type.clone(), params.clone(), read.provider().to_owned());
        return Ok(Meant { name, provider, params, operation: Some(read) });
    }
    let name = args.cluster_type.clone().expect("clap asks for it where there is no operation");
    let settings = match load(workspace, &target.infra, target.settings.as_deref()) {
        Err(error) if error.is_not_found() && target.settings.is_none() => None,
        other => Some(other.map_err(|error| settings_error(&error))?),
    };
    let declared =
        settings.and_then(|settings| settings.clusters.into_iter().find(|cluster| cluster.cluster_type == name));
    let provider = declared.as_ref().map_or(DEFAULT_PROVIDER, |declared| declared.provider.as_str()).to_owned();
    let params = declared.map(|declared| declared.params).unwrap_or_default();
    Ok(Meant { name, provider, params, operation: None })
}

fn failed(error: &ClusterError) -> CliError {
    let kind = if error.is_invalid() { Kind::Usage } else { Kind::Failure };
    CliError::of(kind, error).hint(error.hint())
}

fn rows(clusters: &[Listed]) -> Rows {
    let cells = |listed: &Listed| {
        let servers = listed.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        vec![listed.cluster.clone(), format!("{}/{}", listed.running, listed.servers.len()), servers]
    };
    Rows { header: vec!["CLUSTER", "RUNNING", "SERVERS"], narrow: 3, rows: clusters.iter().map(cells).collect() }
}
