//! Holds what the daemon says of a batch against what its operations wrote themselves. Pure: all it knows is its evidence.
//!
//! What is accepted is exactly what is true. A daemon that was killed excuses nothing. A supervisor that was killed
//! excuses the attempts that it had started, a task that was killed excuses itself; of those nobody can know whether they
//! ended, so they may have failed although they wrote that they ended, and their policy decides. Then the error must say so.

mod order;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::ledger::{Direction, Ledger, Trace};
use super::plan::{Operation, Plan};
use crate::api::batch::{BatchView, OperationView};
use crate::api::task::Task;
use crate::model::id::TaskId;

/// Attempts that a compensation has at least.
const UNDO_ATTEMPTS: u32 = 3;

/// All that is known of a round once its batch should have ended.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// What was asked for.
    pub(super) plan: Plan,
    /// What the operations wrote.
    pub(super) ledger: Ledger,
    /// How many batches of this name there are.
    pub(super) copies: usize,
    /// What the daemon says of the batch; `None` when it knows nothing of it.
    pub(super) view: Option<BatchView>,
    /// The tasks of the batch.
    pub(super) tasks: Vec<Task>,
    /// Processes of the tasks that still run, in words.
    pub(super) running: Vec<String>,
    /// What was killed, as far as it excuses anything.
    pub(super) harm: Harm,
}

/// What was killed, as far as it excuses anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Harm {
    /// Attempts whose processes were killed.
    pub(super) attempts: BTreeSet<(TaskId, u32)>,
    /// Whether a supervisor was killed.
    pub(super) supervisor: bool,
    /// Supervisors that lived in the end: what they started is not excused.
    pub(super) survivors: BTreeSet<i32>,
}

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Promise {
    /// Nothing that was accepted or done is lost, compensations included.
    Lost,
    /// Nothing is done twice.
    Duplicated,
    /// Everything comes to an end.
    Stuck,
    /// Nothing is left running.
    LeftRunning,
    /// What depends on something is done after it, and undone before it.
    Disordered,
    /// What the daemon says is so.
    Untrue,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// Which.
    pub(super) broken: Promise,
    /// How.
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.broken {
            Promise::Lost => "lost",
            Promise::Duplicated => "duplicated",
            Promise::Stuck => "stuck",
            Promise::LeftRunning => "left running",
            Promise::Disordered => "out of order",
            Promise::Untrue => "untrue",
        };
        write!(f, "{word}: {}", self.what)
    }
}

/// Every promise that the evidence shows broken.
pub(super) fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Found(Vec::new());
    for line in &evidence.ledger.strange {
        found.add(Promise::Untrue, format!("the ledger has a line that no operation writes: {line:?}"));
    }
    for process in &evidence.running {
        found.add(Promise::LeftRunning, format!("the batch has ended, and a process of it has not: {process}"));
    }
    if evidence.copies > 1 {
        found.add(Promise::Duplicated, format!("{} batches came of one request", evidence.copies));
    }
    let Some(view) = &evidence.view else {
        found.add(Promise::Lost, "the batch was accepted, and the daemon knows nothing of it".to_owned());
        return found.0;
    };
    if !view.summary.status.is_terminal() {
        found.add(Promise::Stuck, format!("the batch did not end: it is {}", view.summary.status));
        return found.0;
    }
    tasks(evidence, view, &mut found);
    for name in evidence.ledger.operations().filter(|name| evidence.plan.operation(name).is_none()) {
        found.add(Promise::Untrue, format!("{name} ran, and nobody asked for it"));
    }
    for planned in &evidence.plan.operations {
        let Some(shown) = view.operations.iter().find(|shown| shown.id.as_str() == planned.id) else {
            found.add(Promise::Lost, format!("{} is not among the batch's operations", planned.id));
            continue;
        };
        for direction in [Direction::Do, Direction::Undo] {
            let case = Case { evidence, planned, shown, direction };
            attempts(&case, &mut found);
        }
        outcome::operation(evidence, planned, shown, &mut found);
    }
    outcome::whole(evidence, view, &mut found);
    order::check(evidence, &mut found);
    found.0
}

/// What was found so far.
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, broken: Promise, what: String) {
        self.0.push(Violation { broken, what });
    }
}

/// An operation in one direction.
#[derive(Clone, Copy)]
struct Case<'e> {
    evidence: &'e Evidence,
    planned: &'e Operation,
    shown: &'e OperationView,
    direction: Direction,
}

