//! Ten thousand operations of `/bin/true` as one batch, each durable and with its output captured, from the submission to the
//! end of the batch; against a bare loop that starts the same processes and captures their output, and against other tools.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::measure::{Spread, rate, timed};
use super::others;
use super::support::{Daemon, run};
use super::table::{Reach, Table};

pub const PARALLEL: usize = 8;
const OPERATIONS: usize = 10_000;
const PAIRS: usize = 3;
const WHAT: &str = "dispatch: 10,000 no-op operations, durable, 8 at once";
/// How often it is looked whether a batch has ended.
const INTERVAL: Duration = Duration::from_millis(20);

pub fn bench(table: &mut Table) {
    let (mut ours, mut bare, mut xargs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        ours.push(prov(OPERATIONS));
        bare.push(bare_loop());
        xargs.extend(others::xargs(OPERATIONS));
    }
    let ratio = |others: &[f64]| Spread::of(ours.iter().zip(others).map(|(ours, other)| ours / other));
    table.line(WHAT, "bare spawn + capture loop", &ratio(&bare), "×", Reach::AtLeast(0.7));
    table.line("  its rate", "", &Spread::of(ours.clone()), "/s", Reach::Shown);
    table.line("  the rate of the bare loop", "", &Spread::of(bare), "/s", Reach::Shown);
    let all = Spread::of(ours.clone());
    if xargs.is_empty() {
        table.absent(WHAT, "xargs -P8", "not installed");
    } else {
        table.line(WHAT, "xargs -P8", &ratio(&xargs), "×", Reach::Above(1.0));
        table.remark("xargs captures nothing and keeps nothing: what it has started is lost with it");
    }
    for (name, other) in [("GNU parallel -j8", others::parallel as fn() -> Option<f64>), ("pueue", others::pueue)] {
        match other() {
            Some(other) => {
                let ratio = Spread::of([all.least(), all.median(), all.most()].map(|ours| ours / other));
                table.line(WHAT, name, &ratio, "×", Reach::Above(1.0));
            }
            None => table.absent(WHAT, name, "not installed"),
        }
    }
    table.remark("GNU parallel captures and keeps nothing durably; pueue does both; each ran fewer commands, once");
}

/// Operations a second, from submission to end, by a daemon of its own.
fn prov(count: usize) -> f64 {
    let mut through = 0.0;
    run(async {
        let limit = PARALLEL.to_string();
        let daemon = Daemon::start(&["--max-parallel", &limit]).await;
        let operation = |n| json!({ "id": format!("o{n}"), "type": "command", "command": "/bin/true" });
        let operations: Vec<Value> = (0..count).map(operation).collect();
        let batch = json!({ "name": "dispatch", "parallel_limit": PARALLEL, "operations": operations });
        let start = Instant::now();
        daemon.batch(&batch).await;
        assert_eq!(end_of_newest(&daemon).await, "Completed");
        through = rate(count, start.elapsed());
    });
    through
}

/// How the newest batch ended.
pub async fn end_of_newest(daemon: &Daemon) -> String {
    loop {
        let listed = daemon.get("/batch/operations?limit=1").await;
        let status = listed.data()[0]["status"].as_str().unwrap();
        if status != "Pending" && status != "Running" {
            return status.to_owned();
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn bare_loop() -> f64 {
    let next = AtomicUsize::new(0);
    let spawn = || {
        while next.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
            let ended = Command::new("/bin/true").stdin(Stdio::null()).output().unwrap();
            assert!(ended.status.success() && ended.stdout.is_empty() && ended.stderr.is_empty());
        }
    };
    let ((), took) = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(spawn);
            }
        });
    });
    rate(OPERATIONS, took)
}
