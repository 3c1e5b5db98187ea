//! `prov rollback …`, and `prov batch rollback`.

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::confirm::Yes;
use super::connect::{self, answer, ask, block_on, failure};
use super::error::CliError;
use super::page::PageArgs;
use super::printer::{Rows, age, counted, or_dash, short};
use super::watch::{self, FollowArgs, TimeoutArgs};
use super::{Global, Printer};
use crate::api::rollback::{
    AcceptRequest, ProofAnswer, ProofView, RestoreRequest, RollbackOutcome, RollbackPlan, RollbackRequest,
    RollbackStatistics, RollbackSummary, RollbackView, SkipRequest, StepView,
};
use crate::client::{Client, ClientError};
use crate::model::id::{BatchId, CheckpointId, RollbackId};
use crate::model::name::Name;
use crate::model::rollback::{OperationRef, RollbackScope};
use crate::model::time::Timestamp;

/// Rollbacks: undo what was completed, prove that it is gone, and decide about what is stuck
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Undo what was completed since a checkpoint, a batch, or operations with what depends on them
    Execute(Execute),
    /// Bring back what was done at a checkpoint: undo what came later, do again what has gone since
    Restore(Restore),
    /// List rollbacks, newest first
    List(PageArgs),
    /// Show one rollback with its steps and its proof
    Get(One),
    /// Follow a rollback until it ends
    Watch(WatchArgs),
    /// Go on with a stuck rollback from what failed
    Retry(RetryArgs),
    /// Leave an operation of a stuck rollback as it is, and go on with what waits for it
    Skip(Skip),
    /// Leave a stuck rollback as it is, for good
    Accept(Accept),
    /// Count checkpoints and rollbacks
    Stats,
}

#[derive(Debug, clap::Args)]
struct Execute {
    #[command(flatten)]
    what: What,
    /// With a checkpoint: only what was completed in this infra
    #[arg(short, long, value_name = "NAME", requires = "checkpoint", add = complete::infras())]
    infra: Option<Name>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// What was completed since this checkpoint
    #[arg(long, value_name = "ID", add = complete::checkpoints())]
    checkpoint: Option<CheckpointId>,
    /// What this batch did
    #[arg(long, value_name = "ID", add = complete::batches())]
    batch: Option<BatchId>,
    /// These operations and what depends on them: BATCH_ID/OPERATION_ID, parted by commas
    #[arg(long, value_name = "OPERATION", value_delimiter = ',')]
    operations: Vec<OperationRef>,
}

/// How something is undone.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Show what would be done, and change nothing
    #[arg(short, long)]
    check: bool,
    #[command(flatten)]
    follow: FollowArgs,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Debug, clap::Args)]
struct Restore {
    /// The checkpoint's id
    #[arg(value_name = "ID", add = complete::checkpoints())]
    id: CheckpointId,
    /// Only what is in this infra
    #[arg(short, long, value_name = "NAME", add = complete::infras())]
    infra: Option<Name>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The rollback's id
    #[arg(value_name = "ID", add = complete::rollbacks())]
    id: RollbackId,
}

