//! What really happened, beside what the store says of it, and everything that must be true of the two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prov::engine::work::Stage;
use prov::engine::{Compensation, Direction, Event, Phase, Shape, Work};
use prov::exec::Key;
use prov::model::batch::DependencyKind;
use prov::model::id::{BatchId, RollbackId, WorkId};
use prov::model::status::{BatchStatus, OperationStatus, TaskStatus};
use prov::store::record::WorkKind;
use prov::store::{Change, Transaction};

use super::rollbacks::Rollbacks;
use super::store::Tables;

/// Whether something holds, or what is broken.
pub type Check = Result<(), String>;

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What {
    pub batch: BatchId,
    pub operation: u32,
    pub direction: Direction,
    /// It only asks whether that was done.
    pub is_proof: bool,
}

/// Everything observed.
#[derive(Debug)]
pub struct Ledger {
    max_parallel: usize,
    batches: BTreeMap<BatchId, Observed>,
    rollbacks: Rollbacks,
    /// Every attempt that ever began.
    begun: BTreeSet<Key>,
}

/// One batch.
#[derive(Debug)]
pub struct Observed {
    shape: Arc<Shape>,
    /// The log of the store, replayed as it is written.
    work: Work,
    facts: Vec<Fact>,
    asked: Asked,
    /// Whether a rollback ever had hold of it.
    reopened: bool,
    /// Operations that somebody decided to leave as they are.
    pub(super) waived: BTreeSet<u32>,
}

/// How often the log has something asked of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub cancels: usize,
    pub retries: usize,
}

/// What is true of one operation since the batch was last tried again.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    begun: bool,
    /// It began, now or before the batch was tried again, and was not undone since.
    touched: bool,
    done: bool,
    undone: bool,
    running: Option<Direction>,
}

