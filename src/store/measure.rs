//! What the writer sees of the disk and of what it writes: for figures and for the daemon's health, never for a decision.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backend::StoreError;
use super::change::{Change, Refused, Transaction};
use crate::metrics::{Counter, Histogram, Snapshot};
use crate::model::task::KINDS;

/// Commits that count as of late.
const RECENT: usize = 20;

/// What was measured since the start.
#[derive(Debug)]
pub struct Measures {
    commits: Histogram,
    failures: Counter,
    /// How long tasks ran that ended, by their kind, in the order of [`KINDS`].
    tasks: Vec<Histogram>,
    writing: Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    /// When the commit began that is under way.
    since: Option<Instant>,
    recent: VecDeque<Duration>,
    failed: Option<String>,
}

/// How the writer does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// How long a commit took in the middle of the last few; none when there was none.
    pub typical: Option<Duration>,
    /// For how long the one that is under way has gone on.
    pub under_way: Option<Duration>,
    /// Why the last one failed, if it did.
    pub failed: Option<String>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            commits: Histogram::with(Histogram::QUICK),
            failures: Counter::default(),
            tasks: KINDS.iter().map(|_| Histogram::with(Histogram::LONG)).collect(),
            writing: Mutex::default(),
        }
    }
}

impl Measures {
    /// How long commits took.
    #[must_use]
    pub fn commits(&self) -> Snapshot {
        self.commits.snapshot()
    }

    /// How many commits failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.get()
    }

    /// How long tasks of each kind ran that ended.
    pub fn tasks(&self) -> impl Iterator<Item = (&'static str, Snapshot)> {
        KINDS.iter().zip(&self.tasks).map(|(kind, lengths)| (*kind, lengths.snapshot()))
    }

    /// How the writer does at the moment.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let writing = self.writing();
        let mut recent: Vec<Duration> = writing.recent.iter().copied().collect();
        recent.sort_unstable();
        Condition {
            typical: recent.get(recent.len() / 2).copied(),
            under_way: writing.since.map(|since| since.elapsed()),
            failed: writing.failed.clone(),
        }
    }

    pub(super) fn begin(&self) {
        self.writing().since = Some(Instant::now());
    }

    /// A commit is over.
    pub(super) fn end(&self, transactions: &[Transaction], applied: &Result<Vec<Result<(), Refused>>, StoreError>) {
        let mut writing = self.writing();
        let Some(took) = writing.since.take().map(|since| since.elapsed()) else { return };
        writing.failed = applied.as_ref().err().map(ToString::to_string);
        match applied {
            Ok(verdicts) => {
                writing.recent.push_back(took);
                if writing.recent.len() > RECENT {
                    writing.recent.pop_front();
                }
                drop(writing);
                self.commits.observe(took);
                let written = transactions.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_ok());
                written.flat_map(|(transaction, _)| &transaction.changes).for_each(|change| self.look_at(change));
            }
            Err(_) => self.failures.add_one(),
        }
    }

    /// A task is written once after it ended.
    fn look_at(&self, change: &Change) {
        if let Change::PutTask(task) = change
            && task.status.is_terminal()
            && let Some(ran) = task.ran()
        {
            let kind = task.kind();
            let of_kind = KINDS.iter().zip(&self.tasks).find(|(one, _)| **one == kind);
            if let Some((_, lengths)) = of_kind {
                lengths.observe(ran);
            }
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::TaskStatus;
    use crate::model::time::Timestamp;

    #[test]
    fn what_is_written_counts_and_what_fails_is_known_until_something_succeeds() {
        let measures = Measures::default();
        let mut task = crate::store::tests::sample_task(1);
        (task.status, task.started_at) = (TaskStatus::Completed, Some(Timestamp(0)));
        task.completed_at = Some(Timestamp(2000));
        let transaction = Transaction::of(vec![Change::PutTask(Box::new(task))]);
        let end = |applied: Result<Vec<Result<(), Refused>>, StoreError>| {
            measures.begin();
            assert!(measures.condition().under_way.is_some());
            measures.end(std::slice::from_ref(&transaction), &applied);
            measures.condition()
        };
        let failed = end(Err(StoreError::Failed { attempt: "commit", cause: "the disk is full".to_owned() }));
        assert_eq!((failed.typical, failed.under_way), (None, None));
        assert_eq!(failed.failed.as_deref(), Some("the store failed to commit: the disk is full"));
        let written = end(Ok(vec![Ok(())]));
        assert!(written.failed.is_none() && written.typical.is_some());
        assert_eq!((measures.failures(), measures.commits().count), (1, 1));
        let of_kind: Vec<_> = measures.tasks().filter(|(_, lengths)| lengths.count > 0).collect();
        assert_eq!((of_kind.len(), of_kind[0].0, of_kind[0].1.seconds), (1, "command", 2.0));
    }
}
