//! `prov selftest crash`: two hundred rounds keep every promise, and nothing is left, however it ends.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{User, ran};
use crate::support::{processes_of, run, until};

/// A user whose temporary files stand in a directory of their own.
fn user() -> (User, String) {
    let user = User::alone();
    fs::create_dir(user.path("tmp")).unwrap();
    let temporary = user.path("tmp").display().to_string();
    (user, temporary)
}

#[track_caller]
fn nothing_is_left(temporary: &str) {
    let left: Vec<_> = fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [""; 0].map(std::path::PathBuf::from));
    assert_eq!(processes_of(temporary), []);
}

#[test]
fn two_hundred_kills_lose_nothing_and_repeat_nothing() {
    let (user, temporary) = user();
    let mut command = user.command(&["selftest", "crash", "--rounds", "200", "--quiet", "-o", "json"]);
    command.env("TMPDIR", &temporary);
    let tested = ran(command, "");
    assert_eq!(tested.stderr, "");
    let report = tested.json();
    assert_eq!(report["rounds"], 200);
    for promise in ["lost", "duplicated", "stuck", "left_running", "out_of_order", "untrue"] {
        assert_eq!(report[promise], 0, "{report}");
    }
    let kills = |target: &str| report["kills"][target].as_u64().unwrap_or(0);
    for target in ["daemon", "supervisor", "task", "daemon_and_supervisor", "everything"] {
        assert!(kills(target) > 0, "{report}");
    }
    assert!(report["kills_during_rollback"].as_u64() > Some(0), "{report}");
    nothing_is_left(&temporary);
}

#[test]
fn an_interrupted_selftest_leaves_nothing() {
    let (user, temporary) = user();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = user.command(&["selftest", "crash", "--rounds", "100000"]);
        let command = command.env("TMPDIR", &temporary).stdin(Stdio::null()).stdout(Stdio::null());
        let mut tested = command.stderr(Stdio::piped()).spawn().unwrap();
        run(async {
            let has_ledger = || {
                let directory = fs::read_dir(&temporary).unwrap().next()?.unwrap().path();
                directory.join("ledger-000002").exists().then_some(())
            };
            until("it plays", || async { has_ledger() }).await;
        });
        kill_process(Pid::from_child(&tested), signal).unwrap();
        assert_eq!(tested.wait().unwrap().code(), Some(code));
        nothing_is_left(&temporary);
    }
}

#[test]
fn the_rounds_of_a_seed_are_kept_where_that_is_asked_for() {
    let (user, temporary) = user();
    let mut command = user.command(&["selftest", "crash", "--rounds", "2", "--seed", "7", "--keep"]);
    command.env("TMPDIR", &temporary);
    let tested = ran(command, "");
    assert!(tested.out().lines().any(|line| line.split_whitespace().eq(["seed", "7"])), "{tested:?}");
    assert!(tested.stderr.contains("every promise was kept"), "{tested:?}");
    let kept = fs::read_dir(&temporary).unwrap().next().unwrap().unwrap().path();
    for file in ["ledger-000001", "ledger-000002", "daemon.log", "data/prov.redb"] {
        assert!(kept.join(file).exists(), "{file}");
    }
    assert_eq!(processes_of(&temporary), []);
    assert_eq!(user.prov(&["selftest", "crash", "--rounds", "0"]).code, 2);
}
