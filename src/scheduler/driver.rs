//! The driver's decisions: what the engine makes of what happens, what is written, and what follows from what is written.
//!
//! No thread, clock, socket or file: time comes in, [`Effect`]s go out. The daemon's shell ([`super::actor`]) carries them
//! out; a simulation may do that as well, and may forget the driver at any moment and make another from the store, as a
//! crash does.

use std::collections::{HashMap, HashSet};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::guests::Guests;
use super::outbox::{Group, Reply, Stalled};
use super::report::{Happening, Told};
use super::rows::LiveRows;
use super::{Cancel, Config, Rows, ScheduleError, Submission, recover};
use crate::engine::react::NotNow;
use crate::engine::{Attempt, Command, Engine, Event, Inputs, Outcome, Step};
use crate::exec::wire::Request;
use crate::exec::{Key, Spawn, logs};
use crate::model::id::{TaskId, WorkId};
use crate::model::rehearsal::{MODE_VARIABLE, ProviderMode};
use crate::model::time::Timestamp;
use crate::store::record::{LiveRecord, LoggedEvent, WorkRecord};
use crate::store::{Backend, Change, Precondition, Transaction};

pub use super::outbox::Ticket;

/// How long a refused start, or a store that can't write, is left alone.
pub(super) const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// What the shell has to do.
pub enum Effect {
    /// Make this durable, then hand the ticket to [`Driver::committed`]. Transactions take effect in this order.
    Commit(Ticket, Transaction),
    /// Tell the supervisor of this connection, and none that takes its place.
    Tell(u64, Request),
    /// Records have changed for whoever looks.
    Announce,
}

/// Everything the daemon works on.
pub struct Driver {
    pub(super) config: Config,
    pub(super) epoch: u64,
    pub(super) engine: Engine,
    pub(super) works: HashMap<WorkId, WorkRecord>,
    pub(super) rows: LiveRows,
    /// Batches that rollbacks have hold of.
    pub(super) guests: Guests,
    /// Attempts that the supervisor was asked to start and has not reported the end of.
    pub(super) launched: HashMap<Key, Attempt>,
    /// The connection to the supervisor that was last heard of.
    pub(super) connection: u64,
    pub(super) group: Group,
    /// The group is sent by then, whatever else happens.
    pub(super) held_until: Option<Timestamp>,
    /// A group is being written.
    pub(super) is_writing: bool,
    /// A group that could not be written.
    pub(super) stalled: Option<Stalled>,
    pub(super) effects: Vec<Effect>,
    /// Nothing is started any more.
    pub(super) draining: bool,
    /// The supervisor was told that it may go; whichever takes its place is told so too.
    pub(super) lets_go: bool,
    /// Who waits until nothing runs.
    pub(super) drained: Option<oneshot::Sender<()>>,
    /// Nothing is started before this.
    pub(super) paused_until: Option<Timestamp>,
    /// Makes ids of tasks.
    pub(super) ids: Box<dyn FnMut() -> Uuid + Send>,
}

impl Driver {
    /// Does what is due, fills the free slots, and sends what is waiting to the store.
    pub fn settle(&mut self, now: Timestamp) {
        self.tick(now);
        self.launch(now);
        self.flush(now);
        if self.launched.is_empty()
            && !self.is_writing
            && self.stalled.is_none()
            && let Some(reply) = self.drained.take()
        {
            self.lets_go = true;
            self.tell_supervisor(Request::Retire);
            let _ = reply.send(());
        }
    }

