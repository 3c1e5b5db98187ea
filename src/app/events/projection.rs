//! What the log of a store says to whoever follows it: durable facts become frames.
//!
//! A fact of the engine names an operation by its index; a frame tells which status it had before and has now. So each work is
//! played again beside the log, from its beginning when it is met in the middle. The same fact makes the same frames whoever
//! reads it and whenever. Doesn't know who may read what.

use std::collections::HashMap;

use crate::api::event::{Event, Frame, Metadata};
use crate::engine::{self, Direction, Work};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::time::Timestamp;
use crate::scheduler::recover::shape;
use crate::store::record::{LoggedEvent, WorkKind};
use crate::store::{Backend, StoreError};

/// Frames that one fact can make; each has a place of its own within the fact's.
const WIDTH: u64 = 4;
/// Works played beside the log at most; above that all are forgotten and played again when they are met.
const MOST: usize = 4096;

/// The sequence of the last frame that the fact at this place of the log can make.
pub(super) const fn last_of(place: u64) -> u64 {
    place.saturating_mul(WIDTH).saturating_add(WIDTH - 1)
}

/// The place of the log whose fact made the frame of this sequence.
pub(super) const fn place_of(sequence: u64) -> u64 {
    sequence / WIDTH
}

/// Plays works beside the log.
#[derive(Default)]
pub(super) struct Projector(HashMap<WorkId, Played>);

/// A work as it stood after a place of the log.
struct Played {
    work: Work,
    what: What,
    metadata: Metadata,
    /// Tasks that have not ended.
    tasks: HashMap<TaskId, TaskStatus>,
    /// Operations that are Completed.
    completed: u32,
    upto: u64,
}

enum What {
    Workflow {
        name: String,
    },
    /// With the ids of its operations.
    Batch(Vec<Name>),
    /// What it does to operations is told of their batches.
    Rollback,
}

impl Projector {
    /// The frames of the fact at a place of the log.
    ///
    /// # Errors
    /// When the work can't be read.
    pub(super) fn frames(
        &mut self,
        reads: &dyn Backend,
        place: u64,
        logged: &LoggedEvent,
    ) -> Result<Vec<Frame>, StoreError> {
        let is_known = self.0.get(&logged.work).is_some_and(|played| played.upto < place);
        if !is_known {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            let Some(played) = Played::before(reads, logged.work, place)? else { return Ok(Vec::new()) };
            self.0.insert(logged.work, played);
        }
        let Some(played) = self.0.get_mut(&logged.work) else { return Ok(Vec::new()) };
        let events = played.step(&logged.event);
        played.upto = place;
        let metadata = played.metadata.clone();
        if matches!(logged.event, engine::Event::Ended { .. }) {
            self.0.remove(&logged.work);
        }
        let frame = |(offset, event): (u64, Event)| {
            let sequence = place.saturating_mul(WIDTH).saturating_add(offset);
            Frame { sequence, timestamp: time_of(logged), event, metadata: metadata.clone() }
        };
        Ok((0..).zip(events).map(frame).collect())
    }
}

/// What the log says of one work: for each fact its place and its frames, in order.
///
/// # Errors
/// When the work can't be read.
pub(in crate::app) fn history(reads: &dyn Backend, work: WorkId) -> Result<Vec<(u64, Vec<Frame>)>, StoreError> {
    let mut projector = Projector::default();
    let facts = reads.events(work)?.into_iter();
    facts.map(|(place, logged)| Ok((place, projector.frames(reads, place, &logged)?))).collect()
}

/// A start is told by the process's own clock.
fn time_of(logged: &LoggedEvent) -> Timestamp {
    match logged.event {
        engine::Event::Started { at, .. } => at,
        _ => logged.at,
    }
}

impl Played {
    /// A work as it stood before a place of the log; nothing when it isn't there.
    fn before(reads: &dyn Backend, id: WorkId, place: u64) -> Result<Option<Self>, StoreError> {
        let Some(record) = reads.work(id)? else { return Ok(None) };
        let (what, infra) = match &record.kind {
            WorkKind::Workflow { .. } => {
                let task = reads.task(TaskId(id.0))?;
                let infra = task.as_ref().and_then(|task| task.infra.clone());
                (What::Workflow { name: task.map(|task| task.name).unwrap_or_default() }, infra)
            }
            WorkKind::Batch { spec } => {
                let ids = spec.operations.iter().map(|operation| operation.id.clone());
                (What::Batch(ids.collect()), Some(spec.infra.clone()))
            }
            // Of several infras none can stand for all: it is told to whoever may read what belongs to none.
            WorkKind::Rollback { spec } => match &spec.infras()[..] {
                [infra] => (What::Rollback, Some(infra.clone())),
                _ => (What::Rollback, None),
            },
        };
        let metadata = Metadata { infra, submitted_by: record.submitted_by.clone() };
        let work = Work::new(id, shape(&record));
        let mut played = Self { work, what, metadata, tasks: HashMap::new(), completed: 0, upto: 0 };
        for (at, logged) in reads.events(id)?.into_iter().take_while(|(at, _)| *at < place) {
            played.step(&logged.event);
            played.upto = at;
        }
        Ok(Some(played))
    }

