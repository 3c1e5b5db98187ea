//! How long a graph of operations will take yet, played through ahead of time: each starts when what it waits for has
//! ended and there is a slot, in the order in which the engine would take them. So both the critical path and the limits
//! count.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// An operation that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// How long it will run yet, in milliseconds.
    pub(super) left_ms: u64,
    /// Others that it waits for.
    pub(super) waits_for: Vec<usize>,
    /// Whether it runs already.
    pub(super) runs: bool,
}

/// How long all of them take, in milliseconds, when `limit` of them run at once, at least one.
pub(super) fn left_ms(parts: &[Part], limit: usize) -> u64 {
    let mut dependents = vec![Vec::new(); parts.len()];
    let mut unmet: Vec<usize> = parts.iter().map(|part| part.waits_for.len()).collect();
    for (index, part) in parts.iter().enumerate() {
        part.waits_for.iter().for_each(|other| dependents[*other].push(index));
    }
    let mut ready: BTreeSet<usize> = (0..parts.len()).filter(|index| unmet[*index] == 0).collect();
    let mut running = BinaryHeap::new();
    for index in (0..parts.len()).filter(|index| parts[*index].runs) {
        ready.remove(&index);
        running.push(Reverse((parts[index].left_ms, index)));
    }
    let mut now = 0;
    loop {
        while running.len() < limit.max(1)
            && let Some(index) = ready.pop_first()
        {
            running.push(Reverse((parts[index].left_ms.saturating_add(now), index)));
        }
        let Some(Reverse((end, index))) = running.pop() else { return now };
        now = end;
        for dependent in &dependents[index] {
            unmet[*dependent] -= 1;
            if unmet[*dependent] == 0 && !parts[*dependent].runs {
                ready.insert(*dependent);
            }
        }
    }
}

/// The one in the middle; the mean of both where two are.
pub(super) fn median(mut lengths: Vec<u64>) -> Option<u64> {
    lengths.sort_unstable();
    let upper = *lengths.get(lengths.len() / 2)?;
    let lower = lengths[(lengths.len() - 1) / 2];
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(left_ms: u64, waits_for: &[usize]) -> Part {
        Part { left_ms, waits_for: waits_for.to_vec(), runs: false }
    }

    /// The longest way through the graph, which is in order.
    fn critical_path(parts: &[Part]) -> u64 {
        let mut ends = Vec::new();
        for part in parts {
            let start = part.waits_for.iter().map(|other| ends[*other]).max().unwrap_or(0);
            ends.push(start + part.left_ms);
        }
        ends.into_iter().max().unwrap_or(0)
    }

    fn graphs() -> impl Strategy<Value = Vec<Part>> {
        prop::collection::vec((0u64..100, prop::collection::btree_set(0usize..20, 0..4), any::<bool>()), 0..20)
            .prop_map(|rows| {
                let part = |(index, (left_ms, wanted, runs)): (usize, (u64, BTreeSet<usize>, bool))| {
                    let waits_for: Vec<usize> = wanted.into_iter().filter(|other| *other < index).collect();
                    Part { left_ms, runs: runs && waits_for.is_empty(), waits_for }
                };
                rows.into_iter().enumerate().map(part).collect()
            })
    }

    proptest! {
        #[test]
        fn it_is_never_shorter_than_the_critical_path_or_the_work_by_the_slots(parts in graphs(), limit in 1usize..6) {
            let (left, work) = (left_ms(&parts, limit), parts.iter().map(|part| part.left_ms).sum::<u64>());
            let slots = limit.max(parts.iter().filter(|part| part.runs).count()) as u64;
            prop_assert!(left >= critical_path(&parts) && left >= work / slots);
            prop_assert!(left <= work);
            // Graham's bound for scheduling in any order.
            prop_assert!(left <= work / limit as u64 + critical_path(&parts) + 1);
            prop_assert_eq!(left_ms(&parts, 1000), critical_path(&parts));
        }
    }

    #[test]
    fn the_limit_and_what_runs_already_count() {
        let fan = [part(10, &[]), part(20, &[0]), part(20, &[0]), part(20, &[0]), part(5, &[1, 2, 3])];
        assert_eq!([1, 2, 3].map(|limit| left_ms(&fan, limit)), [75, 55, 35]);
        let mut begun = fan;
        (begun[0].runs, begun[0].left_ms) = (true, 0);
        assert_eq!(left_ms(&begun, 3), 25);
        assert_eq!(left_ms(&[], 1), 0);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![7]), Some(7));
        assert_eq!(median(vec![100, 1, 3]), Some(3));
        assert_eq!(median(vec![1, 2, 4, 100]), Some(3));
    }
}
