//! Taking work up again: from the store what was decided, from the supervisor what became of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::actor::{Actor, inputs, key_of, new_task};
use super::clock::Clock;
use super::outbox::Group;
use super::report::{self, Told};
use super::rows::LiveRows;
use super::{Config, StartError, command};
use crate::engine::work::Stage;
use crate::engine::{Attempt, Engine, Outcome, Shape};
use crate::exec::{Executor, Key};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::task::{Launch, Task};
use crate::store::record::{BatchRecord, LiveRecord, LoggedEvent, OperationRecord, WorkKind, WorkRecord};
use crate::store::{Backend, Change, Store, StoreError, Transaction};

/// The name of the boot count among the store's facts.
const EPOCH: &str = "epoch";

/// All that the store has of one unit of work.
pub(super) struct Loaded {
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

/// An actor that has taken up everything live.
pub(super) async fn recover(
    config: Config,
    store: Store,
    clock: Clock,
    changed: watch::Sender<u64>,
) -> Result<Actor, StartError> {
    let epoch = next_epoch(&store).await?;
    let live = store.read(|reads| {
        let ids = reads.live()?;
        ids.into_iter().map(|(id, _)| Ok(load(reads, id)?.map(|loaded| (id, loaded)))).collect::<Result<Vec<_>, _>>()
    });
    let live: Vec<(WorkId, Loaded)> = live.await?.into_iter().flatten().collect();
    let (reports, from_supervisor) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(report::relay(from_supervisor, config.places.logs.clone(), tell));
    let executor = Executor::start(config.places.clone(), reports).await?;
    let mut actor = Actor {
        engine: Engine::new(config.max_parallel),
        works: HashMap::new(),
        rows: LiveRows::default(),
        executor,
        told,
        launched: HashMap::new(),
        spoken_of: HashSet::new(),
        group: Group::default(),
        changed,
        draining: false,
        drained: None,
        paused_until: None,
        config,
        store,
        clock,
        epoch,
    };
    let known = actor.known().await;
    let ids: Vec<WorkId> = live.iter().map(|(id, _)| *id).collect();
    if !ids.is_empty() {
        tracing::info!(works = ids.len(), "taking up work from before");
    }
    for (id, loaded) in live {
        actor.engine.restore(id, shape(&loaded.work), loaded.events.iter().map(|logged| &logged.event));
        actor.rows.restore(loaded.batch, loaded.tasks);
        actor.works.insert(id, loaded.work);
        actor.group.changes.push(Change::PutLive(id, LiveRecord { epoch }));
    }
    actor.reconcile(&ids, known);
    Ok(actor)
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

impl Actor {
    /// Everything the supervisor, or the journal of the last one, has to tell.
    async fn known(&mut self) -> Vec<Told> {
        let mut known = Vec::new();
        while let Some(told) = self.told.recv().await {
            if matches!(told, Told::Known) {
                break;
            }
            known.push(told);
        }
        known
    }

    /// Brings what was decided and what became of it together: attempts that were begun are adopted with their results,
    /// attempts that run on record and nobody knows are lost, intents that never began wait for a slot.
    fn reconcile(&mut self, works: &[WorkId], known: Vec<Told>) {
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
            self.hear(told);
        }
        let now = self.clock.now();
        for key in lost {
            let what = "it ran when the daemon was last heard of, and nothing is known of it since".to_owned();
            self.hear(Told::Exited { key, at: now, outcome: Outcome::Lost(what), code: None, output: None });
        }
        for key in stale {
            self.executor.end(key, self.config.grace);
            self.executor.forget(key);
        }
        for id in works {
            let step = self.engine.resume(*id, &mut inputs(now, &mut new_task(None)));
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