    /// Plays one fact, and answers what it means.
    fn step(&mut self, fact: &engine::Event) -> Vec<Event> {
        let about = operation_of(fact).map(|index| (index, self.work.operation(index).status));
        let before = (self.work.status(), self.completed);
        self.work.apply(fact);
        let mut events = Vec::new();
        events.extend(self.task(fact));
        if let Some((index, was)) = about {
            let is = self.work.operation(index).status;
            let is_proof = self.work.shape.operations[index as usize].proves.is_some();
            let completed = |status| u32::from(status == OperationStatus::Completed && !is_proof);
            self.completed = self.completed + completed(is) - completed(was);
            if is != was {
                events.extend(self.operation(index, was));
            }
        }
        let is_new = matches!(fact, engine::Event::Accepted | engine::Event::Retried);
        if is_new || (self.work.status(), self.completed) != before {
            events.push(self.progress(about.map(|(index, _)| index)));
        }
        events
    }

    fn name(&self, index: u32) -> Option<&Name> {
        match &self.what {
            What::Workflow { .. } | What::Rollback => None,
            What::Batch(ids) => ids.get(index as usize),
        }
    }

    /// What a fact means for the task that shows it.
    fn task(&mut self, fact: &engine::Event) -> Option<Event> {
        use engine::Event::{Accepted, Failed, Intended, Skipped, Started, Stopped, Succeeded};
        if matches!(self.what, What::Rollback) {
            return None;
        }
        let of = |index: &u32, direction: Direction| self.work.operation(*index).task_of(direction);
        let (task, status) = match fact {
            Accepted if matches!(self.what, What::Workflow { .. }) => (TaskId(self.work.id.0), TaskStatus::Pending),
            Intended { task, .. } if !self.tasks.contains_key(task) => (*task, TaskStatus::Pending),
            Started { operation, .. } => (self.work.operation(*operation).current_task()?, TaskStatus::Running),
            Succeeded { operation, direction } => (of(operation, *direction)?, TaskStatus::Completed),
            Failed { operation, direction, .. } => (of(operation, *direction)?, TaskStatus::Failed),
            Stopped { operation } | Skipped { operation } => (of(operation, Direction::Do)?, TaskStatus::Cancelled),
            _ => return None,
        };
        let previous_status = self.tasks.insert(task, status);
        if previous_status == Some(status) {
            return None;
        }
        if status.is_terminal() {
            self.tasks.remove(&task);
        }
        let error = if let Failed { error, .. } = fact { Some(error.clone()) } else { None };
        let (name, batch_id) = match &self.what {
            What::Workflow { name } => (Some(name.clone()), None),
            What::Batch(_) | What::Rollback => (None, Some(BatchId(self.work.id.0))),
        };
        let operation_id = operation_of(fact).and_then(|index| self.name(index)).cloned();
        Some(Event::TaskStatusChanged { task_id: task, name, status, previous_status, batch_id, operation_id, error })
    }

    fn operation(&self, index: u32, previous_status: OperationStatus) -> Option<Event> {
        let state = self.work.operation(index);
        let (last, error) = match state.status {
            OperationStatus::RollingBack | OperationStatus::RolledBack | OperationStatus::RollbackFailed => {
                (state.undo_task.or(state.task), state.undo_error.clone())
            }
            _ => (state.task, None),
        };
        let error = error.or_else(|| state.error.clone());
        Some(Event::BatchOperationUpdate {
            batch_id: BatchId(self.work.id.0),
            operation_id: self.name(index)?.clone(),
            status: state.status,
            previous_status,
            task_id: state.current_task().or(last),
            attempt: state.attempt,
            error,
        })
    }

    fn progress(&self, operation: Option<u32>) -> Event {
        let (status, completed) = (self.work.status(), self.completed);
        let total = self.work.operations.len() - self.proofs();
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        let failed = self.work.operations.iter().find(|state| state.status == OperationStatus::Failed);
        let reason = match self.what {
            What::Rollback => failed.and_then(|state| state.error.clone()),
            What::Workflow { .. } | What::Batch(_) => self.work.reason.clone(),
        };
        Event::WorkflowProgressUpdate {
            workflow_id: self.work.id,
            status,
            progress: f64::from(completed) / f64::from(total.max(1)),
            current_step: operation.and_then(|index| self.name(index)).cloned(),
            total_steps: total,
            completed_steps: completed,
            error: reason.filter(|_| status != BatchStatus::Completed),
        }
    }

    /// Operations that only prove what others did.
    fn proofs(&self) -> usize {
        self.work.shape.operations.iter().filter(|operation| operation.proves.is_some()).count()
    }
}

/// The operation that a fact is about.
fn operation_of(fact: &engine::Event) -> Option<u32> {
    use engine::Event::{
        Accepted, AttemptFailed, CancelRequested, Closed, Ended, Failed, Halted, Intended, Reopened, Retried, Skipped,
        Started, Stopped, Succeeded, Unwinding, Waived, Withdrawn,
    };
    match fact {
        Intended { operation, .. }
        | Started { operation, .. }
        | Succeeded { operation, .. }
        | AttemptFailed { operation, .. }
        | Failed { operation, .. }
        | Stopped { operation }
        | Withdrawn { operation }
        | Skipped { operation }
        | Waived { operation, .. } => Some(*operation),
        Accepted
        | CancelRequested { .. }
        | Halted { .. }
        | Unwinding
        | Ended { .. }
        | Retried
        | Reopened { .. }
        | Closed { .. } => None,
    }
}