impl Case<'_> {
    /// What is done, in words.
    fn name(&self) -> String {
        match self.direction {
            Direction::Do => self.planned.id.to_owned(),
            Direction::Undo => format!("the compensation of {}", self.planned.id),
        }
    }

    fn task_id(&self) -> Option<TaskId> {
        match self.direction {
            Direction::Do => self.shown.task_id,
            Direction::Undo => self.shown.rollback_task_id,
        }
    }

    fn task(&self) -> Option<&Task> {
        let id = self.task_id()?;
        self.evidence.tasks.iter().find(|task| task.id == id)
    }

    fn limit(&self) -> u32 {
        match self.direction {
            Direction::Do => self.planned.max_attempts,
            Direction::Undo => self.planned.max_attempts.max(UNDO_ATTEMPTS),
        }
    }

    fn traces(&self) -> std::collections::BTreeMap<u32, Trace> {
        self.evidence.ledger.attempts(self.direction, self.planned.id)
    }

    /// The last attempt that the ledger or the task knows; 0 when there was none.
    fn last(&self) -> u32 {
        let written = self.traces().keys().next_back().copied().unwrap_or(0);
        written.max(self.task().map_or(0, |task| task.attempt))
    }

    /// Whether the attempt's own processes were killed.
    fn was_killed(&self, attempt: u32) -> bool {
        self.task_id().is_some_and(|task| self.evidence.harm.attempts.contains(&(task, attempt)))
    }

    /// Whether the attempt's supervisor was killed, as far as can be told.
    fn was_orphaned(&self, attempt: u32) -> bool {
        let harm = &self.evidence.harm;
        let survivors_child = self
            .traces()
            .get(&attempt)
            .is_some_and(|trace| trace.begins.iter().any(|(_, parent)| harm.survivors.contains(parent)));
        harm.supervisor && !survivors_child
    }

    /// Whether the attempt may have failed without meaning to.
    fn is_excused(&self, attempt: u32) -> bool {
        self.was_killed(attempt) || self.was_orphaned(attempt)
    }
}

/// The tasks are those of the operations, and have ended.
fn tasks(evidence: &Evidence, view: &BatchView, found: &mut Found) {
    let named = view.operations.iter().flat_map(|operation| [operation.task_id, operation.rollback_task_id]);
    let named: BTreeSet<TaskId> = named.flatten().collect();
    let listed: BTreeSet<TaskId> = evidence.tasks.iter().map(|task| task.id).collect();
    for id in named.difference(&listed) {
        found.add(Promise::Lost, format!("the task {id} is not listed"));
    }
    for id in listed.difference(&named) {
        found.add(Promise::Duplicated, format!("no operation knows of the task {id}"));
    }
    for task in evidence.tasks.iter().filter(|task| !task.status.is_terminal()) {
        found.add(Promise::Stuck, format!("the batch has ended, and the task {} is {}", task.id, task.status));
    }
}

/// Each attempt was begun once, none beyond the policy, each only after the one before it had failed.
fn attempts(case: &Case<'_>, found: &mut Found) {
    let (name, traces) = (case.name(), case.traces());
    for (attempt, trace) in &traces {
        if *attempt == 0 || *attempt > case.limit() {
            let what = format!("{name} ran in attempt {attempt}; it may have {}", case.limit());
            found.add(Promise::Duplicated, what);
        }
        match trace.begins.len() {
            0 => found.add(Promise::Untrue, format!("attempt {attempt} of {name} left marks and no begin")),
            1 => {}
            times => found.add(Promise::Duplicated, format!("attempt {attempt} of {name} was begun {times} times")),
        }
        if trace.ends.len() + trace.fails.len() > 1 {
            found.add(Promise::Duplicated, format!("attempt {attempt} of {name} came to more than one end"));
        }
        let ended = trace.lines().max();
        let next = traces.get(&(attempt + 1)).and_then(|next| next.lines().min());
        if next.is_some_and(|next| Some(next) < ended) {
            found.add(Promise::Duplicated, format!("attempt {} of {name} began while the one before ran", attempt + 1));
        }
        if trace.begins.first().is_some_and(|(begun, _)| trace.lines().any(|line| line < *begun)) {
            found.add(Promise::Disordered, format!("attempt {attempt} of {name} ended before it began"));
        }
    }
    for attempt in (1..case.last()).filter(|attempt| !case.is_excused(*attempt)) {
        match traces.get(&attempt) {
            None => found.add(Promise::Lost, format!("attempt {attempt} of {name} left no mark")),
            Some(trace) if trace.fails.is_empty() => {
                found.add(
                    Promise::Duplicated,
                    format!("{name} was run again, although attempt {attempt} had not failed"),
                );
            }
            Some(_) => {}
        }
    }
}
