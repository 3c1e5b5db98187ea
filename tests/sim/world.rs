//! A world without time: a store that is a list, processes that are a map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use prov::engine::work::Stage;
use prov::engine::{
    Attempt, Command, Compensation, Direction, Engine, Event, Inputs, OperationShape, Outcome, Phase, Shape, Step,
};
use prov::model::batch::{Backoff, DependencyKind, OnFailure, Retry};
use prov::model::id::{TaskId, WorkId};
use prov::model::status::{BatchStatus, OperationStatus};
use prov::model::time::Timestamp;
use uuid::Uuid;

/// A graph, and what fate has in store for it.
#[derive(Clone, Debug)]
pub struct Plan {
    operations: Vec<OperationPlan>,
    parallel_limit: u32,
    max_parallel: usize,
    rollback: bool,
    /// One throw a step: what happens next.
    throws: Vec<u8>,
    cancel_at: Option<(usize, bool)>,
    may_fail: bool,
}

#[derive(Clone, Debug)]
struct OperationPlan {
    /// Distances back to what it depends on, with the kind.
    dependencies: Vec<(usize, u8)>,
    on_failure: u8,
    attempts: u32,
    compensation: u8,
}

impl Plan {
    pub fn any() -> impl Strategy<Value = Self> {
        Self::of(true)
    }

    pub fn without_failures() -> impl Strategy<Value = Self> {
        Self::of(false)
    }

    fn of(may_fail: bool) -> impl Strategy<Value = Self> {
        let operation = (vec((1usize..6, 0u8..3), 0..4), 0u8..3, 1u32..4, 0u8..3);
        let operation = operation.prop_map(|(dependencies, on_failure, attempts, compensation)| OperationPlan {
            dependencies,
            on_failure,
            attempts,
            compensation,
        });
        let cancel =
            if may_fail { proptest::option::of((0usize..60, any::<bool>())).boxed() } else { Just(None).boxed() };
        (vec(operation, 1..14), 1u32..5, 1usize..5, any::<bool>(), vec(any::<u8>(), 0..200), cancel).prop_map(
            move |(operations, parallel_limit, max_parallel, rollback, throws, cancel_at)| Self {
                operations,
                parallel_limit,
                max_parallel,
                rollback,
                throws,
                cancel_at,
                may_fail,
            },
        )
    }

    fn shape(&self) -> Shape {
        let mut operations: Vec<OperationShape> = Vec::new();
        for (index, plan) in self.operations.iter().enumerate() {
            let mut dependencies: Vec<(u32, DependencyKind)> = Vec::new();
            for (back, kind) in &plan.dependencies {
                let kind = [DependencyKind::Hard, DependencyKind::Soft, DependencyKind::Optional][usize::from(*kind)];
                let Some(on) = index.checked_sub(*back) else { continue };
                let on = u32::try_from(on).unwrap();
                if !dependencies.iter().any(|(other, _)| *other == on) {
                    dependencies.push((on, kind));
                }
            }
            for (on, kind) in &dependencies {
                operations[*on as usize].dependents.push((u32::try_from(index).unwrap(), *kind));
            }
            operations.push(OperationShape {
                dependencies,
                dependents: Vec::new(),
                timeout: Duration::from_mins(1),
                on_failure: [OnFailure::Rollback, OnFailure::Fail, OnFailure::Continue][usize::from(plan.on_failure)],
                retry: Retry {
                    max_attempts: plan.attempts,
                    backoff: Backoff::Linear,
                    initial_delay_seconds: 1,
                    max_delay_seconds: 5,
                },
                compensation: [Compensation::None, Compensation::WhenCompleted, Compensation::WhenStarted]
                    [usize::from(plan.compensation)],
            });
        }
        Shape { parallel_limit: self.parallel_limit, rollback: self.rollback, operations }
    }
}

