//! A daemon with a million finished tasks: start, memory, pages of the list; against a store with none.

use std::time::{Duration, Instant};

use prov::model::id::{BatchId, TaskId};
use prov::model::name::Name;
use prov::model::status::TaskStatus;
use prov::model::task::Task;
use prov::model::time::Timestamp;
use prov::store::{Change, Store, Transaction};
use uuid::Uuid;

use super::support::{Daemon, run};
use super::{figure, quantiles, status};

const TASKS: usize = 1_000_000;
const A_COMMIT: usize = 20_000;
const CACHE_BYTES: usize = 512 << 20;
const PAGES: usize = 200;

pub fn bench() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("requests_per_minute = 4000000000");
        let empty = boot(&mut daemon).await;
        assert!(daemon.terminate().success());
        let start = Instant::now();
        fill(&daemon.path("data")).await;
        figure("(filling the store took)", start.elapsed().as_secs_f64(), "s");
        let size = std::fs::metadata(daemon.path("data/prov.redb")).unwrap().len();
        figure("prov: start with an empty store", empty, "ms");
        figure("prov: start with a million tasks", boot(&mut daemon).await, "ms");
        figure("prov: memory after the start", status(daemon.pid(), "VmRSS") / 1024.0, "MiB");
        pages(&daemon, "first page", "/tasks?limit=50", false).await;
        pages(&daemon, "cursor pages", "/tasks?limit=50", true).await;
        pages(&daemon, "first page of a status", "/tasks?status=Failed", false).await;
        pages(&daemon, "cursor pages of a name", "/tasks?name=name-7", true).await;
        pages(&daemon, "first page of a status and an infra", "/tasks?status=Failed&infra=infra-10", false).await;
        figure("prov: memory after the pages", status(daemon.pid(), "VmRSS") / 1024.0, "MiB");
        daemon.kill();
        figure("prov: start after a kill -9", boot(&mut daemon).await, "ms");
        #[allow(clippy::cast_precision_loss)]
        figure("prov: size of the store", size as f64 / f64::from(1 << 20), "MiB");
    });
}

/// Starts the daemon; milliseconds until both APIs answered and somebody had logged in.
async fn boot(daemon: &mut Daemon) -> f64 {
    let start = Instant::now();
    daemon.boot().await;
    start.elapsed().as_secs_f64() * 1000.0
}

async fn pages(daemon: &Daemon, what: &str, first: &str, follow: bool) {
    let mut path = first.to_owned();
    let mut times: Vec<Duration> = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let start = Instant::now();
        let page = daemon.get(&path).await;
        times.push(start.elapsed());
        assert!(!page.data().as_array().unwrap().is_empty());
        let next = page.headers.get("link").and_then(|link| link.to_str().ok()?.split(['<', '>']).nth(1));
        if follow {
            path = next.unwrap_or(first).to_owned();
        }
    }
    let (middle, slow) = quantiles(times);
    figure(&format!("prov: {what}, p50"), middle, "ms");
    figure(&format!("prov: {what}, p99"), slow, "ms");
}

async fn fill(data: &std::path::Path) {
    let store = Store::open(data, CACHE_BYTES).unwrap();
    let mut n = 0;
    while n < TASKS {
        let changes = (n..n + A_COMMIT).map(|n| Change::PutTask(Box::new(task(n)))).collect();
        store.commit(Transaction::of(changes)).await.unwrap();
        n += A_COMMIT;
    }
}

fn task(n: usize) -> Task {
    // Version 7 ids, a millisecond apart.
    let milliseconds = 1_790_000_000_000 + u64::try_from(n).unwrap();
    let id = |salt: u128| Uuid::from_u128(u128::from(milliseconds) << 80 | 7 << 76 | 2 << 62 | salt);
    let at = Timestamp(i64::try_from(milliseconds).unwrap());
    let failed = n.is_multiple_of(10);
    Task {
        id: TaskId(id(n as u128)),
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
        batch_id: n.is_multiple_of(2).then(|| BatchId(id((n / 1000) as u128))),
        operation_id: None,
        attempt: 1,
        max_attempts: 1,
        exit_code: Some(i32::from(failed)),
        processes_ended: 0,
        progress: 1.0,
        submitted_by: "admin".to_owned(),
    }
}
