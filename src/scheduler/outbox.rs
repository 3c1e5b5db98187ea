//! The driver's commits: what waits to be written, what waits for it to be written, and what follows once it is.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::oneshot;

use super::ScheduleError;
use super::driver::{Driver, Effect, PAUSE, key_of};
use crate::engine::{Attempt, Event};
use crate::exec::Key;
use crate::exec::wire::Request;
use crate::model::id::WorkId;
use crate::model::time::Timestamp;
use crate::store::{Change, CommitError, Transaction};

/// Who waits for an answer.
pub type Reply = oneshot::Sender<Result<(), ScheduleError>>;

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
pub struct After {
    /// The engine is told of these.
    pub(super) events: Vec<(WorkId, Event)>,
    /// These attempts are ended.
    pub(super) signals: Vec<Attempt>,
    /// The supervisor may forget these results.
    pub(super) forget: Vec<Key>,
    /// These works are over.
    pub(super) retire: HashSet<WorkId>,
    /// These callers wait.
    pub(super) replies: Vec<Reply>,
}

impl Group {
    fn is_empty(&self) -> bool {
        let after = &self.after;
        self.changes.is_empty() && after.forget.is_empty() && after.replies.is_empty() && after.signals.is_empty()
    }

    /// Whether somebody waits for it: a caller, a process that is to end or to start, whoever waits for the end of work.
    fn is_waited_for(&self) -> bool {
        let after = &self.after;
        let leads_on = |event: &Event| matches!(event, Event::Intended { .. } | Event::Ended { .. });
        !after.replies.is_empty() || !after.signals.is_empty() || after.events.iter().any(|(_, event)| leads_on(event))
    }
}

/// How long a group is held that nobody waits for, so that more goes with it: the supervisor knows what is in it until it
/// is written, and what happens to a task meanwhile makes its record be written once.
const HOLD: Duration = Duration::from_millis(20);

/// What follows from a commit.
pub enum Ticket {
    /// The commit of new work.
    Submission {
        /// The work.
        id: WorkId,
        /// What happened to it so far.
        events: Vec<Event>,
        /// Who waits.
        reply: Reply,
    },
    /// The commit of everything else: its changes, where they have to be written again, and what follows.
    Group(Vec<Change>, After),
}

/// A group that could not be written.
pub(super) struct Stalled {
    changes: Vec<Change>,
    after: After,
    /// Why.
    pub(super) why: String,
    /// When it is tried again.
    pub(super) until: Timestamp,
}

impl Driver {
    /// Sends what is waiting to the store as one commit, unless one is under way, or nobody waits for it and more may come.
    /// What could not be written is written before anything that came later.
    pub(super) fn flush(&mut self, now: Timestamp) {
        if self.is_writing || self.stalled.as_ref().is_some_and(|stalled| stalled.until > now) {
            return;
        }
        let (changes, after) = if let Some(again) = self.stalled.take() {
            (again.changes, again.after)
        } else {
            if self.group.is_empty() && !self.rows.is_changed() {
                return;
            }
            let until = *self.held_until.get_or_insert(now.plus(HOLD));
            if until > now && !self.draining && !self.group.is_waited_for() {
                return;
            }
            self.held_until = None;
            let rows = self.rows.take_changes();
            let mut group = std::mem::take(&mut self.group);
            group.changes.extend(rows);
            (group.changes, group.after)
        };
        self.is_writing = true;
        let transaction = Transaction::of(changes.clone());
        self.effects.push(Effect::Commit(Ticket::Group(changes, after), transaction));
    }

    /// A commit came back: what it carried may now be acted on. A group that could not be written is written again after
    /// a while.
    pub fn committed(&mut self, ticket: Ticket, result: Result<(), CommitError>, now: Timestamp) {
        match (ticket, result) {
            (Ticket::Submission { id, events, reply }, result) => {
                match &result {
                    Ok(()) => events.iter().for_each(|event| self.engine.committed(id, event)),
                    Err(_) => self.discard(id, &events),
                }
                self.effects.push(Effect::Announce);
                let _ = reply.send(result.map_err(|error| match error {
                    CommitError::Refused(refused) => ScheduleError::Refused(refused),
                    CommitError::Unavailable(why) => ScheduleError::Unavailable(why),
                }));
            }
            (Ticket::Group(changes, mut after), Err(error)) => {
                tracing::error!(%error, "what happened can't be written; trying again");
                for reply in after.replies.drain(..) {
                    let _ = reply.send(Err(ScheduleError::Unavailable(error.to_string())));
                }
                self.is_writing = false;
                self.stalled = Some(Stalled { changes, after, why: error.to_string(), until: now.plus(PAUSE) });
            }
            (Ticket::Group(_, after), Ok(())) => {
                self.is_writing = false;
                self.act(after);
            }
        }
    }

    /// When [`Driver::flush`] has something to send although nothing happened.
    pub(super) fn next_flush(&self) -> Option<Timestamp> {
        match &self.stalled {
            _ if self.is_writing => None,
            Some(stalled) => Some(stalled.until),
            None => self.held_until,
        }
    }

    fn act(&mut self, after: After) {
        for (work, event) in &after.events {
            self.engine.committed(*work, event);
        }
        after.signals.iter().for_each(|attempt| self.end_process(key_of(attempt)));
        after.forget.into_iter().for_each(|key| self.tell_supervisor(Request::Forget { key }));
        for work in after.retire {
            // One that was tried again and ended again meanwhile goes with the group that says so.
            if !self.group.after.retire.contains(&work) {
                self.retire(work);
            }
        }
        self.effects.push(Effect::Announce);
        for reply in after.replies {
            let _ = reply.send(Ok(()));
        }
    }
}
