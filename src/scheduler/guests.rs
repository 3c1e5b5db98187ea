//! Batches that a rollback has hold of.
//!
//! A batch that has ended is brought back beside the rollback that undoes it. It decides nothing: what the rollback's steps
//! do is told to it as if it had done that itself, event by event and in the same commit, so that its log, its records
//! and whoever follows it agree with what became of it. While it is held, nothing else can be asked of it.

use std::collections::HashMap;

use super::ScheduleError;
use super::command::CHANGES;
use super::driver::Driver;
use super::recover::{self, Loaded};
use crate::engine::react::NotNow;
use crate::engine::{Direction, Event, Outcome, Phase, Work};
use crate::exec::Key;
use crate::model::id::WorkId;
use crate::model::rollback::{RollbackAction, RollbackSpec, RollbackStep};
use crate::model::status::OperationStatus;
use crate::model::time::Timestamp;
use crate::store::record::{WorkKind, WorkRecord};
use crate::store::{Backend, Change};

/// Every batch that is held.
#[derive(Debug, Default)]
pub(super) struct Guests(HashMap<WorkId, Guest>);

#[derive(Debug)]
struct Guest {
    host: WorkId,
    work: Work,
}

impl Guests {
    /// A batch as it stands, where one is held.
    pub(super) fn work(&self, id: WorkId) -> Option<&Work> {
        self.0.get(&id).map(|guest| &guest.work)
    }

    /// The rollback that holds a batch.
    pub(super) fn host(&self, id: WorkId) -> Option<WorkId> {
        self.0.get(&id).map(|guest| guest.host)
    }

    /// The batches that a rollback holds, in order of age.
    pub(super) fn of(&self, host: WorkId) -> Vec<WorkId> {
        let held = self.0.iter().filter(|(_, guest)| guest.host == host);
        let mut ids: Vec<WorkId> = held.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn insert(&mut self, host: WorkId, work: Work) {
        self.0.insert(work.id, Guest { host, work });
    }

    pub(super) fn remove(&mut self, id: WorkId) {
        self.0.remove(&id);
    }

    /// What it is to a rollback's batches that this has happened to the rollback, which is as it stands after it; they
    /// are already changed by it.
    pub(super) fn follow(&mut self, host: &Work, spec: &RollbackSpec, event: &Event) -> Vec<(WorkId, Event)> {
        let followed = match (event, operation_of(event)) {
            (Event::Ended { .. }, _) => {
                let ended = |id| self.work(id).map(|work| (id, Event::Ended { status: work.as_left() }));
                self.of(host.id).into_iter().filter_map(ended).collect()
            }
            (_, Some(index)) => {
                let step = &spec.steps[index as usize];
                let event = if step.action.is_proof() { self.found(host, step, event) } else { moved(step, event) };
                event.map(|event| (WorkId::from(step.batch), event)).into_iter().collect()
            }
            _ => Vec::new(),
        };
        self.tell(followed)
    }

    /// A rollback takes hold of its batches anew; what that is to them.
    pub(super) fn reopen(&mut self, host: WorkId, spec: &RollbackSpec) -> Vec<(WorkId, Event)> {
        let reopened = |id: WorkId| {
            let undoes = spec.steps.iter().any(|step| WorkId::from(step.batch) == id && step.action.undoes());
            let direction = if undoes { Direction::Undo } else { Direction::Do };
            (id, Event::Reopened { by: host, direction })
        };
        let reopened = self.of(host).into_iter().map(reopened).collect();
        self.tell(reopened)
    }

    /// What a proof found that is other than what was said before.
    fn found(&self, host: &Work, step: &RollbackStep, event: &Event) -> Option<Event> {
        let (operation, direction) = (step.operation, direction(step.action));
        match event {
            // What was done was found not to be so.
            Event::Failed { error, .. } => {
                let proved = step.proves.map(|index| host.operation(index).status);
                let error = error.clone();
                (proved == Some(OperationStatus::Completed)).then_some(Event::Failed { operation, direction, error })
            }
            // What failed is gone all the same.
            Event::Succeeded { .. } => {
                let guest = self.work(WorkId::from(step.batch))?.operation(operation);
                let is_made_good = guest.status == OperationStatus::RollbackFailed && step.action.undoes();
                is_made_good.then_some(Event::Succeeded { operation, direction })
            }
            _ => None,
        }
    }

    fn tell(&mut self, events: Vec<(WorkId, Event)>) -> Vec<(WorkId, Event)> {
        for (id, event) in &events {
            if let Some(guest) = self.0.get_mut(id) {
                guest.work.apply(event);
            }
        }
        events
    }
}

/// Whether a rollback can take hold of a batch as the store has it, to do with it what was planned.
fn can_be_held(id: WorkId, work: &Work, spec: &RollbackSpec, again: Option<WorkId>) -> Result<(), NotNow> {
    if !matches!(work.phase, Phase::Ended(_)) {
        return Err(NotNow::AtWork(id, work.status()));
    }
    if let Some(host) = again {
        return if work.reopened_by == Some(host) { Ok(()) } else { Err(NotNow::Changed(id)) };
    }
    let is_as_planned = |step: &RollbackStep| match step.action {
        RollbackAction::Undo => work.needs_undo(step.operation),
        RollbackAction::Redo => work.operation(step.operation).status != OperationStatus::Completed,
        RollbackAction::ProveUndone | RollbackAction::ProveRedone => true,
    };
    let mut steps = spec.steps.iter().filter(|step| WorkId::from(step.batch) == id);
    let known = |step: &RollbackStep| (step.operation as usize) < work.operations.len();
    if steps.all(|step| known(step) && is_as_planned(step)) { Ok(()) } else { Err(NotNow::NotAsPlanned(id)) }
}

impl Driver {
    /// Takes hold of the batches of a new rollback.
    ///
    /// # Errors
    /// When one of them can't be held, or isn't as it was when the rollback was planned; then none is.
    pub(super) fn invite(&mut self, id: WorkId, work: &WorkRecord, reads: &dyn Backend) -> Result<(), ScheduleError> {
        let WorkKind::Rollback { spec } = &work.kind else { return Ok(()) };
        let mut loaded = Vec::new();
        for guest in spec.batches().into_iter().map(WorkId::from) {
            loaded.push((guest, recover::load(reads, guest)?.ok_or(ScheduleError::Unknown(guest))?));
        }
        self.may_hold_all(spec, &loaded, None)?;
        for (guest, loaded) in loaded {
            self.hold(id, guest, loaded);
        }
        Ok(())
    }

