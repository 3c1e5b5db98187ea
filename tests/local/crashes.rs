//! The process that makes or deletes a server is killed at every step: the next call completes it or clears it away.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prov::provision::provider::{Provider, ServerState};

use super::support::{Bench, infra, name, processes, spec, until};

/// Traces of a creation on its way, in the order in which they appear.
const STEPS: [&str; 7] = ["lock", "spec.json", "init.lock", "disk/up", "root/usr", "init.json", "made"];

fn prov(bench: &Bench, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_prov"))
        .args(["servers"])
        .args(words)
        .args(["--infra", "production", "--settings", "config.json", "--workspace"])
        .arg(bench.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A workspace whose settings name one server.
fn workspace() -> Option<Bench> {
    let bench = Bench::as_root()?;
    let dir = bench.path().join("infra/production");
    fs::create_dir_all(&dir).unwrap();
    let settings = serde_json::json!({
        "name": "production",
        "provider": "local",
        "servers": [{"name": "web", "plan": "1xCPU-1 GB", "zone": "here"}],
    });
    fs::write(dir.join("config.json"), settings.to_string()).unwrap();
    Some(bench)
}

/// Kills the process as soon as `reached` holds, or when it has ended before.
fn kill_when(mut process: Child, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() && process.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the step was never reached");
        std::thread::yield_now();
    }
    let _ = process.kill();
    process.wait().unwrap();
}

fn expect_nothing_left(bench: &Bench) {
    let path = bench.path().to_str().unwrap();
    until("its processes end", || processes(path).is_empty());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(path));
    let left: Vec<_> = fs::read_dir(bench.path().join(".prov/local")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_creation_cut_short_at_any_step_is_completed_by_the_next() {
    let Some(bench) = workspace() else { return };
    for step in STEPS {
        let trace = bench.state_of("web").join(step);
        kill_when(prov(&bench, &["create"]), || trace.exists());
        let server = bench.provider.create(&spec("web")).unwrap();
        assert_eq!(server.state, ServerState::Running, "{step}");
        assert_eq!(bench.out("web", "hostname; cat /etc/hostname"), "web\nweb", "{step}");
        bench.provider.delete(&infra(), &name("web")).unwrap();
        expect_nothing_left(&bench);
    }
}

#[test]
fn a_creation_cut_short_at_any_step_can_be_deleted() {
    let Some(bench) = workspace() else { return };
    for step in STEPS {
        let trace = bench.state_of("web").join(step);
        kill_when(prov(&bench, &["create"]), || trace.exists());
        bench.provider.delete(&infra(), &name("web")).unwrap();
        expect_nothing_left(&bench);
    }
}

#[test]
fn a_deletion_cut_short_is_completed_and_never_revives_old_files() {
    let Some(bench) = workspace() else { return };
    let state = bench.state_of("web");
    let there = |trace: &str| state.join(trace).exists();
    for step in ["nothing", "init.json", "disk/up/etc", "disk", "data", "deleting.json"] {
        let reached = || !there("spec.json") && !there(step);
        for revive in [true, false] {
            bench.provider.create(&spec("web")).unwrap();
            bench.out("web", "echo old >/etc/old; mkdir /opt/old");
            kill_when(prov(&bench, &["delete", "--yes"]), reached);
            if let Some(half) = bench.provider.list(&infra()).unwrap().first() {
                assert_eq!(half.state, ServerState::Incomplete, "{step}");
            }
            if revive {
                bench.provider.create(&spec("web")).unwrap();
                assert_eq!(bench.out("web", "ls -d /etc/old /opt/old 2>/dev/null || echo new"), "new", "{step}");
            }
            bench.provider.delete(&infra(), &name("web")).unwrap();
            expect_nothing_left(&bench);
        }
    }
}

#[test]
fn a_command_whose_caller_is_killed_ends_with_all_it_started() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    // A caller that can be killed: this test's binary, with a test that does nothing else.
    let caller = Command::new(std::env::current_exe().unwrap())
        .args(["local::crashes::caller_that_waits_for_a_long_command", "--exact"])
        .env(CALLER, bench.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = || bench.out("web", "ps -e -o args= | grep -c '^[s]leep 4323' || true") == "2";
    kill_when(caller, running);
    until("the command ends", || bench.out("web", "ps -e -o args= | grep -c '^[s]leep 4323' || true") == "0");
}

/// Names the workspace for the test below when it is run as a caller.
const CALLER: &str = "PROV_TEST_CALLER_WORKSPACE";

#[test]
fn caller_that_waits_for_a_long_command() {
    let Some(workspace) = std::env::var_os(CALLER) else { return };
    let provider = prov::provision::provider::local::LocalProvider::new(Path::new(&workspace))
        .unwrap()
        .with_program(env!("CARGO_BIN_EXE_prov").into());
    let argv = ["sh", "-c", "sleep 4323 & sleep 4323; :"].map(str::to_owned).to_vec();
    let exec = prov::provision::transport::Exec { argv, ..Default::default() };
    let _ = provider.transport(&infra(), &name("web")).unwrap().exec(&exec);
}
