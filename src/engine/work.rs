//! The state of one unit of work, and how events change it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Direction, Event};
use super::shape::{Compensation, Shape};
use super::unwind;
use crate::model::batch::DependencyKind;
use crate::model::id::{TaskId, WorkId};
use crate::model::status::{BatchStatus, OperationStatus};
use crate::model::time::Timestamp;

/// Where the work as a whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Operations start as their dependencies allow.
    Forward,
    /// None starts any more; what runs comes to rest.
    Halted {
        /// Whether compensations follow.
        unwind: bool,
    },
    /// Compensations run.
    Unwinding,
    /// It had ended, and a rollback has its operations done and undone.
    Reopened {
        /// What is done with them.
        direction: Direction,
    },
    /// Nothing happens unless somebody asks for it.
    Ended(BatchStatus),
}

/// Where one operation is between being idle and its next result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of it runs or is meant to.
    Idle,
    /// It may start as soon as there is a slot.
    Intended {
        /// Do or undo.
        direction: Direction,
        /// How far that is.
        intent: Intent,
    },
    /// Its process runs.
    Running {
        /// Do or undo.
        direction: Direction,
        /// When its time is up.
        deadline: Timestamp,
    },
    /// It waits for its next attempt.
    Delayed {
        /// Do or undo.
        direction: Direction,
        /// When that is due.
        until: Timestamp,
    },
}

/// How far an intent is. Not durable: after a restart every intent is on record, and the supervisor tells which began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It was decided.
    Decided,
    /// It is on disk: it may get a slot.
    Recorded,
    /// It has a slot: from now on it may run.
    Launched,
}

/// The state of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationState {
    /// The status word.
    pub status: OperationStatus,
    /// What came of doing it, while it is undone.
    pub done: OperationStatus,
    /// Where it is on its way.
    pub stage: Stage,
    /// The attempt of the present direction, counted from 1; 0 before the first.
    pub attempt: u32,
    /// The task that does it.
    pub task: Option<TaskId>,
    /// The task that undoes it.
    pub undo_task: Option<TaskId>,
    /// Whether it started since the work was accepted or tried again.
    pub started: bool,
    /// Whether something it did may still be there, from whatever attempt: it started, and was not undone since.
    pub touched: bool,
    /// Whether its compensation succeeded.
    pub undone: bool,
    /// Whether somebody asked for its end.
    pub stop_requested: bool,
    /// Whether somebody decided that it stays as it is: what waits for it takes it for done.
    pub waived: bool,
    /// Why it last failed.
    pub error: Option<String>,
    /// Why its compensation last failed.
    pub undo_error: Option<String>,
    /// Dependencies that are not yet satisfied.
    pub(super) unmet: u32,
    /// A hard dependency can't be satisfied any more.
    pub(super) doomed: bool,
    /// While unwinding: dependents that are not yet settled.
    pub(super) blockers: u32,
}

/// One unit of work: its shape and its state.
#[derive(Clone, Debug)]
pub struct Work {
    /// Its id.
    pub id: WorkId,
    /// What doesn't change.
    pub shape: Arc<Shape>,
    /// Where it is as a whole.
    pub phase: Phase,
    /// Each operation, in the order of the shape.
    pub operations: Vec<OperationState>,
    /// Why it was halted.
    pub reason: Option<String>,
    /// Whether somebody asked for its end.
    pub cancel_requested: bool,
    /// Whether somebody decided that what is left of it stays as it is.
    pub is_closed: bool,
    /// The rollback that took hold of it last, since when nothing else happened to it.
    pub reopened_by: Option<WorkId>,
    /// How it had ended by itself, before rollbacks took hold of it.
    pub(super) ended_as: BatchStatus,
    /// Operations that can be intended now.
    pub(super) ready: BTreeSet<u32>,
    /// Operations that will have to be skipped.
    pub(super) doomed: BTreeSet<u32>,
    /// Operations that are intended or running.
    pub(super) active: BTreeSet<u32>,
    /// Operations that wait for another attempt, by when it is due.
    pub(super) delayed: BTreeSet<(Timestamp, u32)>,
    /// Operations in status Pending.
    pub(super) pending: usize,
    /// Whether anything happened to any operation.
    pub(super) has_begun: bool,
}

