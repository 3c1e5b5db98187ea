//! State from the command line.

use serde_json::json;

use super::User;
use crate::support::{processes_of, run, until};

#[test]
fn the_daemon_tells_how_it_does_and_what_became_of_its_work() {
    let user = User::logged_in();
    let batch = user.script("first", "true");
    let id = batch["batch_id"].as_str().unwrap();
    let progress = user.prov(&["workflow", "progress", id]);
    for line in ["status:     Completed", "progress:   100%", "steps:      1 of 1", "remaining:  0s"] {
        assert!(progress.out().lines().any(|found| found == line), "{line}: {progress:?}");
    }
    assert_eq!(user.prov(&["wf", "progress", id, "-o", "json"]).json()["workflow_id"], *id);
    let unknown = user.prov(&["workflow", "progress", "01a20dde-a76b-74cc-b9dd-d96eee9b4642"]);
    assert!(unknown.fails(6).contains("there is no task or batch"), "{unknown:?}");
    let snapshots = user.prov(&["workflow", "snapshots", id, "-o", "json"]).json();
    let newest = snapshots[0]["snapshot_id"].to_string();
    assert_eq!(snapshots[0]["state"]["status"], "Completed");
    let rest = user.prov(&["workflow", "snapshots", id, "--after", &newest, "-o", "json"]).json();
    assert_eq!(rest.as_array().unwrap()[..], snapshots.as_array().unwrap()[1..]);
    assert!(user.prov(&["workflow", "snapshots", id]).out().starts_with("SNAPSHOT"));

    let health = user.prov(&["state", "health", "-o", "json"]);
    assert_eq!(health.json()["components"]["store"], json!({ "status": "Healthy", "reason": null }));
    let health = user.prov(&["state", "health"]);
    assert!(health.out().contains("provider:local"), "{health:?}");
    assert!(user.prov(&["state", "metrics"]).out().contains("completed:   1\n"));
    let stats = user.prov(&["state", "stats", "--since", "1h"]);
    let words: Vec<&str> = stats.out().lines().nth(1).unwrap().split_whitespace().take(4).collect();
    assert_eq!(words, ["all", "1", "1", "0"], "{stats:?}");
    assert_eq!(user.prov(&["state", "stats", "-o", "json"]).json()["total"], 1);
    assert!(user.prov(&["state", "stats", "--since", "soon"]).fails(2).contains("30d"));
}

#[test]
fn a_daemon_without_its_supervisor_is_not_healthy_until_there_is_another() {
    let user = User::logged_in();
    let directory = user.daemon().path("data/supervisor");
    let supervisors = processes_of(&directory.display().to_string());
    let supervisor = supervisors.iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("supervisor")
    });
    // Nothing takes the place of the one that is gone: there is no directory for it.
    std::fs::rename(&directory, directory.with_extension("away")).unwrap();
    rustix::process::kill_process(*supervisor.unwrap(), rustix::process::Signal::KILL).unwrap();
    run(async {
        let told = until("the loss is told", || async {
            let health = user.prov(&["state", "health"]);
            (health.code == 1).then_some(health)
        });
        let told = told.await;
        assert!(told.stdout.contains("executor") && told.stdout.contains("there is no supervisor"), "{told:?}");
        std::fs::rename(directory.with_extension("away"), &directory).unwrap();
        until("there is another", || async { (user.prov(&["state", "health"]).code == 0).then_some(()) }).await;
    });
}
