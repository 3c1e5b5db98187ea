//! Following work until it ends, and what came of it as an exit code. What is shown meanwhile is [`super::progress`]' to
//! say.
//!
//! Fed by asking again and again; everything goes through [`task`] and [`batch`], so what feeds them can change without
//! anybody noticing.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::Printer;
use super::batch::text;
use super::connect::failure;
use super::error::{CliError, Kind};
use super::progress::View;
use crate::api::batch::{BatchView, OperationView};
use crate::api::task::{LogQuery, LogStream, Task};
use crate::client::{Client, ClientError};
use crate::model::id::{BatchId, TaskId};
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};

/// How often is asked.
const ASK: Duration = Duration::from_millis(150);
/// How long the daemon may be away before following gives up.
const PATIENCE: Duration = Duration::from_mins(1);
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
        (follows && !detach).then_some(Limits { timeout: timeout.timeout, progress: !wait })
    }
}

impl TimeoutArgs {
    /// With progress.
    #[must_use]
    pub fn showing(&self) -> Limits {
        Limits { timeout: self.timeout, progress: true }
    }

    /// Without progress.
    #[must_use]
    pub fn quietly(&self) -> Limits {
        Limits { timeout: self.timeout, progress: false }
    }
}

/// How long is followed, and how much is shown.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    timeout: Option<Duration>,
    progress: bool,
}

impl Limits {
    /// To the end, with progress.
    #[must_use]
    pub fn until_the_end() -> Self {
        Self { timeout: None, progress: true }
    }
}

/// A length of time such as `90s`, `30m`, `2h`, or seconds alone.
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
        _ => None,
    };
    let seconds = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "write a time as in 90s, 30m or 2h".to_owned())
}

/// Follows a task and prints it at its end; its outcome is the exit code.
///
/// # Errors
/// When it failed or was cancelled, waiting took too long, or the daemon is gone.
pub async fn task(client: &Client, id: TaskId, limits: Limits, printer: &Printer) -> Result<ExitCode, CliError> {
    let mut view = View::new(limits.progress, printer);
    let ask = || client.task_get(id);
    let (what, cancel) = (format!("task {id}"), format!("prov tasks cancel {id}"));
    let task = follow(ask, limits, &what, &cancel, |task: &Task| {
        view.task(task);
        task.status.is_terminal()
    });
    let task = task.await?;
    view.finish();
    match task.status {
        TaskStatus::Completed => {
            printer.item(&task, &id.to_string(), |task| {
                task.output.as_ref().map(|out| format!("{out}\n")).unwrap_or_default()
            })?;
            Ok(ExitCode::SUCCESS)
        }
        TaskStatus::Cancelled => Err(CliError::new(Kind::Cancelled, format!("{what} was cancelled"))),
        _ => {
            let mut error = CliError::new(Kind::WorkFailed, format!("{what} ({}) failed", task.name));
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
    printer.item(&batch, &id.to_string(), text)?;
    let kind = match batch.summary.status {
        BatchStatus::Completed => return Ok(ExitCode::SUCCESS),
        BatchStatus::RollbackFailed => Kind::RollbackIncomplete,
        _ if batch.summary.cancel_requested => Kind::Cancelled,
        _ => Kind::WorkFailed,
    };
    Err(explain(client, &batch, kind).await)
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
    let mut view = View::new(limits.progress, printer);
    let (what, cancel) = (format!("batch {id}"), format!("prov batch cancel {id}"));
    let followed = follow(
        || client.batch_get(id),
        limits,
        &what,
        &cancel,
        |batch: &BatchView| {
            view.batch(batch);
            batch.summary.status.is_terminal()
        },
    );
    let batch = followed.await?;
    view.finish();
    Ok(batch)
}

/// What went wrong with a batch: the operation, its error, its last words, what was undone, what is left.
pub(super) async fn explain(client: &Client, batch: &BatchView, kind: Kind) -> CliError {
    let summary = &batch.summary;
    let mut error = CliError::new(kind, format!("batch {} ended {}", summary.name, summary.status));
    error.causes.extend(summary.error.clone());
    let failed = |operation: &&OperationView| operation.status == OperationStatus::Failed;
    if let Some(task) = batch.operations.iter().find(failed).and_then(|operation| operation.task_id) {
        let query = LogQuery { stream: LogStream::Stderr, tail: Some(LAST_LINES), follow: false };
        let log = match client.task_logs(task, &query).await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        if !log.trim().is_empty() {
            error.causes.push(format!("the end of its log:\n{}", log.trim_end()));
        }
        error.hints.push(format!("prov tasks logs {task}"));
    }
    let undone: Vec<&str> = named(batch, OperationStatus::RolledBack);
    if !undone.is_empty() {
        error.causes.push(format!("rolled back: {}", undone.join(", ")));
    }
    error.causes.extend(summary.left.iter().map(|left| format!("left: {}", left.what)));
    error.hint(format!("prov batch retry {}", summary.batch_id))
}

fn named(batch: &BatchView, status: OperationStatus) -> Vec<&str> {
    let of = batch.operations.iter().filter(|operation| operation.status == status);
    of.map(|operation| operation.id.as_str()).collect()
}

/// Asks until `ended` says so. A daemon that is away for a while, as for an upgrade, is waited for.
async fn follow<T, F>(
    ask: impl Fn() -> F,
    limits: Limits,
    what: &str,
    cancel: &str,
    mut ended: impl FnMut(&T) -> bool,
) -> Result<T, CliError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let start = Instant::now();
    let mut away: Option<Instant> = None;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        match ask().await {
            Ok(answer) => {
                away = None;
                if ended(&answer) {
                    return Ok(answer);
                }
            }
            Err(error @ ClientError::Transport { .. }) => {
                if away.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(failure(&error));
                }
            }
            Err(error) => return Err(failure(&error)),
        }
        if limits.timeout.is_some_and(|timeout| start.elapsed() >= timeout) {
            let error = CliError::new(Kind::TimedOut, format!("{what} has not ended yet; it goes on"));
            return Err(error.hint(format!("cancel it with `{cancel}`")));
        }
        tokio::select! {
            () = tokio::time::sleep(ASK) => {}
            _ = &mut interrupt => {
                let error = CliError::new(Kind::Interrupted, format!("no longer following; {what} goes on"));
                return Err(error.hint(format!("cancel it with `{cancel}`")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("soon").is_err() && duration("").is_err() && duration("5d").is_err());
    }
}
