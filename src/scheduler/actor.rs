//! The actor that owns all live work.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::outbox::{Commits, Committed, Group, Reply, Stalled, stopped};
use super::report::Told;
use super::rows::{LiveRows, NewTask};
use super::{Config, Request, Rows, ScheduleError, Submission, command, recover};
use crate::engine::{Attempt, Command, Engine, Event, Inputs, Outcome, Step};
use crate::exec::{Executor, Key, Spawn, logs};
use crate::model::id::{TaskId, WorkId};
use crate::model::time::Timestamp;
use crate::store::record::{LiveRecord, LoggedEvent, WorkKind, WorkRecord};
use crate::store::{Change, Precondition, Store, Transaction};

/// Messages handled before what they led to is sent to the store.
const MESSAGES_A_TURN: usize = 512;
/// How long a refused start, or a store that can't write, is left alone.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// Everything the daemon works on.
pub(super) struct Actor {
    pub(super) config: Config,
    pub(super) store: Store,
    pub(super) clock: super::clock::Clock,
    pub(super) epoch: u64,
    pub(super) engine: Engine,
    pub(super) works: std::collections::HashMap<WorkId, WorkRecord>,
    pub(super) rows: LiveRows,
    pub(super) executor: Executor,
    pub(super) told: mpsc::UnboundedReceiver<Told>,
    /// Attempts that the supervisor was asked to start and has not reported the end of.
    pub(super) launched: std::collections::HashMap<Key, Attempt>,
    /// Attempts that the supervisor spoke of since it was last connected to.
    pub(super) spoken_of: HashSet<Key>,
    pub(super) group: Group,
    pub(super) changed: watch::Sender<u64>,
    /// Nothing is started any more.
    pub(super) draining: bool,
    /// Who waits until nothing runs.
    pub(super) drained: Option<oneshot::Sender<()>>,
    /// Nothing is started before this.
    pub(super) paused_until: Option<Timestamp>,
}

