//! `prov batch …`.

mod plan;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Subcommand;
use serde_json::{Value, json};

use super::complete;
use super::confirm::Yes;
use super::connect::{self, ask, block_on};
use super::error::CliError;
use super::infra::settings_error;
use super::page::PageArgs;
use super::printer::{Rows, age, or_dash};
use super::rollback;
use super::watch::{self, FollowArgs, TimeoutArgs};
use super::words::one_of;
use super::{Global, Printer};
use crate::api::batch::{BatchPlan, BatchQuery, BatchRequest, BatchSummary, BatchView};
use crate::api::envelope::Code;
use crate::api::read::Problem;
use crate::api::rollback::RollbackRequest;
use crate::client::{Client, ClientError};
use crate::model::id::BatchId;
use crate::model::name::Name;
use crate::model::rehearsal::{ModeError, ProviderMode, Rehearsal};
use crate::model::status::BatchStatus;
use crate::model::time::Timestamp;
use crate::provision::settings::{self, Document};

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
    /// Show what a batch would change as things are now, and the digest that `run --plan` takes
    Plan(PlanArgs),
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
    /// Undo what an ended batch did, or some of its operations with what depends on them
    Rollback(RollbackArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Validate and show the plan, run nothing
    #[arg(long)]
    check: bool,
    /// Work against twins of the providers, which fail as clouds do, and make nothing for real
    #[arg(long, value_name = "OPTIONS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    rehearse: Option<Rehearse>,
    /// Refuse to run it where it would not do what this plan says, by the digest that `prov batch plan` shows
    #[arg(long, value_name = "DIGEST", conflicts_with = "check")]
    plan: Option<String>,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, clap::Args)]
struct PlanArgs {
    #[command(flatten)]
    file: FileArgs,
    /// As it would be at twins of the providers
    #[arg(long, value_name = "OPTIONS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    rehearse: Option<Rehearse>,
}

/// A rehearsal by its options: `seed=7,speed=60,faults=0.1,rate=10,fail=web-2`.
#[derive(Clone, Debug)]
struct Rehearse(Rehearsal);

impl FromStr for Rehearse {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let mode = format!("rehearse:{text}").parse()?;
        Ok(Self(if let ProviderMode::Rehearse(rehearsal) = mode { rehearsal } else { Rehearsal::default() }))
    }
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// The batch: a .ncl, .yaml or .json file
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those in this status
    #[arg(long, value_name = "STATUS", ignore_case = true, value_parser = one_of(BatchStatus::ALL, BatchStatus::as_str))]
    status: Option<BatchStatus>,
    #[command(flatten)]
    part: PageArgs,
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
    #[command(flatten)]
    yes: Yes,
}

#[derive(Debug, clap::Args)]
struct RunOptions {
    /// The batch's id
    #[arg(value_name = "ID", add = complete::batches())]
    id: BatchId,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, clap::Args)]
struct RollbackArgs {
    /// The batch's id
    #[arg(value_name = "ID", add = complete::batches())]
    id: BatchId,
    /// Only this operation, and what depends on it; can be given more than once
    #[arg(long, value_name = "OPERATION")]
    operation: Vec<Name>,
    #[command(flatten)]
    how: rollback::How,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = &Printer::new(global);
    match args.verb {
        Verb::Run(args) if args.check => show_plan(&planned(&args.file, printer)?, printer),
        Verb::Run(args) => start(&args, printer),
        Verb::Plan(args) => foresee(&args, printer),
        Verb::Validate(file) => validate(&file, printer),
        Verb::List(args) => list(&args, printer),
        Verb::Get(one) => {
            let client = connect::client()?;
            block_on(async { show(&ask(printer, client.batch_get(one.id)).await?, printer) })
        }
        Verb::Watch(args) => {
            let client = connect::client()?;
            block_on(watch::batch(&client, args.id, args.timeout.showing(), printer))
        }
        Verb::Cancel(args) => cancel(&args, global),
        Verb::Rollback(args) => {
            let named: Vec<String> = args.operation.iter().map(ToString::to_string).collect();
            let operation_ids = Some(named).filter(|named| !named.is_empty());
            let request = RollbackRequest { batch_id: Some(args.id), operation_ids, ..RollbackRequest::default() };
            rollback::execute(&request, &args.how, global)
        }
        Verb::Retry(args) => {
            let client = connect::client()?;
            block_on(async {
                let batch = ask(printer, client.batch_retry(args.id)).await?;
                follow(&client, batch.summary.batch_id, &args.follow, printer).await
            })
        }
    }
}

/// The file's batch, evaluated here: the daemon is sent data, never a program.
fn read(file: &FileArgs) -> Result<Document, CliError> {
    let document = settings::load_document(&file.file).map_err(|error| settings_error(&error))?;
    // The daemon checks again; only here is it known where in the file something stands.
    match BatchRequest::read(&document.value) {
        Ok(_) => Ok(document),
        Err(problems) => Err(located(&document, &problems)),
    }
}

fn located(document: &Document, problems: &[Problem]) -> CliError {
    let problems = problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str()));
    settings_error(&document.invalid_at(problems))
}

