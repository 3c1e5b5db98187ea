//! What a daemon and its supervisor cost that have nothing to do.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::measure::{Spread, memory, processor_time};
use super::support::{Daemon, processes_of, run, script};
use super::table::{Reach, Table};

const WATCHED: Duration = Duration::from_secs(5);
const OPERATIONS: usize = 500;

pub fn bench(table: &mut Table) {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let pid = daemon.pid();
        let supervisor = supervisor(&daemon);
        // What the start itself led to is over by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (start, before) = (Instant::now(), [pid, supervisor].map(processor_time));
        tokio::time::sleep(WATCHED).await;
        let share = |pid, before| {
            processor_time(pid).saturating_sub(before).as_secs_f64() * 100.0 / start.elapsed().as_secs_f64()
        };
        let used = Spread::of([share(pid, before[0]) + share(supervisor, before[1])]);
        table.line("an idle daemon and its supervisor", "one processor", &used, "%", Reach::AtMost(0.1));
        let resident = Spread::of([memory(pid, "VmRSS")]);
        table.line("memory of an idle daemon, after a login", "", &resident, "MB", Reach::AtMost(25.0));
        let resident = Spread::of([memory(supervisor, "VmRSS")]);
        table.line("memory of its supervisor", "", &resident, "MB", Reach::AtMost(3.0));
        let operations: Vec<_> = (0..OPERATIONS).map(|n| script(&format!("o{n}"), "echo done")).collect();
        daemon.batch(&serde_json::json!({ "name": "work", "parallel_limit": 8, "operations": operations })).await;
        super::dispatch::end_of_newest(&daemon).await;
        let resident = Spread::of([memory(supervisor, "VmRSS")]);
        table.line("  after 500 operations", "", &resident, "MB", Reach::Shown);
    });
}

fn supervisor(daemon: &Daemon) -> u32 {
    let found = processes_of(&daemon.path("data/supervisor").display().to_string());
    found.first().copied().map(Pid::as_raw_nonzero).unwrap().get().unsigned_abs()
}
