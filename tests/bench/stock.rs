//! Stores with many finished tasks. Filling one takes a while, so it is kept below the target directory, under a name that
//! changes with the code that writes it; a bench gets a copy.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use prov::model::id::{BatchId, TaskId};
use prov::model::name::Name;
use prov::model::status::TaskStatus;
use prov::model::task::Task;
use prov::model::time::Timestamp;
use prov::store::{Change, Store, Transaction};
use uuid::Uuid;

const A_COMMIT: usize = 20_000;
const CACHE_BYTES: usize = 512 << 20;
/// What decides what a store looks like on disk.
const WRITTEN_BY: [&str; 6] = [
    include_str!("stock.rs"),
    include_str!("../../src/model/task.rs"),
    include_str!("../../src/store/index.rs"),
    include_str!("../../src/store/tables.rs"),
    include_str!("../../src/store/redb_backend.rs"),
    include_str!("../../src/store/redb_backend/apply.rs"),
];

/// Puts a store with `count` finished tasks into a data directory.
pub async fn put(data: &Path, count: usize) {
    let mut hasher = DefaultHasher::new();
    WRITTEN_BY.hash(&mut hasher);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stock-{count}-{:016x}", hasher.finish()));
    if !kept.join("prov.redb").exists() {
        forget_others(count);
        let partial = kept.with_extension("partial");
        fs::create_dir_all(&partial).unwrap();
        eprintln!("  filling a store with {count} tasks …");
        fill(&partial, count).await;
        fs::rename(partial, &kept).unwrap();
    }
    fs::create_dir_all(data).unwrap();
    let copy = data.join("prov.redb");
    fs::copy(kept.join("prov.redb"), &copy).unwrap();
    fs::File::open(copy).unwrap().sync_all().unwrap();
}

/// Removes stores of the same size that other code wrote.
fn forget_others(count: usize) {
    let prefix = format!("stock-{count}-");
    let is_other = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    let entries = fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap().flatten().map(|entry| entry.path());
    entries.filter(is_other).for_each(|path| fs::remove_dir_all(path).unwrap());
}

async fn fill(directory: &Path, count: usize) {
    let store = Store::open(directory, CACHE_BYTES, prov::audit::Key::from_bytes(1, [0; 32])).unwrap();
    let mut n = 0;
    while n < count {
        let end = count.min(n + A_COMMIT);
        let changes = (n..end).map(|n| Change::PutTask(Box::new(task(n)))).collect();
        store.commit(Transaction::of(changes)).await.unwrap();
        n = end;
    }
}

/// The id of the `n`th task: version 7, a millisecond after the one before.
pub fn id(n: usize) -> TaskId {
    TaskId(uuid(n, n as u128))
}

fn uuid(n: usize, salt: u128) -> Uuid {
    Uuid::from_u128(u128::from(milliseconds(n)) << 80 | 7 << 76 | 2 << 62 | salt)
}

fn milliseconds(n: usize) -> u64 {
    1_790_000_000_000 + n as u64
}

fn task(n: usize) -> Task {
    let at = Timestamp(i64::try_from(milliseconds(n)).unwrap());
    let failed = n.is_multiple_of(10);
    Task {
        id: id(n),
        name: format!("name-{}", n % 100),
        command: "/usr/local/bin/prov servers create".to_owned(),
        args: ["--infra", "production", "--settings", "config.ncl"].map(str::to_owned).to_vec(),
        dependencies: Vec::new(),
        status: if failed { TaskStatus::Failed } else { TaskStatus::Completed },
        created_at: at,
        started_at: Some(at),
        completed_at: Some(at),
        output: Some("Successfully created 3 servers".to_owned()),
        error: failed.then(|| "exit status 1: there is no zone fi-hel3".to_owned()),
        workflow: Some("servers/create".to_owned()),
        infra: Some(Name::new(format!("infra-{}", n % 20)).unwrap()),
        provider: None,
        batch_id: n.is_multiple_of(2).then(|| BatchId(uuid(n / 1000, 0))),
        operation_id: None,
        rollback_id: None,
        attempt: 1,
        max_attempts: 1,
        exit_code: Some(i32::from(failed)),
        processes_ended: 0,
        progress: 1.0,
        step: None,
        submitted_by: "admin".to_owned(),
    }
}
