//! Durable submissions through the REST API, of work that is queued and not run: against the same daemon's handlers without
//! the store, and against the disk, from whose flushes group commit makes them independent.

use serde_json::json;

use super::disk;
use super::load::Request;
use super::measure::{Spread, milliseconds, rate};
use super::support::{Daemon, run};
use super::table::{Reach, Table, spread};

const PAIRS: usize = 5;
const REQUESTS: usize = 6000;
const COMMITS: usize = 500;
const ALONE: usize = 500;
const WORKFLOW: &str = "/workflows/servers/create";

pub fn bench(table: &mut Table) {
    run(async {
        let mut daemon = Daemon::new(&["--max-parallel", "0"]);
        daemon.configure("requests_per_minute = 4000000000");
        daemon.boot().await;
        against_handlers(table, &daemon).await;
        against_disk(table, &daemon).await;
        alone(table, &daemon).await;
    });
}

async fn against_handlers(table: &mut Table, daemon: &Daemon) {
    let batch = |check_mode: bool| {
        let operations = json!([{ "id": "a", "type": "command", "command": "true" }]);
        json!({ "name": "bench", "check_mode": check_mode, "operations": operations })
    };
    let workflow = || Request::post(daemon, WORKFLOW, &json!({ "infra": "bench" }));
    let validate = || Request::post(daemon, "/batch/validate", &batch(false));
    let execute = || Request::post(daemon, "/batch/execute", &batch(false));
    let plan = || Request::post(daemon, "/batch/execute", &batch(true));
    let (mut workflows, mut batches, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (ours, _) = workflow().drive(256, REQUESTS).await;
        workflows.push(ours / validate().drive(256, REQUESTS).await.0);
        rates.push(ours);
        batches.push(execute().drive(256, REQUESTS).await.0 / plan().drive(256, REQUESTS).await.0);
    }
    let (what, against) = ("durable submits: workflows, 256 connections", "POST /batch/validate of one operation");
    table.line(what, against, &Spread::of(workflows), "×", Reach::AtLeast(0.5));
    table.line("  their rate", "", &Spread::of(rates), "/s", Reach::Shown);
    let (what, against) = ("durable submits: batches of one, 256 connections", "the same in check_mode");
    table.line(what, against, &Spread::of(batches), "×", Reach::AtLeast(0.5));
    table
        .remark("a check-mode batch passes the same handler, is read, checked and answered, and never meets the store");
}

async fn against_disk(table: &mut Table, daemon: &Daemon) {
    let (mut ratios, mut rates, mut disks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let request = Request::post(daemon, WORKFLOW, &json!({ "infra": "bench" }));
        let (ours, _) = request.drive(64, REQUESTS).await;
        let commits = rate(COMMITS, disk::commits(daemon.dir.path(), COMMITS).iter().sum());
        ratios.push(ours / (64.0 * commits));
        rates.push(ours);
        disks.push(commits);
    }
    let (what, against) = ("durable submits: workflows, 64 connections", "64 × the disk's commits");
    table.line(what, against, &Spread::of(ratios), "×", Reach::AtLeast(0.8));
    table.line("  their rate", "", &Spread::of(rates), "/s", Reach::Shown);
    table.line("  commits of the disk: write and fdatasync", "", &Spread::of(disks), "/s", Reach::Shown);
}

async fn alone(table: &mut Table, daemon: &Daemon) {
    let (mut ours, mut disks) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let request = Request::post(daemon, WORKFLOW, &json!({ "infra": "bench" }));
        ours.extend(request.drive(1, ALONE / PAIRS).await.1);
        disks.extend(disk::commits(daemon.dir.path(), ALONE / PAIRS));
    }
    let (ours, disk) =
        (Spread::of(ours.into_iter().map(milliseconds)), Spread::of(disks.into_iter().map(milliseconds)));
    let reach = 2.0 * disk.median() + 1.0;
    let shown = format!("p50 {:.2} ms, p99 {:.2} ms", ours.median(), ours.quantile(99));
    let reached = format!("p50 ≤ {reach:.2} ms: 2 × fsync + 1 ms");
    let against = format!("one fsync: {}", spread(&disk, "ms"));
    table.either("one durable submit, one connection", &against, &shown, &reached, ours.median() <= reach);
}
