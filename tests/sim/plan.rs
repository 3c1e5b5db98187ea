//! What a run of the simulation is made of: batches, and a throw of the dice for each step.

use proptest::collection::vec;
use proptest::prelude::*;

use prov::model::batch::{
    Backoff, BatchSpec, Dependency, DependencyKind, OnFailure, Operation, Payload, Retry, Rollback,
};
use prov::model::name::Name;

/// The most operations of one batch.
const OPERATIONS: usize = 10;

/// Batches, and what fate has in store for them.
#[derive(Clone, Debug)]
pub struct Plan {
    pub batches: Vec<BatchPlan>,
    /// Attempts at once, of all batches together.
    pub max_parallel: usize,
    /// What happens, a throw a step. After the last one everything goes well.
    pub throws: Vec<u16>,
    /// What may happen.
    pub trouble: Trouble,
}

/// How bad it may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Crashes of daemon and store, nothing else: everything must be done in the end.
    Crashes,
    /// Failures, refusals, time-outs, cancels, retries, killed supervisors as well.
    All,
}

#[derive(Clone, Debug)]
pub struct BatchPlan {
    operations: Vec<OperationPlan>,
    parallel_limit: u32,
    rollback: bool,
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
    /// Random batches with random throws.
    pub fn any(trouble: Trouble) -> impl Strategy<Value = Self> {
        let throws = vec(any::<u16>(), 0..250);
        (vec(BatchPlan::any(), 1..3), 1usize..6, throws).prop_map(move |(batches, max_parallel, throws)| Self {
            batches,
            max_parallel,
            throws,
            trouble,
        })
    }

    /// Random batches and no throws: the caller brings its own trouble.
    pub fn quiet() -> impl Strategy<Value = Self> {
        Self::any(Trouble::All).prop_map(|plan| Self { throws: Vec::new(), ..plan })
    }
}

impl BatchPlan {
    fn any() -> impl Strategy<Value = Self> {
        let operation = (vec((1usize..6, 0u8..3), 0..4), 0u8..3, 1u32..4, 0u8..3);
        let operation = operation.prop_map(|(dependencies, on_failure, attempts, compensation)| OperationPlan {
            dependencies,
            on_failure,
            attempts,
            compensation,
        });
        (vec(operation, 1..=OPERATIONS), 1u32..5, any::<bool>())
            .prop_map(|(operations, parallel_limit, rollback)| Self { operations, parallel_limit, rollback })
    }

    /// The batch as a user describes it.
    pub fn spec(&self) -> BatchSpec {
        BatchSpec {
            name: "simulated".to_owned(),
            version: "1.0.0".to_owned(),
            parallel_limit: self.parallel_limit,
            rollback_enabled: self.rollback,
            rehearse: None,
            infra: name("sim"),
            operations: self.operations.iter().enumerate().map(|(index, plan)| plan.operation(index)).collect(),
        }
    }
}

impl OperationPlan {
    fn operation(&self, index: usize) -> Operation {
        let kinds = [DependencyKind::Hard, DependencyKind::Soft, DependencyKind::Optional];
        let dependency = |(back, kind): &(usize, u8)| {
            let on = index.checked_sub(*back)?;
            Some(Dependency { operation_id: id(on), kind: kinds[usize::from(*kind)] })
        };
        let command = Payload::Command {
            command: "do".to_owned(),
            args: Vec::new(),
            env: std::collections::BTreeMap::default(),
            cwd: None,
        };
        let (payload, rollback) = match self.compensation {
            0 => (command, None),
            1 => (command, Some(Rollback { command: UNDO.to_owned(), args: Vec::new() })),
            _ => (Payload::ServerBatch { server_configs: Vec::new() }, None),
        };
        Operation {
            id: id(index),
            payload,
            provider: None,
            dependencies: self.dependencies.iter().filter_map(dependency).collect(),
            timeout_seconds: 60,
            on_failure: [OnFailure::Rollback, OnFailure::Fail, OnFailure::Continue][usize::from(self.on_failure)],
            retry: Retry {
                max_attempts: self.attempts,
                backoff: Backoff::Linear,
                initial_delay_seconds: 1,
                max_delay_seconds: 5,
            },
            rollback,
        }
    }
}

/// The program of a compensation that the user names.
pub const UNDO: &str = "undo";

/// The operation of an index.
pub fn id(index: usize) -> Name {
    name(&format!("o{index}"))
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}
