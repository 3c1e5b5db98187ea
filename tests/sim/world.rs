//! A world without time: the daemon's shell around the driver, a store that is a map, processes that are entries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};
use uuid::Uuid;

use prov::engine::{Command, Phase};
use prov::exec::Places;
use prov::exec::wire::Request;
use prov::model::batch::BatchSpec;
use prov::model::id::{BatchId, RollbackId, WorkId};
use prov::model::rehearsal::ProviderMode;
use prov::model::rollback::{RollbackScope, RollbackSpec};
use prov::model::status::{BatchStatus, OperationStatus};
use prov::model::time::Timestamp;
use prov::scheduler::Cancel;
use prov::scheduler::command::Program;
use prov::scheduler::driver::{Driver, Effect, Ticket};
use prov::scheduler::recover::Before;
use prov::scheduler::report::Told;
use prov::scheduler::undo_plan::{self, Wanted};
use prov::scheduler::{Config, ScheduleError, Submission, recover};
use prov::store::record::Remembered;
use prov::store::{CommitError, Transaction};

use super::ledger::{self, Check, Ledger};
use super::plan::{Plan, Trouble};
use super::processes::Supervisor;
use super::store::FakeStore;

/// Rounds in which everything goes well, until everything must have ended.
const PATIENCE: usize = 20_000;

/// Everything there is.
pub struct World {
    trouble: Trouble,
    now: Timestamp,
    ids: Arc<AtomicU64>,
    epoch: u64,
    config: Config,
    store: FakeStore,
    driver: Driver,
    /// What was sent to the store and is not yet on disk.
    commits: VecDeque<(Ticket, Transaction)>,
    /// What was said to the supervisor and not yet heard by it.
    requests: VecDeque<(u64, Request)>,
    /// The connection between the two.
    connection: u64,
    supervisor: Supervisor,
    /// What the supervisor said and the daemon has not yet heard.
    reports: VecDeque<Told>,
    pub ledger: Ledger,
    batches: Vec<Submitted>,
    rollbacks: Vec<RollbackId>,
    asked: Vec<(Asked, oneshot::Receiver<Result<(), ScheduleError>>)>,
    draining: Option<oneshot::Receiver<()>>,
    /// Everything is heard twice.
    pub hears_twice: bool,
    /// The process that fails while everything else goes well, counted by ends.
    pub fails_at: Option<usize>,
    /// Steps until the daemon dies while everything else goes well.
    pub crashes_at: Option<usize>,
    ended: usize,
    /// What happened, for people, where somebody wants to know.
    pub story: Option<Vec<String>>,
}

/// A batch that somebody wants done.
struct Submitted {
    spec: BatchSpec,
    /// The id it was last sent under, and the one it was accepted under.
    sent: Option<BatchId>,
    accepted: bool,
    /// What was asked of it and acknowledged.
    acknowledged: ledger::Asked,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Submit(usize),
    Cancel(usize),
    CancelOperation,
    Retry(usize),
    RollBack(RollbackId),
    Verb,
}

impl Asked {
    fn batch(self) -> Option<usize> {
        match self {
            Self::Submit(index) | Self::Cancel(index) | Self::Retry(index) => Some(index),
            Self::CancelOperation | Self::RollBack(_) | Self::Verb => None,
        }
    }
}

