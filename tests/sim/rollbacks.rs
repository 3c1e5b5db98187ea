//! What the log says of rollbacks, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prov::engine::work::{OperationState, Stage};
use prov::engine::{Event, Phase, Shape, Work};
use prov::exec::Key;
use prov::model::id::{BatchId, RollbackId, WorkId};
use prov::model::rollback::{RollbackAction, RollbackSpec};
use prov::model::status::{BatchStatus, OperationStatus, RollbackStatus};

use super::ledger::{Check, hold};
use super::store::Tables;

/// Every rollback that was accepted.
#[derive(Debug, Default)]
pub struct Rollbacks {
    all: BTreeMap<WorkId, (Work, RollbackSpec)>,
    /// Proofs that run.
    asking: BTreeSet<Key>,
}

impl Rollbacks {
    pub fn accepted(&mut self, id: WorkId, spec: &RollbackSpec) {
        let work = Work::new(id, Arc::new(Shape::of_rollback(spec)));
        self.all.insert(id, (work, spec.clone()));
    }

    pub fn knows(&self, id: WorkId) -> bool {
        self.all.contains_key(&id)
    }

    pub fn work(&self, id: RollbackId) -> Option<&Work> {
        self.all.get(&WorkId::from(id)).map(|(work, _)| work)
    }

    /// Applies what was logged; answers the operation that stays as it is by somebody's decision.
    pub fn append(&mut self, id: WorkId, event: &Event) -> Result<Option<(BatchId, u32)>, String> {
        let (work, spec) = self.all.get_mut(&id).ok_or("an event of a rollback that was never accepted")?;
        let ended = matches!(work.phase, Phase::Ended(_));
        let takes_up = matches!(event, Event::Retried | Event::Waived { .. } | Event::Closed { .. });
        hold(ended == takes_up, || format!("{event:?} in phase {:?} of a rollback", work.phase))?;
        hold(!work.is_closed, || format!("{event:?} of a rollback that was accepted as it is"))?;
        work.apply(event);
        Ok(match event {
            Event::Waived { operation, .. } => {
                let step = &spec.steps[*operation as usize];
                Some((step.batch, step.operation))
            }
            _ => None,
        })
    }

    /// A proof begins.
    pub fn asks(&mut self, key: Key) -> Check {
        let is_meant = |work: &Work| {
            work.operations.iter().any(|state| {
                let intended = matches!(state.stage, Stage::Intended { .. });
                intended && (state.attempt, state.current_task()) == (key.attempt, Some(key.task))
            })
        };
        hold(self.all.values().any(|(work, _)| is_meant(work)), || format!("proof {key} is not on record"))?;
        self.asking.insert(key);
        Ok(())
    }

    pub fn answered(&mut self, key: Key) {
        self.asking.remove(&key);
    }

    /// Proofs that run.
    pub fn asking(&self) -> usize {
        self.asking.len()
    }

    /// The records agree with the log.
    pub fn are_shown(&self, tables: &Tables) -> Check {
        for (id, (work, _)) in &self.all {
            let row = tables.rollbacks.get(&RollbackId(id.0)).ok_or("a rollback is not shown")?;
            let wanted = match work.status() {
                _ if work.is_closed => RollbackStatus::Accepted,
                BatchStatus::Pending => RollbackStatus::Pending,
                BatchStatus::Completed => RollbackStatus::Completed,
                BatchStatus::Failed => RollbackStatus::Failed,
                _ => RollbackStatus::Running,
            };
            hold(row.status == wanted, || format!("the rollback is {wanted} and shown as {}", row.status))?;
            let live = tables.live.contains_key(id);
            hold(live != matches!(work.phase, Phase::Ended(_)), || format!("{wanted}, and live is {live}"))?;
        }
        Ok(())
    }

    /// What a rollback that has ended well was to undo.
    pub fn has_ended(&self, id: RollbackId, tables: &Tables) -> Result<Vec<(BatchId, u32)>, String> {
        let (work, spec) = &self.all.get(&WorkId::from(id)).ok_or("a rollback is gone")?;
        let Phase::Ended(status) = work.phase else { return Err(format!("rollback {id} has not ended: {work:#?}")) };
        hold(self.asking.is_empty(), || "a proof still runs".to_owned())?;
        let left = &tables.rollbacks[&id].left;
        let is_stuck = work.operations.iter().any(|state| state.status == OperationStatus::Failed);
        hold(!is_stuck || !left.is_empty(), || "a rollback failed, and says nothing of what is left".to_owned())?;
        if status != BatchStatus::Completed {
            return Ok(Vec::new());
        }
        let is_done = |state: &OperationState| state.status == OperationStatus::Completed || state.waived;
        hold(work.operations.iter().all(is_done), || "a rollback is Completed, and not all of it is done".to_owned())?;
        let undone =
            spec.steps.iter().zip(&work.operations).filter(|(step, state)| {
                step.action == RollbackAction::Undo && state.status == OperationStatus::Completed
            });
        Ok(undone.map(|(step, _)| (step.batch, step.operation)).collect())
    }
}
