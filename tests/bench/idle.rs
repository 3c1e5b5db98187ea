//! What a daemon costs that has nothing to do.

use std::time::Duration;

use super::support::{Daemon, run};
use super::{figure, status};

const WATCHED: Duration = Duration::from_secs(5);

pub fn bench() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let pid = daemon.pid();
        let before = ticks(pid);
        let _ = tokio::time::timeout(WATCHED, std::future::pending::<()>()).await;
        figure("prov: memory of an idle daemon", status(pid, "VmRSS") / 1024.0, "MiB");
        figure("prov: its threads", status(pid, "Threads"), "");
        figure(&format!("prov: its processor time in {} s", WATCHED.as_secs()), ticks(pid) - before, "ms");
        let supervisor = super::support::processes_of(&daemon.path("data/supervisor").display().to_string());
        let supervisor = supervisor.first().unwrap().as_raw_nonzero().get().unsigned_abs();
        figure("prov: memory of its supervisor", status(supervisor, "VmRSS") / 1024.0, "MiB");
    });
}

/// Processor time of a process so far, in milliseconds (proc(5), fields 14 and 15, in hundredths of a second).
#[allow(clippy::cast_precision_loss)]
fn ticks(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let field = |at: usize| fields[at - 3].parse::<u64>().unwrap();
    (field(14) + field(15)) as f64 * 10.0
}
