//! The store against a model of it, and against files that were damaged.

mod statistics;
mod trail;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::record::Remembered;
use super::{Change, CommitError, Precondition, Store, StoreError, Transaction};
use crate::api::list::Page;
use crate::api::task::TaskFilter;
use crate::model::id::{BatchId, TaskId};
use crate::model::name::Name;
use crate::model::status::TaskStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;

const CACHE_BYTES: usize = 1 << 20;

fn task(id: u8, status: TaskStatus, name: u8, infra: Option<u8>, batch: Option<u8>) -> Task {
    Task {
        id: TaskId(Uuid::from_u128(id.into())),
        name: format!("name-{name}"),
        command: "true".to_owned(),
        args: Vec::new(),
        dependencies: Vec::new(),
        status,
        created_at: Timestamp(0),
        started_at: None,
        completed_at: None,
        output: None,
        error: None,
        workflow: None,
        infra: infra.map(|infra| Name::new(format!("infra-{infra}")).unwrap()),
        provider: None,
        batch_id: batch.map(|batch| BatchId(Uuid::from_u128(batch.into()))),
        operation_id: None,
        rollback_id: None,
        attempt: 0,
        max_attempts: 1,
        exit_code: None,
        processes_ended: 0,
        progress: 0.0,
        step: None,
        submitted_by: "admin".to_owned(),
    }
}

/// A task of its own for each number.
pub(super) fn sample_task(id: u8) -> Task {
    task(id, TaskStatus::Pending, id % 3, None, None)
}

fn statuses() -> impl Strategy<Value = TaskStatus> {
    prop::sample::select(vec![TaskStatus::Pending, TaskStatus::Running, TaskStatus::Completed])
}

fn tasks() -> impl Strategy<Value = Task> {
    (0u8..20, statuses(), 0u8..3, prop::option::of(0u8..3), prop::option::of(0u8..3))
        .prop_map(|(id, status, name, infra, batch)| task(id, status, name, infra, batch))
}

fn filters() -> impl Strategy<Value = TaskFilter> {
    let name = prop::option::of((0u8..3).prop_map(|name| format!("name-{name}")));
    let infra = prop::option::of((0u8..3).prop_map(|infra| Name::new(format!("infra-{infra}")).unwrap()));
    let batch = prop::option::of((0u8..3).prop_map(|batch| BatchId(Uuid::from_u128(batch.into()))));
    (prop::option::of(statuses()), name, infra, batch).prop_map(|(status, name, infra, batch_id)| TaskFilter {
        status,
        name,
        infra,
        batch_id,
    })
}

fn pages() -> impl Strategy<Value = Page> {
    (1usize..8, 0usize..6, prop::option::of((0u128..22).prop_map(Uuid::from_u128)))
        .prop_map(|(limit, offset, after)| Page { limit, offset, after })
}

fn meets(task: &Task, filter: &TaskFilter) -> bool {
    filter.status.is_none_or(|status| status == task.status)
        && filter.name.as_ref().is_none_or(|name| *name == task.name)
        && filter.infra.as_ref().is_none_or(|infra| Some(infra) == task.infra.as_ref())
        && filter.batch_id.is_none_or(|batch| Some(batch) == task.batch_id)
}

fn commit(store: &Store, transaction: Transaction) -> Result<(), CommitError> {
    store.submit(transaction).blocking_recv().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn lists_show_what_a_scan_of_everything_would(
        groups in prop::collection::vec(prop::collection::vec(tasks(), 1..6), 1..8),
        queries in prop::collection::vec((filters(), pages()), 1..12),
    ) {
        let store = Store::in_memory().unwrap();
        let mut model = BTreeMap::new();
        for group in groups {
            let changes = group.iter().map(|task| Change::PutTask(Box::new(task.clone()))).collect();
            commit(&store, Transaction::of(changes)).unwrap();
            model.extend(group.into_iter().map(|task| (task.id.0, task)));
        }
        for (filter, page) in queries {
            let listed = store.reads().tasks(&filter, page).unwrap();
            let matching: Vec<&Task> = model.values().rev().filter(|task| meets(task, &filter)).collect();
            let older = matching.iter().filter(|task| page.after.is_none_or(|after| task.id.0 < after));
            let rest: Vec<&&Task> = older.skip(page.offset).collect();
            let expected: Vec<Task> = rest.iter().take(page.limit).map(|task| (**task).clone()).collect();
            let next = (rest.len() > page.limit).then(|| expected.last().unwrap().id.0);
            prop_assert_eq!(listed.total, matching.len() as u64);
            prop_assert_eq!(&listed.items, &expected);
            prop_assert_eq!(listed.next_after, next);
        }
    }
}

#[test]
fn what_was_relied_on_must_hold_and_else_nothing_is_written() {
    let store = Store::in_memory().unwrap();
    let take = |id: u8| Transaction {
        preconditions: vec![Precondition::KeyUnused("k".to_owned())],
        changes: vec![
            Change::PutTask(Box::new(task(id, TaskStatus::Pending, 0, None, None))),
            Change::Remember(
                "k".to_owned(),
                Remembered { digest: [0; 32], id: Uuid::from_u128(id.into()), at: Timestamp(1) },
            ),
        ],
    };
    let queued: Vec<_> = (0..20).map(|id| store.submit(take(id))).collect();
    let verdicts: Vec<bool> = queued.into_iter().map(|verdict| verdict.blocking_recv().unwrap().is_ok()).collect();
    assert_eq!(verdicts.iter().filter(|ok| **ok).count(), 1);
    assert!(verdicts[0], "the first in the queue");
    let listed = store.reads().tasks(&TaskFilter::default(), Page::default()).unwrap();
    assert_eq!((listed.total, listed.items[0].id.0), (1, Uuid::from_u128(0)));
}

fn open(directory: &Path) -> Result<Store, StoreError> {
    Store::open(directory, CACHE_BYTES, crate::audit::Key::from_bytes(1, [0; 32]))
}

/// A directory with a store in it, and the store's bytes.
fn sample() -> (tempfile::TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let changes = (0..200).map(|id| Change::PutTask(Box::new(sample_task(id))));
    commit(&store, Transaction::of(changes.collect())).unwrap();
    drop(store);
    let bytes = std::fs::read(directory.path().join("prov.redb")).unwrap();
    (directory, bytes)
}

#[test]
fn a_file_cut_short_is_refused_and_never_taken_for_a_new_one() {
    let (directory, bytes) = sample();
    let path = directory.path().join("prov.redb");
    for length in [0, 1, 63, 64, 320, 4096, 5000, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(open(directory.path()), Err(StoreError::Failed { .. })), "cut to {length} bytes");
        assert_eq!(std::fs::read(&path).unwrap(), bytes[..length], "what is left is left alone");
    }
    std::fs::write(&path, &bytes).unwrap();
    let listed = open(directory.path()).unwrap().reads().tasks(&TaskFilter::default(), Page::default()).unwrap();
    assert_eq!(listed.total, 200);
}

#[test]
fn a_store_that_is_open_or_of_a_newer_program_is_refused() {
    let (directory, _) = sample();
    let store = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(StoreError::Locked(_))));
    commit(&store, Transaction::of(vec![Change::PutMeta("format".to_owned(), 2u32.to_be_bytes().to_vec())])).unwrap();
    drop(store);
    assert!(matches!(open(directory.path()), Err(StoreError::Newer { found: 2, known: 1 })));
}
