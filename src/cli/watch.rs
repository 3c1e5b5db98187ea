//! Following work until it ends, and what came of it as an exit code. What is shown meanwhile is [`super::progress`]' to
//! say.
//!
//! Fed by the [`stream`] of events, and by asking again and again where there is none ([`follow`]); what an event means for
//! the work is [`followed`]'s. Everything goes through [`task`], [`batch`] and
//! [`rollback`].

mod follow;
pub(super) mod followed;
mod rollback;
pub(super) mod stream;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use self::follow::Watched;
pub use self::rollback::rollback;
use super::Printer;
use super::batch::{headline, overview};
use super::error::{CliError, Kind};
use super::progress::{self, View};
use crate::api::batch::{BatchView, OperationView};
use crate::api::task::{LogQuery, LogStream};
use crate::client::Client;
use crate::model::id::{BatchId, TaskId};
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};

/// How long the log of a failed task may take to come.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// Lines of a failed task's log that are shown.
const LAST_LINES: usize = 10;

/// Options of commands that start work.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct FollowArgs {
    /// Don't follow: print the id
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    /// Wait for the end without showing progress
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// Options of commands that follow work.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct TimeoutArgs {
    /// Give up waiting after this time, such as 90s, 30m or 2h; the work goes on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

impl FollowArgs {
    /// How the work is followed; `None` when only its id is wanted: on request, and where nobody looks.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        let Self { detach, wait, timeout } = self;
        let follows = *wait || timeout.timeout.is_some() || std::io::stderr().is_terminal();
        (follows && !detach).then_some(Limits { timeout: timeout.timeout, progress: !wait, was_there: true })
    }
}

impl TimeoutArgs {
    /// With progress.
    #[must_use]
    pub fn showing(&self) -> Limits {
        Limits { timeout: self.timeout, progress: true, was_there: false }
    }

    /// Without progress.
    #[must_use]
    pub fn quietly(&self) -> Limits {
        Limits { timeout: self.timeout, progress: false, was_there: false }
    }
}

/// How long is followed, and how much is shown.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    timeout: Option<Duration>,
    progress: bool,
    /// Whether the daemon has answered already: then it is waited for when it goes away.
    was_there: bool,
}

impl Limits {
    /// To the end, with progress.
    #[must_use]
    pub fn until_the_end() -> Self {
        Self { timeout: None, progress: true, was_there: true }
    }
}

/// A length of time such as `90s`, `30m`, `2h`, `7d`, or seconds alone.
///
/// # Errors
/// Says what is taken.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "write a time as in 90s, 30m, 2h or 7d".to_owned())
}

/// Follows a task and prints it at its end; its outcome is the exit code.
///
/// # Errors
/// When it failed or was cancelled, waiting took too long, or the daemon is gone.
pub async fn task(client: &Client, id: TaskId, limits: Limits, printer: &Printer) -> Result<ExitCode, CliError> {
    let watched =
        Watched { noun: "task", id: id.to_string(), hint: format!("cancel it with `prov tasks cancel {id}`") };
    let mut view = View::new(limits.progress, &watched.name(), printer);
    let ended = Box::pin(follow::until_ended(client, || client.task_get(id), limits, &mut view, View::task));
    let task = watched.attend(limits.timeout, ended).await?;
    drop(view);
    match task.status {
        TaskStatus::Completed => {
            printer.item(&task, &id.to_string(), |task| {
                task.output.as_ref().map(|out| format!("{}\n", out.trim_end_matches('\n'))).unwrap_or_default()
            })?;
            if !limits.progress {
                printer.remark(&format!("task {id} ({}) {}", task.name, task.status));
            }
            Ok(ExitCode::SUCCESS)
        }
        TaskStatus::Cancelled => Err(watched.error(Kind::Cancelled, format!("{} was cancelled", watched.name()))),
        _ => {
            let mut error = watched.error(Kind::WorkFailed, format!("{} ({}) failed", watched.name(), task.name));
            error.causes.extend(task.error);
            Err(error.hint(format!("prov tasks logs {id}")))
        }
    }
}