    /// What is to be done, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Driver::settle`] has something to do although nothing happened.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        [self.engine.next_timer(), self.paused_until, self.next_flush()].into_iter().flatten().min()
    }

    /// New work is a commit of its own, because it can be refused on its own; `reads` is where the batches of a rollback are
    /// found.
    pub fn submit(&mut self, submission: Submission, reads: &dyn Backend, reply: Reply, now: Timestamp) {
        let Submission { id, work, rows, remember, also } = submission;
        if let Err(reason) = self.accepts().and_then(|()| self.invite(id, &work, reads)) {
            let _ = reply.send(Err(reason));
            return;
        }
        let shape = recover::shape(&work);
        let only_task = matches!(rows, Rows::Workflow(_)).then_some(TaskId(id.0));
        let mut new_task = || only_task.unwrap_or_else(|| TaskId((self.ids)()));
        let step = self.engine.accept(id, shape, &mut Inputs { now, new_task: &mut new_task });
        let mut changes =
            vec![Change::PutWork(id, Box::new(work.clone())), Change::PutLive(id, LiveRecord { epoch: self.epoch })];
        let preconditions = remember.iter().map(|(key, _)| Precondition::KeyUnused(key.clone())).collect();
        changes.extend(remember.map(|(key, remembered)| Change::Remember(key, remembered)));
        changes.extend(also);
        let others = self.rows.take_changes();
        self.group.changes.extend(others);
        match rows {
            Rows::Workflow(task) => self.rows.add_task(*task),
            Rows::Batch(batch, operations) => self.rows.add_batch(*batch, operations),
            Rows::Rollback(rollback) => self.rows.add_rollback(*rollback),
        }
        self.works.insert(id, work);
        changes.extend(self.reopen(id, now));
        changes.extend(self.record(id, &step.events, now));
        changes.extend(self.rows.take_changes());
        let ticket = Ticket::Submission { id, events: step.events, reply };
        self.effects.push(Effect::Commit(ticket, Transaction { preconditions, changes }));
    }

    /// Asks for the end of work, or of one of its operations; `also` is written with that.
    pub fn cancel(&mut self, wanted: Cancel, also: Vec<Change>, reply: Reply, now: Timestamp) {
        let Cancel { work, operation, rollback } = wanted;
        let refused = match &self.stalled {
            Some(stalled) => Some(ScheduleError::Unavailable(stalled.why.clone())),
            None => self.guests.host(work).map(|host| NotNow::Held(host).into()),
        };
        let told = refused.map_or_else(|| self.tell(work, &Command::Cancel { operation, rollback }, now), Err);
        match told {
            Ok(()) => self.answer_with(also, reply),
            Err(reason) => _ = reply.send(Err(reason)),
        }
    }

    /// Writes this with what was just noted, and answers then.
    pub(super) fn answer_with(&mut self, also: Vec<Change>, reply: Reply) {
        self.group.changes.extend(also);
        self.group.after.replies.push(reply);
    }

    /// Whether anything new can be asked for at the moment.
    pub(super) fn accepts(&self) -> Result<(), ScheduleError> {
        if self.draining {
            return Err(ScheduleError::Ending);
        }
        match &self.stalled {
            Some(stalled) => Err(ScheduleError::Unavailable(stalled.why.clone())),
            None => Ok(()),
        }
    }

    /// Takes work into memory as the store has it.
    pub(super) fn restore(&mut self, work: WorkId, loaded: recover::Loaded) {
        self.engine.restore(work, recover::shape(&loaded.work), loaded.events.iter().map(|logged| &logged.event));
        self.works.insert(work, loaded.work.clone());
        let mut loaded = loaded;
        for (id, guest) in std::mem::take(&mut loaded.guests) {
            self.hold(work, id, guest);
        }
        self.rows.restore(loaded);
    }

    /// Tells live work something.
    fn tell(&mut self, work: WorkId, command: &Command, now: Timestamp) -> Result<(), ScheduleError> {
        let step = self.handle(work, command, now);
        let step = step.map_err(|reason| reason.map_or(ScheduleError::Unknown(work), ScheduleError::NotNow))?;
        self.note(work, step, now);
        Ok(())
    }

    pub(super) fn handle(&mut self, work: WorkId, command: &Command, now: Timestamp) -> Result<Step, Option<NotNow>> {
        let mut new_task = || TaskId((self.ids)());
        self.engine.handle(work, command, &mut Inputs { now, new_task: &mut new_task })
    }

    /// Starts nothing more, and answers once nothing runs. With `cancel`, what runs is cancelled.
    pub fn drain(&mut self, cancel: bool, reply: oneshot::Sender<()>, now: Timestamp) {
        (self.draining, self.drained) = (true, Some(reply));
        if cancel {
            let running: HashSet<WorkId> = self.launched.values().map(|attempt| attempt.work).collect();
            for work in running {
                // What is being rolled back can't be cancelled; it goes on with the next daemon.
                let _ = self.tell(work, &Command::Cancel { operation: None, rollback: false }, now);
            }
        }
    }

    /// Takes in what the supervisor says.
    pub fn hear(&mut self, told: Told, now: Timestamp) {
        match told {
            Told::Connected { connection, known, now: theirs } => {
                self.connection = connection;
                self.reconcile(known, theirs, now);
                if self.lets_go {
                    self.tell_supervisor(Request::Retire);
                }
            }
            // It happened just now, and only one clock counts.
            Told::Happened(happening) => self.take_in(happening.moved(|_| now), now),
        }
    }

    pub(super) fn take_in(&mut self, happening: Happening, now: Timestamp) {
        match happening {
            Happening::Started { key, at } => {
                self.report(
                    key,
                    |attempt| Command::Started { operation: attempt.operation, attempt: key.attempt, at },
                    now,
                );
            }
            Happening::Refused { key, transient: true, error, .. } => self.pause(key, &error, now),
            Happening::Refused { key, at, error, .. } => self.over(key, at, Outcome::Failure(error), now),
            Happening::Exited { key, at, outcome, code, output, ended } => {
                let outcome = self.proved(key, outcome, code, output.as_deref());
                if self.launched.contains_key(&key)
                    && let Some(row) = self.rows.task_mut(key.task)
                {
                    (row.exit_code, row.output, row.processes_ended) = (code, output, ended);
                }
                self.over(key, at, outcome, now);
            }
        }
    }

    /// An attempt has ended; its result can be forgotten by the supervisor once it is written.
    fn over(&mut self, key: Key, at: Timestamp, outcome: Outcome, now: Timestamp) {
        let command =
            |attempt: &Attempt| Command::Exited { operation: attempt.operation, attempt: key.attempt, at, outcome };
        self.report(key, command, now);
        self.launched.remove(&key);
        self.group.after.forget.push(key);
    }

    fn report(&mut self, key: Key, command: impl FnOnce(&Attempt) -> Command, now: Timestamp) {
        let Some(attempt) = self.launched.get(&key).copied() else { return };
        if let Ok(step) = self.handle(attempt.work, &command(&attempt), now) {
            self.note(attempt.work, step, now);
        }
    }

    /// There is no process or memory to be had at the moment: nothing is started for a while.
    fn pause(&mut self, key: Key, error: &str, now: Timestamp) {
        tracing::warn!(task_id = %key.task, attempt = key.attempt, error, "a task can't start at the moment; it waits");
        self.paused_until = Some(now.plus(PAUSE));
        if let Some(attempt) = self.launched.get(&key).copied() {
            self.take_back(attempt, now);
        }
    }

    /// The attempt did not begin: it waits for a slot again, unless its end was asked for meanwhile.
    pub(super) fn take_back(&mut self, attempt: Attempt, now: Timestamp) {
        self.launched.remove(&key_of(&attempt));
        let mut new_task = || TaskId((self.ids)());
        let step = self.engine.not_launched(attempt, &mut Inputs { now, new_task: &mut new_task });
        self.note(attempt.work, step, now);
    }

    /// Queues what happened to be written and then acted on.
    pub(super) fn note(&mut self, work: WorkId, step: Step, at: Timestamp) {
        let log = self.record(work, &step.events, at);
        self.group.changes.extend(log);
        for event in step.events {
            if matches!(event, Event::Ended { .. }) {
                self.group.changes.push(Change::RemoveLive(work));
                self.group.after.retire.insert(work);
            }
            self.group.after.events.push((work, event));
        }
        self.group.after.signals.extend(step.signals);
    }

    /// What the clock brings.
    fn tick(&mut self, now: Timestamp) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        let mut new_task = || TaskId((self.ids)());
        for (work, step) in self.engine.due(&mut Inputs { now, new_task: &mut new_task }) {
            // A deadline changes no record: its signal need not wait for the disk.
            step.signals.iter().for_each(|attempt| self.end_process(key_of(attempt)));
            self.note(work, Step { signals: Vec::new(), ..step }, now);
        }
    }

    /// Ends an attempt with all it started.
    pub(super) fn end_process(&mut self, key: Key) {
        let grace_ms = u64::try_from(self.config.grace.as_millis()).unwrap_or(u64::MAX);
        self.tell_supervisor(Request::End { key, grace_ms });
    }

    /// Tells the supervisor that was last heard of.
    pub(super) fn tell_supervisor(&mut self, request: Request) {
        self.effects.push(Effect::Tell(self.connection, request));
    }

    /// Fills the free slots.
    fn launch(&mut self, now: Timestamp) {
        if self.paused_until.is_some() || self.draining {
            return;
        }
        while let Some(attempt) = self.engine.next_launch() {
            self.launched.insert(key_of(&attempt), attempt);
            self.spawn(attempt, now);
        }
    }

    fn spawn(&mut self, attempt: Attempt, now: Timestamp) {
        let key = key_of(&attempt);
        let Some(launch) = recover::launch(&self.config, &self.works, &attempt) else {
            let error = "its description is gone from the store".to_owned();
            self.over(key, now, Outcome::Failure(error), now);
            return;
        };
        let workspace = &self.config.workspace;
        let mut env = launch.env;
        env.push(("PROV_WORKSPACE".to_owned(), workspace.display().to_string()));
        let mode = &self.config.program.mode;
        if *mode != ProviderMode::Live && !env.iter().any(|(name, _)| name == MODE_VARIABLE) {
            env.push((MODE_VARIABLE.to_owned(), mode.to_string()));
        }
        env.push(("PROV_ATTEMPT".to_owned(), attempt.attempt.to_string()));
        let events = logs::events_path(&self.config.places.logs, attempt.task);
        env.push(("PROV_EVENTS".to_owned(), events.display().to_string()));
        let cwd = launch.cwd.map_or_else(|| workspace.clone(), |cwd| workspace.join(cwd));
        self.tell_supervisor(Request::Spawn(Box::new(Spawn {
            key,
            program: launch.program,
            args: launch.args,
            env,
            cwd: cwd.display().to_string(),
            stdin: launch.stdin,
        })));
    }

    /// Forgets work that has ended.
    pub(super) fn retire(&mut self, work: WorkId) {
        self.engine.retire(work);
        if self.engine.work(work).is_none() {
            self.rows.retire(work);
            self.works.remove(&work);
            self.let_go(work);
        }
    }

    /// Forgets work that was not accepted after all.
    pub(super) fn discard(&mut self, id: WorkId, events: &[Event]) {
        self.engine.discard(id);
        self.rows.retire(id);
        for event in events {
            if let Event::Intended { task, .. } = event {
                self.rows.forget(*task);
            }
        }
        self.works.remove(&id);
        self.let_go(id);
    }
}

pub(super) fn key_of(attempt: &Attempt) -> Key {
    Key { task: attempt.task, attempt: attempt.attempt }
}

pub(super) fn logged(work: WorkId, at: Timestamp, event: &Event) -> Change {
    Change::Append(LoggedEvent { work, at, event: event.clone() })
}
