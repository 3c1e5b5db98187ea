//! `prov workflow …`.

mod state;

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::confirm::Yes;
use super::connect::{self, ask, block_on};
use super::error::CliError;
use super::watch::{self, FollowArgs};
use super::{Global, Printer};
use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, Target, TaskservWorkflow, WorkflowOperation};
use crate::client::{Client, ClientError};
use crate::model::id::{TaskId, WorkId};
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
    /// Show how far a workflow or a batch is, and how long it will take yet
    Progress {
        /// The id of a workflow's task, or of a batch
        #[arg(value_name = "ID", add = complete::works())]
        id: WorkId,
    },
    /// List what became of a workflow or a batch, newest first
    Snapshots(state::SnapshotArgs),
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
        #[arg(value_name = "NAME", add = complete::taskservs())]
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
        #[arg(value_name = "TYPE", add = complete::cluster_types())]
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
    yes: Yes,
    #[command(flatten)]
    follow: FollowArgs,
}

impl TargetArgs {
    fn target(&self) -> Target {
        Target { infra: self.infra.clone(), settings: self.settings.clone(), check_mode: self.check, wait: true }
    }
}

impl Submit {
    fn target(&self) -> &TargetArgs {
        match self {
            Self::Servers { target, .. } | Self::Taskserv { target, .. } | Self::Cluster { target, .. } => target,
        }
    }

    fn operation(&self) -> WorkflowOperation {
        match self {
            Self::Taskserv { reinstall: true, .. } => WorkflowOperation::Reinstall,
            Self::Servers { delete: true, .. }
            | Self::Taskserv { delete: true, .. }
            | Self::Cluster { delete: true, .. } => WorkflowOperation::Delete,
            _ => WorkflowOperation::Create,
        }
    }

    /// What it destroys, if anything.
    fn destroys(&self) -> Option<String> {
        let infra = &self.target().infra;
        let what = match self {
            Self::Servers { .. } => format!("the servers of {infra} with all they hold"),
            Self::Taskserv { name, .. } => format!("{name} of {infra}"),
            Self::Cluster { cluster_type, .. } => format!("the cluster {cluster_type} of {infra} with its servers"),
        };
        let operation = self.operation();
        (!self.target().check && operation != WorkflowOperation::Create)
            .then(|| format!("{} {what}", operation.as_str()))
    }

    async fn send(&self, client: &Client) -> Result<TaskId, ClientError> {
        let (operation, target) = (self.operation(), self.target().target());
        match self {
            Self::Servers { .. } => client.workflow_servers(operation, &ServersWorkflow { target }).await,
            Self::Taskserv { name, .. } => {
                let request = TaskservWorkflow { operation, taskserv: name.clone(), target };
                client.workflow_taskserv_create(&request).await
            }
            Self::Cluster { cluster_type, .. } => {
                let request = ClusterWorkflow { operation, cluster_type: cluster_type.clone(), target };
                client.workflow_cluster_create(&request).await
            }
        }
    }
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    match &args.verb {
        Verb::Submit(submit) => self::submit(submit, global),
        Verb::Progress { id } => state::progress(*id, global),
        Verb::Snapshots(args) => state::snapshots(args, global),
    }
}

fn submit(submit: &Submit, global: &Global) -> Result<ExitCode, CliError> {
    let target = submit.target();
    if let Some(what) = submit.destroys() {
        target.yes.agree(global, &what)?;
    }
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        let id = ask(&printer, submit.send(&client)).await?;
        let Some(limits) = target.follow.limits() else {
            printer.item(&id, &id.to_string(), |id| format!("{id}\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        watch::task(&client, id, limits, &printer).await
    })
}
