//! `prov tasks …`.

pub(super) mod logs;

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::connect::{self, ask, block_on};
use super::error::CliError;
use super::page::PageArgs;
use super::printer::{Rows, age, or_dash};
use super::watch::{self, TimeoutArgs};
use super::words::one_of;
use super::{Global, Printer};
use crate::api::list::Page;
use crate::api::task::{Task, TaskFilter, TaskQuery};
use crate::client::Client;
use crate::model::id::{BatchId, TaskId};
use crate::model::name::Name;
use crate::model::status::TaskStatus;
use crate::model::time::Timestamp;

/// Tasks: what the orchestrator runs
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List tasks, newest first
    List(ListArgs),
    /// Show one task
    Get(One),
    /// Show what a task printed
    Logs(logs::Args),
    /// Follow a task until it ends
    Watch(WaitArgs),
    /// Wait until a task has ended
    Wait(WaitArgs),
    /// End a task with everything it started
    Cancel(One),
    /// Run the command of a failed or cancelled task again, as a new task
    Retry(One),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those in this status
    #[arg(long, value_name = "STATUS", ignore_case = true, value_parser = one_of(TaskStatus::ALL, TaskStatus::as_str))]
    status: Option<TaskStatus>,
    /// Only those of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only those of this infra
    #[arg(long, short, value_name = "INFRA", add = complete::infras())]
    infra: Option<Name>,
    /// Only those of this batch
    #[arg(long, value_name = "ID", add = complete::batches())]
    batch: Option<BatchId>,
    #[command(flatten)]
    part: PageArgs,
    /// Only those older than this task
    #[arg(long, value_name = "ID", add = complete::tasks())]
    after: Option<TaskId>,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The task's id
    #[arg(value_name = "ID", add = complete::tasks())]
    id: TaskId,
}

#[derive(Debug, clap::Args)]
struct WaitArgs {
    /// The task's id
    #[arg(value_name = "ID", add = complete::tasks())]
    id: TaskId,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        match args.verb {
            Verb::List(args) => list(&client, args, &printer).await,
            Verb::Get(one) => show(&ask(&printer, client.task_get(one.id)).await?, &printer),
            Verb::Logs(args) => logs::show(&client, &args, &printer).await,
            Verb::Watch(args) => watch::task(&client, args.id, args.timeout.showing(), &printer).await,
            Verb::Wait(args) => watch::task(&client, args.id, args.timeout.quietly(), &printer).await,
            Verb::Cancel(one) => cancel(&client, one.id, &printer).await,
            Verb::Retry(one) => {
                let id = ask(&printer, client.task_retry(one.id)).await?;
                printer.item(&id, &id.to_string(), |id| format!("{id}\n"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

async fn cancel(client: &Client, id: TaskId, printer: &Printer) -> Result<ExitCode, CliError> {
    let task = ask(printer, client.task_cancel(id)).await?;
    if !task.status.is_terminal() {
        printer.remark(&format!("its end was asked for; `prov tasks wait {id}` waits for it"));
    }
    show(&task, printer)
}

async fn list(client: &Client, args: ListArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let query = TaskQuery {
        filter: TaskFilter { status: args.status, name: args.name, infra: args.infra, batch_id: args.batch },
        page: Page { limit: args.part.limit(), offset: args.part.offset, after: args.after.map(|id| id.0) },
    };
    let part = ask(printer, client.task_list(&query)).await?;
    printer.part(&part, args.part.offset, "--offset, --after or --limit", |tasks| rows(tasks, Timestamp::now()))?;
    Ok(ExitCode::SUCCESS)
}

fn rows(tasks: &[Task], now: Timestamp) -> Rows {
    let cells = |task: &Task| {
        vec![
            task.id.to_string(),
            task.name.clone(),
            task.status.to_string(),
            or_dash(task.infra.as_ref()),
            age(task.created_at, now),
            or_dash(task.started_at.map(|start| age(start, task.completed_at.unwrap_or(now)))),
            task.submitted_by.clone(),
            or_dash(task.operation_id.as_ref()),
            format!("{}/{}", task.attempt, task.max_attempts),
            or_dash(task.error.as_ref()),
        ]
    };
    Rows {
        header: vec!["ID", "NAME", "STATUS", "INFRA", "AGE", "TOOK", "BY", "OPERATION", "ATTEMPT", "ERROR"],
        narrow: 6,
        rows: tasks.iter().map(cells).collect(),
    }
}

fn show(task: &Task, printer: &Printer) -> Result<ExitCode, CliError> {
    printer.item(task, &task.id.to_string(), |task| text(task, Timestamp::now()))?;
    Ok(ExitCode::SUCCESS)
}

fn text(task: &Task, now: Timestamp) -> String {
    let command = [vec![task.command.clone()], task.args.clone()].concat().join(" ");
    let mut lines = vec![
        format!("id:       {}", task.id),
        format!("name:     {}", task.name),
        format!("status:   {}", task.status),
        format!("command:  {command}"),
        format!("infra:    {}", or_dash(task.infra.as_ref())),
        format!("created:  {} ({} ago) by {}", task.created_at, age(task.created_at, now), task.submitted_by),
        format!("started:  {}", or_dash(task.started_at)),
        format!("ended:    {}", or_dash(task.completed_at)),
        format!("attempt:  {} of {}", task.attempt, task.max_attempts),
    ];
    if let (Some(batch), Some(operation)) = (task.batch_id, &task.operation_id) {
        lines.push(format!("batch:    {batch}, operation {operation}"));
    }
    if let Some(error) = &task.error {
        lines.push(format!("error:    {}", error.replace('\n', "\n          ")));
    }
    if let Some(output) = task.output.as_ref().filter(|output| !output.is_empty()) {
        lines.push(format!("output:\n{output}"));
    }
    lines.join("\n") + "\n"
}