/// Everything outside the engine.
#[derive(Debug)]
pub struct World {
    engine: Engine,
    id: WorkId,
    shape: Arc<Shape>,
    now: Timestamp,
    next_task: u128,
    max_parallel: usize,
    /// What is on disk.
    committed: Vec<Event>,
    /// What was decided and is not yet on disk.
    pending: Vec<Event>,
    /// Processes that run; they survive a crash of the daemon.
    running: BTreeMap<(u32, bool, u32), Attempt>,
    /// How often each operation was done, and undone, with success.
    done: BTreeMap<u32, u32>,
    undone: BTreeMap<u32, u32>,
    /// The order of undoing.
    undo_order: Vec<u32>,
    cancelled: bool,
}

type Check = Result<(), String>;

impl World {
    pub fn new(plan: &Plan) -> Self {
        let mut world = Self {
            engine: Engine::new(plan.max_parallel),
            id: WorkId(Uuid::from_u128(1)),
            shape: Arc::new(plan.shape()),
            now: Timestamp(1_000_000),
            next_task: 100,
            max_parallel: plan.max_parallel,
            committed: Vec::new(),
            pending: Vec::new(),
            running: BTreeMap::new(),
            done: BTreeMap::new(),
            undone: BTreeMap::new(),
            undo_order: Vec::new(),
            cancelled: false,
        };
        let shape = Arc::clone(&world.shape);
        let step = world.with(|engine, id, inputs| engine.accept(id, shape, inputs));
        world.take(step);
        world
    }

