//! Taking work up again: from the store what was decided, from the supervisor what became of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::actor::Actor;
use super::clock::Clock;
use super::driver::{Driver, Effect, key_of};
use super::outbox::Group;
use super::report::{self, Told};
use super::rows::LiveRows;
use super::{Config, StartError, command};
use crate::engine::work::Stage;
use crate::engine::{Attempt, Engine, Inputs, Outcome, Shape};
use crate::exec::wire::Request;
use crate::exec::{Executor, Key};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::task::{Launch, Task};
use crate::model::time::Timestamp;
use crate::store::record::{BatchRecord, LiveRecord, LoggedEvent, OperationRecord, WorkKind, WorkRecord};
use crate::store::{Backend, Change, Store, StoreError, Transaction};

/// The name of the boot count among the store's facts.
const EPOCH: &str = "epoch";

/// All that the store has of one unit of work.
pub struct Loaded {
    pub(super) work: WorkRecord,
    pub(super) events: Vec<LoggedEvent>,
    pub(super) batch: Option<(BatchRecord, Vec<OperationRecord>)>,
    /// Those of its tasks that have not ended.
    pub(super) tasks: Vec<Task>,
}

/// Reads one unit of work.
pub(super) fn load(reads: &dyn Backend, id: WorkId) -> Result<Option<Loaded>, StoreError> {
    let Some(work) = reads.work(id)? else { return Ok(None) };
    let events = reads.events(id)?;
    let mut tasks = Vec::new();
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
    };
    tasks.retain(|task| !task.status.is_terminal());
    Ok(Some(Loaded { work, events, batch, tasks }))
}

/// The engine's view of a unit of work.
pub(super) fn shape(work: &WorkRecord) -> Arc<Shape> {
    Arc::new(match &work.kind {
        WorkKind::Workflow { timeout_seconds, .. } => Shape::single(Duration::from_secs(*timeout_seconds)),
        WorkKind::Batch { spec } => Shape::of(spec),
    })
}

/// What is started for an attempt.
pub(super) fn launch(config: &Config, work: Option<&WorkRecord>, attempt: &Attempt) -> Option<Launch> {
    match &work?.kind {
        WorkKind::Workflow { launch, .. } => Some(launch.clone()),
        WorkKind::Batch { spec } => {
            let operation = spec.operations.get(attempt.operation as usize)?;
            command::launch(&config.program, BatchId(attempt.work.0), spec, operation, attempt.direction)
        }
    }
}

/// All that is live in the store.
///
/// # Errors
/// When a record can't be read.
pub fn live(reads: &dyn Backend) -> Result<Vec<(WorkId, Loaded)>, StoreError> {
    let loaded = reads.live()?.into_iter().map(|(id, _)| Ok(load(reads, id)?.map(|loaded| (id, loaded))));
    loaded.filter_map(Result::transpose).collect()
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
    let (reports, from_supervisor) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(report::relay(from_supervisor, config.places.logs.clone(), tell));
    let executor = Executor::start(config.places.clone(), reports).await?;
    let known = known(&mut told).await;
    if !live.is_empty() {
        tracing::info!(works = live.len(), "taking up work from before");
    }
    let driver = Driver::take_up(config, epoch, live, known, Box::new(Uuid::now_v7), clock.now());
    Ok(Actor { driver, store, clock, executor, told, changed })
}

/// Everything the supervisor has to tell of what it was asked before.
async fn known(told: &mut mpsc::UnboundedReceiver<Told>) -> Vec<Told> {
    let mut known = Vec::new();
    while let Some(told) = told.recv().await {
        if matches!(told, Told::Known) {
            break;
        }
        known.push(told);
    }
    known
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
    /// A driver that has taken up `live` work: what was decided of it is on record, what became of that is `known` to the
    /// supervisor. `ids` makes ids of tasks.
    #[must_use]
    pub fn take_up(
        config: Config,
        epoch: u64,
        live: Vec<(WorkId, Loaded)>,
        known: Vec<Told>,
        ids: Box<dyn FnMut() -> Uuid + Send>,
        now: Timestamp,
    ) -> Self {
        let mut driver = Self {
            engine: Engine::new(config.max_parallel),
            config,
            epoch,
            works: HashMap::new(),
            rows: LiveRows::default(),
            launched: HashMap::new(),
            spoken_of: HashSet::new(),
            group: Group::default(),
            is_writing: false,
            stalled: None,
            effects: Vec::new(),
            draining: false,
            drained: None,
            paused_until: None,
            ids,
        };
        let ids: Vec<WorkId> = live.iter().map(|(id, _)| *id).collect();
        for (id, loaded) in live {
            driver.restore(id, loaded);
            driver.group.changes.push(Change::PutLive(id, LiveRecord { epoch }));
        }
        driver.reconcile(&ids, known, now);
        driver
    }

    /// Brings what was decided and what became of it together: attempts that were begun are adopted with their results,
    /// attempts that run on record and nobody knows are lost, intents that never began wait for a slot.
    fn reconcile(&mut self, works: &[WorkId], known: Vec<Told>, now: Timestamp) {
        let begun: HashSet<Key> = known.iter().filter_map(key).collect();
        let mut lost = Vec::new();
        let unsettled: Vec<Attempt> = works.iter().flat_map(|id| self.engine.unsettled(*id)).collect();
        for attempt in unsettled {
            let key = key_of(&attempt);
            let runs = self
                .engine
                .work(attempt.work)
                .is_some_and(|work| matches!(work.operation(attempt.operation).stage, Stage::Running { .. }));
            if begun.contains(&key) || runs {
                self.engine.adopt(attempt);
                self.launched.insert(key, attempt);
            }
            if runs && !begun.contains(&key) {
                lost.push(key);
            }
        }
        let stale: Vec<Key> = begun.iter().filter(|key| !self.launched.contains_key(key)).copied().collect();
        for told in known {
            self.hear(told, now);
        }
        for key in lost {
            let what = "it ran when the daemon was last heard of, and nothing is known of it since".to_owned();
            self.hear(Told::Exited { key, at: now, outcome: Outcome::Lost(what), code: None, output: None }, now);
        }
        for key in stale {
            let grace_ms = u64::try_from(self.config.grace.as_millis()).unwrap_or(u64::MAX);
            self.effects.push(Effect::Tell(Request::End { key, grace_ms }));
            self.effects.push(Effect::Tell(Request::Forget { key }));
        }
        for id in works {
            let mut new_task = || TaskId((self.ids)());
            let step = self.engine.resume(*id, &mut Inputs { now, new_task: &mut new_task });
            self.note(*id, step, now);
        }
        self.spoken_of.clear();
    }
}

fn key(told: &Told) -> Option<Key> {
    match told {
        Told::Started { key, .. } | Told::Refused { key, .. } | Told::Exited { key, .. } => Some(*key),
        Told::Known => None,
    }
}
