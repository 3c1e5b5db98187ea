//! All live work together: commands in, events out, slots and timers.

use std::collections::HashMap;
use std::sync::Arc;

use super::Inputs;
use super::admission::Admission;
use super::advance::advance;
use super::event::{Command, Direction, Event};
use super::react::{self, NotNow, react};
use super::shape::Shape;
use super::timers::Timers;
use super::work::{Intent, Phase, Stage, Work};
use crate::model::id::{TaskId, WorkId};
use crate::model::time::Timestamp;

/// One attempt at an operation: what is started, signalled and reported on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The work.
    pub work: WorkId,
    /// The operation's index.
    pub operation: u32,
    /// Do or undo.
    pub direction: Direction,
    /// Counted from 1.
    pub attempt: u32,
    /// The task that shows it.
    pub task: TaskId,
}

/// What a call made happen: the caller makes the events durable, then says so and sends the signals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What happened, in order; already applied.
    pub events: Vec<Event>,
    /// Attempts whose process is to be ended.
    pub signals: Vec<Attempt>,
}

/// All work that has not ended.
#[derive(Debug, Default)]
pub struct Engine {
    works: HashMap<WorkId, Work>,
    admission: Admission,
    timers: Timers,
}

impl Engine {
    /// No work; at most `max_parallel` attempts at once.
    #[must_use]
    pub fn new(max_parallel: usize) -> Self {
        Self { admission: Admission::new(max_parallel), ..Self::default() }
    }

    /// Live work by id.
    #[must_use]
    pub fn work(&self, id: WorkId) -> Option<&Work> {
        self.works.get(&id)
    }

    /// Every live work.
    #[must_use]
    pub fn ids(&self) -> Vec<WorkId> {
        self.works.keys().copied().collect()
    }

