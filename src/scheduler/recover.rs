//! Taking work up again: from the store what was decided, from the supervisor what became of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::actor::Actor;
use super::driver::{Driver, key_of};
use super::guests::Guests;
use super::outbox::Group;
use super::report::{self, Happening, Told};
use super::rows::LiveRows;
use super::{Config, StartError, command};
use crate::engine::{Attempt, Engine, Event, Inputs, Outcome, Shape, Work};
use crate::exec::{Clock, Executor, Key};
use crate::model::id::{BatchId, RollbackId, TaskId, WorkId};
use crate::model::task::{Launch, Task};
use crate::model::time::Timestamp;
use crate::store::record::{
    BatchRecord, LiveRecord, LoggedEvent, OperationRecord, RollbackRecord, WorkKind, WorkRecord,
};
use crate::store::{Backend, Change, Store, StoreError, Transaction};

/// The name of the boot count among the store's facts.
const EPOCH: &str = "epoch";

/// All that the store has of one unit of work.
pub struct Loaded {
    pub(super) work: WorkRecord,
    pub(super) events: Vec<LoggedEvent>,
    pub(super) batch: Option<(BatchRecord, Vec<OperationRecord>)>,
    pub(super) rollback: Option<RollbackRecord>,
    /// Those of its tasks that have not ended.
    pub(super) tasks: Vec<Task>,
    /// The batches of a rollback.
    pub(super) guests: Vec<(WorkId, Loaded)>,
}

impl Loaded {
    /// The work as it stands.
    pub(super) fn replayed(&self, id: WorkId) -> Work {
        let mut work = Work::new(id, shape(&self.work));
        self.events.iter().for_each(|logged| work.apply(&logged.event));
        work
    }
}

/// What there is from before a start of the daemon.
pub struct Before {
    /// This start's number.
    pub epoch: u64,
    /// All that is live in the store: what was decided.
    pub live: Vec<(WorkId, Loaded)>,
    /// What the supervisor tells when it is connected to: what became of what was decided.
    pub supervisor: Told,
}

/// Reads one unit of work.
pub(super) fn load(reads: &dyn Backend, id: WorkId) -> Result<Option<Loaded>, StoreError> {
    let Some(work) = reads.work(id)? else { return Ok(None) };
    let events: Vec<LoggedEvent> = reads.events(id)?.into_iter().map(|(_, event)| event).collect();
    let (mut tasks, mut guests, mut rollback) = (Vec::new(), Vec::new(), None);
    let batch = match &work.kind {
        WorkKind::Workflow { .. } => {
            tasks.extend(reads.task(TaskId(id.0))?);
            None
        }
        WorkKind::Batch { .. } => {
            let operations = reads.operations(BatchId(id.0))?;
            for task in operations.iter().flat_map(|operation| [operation.task, operation.undo_task]).flatten() {
                tasks.extend(reads.task(task)?);
            }
            reads.batch(BatchId(id.0))?.map(|batch| (batch, operations))
        }
        WorkKind::Rollback { spec } => {
            for guest in spec.batches().into_iter().map(WorkId::from) {
                guests.extend(load(reads, guest)?.map(|loaded| (guest, loaded)));
            }
            for task in intended(&events) {
                tasks.extend(reads.task(task)?);
            }
            rollback = reads.rollback(RollbackId(id.0))?;
            None
        }
    };
    tasks.retain(|task| !task.status.is_terminal());
    Ok(Some(Loaded { work, events, batch, rollback, tasks, guests }))
}

/// The tasks that a log names.
fn intended(events: &[LoggedEvent]) -> BTreeSet<TaskId> {
    let task = |logged: &LoggedEvent| match logged.event {
        Event::Intended { task, .. } => Some(task),
        _ => None,
    };
    events.iter().filter_map(task).collect()
}

/// The engine's view of a unit of work.
#[must_use]
pub fn shape(work: &WorkRecord) -> Arc<Shape> {
    Arc::new(match &work.kind {
        WorkKind::Workflow { timeout_seconds, .. } => Shape::single(Duration::from_secs(*timeout_seconds)),
        WorkKind::Batch { spec } => Shape::of(spec),
        WorkKind::Rollback { spec } => Shape::of_rollback(spec),
    })
}

/// What is started for an attempt.
pub(super) fn launch(config: &Config, works: &HashMap<WorkId, WorkRecord>, attempt: &Attempt) -> Option<Launch> {
    match &works.get(&attempt.work)?.kind {
        WorkKind::Workflow { launch, .. } => Some(launch.clone()),
        WorkKind::Batch { spec } => {
            let operation = spec.operations.get(attempt.operation as usize)?;
            command::launch(&config.program, BatchId(attempt.work.0), spec, operation, attempt.direction)
        }
        WorkKind::Rollback { spec } => {
            let step = spec.steps.get(attempt.operation as usize)?;
            let WorkKind::Batch { spec } = &works.get(&WorkId::from(step.batch))?.kind else { return None };
            command::launch_step(&config.program, spec, step)
        }
    }
}

