//! The calls that top makes, and what it takes from their answers.

use std::collections::HashSet;

use tokio::sync::mpsc::Sender;

use super::Came;
use crate::api::batch::{BatchQuery, BatchSummary};
use crate::api::list::Page;
use crate::api::task::{LogQuery, LogStream, TaskFilter, TaskQuery};
use crate::cli::printer::{Printer, Reader};
use crate::cli::tasks::logs;
use crate::cli::top::model::{Input, Lists};
use crate::client::{Client, ClientError};
use crate::model::id::TaskId;
use crate::model::status::{BatchStatus, TaskStatus};

/// How many of the newest are shown, and how many that run besides.
const NEWEST: usize = 200;
/// Lines of a log that are read of each stream.
const LINES: usize = 1000;

/// The newest work, and what runs of older.
pub(super) async fn lists(client: &Client) -> Result<Lists, ClientError> {
    let page = Page { limit: NEWEST, offset: 0, after: None };
    let batch_list = |status| async move { client.batch_list(&BatchQuery { status, page }).await };
    let task_list = |status| async move {
        client.task_list(&TaskQuery { filter: TaskFilter { status, ..TaskFilter::default() }, page }).await
    };
    let (batches, tasks) = tokio::try_join!(batch_list(None), task_list(None))?;
    let is_part = |items: usize, total: u64| total > items as u64;
    let mut lists = Lists { batches: batches.items, tasks: tasks.items };
    if is_part(lists.batches.len(), batches.total) {
        let older =
            tokio::try_join!(batch_list(Some(BatchStatus::Running)), batch_list(Some(BatchStatus::RollingBack)))?;
        let known: HashSet<_> = lists.batches.iter().map(|batch| batch.batch_id).collect();
        let is_new = |batch: &BatchSummary| !known.contains(&batch.batch_id);
        lists.batches.extend(older.0.items.into_iter().chain(older.1.items).filter(is_new));
    }
    if is_part(lists.tasks.len(), tasks.total) {
        let older = task_list(Some(TaskStatus::Running)).await?;
        let known: HashSet<_> = lists.tasks.iter().map(|task| task.id).collect();
        lists.tasks.extend(older.items.into_iter().filter(|task| !known.contains(&task.id)));
    }
    Ok(lists)
}

/// The daemon's figures; work is shown without them where they can't be had.
pub(super) async fn figures(client: &Client) -> Came {
    let (metrics, health) = tokio::join!(client.system_metrics(), client.system_health());
    match metrics {
        Ok(metrics) => Came::Input(Input::Figures(Box::new(metrics), health.ok().map(Box::new))),
        Err(_) => Came::Input(Input::NoFigures),
    }
}

/// Something to show, or why it can't be had.
pub(super) fn told<T>(answer: Result<T, ClientError>, input: impl FnOnce(T) -> Input) -> Came {
    Came::Input(answer.map_or_else(|error| Input::Told(error.to_string()), input))
}

/// What was changed, or why it wasn't.
pub(super) fn changed<T>(answer: Result<T, ClientError>, said: impl FnOnce(T) -> String) -> Came {
    match answer {
        Ok(answer) => Came::Changed(said(answer)),
        Err(error) => Came::Input(Input::Told(error.to_string())),
    }
}

/// Reads the end of a task's log, and what comes to it.
pub(super) async fn log(client: &Client, task: TaskId, printer: &Printer, sender: Sender<Came>) {
    let (parts, mut texts) = tokio::sync::mpsc::unbounded_channel();
    let query = |stream| LogQuery { stream, tail: Some(LINES), follow: true, offset: None };
    let queries = vec![query(LogStream::Stdout), query(LogStream::Stderr)];
    let read = logs::read(client, task, queries, printer, |text| {
        Ok(if parts.send(text).is_ok() { Reader::There } else { Reader::Gone })
    });
    let pass_on = async {
        while let Some(text) = texts.recv().await {
            if sender.send(Came::Input(Input::Log(task, text))).await.is_err() {
                return;
            }
        }
    };
    let mut pass_on = std::pin::pin!(pass_on);
    let ended = tokio::select! {
        read = read => read,
        () = &mut pass_on => return,
    };
    drop(parts);
    pass_on.await;
    let how = ended.map_or_else(|error| error.message, |()| "ended".to_owned());
    let _ = sender.send(Came::Input(Input::LogEnded(task, how))).await;
}