impl Work {
    /// Work that nothing has happened to.
    #[must_use]
    pub fn new(id: WorkId, shape: Arc<Shape>) -> Self {
        let fresh = OperationState {
            status: OperationStatus::Pending,
            done: OperationStatus::Pending,
            stage: Stage::Idle,
            attempt: 0,
            task: None,
            undo_task: None,
            started: false,
            touched: false,
            undone: false,
            stop_requested: false,
            waived: false,
            error: None,
            undo_error: None,
            unmet: 0,
            doomed: false,
            blockers: 0,
        };
        let mut work = Self {
            id,
            phase: Phase::Forward,
            operations: vec![fresh; shape.operations.len()],
            reason: None,
            cancel_requested: false,
            is_closed: false,
            reopened_by: None,
            ended_as: BatchStatus::Pending,
            ready: BTreeSet::new(),
            doomed: BTreeSet::new(),
            active: BTreeSet::new(),
            delayed: BTreeSet::new(),
            pending: 0,
            has_begun: false,
            shape,
        };
        work.count();
        work
    }

    /// The state of an operation; an index that is none of this work's is an error of the caller.
    #[must_use]
    pub fn operation(&self, index: u32) -> &OperationState {
        &self.operations[index as usize]
    }

    pub(super) fn operation_mut(&mut self, index: u32) -> &mut OperationState {
        &mut self.operations[index as usize]
    }

    /// The batch's status word.
    #[must_use]
    pub fn status(&self) -> BatchStatus {
        match self.phase {
            Phase::Ended(status) => status,
            Phase::Unwinding | Phase::Reopened { direction: Direction::Undo, .. } => BatchStatus::RollingBack,
            Phase::Reopened { direction: Direction::Do, .. } => BatchStatus::Running,
            Phase::Forward | Phase::Halted { .. } if self.has_begun => BatchStatus::Running,
            Phase::Forward | Phase::Halted { .. } => BatchStatus::Pending,
        }
    }

    /// Whether an operation must be undone before its batch counts as rolled back.
    #[must_use]
    pub fn needs_undo(&self, index: u32) -> bool {
        let state = self.operation(index);
        if state.undone {
            return false;
        }
        match self.shape.operations[index as usize].compensation {
            Compensation::None => false,
            Compensation::WhenCompleted => state.done == OperationStatus::Completed,
            Compensation::WhenStarted => state.touched && state.done != OperationStatus::Pending,
        }
    }

