//! What a command makes of the state: one function a command.

use super::event::{Command, Direction, Event, Outcome};
use super::work::{Phase, Stage, Work};
use super::{retry, shape};
use crate::model::batch::OnFailure;
use crate::model::id::WorkId;
use crate::model::status::{BatchStatus, OperationStatus};
use crate::model::time::Timestamp;

/// A command that the state doesn't allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It has ended.
    #[error("it has already ended ({0})")]
    Ended(BatchStatus),
    /// It hasn't ended.
    #[error("it hasn't ended yet ({0})")]
    NotEnded(BatchStatus),
    /// Its compensations run, and nothing may end those.
    #[error("it is being rolled back, which can't be cancelled")]
    Unwinding,
    /// Everything is done.
    #[error("there is nothing to try again: every operation is done")]
    NothingFailed,
    /// A rollback was to take hold of a batch that goes on.
    #[error("batch {0} hasn't ended yet ({1}); wait for its end, or cancel it")]
    AtWork(WorkId, BatchStatus),
    /// A rollback has hold of it.
    #[error("rollback {0} is at work on it")]
    Held(WorkId),
    /// What the rollback was to go on with was changed by something else.
    #[error("batch {0} was changed since by something else than this rollback; ask for a new one")]
    Changed(WorkId),
    /// It isn't in the state that whoever planned the rollback saw.
    #[error("batch {0} isn't as it was when the rollback was planned; look at the plan again")]
    NotAsPlanned(WorkId),
    /// A rollback that somebody asked for left it as it is: to try the whole again would undo more than was asked for.
    #[error("rollback {0} left it so; go on with that one, or roll back anew")]
    LeftBy(WorkId),
    /// Somebody accepted it as it is.
    #[error("it was accepted as it is, and can't be gone on with; ask for a new rollback")]
    Closed,
    /// Only what is stuck can be left as it is.
    #[error("that operation of the rollback hasn't failed")]
    NotStuck,
}

/// What follows from a command: events, and the operations whose process is to be ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reaction {
    /// In order; not yet applied.
    pub events: Vec<Event>,
    /// Operations to signal once the events are durable.
    pub signals: Vec<u32>,
}

/// What the command makes of the state. A stale report (of an attempt that isn't the present one) makes nothing.
///
/// # Errors
/// When the state doesn't allow the command.
pub fn react(work: &Work, command: &Command) -> Result<Reaction, NotNow> {
    match command {
        Command::Started { operation, attempt, at } => Ok(started(work, *operation, *attempt, *at)),
        Command::Exited { operation, attempt, at, outcome } => Ok(exited(work, *operation, *attempt, *at, outcome)),
        Command::Cancel { operation: None, rollback } => cancel(work, *rollback),
        Command::Cancel { operation: Some(operation), .. } => cancel_operation(work, *operation),
        Command::Retry => retry_all(work),
        Command::Waive { operation, reason } => waive(work, *operation, reason),
        Command::Close { reason } => close(work, reason),
    }
}

fn started(work: &Work, operation: u32, attempt: u32, at: Timestamp) -> Reaction {
    let state = work.operation(operation);
    let current = state.attempt == attempt && matches!(state.stage, Stage::Intended { .. });
    if !current {
        return Reaction::default();
    }
    let deadline = at.plus(work.shape.operations[operation as usize].timeout);
    Reaction { events: vec![Event::Started { operation, at, deadline }], signals: Vec::new() }
}

fn exited(work: &Work, operation: u32, attempt: u32, at: Timestamp, outcome: &Outcome) -> Reaction {
    let state = work.operation(operation);
    let (direction, deadline) = match state.stage {
        Stage::Intended { direction, .. } => (direction, None),
        Stage::Running { direction, deadline } => (direction, Some(deadline)),
        Stage::Idle | Stage::Delayed { .. } => return Reaction::default(),
    };
    if state.attempt != attempt {
        return Reaction::default();
    }
    let error = match outcome {
        Outcome::Success => {
            return Reaction { events: vec![Event::Succeeded { operation, direction }], signals: Vec::new() };
        }
        Outcome::Ended(_) if deadline.is_some_and(|deadline| at >= deadline) && !state.stop_requested => {
            format!(
                "it took longer than {} s and was ended",
                work.shape.operations[operation as usize].timeout.as_secs()
            )
        }
        Outcome::Failure(error) | Outcome::Ended(error) | Outcome::Lost(error) => error.clone(),
    };
    let events = match direction {
        Direction::Do => failed(work, operation, at, error),
        Direction::Undo => undo_failed(work, operation, at, error),
    };
    Reaction { events, signals: Vec::new() }
}

fn failed(work: &Work, operation: u32, at: Timestamp, error: String) -> Vec<Event> {
    let state = work.operation(operation);
    let rules = &work.shape.operations[operation as usize];
    if state.stop_requested {
        return ended(work, operation, Event::Stopped { operation });
    }
    if state.attempt < rules.retry.max_attempts && work.phase == Phase::Forward {
        let delay = retry::delay(&rules.retry, state.attempt, seed(work, operation, state.attempt));
        return vec![Event::AttemptFailed { operation, direction: Direction::Do, error, again_at: at.plus(delay) }];
    }
    ended(work, operation, Event::Failed { operation, direction: Direction::Do, error })
}

fn undo_failed(work: &Work, operation: u32, at: Timestamp, error: String) -> Vec<Event> {
    let state = work.operation(operation);
    let rules = retry::undo(&work.shape.operations[operation as usize].retry);
    if state.attempt < rules.max_attempts {
        let delay = retry::delay(&rules, state.attempt, seed(work, operation, state.attempt));
        return vec![Event::AttemptFailed { operation, direction: Direction::Undo, error, again_at: at.plus(delay) }];
    }
    vec![Event::Failed { operation, direction: Direction::Undo, error }]
}

