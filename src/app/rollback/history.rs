//! What a rollback undoes and runs again: read from the log, before anybody is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::app::error::Error;
use crate::engine::{Direction, Event, Phase, Work};
use crate::model::batch::BatchSpec;
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;
use crate::model::rollback::{Checkpoint, OperationRef};
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::scheduler::recover::shape;
use crate::scheduler::undo_plan::Wanted;
use crate::store::record::{BatchRecord, WorkKind};
use crate::store::{Backend, StoreError};

/// Events read at once.
const AT_ONCE: usize = 4096;
/// Things left alone that are told one by one.
const TOLD: usize = 10;

/// What is wanted of batches, with remarks.
#[derive(Default)]
pub(super) struct Found {
    pub(super) batches: Vec<(BatchRecord, Wanted)>,
    pub(super) warnings: Vec<String>,
    /// Batches that go on, and so can't be rolled back.
    at_work: Vec<(BatchId, String, BatchStatus)>,
}

/// A batch with all that happened to it.
struct History {
    record: BatchRecord,
    spec: BatchSpec,
    /// As it stands.
    now: Work,
    /// As it stood at the checkpoint.
    then: Option<Work>,
    /// Where in the log each operation came to its end.
    ended: HashMap<u32, u64>,
}

impl History {
    /// Reads a batch; nothing when there is none of that id.
    fn of(reads: &dyn Backend, id: BatchId, checkpoint: Option<&Checkpoint>) -> Result<Option<Self>, StoreError> {
        let (Some(record), Some(work)) = (reads.batch(id)?, reads.work(WorkId::from(id))?) else { return Ok(None) };
        let (mut now, mut then) = (Work::new(WorkId::from(id), shape(&work)), None);
        let WorkKind::Batch { spec } = work.kind else { return Ok(None) };
        let mut ended = HashMap::new();
        for (place, logged) in reads.events(WorkId::from(id))? {
            if then.is_none() && checkpoint.is_some_and(|checkpoint| place > checkpoint.place) {
                then = Some(now.clone());
            }
            now.apply(&logged.event);
            if let Event::Succeeded { operation, direction: Direction::Do }
            | Event::Failed { operation, direction: Direction::Do, .. }
            | Event::Stopped { operation } = logged.event
            {
                ended.insert(operation, place);
            }
        }
        Ok(Some(Self { record, spec, now, then, ended }))
    }

    fn indices(&self) -> impl Iterator<Item = u32> + use<> {
        0..crate::engine::index(self.spec.operations.len())
    }

    fn place(&self, index: u32) -> u64 {
        self.ended.get(&index).copied().unwrap_or(0)
    }

    fn keep(&self, wanted: impl Fn(u32) -> bool) -> BTreeMap<u32, u64> {
        self.indices().filter(|index| wanted(*index)).map(|index| (index, self.place(index))).collect()
    }

    /// Operations that are done since the place, and that nothing undoes.
    fn without_compensation(&self, since: u64) -> impl Iterator<Item = &Name> {
        let stays = move |index: &u32| {
            let is_done = self.now.operation(*index).status == OperationStatus::Completed;
            is_done && !self.now.needs_undo(*index) && self.place(*index) > since
        };
        self.indices().filter(stays).map(|index| &self.spec.operations[index as usize].id)
    }
}

impl Found {
    /// Notes what is wanted of a batch.
    fn take(&mut self, history: History, undo: BTreeMap<u32, u64>, redo: BTreeMap<u32, u64>) {
        if undo.is_empty() && redo.is_empty() {
            return;
        }
        let record = history.record;
        if !matches!(history.now.phase, Phase::Ended(_)) {
            self.at_work.push((record.id, record.name, history.now.status()));
            return;
        }
        let wanted = Wanted { id: record.id, spec: history.spec, undo, redo };
        self.batches.push((record, wanted));
    }

