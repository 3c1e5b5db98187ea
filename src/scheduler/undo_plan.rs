//! Which steps undo operations of batches, and run others again, and in which order.
//!
//! Within a batch an operation is undone after everything that depends on it, and run again after everything it depends on,
//! also where what lies between the two is not part of the plan. Of several batches of one infra, what was completed last
//! is undone first and run again last; whatever is run again there waits for all that is undone. Every step that a provider
//! can be asked about is followed by a proof, and what waits for the step waits for that. Pure: knows no store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::command::{self, Program};
use crate::engine::{Direction, Shape, retry};
use crate::model::batch::{Backoff, BatchSpec, DependencyKind, Retry};
use crate::model::id::BatchId;
use crate::model::name::Name;
use crate::model::rollback::{RollbackAction, RollbackStep};

/// How long a provider may take to answer.
const PROOF_TIMEOUT_SECONDS: u64 = 300;
/// How often it is asked: what was just deleted may be there a while.
const PROOF_RETRY: Retry =
    Retry { max_attempts: 4, backoff: Backoff::Exponential, initial_delay_seconds: 1, max_delay_seconds: 30 };

/// What is to be done about a batch.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The batch.
    pub id: BatchId,
    /// As it was accepted.
    pub spec: BatchSpec,
    /// Operations to undo, each with the place in the log where it came to its end.
    pub undo: BTreeMap<u32, u64>,
    /// Operations to run again, likewise.
    pub redo: BTreeMap<u32, u64>,
}

/// The steps that do what is wanted, each after what it waits for.
#[must_use]
pub fn steps(program: &Program, wanted: &[Wanted]) -> Vec<RollbackStep> {
    let mut plan = Plan { program, steps: Vec::new() };
    let infras: BTreeSet<&Name> = wanted.iter().map(|batch| &batch.spec.infra).collect();
    for infra in infras {
        let batches: Vec<&Wanted> = wanted.iter().filter(|batch| &batch.spec.infra == infra).collect();
        let undone = plan.lay(&batches, RollbackAction::Undo, &[]);
        plan.lay(&batches, RollbackAction::Redo, &undone);
    }
    plan.steps
}

struct Plan<'p> {
    program: &'p Program,
    steps: Vec<RollbackStep>,
}

/// An operation in the order in which it is undone or run again.
struct Node<'w> {
    batch: &'w Wanted,
    operation: u32,
    /// By which those of several batches are ordered: places of the log, turned round for what is undone.
    key: u64,
    /// The operations of the same batch that come before it.
    after: Vec<u32>,
}

impl Plan<'_> {
    /// Lays down the steps of one action, none before all of `first` are done; answers those that nothing else waits for.
    fn lay(&mut self, batches: &[&Wanted], action: RollbackAction, first: &[u32]) -> Vec<u32> {
        let mut nodes: Vec<Node<'_>> = batches.iter().flat_map(|batch| ordered(batch, action)).collect();
        // Stable: within a batch the order of its graph holds where keys are equal.
        nodes.sort_by_key(|node| node.key);
        let mut laid: HashMap<(BatchId, u32), u32> = HashMap::new();
        // A run is what of one batch comes in a row. Of the run before and of this one: what nothing waits for yet.
        let (mut before, mut open) = (first.to_vec(), BTreeSet::new());
        let (mut run, mut start): (Option<BatchId>, u32) = (None, 0);
        for node in &nodes {
            if run != Some(node.batch.id) {
                if run.is_some() {
                    before = std::mem::take(&mut open).into_iter().collect();
                }
                (run, start) = (Some(node.batch.id), crate::engine::index(self.steps.len()));
            }
            let own = node.after.iter().filter_map(|on| laid.get(&(node.batch.id, *on)).copied());
            let mut waits_for: BTreeSet<u32> = own.collect();
            open.retain(|index| !waits_for.contains(index));
            if waits_for.iter().all(|index| *index < start) {
                waits_for.extend(&before);
            }
            let index = self.step(node, action, &waits_for);
            laid.insert((node.batch.id, node.operation), index);
            open.insert(index);
        }
        if run.is_none() { before } else { open.into_iter().collect() }
    }

    /// Lays down a step with its proof; answers the one that others wait for.
    fn step(&mut self, node: &Node<'_>, action: RollbackAction, waits_for: &BTreeSet<u32>) -> u32 {
        let operation = &node.batch.spec.operations[node.operation as usize];
        let direction = if action.undoes() { Direction::Undo } else { Direction::Do };
        let step = RollbackStep {
            action,
            batch: node.batch.id,
            operation: node.operation,
            operation_id: operation.id.clone(),
            infra: node.batch.spec.infra.clone(),
            dependencies: waits_for.iter().map(|index| (*index, DependencyKind::Hard)).collect(),
            proves: None,
            timeout_seconds: operation.timeout_seconds,
            retry: if action.undoes() { retry::undo(&operation.retry) } else { operation.retry },
        };
        let index = crate::engine::index(self.steps.len());
        self.steps.push(step.clone());
        if command::proof_line(self.program, &node.batch.spec, operation, direction).is_none() {
            return index;
        }
        self.steps.push(RollbackStep {
            action: if action.undoes() { RollbackAction::ProveUndone } else { RollbackAction::ProveRedone },
            // Asked whatever became of it: what is left is to be known then most of all.
            dependencies: vec![(index, DependencyKind::Soft)],
            proves: Some(index),
            timeout_seconds: PROOF_TIMEOUT_SECONDS,
            retry: PROOF_RETRY,
            ..step
        });
        index + 1
    }
}