/// An operation's end without success, and what that means for the whole.
fn ended(work: &Work, operation: u32, event: Event) -> Vec<Event> {
    let rules: &shape::OperationShape = &work.shape.operations[operation as usize];
    let unwind = rules.on_failure == OnFailure::Rollback && work.shape.rollback;
    let reason = match &event {
        Event::Failed { error, .. } => error.clone(),
        _ => "it was cancelled".to_owned(),
    };
    let mut events = vec![event];
    let halts = match work.phase {
        Phase::Forward => rules.on_failure != OnFailure::Continue,
        // A later failure can still ask for the rollback that the first did not.
        Phase::Halted { unwind: false } => unwind && !work.cancel_requested,
        _ => false,
    };
    if halts {
        events.push(Event::Halted { unwind, reason });
    }
    events
}

/// What follows for an intent that has no process, where the end of its operation was asked for: there is nothing to
/// signal, so it ends here. When the whole work was halted, the intent is withdrawn instead.
pub(super) fn stop_before_start(work: &Work, operation: u32) -> Vec<Event> {
    let state = work.operation(operation);
    let waits = matches!(state.stage, Stage::Intended { direction: Direction::Do, .. }) && !state.may_run();
    if state.stop_requested && waits && work.phase == Phase::Forward {
        ended(work, operation, Event::Stopped { operation })
    } else {
        Vec::new()
    }
}

/// An operation that waits for an attempt which won't come any more.
pub(super) fn give_up(work: &Work, operation: u32) -> Event {
    let state = work.operation(operation);
    if work.cancel_requested || state.stop_requested {
        return Event::Stopped { operation };
    }
    Event::Failed {
        operation,
        direction: Direction::Do,
        error: state.error.clone().unwrap_or_else(|| "it was not tried again".to_owned()),
    }
}

fn cancel(work: &Work, rollback: bool) -> Result<Reaction, NotNow> {
    let unwind = match work.phase {
        Phase::Ended(status) => return Err(NotNow::Ended(status)),
        Phase::Unwinding | Phase::Reopened { .. } => return Err(NotNow::Unwinding),
        _ if work.shape.is_rollback => return Err(NotNow::Unwinding),
        Phase::Forward => rollback,
        Phase::Halted { unwind } => unwind || rollback,
    };
    let events = vec![
        Event::CancelRequested { operation: None, rollback },
        Event::Halted { unwind, reason: "it was cancelled".to_owned() },
    ];
    let signals = work.active.iter().copied().filter(|index| work.operation(*index).may_run()).collect();
    Ok(Reaction { events, signals })
}

fn cancel_operation(work: &Work, operation: u32) -> Result<Reaction, NotNow> {
    if let Phase::Ended(status) = work.phase {
        return Err(NotNow::Ended(status));
    }
    if work.shape.is_rollback {
        return Err(NotNow::Unwinding);
    }
    let state = work.operation(operation);
    let request = Event::CancelRequested { operation: Some(operation), rollback: false };
    match state.stage {
        Stage::Intended { direction: Direction::Undo, .. }
        | Stage::Running { direction: Direction::Undo, .. }
        | Stage::Delayed { direction: Direction::Undo, .. } => Err(NotNow::Unwinding),
        _ if state.may_run() => Ok(Reaction { events: vec![request], signals: vec![operation] }),
        Stage::Idle if state.status != OperationStatus::Pending => Err(NotNow::Ended(work.status())),
        _ => {
            let mut events = vec![request];
            events.extend(ended(work, operation, Event::Stopped { operation }));
            Ok(Reaction { events, signals: Vec::new() })
        }
    }
}

fn retry_all(work: &Work) -> Result<Reaction, NotNow> {
    let Phase::Ended(status) = work.phase else { return Err(NotNow::NotEnded(work.status())) };
    if work.is_closed {
        return Err(NotNow::Closed);
    }
    if let (BatchStatus::RollbackFailed, Some(rollback)) = (status, work.reopened_by) {
        return Err(NotNow::LeftBy(rollback));
    }
    let is_undone = work.shape.is_rollback && status == BatchStatus::Completed;
    if is_undone
        || status == BatchStatus::Completed
            && work.operations.iter().all(|state| state.status == OperationStatus::Completed)
    {
        return Err(NotNow::NothingFailed);
    }
    Ok(Reaction { events: vec![Event::Retried], signals: Vec::new() })
}

/// A stuck operation of a rollback stays as it is, with what should have proved it; what waits for them goes on.
fn waive(work: &Work, operation: u32, reason: &str) -> Result<Reaction, NotNow> {
    let retried = retry_all(work)?.events;
    let proofs = (0u32..).zip(&work.shape.operations).filter(|(_, shape)| shape.proves == Some(operation));
    let stuck = |index: &u32| work.is_stuck(*index);
    let waived: Vec<u32> = [operation].into_iter().chain(proofs.map(|(index, _)| index)).filter(stuck).collect();
    if waived.is_empty() {
        return Err(NotNow::NotStuck);
    }
    let waived = waived.into_iter().map(|operation| Event::Waived { operation, reason: reason.to_owned() });
    Ok(Reaction { events: waived.chain(retried).collect(), signals: Vec::new() })
}

fn close(work: &Work, reason: &str) -> Result<Reaction, NotNow> {
    retry_all(work)?;
    Ok(Reaction { events: vec![Event::Closed { reason: reason.to_owned() }], signals: Vec::new() })
}

/// Stands for randomness in the delay of one attempt.
fn seed(work: &Work, operation: u32, attempt: u32) -> u64 {
    work.id.0.as_u64_pair().1 ^ (u64::from(operation) << 32) ^ u64::from(attempt)
}
