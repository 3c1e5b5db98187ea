//! What waits to be written, what waits for it to be written, and commits that come back.

use std::pin::Pin;

use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::ScheduleError;
use super::actor::{Actor, PAUSE, key_of};
use crate::engine::{Attempt, Event};
use crate::exec::Key;
use crate::model::id::WorkId;
use crate::model::time::Timestamp;
use crate::store::{Change, CommitError, Transaction};

pub(super) type Reply = oneshot::Sender<Result<(), ScheduleError>>;

/// One commit's worth.
#[derive(Default)]
pub(super) struct Group {
    /// What is written, apart from the rows, which are taken when the group is sent.
    pub(super) changes: Vec<Change>,
    /// What is done once it is written.
    pub(super) after: After,
}

/// What is done once a commit is durable.
#[derive(Default)]
pub(super) struct After {
    /// The engine is told of these.
    pub(super) events: Vec<(WorkId, Event)>,
    /// These attempts are ended.
    pub(super) signals: Vec<Attempt>,
    /// The supervisor may forget these results.
    pub(super) forget: Vec<Key>,
    /// These works are over.
    pub(super) retire: Vec<WorkId>,
    /// These callers wait.
    pub(super) replies: Vec<Reply>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        let after = &self.after;
        self.changes.is_empty() && after.forget.is_empty() && after.replies.is_empty() && after.signals.is_empty()
    }
}

/// A commit that came back.
pub(super) enum Committed {
    /// A new work's own.
    Submission { id: WorkId, events: Vec<Event>, reply: Reply, result: Result<(), CommitError> },
    /// A group of everything else; its changes, where they have to be written again.
    Group { changes: Vec<Change>, after: After, result: Result<(), CommitError> },
}

/// A group that could not be written.
pub(super) struct Stalled {
    changes: Vec<Change>,
    after: After,
    /// When it is tried again.
    pub(super) until: Timestamp,
}

pub(super) type Commits = FuturesUnordered<Pin<Box<dyn Future<Output = Committed> + Send>>>;

impl Actor {
    /// Sends what is waiting to the store as one commit; `true` when one is under way. What could not be written is
    /// written before anything that came later.
    pub(super) fn flush(&mut self, commits: &Commits, stalled: &mut Option<Stalled>) -> bool {
        let now = self.clock.now();
        if stalled.as_ref().is_some_and(|stalled| stalled.until > now) {
            return false;
        }
        let (changes, after) = if let Some(again) = stalled.take() {
            (again.changes, again.after)
        } else {
            let rows = self.rows.take_changes();
            let mut group = std::mem::take(&mut self.group);
            group.changes.extend(rows);
            if group.is_empty() {
                return false;
            }
            (group.changes, group.after)
        };
        let written = self.store.submit(Transaction::of(changes.clone()));
        commits.push(Box::pin(async move {
            let result = written.await.unwrap_or_else(|_| Err(stopped()));
            Committed::Group { changes, after, result }
        }));
        true
    }

    /// A commit came back: what it carried may now be acted on. A group that could not be written is written again after
    /// a while.
    pub(super) fn committed(&mut self, committed: Committed) -> Option<Stalled> {
        match committed {
            Committed::Submission { id, events, reply, result } => {
                match &result {
                    Ok(()) => events.iter().for_each(|event| self.engine.committed(id, event)),
                    Err(_) => self.discard(id),
                }
                self.announce();
                let _ = reply.send(result.map_err(|error| match error {
                    CommitError::Refused(refused) => ScheduleError::Refused(refused),
                    CommitError::Unavailable(why) => ScheduleError::Unavailable(why),
                }));
                None
            }
            Committed::Group { changes, mut after, result: Err(error) } => {
                tracing::error!(%error, "what happened can't be written; trying again");
                for reply in after.replies.drain(..) {
                    let _ = reply.send(Err(ScheduleError::Unavailable(error.to_string())));
                }
                Some(Stalled { changes, after, until: self.clock.now().plus(PAUSE) })
            }
            Committed::Group { after, result: Ok(()), .. } => {
                self.act(after);
                None
            }
        }
    }

    fn act(&mut self, after: After) {
        for (work, event) in &after.events {
            self.engine.committed(*work, event);
        }
        for attempt in &after.signals {
            self.executor.end(key_of(attempt), self.config.grace);
        }
        for key in after.forget {
            self.executor.forget(key);
        }
        for work in after.retire {
            self.engine.retire(work);
            if self.engine.work(work).is_none() {
                self.rows.retire(work);
                self.works.remove(&work);
            }
        }
        self.announce();
        for reply in after.replies {
            let _ = reply.send(Ok(()));
        }
    }
}

pub(super) fn stopped() -> CommitError {
    CommitError::Unavailable("the writer has stopped".to_owned())
}