    /// Whether the batches of a rollback can be held again.
    pub(super) fn may_hold(&self, loaded: &Loaded, again: WorkId) -> Result<(), ScheduleError> {
        let WorkKind::Rollback { spec } = &loaded.work.kind else { return Ok(()) };
        self.may_hold_all(spec, &loaded.guests, Some(again))
    }

    fn may_hold_all(
        &self,
        spec: &RollbackSpec,
        loaded: &[(WorkId, Loaded)],
        again: Option<WorkId>,
    ) -> Result<(), ScheduleError> {
        for (id, loaded) in loaded {
            if let Some(host) = self.guests.host(*id) {
                return Err(NotNow::Held(host).into());
            }
            if let Some(live) = self.engine.work(*id) {
                return Err(NotNow::AtWork(*id, live.status()).into());
            }
            can_be_held(*id, &loaded.replayed(*id), spec, again)?;
        }
        Ok(())
    }

    /// Holds a batch as the store has it.
    pub(super) fn hold(&mut self, host: WorkId, id: WorkId, loaded: Loaded) {
        self.guests.insert(host, loaded.replayed(id));
        self.works.insert(id, loaded.work.clone());
        self.rows.restore(loaded);
    }

    /// A rollback takes hold of its batches; answers what their logs say of it.
    pub(super) fn reopen(&mut self, host: WorkId, at: Timestamp) -> Vec<Change> {
        let Some(WorkRecord { kind: WorkKind::Rollback { spec }, .. }) = self.works.get(&host) else {
            return Vec::new();
        };
        let reopened = self.guests.reopen(host, spec);
        self.record_of_guests(reopened, at)
    }

    /// Lets the batches of a rollback go.
    pub(super) fn let_go(&mut self, host: WorkId) {
        for id in self.guests.of(host) {
            self.guests.remove(id);
            self.rows.retire(id);
            self.works.remove(&id);
        }
    }

    /// How the attempt of a proof ended, in words that say what it found.
    pub(super) fn proved(&self, key: Key, outcome: Outcome, code: Option<i32>, output: Option<&str>) -> Outcome {
        let step = self.launched.get(&key).and_then(|attempt| match &self.works.get(&attempt.work)?.kind {
            WorkKind::Rollback { spec } => spec.steps.get(attempt.operation as usize),
            _ => None,
        });
        let (Some(step), Outcome::Failure(error)) = (step, &outcome) else { return outcome };
        let found: Vec<&str> = output.unwrap_or_default().lines().collect();
        let found = found.join(", ");
        match (step.action, code) {
            (RollbackAction::ProveUndone, Some(CHANGES)) => Outcome::Failure(format!("this is still there: {found}")),
            (RollbackAction::ProveRedone, Some(CHANGES)) => Outcome::Failure(format!("this is not as it was: {found}")),
            (RollbackAction::ProveUndone | RollbackAction::ProveRedone, _) => {
                Outcome::Failure(format!("it can't be said what is there: {error}"))
            }
            _ => outcome,
        }
    }
}

fn direction(action: RollbackAction) -> Direction {
    if action.undoes() { Direction::Undo } else { Direction::Do }
}

/// What happened to a step, as what happened to its operation.
fn moved(step: &RollbackStep, event: &Event) -> Option<Event> {
    let (operation, direction) = (step.operation, direction(step.action));
    Some(match event.clone() {
        Event::Intended { attempt, task, .. } => Event::Intended { operation, direction, attempt, task },
        Event::Started { at, deadline, .. } => Event::Started { operation, at, deadline },
        Event::Succeeded { .. } => Event::Succeeded { operation, direction },
        Event::AttemptFailed { error, again_at, .. } => Event::AttemptFailed { operation, direction, error, again_at },
        Event::Failed { error, .. } => Event::Failed { operation, direction, error },
        _ => return None,
    })
}

fn operation_of(event: &Event) -> Option<u32> {
    match event {
        Event::Intended { operation, .. }
        | Event::Started { operation, .. }
        | Event::Succeeded { operation, .. }
        | Event::AttemptFailed { operation, .. }
        | Event::Failed { operation, .. } => Some(*operation),
        _ => None,
    }
}
