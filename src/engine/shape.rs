//! What the engine knows of work that doesn't change: the graph and the rules of each operation.

use std::time::Duration;

use crate::model::batch::{BatchSpec, DependencyKind, OnFailure, Payload, Retry};
use crate::model::rollback::{RollbackAction, RollbackSpec, RollbackStep};

/// The unchanging part of a unit of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Operations at once, at least 1.
    pub parallel_limit: u32,
    /// Whether a failure undoes what was done.
    pub rollback: bool,
    /// Whether it is itself a rollback: it can't be ended on request, and has succeeded only if all of it has.
    pub is_rollback: bool,
    /// The graph; operations are named by their index.
    pub operations: Vec<OperationShape>,
}

/// The unchanging part of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationShape {
    /// What it waits for: index, and whether success is needed (`hard`) or only an end.
    pub dependencies: Vec<(u32, DependencyKind)>,
    /// What waits for it: the reverse of `dependencies`.
    pub dependents: Vec<(u32, DependencyKind)>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// What its failure means.
    pub on_failure: OnFailure,
    /// When and how often it is tried again.
    pub retry: Retry,
    /// What undoing it means.
    pub compensation: Compensation,
    /// The operation whose success it proves: when the proof fails, both are tried again.
    pub proves: Option<u32>,
    /// Whether its success makes good a failure of what it proves.
    pub makes_good: bool,
}

/// When an operation's compensation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compensation {
    /// Never: it has none.
    None,
    /// After it was Completed. A command of the user's own is taken to be all or nothing.
    WhenCompleted,
    /// After it ever started: it removes whatever part was made.
    WhenStarted,
}

impl Shape {
    /// A graph of one operation without compensation: a workflow's task.
    #[must_use]
    pub fn single(timeout: Duration) -> Self {
        let operation = OperationShape {
            dependencies: Vec::new(),
            dependents: Vec::new(),
            timeout,
            on_failure: OnFailure::Fail,
            retry: Retry::default(),
            compensation: Compensation::None,
            proves: None,
            makes_good: false,
        };
        Self { parallel_limit: 1, rollback: false, is_rollback: false, operations: vec![operation] }
    }

    /// The shape of a batch whose graph is known to hold together (see [`super::graph::check`]); a dependency on an
    /// operation that is absent is left out.
    #[must_use]
    pub fn of(batch: &BatchSpec) -> Self {
        let ids = batch.operations.iter().enumerate().map(|(index, operation)| (&operation.id, super::index(index)));
        let indices: std::collections::HashMap<_, _> = ids.collect();
        let shape = |operation: &crate::model::batch::Operation| {
            let known = |wanted: &crate::model::batch::Dependency| {
                indices.get(&wanted.operation_id).map(|index| (*index, wanted.kind))
            };
            let mut dependencies: Vec<_> = operation.dependencies.iter().filter_map(known).collect();
            dependencies.sort_by_key(|(index, kind)| (*index, *kind != DependencyKind::Hard));
            dependencies.dedup_by_key(|(index, _)| *index);
            OperationShape {
                dependencies,
                dependents: Vec::new(),
                timeout: Duration::from_secs(operation.timeout_seconds),
                on_failure: operation.on_failure,
                retry: operation.retry,
                compensation: compensation(operation),
                proves: None,
                makes_good: false,
            }
        };
        Self {
            parallel_limit: batch.parallel_limit.max(1),
            rollback: batch.rollback_enabled,
            is_rollback: false,
            operations: linked(batch.operations.iter().map(shape).collect()),
        }
    }

    /// The shape of a rollback: what of it fails keeps up only what waits for it.
    #[must_use]
    pub fn of_rollback(rollback: &RollbackSpec) -> Self {
        let shape = |step: &RollbackStep| OperationShape {
            dependencies: step.dependencies.clone(),
            dependents: Vec::new(),
            timeout: Duration::from_secs(step.timeout_seconds),
            on_failure: OnFailure::Continue,
            retry: step.retry,
            compensation: Compensation::None,
            proves: step.proves,
            makes_good: step.action == RollbackAction::ProveUndone,
        };
        Self {
            parallel_limit: rollback.parallel_limit.max(1),
            rollback: false,
            is_rollback: true,
            operations: linked(rollback.steps.iter().map(shape).collect()),
        }
    }
}

/// With what waits for each operation, as its dependencies say.
fn linked(mut operations: Vec<OperationShape>) -> Vec<OperationShape> {
    for index in 0..operations.len() {
        for (dependency, kind) in operations[index].dependencies.clone() {
            operations[dependency as usize].dependents.push((super::index(index), kind));
        }
    }
    operations
}

fn compensation(operation: &crate::model::batch::Operation) -> Compensation {
    match (&operation.payload, &operation.rollback) {
        (Payload::Command { .. }, None) => Compensation::None,
        (Payload::Command { .. }, Some(_)) => Compensation::WhenCompleted,
        _ => Compensation::WhenStarted,
    }
}