impl Actor {
    /// Works until every handle is gone.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut commits: Commits = FuturesUnordered::new();
        let mut group_under_way = false;
        let mut stalled: Option<Stalled> = None;
        loop {
            self.tick();
            self.launch();
            if !group_under_way {
                group_under_way = self.flush(&commits, &mut stalled);
            }
            if self.draining && self.launched.is_empty() && !group_under_way {
                self.drained.take().map(|reply| reply.send(()));
            }
            let timer = self.next_wake(stalled.as_ref().map(|stalled| stalled.until));
            tokio::select! {
                biased;
                Some(committed) = commits.next(), if !commits.is_empty() => {
                    if let Committed::Group { .. } = committed {
                        group_under_way = false;
                    }
                    stalled = stalled.or(self.committed(committed));
                }
                Some(told) = self.told.recv() => self.hear_all(told),
                request = requests.recv() => {
                    let Some(request) = request else { return };
                    self.take(request, &commits);
                    for _ in 0..MESSAGES_A_TURN {
                        let Ok(request) = requests.try_recv() else { break };
                        self.take(request, &commits);
                    }
                }
                () = timer => {}
            }
        }
    }

    async fn sleep_until(clock: super::clock::Clock, at: Option<Timestamp>) {
        match at {
            Some(at) => tokio::time::sleep(at.since(clock.now())).await,
            None => std::future::pending().await,
        }
    }

    fn next_wake(&self, stalled_until: Option<Timestamp>) -> impl Future<Output = ()> + Send + use<> {
        let at = [self.engine.next_timer(), self.paused_until, stalled_until].into_iter().flatten().min();
        Self::sleep_until(self.clock, at)
    }

    /// Handles reports until there are none, within reason.
    fn hear_all(&mut self, first: Told) {
        self.hear(first);
        for _ in 0..MESSAGES_A_TURN {
            let Ok(told) = self.told.try_recv() else { break };
            self.hear(told);
        }
    }

    fn take(&mut self, request: Request, commits: &Commits) {
        match request {
            Request::Submit(submission, reply) => self.submit(*submission, reply, commits),
            Request::Cancel { work, operation, rollback, reply } => {
                self.tell(work, &Command::Cancel { operation, rollback }, reply);
            }
            Request::Retry { work, reply } => self.retry(work, reply),
            Request::Drain { cancel, reply } => self.drain(cancel, reply),
        }
    }

    /// New work is a commit of its own, because it can be refused on its own.
    fn submit(&mut self, submission: Submission, reply: Reply, commits: &Commits) {
        if self.draining {
            let _ = reply.send(Err(ScheduleError::Ending));
            return;
        }
        let Submission { id, work, rows, remember } = submission;
        let shape = recover::shape(&work);
        let now = self.clock.now();
        let only_task = matches!(rows, Rows::Workflow(_)).then_some(TaskId(id.0));
        let step = self.engine.accept(id, shape, &mut inputs(now, &mut new_task(only_task)));
        let mut changes =
            vec![Change::PutWork(id, Box::new(work.clone())), Change::PutLive(id, LiveRecord { epoch: self.epoch })];
        let preconditions = remember.iter().map(|(key, _)| Precondition::KeyUnused(key.clone())).collect();
        changes.extend(remember.map(|(key, remembered)| Change::Remember(key, remembered)));
        let others = self.rows.take_changes();
        self.group.changes.extend(others);
        match rows {
            Rows::Workflow(task) => self.rows.add_task(*task),
            Rows::Batch(batch, operations) => self.rows.add_batch(*batch, operations),
        }
        self.works.insert(id, work);
        self.show(id, &step.events, now);
        changes.extend(step.events.iter().map(|event| logged(id, now, event)));
        changes.extend(self.rows.take_changes());
        let written = self.store.submit(Transaction { preconditions, changes });
        let events = step.events;
        commits.push(Box::pin(async move {
            let result = written.await.unwrap_or_else(|_| Err(stopped()));
            Committed::Submission { id, events, reply, result }
        }));
    }

    /// Tells live work something, and answers once that is written.
    fn tell(&mut self, work: WorkId, command: &Command, reply: Reply) {
        let now = self.clock.now();
        match self.engine.handle(work, command, &mut inputs(now, &mut new_task(None))) {
            Ok(step) => {
                self.note(work, step, now);
                self.group.after.replies.push(reply);
            }
            Err(reason) => _ = reply.send(Err(reason.map_or(ScheduleError::Unknown(work), ScheduleError::NotNow))),
        }
    }

    fn retry(&mut self, work: WorkId, reply: Reply) {
        if self.draining {
            let _ = reply.send(Err(ScheduleError::Ending));
            return;
        }
        if self.engine.work(work).is_none()
            && let Err(error) = self.reload(work)
        {
            let _ = reply.send(Err(error));
            return;
        }
        self.group.changes.push(Change::PutLive(work, LiveRecord { epoch: self.epoch }));
        self.tell(work, &Command::Retry, reply);
    }

    /// Takes ended work back into memory.
    fn reload(&mut self, work: WorkId) -> Result<(), ScheduleError> {
        let loaded = recover::load(self.store.reads(), work)?.ok_or(ScheduleError::Unknown(work))?;
        self.engine.restore(work, recover::shape(&loaded.work), loaded.events.iter().map(|logged| &logged.event));
        self.rows.restore(loaded.batch, loaded.tasks);
        self.works.insert(work, loaded.work);
        Ok(())
    }

    fn drain(&mut self, cancel: bool, reply: oneshot::Sender<()>) {
        (self.draining, self.drained) = (true, Some(reply));
        if cancel {
            let running: HashSet<WorkId> = self.launched.values().map(|attempt| attempt.work).collect();
            for work in running {
                let (ignored, _) = oneshot::channel();
                self.tell(work, &Command::Cancel { operation: None, rollback: false }, ignored);
            }
        }
    }

    pub(super) fn hear(&mut self, told: Told) {
        match told {
            Told::Started { key, at } => {
                self.spoken_of.insert(key);
                self.report(key, |attempt| Command::Started { operation: attempt.operation, attempt: key.attempt, at });
            }
            Told::Refused { key, transient: true, error, .. } => self.pause(key, &error),
            Told::Refused { key, at, error, .. } => self.over(key, at, Outcome::Failure(error)),
            Told::Exited { key, at, outcome, code, output } => {
                self.spoken_of.insert(key);
                if self.launched.contains_key(&key)
                    && let Some(row) = self.rows.task_mut(key.task)
                {
                    (row.exit_code, row.output) = (code, output);
                }
                self.over(key, at, outcome);
            }
            Told::Known => self.start_again_what_was_not_begun(),
        }
    }

    /// An attempt has ended; its result can be forgotten by the supervisor once it is written.
    fn over(&mut self, key: Key, at: Timestamp, outcome: Outcome) {
        self.report(key, |attempt| Command::Exited { operation: attempt.operation, attempt: key.attempt, at, outcome });
        self.launched.remove(&key);
        self.group.after.forget.push(key);
    }

    fn report(&mut self, key: Key, command: impl FnOnce(&Attempt) -> Command) {
        let Some(attempt) = self.launched.get(&key) else { return };
        let (work, now) = (attempt.work, self.clock.now());
        let command = command(attempt);
        if let Ok(step) = self.engine.handle(work, &command, &mut inputs(now, &mut new_task(None))) {
            self.note(work, step, now);
        }
    }

    /// There is no process or memory to be had at the moment: nothing is started for a while.
    fn pause(&mut self, key: Key, error: &str) {
        tracing::warn!(%key, error, "a task can't start at the moment; it waits");
        let Some(attempt) = self.launched.remove(&key) else { return };
        let now = self.clock.now();
        self.paused_until = Some(now.plus(PAUSE));
        let step = self.engine.not_launched(attempt, &mut inputs(now, &mut new_task(None)));
        self.note(attempt.work, step, now);
    }

    /// A new supervisor has told all it knows; what it doesn't know was never begun.
    fn start_again_what_was_not_begun(&mut self) {
        let spoken_of = std::mem::take(&mut self.spoken_of);
        let missing: Vec<Attempt> =
            self.launched.iter().filter(|(key, _)| !spoken_of.contains(key)).map(|(_, attempt)| *attempt).collect();
        for attempt in missing {
            self.spawn(attempt);
        }
    }

    /// Queues what happened to be written and then acted on.
    pub(super) fn note(&mut self, work: WorkId, step: Step, at: Timestamp) {
        self.show(work, &step.events, at);
        for event in step.events {
            self.group.changes.push(logged(work, at, &event));
            if matches!(event, Event::Ended { .. }) {
                self.group.changes.push(Change::RemoveLive(work));
                self.group.after.retire.push(work);
            }
            self.group.after.events.push((work, event));
        }
        self.group.after.signals.extend(step.signals);
    }

    /// Shows events in the records, making the records of new tasks.
    fn show(&mut self, id: WorkId, events: &[Event], at: Timestamp) {
        for event in events {
            if let Event::Intended { task, .. } = event
                && !self.rows.tasks.contains_key(task)
                && let Some(row) = self.new_row(id, event, at)
            {
                self.rows.add_task(row);
            }
            if let Some(work) = self.engine.work(id) {
                self.rows.show(work, event, at);
            }
        }
    }

    fn new_row(&self, id: WorkId, event: &Event, at: Timestamp) -> Option<crate::model::task::Task> {
        let Event::Intended { operation: index, direction, task, .. } = event else { return None };
        let WorkKind::Batch { spec } = &self.works.get(&id)?.kind else { return None };
        let (work, batch) = (self.engine.work(id)?, self.rows.batch(id)?);
        let operation = &spec.operations[*index as usize];
        let dependencies = work.shape.operations[*index as usize].dependencies.iter();
        let row = NewTask {
            id: *task,
            batch: batch.id,
            operation,
            line: command::line(&self.config.program, spec, operation, *direction)?,
            dependencies: dependencies.filter_map(|(dependency, _)| work.operation(*dependency).task).collect(),
            max_attempts: operation.retry.max_attempts,
            infra: spec.infra.clone(),
            submitted_by: batch.submitted_by.clone(),
            at,
        };
        Some(row.row())
    }

    /// What the clock brings.
    fn tick(&mut self) {
        let now = self.clock.now();
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        for (work, step) in self.engine.due(&mut inputs(now, &mut new_task(None))) {
            // A deadline changes no record: its signal need not wait for the disk.
            for attempt in &step.signals {
                self.executor.end(key_of(attempt), self.config.grace);
            }
            self.note(work, Step { signals: Vec::new(), ..step }, now);
        }
    }

    /// Fills the free slots.
    fn launch(&mut self) {
        if self.paused_until.is_some() || self.draining {
            return;
        }
        while let Some(attempt) = self.engine.next_launch() {
            self.launched.insert(key_of(&attempt), attempt);
            self.spawn(attempt);
        }
    }

    fn spawn(&mut self, attempt: Attempt) {
        let key = key_of(&attempt);
        let Some(launch) = recover::launch(&self.config, self.works.get(&attempt.work), &attempt) else {
            let error = "its description is gone from the store".to_owned();
            self.over(key, self.clock.now(), Outcome::Failure(error));
            return;
        };
        let workspace = &self.config.workspace;
        let mut env = launch.env;
        env.push(("PROV_WORKSPACE".to_owned(), workspace.display().to_string()));
        env.push(("PROV_ATTEMPT".to_owned(), attempt.attempt.to_string()));
        let events = logs::events_path(&self.config.places.logs, attempt.task);
        env.push(("PROV_EVENTS".to_owned(), events.display().to_string()));
        let cwd = launch.cwd.map_or_else(|| workspace.clone(), |cwd| workspace.join(cwd));
        self.executor.spawn(Spawn {
            key,
            program: launch.program,
            args: launch.args,
            env,
            cwd: cwd.display().to_string(),
            stdin: launch.stdin,
        });
    }

    /// Forgets work that was not accepted after all.
    pub(super) fn discard(&mut self, id: WorkId) {
        self.engine.discard(id);
        self.rows.retire(id);
        self.works.remove(&id);
    }

    pub(super) fn announce(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

/// What goes into the engine beside the command.
pub(super) fn inputs(now: Timestamp, new_task: &mut dyn FnMut() -> TaskId) -> Inputs<'_> {
    Inputs { now, new_task }
}

/// Makes task ids; a workflow's only task has the id of its work.
pub(super) fn new_task(only: Option<TaskId>) -> impl FnMut() -> TaskId {
    move || only.unwrap_or_else(|| TaskId(Uuid::now_v7()))
}

pub(super) fn key_of(attempt: &Attempt) -> Key {
    Key { task: attempt.task, attempt: attempt.attempt }
}

fn logged(work: WorkId, at: Timestamp, event: &Event) -> Change {
    Change::Append(LoggedEvent { work, at, event: event.clone() })
}
