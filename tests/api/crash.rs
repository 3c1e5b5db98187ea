//! Ends of every kind: the daemon's, the supervisor's, a task's with everything it started.

use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::support::{ANY_PORT, Daemon, command, processes_of, run, script, until};

async fn started(daemon: &Daemon, file: &str) {
    let path = daemon.path(file);
    until("the task runs", || async { path.exists().then_some(()) }).await;
}

#[test]
fn a_killed_daemon_takes_up_its_running_task_with_output_and_status() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let text = format!(
            "echo run >> {}; echo before; while [ ! -e {} ]; do sleep 0.02; done; echo after; echo words >&2; exit 7",
            ledger.display(),
            gate.display()
        );
        let batch = json!({ "name": "adopt", "rollback_enabled": false, "operations": [script("a", &text)] });
        let id = daemon.batch(&batch).await;
        started(&daemon, "ledger").await;
        daemon.kill();
        daemon.boot().await;
        std::fs::write(gate, "").unwrap();
        let ended = daemon.ended(&id).await;
        assert_eq!(
            (ended["status"].as_str(), ended["error"].as_str()),
            (Some("Failed"), Some("operation a: exit status 7: words"))
        );
        let task = daemon.get(&format!("/tasks/{}", ended["operations"][0]["task_id"].as_str().unwrap())).await;
        assert_eq!(
            (task.data()["output"].as_str(), task.data()["exit_code"].as_i64()),
            (Some("before\nafter"), Some(7))
        );
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "run\n");
    });
}

/// An upgrade: the file is exchanged while the old program runs, whose supervisor goes on with what it started.
#[test]
fn a_task_outlives_a_kill_and_the_exchange_of_the_program_and_ends_with_whole_output() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        let exchanged = daemon.path("prov");
        let built = std::mem::replace(&mut daemon.program, exchanged);
        std::fs::copy(&built, &daemon.program).unwrap();
        daemon.boot().await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let text = format!(
            "seq 1 2000; echo begin >> {0}; while [ ! -e {1} ]; do sleep 0.02; done; seq 2001 4000; echo end >> {0}",
            ledger.display(),
            gate.display()
        );
        let id = daemon.batch(&json!({ "name": "upgrade", "operations": [script("a", &text)] })).await;
        started(&daemon, "ledger").await;
        std::fs::copy(&built, daemon.path("prov.new")).unwrap();
        std::fs::rename(daemon.path("prov.new"), &daemon.program).unwrap();
        daemon.kill();
        daemon.boot().await;
        let supervisors = processes_of(&daemon.path("data/supervisor").display().to_string());
        let runs = |pid: &rustix::process::Pid| {
            let program = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).unwrap();
            program.to_string_lossy().ends_with("(deleted)")
        };
        assert!(supervisors.len() == 1 && supervisors.iter().all(runs), "the supervisor is the old program's");
        std::fs::write(gate, "").unwrap();
        let ended = daemon.ended(&id).await;
        assert_eq!(ended["status"], "Completed");
        let task = daemon.get(&format!("/tasks/{}", ended["operations"][0]["task_id"].as_str().unwrap())).await;
        let whole: Vec<String> = (1..=4000).map(|n| n.to_string()).collect();
        assert_eq!(task.data()["output"].as_str().unwrap().lines().collect::<Vec<_>>(), whole);
        assert_eq!((task.data()["exit_code"].as_i64(), task.data()["attempt"].as_u64()), (Some(0), Some(1)));
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "begin\nend\n");
        let next = daemon.batch(&json!({ "name": "next", "operations": [script("a", "true")] })).await;
        assert_eq!(
            daemon.ended(&next).await["status"],
            "Completed",
            "old supervisor and new daemon understand each other"
        );
    });
}

#[test]
fn what_ended_while_the_daemon_was_dead_is_known_when_it_is_back() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let (ledger, done) = (daemon.path("ledger"), daemon.path("done"));
        let gate = daemon.path("gate");
        let text = format!(
            "echo x >> {}; while [ ! -e {} ]; do sleep 0.02; done; touch {}",
            ledger.display(),
            gate.display(),
            done.display()
        );
        let after = json!({ "id": "b", "type": "command", "command": "true", "dependencies": ["a"] });
        let id = daemon.batch(&json!({ "name": "meanwhile", "operations": [script("a", &text), after] })).await;
        started(&daemon, "ledger").await;
        daemon.kill();
        std::fs::write(gate, "").unwrap();
        until("the task has ended", || async { done.exists().then_some(()) }).await;
        daemon.boot().await;
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "x\n");
    });
}

