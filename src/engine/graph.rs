//! Whether a batch's graph holds together: every problem of it at once, and the waves it would run in.

use std::collections::{HashMap, HashSet};

use crate::model::batch::{BatchSpec, DependencyKind};
use crate::model::name::Name;
use crate::model::nearest::nearest;

/// Something wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphProblem {
    /// Two operations have one id.
    #[error("two operations have the id `{id}`")]
    DuplicateId {
        /// The id.
        id: Name,
        /// The second one's index.
        index: usize,
    },
    /// A dependency names no operation.
    #[error("`{operation}` depends on `{missing}`, which is no operation of this batch{}", near(nearest.as_deref()))]
    UnknownDependency {
        /// Who depends.
        operation: Name,
        /// On what.
        missing: Name,
        /// What may have been meant.
        nearest: Option<String>,
        /// The operation's index.
        index: usize,
        /// The dependency's index within it.
        dependency: usize,
    },
    /// Operations wait for each other.
    #[error("these operations wait for each other: {}", path.iter().map(Name::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// The way round; the first operation stands at the end again.
        path: Vec<Name>,
        /// The first one's index.
        index: usize,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl GraphProblem {
    /// Where in the request's body the problem is, as a JSON pointer.
    #[must_use]
    pub fn pointer(&self) -> String {
        match self {
            Self::DuplicateId { index, .. } => format!("/operations/{index}/id"),
            Self::UnknownDependency { index, dependency, .. } => {
                format!("/operations/{index}/dependencies/{dependency}")
            }
            Self::Cycle { index, .. } => format!("/operations/{index}/dependencies"),
        }
    }
}

/// Every problem of the batch's graph; empty when it holds together.
#[must_use]
pub fn check(batch: &BatchSpec) -> Vec<GraphProblem> {
    let mut indices: HashMap<&Name, usize> = HashMap::new();
    let mut problems = Vec::new();
    for (index, operation) in batch.operations.iter().enumerate() {
        if indices.contains_key(&operation.id) {
            problems.push(GraphProblem::DuplicateId { id: operation.id.clone(), index });
        } else {
            indices.insert(&operation.id, index);
        }
    }
    problems.extend(unknown_dependencies(batch, &indices));
    let edges: Vec<Vec<usize>> = batch
        .operations
        .iter()
        .map(|operation| operation.dependencies.iter().filter_map(|d| indices.get(&d.operation_id).copied()).collect())
        .collect();
    for cycle in cycles(&edges) {
        let path = cycle.iter().chain(cycle.first()).map(|index| batch.operations[*index].id.clone()).collect();
        problems.push(GraphProblem::Cycle { path, index: cycle[0] });
    }
    problems
}

fn unknown_dependencies(batch: &BatchSpec, indices: &HashMap<&Name, usize>) -> Vec<GraphProblem> {
    let mut problems = Vec::new();
    for (index, operation) in batch.operations.iter().enumerate() {
        for (dependency, wanted) in operation.dependencies.iter().enumerate() {
            if wanted.kind == DependencyKind::Optional || indices.contains_key(&wanted.operation_id) {
                continue;
            }
            let given = wanted.operation_id.as_str();
            let known: Vec<&str> = indices.keys().map(|id| id.as_str()).collect();
            let nearest = nearest(given, &known);
            problems.push(GraphProblem::UnknownDependency {
                operation: operation.id.clone(),
                missing: wanted.operation_id.clone(),
                nearest: nearest.map(str::to_owned),
                index,
                dependency,
            });
        }
    }
    problems
}

/// One cycle of each knot of operations that wait for each other, each in the order of waiting.
///
/// Depth-first with an explicit stack, so that a chain of 100,000 operations can't overflow the thread's. An operation
/// is left for good once everything it waits for has been looked at, so the whole takes time linear in the edges.
fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: u8 = 0;
    const ON_PATH: u8 = 1;
    const LEFT: u8 = 2;
    let mut seen = vec![UNSEEN; edges.len()];
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut in_cycle: HashSet<usize> = HashSet::new();
    for root in 0..edges.len() {
        let mut path: Vec<(usize, usize)> = Vec::new();
        if seen[root] == UNSEEN {
            seen[root] = ON_PATH;
            path.push((root, 0));
        }
        while let Some((at, next)) = path.last_mut() {
            let Some(&to) = edges[*at].get(*next) else {
                seen[*at] = LEFT;
                path.pop();
                continue;
            };
            *next += 1;
            match seen[to] {
                UNSEEN => {
                    seen[to] = ON_PATH;
                    path.push((to, 0));
                }
                ON_PATH => {
                    let start = path.iter().position(|(index, _)| *index == to).unwrap_or(0);
                    let cycle: Vec<usize> = path[start..].iter().map(|(index, _)| *index).collect();
                    if !cycle.iter().any(|index| in_cycle.contains(index)) {
                        in_cycle.extend(&cycle);
                        found.push(cycle);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The operations by the earliest moment each can start: wave 0 waits for nothing, wave n for something of wave n − 1.
/// The graph must hold together.
#[must_use]
pub fn waves(shape: &super::Shape) -> Vec<Vec<u32>> {
    let mut waiting: Vec<usize> = shape.operations.iter().map(|operation| operation.dependencies.len()).collect();
    let mut wave: Vec<u32> = (0..waiting.len()).filter(|i| waiting[*i] == 0).map(super::index).collect();
    let mut waves = Vec::new();
    while !wave.is_empty() {
        let mut next = Vec::new();
        for operation in &wave {
            for (dependent, _) in &shape.operations[*operation as usize].dependents {
                waiting[*dependent as usize] -= 1;
                if waiting[*dependent as usize] == 0 {
                    next.push(*dependent);
                }
            }
        }
        next.sort_unstable();
        waves.push(std::mem::replace(&mut wave, next));
    }
    waves
}