impl World {
    pub fn new(plan: &Plan) -> Self {
        let nowhere = std::path::PathBuf::from("/nowhere");
        let places = Places { directory: nowhere.clone(), logs: nowhere.clone(), log_limit: 0 };
        let program = Program { path: "prov".into(), mode: ProviderMode::Live };
        let grace = Duration::from_secs(5);
        let max_parallel = plan.max_parallel;
        let config = Config { max_parallel, program, workspace: nowhere, places, grace, checkpoint_every: 2 };
        let (ids, now) = (Arc::new(AtomicU64::new(1)), Timestamp(1_000_000));
        let before = Before { epoch: 1, live: Vec::new(), supervisor: Supervisor::default().greet(1, now) };
        let driver = Driver::take_up(config.clone(), before, new_ids(&ids), now);
        let wanted = |batch: &super::plan::BatchPlan| Submitted {
            spec: batch.spec(),
            sent: None,
            accepted: false,
            acknowledged: ledger::Asked::default(),
        };
        Self {
            trouble: plan.trouble,
            now,
            ids,
            epoch: 1,
            config,
            store: FakeStore::default(),
            driver,
            commits: VecDeque::new(),
            requests: VecDeque::new(),
            connection: 1,
            supervisor: Supervisor::default(),
            reports: VecDeque::new(),
            ledger: Ledger::new(plan.max_parallel),
            batches: plan.batches.iter().map(wanted).collect(),
            rollbacks: Vec::new(),
            asked: Vec::new(),
            draining: None,
            hears_twice: false,
            fails_at: None,
            crashes_at: None,
            ended: 0,
            story: None,
        }
    }

    /// Plays the plan, then lets everything go well until the end, and tries again what has not succeeded.
    pub fn run(&mut self, plan: &Plan) -> Check {
        self.submit(0);
        for throw in &plan.throws {
            self.step(*throw)?;
        }
        self.settle_for_good()?;
        if plan.trouble == Trouble::Crashes {
            let all = self.batches.iter().all(|batch| batch.sent.is_some_and(|id| self.ledger.is_all_done(id)));
            return if all { Ok(()) } else { Err("nothing failed, and not everything is done".to_owned()) };
        }
        self.try_again_until_done()
    }

    /// One step, chosen by a throw of the dice.
    fn step(&mut self, throw: u16) -> Check {
        let (what, pick) = (throw % 32, usize::from(throw / 32));
        let all = self.trouble == Trouble::All;
        match what {
            8..=12 => self.commit(),
            13..=16 => self.take_request(),
            17..=20 => {
                self.hear();
                Ok(())
            }
            21..=24 => self.end_one(pick, true),
            25 => self.end_one(pick, !all),
            26 => {
                self.pass_time();
                Ok(())
            }
            27 if all => self.fail_commit(),
            28 => self.crash(pick),
            29 if all => self.kill_supervisor(pick),
            30 => {
                self.ask(pick);
                Ok(())
            }
            31 if all => {
                self.tell(|| "the next start is refused".to_owned());
                self.supervisor.refuse(pick % 4 != 0);
                Ok(())
            }
            _ => self.turn(),
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(what());
        }
    }

    /// A turn of the daemon's actor.
    fn turn(&mut self) -> Check {
        self.driver.settle(self.now);
        for effect in self.driver.take_effects() {
            match effect {
                Effect::Commit(ticket, transaction) => self.commits.push_back((ticket, transaction)),
                Effect::Tell(connection, request) => self.requests.push_back((connection, request)),
                Effect::Announce => {}
            }
        }
        self.answers()
    }