    /// Changes the state by what happened. Live work, recovery and tests call nothing else to change it.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Accepted => {}
            Event::Intended { operation, direction, attempt, task } => {
                self.intend(*operation, *direction, *attempt, *task);
            }
            Event::Started { operation, deadline, .. } => self.start(*operation, *deadline),
            Event::Succeeded { operation, direction } => self.succeed(*operation, *direction),
            Event::AttemptFailed { operation, direction, error, again_at } => {
                self.fail_attempt(*operation, *direction, error, *again_at);
            }
            Event::Failed { operation, direction, error } => self.fail(*operation, *direction, error),
            Event::Stopped { operation } => self.settle(*operation, OperationStatus::Cancelled),
            Event::Withdrawn { operation } => self.withdraw(*operation),
            Event::Skipped { operation } => self.settle(*operation, OperationStatus::Skipped),
            Event::CancelRequested { operation, .. } => self.request_cancel(*operation),
            Event::Halted { unwind, reason } => {
                self.phase = Phase::Halted { unwind: *unwind };
                self.reason.get_or_insert_with(|| reason.clone());
            }
            Event::Unwinding => {
                self.phase = Phase::Unwinding;
                unwind::begin(self);
            }
            Event::Ended { status } => self.phase = Phase::Ended(*status),
            Event::Retried => self.retry(),
            Event::Reopened { by, direction } => self.reopen(*by, *direction),
            Event::Waived { operation, .. } => self.waive(*operation),
            Event::Closed { .. } => self.is_closed = true,
        }
    }

    fn intend(&mut self, index: u32, direction: Direction, attempt: u32, task: TaskId) {
        self.rest(index);
        self.active.insert(index);
        let state = self.operation_mut(index);
        state.stage = Stage::Intended { direction, intent: Intent::Decided };
        state.attempt = attempt;
        match direction {
            Direction::Do => state.task = Some(task),
            Direction::Undo => state.undo_task = Some(task),
        }
    }

    fn start(&mut self, index: u32, deadline: Timestamp) {
        let state = self.operation_mut(index);
        let Some(direction) = state.direction() else { return };
        state.stage = Stage::Running { direction, deadline };
        match direction {
            Direction::Do => {
                (state.started, state.touched, state.undone) = (true, true, false);
                let was = std::mem::replace(&mut state.status, OperationStatus::Running);
                self.has_begun = true;
                self.pending -= usize::from(was == OperationStatus::Pending);
            }
            Direction::Undo => state.status = OperationStatus::RollingBack,
        }
    }

    fn succeed(&mut self, index: u32, direction: Direction) {
        match direction {
            Direction::Do => {
                self.settle(index, OperationStatus::Completed);
                self.make_good(index);
            }
            Direction::Undo => {
                self.rest(index);
                let state = self.operation_mut(index);
                (state.undone, state.touched) = (true, false);
                let was_done = state.done == OperationStatus::Completed;
                state.status = if was_done { OperationStatus::RolledBack } else { state.done };
                if self.phase == Phase::Unwinding {
                    unwind::settled(self, index);
                }
            }
        }
    }

    fn fail_attempt(&mut self, index: u32, direction: Direction, error: &str, until: Timestamp) {
        self.rest(index);
        self.delayed.insert((until, index));
        let state = self.operation_mut(index);
        state.stage = Stage::Delayed { direction, until };
        *state.error_of(direction) = Some(error.to_owned());
    }

    fn fail(&mut self, index: u32, direction: Direction, error: &str) {
        *self.operation_mut(index).error_of(direction) = Some(error.to_owned());
        if direction == Direction::Undo {
            self.rest(index);
            let state = self.operation_mut(index);
            (state.status, state.undone, state.touched) = (OperationStatus::RollbackFailed, false, true);
        } else {
            self.settle(index, OperationStatus::Failed);
        }
    }

    fn withdraw(&mut self, index: u32) {
        self.rest(index);
        let state = self.operation_mut(index);
        state.attempt = state.attempt.saturating_sub(1);
        if state.status == OperationStatus::Pending && matches!(self.phase, Phase::Forward) {
            self.ready.insert(index);
        }
    }

    fn request_cancel(&mut self, operation: Option<u32>) {
        if let Some(index) = operation {
            self.operation_mut(index).stop_requested = true;
            return;
        }
        self.cancel_requested = true;
        for index in self.active.iter().chain(self.delayed.iter().map(|(_, index)| index)) {
            self.operations[*index as usize].stop_requested = true;
        }
    }

    /// Nothing of the operation runs or is meant to.
    fn rest(&mut self, index: u32) {
        self.active.remove(&index);
        self.ready.remove(&index);
        if let Stage::Delayed { until, .. } = self.operation(index).stage {
            self.delayed.remove(&(until, index));
        }
        self.operation_mut(index).stage = Stage::Idle;
    }

    /// The operation has come to the end of being done; tells those that wait for it.
    fn settle(&mut self, index: u32, status: OperationStatus) {
        self.rest(index);
        self.doomed.remove(&index);
        self.has_begun = true;
        let state = self.operation_mut(index);
        if state.status == OperationStatus::Pending {
            self.pending -= 1;
        }
        let state = self.operation_mut(index);
        state.status = status;
        state.done = status;
        if matches!(self.phase, Phase::Reopened { .. }) {
            return;
        }
        let shape = Arc::clone(&self.shape);
        for (dependent, kind) in &shape.operations[index as usize].dependents {
            let waiting = &mut self.operations[*dependent as usize];
            if *kind == DependencyKind::Hard && status != OperationStatus::Completed {
                waiting.doomed = true;
            } else {
                waiting.unmet -= 1;
            }
            self.sort_pending(*dependent);
        }
    }

    /// Puts a pending, idle operation into the set it belongs to.
    pub(super) fn sort_pending(&mut self, index: u32) {
        let state = &self.operations[index as usize];
        if state.status != OperationStatus::Pending || state.stage != Stage::Idle {
            return;
        }
        if state.doomed {
            self.doomed.insert(index);
        } else if state.unmet == 0 {
            self.ready.insert(index);
        }
    }
}

impl OperationState {
    /// Whether it is being done or undone; `None` when idle.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match self.stage {
            Stage::Idle => None,
            Stage::Intended { direction, .. } | Stage::Running { direction, .. } | Stage::Delayed { direction, .. } => {
                Some(direction)
            }
        }
    }

    /// Whether its process may be running.
    #[must_use]
    pub fn may_run(&self) -> bool {
        matches!(self.stage, Stage::Running { .. } | Stage::Intended { intent: Intent::Launched, .. })
    }

    fn error_of(&mut self, direction: Direction) -> &mut Option<String> {
        match direction {
            Direction::Do => &mut self.error,
            Direction::Undo => &mut self.undo_error,
        }
    }

    /// The task of the present direction.
    #[must_use]
    pub fn current_task(&self) -> Option<TaskId> {
        self.direction().and_then(|direction| self.task_of(direction))
    }

    /// The task of a direction.
    #[must_use]
    pub fn task_of(&self, direction: Direction) -> Option<TaskId> {
        match direction {
            Direction::Do => self.task,
            Direction::Undo => self.undo_task,
        }
    }
}