/// The operations of a batch that are wanted, in the order of its graph, with keys that agree with it.
fn ordered(batch: &Wanted, action: RollbackAction) -> Vec<Node<'_>> {
    let shape = Shape::of(&batch.spec);
    let wanted = if action.undoes() { &batch.undo } else { &batch.redo };
    let earlier = |index: u32| {
        let node = &shape.operations[index as usize];
        if action.undoes() { &node.dependents } else { &node.dependencies }
    };
    let mut keys: HashMap<u32, u64> = HashMap::new();
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for operation in sorted(&shape, action) {
        let Some(place) = wanted.get(&operation) else { continue };
        let after = nearest(operation, earlier, |index| wanted.contains_key(&index));
        let own = if action.undoes() { u64::MAX - place } else { *place };
        let key = after.iter().filter_map(|on| keys.get(on)).copied().fold(own, u64::max);
        keys.insert(operation, key);
        nodes.push(Node { batch, operation, key, after });
    }
    nodes
}

/// All operations, each after those that come before it for this action.
fn sorted(shape: &Shape, action: RollbackAction) -> Vec<u32> {
    let sides = |index: u32| {
        let node = &shape.operations[index as usize];
        if action.undoes() { (&node.dependents, &node.dependencies) } else { (&node.dependencies, &node.dependents) }
    };
    let count = crate::engine::index(shape.operations.len());
    let mut missing: Vec<usize> = (0..count).map(|index| sides(index).0.len()).collect();
    let mut free: BTreeSet<u32> = (0..count).filter(|index| missing[*index as usize] == 0).collect();
    let mut order = Vec::with_capacity(shape.operations.len());
    while let Some(index) = free.pop_first() {
        order.push(index);
        for (next, _) in sides(index).1 {
            missing[*next as usize] -= 1;
            if missing[*next as usize] == 0 {
                free.insert(*next);
            }
        }
    }
    order
}

