//! Whether a batch's graph holds together: every problem of it at once, and the waves it would run in.
//!
//! Everything here takes time linear in operations and dependencies, because a graph comes from anybody who may submit
//! one; only the first few unknown names are compared with the known ones.

use std::collections::HashMap;

use crate::model::batch::{DependencyKind, Node};
use crate::model::name::Name;
use crate::model::nearest::nearest;

/// Unknown dependencies for which the nearest operation is looked for.
const SUGGESTIONS: usize = 5;
/// Operations with which an unknown name is compared at most.
const COMPARED: usize = 2000;
/// Operations of a cycle that a message names.
const NAMED: usize = 20;

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
    #[error("these operations wait for each other: {}", way_round(path, *length))]
    Cycle {
        /// The way round, as far as it is named.
        path: Vec<Name>,
        /// How many operations it has.
        length: usize,
        /// The first one's index.
        index: usize,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// `a → b → a`; of a long way the start.
fn way_round(path: &[Name], length: usize) -> String {
    let mut names: Vec<&str> = path.iter().map(Name::as_str).collect();
    let more = format!("({} more)", length - path.len());
    if length > path.len() {
        names.push(&more);
    }
    names.extend(path.first().map(Name::as_str));
    names.join(" → ")
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

/// Tells every problem of a batch's graph; none when it holds together. There may be very many: it is for the one who is
/// told to say how many are kept.
pub fn check(nodes: &[Node], tell: &mut dyn FnMut(GraphProblem)) {
    let mut places: HashMap<&Name, usize> = HashMap::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        if places.contains_key(&node.id) {
            tell(GraphProblem::DuplicateId { id: node.id.clone(), index: node.index });
        } else {
            places.insert(&node.id, place);
        }
    }
    unknown_dependencies(nodes, &places, tell);
    let edges: Vec<Vec<usize>> = nodes
        .iter()
        .map(|node| node.dependencies.iter().filter_map(|(_, d)| places.get(&d.operation_id).copied()).collect())
        .collect();
    for cycle in cycles(&edges) {
        let path = cycle.iter().take(NAMED).map(|place| nodes[*place].id.clone()).collect();
        tell(GraphProblem::Cycle { path, length: cycle.len(), index: nodes[cycle[0]].index });
    }
}

fn unknown_dependencies(nodes: &[Node], places: &HashMap<&Name, usize>, tell: &mut dyn FnMut(GraphProblem)) {
    let known: Vec<&str> = nodes.iter().take(COMPARED).map(|node| node.id.as_str()).collect();
    let mut suggestions = 0;
    for node in nodes {
        for (place, wanted) in &node.dependencies {
            if wanted.kind == DependencyKind::Optional || places.contains_key(&wanted.operation_id) {
                continue;
            }
            suggestions += 1;
            let near = (suggestions <= SUGGESTIONS).then(|| nearest(wanted.operation_id.as_str(), &known)).flatten();
            tell(GraphProblem::UnknownDependency {
                operation: node.id.clone(),
                missing: wanted.operation_id.clone(),
                nearest: near.map(str::to_owned),
                index: node.index,
                dependency: *place,
            });
        }
    }
}

/// The way from the root of a search to where it is.
#[derive(Default)]
struct Trail {
    /// Each operation with the number of its dependencies already followed.
    steps: Vec<(usize, usize)>,
    /// For each step, one more than the last step up to it that is in a cycle found before; 0 when there is none.
    found_up_to: Vec<usize>,
    /// Where an operation stands on the trail; what is not on it stands at [`Trail::UNSEEN`] or [`Trail::LEFT`].
    places: Vec<usize>,
}

impl Trail {
    const UNSEEN: usize = usize::MAX;
    const LEFT: usize = usize::MAX - 1;

    fn enter(&mut self, operation: usize) {
        self.places[operation] = self.steps.len();
        self.steps.push((operation, 0));
        self.found_up_to.push(self.found_up_to.last().copied().unwrap_or(0));
    }

    fn leave(&mut self, operation: usize) {
        self.places[operation] = Self::LEFT;
        self.steps.pop();
        self.found_up_to.pop();
    }

    /// The cycle from the step at `start` to the end, unless a part of it is known as one.
    fn cycle(&mut self, start: usize) -> Option<Vec<usize>> {
        if self.found_up_to.last().is_some_and(|found| *found > start) {
            return None;
        }
        for (place, found) in self.found_up_to.iter_mut().enumerate().skip(start) {
            *found = place + 1;
        }
        Some(self.steps[start..].iter().map(|(operation, _)| *operation).collect())
    }
}

/// Cycles of operations that wait for each other, at least one of each knot, each in the order of waiting. No two share an
/// operation.
///
/// Depth-first with an explicit stack, so that a chain of 100,000 operations can't overflow the thread's. An operation
/// is left for good once everything it waits for has been looked at, and is in one cycle at most, so the whole takes
/// time linear in the edges.
fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut trail = Trail { places: vec![Trail::UNSEEN; edges.len()], ..Trail::default() };
    let mut found = Vec::new();
    for root in 0..edges.len() {
        if trail.places[root] == Trail::UNSEEN {
            trail.enter(root);
        }
        while let Some((at, next)) = trail.steps.last_mut() {
            let at = *at;
            let Some(&to) = edges[at].get(*next) else {
                trail.leave(at);
                continue;
            };
            *next += 1;
            match trail.places[to] {
                Trail::UNSEEN => trail.enter(to),
                Trail::LEFT => {}
                start => found.extend(trail.cycle(start)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::Dependency;

    fn graph(edges: &[(&str, &[&str])]) -> Vec<Node> {
        let name = |text: &&str| Name::new(*text).unwrap();
        let dependency = |text: &&str| Dependency { operation_id: name(text), kind: DependencyKind::Hard };
        let node = |(index, (id, on)): (usize, &(&str, &[&str]))| Node {
            index,
            id: name(id),
            dependencies: on.iter().map(dependency).enumerate().collect(),
        };
        edges.iter().enumerate().map(node).collect()
    }

    fn messages(edges: &[(&str, &[&str])]) -> Vec<String> {
        let mut found = Vec::new();
        check(&graph(edges), &mut |problem| found.push(problem.to_string()));
        found
    }

    #[test]
    fn each_knot_is_told_once() {
        let found = messages(&[
            ("a", &["b"]),
            ("b", &["a", "c", "b"]),
            ("c", &["a"]),
            ("x", &["a", "y"]),
            ("y", &["x"]),
            ("z", &["z"]),
        ]);
        let told = |way: &str| format!("these operations wait for each other: {way}");
        assert_eq!(found, [told("a → b → a"), told("x → y → x"), told("z → z")]);
    }

    #[test]
    fn a_dense_knot_and_many_unknown_names_take_no_time() {
        let names: Vec<String> = (0..1500).map(|n| format!("operation-{n}")).collect();
        // Each waits for the next, then for all before it: one long way round with a million short cuts.
        let waits = |n: usize| names.get(n + 1).into_iter().chain(&names[..n]).map(String::as_str).collect();
        let dependencies: Vec<Vec<&str>> = (0..names.len()).map(waits).collect();
        let dense: Vec<(&str, &[&str])> =
            names.iter().map(String::as_str).zip(dependencies.iter().map(|d| &d[..])).collect();
        let started = std::time::Instant::now();
        let found = messages(&dense);
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("operation-19 → (1480 more) → operation-0"), "{}", found[0]);
        let many: Vec<String> = (0..20_000).map(|n| format!("o{n}")).collect();
        let unknown: Vec<(&str, &[&str])> = many.iter().map(|name| (name.as_str(), &["p1"][..])).collect();
        let found = messages(&unknown);
        assert_eq!(found.len(), 20_000);
        assert!(!found[6].contains("did you mean"));
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