    /// How many works are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.works.len()
    }

    /// Whether nothing is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    /// Attempts that hold a slot.
    #[must_use]
    pub fn running(&self) -> usize {
        self.admission.running()
    }

    /// Takes new work.
    pub fn accept(&mut self, id: WorkId, shape: Arc<Shape>, inputs: &mut Inputs<'_>) -> Step {
        let mut work = Work::new(id, shape);
        work.apply(&Event::Accepted);
        let mut events = vec![Event::Accepted];
        events.extend(advance(&mut work, inputs));
        self.works.insert(id, work);
        Step { events, signals: Vec::new() }
    }

    /// Takes work back from its recorded events, as it stood: its intents are durable, so they wait for a slot. What
    /// else follows from its state, [`resume`](Self::resume) tells.
    pub fn restore<'e>(&mut self, id: WorkId, shape: Arc<Shape>, events: impl IntoIterator<Item = &'e Event>) {
        let mut work = Work::new(id, shape);
        for event in events {
            work.apply(event);
            self.note_all(id, std::slice::from_ref(event));
        }
        let active: Vec<u32> = work.active.iter().copied().collect();
        self.works.insert(id, work);
        for operation in active {
            self.record(id, operation);
        }
    }

    /// Every attempt that is under way or meant to be, of all works. What became of it, the supervisor knows.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        let of = |work| move |operation: &u32| attempt(work, *operation);
        self.works.values().flat_map(|work| work.active.iter().filter_map(of(work))).collect()
    }

    /// Whether the attempt is known to have begun.
    #[must_use]
    pub fn runs(&self, attempt: &Attempt) -> bool {
        let stage = self.works.get(&attempt.work).map(|work| work.operation(attempt.operation).stage);
        matches!(stage, Some(Stage::Running { .. }))
    }

    /// The attempt began at `since`, and runs or its result is at hand: it holds a slot. Its time is counted from there
    /// again, whatever the clocks did meanwhile.
    pub fn adopt(&mut self, adopted: Attempt, since: Timestamp) {
        self.admission.occupy(adopted.work, adopted.operation);
        let Some(work) = self.works.get_mut(&adopted.work) else { return };
        let timeout = work.shape.operations[adopted.operation as usize].timeout;
        match &mut work.operation_mut(adopted.operation).stage {
            Stage::Intended { intent, .. } => *intent = Intent::Launched,
            Stage::Running { deadline, .. } => {
                *deadline = since.plus(timeout);
                self.timers.set(adopted.work, adopted.operation, *deadline);
            }
            Stage::Idle | Stage::Delayed { .. } => {}
        }
    }

    /// Goes on after the attempts were adopted or given up; what was asked to end is told so again.
    pub fn resume(&mut self, id: WorkId, inputs: &mut Inputs<'_>) -> Step {
        let Some(work) = self.works.get_mut(&id) else { return Step::default() };
        let stopping: Vec<u32> =
            work.active.iter().filter(|index| work.operation(**index).stop_requested).copied().collect();
        let mut events = Vec::new();
        for index in &stopping {
            let stopped = react::stop_before_start(work, *index);
            for event in &stopped {
                work.apply(event);
            }
            events.extend(stopped);
        }
        events.extend(advance(work, inputs));
        let running = stopping.iter().filter(|index| work.operation(**index).may_run());
        let signals = running.filter_map(|index| attempt(work, *index)).collect();
        self.note_all(id, &events);
        Step { events, signals }
    }

    /// Tells a work something.
    ///
    /// # Errors
    /// When its state doesn't allow that, or there is no such live work (`None`).
    pub fn handle(&mut self, id: WorkId, command: &Command, inputs: &mut Inputs<'_>) -> Result<Step, Option<NotNow>> {
        let work = self.works.get_mut(&id).ok_or(None)?;
        let reaction = react(work, command).map_err(Some)?;
        let signals = reaction.signals.iter().filter_map(|operation| attempt(work, *operation)).collect();
        let mut events = reaction.events;
        for event in &events {
            work.apply(event);
        }
        events.extend(advance(work, inputs));
        if let Command::Exited { operation, .. } = command {
            self.admission.release(id, *operation);
        }
        self.note_all(id, &events);
        Ok(Step { events, signals })
    }

    /// The event is durable: an intent may now get a slot.
    pub fn committed(&mut self, id: WorkId, event: &Event) {
        let Event::Intended { operation, attempt, task, .. } = event else { return };
        let Some(work) = self.works.get(&id) else { return };
        let state = work.operation(*operation);
        if (state.attempt, state.current_task()) == (*attempt, Some(*task)) {
            self.record(id, *operation);
        }
    }

    /// The operation's intent is on disk: it waits for a slot.
    fn record(&mut self, id: WorkId, operation: u32) {
        let Some(work) = self.works.get_mut(&id) else { return };
        let limit = work.shape.parallel_limit as usize;
        if let Stage::Intended { intent: intent @ Intent::Decided, .. } = &mut work.operation_mut(operation).stage {
            *intent = Intent::Recorded;
            self.admission.offer(id, operation, limit);
        }
    }

    /// The next attempt to start, if there is a slot for one.
    pub fn next_launch(&mut self) -> Option<Attempt> {
        loop {
            let (id, operation) = self.admission.admit()?;
            let work = self.works.get_mut(&id);
            let stage = work.map(|work| &mut work.operation_mut(operation).stage);
            if let Some(Stage::Intended { intent: intent @ Intent::Recorded, .. }) = stage {
                *intent = Intent::Launched;
                return self.works.get(&id).and_then(|work| attempt(work, operation));
            }
            // It waited, and does so no more; what runs already holds its slot on its own account.
            if !self.works.get(&id).is_some_and(|work| work.operation(operation).may_run()) {
                self.admission.release(id, operation);
            }
        }
    }

    /// The attempt did not start, and may start later: it gives up its slot and waits for another, unless its end was
    /// asked for meanwhile.
    pub fn not_launched(&mut self, refused: Attempt, inputs: &mut Inputs<'_>) -> Step {
        let (id, operation) = (refused.work, refused.operation);
        self.admission.release(id, operation);
        let Some(work) = self.works.get_mut(&id) else { return Step::default() };
        if let Stage::Intended { intent: intent @ Intent::Launched, .. } = &mut work.operation_mut(operation).stage {
            *intent = Intent::Recorded;
            self.admission.offer(id, operation, work.shape.parallel_limit as usize);
        }
        self.resume(id, inputs)
    }

    /// When something is next due.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// What is due by now: attempts out of time are to be ended, delayed ones are intended again.
    pub fn due(&mut self, inputs: &mut Inputs<'_>) -> Vec<(WorkId, Step)> {
        let mut steps: Vec<(WorkId, Step)> = Vec::new();
        while let Some((id, operation)) = self.timers.take_due(inputs.now) {
            let Some(work) = self.works.get_mut(&id) else { continue };
            match work.operation(operation).stage {
                Stage::Running { deadline, .. } if deadline <= inputs.now => {
                    let signals = attempt(work, operation).into_iter().collect();
                    steps.push((id, Step { events: Vec::new(), signals }));
                }
                Stage::Delayed { .. } => {
                    let events = advance(work, inputs);
                    self.note_all(id, &events);
                    steps.push((id, Step { events, signals: Vec::new() }));
                }
                _ => {}
            }
        }
        steps
    }

    /// Forgets a work that has ended, once that is durable.
    pub fn retire(&mut self, id: WorkId) {
        if self.works.get(&id).is_some_and(|work| matches!(work.phase, Phase::Ended(_))) {
            self.works.remove(&id);
            self.admission.retire(id);
        }
    }

    /// Forgets a work that was not accepted after all.
    pub fn discard(&mut self, id: WorkId) {
        self.works.remove(&id);
        self.admission.retire(id);
    }

    fn note_all(&mut self, id: WorkId, events: &[Event]) {
        for event in events {
            match event {
                Event::Started { operation, deadline, .. } => self.timers.set(id, *operation, *deadline),
                Event::AttemptFailed { operation, again_at, .. } => self.timers.set(id, *operation, *again_at),
                Event::Intended { operation, .. }
                | Event::Succeeded { operation, .. }
                | Event::Failed { operation, .. } => self.timers.clear(id, *operation),
                Event::Withdrawn { operation } | Event::Stopped { operation } => {
                    self.timers.clear(id, *operation);
                    self.admission.release(id, *operation);
                }
                _ => {}
            }
        }
    }
}

fn attempt(work: &Work, operation: u32) -> Option<Attempt> {
    let state = work.operation(operation);
    let (direction, task) = (state.direction()?, state.current_task()?);
    Some(Attempt { work: work.id, operation, direction, attempt: state.attempt, task })
}