/// All that is live in the store. Work with a damaged record is set aside, so that it holds up no other.
///
/// # Errors
/// When the store can't be read.
pub fn live(reads: &dyn Backend) -> Result<Vec<(WorkId, Loaded)>, StoreError> {
    let mut live = Vec::new();
    for (id, _) in reads.live()? {
        match load(reads, id) {
            Ok(loaded) => live.extend(loaded.map(|loaded| (id, loaded))),
            Err(error @ StoreError::Damaged { .. }) => tracing::error!(work = %id, %error, "work is set aside"),
            Err(error) => return Err(error),
        }
    }
    Ok(live)
}

/// An actor that has taken up everything live.
pub(super) async fn recover(
    config: Config,
    store: Store,
    clock: Clock,
    changed: watch::Sender<u64>,
) -> Result<Actor, StartError> {
    let epoch = next_epoch(&store).await?;
    let live = store.read(live).await?;
    let (heard, from_supervisor) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(report::relay(from_supervisor, config.places.logs.clone(), tell));
    let executor = Executor::start(config.places.clone(), heard).await?;
    let supervisor = told.recv().await.ok_or(StartError::Silent)?;
    if !live.is_empty() {
        tracing::info!(works = live.len(), "taking up work from before");
    }
    let before = Before { epoch, live, supervisor };
    let driver = Driver::take_up(config, before, Box::new(Uuid::now_v7), clock.now());
    Ok(Actor { driver, store, clock, executor, told, changed })
}

/// Counts this start of the daemon.
async fn next_epoch(store: &Store) -> Result<u64, StartError> {
    let before = store.read(|reads| reads.meta(EPOCH)).await?;
    let before = before.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    let epoch = before + 1;
    let write = Transaction::of(vec![Change::PutMeta(EPOCH.to_owned(), epoch.to_be_bytes().to_vec())]);
    store.commit(write).await.map_err(|error| StartError::Unwritable(error.to_string()))?;
    Ok(epoch)
}

impl Driver {
    /// A driver that has taken up the work there is from before. `ids` makes ids of tasks.
    #[must_use]
    pub fn take_up(config: Config, before: Before, ids: Box<dyn FnMut() -> Uuid + Send>, now: Timestamp) -> Self {
        let Before { epoch, live, supervisor } = before;
        let mut driver = Self {
            engine: Engine::new(config.max_parallel),
            config,
            epoch,
            works: HashMap::new(),
            rows: LiveRows::default(),
            guests: Guests::default(),
            launched: HashMap::new(),
            connection: 0,
            group: Group::default(),
            held_until: None,
            is_writing: false,
            stalled: None,
            effects: Vec::new(),
            draining: false,
            lets_go: false,
            drained: None,
            paused_until: None,
            ids,
        };
        for (id, loaded) in live {
            driver.restore(id, loaded);
            driver.group.changes.push(Change::PutLive(id, LiveRecord { epoch }));
        }
        driver.hear(supervisor, now);
        driver
    }

    /// Brings what was decided and what became of it together, at the start and whenever the supervisor was replaced:
    /// attempts that began are adopted with their results, attempts that run on record and nobody knows are lost, intents
    /// that never began wait for a slot again, and what was asked to end is told so again.
    pub(super) fn reconcile(&mut self, known: Vec<Happening>, theirs: Timestamp, now: Timestamp) {
        let ours = |at: Timestamp| now.minus(theirs.since(at));
        let known: Vec<Happening> = known.into_iter().map(|happening| happening.moved(ours)).collect();
        let mut begun: HashMap<Key, Timestamp> = HashMap::new();
        for happening in &known {
            begun.entry(happening.key()).or_insert(happening.when());
        }
        let (mut lost, mut never_began) = (Vec::new(), Vec::new());
        for attempt in self.engine.attempts() {
            let key = key_of(&attempt);
            match (begun.get(&key), self.engine.runs(&attempt)) {
                (Some(since), _) => self.adopt(attempt, *since),
                (None, true) => {
                    self.adopt(attempt, now);
                    lost.push(key);
                }
                (None, false) if self.launched.contains_key(&key) => never_began.push(attempt),
                (None, false) => {}
            }
        }
        // A process that belongs to nothing that is under way; where it has ended this does nothing.
        let strays: Vec<Key> = begun.keys().filter(|key| !self.launched.contains_key(key)).copied().collect();
        for key in strays {
            self.end_process(key);
        }
        for happening in known {
            self.take_in(happening, now);
        }
        for key in lost {
            let what = "it ran when the daemon was last heard of, and nothing is known of it since".to_owned();
            let outcome = Outcome::Lost(what);
            self.take_in(Happening::Exited { key, at: now, outcome, code: None, output: None, ended: 0 }, now);
        }
        for attempt in never_began {
            self.take_back(attempt, now);
        }
        for id in self.engine.ids() {
            let mut new_task = || TaskId((self.ids)());
            let step = self.engine.resume(id, &mut Inputs { now, new_task: &mut new_task });
            self.note(id, step, now);
        }
    }

    fn adopt(&mut self, attempt: Attempt, since: Timestamp) {
        self.engine.adopt(attempt, since);
        self.launched.insert(key_of(&attempt), attempt);
    }
}