/// The nearest operations of a kind that can be reached by steps, through whatever isn't of it.
fn nearest<'s>(
    from: u32,
    neighbours: impl Fn(u32) -> &'s Vec<(u32, DependencyKind)>,
    is_wanted: impl Fn(u32) -> bool,
) -> Vec<u32> {
    let (mut found, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![from]);
    while let Some(index) = left.pop() {
        for (next, _) in neighbours(index) {
            if is_wanted(*next) {
                found.insert(*next);
            } else if seen.insert(*next) {
                left.push(*next);
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::{Dependency, OnFailure, Operation, Payload};
    use crate::model::rehearsal::ProviderMode;
    use proptest::prelude::*;
    use uuid::Uuid;

    /// A batch of `edges.len()` operations: which ones each depends on, by distance back, and whether it can be proved.
    fn spec(infra: u8, edges: &[(Vec<usize>, bool)]) -> BatchSpec {
        let name = |index: usize| Name::new(format!("o{index}")).unwrap();
        let operation = |(index, (back, is_proved)): (usize, &(Vec<usize>, bool))| Operation {
            id: name(index),
            payload: if *is_proved {
                Payload::ServerBatch { server_configs: Vec::new() }
            } else {
                Payload::Command { command: "do".to_owned(), args: vec![], env: BTreeMap::new(), cwd: None }
            },
            provider: None,
            dependencies: back
                .iter()
                .filter_map(|back| index.checked_sub(*back))
                .map(|on| Dependency { operation_id: name(on), kind: DependencyKind::Hard })
                .collect(),
            timeout_seconds: 60,
            on_failure: OnFailure::Rollback,
            retry: Retry::default(),
            rollback: None,
        };
        BatchSpec {
            name: "b".to_owned(),
            version: "1".to_owned(),
            parallel_limit: 3,
            rollback_enabled: true,
            rehearse: None,
            infra: Name::new(format!("i{infra}")).unwrap(),
            operations: edges.iter().enumerate().map(operation).collect(),
        }
    }

    /// An infra, the graph, and bits that choose what is undone and what is done again.
    type Drawn = (u8, Vec<(Vec<usize>, bool)>, u8, u8);

    fn any_wanted() -> impl Strategy<Value = Vec<Wanted>> {
        let operation = (prop::collection::vec(1usize..4, 0..3), any::<bool>());
        let batch = (0u8..2, prop::collection::vec(operation, 1..7), any::<u8>(), any::<u8>());
        prop::collection::vec((batch, 0u64..9), 1..4).prop_map(|batches| {
            let wanted = |(number, ((infra, edges, undo, redo), offset)): (u128, (Drawn, u64))| {
                let spec = spec(infra, &edges);
                // Operations end in the order of the graph; those of other batches in between.
                let places = |bits: u8| {
                    let chosen = (0u32..).zip(&edges).filter(move |(index, _)| bits >> index & 1 == 1);
                    chosen.map(|(index, _)| (index, offset + u64::from(index) * 3)).collect::<BTreeMap<_, _>>()
                };
                let undo = places(undo);
                let redo = places(redo).into_iter().filter(|(index, _)| !undo.contains_key(index)).collect();
                Wanted { id: BatchId(Uuid::from_u128(number)), spec, undo, redo }
            };
            (1u128..).zip(batches).map(wanted).collect()
        })
    }

    /// What each step waits for, at any distance.
    fn reaches(steps: &[RollbackStep]) -> Vec<BTreeSet<u32>> {
        let mut all: Vec<BTreeSet<u32>> = Vec::new();
        for step in steps {
            let mut before = BTreeSet::new();
            for (on, _) in &step.dependencies {
                assert!((*on as usize) < all.len(), "a step waits for a later one");
                before.insert(*on);
                before.extend(&all[*on as usize]);
            }
            all.push(before);
        }
        all
    }

    proptest! {
        #[test]
        fn everything_wanted_is_done_once_and_in_order(wanted in any_wanted()) {
            let program = Program { path: "prov".into(), mode: ProviderMode::Live };
            let steps = steps(&program, &wanted);
            let before = reaches(&steps);
            let find = |batch: BatchId, operation: u32, action: RollbackAction| {
                let mut found = (0u32..).zip(&steps).filter(|(_, step)| {
                    (step.batch, step.operation, step.action) == (batch, operation, action)
                });
                let first = found.next().map(|(index, _)| index);
                assert!(found.next().is_none(), "a step stands twice in the plan");
                first
            };
            let mut count = 0;
            for batch in &wanted {
                let shape = Shape::of(&batch.spec);
                let depends = |from: u32, on: u32| {
                    let mut left = vec![from];
                    let mut seen = BTreeSet::new();
                    while let Some(index) = left.pop() {
                        for (next, _) in &shape.operations[index as usize].dependencies {
                            if seen.insert(*next) {
                                left.push(*next);
                            }
                        }
                    }
                    seen.contains(&on)
                };
                for (action, operations) in
                    [(RollbackAction::Undo, &batch.undo), (RollbackAction::Redo, &batch.redo)]
                {
                    for operation in operations.keys() {
                        count += 1;
                        let step = find(batch.id, *operation, action);
                        prop_assert!(step.is_some());
                        let proof = find(batch.id, *operation, if action.undoes() {
                            RollbackAction::ProveUndone
                        } else {
                            RollbackAction::ProveRedone
                        });
                        let is_server = matches!(batch.spec.operations[*operation as usize].payload, Payload::ServerBatch { .. });
                        prop_assert_eq!(proof.is_some(), is_server);
                        prop_assert!(proof.is_none_or(|proof| steps[proof as usize].proves == step));
                        count += usize::from(proof.is_some());
                        for other in operations.keys().filter(|other| depends(*operation, **other)) {
                            let other = find(batch.id, *other, action);
                            let (first, last) = if action.undoes() { (step, other) } else { (other, step) };
                            prop_assert!(before[last.unwrap() as usize].contains(&first.unwrap()));
                        }
                        // Across batches of the infra: the later place goes first, and undoing goes before doing again.
                        for other in wanted.iter().filter(|other| other.id != batch.id && other.spec.infra == batch.spec.infra) {
                            for undone in other.undo.keys().filter(|_| !action.undoes()) {
                                let undone = find(other.id, *undone, RollbackAction::Undo).unwrap();
                                prop_assert!(before[step.unwrap() as usize].contains(&undone));
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(count, steps.len());
        }

        #[test]
        fn what_was_completed_last_is_undone_first(first in 1usize..5, second in 1usize..5) {
            let program = Program { path: "prov".into(), mode: ProviderMode::Live };
            let batch = |number: u128, count: usize, start: u64| Wanted {
                id: BatchId(Uuid::from_u128(number)),
                spec: spec(0, &vec![(vec![], true); count]),
                undo: (0..count as u64).map(|index| (u32::try_from(index).unwrap(), start + index)).collect(),
                redo: BTreeMap::new(),
            };
            let steps = steps(&program, &[batch(1, first, 0), batch(2, second, 100)]);
            let before = reaches(&steps);
            for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.batch.0.as_u128() == 1) {
                let later = (0u32..).zip(&steps).filter(|(_, other)| other.batch.0.as_u128() == 2);
                for (other, _) in later {
                    prop_assert!(before[index].contains(&other), "{step:?}");
                }
            }
        }
    }
}
