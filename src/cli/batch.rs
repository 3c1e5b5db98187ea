//! `prov batch …`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::complete;
use super::connect::{self, block_on, failure};
use super::error::CliError;
use super::infra::settings_error;
use super::printer::{Rows, age, or_dash};
use super::watch::{self, FollowArgs, TimeoutArgs};
use super::{Global, Printer};
use crate::api::batch::{BatchPlan, BatchQuery, BatchRequest, BatchSummary, BatchView};
use crate::api::list::Page;
use crate::client::Client;
use crate::model::id::BatchId;
use crate::model::status::BatchStatus;
use crate::model::time::Timestamp;
use crate::provision::settings;

/// Batches: graphs of operations with a parallel limit and rollback
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a batch from a Nickel, YAML or JSON file, and follow it on a terminal
    Run(RunArgs),
    /// Show what a batch would do
    Plan(FileArgs),
    /// Check a batch, and list every problem
    Validate(FileArgs),
    /// List batches, newest first
    List(ListArgs),
    /// Show one batch with its operations
    Get(One),
    /// Follow a batch until it ends
    Watch(WatchArgs),
    /// End a batch
    Cancel(CancelArgs),
    /// Go on with a batch from what failed
    Retry(RunOptions),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Validate and show the plan, run nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// The batch: a .ncl, .yaml or .json file
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those in this status: Pending, Running, Completed, Failed, Cancelled, RollingBack, RolledBack or RollbackFailed
    #[arg(long, value_name = "STATUS")]
    status: Option<BatchStatus>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Pass over so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The batch's id
    #[arg(value_name = "ID", add = complete::batches())]
    id: BatchId,
}

#[derive(Debug, clap::Args)]
struct WatchArgs {
    /// The batch's id
    #[arg(value_name = "ID", add = complete::batches())]
    id: BatchId,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

#[derive(Debug, clap::Args)]
struct CancelArgs {
    /// The batch's id
    #[arg(value_name = "ID", add = complete::batches())]
    id: BatchId,
    /// Undo what was done
    #[arg(long)]
    rollback: bool,
}

#[derive(Debug, clap::Args)]
struct RunOptions {
    /// The batch's id
    #[arg(value_name = "ID", add = complete::batches())]
    id: BatchId,
    #[command(flatten)]
    follow: FollowArgs,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        match args.verb {
            Verb::Run(args) if args.check => plan(&client, &args.file, &printer).await,
            Verb::Run(args) => start(&client, &args, &printer).await,
            Verb::Plan(file) => plan(&client, &file, &printer).await,
            Verb::Validate(file) => validate(&client, &file, &printer).await,
            Verb::List(args) => list(&client, &args, &printer).await,
            Verb::Get(one) => show(&client.batch_get(one.id).await.map_err(|error| failure(&error))?, &printer),
            Verb::Watch(args) => watch::batch(&client, args.id, args.timeout.showing(), &printer).await,
            Verb::Cancel(args) => {
                show(&client.batch_cancel(args.id, args.rollback).await.map_err(|error| failure(&error))?, &printer)
            }
            Verb::Retry(args) => {
                let batch = client.batch_retry(args.id).await.map_err(|error| failure(&error))?;
                follow(&client, batch.summary.batch_id, &args.follow, &printer).await
            }
        }
    })
}

/// The file's batch, evaluated here: the daemon is sent data, never a program.
fn read(file: &FileArgs) -> Result<Value, CliError> {
    let document = settings::load_document(&file.file).map_err(|error| settings_error(&error))?;
    // The daemon checks again; only here is it known where in the file something stands.
    match BatchRequest::read(&document.value) {
        Ok(_) => Ok(document.value),
        Err(problems) => {
            let problems = problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str()));
            Err(settings_error(&document.invalid_at(problems)))
        }
    }
}

async fn start(client: &Client, args: &RunArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let batch = read(&args.file)?;
    let (view, warnings) = client.batch_execute(&batch).await.map_err(|error| failure(&error))?;
    printer.warnings(&warnings);
    follow(client, view.summary.batch_id, &args.follow, printer).await
}

