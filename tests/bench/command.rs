//! What a command costs that somebody types, from its start to its end.

use std::process::{Command, Stdio};

use super::measure::{Spread, milliseconds, timed};
use super::support::{Daemon, run};
use super::table::{Table, spread};

const PAIRS: usize = 40;

pub fn bench(table: &mut Table) {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let prov = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
            command
                .args(args)
                .env("HOME", daemon.dir.path())
                .env_remove("XDG_CONFIG_HOME")
                .current_dir(daemon.dir.path());
            command
        };
        let at = ["--server", daemon.orchestrator(), "--control-center", &daemon.control_center];
        let password = daemon.path("data/admin-password").display().to_string();
        quietly(&mut prov(&[&["login", "--password-file", &password][..], &at].concat()));
        for _ in 0..50 {
            daemon.post("/workflows/servers/create", &serde_json::json!({ "infra": "bench" })).await.data();
        }
        let extra = differences(|| prov(&["version"]), || Command::new("/bin/true"));
        show(table, "prov version", "/bin/true", extra, 10.0);
        let curl = || {
            let mut command = Command::new("curl");
            command.args(["--silent", "--fail", "--header", &format!("Authorization: Bearer {}", daemon.token)]);
            command.arg(format!("{}/tasks?limit=50", daemon.orchestrator()));
            command
        };
        if Command::new("curl").arg("--version").output().is_ok() {
            show(
                table,
                "prov tasks list",
                "curl of the same page",
                differences(|| prov(&["tasks", "list"]), curl),
                20.0,
            );
        } else {
            table.absent("prov tasks list", "curl of the same page", "not installed");
        }
        quietly(&mut prov(&["logout"]));
    });
}

/// What both took, in milliseconds, in turn.
fn differences(ours: impl Fn() -> Command, theirs: impl Fn() -> Command) -> (Vec<f64>, Vec<f64>) {
    (0..PAIRS).map(|_| (took(&mut ours()), took(&mut theirs()))).unzip()
}

fn took(command: &mut Command) -> f64 {
    milliseconds(timed(|| quietly(command)).1)
}

fn quietly(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn show(table: &mut Table, what: &str, against: &str, (ours, theirs): (Vec<f64>, Vec<f64>), most: f64) {
    let more = Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs));
    let against = format!("{against}: {}", spread(&Spread::of(theirs), "ms"));
    let shown = format!("{} more", spread(&more, "ms"));
    let met = more.median() <= most;
    table.either(what, &against, &shown, &format!("≤ {most} ms more"), met);
}
