//! What is counted of ended tasks, against a count by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::store::record::{Rollup, Tally};
use crate::store::statistics::HOUR_MS;

/// A task that goes to a status; what ends does so in one of a few hours.
fn moves() -> impl Strategy<Value = Vec<Task>> {
    let one = (0u8..8, prop::sample::select(TaskStatus::ALL), 0u8..3, 0u8..2, 0i64..4, 0i64..5000);
    let one = one.prop_map(|(id, status, name, infra, hour, took)| {
        let mut task = task(id, status, name, Some(infra), None);
        let start = Timestamp(hour * HOUR_MS + 7);
        task.started_at = (status != TaskStatus::Cancelled).then_some(start);
        task.completed_at = status.is_terminal().then_some(Timestamp(start.0 + took));
        task
    });
    prop::collection::vec(one, 1..40)
}

fn write(store: &Store, tasks: Vec<Task>) {
    let changes = tasks.into_iter().map(Box::new).map(Change::PutTask).collect();
    store.submit(Transaction::of(changes)).blocking_recv().unwrap().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn each_end_counts_once_in_its_hour_whatever_is_written_together(moves in moves(), part in 1usize..9) {
        let store = Store::in_memory().unwrap();
        let mut statuses: BTreeMap<TaskId, TaskStatus> = BTreeMap::new();
        let mut tallies: BTreeMap<(u64, Rollup), Tally> = BTreeMap::new();
        let mut lengths: BTreeMap<(String, Name), Vec<u64>> = BTreeMap::new();
        for moves in moves.chunks(part) {
            write(&store, moves.to_vec());
            for task in moves {
                let before = statuses.insert(task.id, task.status);
                let Some(at) = task.completed_at.filter(|_| before.is_none_or(|before| !before.is_terminal())) else {
                    continue;
                };
                let infra = task.infra.clone().unwrap();
                let took = task.ran().map_or(0, |ran| u64::try_from(ran.as_millis()).unwrap());
                let rollup = Rollup {
                    infra: infra.to_string(), provider: String::new(), kind: "command".to_owned(), status: task.status,
                };
                tallies.entry((crate::store::statistics::hour(at), rollup)).or_default().add(Tally { count: 1, total_ms: took });
                if task.status == TaskStatus::Completed {
                    lengths.entry((task.name.clone(), infra)).or_default().push(took);
                }
            }
        }
        for hours in [0..6, 1..3, 2..2, 0..u64::MAX] {
            let mut expected: BTreeMap<Rollup, Tally> = BTreeMap::new();
            for ((hour, rollup), tally) in &tallies {
                if hours.contains(hour) {
                    expected.entry(rollup.clone()).or_default().add(*tally);
                }
            }
            let expected: Vec<_> = expected.into_iter().collect();
            prop_assert_eq!(store.reads().statistics(hours).unwrap(), expected);
        }
        for ((name, infra), lengths) in &lengths {
            let last = &lengths[lengths.len().saturating_sub(20)..];
            prop_assert_eq!(store.reads().durations(name, infra.as_str(), false).unwrap(), last);
        }
        let counts = store.reads().counts().unwrap();
        for status in TaskStatus::ALL {
            prop_assert_eq!(counts.tasks(*status), statuses.values().filter(|one| *one == status).count() as u64);
        }
        prop_assert_eq!(counts.oldest_pending.is_some(), counts.tasks(TaskStatus::Pending) > 0);
    }
}

#[test]
fn a_store_from_before_the_statistics_says_since_when_it_counts() {
    let dir = tempdir().unwrap();
    let key = || crate::audit::Key::from_bytes(1, [0; 32]);
    let store = Store::open(dir.path(), CACHE_BYTES, key()).unwrap();
    assert_eq!(store.reads().statistics_since().unwrap(), Some(Timestamp(i64::MIN)), "of a fresh one everything");
    write(&store, vec![sample_task(1)]);
    drop(store);
    {
        // As a prov without statistics would have left it.
        let database = redb::Database::open(dir.path().join("prov.redb")).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(crate::store::tables::META).unwrap().remove("statistics_since").unwrap();
        write.commit().unwrap();
    }
    let store = Store::open(dir.path(), CACHE_BYTES, key()).unwrap();
    assert_eq!(store.reads().statistics_since().unwrap(), None);
    let mut ended = sample_task(1);
    (ended.status, ended.completed_at) = (TaskStatus::Failed, Some(Timestamp(5)));
    write(&store, vec![ended]);
    assert_eq!(store.reads().statistics_since().unwrap(), Some(Timestamp(5)));
}