    /// Looks at the answers that came; what was answered must be on disk.
    fn answers(&mut self) -> Check {
        let mut waiting = Vec::new();
        for (asked, mut answer) in std::mem::take(&mut self.asked) {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => waiting.push((asked, answer)),
                Ok(Ok(())) => self.answered(asked)?,
                // Refused, or nobody knows: whoever asked may ask again.
                Ok(Err(_)) | Err(TryRecvError::Closed) => {}
            }
        }
        self.asked = waiting;
        if let Some(drained) = &mut self.draining
            && drained.try_recv().is_ok()
            && self.supervisor.is_busy()
        {
            return Err("the drain is over and something runs".to_owned());
        }
        Ok(())
    }

    fn answered(&mut self, asked: Asked) -> Check {
        if let Asked::RollBack(id) = asked {
            let is_recorded = self.ledger.rollback(id).is_some();
            self.rollbacks.push(id);
            return if is_recorded { Ok(()) } else { Err(format!("{asked:?} was acknowledged and is not on disk")) };
        }
        let Some(index) = asked.batch() else { return Ok(()) };
        let batch = &mut self.batches[index];
        match asked {
            Asked::Submit(_) => batch.accepted = true,
            Asked::Cancel(_) => batch.acknowledged.cancels += 1,
            Asked::Retry(_) => batch.acknowledged.retries += 1,
            Asked::CancelOperation | Asked::RollBack(_) | Asked::Verb => {}
        }
        let id = batch.sent.ok_or("an answer to a batch that was never sent")?;
        let (told, recorded) = (batch.acknowledged, self.ledger.asked(id));
        let holds =
            self.ledger.work(id).is_some() && told.cancels <= recorded.cancels && told.retries <= recorded.retries;
        if holds { Ok(()) } else { Err(format!("{asked:?} was acknowledged and is not on disk")) }
    }

    fn work_of(&self, index: usize) -> Option<&prov::engine::Work> {
        self.batches[index].sent.and_then(|id| self.ledger.work(id))
    }

    /// The oldest transaction becomes durable.
    fn commit(&mut self) -> Check {
        let Some((ticket, transaction)) = self.commits.pop_front() else { return Ok(()) };
        let result = self.write(&transaction)?;
        self.driver.committed(ticket, result, self.now);
        self.answers()
    }

    fn write(&mut self, transaction: &Transaction) -> Result<Result<(), CommitError>, String> {
        if let Err(refused) = self.store.write(transaction) {
            return Ok(Err(CommitError::Refused(refused)));
        }
        self.store.look(|tables| self.ledger.written(transaction, tables)).map(Ok)
    }

    /// The store refuses a transaction; nothing of it is written.
    fn fail_commit(&mut self) -> Check {
        let Some((ticket, _)) = self.commits.pop_front() else { return Ok(()) };
        self.tell(|| "the store can't write".to_owned());
        self.driver.committed(ticket, Err(CommitError::Unavailable("full".to_owned())), self.now);
        self.answers()
    }

    /// The supervisor hears the oldest request.
    fn take_request(&mut self) -> Check {
        let Some((connection, request)) = self.requests.pop_front() else { return Ok(()) };
        if connection != self.connection {
            return Ok(());
        }
        self.tell(|| format!("the supervisor hears {}", told(&request)));
        let again = self.hears_twice.then(|| serde_json::to_string(&request).unwrap());
        let again = again.map(|text| serde_json::from_str(&text).unwrap());
        for request in [request].into_iter().chain(again) {
            let reports = self.supervisor.take(request, self.now, &mut self.ledger)?;
            self.reports.extend(reports.into_iter().map(Told::Happened));
        }
        Ok(())
    }

    /// The daemon hears the oldest report.
    fn hear(&mut self) {
        let Some(told) = self.reports.pop_front() else { return };
        self.tell(|| format!("the daemon hears {told:?}"));
        if self.hears_twice {
            self.driver.hear(told.clone(), self.now);
        }
        self.driver.hear(told, self.now);
    }

    /// One of the processes ends.
    fn end_one(&mut self, pick: usize, success: bool) -> Check {
        let reports = self.supervisor.end_one(pick, success, self.now, &mut self.ledger)?;
        self.ended += reports.len();
        self.tell(|| format!("a process ends: {reports:?}"));
        self.reports.extend(reports.into_iter().map(Told::Happened));
        Ok(())
    }

    /// Time passes until something is due; where nothing may go wrong, no time to speak of.
    fn pass_time(&mut self) {
        let due = self.driver.next_wake().filter(|_| self.trouble == Trouble::All).unwrap_or(self.now);
        self.now = due.max(self.now).plus(Duration::from_millis(1));
        let now = self.now.0;
        self.tell(|| format!("it is {now}"));
    }

    /// The daemon dies, and starts again. The supervisor has heard so many of the requests that were on their way.
    fn crash(&mut self, heard: usize) -> Check {
        self.tell(|| "the daemon dies".to_owned());
        for _ in 0..heard % (self.requests.len() + 1) {
            self.take_request()?;
        }
        self.commits.clear();
        self.requests.clear();
        self.reports.clear();
        self.asked.clear();
        self.draining = None;
        self.epoch += 1;
        let live = recover::live(&self.store).map_err(|error| error.to_string())?;
        let before = Before { epoch: self.epoch, live, supervisor: self.supervisor.greet(1, self.now) };
        self.connection = 1;
        self.driver = Driver::take_up(self.config.clone(), before, new_ids(&self.ids), self.now);
        Ok(())
    }

    /// The supervisor is killed with all that runs, and another takes its place. What was on its way is lost in part.
    fn kill_supervisor(&mut self, pick: usize) -> Check {
        self.tell(|| "the supervisor is killed".to_owned());
        self.reports.truncate(pick % (self.reports.len() + 1));
        self.supervisor.die(self.now, &mut self.ledger)?;
        self.connection += 1;
        self.reports.push_back(self.supervisor.greet(self.connection, self.now));
        Ok(())
    }

    /// Somebody wants something.
    fn ask(&mut self, pick: usize) {
        let index = pick / 16 % self.batches.len();
        if self.trouble == Trouble::Crashes || self.work_of(index).is_none() {
            self.submit(index);
            return;
        }
        let Some(id) = self.batches[index].sent.map(WorkId::from) else { return };
        let (reply, answer) = oneshot::channel();
        let asked = match pick % 8 {
            0 | 1 => {
                let wanted = Cancel { work: id, operation: None, rollback: pick.is_multiple_of(2) };
                self.driver.cancel(wanted, Vec::new(), reply, self.now);
                Asked::Cancel(index)
            }
            2 | 3 => {
                let operation = u32::try_from(pick / 32 % self.batches[index].spec.operations.len()).unwrap();
                let wanted = Cancel { work: id, operation: Some(operation), rollback: false };
                self.driver.cancel(wanted, Vec::new(), reply, self.now);
                Asked::CancelOperation
            }
            4 if pick.is_multiple_of(3) && self.draining.is_none() => {
                let (reply, drained) = oneshot::channel();
                self.driver.drain(pick.is_multiple_of(2), reply, self.now);
                self.draining = Some(drained);
                self.tell(|| "the daemon drains".to_owned());
                return;
            }
            5 | 6 => match self.roll_back(pick) {
                Some(submission) => {
                    let id = RollbackId(submission.id.0);
                    self.driver.submit(submission, &self.store, reply, self.now);
                    Asked::RollBack(id)
                }
                None => return,
            },
            7 if !self.rollbacks.is_empty() => {
                let id = self.rollbacks[pick / 8 % self.rollbacks.len()];
                let how = self.verb(id, pick / 8);
                self.driver.take_up_again(id.into(), &how, Vec::new(), &self.store, reply, self.now);
                Asked::Verb
            }
            _ => {
                self.driver.take_up_again(id, &Command::Retry, Vec::new(), &self.store, reply, self.now);
                Asked::Retry(index)
            }
        };
        self.tell(|| format!("somebody asks: {asked:?}"));
        self.asked.push((asked, answer));
    }

    /// A rollback of what has ended: of all that is there, or of one operation with what depends on it; or what was undone
    /// once more.
    fn roll_back(&mut self, pick: usize) -> Option<Submission> {
        let mut wanted = Vec::new();
        for batch in &self.batches {
            let Some(id) = batch.sent else { continue };
            let Some(work) = self.ledger.work(id) else { continue };
            let places = |keep: &dyn Fn(u32) -> bool| {
                let all = 0..u32::try_from(work.operations.len()).unwrap();
                all.filter(|index| keep(*index)).map(|index| (index, u64::from(index))).collect()
            };
            let (mut undo, mut redo) = (BTreeMap::new(), BTreeMap::new());
            match pick / 128 % 3 {
                0 => undo = places(&|index| work.needs_undo(index)),
                1 => {
                    let first = u32::try_from(pick / 512 % work.operations.len()).unwrap();
                    let chosen = with_dependents(work, first);
                    undo = places(&|index| chosen.contains(&index) && work.needs_undo(index));
                }
                _ => redo = places(&|index| work.operation(index).status == OperationStatus::RolledBack),
            }
            wanted.push(Wanted { id, spec: batch.spec.clone(), undo, redo });
            if pick.is_multiple_of(2) {
                break;
            }
        }
        let steps = undo_plan::steps(&self.config.program, &wanted);
        let (id, scope) = (RollbackId(new_id(&self.ids)), RollbackScope::Operations { operation_ids: Vec::new() });
        let spec = RollbackSpec { scope, parallel_limit: 3, steps };
        (!spec.steps.is_empty()).then(|| Submission::rollback(id, spec, Vec::new(), "somebody", self.now))
    }

    /// A rollback of all that a failed rollback left of a batch.
    fn clean_up(&self, index: usize, id: BatchId, work: &prov::engine::Work) -> Option<Submission> {
        if work.status() != BatchStatus::RollbackFailed || work.reopened_by.is_none() {
            return None;
        }
        let all = 0..u32::try_from(work.operations.len()).unwrap();
        let undo = all.filter(|index| work.needs_undo(*index)).map(|index| (index, u64::from(index))).collect();
        let wanted = Wanted { id, spec: self.batches[index].spec.clone(), undo, redo: BTreeMap::new() };
        let steps = undo_plan::steps(&self.config.program, &[wanted]);
        let spec = RollbackSpec { scope: RollbackScope::Batch { batch_id: id }, parallel_limit: 3, steps };
        Some(Submission::rollback(RollbackId(new_id(&self.ids)), spec, Vec::new(), "somebody", self.now))
    }

    /// What somebody decides about a rollback.
    fn verb(&self, id: RollbackId, pick: usize) -> Command {
        let stuck = self
            .ledger
            .rollback(id)
            .and_then(|work| (0..).take(work.operations.len()).find(|index| work.is_stuck(*index)));
        let reason = "it is so".to_owned();
        match (pick % 4, stuck) {
            (0, _) => Command::Close { reason },
            (1, Some(operation)) => Command::Waive { operation, reason },
            _ => Command::Retry,
        }
    }

    /// Sends a batch, unless it is on its way or was accepted: the same key makes it one batch however often it is sent.
    fn submit(&mut self, index: usize) {
        let key = format!("key-{index}");
        if let Some(before) = self.store.look(|tables| tables.remembered.get(&key).cloned()) {
            self.batches[index].sent = Some(BatchId(before.id));
            self.batches[index].accepted = true;
            return;
        }
        if self.asked.iter().any(|(asked, _)| matches!(asked, Asked::Submit(other) if *other == index)) {
            return;
        }
        let id = BatchId(new_id(&self.ids));
        self.tell(|| format!("batch {index} is submitted as {id}"));
        self.batches[index].sent = Some(id);
        let (reply, answer) = oneshot::channel();
        let submission = submission(&self.batches[index].spec, id, key, self.now);
        self.driver.submit(submission, &self.store, reply, self.now);
        self.asked.push((Asked::Submit(index), answer));
    }

    /// From now on everything goes well, until nothing happens any more.
    pub fn settle_for_good(&mut self) -> Check {
        self.supervisor.calm();
        if self.draining.is_some() {
            self.crash(0)?;
        }
        for _ in 0..PATIENCE {
            for index in 0..self.batches.len() {
                if !self.batches[index].accepted {
                    self.submit(index);
                }
            }
            self.turn()?;
            if self.flow()? {
                continue;
            }
            if self.supervisor.is_busy() {
                self.end_one(0, self.fails_at != Some(self.ended))?;
            } else if let Some(due) = self.driver.next_wake() {
                self.now = due.max(self.now).plus(Duration::from_millis(1));
            } else {
                return self.has_ended();
            }
        }
        Err("it does not end".to_owned())
    }

    /// Everything on its way arrives, one after the other; whether anything was.
    fn flow(&mut self) -> Result<bool, String> {
        let mut moved = false;
        while !(self.commits.is_empty() && self.requests.is_empty() && self.reports.is_empty()) {
            moved = true;
            self.perhaps_crash()?;
            if !self.commits.is_empty() {
                self.commit()?;
            } else if !self.requests.is_empty() {
                self.take_request()?;
            } else {
                self.hear();
            }
        }
        Ok(moved)
    }

    fn perhaps_crash(&mut self) -> Check {
        match self.crashes_at {
            Some(0) => {
                self.crashes_at = None;
                self.crash(self.ended)
            }
            Some(steps) => {
                self.crashes_at = Some(steps - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How many processes have ended.
    pub fn processes_ended(&self) -> usize {
        self.ended
    }

    /// What must hold when nothing happens any more.
    fn has_ended(&self) -> Check {
        for batch in &self.batches {
            let id = batch.sent.ok_or("a batch was never sent")?;
            self.store.look(|tables| self.ledger.has_ended(id, tables))?;
        }
        for id in &self.rollbacks {
            self.store.look(|tables| self.ledger.rollback_has_ended(*id, tables))?;
        }
        match self.supervisor.unforgotten() {
            0 => Ok(()),
            results => Err(format!("the supervisor keeps {results} results that nobody will ask for")),
        }
    }

    /// Whatever did not succeed is tried again; from here on everything goes well, so it must come to its end.
    pub fn try_again_until_done(&mut self) -> Check {
        for _ in 0..5 {
            for index in 0..self.batches.len() {
                let Some(id) = self.batches[index].sent else { continue };
                let is_done = |work: &prov::engine::Work| {
                    work.phase == Phase::Ended(BatchStatus::Completed)
                        && work.operations.iter().all(|state| state.status == OperationStatus::Completed)
                };
                if self.ledger.work(id).is_some_and(is_done) {
                    continue;
                }
                let (reply, answer) = oneshot::channel();
                // What a rollback left undone in part is undone by another one first.
                if let Some(submission) = self.ledger.work(id).and_then(|work| self.clean_up(index, id, work)) {
                    let rollback = RollbackId(submission.id.0);
                    self.driver.submit(submission, &self.store, reply, self.now);
                    self.asked.push((Asked::RollBack(rollback), answer));
                    continue;
                }
                self.driver.take_up_again(id.into(), &Command::Retry, Vec::new(), &self.store, reply, self.now);
                self.asked.push((Asked::Retry(index), answer));
            }
            self.settle_for_good()?;
        }
        let undone = |batch: &Submitted| {
            let phase = batch.sent.and_then(|id| self.ledger.work(id)).map(|work| work.phase);
            phase != Some(Phase::Ended(BatchStatus::Completed))
        };
        match self.batches.iter().position(undone) {
            None => Ok(()),
            Some(index) => {
                Err(format!("batch {index} was tried again and again, nothing failed, and it is not Completed"))
            }
        }
    }
}

/// An operation, and all that depends on it.
fn with_dependents(work: &prov::engine::Work, first: u32) -> BTreeSet<u32> {
    let (mut found, mut left) = (BTreeSet::from([first]), vec![first]);
    while let Some(index) = left.pop() {
        let dependents = work.shape.operations[index as usize].dependents.iter().map(|(dependent, _)| *dependent);
        left.extend(dependents.filter(|dependent| found.insert(*dependent)));
    }
    found
}

/// A request in short.
fn told(request: &Request) -> String {
    match request {
        Request::Spawn(spawn) => format!("Spawn {} {:?} {:?}", spawn.key, spawn.program, spawn.env.get(1)),
        other => format!("{other:?}"),
    }
}

fn new_id(ids: &AtomicU64) -> Uuid {
    Uuid::from_u128(u128::from(ids.fetch_add(1, Ordering::Relaxed)))
}

fn new_ids(ids: &Arc<AtomicU64>) -> Box<dyn FnMut() -> Uuid + Send> {
    let ids = Arc::clone(ids);
    Box::new(move || new_id(&ids))
}

/// A batch as the app hands it to the scheduler.
fn submission(spec: &BatchSpec, id: BatchId, key: String, at: Timestamp) -> Submission {
    let remember = Some((key, Remembered { digest: [0; 32], id: id.0, at }));
    Submission { remember, ..Submission::batch(id, spec.clone(), Vec::new(), "somebody", at) }
}