/// Sends what a file says. What the daemon finds wrong with it, such as a cycle, is told with its place in the file.
async fn send<T>(
    document: &Document,
    call: impl Future<Output = Result<(T, Vec<String>), ClientError>>,
    printer: &Printer,
) -> Result<T, CliError> {
    match connect::answer(printer, call).await? {
        Ok((answer, warnings)) => {
            printer.warnings(&warnings);
            Ok(answer)
        }
        Err(ClientError::Answered(failure)) if failure.code == Code::InvalidRequest => {
            let problems = failure.details.as_ref().and_then(|details| details.get("problems"));
            let problems: Vec<Problem> =
                problems.and_then(|problems| serde_json::from_value(problems.clone()).ok()).unwrap_or_default();
            if problems.is_empty() {
                return Err(connect::failure(&ClientError::Answered(failure)));
            }
            Err(CliError { request_id: Some(failure.request_id), ..located(document, &problems) })
        }
        Err(error) => Err(connect::failure(&error)),
    }
}

fn start(args: &RunArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let (batch, client) = (read(&args.file)?, connect::client()?);
    let mut body = rehearsed(&batch.value, args.rehearse.as_ref());
    if let (Some(digest), Some(fields)) = (&args.plan, body.as_object_mut()) {
        fields.insert("plan".to_owned(), json!(digest));
    }
    block_on(async {
        let view = send(&batch, client.batch_execute(&body), printer).await?;
        follow(&client, view.summary.batch_id, &args.follow, printer).await
    })
}

async fn follow(client: &Client, id: BatchId, args: &FollowArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let Some(limits) = args.limits() else {
        printer.item(&id, &id.to_string(), |id| format!("{id}\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    watch::batch(client, id, limits, printer).await
}

fn cancel(args: &CancelArgs, global: &Global) -> Result<ExitCode, CliError> {
    if args.rollback {
        args.yes.agree(global, &format!("undo what batch {} did", args.id))?;
    }
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async { show(&ask(&printer, client.batch_cancel(args.id, args.rollback)).await?, &printer) })
}

/// What a file would do, as the daemon sees it.
fn planned(file: &FileArgs, printer: &Printer) -> Result<BatchPlan, CliError> {
    let (batch, client) = (read(file)?, connect::client()?);
    block_on(send(&batch, client.batch_validate(&batch.value), printer))
}

/// What a file would change, as things are now.
fn foresee(args: &PlanArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let (batch, client) = (read(&args.file)?, connect::client()?);
    let body = rehearsed(&batch.value, args.rehearse.as_ref());
    show_plan(&block_on(send(&batch, client.batch_plan(&body), printer))?, printer)
}

fn show_plan(plan: &BatchPlan, printer: &Printer) -> Result<ExitCode, CliError> {
    printer.item(plan, plan.digest.as_ref().unwrap_or(&plan.name), plan::text)?;
    Ok(ExitCode::SUCCESS)
}

/// The batch with a rehearsal where one is asked for.
fn rehearsed(batch: &Value, how: Option<&Rehearse>) -> Value {
    let mut body = batch.clone();
    if let (Some(Rehearse(rehearsal)), Some(fields)) = (how, body.as_object_mut()) {
        fields.insert("rehearse".to_owned(), json!(rehearsal));
    }
    body
}

fn validate(file: &FileArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let plan = planned(file, printer)?;
    printer.item(&plan, &plan.name, |plan| format!("{} is valid: {}\n", plan.name, plan::size(plan)))?;
    Ok(ExitCode::SUCCESS)
}

fn list(args: &ListArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let client = connect::client()?;
    let page = args.part.page();
    let query = BatchQuery { status: args.status, page };
    let part = block_on(ask(printer, client.batch_list(&query)))?;
    printer.part(&part, args.part.offset, "--offset or --limit", |batches| rows(batches, Timestamp::now()))?;
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

/// A batch for people: how far it came, why it failed, what is left.
fn text(batch: &BatchView) -> String {
    let summary = &batch.summary;
    let error = summary.error.iter().map(|error| format!("error: {}\n", error.replace('\n', "\n  ")));
    let left = summary.left.iter().map(|left| format!("left: {}\n", left.what));
    overview(batch) + &error.chain(left).collect::<String>()
}

/// How far a batch came as a whole.
pub(super) fn headline(batch: &BatchView) -> String {
    let summary = &batch.summary;
    format!(
        "{} {}: {}, {}/{} operations completed\n",
        summary.name, summary.batch_id, summary.status, summary.operations_completed, summary.operations_total
    )
}

/// How far a batch came: the whole, and a line an operation.
pub(super) fn overview(batch: &BatchView) -> String {
    let mut text = headline(batch);
    let wide = batch.operations.iter().map(|operation| operation.id.as_str().len()).max().unwrap_or(0);
    for operation in &batch.operations {
        let task = operation.task_id.map(|id| format!("  task {id}")).unwrap_or_default();
        let line = format!("  {:wide$}  {:14}  {:14}{task}", operation.id, operation.kind, operation.status);
        text += &format!("{}\n", line.trim_end());
    }
    text
}
