//! `prov cluster`: make, delete and list clusters, without a daemon.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Map;

use super::complete;
use super::confirm::confirm;
use super::error::{CliError, Kind};
use super::printer::{Printer, Rows};
use super::{Global, servers};
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
    Create(Target),
    /// Delete a cluster with its servers
    #[command(visible_alias = "rm")]
    Delete(Target),
    /// List the clusters that are there
    #[command(visible_alias = "ls")]
    List(List),
}

#[derive(Debug, ClapArgs)]
struct Target {
    /// The cluster's definition
    #[arg(value_name = "TYPE", required_unless_present = "operation", conflicts_with = "operation")]
    cluster_type: Option<Name>,
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
    /// The settings file, relative to the infra's directory
    #[arg(short, long, value_name = "FILE", conflicts_with = "operation")]
    settings: Option<String>,
    /// Carry out an operation of a batch: a file with its JSON, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    operation: Option<String>,
    /// Show what would change, and change nothing
    #[arg(short, long)]
    check: bool,
    /// Exit with 3 when something would change
    #[arg(long, requires = "check")]
    detailed_exitcode: bool,
    /// Accepted for symmetry with servers: a cluster is always waited for, because its check must pass
    #[arg(short, long)]
    wait: bool,
    /// Answer yes to whatever destroys something
    #[arg(short, long)]
    yes: bool,
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
    operation: String,
    of_batch: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let workspace =
        Workspace::open(&global.workspace).map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?;
    let reporter = Reporter::from_env(global.quiet);
    let printer = Printer::new(global);
    match &args.command {
        Command::Create(target) => {
            let meant = meant(target, &workspace)?;
            let clusters = clusters(&meant, target, &workspace, &reporter);
            if target.check {
                let changes = clusters.plan(&meant.name, &meant.params).map_err(|error| failed(&error))?;
                servers::show(printer, &changes)?;
                let is_three = target.detailed_exitcode && changes.any();
                return Ok(ExitCode::from(if is_three { Kind::Changes.code() } else { 0 }));
            }
            let said = clusters.create(&meant.name, &meant.params).map_err(|error| failed(&error))?;
            printer.item(&said, meant.name.as_str(), |said| {
                format!("Successfully created cluster {}: {said}\n", meant.name)
            })?;
        }
        Command::Delete(target) => {
            let meant = meant(target, &workspace)?;
            let clusters = clusters(&meant, target, &workspace, &reporter);
            if !target.yes {
                confirm(
                    global,
                    &format!("delete the cluster {} of {} with all its servers hold", meant.name, target.infra),
                    "--yes",
                )?;
            }
            let only = meant.of_batch.then_some(meant.operation.as_str());
            let count = clusters.delete(&meant.name, only).map_err(|error| failed(&error))?;
            printer.item(&count, meant.name.as_str(), |count| {
                format!("Successfully deleted cluster {} with {count} servers\n", meant.name)
            })?;
        }
        Command::List(list) => {
            let clusters = Clusters::of(&workspace, &list.infra, DEFAULT_PROVIDER, String::new(), &reporter);
            printer.list(&clusters.list().map_err(|error| failed(&error))?, rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn clusters<'a>(meant: &Meant, target: &Target, workspace: &'a Workspace, reporter: &'a Reporter) -> Clusters<'a> {
    Clusters::of(workspace, &target.infra, &meant.provider, meant.operation.clone(), reporter)
}

fn meant(target: &Target, workspace: &Workspace) -> Result<Meant, CliError> {
    if let Some(from) = &target.operation {
        let read = BatchOperation::read(from).map_err(|error| CliError::of(Kind::Usage, &error))?;
        let Payload::ClusterBatch { cluster_type, params } = read.payload() else {
            return Err(CliError::of(Kind::Usage, &read.not_a("cluster_batch")));
        };
        let provider = read.operation.provider.as_ref().map_or(DEFAULT_PROVIDER, Name::as_str).to_owned();
        let (name, params) = (cluster_type.clone(), params.clone());
        return Ok(Meant { name, provider, params, operation: read.identity(), of_batch: true });
    }
    let name = target.cluster_type.clone().expect("clap asks for it where there is no operation");
    let settings = match load(workspace, &target.infra, target.settings.as_deref()) {
        Err(error) if error.is_not_found() && target.settings.is_none() => None,
        other => Some(other.map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?),
    };
    let declared =
        settings.and_then(|settings| settings.clusters.into_iter().find(|cluster| cluster.cluster_type == name));
    let provider = declared.as_ref().map_or(DEFAULT_PROVIDER, |declared| declared.provider.as_str()).to_owned();
    let params = declared.map(|declared| declared.params).unwrap_or_default();
    Ok(Meant { name, provider, params, operation: operation::identity(), of_batch: false })
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
