//! What follows from the state alone: intents, skips, the turn to unwinding, the end.

use super::event::{Direction, Event};
use super::work::{Phase, Work};
use super::{Inputs, react};
use crate::model::status::{BatchStatus, OperationStatus};

/// Applies everything that follows from the state until nothing more does, and returns it in order.
pub fn advance(work: &mut Work, inputs: &mut Inputs<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let next = match work.phase {
            Phase::Forward => forward(work, inputs),
            Phase::Halted { unwind } => halted(work, unwind),
            Phase::Unwinding => unwinding(work, inputs),
            Phase::Reopened { .. } | Phase::Ended(_) => Vec::new(),
        };
        if next.is_empty() {
            return events;
        }
        for event in &next {
            work.apply(event);
        }
        events.extend(next);
    }
}

fn forward(work: &Work, inputs: &mut Inputs<'_>) -> Vec<Event> {
    if !work.doomed.is_empty() {
        return work.doomed.iter().map(|operation| Event::Skipped { operation: *operation }).collect();
    }
    let intents = intents(work, Direction::Do, inputs);
    if intents.is_empty() && work.active.is_empty() && work.delayed.is_empty() && work.pending == 0 {
        let failed =
            work.shape.is_rollback && !(0..work.operations.len()).all(|index| work.is_done(super::index(index)));
        return vec![Event::Ended { status: if failed { BatchStatus::Failed } else { BatchStatus::Completed } }];
    }
    intents
}

/// How many intents are made ahead of slots, so that a free slot never waits for the disk: two commits take about 7 ms,
/// in which eight slots get through some twenty short operations. More are made once half of them have got a slot, many at
/// a time: a commit with an intent in it is not put off.
const AHEAD: usize = 64;

fn intents(work: &Work, direction: Direction, inputs: &mut Inputs<'_>) -> Vec<Event> {
    let ahead = work.active.len().saturating_sub(work.shape.parallel_limit as usize);
    if ahead > AHEAD / 2 {
        return Vec::new();
    }
    let room = work.shape.parallel_limit as usize + AHEAD - work.active.len();
    let due = work.delayed.iter().take_while(|(until, _)| *until <= inputs.now);
    let again: Vec<u32> = due.map(|(_, index)| *index).take(room).collect();
    let first = work.ready.iter().take(room - again.len()).copied();
    let operations: Vec<u32> = again.iter().copied().chain(first).collect();
    let mut intend = |operation: u32| {
        let state = work.operation(operation);
        let task = match direction {
            Direction::Do if state.attempt > 0 => state.task,
            Direction::Do => None,
            Direction::Undo => state.undo_task,
        };
        let task = task.unwrap_or_else(|| (inputs.new_task)());
        Event::Intended { operation, direction, attempt: state.attempt + 1, task }
    };
    operations.into_iter().map(&mut intend).collect()
}

fn halted(work: &Work, unwind: bool) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for index in &work.active {
        if !work.operation(*index).may_run() {
            events.push(Event::Withdrawn { operation: *index });
        }
    }
    for (_, index) in &work.delayed {
        events.push(react::give_up(work, *index));
    }
    if !events.is_empty() || !work.active.is_empty() {
        return events;
    }
    let idle = |(index, state): (usize, &super::work::OperationState)| {
        (state.status == OperationStatus::Pending || state.status == OperationStatus::Running).then(|| {
            let operation = super::index(index);
            // An operation whose attempts were cut short had started; one that never did is skipped.
            if state.started { react::give_up(work, operation) } else { Event::Skipped { operation } }
        })
    };
    events.extend(work.operations.iter().enumerate().filter_map(idle));
    if !events.is_empty() {
        return events;
    }
    if unwind {
        return vec![Event::Unwinding];
    }
    let status = if work.cancel_requested { BatchStatus::Cancelled } else { BatchStatus::Failed };
    vec![Event::Ended { status }]
}

fn unwinding(work: &Work, inputs: &mut Inputs<'_>) -> Vec<Event> {
    let intents = intents(work, Direction::Undo, inputs);
    if !intents.is_empty() || !work.active.is_empty() || !work.delayed.is_empty() {
        return intents;
    }
    let left = (0..work.operations.len()).any(|index| work.needs_undo(super::index(index)));
    vec![Event::Ended { status: if left { BatchStatus::RollbackFailed } else { BatchStatus::RolledBack } }]
}