#[test]
fn when_the_supervisor_is_killed_too_the_task_says_so_and_its_policy_decides() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let ledger = daemon.path("ledger");
        let text = format!("echo attempt $PROV_ATTEMPT >> {}; test $PROV_ATTEMPT = 2 || sleep 600", ledger.display());
        let mut operation = script("a", &text);
        operation["retry"] = json!({ "max_attempts": 2, "initial_delay_seconds": 0 });
        let id = daemon.batch(&json!({ "name": "both", "operations": [operation] })).await;
        started(&daemon, "ledger").await;
        daemon.kill();
        let supervisor = daemon.path("data/supervisor").display().to_string();
        for pid in processes_of(&supervisor) {
            let _ = kill_process(pid, Signal::KILL);
        }
        daemon.boot().await;
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        assert_eq!(std::fs::read_to_string(ledger).unwrap(), "attempt 1\nattempt 2\n");
    });
}

#[test]
fn work_that_was_only_accepted_runs_after_a_kill() {
    run(async {
        let mut daemon = Daemon::start(&["--max-parallel", "1"]).await;
        let (ledger, gate) = (daemon.path("ledger"), daemon.path("gate"));
        let hold =
            format!("touch {}; while [ ! -e {} ]; do sleep 0.02; done", daemon.path("held").display(), gate.display());
        let mut operations = vec![script("hold", &hold)];
        operations.extend((0..40).map(|n| script(&format!("o{n}"), &format!("echo {n} >> {}", ledger.display()))));
        let id = daemon.batch(&json!({ "name": "queue", "operations": operations })).await;
        started(&daemon, "held").await;
        daemon.kill();
        daemon.boot().await;
        std::fs::write(gate, "").unwrap();
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        let mut lines: Vec<u32> =
            std::fs::read_to_string(ledger).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..40).collect::<Vec<_>>());
    });
}

#[test]
fn a_cancelled_task_leaves_no_process_however_it_hides() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let mark = format!("hidden-{}", uuid::Uuid::now_v7());
        let text = format!(
            "trap '' TERM; for i in 1 2 3; do (trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' {mark} &) ; done; \
             nohup sh -c 'while :; do sleep 1; done' {mark} >/dev/null 2>&1 & touch {}; while :; do sleep 1; done",
            daemon.path("up").display()
        );
        let id = daemon
            .batch(&json!({ "name": "hides", "rollback_enabled": false, "operations": [script("a", &text)] }))
            .await;
        started(&daemon, "up").await;
        assert!(!processes_of(&mark).is_empty());
        daemon.post(&format!("/batch/operations/{id}/cancel"), &json!({})).await.data();
        assert_eq!(daemon.ended(&id).await["status"], "Cancelled");
        assert_eq!(processes_of(&mark).len(), 0);
    });
}

#[test]
fn a_store_that_is_let_go_in_a_moment_is_waited_for() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        daemon.kill();
        let store = std::fs::File::open(daemon.path("data/prov.redb")).unwrap();
        store.lock().unwrap();
        let log = daemon.path("daemon.log");
        let letting_go = async {
            let waits = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("waiting a moment"));
            until("the next daemon waits", || async { waits().then_some(()) }).await;
            drop(store);
        };
        tokio::join!(daemon.boot(), letting_go);
    });
}

#[test]
fn sigterm_drains_and_leaves_what_runs_to_the_next_daemon() {
    run(async {
        let mut daemon = Daemon::start(&["--drain-seconds", "1"]).await;
        let gate = daemon.path("gate");
        let text = format!(
            "touch {}; while [ ! -e {} ]; do sleep 0.02; done; echo done",
            daemon.path("up").display(),
            gate.display()
        );
        let id = daemon.batch(&json!({ "name": "drain", "operations": [script("a", &text)] })).await;
        started(&daemon, "up").await;
        assert!(daemon.terminate().success());
        daemon.boot().await;
        std::fs::write(gate, "").unwrap();
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
    });
}