    fn tell_of(&mut self, history: &History, since: u64) {
        for name in history.without_compensation(since) {
            self.warnings.push(format!("operation {name} of batch {} has nothing that undoes it", history.record.id));
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// When some of it goes on, or there is nothing.
    pub(super) fn finish(mut self, nothing: &str) -> Result<Self, Error> {
        let at_work: Vec<String> =
            self.at_work.iter().take(TOLD).map(|(id, name, status)| format!("{name} ({id}) is {status}")).collect();
        if !at_work.is_empty() {
            let at_work = at_work.join(", ");
            return Err(Error::Conflict(format!(
                "what goes on can't be rolled back: {at_work}; wait for its end, or cancel what runs"
            )));
        }
        if self.batches.is_empty() {
            return Err(Error::Conflict(nothing.to_owned()));
        }
        if let Some(more) = self.warnings.len().checked_sub(TOLD).filter(|more| *more > 0) {
            self.warnings.truncate(TOLD);
            self.warnings.push(format!("and {more} more of that kind"));
        }
        Ok(self)
    }
}

/// All that a batch did and that is there; nothing when there is no such batch.
pub(super) fn of_batch(reads: &dyn Backend, id: BatchId) -> Result<Option<Found>, StoreError> {
    let Some(history) = History::of(reads, id, None)? else { return Ok(None) };
    let mut found = Found::default();
    let undo = history.keep(|index| history.now.needs_undo(index));
    found.tell_of(&history, 0);
    found.take(history, undo, BTreeMap::new());
    Ok(Some(found))
}

/// These operations, and what depends on them; the first that there is none of is an error of its own.
pub(super) fn of_operations(
    reads: &dyn Backend,
    named: &[OperationRef],
) -> Result<Result<Found, OperationRef>, StoreError> {
    let batches: BTreeSet<BatchId> = named.iter().map(|of| of.batch_id).collect();
    let mut found = Found::default();
    for id in batches {
        let of_this: Vec<&OperationRef> = named.iter().filter(|of| of.batch_id == id).collect();
        let Some(history) = History::of(reads, id, None)? else { return Ok(Err(of_this[0].clone())) };
        let mut chosen = BTreeSet::new();
        for of in of_this {
            let index = history.spec.operations.iter().position(|operation| operation.id == of.operation_id);
            let Some(index) = index.map(crate::engine::index) else { return Ok(Err(of.clone())) };
            chosen.insert(index);
            let state = history.now.operation(index);
            if !history.now.needs_undo(index) {
                found.warnings.push(match state.status {
                    OperationStatus::Completed => format!("operation {} has nothing that undoes it", of.operation_id),
                    status => format!("operation {} is {status}, and there is nothing of it to undo", of.operation_id),
                });
            }
        }
        add_dependents(&history.now, &mut chosen);
        let undo = history.keep(|index| chosen.contains(&index) && history.now.needs_undo(index));
        found.take(history, undo, BTreeMap::new());
    }
    Ok(Ok(found))
}

fn add_dependents(work: &Work, chosen: &mut BTreeSet<u32>) {
    let mut left: Vec<u32> = chosen.iter().copied().collect();
    while let Some(index) = left.pop() {
        let dependents = work.shape.operations[index as usize].dependents.iter().map(|(dependent, _)| *dependent);
        left.extend(dependents.filter(|dependent| chosen.insert(*dependent)));
    }
}

/// What was completed after a checkpoint, and with `restore` what has gone since as well; of one infra, or of all.
pub(super) fn since(
    reads: &dyn Backend,
    checkpoint: &Checkpoint,
    infra: Option<&Name>,
    restore: bool,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for id in touched(reads, checkpoint.place)? {
        let Some(history) = History::of(reads, BatchId(id.0), Some(checkpoint))? else {
            found.warnings.extend(workflow(reads, TaskId(id.0), infra)?);
            continue;
        };
        if infra.is_some_and(|infra| &history.spec.infra != infra) {
            continue;
        }
        let (undo, redo) = {
            let was = |index, what: fn(&Work, u32) -> bool| history.then.as_ref().is_some_and(|then| what(then, index));
            // What was there and is again was not completed since, however often it was undone and done again.
            let undo = history.keep(|index| history.now.needs_undo(index) && !was(index, Work::needs_undo));
            let redo = history.keep(|index| restore && was(index, is_completed) && !is_completed(&history.now, index));
            (undo, redo)
        };
        found.tell_of(&history, checkpoint.place);
        found.take(history, undo, redo);
    }
    Ok(found)
}

fn is_completed(work: &Work, index: u32) -> bool {
    work.operation(index).status == OperationStatus::Completed
}

/// The works that something happened to after a place of the log.
fn touched(reads: &dyn Backend, place: u64) -> Result<BTreeSet<WorkId>, StoreError> {
    let (mut touched, mut after) = (BTreeSet::new(), place);
    loop {
        let (events, upto) = reads.log(after, AT_ONCE)?;
        touched.extend(events.into_iter().map(|(_, logged)| logged.work));
        if upto <= after {
            return Ok(touched);
        }
        after = upto;
    }
}

/// What is to be said of a workflow that was completed since: nothing undoes it.
fn workflow(reads: &dyn Backend, id: TaskId, infra: Option<&Name>) -> Result<Option<String>, StoreError> {
    let Some(task) = reads.task(id)? else { return Ok(None) };
    let is_meant = infra.is_none_or(|infra| task.infra.as_ref() == Some(infra));
    let changed = task.status == TaskStatus::Completed && task.workflow.is_some() && !task.is_check();
    Ok((changed && is_meant).then(|| format!("workflow {} ({id}) stays as it is: nothing undoes workflows", task.name)))
}