    fn with<T>(&mut self, call: impl FnOnce(&mut Engine, WorkId, &mut Inputs<'_>) -> T) -> T {
        let next = &mut self.next_task;
        let mut new_task = || {
            *next += 1;
            TaskId(Uuid::from_u128(*next))
        };
        call(&mut self.engine, self.id, &mut Inputs { now: self.now, new_task: &mut new_task })
    }

    fn take(&mut self, step: Step) {
        self.pending.extend(step.events);
        // A process that is told to end ends as signalled; which one it is, the running map knows.
        for signal in step.signals {
            self.exit(key(&signal), Outcome::Signalled("ended".to_owned()));
        }
    }

    /// Plays the plan, then lets everything succeed until the end, within a bound.
    pub fn run(&mut self, plan: &Plan) -> Check {
        for (turn, throw) in plan.throws.iter().enumerate() {
            if plan.cancel_at.is_some_and(|(at, _)| at == turn) && self.is_live() {
                let rollback = plan.cancel_at.is_some_and(|(_, rollback)| rollback);
                let command = Command::Cancel { operation: None, rollback };
                if let Ok(step) = self.with(|engine, id, inputs| engine.handle(id, &command, inputs)) {
                    self.cancelled = true;
                    self.take(step);
                }
            }
            self.turn(*throw, plan.may_fail);
            self.check()?;
        }
        for _ in 0..10_000 {
            if !self.is_live() && self.pending.is_empty() {
                self.check_end()?;
                if !self.retry_stuck_rollback()? {
                    return Ok(());
                }
            }
            self.commit();
            self.launch();
            if let Some(key) = self.running.keys().next().copied() {
                self.exit(key, Outcome::Success);
            } else {
                self.pass_time();
            }
            self.check()?;
        }
        Err(format!("the batch does not end: {self:?}"))
    }

    /// A rollback that is stuck is tried again; from here on everything succeeds, so it must come to its end.
    fn retry_stuck_rollback(&mut self) -> Result<bool, String> {
        let stuck =
            self.engine.work(self.id).is_some_and(|work| work.phase == Phase::Ended(BatchStatus::RollbackFailed));
        if stuck {
            let step = self.with(|engine, id, inputs| engine.handle(id, &Command::Retry, inputs));
            self.take(step.map_err(|error| format!("a stuck rollback can't be tried again: {error:?}"))?);
        }
        Ok(stuck)
    }

    fn turn(&mut self, throw: u8, may_fail: bool) {
        let pick = usize::from(throw / 8);
        match throw % 8 {
            0 | 1 => self.commit(),
            2 | 3 => self.launch(),
            5 if may_fail => self.exit_one(pick, Outcome::Failure("exit status 1".to_owned())),
            4 | 5 => self.exit_one(pick, Outcome::Success),
            6 if may_fail => self.pass_time(),
            6 => self.now = self.now.plus(Duration::from_millis(1)),
            _ => self.crash(),
        }
    }

    fn is_live(&self) -> bool {
        self.engine.work(self.id).is_some_and(|work| !matches!(work.phase, Phase::Ended(_)))
    }

    /// Everything pending becomes durable at once.
    fn commit(&mut self) {
        for event in std::mem::take(&mut self.pending) {
            self.engine.committed(self.id, &event);
            self.committed.push(event);
        }
    }

    fn launch(&mut self) {
        while let Some(attempt) = self.engine.next_launch() {
            self.running.insert(key(&attempt), attempt);
            let command = Command::Started { operation: attempt.operation, attempt: attempt.attempt, at: self.now };
            if let Ok(step) = self.with(|engine, id, inputs| engine.handle(id, &command, inputs)) {
                self.take(step);
            }
        }
    }

    fn exit_one(&mut self, pick: usize, outcome: Outcome) {
        if let Some(key) = self.running.keys().nth(pick % self.running.len().max(1)).copied() {
            self.exit(key, outcome);
        }
    }

    fn exit(&mut self, key: (u32, bool, u32), outcome: Outcome) {
        let Some(attempt) = self.running.remove(&key) else { return };
        if outcome == Outcome::Success {
            let count = if attempt.direction == Direction::Do { &mut self.done } else { &mut self.undone };
            *count.entry(attempt.operation).or_default() += 1;
            if attempt.direction == Direction::Undo {
                self.undo_order.push(attempt.operation);
            }
        }
        let command = Command::Exited { operation: attempt.operation, attempt: attempt.attempt, at: self.now, outcome };
        if let Ok(step) = self.with(|engine, id, inputs| engine.handle(id, &command, inputs)) {
            self.take(step);
        }
        // A result that isn't on disk is one that a crash has to find again: the supervisor keeps it until then. Here
        // that is shortened to committing it at once.
        self.commit();
    }

    fn pass_time(&mut self) {
        self.now = self.engine.next_timer().map_or(self.now, |at| at.max(self.now)).plus(Duration::from_millis(1));
        let steps = self.with(|engine, _, inputs| engine.due(inputs));
        // All that was decided stands in the log before what follows from the signals.
        let signals = steps.into_iter().flat_map(|(_, step)| {
            self.pending.extend(step.events);
            step.signals
        });
        let signals = signals.collect();
        self.take(Step { events: Vec::new(), signals });
    }

    /// The daemon dies and starts again: only what is on disk and what runs is left.
    fn crash(&mut self) {
        self.pending.clear();
        self.engine = Engine::new(self.max_parallel);
        self.engine.restore(self.id, Arc::clone(&self.shape), &self.committed);
        if self.committed.is_empty() {
            // Not even its acceptance was acknowledged: somebody submits it again.
            let shape = Arc::clone(&self.shape);
            let step = self.with(|engine, id, inputs| engine.accept(id, shape, inputs));
            self.take(step);
            return;
        }
        for attempt in self.engine.unsettled(self.id) {
            let runs = self.running.contains_key(&key(&attempt));
            if runs {
                self.engine.adopt(attempt);
                let command = Command::Started { operation: attempt.operation, attempt: attempt.attempt, at: self.now };
                if let Ok(step) = self.with(|engine, id, inputs| engine.handle(id, &command, inputs)) {
                    self.take(step);
                }
            }
        }
        let step = self.with(|engine, id, inputs| engine.resume(id, inputs));
        self.take(step);
    }

    /// What must hold at every moment.
    fn check(&self) -> Check {
        let Some(work) = self.engine.work(self.id) else { return Err("accepted work is gone".to_owned()) };
        if self.running.len() > self.max_parallel {
            return Err(format!("{} run, {} may", self.running.len(), self.max_parallel));
        }
        if self.running.len() > self.shape.parallel_limit as usize {
            return Err(format!("{} of the batch run, {} may", self.running.len(), self.shape.parallel_limit));
        }
        for attempt in self.running.values() {
            let state = work.operation(attempt.operation);
            if state.stage == Stage::Idle {
                return Err(format!("operation {} runs and the engine doesn't know", attempt.operation));
            }
            if attempt.direction == Direction::Undo {
                continue;
            }
            for (dependency, kind) in &self.shape.operations[attempt.operation as usize].dependencies {
                let status = work.operation(*dependency).status;
                let ended = !matches!(status, OperationStatus::Pending | OperationStatus::Running);
                let satisfied =
                    if *kind == DependencyKind::Hard { status == OperationStatus::Completed } else { ended };
                if !satisfied {
                    return Err(format!("operation {} runs before {dependency} ({status})", attempt.operation));
                }
            }
        }
        if let Some((operation, count)) = self.done.iter().find(|(_, count)| **count > 1) {
            return Err(format!("operation {operation} was completed {count} times"));
        }
        if let Some((operation, count)) = self.undone.iter().find(|(_, count)| **count > 1) {
            return Err(format!("operation {operation} was undone {count} times"));
        }
        self.check_undo_order()
    }

    /// Nothing is undone before everything that depended on it and had to be undone.
    fn check_undo_order(&self) -> Check {
        let mut undone = BTreeSet::new();
        for operation in &self.undo_order {
            for (dependent, _) in &self.shape.operations[*operation as usize].dependents {
                let had_to_be = self.done.contains_key(dependent)
                    && self.shape.operations[*dependent as usize].compensation != Compensation::None;
                if had_to_be && !undone.contains(dependent) {
                    return Err(format!("operation {operation} was undone before {dependent}, which depends on it"));
                }
            }
            undone.insert(*operation);
        }
        Ok(())
    }

    /// What must hold when the batch has ended.
    fn check_end(&self) -> Check {
        let Some(work) = self.engine.work(self.id) else {
            return Err("ended work is gone before it was retired".to_owned());
        };
        let Phase::Ended(status) = work.phase else { return Err("it has not ended".to_owned()) };
        if !self.running.is_empty() {
            return Err("it has ended and something runs".to_owned());
        }
        for index in 0..work.operations.len() {
            let index = u32::try_from(index).unwrap();
            let state = work.operation(index);
            let done = self.done.contains_key(&index);
            let undone = self.undone.contains_key(&index);
            let compensation = self.shape.operations[index as usize].compensation;
            let told = match state.status {
                OperationStatus::Completed => done && !undone,
                OperationStatus::RolledBack => done && undone,
                OperationStatus::Failed | OperationStatus::Cancelled | OperationStatus::Skipped => !done,
                OperationStatus::RollbackFailed => status == BatchStatus::RollbackFailed && !undone,
                other => return Err(format!("operation {index} is {other} at the end")),
            };
            if !told {
                return Err(format!("operation {index} is {}, done {done}, undone {undone}", state.status));
            }
            if status == BatchStatus::RolledBack && done && compensation != Compensation::None && !undone {
                return Err(format!("the batch is RolledBack and {index} was not undone"));
            }
            if !matches!(status, BatchStatus::RolledBack | BatchStatus::RollbackFailed) && undone {
                return Err(format!("the batch is {status} and {index} was undone"));
            }
        }
        match status {
            BatchStatus::Cancelled if !self.cancelled => Err("Cancelled and nobody asked".to_owned()),
            BatchStatus::RollbackFailed
                if !(0..work.operations.len()).any(|index| work.needs_undo(u32::try_from(index).unwrap())) =>
            {
                Err("RollbackFailed and everything is undone".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub fn all_completed_once(&self) -> bool {
        (0..self.shape.operations.len()).all(|index| self.done.get(&u32::try_from(index).unwrap()) == Some(&1))
    }
}

fn key(attempt: &Attempt) -> (u32, bool, u32) {
    (attempt.operation, attempt.direction == Direction::Undo, attempt.attempt)
}
