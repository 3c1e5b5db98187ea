//! `prov workflow submit …`.

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::connect::{self, block_on, failure};
use super::error::CliError;
use super::watch::{self, FollowArgs};
use super::{Global, Printer};
use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, Target, TaskservWorkflow, WorkflowOperation};
use crate::model::name::Name;

/// Workflows: servers, task services and clusters of one infra
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Submit a workflow, and follow it on a terminal
    #[command(subcommand)]
    Submit(Submit),
}

#[derive(Debug, Subcommand)]
enum Submit {
    /// Make the servers of an infra, or delete them
    Servers {
        #[command(flatten)]
        target: TargetArgs,
        /// Delete the servers instead
        #[arg(long)]
        delete: bool,
    },
    /// Install a task service, or remove it
    Taskserv {
        /// The task service
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        target: TargetArgs,
        /// Remove it instead
        #[arg(long, conflicts_with = "reinstall")]
        delete: bool,
        /// Remove it first, then install it again
        #[arg(long)]
        reinstall: bool,
    },
    /// Make a cluster, or delete it
    Cluster {
        /// The cluster's definition
        #[arg(value_name = "TYPE")]
        cluster_type: Name,
        #[command(flatten)]
        target: TargetArgs,
        /// Delete it instead
        #[arg(long)]
        delete: bool,
    },
}

#[derive(Debug, clap::Args)]
struct TargetArgs {
    /// The infra
    #[arg(long, short, value_name = "INFRA", add = complete::infras())]
    infra: Name,
    /// Its settings file, relative to the infra's folder
    #[arg(long, value_name = "FILE", default_value = "config.ncl")]
    settings: String,
    /// Compute and show the plan, change nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    follow: FollowArgs,
}

impl TargetArgs {
    fn target(&self) -> Target {
        Target { infra: self.infra.clone(), settings: self.settings.clone(), check_mode: self.check, wait: true }
    }
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let Verb::Submit(submit) = args.verb;
    let (client, printer) = (connect::client()?, Printer::new(global));
    let deleting = |delete| if delete { WorkflowOperation::Delete } else { WorkflowOperation::Create };
    block_on(async {
        let (submitted, target) = match &submit {
            Submit::Servers { target, delete } => {
                let request = ServersWorkflow { target: target.target() };
                (client.workflow_servers(deleting(*delete), &request).await, target)
            }
            Submit::Taskserv { name, target, delete, reinstall } => {
                let operation = if *reinstall { WorkflowOperation::Reinstall } else { deleting(*delete) };
                let request = TaskservWorkflow { operation, taskserv: name.clone(), target: target.target() };
                (client.workflow_taskserv_create(&request).await, target)
            }
            Submit::Cluster { cluster_type, target, delete } => {
                let operation = deleting(*delete);
                let request =
                    ClusterWorkflow { operation, cluster_type: cluster_type.clone(), target: target.target() };
                (client.workflow_cluster_create(&request).await, target)
            }
        };
        let id = submitted.map_err(|error| failure(&error))?;
        let Some(limits) = target.follow.limits() else {
            printer.item(&id, &id.to_string(), |id| format!("{id}\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        watch::task(&client, id, limits, &printer).await
    })
}
