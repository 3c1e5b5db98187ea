//! Ten thousand operations of `/bin/true` as one batch, each durable and with its output captured, against a bare loop that
//! starts the same processes at the same parallelism.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::support::{Daemon, run, until};
use super::{figure, rate, timed};

const OPERATIONS: usize = 10_000;
const PARALLEL: usize = 8;

pub fn bench() {
    let bare = bare_loop();
    run(async {
        let limit = PARALLEL.to_string();
        let daemon = Daemon::start(&["--max-parallel", &limit]).await;
        let operations: Vec<Value> = (0..OPERATIONS)
            .map(|n| json!({ "id": format!("o{n}"), "type": "command", "command": "/bin/true" }))
            .collect();
        let batch = json!({ "name": "run", "parallel_limit": PARALLEL, "operations": operations });
        let start = std::time::Instant::now();
        let id = daemon.batch(&batch).await;
        let accepted = start.elapsed();
        let ended = until("the batch has ended", || async {
            let listed = daemon.get("/batch/operations?limit=1").await;
            let status = listed.data()[0]["status"].as_str().unwrap().to_owned();
            (!["Pending", "Running"].contains(&status.as_str())).then_some(status)
        });
        assert_eq!(ended.await, "Completed");
        let took = start.elapsed();
        let through = rate(OPERATIONS, took);
        figure(&format!("plain: processes, {PARALLEL} at once"), bare, "/s");
        figure("prov: operations of a batch, from submission to end", through, "/s");
        figure("prov: until the batch was accepted", accepted.as_secs_f64() * 1000.0, "ms");
        figure("ratio: operations to plain processes", through / bare, "×");
        drop(daemon.get(&format!("/batch/operations/{id}")).await);
    });
}

fn bare_loop() -> f64 {
    let next = AtomicUsize::new(0);
    let ((), took) = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
                        let mut command = Command::new("/bin/true");
                        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                        assert!(command.status().unwrap().success());
                    }
                });
            }
        });
    });
    rate(OPERATIONS, took)
}
