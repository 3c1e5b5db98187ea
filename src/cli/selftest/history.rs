//! All batches of a test as they ended, and whether the daemon still knows them so after a clean stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::check::{Evidence, Promise, Violation};
use super::round::Link;
use crate::api::batch::{BatchQuery, BatchView};
use crate::api::list::Page;
use crate::api::task::TaskQuery;
use crate::cli::connect::failure;
use crate::cli::error::CliError;
use crate::model::id::{BatchId, TaskId};

/// How long the supervisor may take to end after the daemon.
const VANISHING: Duration = Duration::from_secs(10);

/// What ended, and how.
#[derive(Default)]
pub(super) struct History {
    batches: BTreeMap<BatchId, BatchView>,
    tasks: BTreeSet<TaskId>,
}

impl History {
    /// Remembers a batch that has ended, and its tasks.
    pub(super) fn note(&mut self, evidence: &Evidence) {
        self.tasks.extend(evidence.tasks.iter().map(|task| task.id));
        self.batches.extend(evidence.view.iter().map(|batch| (batch.summary.batch_id, batch.clone())));
    }

    /// Stops the daemon, starts it once more and compares, and stops it for good. Nothing may be left of it either time.
    pub(super) async fn verify(&self, link: &mut Link<'_>) -> Result<Vec<Violation>, CliError> {
        let mut found = Vec::new();
        stop(link, &mut found).await?;
        link.own.launch()?;
        link.resume().await?;
        self.compare_batches(link, &mut found).await?;
        self.compare_tasks(link, &mut found).await?;
        stop(link, &mut found).await?;
        Ok(found)
    }

    async fn compare_batches(&self, link: &Link<'_>, found: &mut Vec<Violation>) -> Result<(), CliError> {
        let mut listed = BTreeSet::new();
        let mut page = Page { limit: Page::MAX_LIMIT, ..Page::default() };
        loop {
            let query = BatchQuery { status: None, page };
            let part = link.client.batch_list(&query).await.map_err(|error| failure(&error))?;
            if part.total != self.batches.len() as u64 {
                let what = format!("{} batches were accepted; the list counts {}", self.batches.len(), part.total);
                found.push(Violation { broken: Promise::Untrue, what });
            }
            listed.extend(part.items.iter().map(|batch| batch.batch_id));
            let Some(last) = part.items.last().filter(|_| part.items.len() == page.limit) else { break };
            page.after = Some(last.batch_id.0);
        }
        compare(&self.batches.keys().copied().collect(), &listed, "batch", found);
        for (id, before) in self.batches.iter().filter(|(id, _)| listed.contains(id)) {
            let now = link.client.batch_get(*id).await.map_err(|error| failure(&error))?;
            if now != *before {
                let what = format!("the batch {id} is not what it was when it ended");
                found.push(Violation { broken: Promise::Untrue, what });
            }
        }
        Ok(())
    }

    async fn compare_tasks(&self, link: &Link<'_>, found: &mut Vec<Violation>) -> Result<(), CliError> {
        let mut listed = BTreeSet::new();
        let mut query = TaskQuery { page: Page { limit: Page::MAX_LIMIT, ..Page::default() }, ..TaskQuery::default() };
        loop {
            let part = link.client.task_list(&query).await.map_err(|error| failure(&error))?;
            if part.total != self.tasks.len() as u64 {
                let what = format!("there were {} tasks; the list counts {}", self.tasks.len(), part.total);
                found.push(Violation { broken: Promise::Untrue, what });
            }
            for task in part.items.iter().filter(|task| !task.status.is_terminal()) {
                let what = format!("every batch has ended, and the task {} is {}", task.id, task.status);
                found.push(Violation { broken: Promise::Stuck, what });
            }
            listed.extend(part.items.iter().map(|task| task.id));
            let Some(last) = part.items.last().filter(|_| part.items.len() == query.page.limit) else { break };
            query.page.after = Some(last.id.0);
        }
        compare(&self.tasks, &listed, "task", found);
        Ok(())
    }
}

fn compare<T: Ord + std::fmt::Display>(
    known: &BTreeSet<T>,
    listed: &BTreeSet<T>,
    noun: &str,
    found: &mut Vec<Violation>,
) {
    for id in known.difference(listed) {
        found.push(Violation { broken: Promise::Lost, what: format!("the {noun} {id} is not listed any more") });
    }
    for id in listed.difference(known) {
        found.push(Violation { broken: Promise::Duplicated, what: format!("nobody asked for the {noun} {id}") });
    }
}

/// Stops the daemon; the supervisor follows it, because nothing runs.
async fn stop(link: &mut Link<'_>, found: &mut Vec<Violation>) -> Result<(), CliError> {
    link.own.stop()?;
    let deadline = Instant::now() + VANISHING;
    loop {
        let left = link.own.processes_left();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let violation = |what| Violation { broken: Promise::LeftRunning, what };
            found.extend(left.into_iter().map(violation));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