pub(super) fn hold(holds: bool, broken: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Ledger {
    pub fn new(max_parallel: usize) -> Self {
        Self { max_parallel, batches: BTreeMap::new(), rollbacks: Rollbacks::default(), begun: BTreeSet::new() }
    }

    /// The batch as the log has it, if it was accepted.
    pub fn work(&self, batch: BatchId) -> Option<&Work> {
        self.batches.get(&batch).map(|observed| &observed.work)
    }

    /// What the log has been asked of the batch.
    pub fn asked(&self, batch: BatchId) -> Asked {
        self.batches.get(&batch).map_or(Asked::default(), |observed| observed.asked)
    }

    /// A transaction has become durable.
    pub fn written(&mut self, transaction: &Transaction, tables: &Tables) -> Check {
        let mut touched = BTreeSet::new();
        for change in &transaction.changes {
            match change {
                Change::PutWork(id, record) => {
                    let spec = match &record.kind {
                        WorkKind::Batch { spec } => spec,
                        WorkKind::Rollback { spec } => {
                            self.rollbacks.accepted(*id, spec);
                            continue;
                        }
                        WorkKind::Workflow { .. } => return Err(format!("{id} is a workflow")),
                    };
                    let shape = Arc::new(Shape::of(spec));
                    let facts = vec![Fact::default(); shape.operations.len()];
                    let work = Work::new(*id, Arc::clone(&shape));
                    let (asked, waived) = (Asked::default(), BTreeSet::new());
                    let observed = Observed { shape, work, facts, asked, reopened: false, waived };
                    let before = self.batches.insert(BatchId(id.0), observed);
                    hold(before.is_none(), || format!("{id} was accepted twice"))?;
                }
                Change::Append(logged) if self.rollbacks.knows(logged.work) => {
                    if let Some((batch, operation)) = self.rollbacks.append(logged.work, &logged.event)?
                        && let Some(observed) = self.batches.get_mut(&batch)
                    {
                        observed.waived.insert(operation);
                    }
                }
                Change::Append(logged) => {
                    let batch = BatchId(logged.work.0);
                    let observed = self.batches.get_mut(&batch).ok_or("an event of work that was never accepted")?;
                    observed.append(&logged.event)?;
                    touched.insert(batch);
                }
                _ => {}
            }
        }
        touched.iter().try_for_each(|batch| self.batches[batch].is_shown(*batch, tables))?;
        self.rollbacks.are_shown(tables)
    }

    /// A rollback as the log has it, if it was accepted.
    pub fn rollback(&self, id: RollbackId) -> Option<&Work> {
        self.rollbacks.work(id)
    }

    /// Nothing more will happen to the rollback by itself.
    pub fn rollback_has_ended(&self, id: RollbackId, tables: &Tables) -> Check {
        let left = self.rollbacks.has_ended(id, tables)?;
        let stays = |(batch, operation): &(BatchId, u32)| {
            let observed = &self.batches[batch];
            observed.is_left(*operation) && observed.work.reopened_by == Some(WorkId::from(id))
        };
        match left.iter().find(|step| stays(step)) {
            Some((batch, operation)) => Err(format!("rollback {id} is Completed, and {operation} of {batch} is left")),
            None => Ok(()),
        }
    }

    /// A process begins.
    pub fn begins(&mut self, what: What, key: Key) -> Check {
        hold(self.begun.insert(key), || format!("{key} of {what:?} was begun twice"))?;
        if what.is_proof {
            self.rollbacks.asks(key)?;
            return self.is_within_limit();
        }
        let observed =
            self.batches.get_mut(&what.batch).ok_or_else(|| format!("{what:?} begins and was never accepted"))?;
        observed.begins(what, key)?;
        let limit = observed.shape.parallel_limit as usize;
        let running = observed.running();
        let is_held = matches!(observed.work.phase, Phase::Reopened { .. });
        hold(running <= limit || is_held, || format!("{running} of the batch run, {limit} may"))?;
        self.is_within_limit()
    }

    fn is_within_limit(&self) -> Check {
        let running: usize = self.batches.values().map(Observed::running).sum::<usize>() + self.rollbacks.asking();
        hold(running <= self.max_parallel, || format!("{running} run, {} may", self.max_parallel))
    }

    /// A process ends.
    pub fn ends(&mut self, what: What, key: Key, success: bool) -> Check {
        if what.is_proof {
            self.rollbacks.answered(key);
            return Ok(());
        }
        let observed = self.batches.get_mut(&what.batch).ok_or("a process ends whose batch is unknown")?;
        let fact = &mut observed.facts[what.operation as usize];
        fact.running = None;
        if success {
            let done = if what.direction == Direction::Do { &mut fact.done } else { &mut fact.undone };
            hold(!std::mem::replace(done, true), || format!("{what:?} succeeded twice"))?;
            fact.touched &= what.direction == Direction::Do;
        }
        Ok(())
    }

    /// Nothing more will happen to the batch by itself.
    pub fn has_ended(&self, batch: BatchId, tables: &Tables) -> Check {
        let observed = self.batches.get(&batch).ok_or("a batch is gone")?;
        observed.has_ended(batch, tables).map_err(|broken| format!("{broken}: {observed:#?}"))
    }

    /// Whether everything of a batch is done and nothing undone.
    pub fn is_all_done(&self, batch: BatchId) -> bool {
        self.batches.get(&batch).is_some_and(|observed| observed.facts.iter().all(|fact| fact.done && !fact.undone))
    }
}

impl Observed {
    fn running(&self) -> usize {
        self.facts.iter().filter(|fact| fact.running.is_some()).count()
    }

    /// Applies what was logged; some events can't follow some states.
    fn append(&mut self, event: &Event) -> Check {
        let ended = matches!(self.work.phase, Phase::Ended(_));
        let takes_up = matches!(event, Event::Retried | Event::Reopened { .. });
        hold(ended == takes_up, || format!("{event:?} in phase {:?}", self.work.phase))?;
        if let Event::Intended { operation, direction, attempt, .. } = event {
            let retry = self.shape.operations[*operation as usize].retry.max_attempts;
            let most = if *direction == Direction::Do { retry } else { retry.max(3) };
            hold(*attempt <= most, || format!("attempt {attempt} of at most {most}"))?;
        }
        match event {
            Event::Intended { operation, direction: Direction::Do, .. } => {
                if matches!(self.work.phase, Phase::Reopened { .. }) {
                    let fact = &mut self.facts[*operation as usize];
                    *fact = Fact { touched: fact.touched, ..Fact::default() };
                }
                let done = self.facts[*operation as usize].done;
                let is_forward = matches!(self.work.phase, Phase::Forward | Phase::Reopened { .. });
                hold(is_forward && !done, || format!("{event:?} in phase {:?}", self.work.phase))?;
            }
            Event::Intended { operation, direction: Direction::Undo, .. } => {
                let is_held = matches!(self.work.phase, Phase::Reopened { .. });
                hold(is_held || self.work.phase == Phase::Unwinding, || {
                    format!("{event:?} in phase {:?}", self.work.phase)
                })?;
                self.facts[*operation as usize].undone &= !is_held;
            }
            // Its proof says so, whatever its process said.
            Event::Failed { operation, direction, .. } if matches!(self.work.phase, Phase::Reopened { .. }) => {
                let fact = &mut self.facts[*operation as usize];
                match direction {
                    Direction::Do => fact.done = false,
                    Direction::Undo => fact.undone = false,
                }
                fact.touched = true;
            }
            Event::Succeeded { operation, direction: Direction::Undo } if self.reopened => {
                let fact = &mut self.facts[*operation as usize];
                (fact.undone, fact.touched) = (true, false);
            }
            Event::Reopened { .. } => self.reopened = true,
            Event::CancelRequested { operation: None, .. } => self.asked.cancels += 1,
            Event::Retried => {
                self.asked.retries += 1;
                if self.work.phase != Phase::Ended(BatchStatus::RollbackFailed) {
                    for (fact, state) in self.facts.iter_mut().zip(&self.work.operations) {
                        if state.status != OperationStatus::Completed {
                            hold(fact.running.is_none(), || "what is tried again still runs".to_owned())?;
                            *fact = Fact { touched: fact.touched, ..Fact::default() };
                        }
                    }
                }
            }
            _ => {}
        }
        self.work.apply(event);
        Ok(())
    }

    fn begins(&mut self, what: What, key: Key) -> Check {
        let state = self.work.operation(what.operation);
        let intended = matches!(state.stage, Stage::Intended { direction, .. } if direction == what.direction)
            && (state.attempt, state.current_task()) == (key.attempt, Some(key.task));
        hold(intended, || format!("{what:?} begins as {key}, which is not on record: {state:?}"))?;
        let fact = self.facts[what.operation as usize];
        hold(fact.running.is_none(), || format!("{what:?} begins and runs already"))?;
        match what.direction {
            Direction::Do => self.may_be_done(what)?,
            Direction::Undo => self.may_be_undone(what)?,
        }
        let fact = &mut self.facts[what.operation as usize];
        fact.running = Some(what.direction);
        if what.direction == Direction::Do {
            (fact.begun, fact.touched) = (true, true);
        }
        Ok(())
    }

    fn may_be_done(&self, what: What) -> Check {
        hold(!self.facts[what.operation as usize].done, || format!("{what:?} is done already"))?;
        for (on, kind) in &self.shape.operations[what.operation as usize].dependencies {
            let (fact, status) = (self.facts[*on as usize], self.work.operation(*on).status);
            let ended =
                fact.running.is_none() && !matches!(status, OperationStatus::Pending | OperationStatus::Running);
            let met = ended && (*kind != DependencyKind::Hard || (fact.done && status == OperationStatus::Completed));
            hold(met, || format!("{what:?} begins before what it depends on, {on} ({status}, {fact:?})"))?;
        }
        Ok(())
    }

    fn may_be_undone(&self, what: What) -> Check {
        let doing = self.facts.iter().any(|fact| fact.running == Some(Direction::Do));
        hold(!doing, || format!("{what:?} begins while operations of the batch run"))?;
        hold(self.is_left(what.operation), || format!("{what:?} begins and there is nothing to undo"))?;
        for (dependent, _) in &self.shape.operations[what.operation as usize].dependents {
            let is_settled = !self.is_left(*dependent) || self.waived.contains(dependent);
            hold(is_settled, || format!("{what:?} begins before {dependent}, which depends on it"))?;
        }
        Ok(())
    }

    /// Whether the operation did something that has a compensation and was not undone.
    fn is_left(&self, operation: u32) -> bool {
        let fact = self.facts[operation as usize];
        let did = match self.shape.operations[operation as usize].compensation {
            Compensation::None => false,
            Compensation::WhenCompleted => fact.done,
            Compensation::WhenStarted => fact.touched,
        };
        did && !fact.undone
    }

    /// The records that are shown agree with the log.
    fn is_shown(&self, id: BatchId, tables: &Tables) -> Check {
        let batch = tables.batches.get(&id).ok_or("a batch is not shown")?;
        let status = self.work.status();
        hold(batch.status == status, || format!("the batch is {status} and shown as {}", batch.status))?;
        hold(batch.cancel_requested == self.work.cancel_requested, || "a cancel is not shown as it is".to_owned())?;
        let live = tables.live.contains_key(&WorkId(id.0));
        let is_held = matches!(self.work.phase, Phase::Reopened { .. });
        hold(live != (is_held || matches!(self.work.phase, Phase::Ended(_))), || {
            format!("{status}, and live is {live}")
        })?;
        let completed = self.work.operations.iter().filter(|state| state.status == OperationStatus::Completed).count();
        hold(batch.completed as usize == completed, || format!("{completed} done, {} shown", batch.completed))?;
        for (index, state) in (0u32..).zip(&self.work.operations) {
            let row = tables.operations.get(&(id, index)).ok_or("an operation is not shown")?;
            let agrees = (row.status, row.task, row.undo_task) == (state.status, state.task, state.undo_task);
            hold(agrees, || format!("operation {index} is {state:?} and shown as {row:?}"))?;
        }
        Ok(())
    }

    fn has_ended(&self, id: BatchId, tables: &Tables) -> Check {
        let Phase::Ended(status) = self.work.phase else { return Err("the batch has not ended".to_owned()) };
        self.is_shown(id, tables)?;
        hold(self.running() == 0, || "something still runs".to_owned())?;
        let unwound = matches!(status, BatchStatus::RolledBack | BatchStatus::RollbackFailed);
        let left: Vec<&str> = tables.batches[&id].left.iter().map(|left| left.operation_id.as_str()).collect();
        for (index, (state, fact)) in (0u32..).zip(self.work.operations.iter().zip(&self.facts)) {
            let told = match state.status {
                OperationStatus::Completed => fact.done && !fact.undone,
                OperationStatus::RolledBack => fact.done && fact.undone,
                OperationStatus::Failed | OperationStatus::Cancelled => !fact.done,
                OperationStatus::Skipped => !fact.begun,
                OperationStatus::RollbackFailed => status == BatchStatus::RollbackFailed && !fact.undone,
                OperationStatus::Pending | OperationStatus::Running | OperationStatus::RollingBack => false,
            };
            hold(told, || format!("operation {index} is {} and in truth {fact:?}", state.status))?;
            hold(unwound || self.reopened || !fact.undone, || format!("the batch is {status} and {index} was undone"))?;
            let is_left = self.is_left(index);
            hold(status != BatchStatus::RolledBack || !is_left, || format!("{status}, and {index} was not undone"))?;
            let half = fact.touched && !fact.done;
            let kept = unwound && fact.done && !fact.undone;
            let named = left.contains(&format!("o{index}").as_str());
            hold(named == (half || kept), || {
                format!("{status}: operation {index} ({fact:?}) is named as left: {named}")
            })?;
            self.tasks_have_ended(index, tables)?;
        }
        let any_left = (0u32..).zip(&self.facts).any(|(index, _)| self.is_left(index));
        match status {
            BatchStatus::Cancelled => hold(self.work.cancel_requested, || "Cancelled and nobody asked".to_owned()),
            BatchStatus::Completed => {
                hold(self.reopened || !self.work.cancel_requested, || "cancelled, and Completed".to_owned())
            }
            BatchStatus::RollbackFailed => hold(any_left, || "RollbackFailed, and nothing is left".to_owned()),
            _ => Ok(()),
        }
    }

    fn tasks_have_ended(&self, index: u32, tables: &Tables) -> Check {
        let (state, fact) = (self.work.operation(index), self.facts[index as usize]);
        for (id, succeeded) in [(state.task, fact.done), (state.undo_task, fact.undone)] {
            let Some(id) = id else { continue };
            let task = tables.tasks.get(&id).ok_or("a task is not shown")?;
            hold(task.status.is_terminal(), || format!("the task of operation {index} is {} at the end", task.status))?;
            // A rollback leaves behind what was undone before it was done again, and what was disproved.
            let shown = task.status == TaskStatus::Completed;
            hold(shown == succeeded || self.reopened, || {
                format!("the task of {index} is {} and in truth {fact:?}", task.status)
            })?;
        }
        Ok(())
    }
}