#[test]
fn a_daemon_that_ends_with_nothing_running_lets_its_supervisor_go_and_starts_no_other() {
    run(async {
        let mut daemon = Daemon::start(&[]).await;
        let supervisor = daemon.path("data/supervisor").display().to_string();
        for round in 0..5 {
            let id =
                daemon.batch(&json!({ "name": format!("end-{round}"), "operations": [script("a", "true")] })).await;
            assert_eq!(daemon.ended(&id).await["status"], "Completed");
            assert!(daemon.terminate().success());
            assert_eq!(processes_of(&supervisor), []);
            daemon.boot().await;
        }
        let log = std::fs::read_to_string(daemon.path("daemon.log")).unwrap();
        assert!(!log.contains("starting another"), "{log}");
    });
}

#[test]
fn sigterm_cancels_what_outlasts_the_drain_where_that_is_wanted() {
    run(async {
        let mut daemon = Daemon::start(&["--drain-seconds", "0", "--drain-action", "cancel"]).await;
        let mark = format!("outlasts-{}", uuid::Uuid::now_v7());
        let text = format!("touch {}; sh -c 'while :; do sleep 1; done' {mark}", daemon.path("up").display());
        let waiting = json!({ "id": "b", "type": "command", "command": "true", "dependencies": ["a"] });
        let id = daemon.batch(&json!({ "name": "drain", "operations": [script("a", &text), waiting] })).await;
        started(&daemon, "up").await;
        assert!(daemon.terminate().success());
        assert_eq!(processes_of(&mark).len(), 0);
        daemon.boot().await;
        let ended = daemon.ended(&id).await;
        assert_eq!(
            (ended["status"].as_str(), ended["operations"][1]["status"].as_str()),
            (Some("Cancelled"), Some("Skipped"))
        );
    });
}

#[test]
fn what_is_taken_or_damaged_is_said_with_what_to_do() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let error = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(!output.status.success());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let locked = error(&mut command(&daemon.path("ws"), &daemon.path("data"), ANY_PORT));
        assert!(locked.contains("in use by another process") && locked.contains("hint:"), "{locked}");
        let address = daemon.control_center.trim_start_matches("http://").to_owned();
        let taken = error(&mut command(&daemon.path("ws"), &daemon.path("data2"), &address));
        assert!(taken.contains("in use") && taken.contains("--listen"), "{taken}");
        let exposed = error(&mut command(&daemon.path("ws"), &daemon.path("data2"), "0.0.0.0:0"));
        assert!(exposed.contains("not encrypted") && exposed.contains("--insecure"), "{exposed}");
        std::fs::create_dir(daemon.path("data3")).unwrap();
        std::fs::write(daemon.path("data3/prov.redb"), b"this is no store").unwrap();
        let damaged = error(&mut command(&daemon.path("ws"), &daemon.path("data3"), ANY_PORT));
        assert!(damaged.contains("can't open the store") && damaged.contains("hint:"), "{damaged}");
        let nowhere = error(&mut command(&daemon.path("nothing"), &daemon.path("data2"), ANY_PORT));
        assert!(nowhere.contains("the workspace"), "{nowhere}");
    });
}

#[test]
fn without_files_to_be_had_tasks_wait_and_run_when_there_are() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let operation =
            |n: usize| script(&format!("o{n}"), &format!("echo {n} >> {}", daemon.path("ledger").display()));
        let first = daemon.batch(&json!({ "name": "first", "operations": [operation(0)] })).await;
        assert_eq!(daemon.ended(&first).await["status"], "Completed");
        let supervisor = daemon.path("data/supervisor").display().to_string();
        let supervisor = *processes_of(&supervisor).first().unwrap();
        let limit = |files| rustix::process::Rlimit { current: Some(files), maximum: Some(4096) };
        let before = rustix::process::prlimit(Some(supervisor), rustix::process::Resource::Nofile, limit(9)).unwrap();
        assert!(before.current > Some(9));
        let batch =
            json!({ "name": "waits", "parallel_limit": 4, "operations": (1..9).map(operation).collect::<Vec<_>>() });
        let id = daemon.batch(&batch).await;
        let refused = || async { daemon.log().contains("can't start at the moment").then_some(()) };
        until("a start is refused", refused).await;
        rustix::process::prlimit(Some(supervisor), rustix::process::Resource::Nofile, limit(1024)).unwrap();
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        let mut lines: Vec<u32> =
            std::fs::read_to_string(daemon.path("ledger")).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..9).collect::<Vec<_>>());
    });
}
