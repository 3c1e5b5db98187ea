//! All live work together: commands in, events out, slots and timers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Inputs;
use super::admission::Admission;
use super::advance::advance;
use super::event::{Command, Direction, Event};
use super::react::{NotNow, react};
use super::shape::Shape;
use super::work::{Phase, Stage, Work};
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
    timers: BTreeSet<(Timestamp, WorkId, u32)>,
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
        for operation in &work.active {
            if matches!(work.operation(*operation).stage, Stage::Intended { .. }) {
                self.admission.offer(id, *operation, work.shape.parallel_limit as usize);
            }
        }
        self.works.insert(id, work);
    }

    /// The attempts of restored work that may have been started before the restart; the supervisor knows.
    #[must_use]
    pub fn unsettled(&self, id: WorkId) -> Vec<Attempt> {
        let Some(work) = self.works.get(&id) else { return Vec::new() };
        work.active.iter().filter_map(|operation| attempt(work, *operation)).collect()
    }

    /// An attempt of restored work runs, or ran and its result is at hand: it holds a slot.
    pub fn adopt(&mut self, adopted: Attempt) {
        self.launch(adopted.work, adopted.operation);
        self.admission.occupy(adopted.work, adopted.operation);
    }

    /// Goes on with restored work, after its attempts were adopted or given up; what was asked to end is told so again.
    pub fn resume(&mut self, id: WorkId, inputs: &mut Inputs<'_>) -> Step {
        let Some(work) = self.works.get_mut(&id) else { return Step::default() };
        let events = advance(work, inputs);
        let stopping = |index: &&u32| {
            let state = work.operation(**index);
            state.stop_requested && state.may_run()
        };
        let signals = work.active.iter().filter(stopping).filter_map(|index| attempt(work, *index)).collect();
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
        let Event::Intended { operation, attempt, .. } = event else { return };
        let Some(work) = self.works.get(&id) else { return };
        let state = work.operation(*operation);
        if state.attempt == *attempt && matches!(state.stage, Stage::Intended { launched: false, .. }) {
            self.admission.offer(id, *operation, work.shape.parallel_limit as usize);
        }
    }

    /// The next attempt to start, if there is a slot for one.
    pub fn next_launch(&mut self) -> Option<Attempt> {
        loop {
            let (id, operation) = self.admission.admit()?;
            let waits = self
                .works
                .get(&id)
                .is_some_and(|work| matches!(work.operation(operation).stage, Stage::Intended { launched: false, .. }));
            if !waits {
                self.admission.release(id, operation);
                continue;
            }
            self.launch(id, operation);
            return self.works.get(&id).and_then(|work| attempt(work, operation));
        }
    }

    /// The attempt could not be started for want of something that may come back: it gives up its slot and waits for
    /// another, unless its work was halted meanwhile.
    pub fn not_launched(&mut self, refused: Attempt, inputs: &mut Inputs<'_>) -> Step {
        self.admission.release(refused.work, refused.operation);
        let Some(work) = self.works.get_mut(&refused.work) else { return Step::default() };
        let limit = work.shape.parallel_limit as usize;
        let Stage::Intended { launched, .. } = &mut work.operation_mut(refused.operation).stage else {
            return Step::default();
        };
        *launched = false;
        self.admission.offer(refused.work, refused.operation, limit);
        let events = advance(work, inputs);
        self.note_all(refused.work, &events);
        Step { events, signals: Vec::new() }
    }

    /// When something is next due.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, ..)| *at)
    }

    /// What is due by now: attempts out of time are to be ended, delayed ones are intended again.
    pub fn due(&mut self, inputs: &mut Inputs<'_>) -> Vec<(WorkId, Step)> {
        let mut steps: Vec<(WorkId, Step)> = Vec::new();
        while let Some((at, id, operation)) = self.timers.first().copied() {
            if at > inputs.now {
                break;
            }
            self.timers.pop_first();
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

    fn launch(&mut self, id: WorkId, operation: u32) {
        let Some(work) = self.works.get_mut(&id) else { return };
        if let Stage::Intended { launched, .. } = &mut work.operation_mut(operation).stage {
            *launched = true;
        }
    }

    fn note_all(&mut self, id: WorkId, events: &[Event]) {
        for event in events {
            match event {
                Event::Started { operation, deadline, .. } => _ = self.timers.insert((*deadline, id, *operation)),
                Event::AttemptFailed { operation, again_at, .. } => _ = self.timers.insert((*again_at, id, *operation)),
                Event::Withdrawn { operation } | Event::Stopped { operation } => self.admission.release(id, *operation),
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