#[derive(Debug, clap::Args)]
struct WatchArgs {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

#[derive(Debug, clap::Args)]
struct RetryArgs {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, clap::Args)]
struct Skip {
    #[command(flatten)]
    one: One,
    /// The operation: BATCH_ID/OPERATION_ID
    #[arg(value_name = "OPERATION")]
    operation: OperationRef,
    /// Why it may stay as it is
    #[arg(long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, clap::Args)]
struct Accept {
    #[command(flatten)]
    one: One,
    /// Why what is left may stay
    #[arg(long, value_name = "WHY")]
    reason: String,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = &Printer::new(global);
    match args.verb {
        Verb::Execute(Execute { what, infra, how }) => {
            let What { checkpoint, batch, operations } = what;
            let named = operations.iter().map(ToString::to_string).collect::<Vec<_>>();
            let operation_ids = Some(named).filter(|named| !named.is_empty());
            let request =
                RollbackRequest { checkpoint_id: checkpoint, batch_id: batch, operation_ids, infra, check_mode: true };
            execute(&request, &how, global)
        }
        Verb::Restore(Restore { id, infra, how }) => {
            let send = async |client: &Client, check_mode| {
                client.rollback_restore(id, &RestoreRequest { infra: infra.clone(), check_mode }).await
            };
            carry_out(&send, &how, global)
        }
        Verb::List(list) => {
            let part = block_on(ask(printer, connect::client()?.rollback_list(&list.page())))?;
            printer.part(&part, list.offset, "--offset or --limit", |all| rows(all, Timestamp::now()))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Get(one) => {
            let client = connect::client()?;
            show(&block_on(ask(printer, client.rollback_get(one.id)))?, printer)
        }
        Verb::Watch(args) => {
            let client = connect::client()?;
            block_on(watch::rollback(&client, args.one.id, args.timeout.showing(), printer))
        }
        Verb::Retry(args) => {
            let client = connect::client()?;
            block_on(async {
                let rollback = ask(printer, client.rollback_retry(args.one.id)).await?;
                follow(&client, &rollback, &args.follow, printer).await
            })
        }
        Verb::Skip(args) => {
            let client = connect::client()?;
            let OperationRef { batch_id, operation_id } = args.operation;
            let request = SkipRequest { batch_id, operation_id, reason: args.reason };
            block_on(async {
                let rollback = ask(printer, client.rollback_skip(args.one.id, &request)).await?;
                follow(&client, &rollback, &args.follow, printer).await
            })
        }
        Verb::Accept(args) => {
            let (client, request) = (connect::client()?, AcceptRequest { reason: args.reason });
            show(&block_on(ask(printer, client.rollback_accept(args.one.id, &request)))?, printer)
        }
        Verb::Stats => {
            let statistics = block_on(ask(printer, connect::client()?.rollback_statistics()))?;
            printer.item(&statistics, "stats", statistics_text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Undoes what a request names.
pub(super) fn execute(request: &RollbackRequest, how: &How, global: &Global) -> Result<ExitCode, CliError> {
    let send = async |client: &Client, check_mode| {
        client.rollback_execute(&RollbackRequest { check_mode, ..request.clone() }).await
    };
    carry_out(&send, how, global)
}

/// Shows the plan, or has it carried out once whoever is there agrees to it.
fn carry_out(
    send: &impl AsyncFn(&Client, bool) -> Result<(RollbackOutcome, Vec<String>), ClientError>,
    how: &How,
    global: &Global,
) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    let ask = async |check_mode| match answer(&printer, send(&client, check_mode)).await? {
        Ok((outcome, warnings)) => {
            printer.warnings(&warnings);
            Ok(outcome)
        }
        Err(error) => Err(failure(&error)),
    };
    if how.check || !how.yes.is_given() {
        let RollbackOutcome::Planned(plan) = block_on(ask(true))? else { return Ok(ExitCode::SUCCESS) };
        if how.check {
            printer.item(&plan, "plan", |plan| plan_text(plan))?;
            return Ok(ExitCode::SUCCESS);
        }
        how.yes.agree(global, plan_text(&plan).trim_end())?;
    }
    block_on(async {
        match ask(false).await? {
            RollbackOutcome::Started(rollback) => follow(&client, &rollback, &how.follow, &printer).await,
            RollbackOutcome::Planned(_) => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn follow(
    client: &Client,
    rollback: &RollbackView,
    args: &FollowArgs,
    printer: &Printer,
) -> Result<ExitCode, CliError> {
    let id = rollback.summary.rollback_id;
    let Some(limits) = args.limits() else {
        printer.item(&id, &id.to_string(), |id| format!("{id}\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    watch::rollback(client, id, limits, printer).await
}

fn show(rollback: &RollbackView, printer: &Printer) -> Result<ExitCode, CliError> {
    printer.item(rollback, &rollback.summary.rollback_id.to_string(), text)?;
    Ok(ExitCode::SUCCESS)
}

/// A rollback for people: how far it came, what its steps did, what the providers answered, what is left.
pub(super) fn text(rollback: &RollbackView) -> String {
    let RollbackView { summary, steps, proof } = rollback;
    let mut text = format!(
        "{} {}: {}, {}/{} operations done\n",
        scope(&summary.scope),
        summary.rollback_id,
        summary.status,
        summary.operations_executed,
        summary.operations_total
    );
    // Of several batches each is named.
    let is_one = summary.batch_ids.len() == 1;
    let name = |batch: BatchId, operation: &Name| {
        if is_one { operation.to_string() } else { format!("{batch}/{operation}") }
    };
    let names: Vec<String> = steps.iter().map(|step| name(step.batch_id, &step.operation_id)).collect();
    let wide = names.iter().map(String::len).max().unwrap_or(0);
    for (step, name) in steps.iter().zip(&names) {
        text += &step_line(step, proof, (name, wide));
    }
    text.extend(summary.error.iter().map(|error| format!("error: {}\n", error.replace('\n', "\n  "))));
    text.extend(summary.left.iter().map(|left| {
        let of = if is_one { String::new() } else { format!("{}: ", left.batch_id) };
        format!("left: {of}{}\n", left.what)
    }));
    text.extend(summary.accepted.iter().map(|why| format!("accepted: {why}\n")));
    text
}

fn step_line(step: &StepView, proof: &[ProofView], (name, wide): (&str, usize)) -> String {
    let is_of = |proof: &&ProofView| {
        (proof.batch_id, &proof.operation_id, proof.action.undoes())
            == (step.batch_id, &step.operation_id, step.action.undoes())
    };
    let proved = match proof.iter().find(is_of).map(|proof| (proof.answer, proof.action.undoes())) {
        Some((ProofAnswer::Proved, true)) => "proved: nothing is left",
        Some((ProofAnswer::Proved, false)) => "proved: all of it is there",
        Some((ProofAnswer::Disproved, true)) => "something is left",
        Some((ProofAnswer::Disproved, false)) => "something is missing",
        Some((ProofAnswer::Unknown, _)) => "its provider could not be asked",
        Some((ProofAnswer::Pending, _)) => "not proved yet",
        None => "nobody can be asked for a proof",
    };
    let skipped = step.skipped.as_ref().map(|why| format!("  skipped: {why}")).unwrap_or_default();
    let line = format!("  {:5} {:wide$}  {:14}  {proved}{skipped}", step.action.as_str(), name, step.status);
    format!("{}\n", line.trim_end())
}

fn plan_text(plan: &RollbackPlan) -> String {
    let (undone, redone) = (of(plan, "undo"), of(plan, "redo"));
    let does = [(undone, "undo"), (redone, "do again")].into_iter().filter(|(count, _)| *count > 0);
    let does = does.map(|(count, what)| format!("{} to {what}", counted(count, "operation")));
    let mut text = format!("{}: {}\n", scope(&plan.scope), does.collect::<Vec<_>>().join(", "));
    for (number, step) in plan.steps.iter().enumerate() {
        let after: Vec<String> = step.waits_for.iter().map(|on| (on + 1).to_string()).collect();
        let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        let what = match step.action.as_str() {
            "prove_undone" => "prove that nothing is left of",
            "prove_redone" => "prove that all is there of",
            "redo" => "do again",
            word => word,
        };
        let place = format!("{} of batch {} in {}", step.operation_id, step.batch_id, step.infra);
        text += &format!("{:>4}. {what} {place}{after}\n      {} {}\n", number + 1, step.command, step.args.join(" "));
    }
    text
}

fn of(plan: &RollbackPlan, action: &str) -> usize {
    plan.steps.iter().filter(|step| step.action.as_str() == action).count()
}

fn scope(scope: &RollbackScope) -> String {
    match scope {
        RollbackScope::Checkpoint { checkpoint_id } => format!("rollback to checkpoint {checkpoint_id}"),
        RollbackScope::Batch { batch_id } => format!("rollback of batch {batch_id}"),
        RollbackScope::Operations { operation_ids } => {
            format!("rollback of {}", counted(operation_ids.len(), "operation"))
        }
        RollbackScope::Restore { checkpoint_id } => format!("restore of checkpoint {checkpoint_id}"),
    }
}

fn rows(rollbacks: &[RollbackSummary], now: Timestamp) -> Rows {
    let cells = |rollback: &RollbackSummary| {
        let infras: Vec<&str> = rollback.infras.iter().map(Name::as_str).collect();
        vec![
            rollback.rollback_id.to_string(),
            rollback.status.to_string(),
            format!("{}/{}", rollback.operations_executed, rollback.operations_total),
            infras.join(","),
            age(rollback.created_at, now),
            rollback.submitted_by.clone(),
            or_dash(rollback.duration.map(|seconds| short(std::time::Duration::from_secs_f64(seconds.max(0.0))))),
            scope(&rollback.scope),
        ]
    };
    Rows {
        header: vec!["ID", "STATUS", "DONE", "INFRA", "AGE", "BY", "TOOK", "WHAT"],
        narrow: 7,
        rows: rollbacks.iter().map(cells).collect(),
    }
}

fn statistics_text(statistics: &RollbackStatistics) -> String {
    let average = statistics.average_time.map(|seconds| format!("{seconds:.1} s"));
    let lines = [
        format!("checkpoints: {}", statistics.checkpoints),
        format!("rollbacks:   {}", statistics.rollbacks),
        format!("succeeded:   {}", statistics.succeeded),
        format!("failed:      {}", statistics.failed),
        format!("average:     {}", or_dash(average)),
    ];
    lines.join("\n") + "\n"
}