/// Follows a batch and prints it at its end; its outcome is the exit code.
///
/// # Errors
/// When it failed or was cancelled, waiting took too long, or the daemon is gone.
pub async fn batch(client: &Client, id: BatchId, limits: Limits, printer: &Printer) -> Result<ExitCode, CliError> {
    let batch = to_the_end(client, id, limits, printer).await?;
    let kind = match batch.summary.status {
        BatchStatus::Completed => {
            printer.item(&batch, &id.to_string(), |batch| told(batch, limits, printer))?;
            return Ok(ExitCode::SUCCESS);
        }
        BatchStatus::RollbackFailed => Kind::RollbackIncomplete,
        _ if batch.summary.cancel_requested => Kind::Cancelled,
        _ => Kind::WorkFailed,
    };
    // Programs have the error alone; people see how far it came.
    if printer.format().is_for_people() {
        printer.out(&told(&batch, limits, printer))?;
    }
    Err(explain(client, &batch, kind).await)
}

/// What is told of a batch that was followed: where its bars stand right above, the whole alone.
fn told(batch: &BatchView, limits: Limits, printer: &Printer) -> String {
    let is_shown = limits.progress && !printer.is_quiet() && progress::can_draw() && std::io::stdout().is_terminal();
    if is_shown { headline(batch) } else { overview(batch) }
}

/// Follows a batch until it has ended, however it did.
///
/// # Errors
/// When waiting took too long, or the daemon is gone.
pub async fn to_the_end(
    client: &Client,
    id: BatchId,
    limits: Limits,
    printer: &Printer,
) -> Result<BatchView, CliError> {
    let watched = watched(id);
    let mut view = View::new(limits.progress, &watched.name(), printer);
    let ended = Box::pin(follow::until_ended(client, || client.batch_get(id), limits, &mut view, View::batch));
    watched.attend(limits.timeout, ended).await
}

fn watched(id: BatchId) -> Watched {
    Watched { noun: "batch", id: id.to_string(), hint: format!("cancel it with `prov batch cancel {id}`") }
}

/// What went wrong with a batch: the operation, its error, its last words, what was undone, what is left.
pub(super) async fn explain(client: &Client, batch: &BatchView, kind: Kind) -> CliError {
    let (summary, watched) = (&batch.summary, watched(batch.summary.batch_id));
    let mut error = watched.error(kind, format!("batch {} ended {}", summary.name, summary.status));
    error.causes.extend(summary.error.clone());
    let failed = |operation: &&OperationView| operation.status == OperationStatus::Failed;
    if let Some(task) = batch.operations.iter().find(failed).and_then(|operation| operation.task_id) {
        let said = watched.attend(Some(LOG_PATIENCE), async { Ok(last_words(client, task).await) }).await;
        let said = said.unwrap_or_default();
        // Short ones stand in the error already.
        if !said.is_empty() && !error.causes.iter().any(|cause| cause.contains(&said)) {
            error.causes.push(format!("the end of its log:\n{said}"));
        }
        error.hints.push(format!("prov tasks logs {task}"));
    }
    let undone: Vec<&str> = named(batch, OperationStatus::RolledBack);
    if !undone.is_empty() {
        error.causes.push(format!("rolled back: {}", undone.join(", ")));
    }
    error.causes.extend(summary.left.iter().map(|left| format!("left: {}", left.what)));
    error.hint(match summary.rollback_id.filter(|_| summary.status == BatchStatus::RollbackFailed) {
        Some(rollback) => format!("prov rollback get {rollback}"),
        None => format!("prov batch retry {}", summary.batch_id),
    })
}

/// The end of a task's log; empty where it can't be had.
async fn last_words(client: &Client, task: TaskId) -> String {
    let query = LogQuery { stream: LogStream::Stderr, tail: Some(LAST_LINES), ..LogQuery::default() };
    let log = match client.task_logs(task, &query).await {
        Ok(response) => response.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    log.trim_end().to_owned()
}

fn named(batch: &BatchView, status: OperationStatus) -> Vec<&str> {
    let of = batch.operations.iter().filter(|operation| operation.status == status);
    of.map(|operation| operation.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(duration("5d"), Ok(Duration::from_hours(5 * 24)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("soon").is_err() && duration("").is_err() && duration("5w").is_err());
    }
}
