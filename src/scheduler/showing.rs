//! What happens, as it is written: the log of the work that it happens to and of the batches that it has hold of, the
//! records that show it, and the checkpoints that it brings about.

use super::driver::{Driver, logged};
use super::rows::NewTask;
use super::{command, rollback_row};
use crate::engine::{Direction, Event, retry};
use crate::model::id::{BatchId, CheckpointId, RollbackId, WorkId};
use crate::model::rollback::Checkpoint;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::store::Change;
use crate::store::record::{WorkKind, WorkRecord};

impl Driver {
    /// Shows what happened to a work, and to the batches that it has hold of; answers what the log says of it.
    pub(super) fn record(&mut self, id: WorkId, events: &[Event], at: Timestamp) -> Vec<Change> {
        let mut log = Vec::with_capacity(events.len());
        for event in events {
            log.push(logged(id, at, event));
            self.show(id, event, at);
            log.extend(self.checkpoint(id, event, at));
            if let (Some(WorkRecord { kind: WorkKind::Rollback { spec }, .. }), Some(work)) =
                (self.works.get(&id), self.engine.work(id))
            {
                let followed = self.guests.follow(work, spec, event);
                log.extend(self.record_of_guests(followed, at));
            }
        }
        log
    }

    /// As [`Driver::record`], for what the batches of a rollback were told.
    pub(super) fn record_of_guests(&mut self, told: Vec<(WorkId, Event)>, at: Timestamp) -> Vec<Change> {
        let mut log = Vec::with_capacity(told.len());
        for (id, event) in told {
            self.show(id, &event, at);
            log.push(logged(id, at, &event));
        }
        log
    }

    /// Shows an event in the records, making that of a new task.
    fn show(&mut self, id: WorkId, event: &Event, at: Timestamp) {
        if let Event::Intended { task, .. } = event
            && !self.rows.tasks.contains_key(task)
            && let Some(row) = self.new_row(id, event, at)
        {
            self.rows.add_task(row);
        }
        let Some(work) = self.engine.work(id).or_else(|| self.guests.work(id)) else { return };
        self.rows.show(work, event, at);
        if let Some(WorkRecord { kind: WorkKind::Rollback { spec }, .. }) = self.works.get(&id)
            && let Some(row) = self.rows.rollback_mut(id)
        {
            rollback_row::show(row, spec, work, event, at);
        }
    }

    fn new_row(&self, id: WorkId, event: &Event, at: Timestamp) -> Option<Task> {
        let Event::Intended { operation: index, direction, task, .. } = event else { return None };
        let program = &self.config.program;
        let (rollback, batch, index, direction, proof) = match &self.works.get(&id)?.kind {
            WorkKind::Workflow { .. } => return None,
            WorkKind::Batch { .. } => (None, id, *index, *direction, None),
            WorkKind::Rollback { spec } => {
                let step = &spec.steps[*index as usize];
                let direction = if step.action.undoes() { Direction::Undo } else { Direction::Do };
                let proof = step.action.is_proof().then_some(step);
                (Some(RollbackId(id.0)), WorkId::from(step.batch), step.operation, direction, proof)
            }
        };
        let WorkKind::Batch { spec } = &self.works.get(&batch)?.kind else { return None };
        let work = self.engine.work(batch).or_else(|| self.guests.work(batch))?;
        let operation = &spec.operations[index as usize];
        let dependencies = work.shape.operations[index as usize].dependencies.iter();
        let line = match proof {
            Some(step) => command::step_line(program, spec, step)?,
            None => command::line(program, spec, operation, direction)?,
        };
        let row = NewTask {
            id: *task,
            batch: BatchId(batch.0),
            operation,
            line,
            dependencies: dependencies.filter_map(|(dependency, _)| work.operation(*dependency).task).collect(),
            max_attempts: match (proof, direction) {
                (Some(step), _) => step.retry.max_attempts,
                (None, Direction::Do) => operation.retry.max_attempts,
                (None, Direction::Undo) => retry::undo(&operation.retry).max_attempts,
            },
            infra: spec.infra.clone(),
            rollback,
            submitted_by: self.rows.submitter(id)?.to_owned(),
            at,
        };
        Some(row.row())
    }

    /// A checkpoint, where so many operations of a batch are completed that one is due.
    fn checkpoint(&mut self, id: WorkId, event: &Event, at: Timestamp) -> Option<Change> {
        let Event::Succeeded { direction: Direction::Do, .. } = event else { return None };
        let every = self.config.checkpoint_every;
        let batch = self.rows.batch(id).filter(|batch| every > 0 && batch.completed.is_multiple_of(every))?;
        let (name, of) = (format!("{} {}/{}", batch.name, batch.completed, batch.total), Some(batch.id));
        let created_by = batch.submitted_by.clone();
        let (id, description) = (CheckpointId((self.ids)()), String::new());
        let made = Checkpoint { id, name, description, place: 0, batch_id: of, created_at: at, created_by };
        Some(Change::PutCheckpoint(Box::new(made)))
    }
}