async fn follow(client: &Client, id: BatchId, args: &FollowArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let Some(limits) = args.limits() else {
        printer.item(&id, &id.to_string(), |id| format!("{id}\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    watch::batch(client, id, limits, printer).await
}

async fn plan(client: &Client, file: &FileArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let (plan, warnings) = client.batch_validate(&read(file)?).await.map_err(|error| failure(&error))?;
    printer.warnings(&warnings);
    printer.item(&plan, &plan.name, plan_text)?;
    Ok(ExitCode::SUCCESS)
}

async fn validate(client: &Client, file: &FileArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let (plan, warnings) = client.batch_validate(&read(file)?).await.map_err(|error| failure(&error))?;
    printer.warnings(&warnings);
    printer.item(&plan, &plan.name, |plan| {
        format!("{} is valid: {} operations in {} waves\n", plan.name, plan.operations.len(), plan.waves.len())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, args: &ListArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let page = Page { limit: usize::from(args.limit), offset: args.offset, after: None };
    let part = client.batch_list(&BatchQuery { status: args.status, page }).await.map_err(|error| failure(&error))?;
    printer.part(&part, "--offset or --limit", |batches| rows(batches, Timestamp::now()))?;
    Ok(ExitCode::SUCCESS)
}

fn rows(batches: &[BatchSummary], now: Timestamp) -> Rows {
    let cells = |batch: &BatchSummary| {
        vec![
            batch.batch_id.to_string(),
            batch.name.clone(),
            batch.status.to_string(),
            format!("{}/{}", batch.operations_completed, batch.operations_total),
            batch.infra.to_string(),
            age(batch.created_at, now),
            or_dash(batch.started_at.map(|start| age(start, batch.completed_at.unwrap_or(now)))),
            batch.submitted_by.clone(),
            or_dash(batch.error.as_ref()),
        ]
    };
    Rows {
        header: vec!["ID", "NAME", "STATUS", "DONE", "INFRA", "AGE", "TOOK", "BY", "ERROR"],
        narrow: 7,
        rows: batches.iter().map(cells).collect(),
    }
}

fn show(batch: &BatchView, printer: &Printer) -> Result<ExitCode, CliError> {
    printer.item(batch, &batch.summary.batch_id.to_string(), text)?;
    Ok(ExitCode::SUCCESS)
}

/// A batch for people: what it is, a line an operation, what is left.
pub(super) fn text(batch: &BatchView) -> String {
    let summary = &batch.summary;
    let mut text = format!(
        "{} {}: {}, {}/{} operations completed\n",
        summary.name, summary.batch_id, summary.status, summary.operations_completed, summary.operations_total
    );
    if let Some(error) = &summary.error {
        text += &format!("error: {}\n", error.replace('\n', "\n  "));
    }
    let wide = batch.operations.iter().map(|operation| operation.id.as_str().len()).max().unwrap_or(0);
    for operation in &batch.operations {
        let task = operation.task_id.map(|id| format!("  task {id}")).unwrap_or_default();
        text += &format!("  {:wide$}  {:14}  {:14}{task}\n", operation.id, operation.kind, operation.status);
    }
    for left in &summary.left {
        text += &format!("left: {}\n", left.what);
    }
    text
}

fn plan_text(plan: &BatchPlan) -> String {
    let mut text = format!("{}: {} operations in {} waves\n", plan.name, plan.operations.len(), plan.waves.len());
    for (number, wave) in plan.waves.iter().enumerate() {
        text += &format!("wave {}\n", number + 1);
        for operation in plan.operations.iter().filter(|operation| wave.contains(&operation.id)) {
            let provider = operation.provider.as_ref().map(|provider| format!(" at {provider}")).unwrap_or_default();
            text += &format!("  {}  {}{provider}\n", operation.id, operation.kind);
            text += &format!("    do:   {} {}\n", operation.command, operation.args.join(" "));
            text += &format!("    undo: {}\n", operation.compensation.as_deref().unwrap_or("nothing undoes it"));
        }
    }
    text
}
