//! Submitting work and following it: what is shown, and how the end is told.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{User, ran};
use crate::support::script;

#[test]
fn the_exit_code_tells_how_a_batch_ended() {
    let user = User::logged_in();
    let undo = json!({ "command": "true" });
    let broken = json!({ "command": "sh", "args": ["-c", "exit 9"] });
    let batch = |name: &str, undo: &serde_json::Value, last: &str| {
        let mut first = script("first", "true");
        first["rollback"] = undo.clone();
        let mut second = script("second", last);
        second["dependencies"] = json!(["first"]);
        user.file(&format!("{name}.json"), &json!({ "name": name, "operations": [first, second] }).to_string())
    };
    let good = user.prov(&["batch", "run", &batch("good", &undo, "true"), "--wait"]);
    assert!(good.out().contains("good") && good.out().contains("Completed, 2/2 operations"), "{good:?}");
    let failed = user.prov(&["batch", "run", &batch("failed", &undo, "echo the reason >&2; exit 3"), "--wait"]);
    assert_eq!(failed.code, 10, "{failed:?}");
    for told in [
        "batch failed ended RolledBack",
        "operation second: exit status 3: the reason",
        "rolled back: first",
        "hint: prov tasks logs ",
    ] {
        assert!(failed.stderr.contains(told), "{told}: {failed:?}");
    }
    let stuck = user.prov(&["batch", "run", &batch("stuck", &broken, "exit 3"), "--wait"]);
    assert_eq!(stuck.code, 11, "{stuck:?}");
    assert!(stuck.stderr.contains("left: ") && stuck.stderr.contains("first"), "{stuck:?}");
    let slow = batch("slow", &undo, "sleep 600");
    let timed_out = user.prov(&["batch", "run", &slow, "--wait", "--timeout", "1s"]);
    assert!(timed_out.fails(9).contains("hint: cancel it with `prov batch cancel "), "{timed_out:?}");
    let id = user.prov(&["batch", "list", "--status", "Running", "-o", "name"]).out().trim().to_owned();
    assert_eq!(user.prov(&["batch", "cancel", &id]).code, 0);
    assert_eq!(user.prov(&["batch", "watch", &id, "-q"]).code, 8);
}

#[test]
fn a_script_gets_the_id_and_a_follower_a_line_a_change() {
    let user = User::logged_in();
    let batch = json!({ "name": "lines", "operations": [script("op", "echo said")] });
    let file = user.file("lines.yaml", &serde_json::to_string(&batch).unwrap());
    let detached = user.prov(&["batch", "run", &file]);
    let id = detached.out().trim().to_owned();
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{detached:?}");
    let watched = user.prov(&["batch", "watch", &id]);
    assert!(watched.stderr.contains("op Completed\n") && watched.stderr.contains("lines Completed\n"), "{watched:?}");
    assert!(!watched.stderr.contains('\u{1b}'), "no bars where there is no terminal");
    let task = user.prov(&["tasks", "list", "-o", "name"]).out().trim().to_owned();
    assert_eq!(user.prov(&["tasks", "wait", &task]).out(), "said\n");
    let plan = user.prov(&["batch", "plan", &file]);
    assert!(
        plan.out().contains("wave 1\n  op  command\n    do:   sh -c echo said\n    undo: nothing undoes it"),
        "{plan:?}"
    );
    let check = user.prov(&["batch", "run", &file, "--check"]);
    let digest =
        plan.out().strip_prefix(check.out()).and_then(|rest| rest.split_whitespace().nth(1)).unwrap_or_default();
    assert!(digest.starts_with("sha256:"), "{plan:?} {check:?}");
    assert_eq!(user.prov(&["batch", "run", &file, "--plan", digest, "--wait"]).code, 0);
}

/// A command that follows a batch without end, once it has said that the batch runs.
fn follower(user: &User) -> (String, std::process::Child, impl BufRead) {
    let batch = json!({ "name": "long", "operations": [script("op", "sleep 600")] });
    let id = user.prov(&["batch", "run", &user.file("long.json", &batch.to_string()), "--detach"]);
    let id = id.out().trim().to_owned();
    let mut command = user.command(&["batch", "watch", &id]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    assert!(said.by_ref().lines().any(|line| line.unwrap() == "long Running"));
    (id, child, said)
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn an_interrupted_follower_says_that_the_work_goes_on() {
    let user = User::logged_in();
    let (id, mut child, said) = follower(&user);
    signal(child.id(), Signal::INT);
    let told = std::io::read_to_string(said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    assert!(told.contains("goes on") && told.contains("prov batch cancel"), "{told}");
    assert_eq!(user.prov(&["batch", "cancel", &id]).code, 0);
}

#[test]
fn a_daemon_that_hangs_holds_up_nobody_who_wants_to_leave() {
    let user = User::logged_in();
    let (id, mut interrupted, said) = follower(&user);
    let daemon = user.daemon().pid();
    signal(daemon, Signal::STOP);
    let limited = user.prov(&["batch", "watch", &id, "--timeout", "1s", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(limited.fails(9)).unwrap();
    assert_eq!((error["exit_code"].as_i64(), error["id"].as_str()), (Some(9), Some(id.as_str())), "{error}");
    let mut said = said.lines().map(Result::unwrap);
    assert!(said.any(|line| line == "the daemon is away; waiting"), "it says so");
    signal(interrupted.id(), Signal::INT);
    assert!(said.any(|line| line == format!("hint: cancel it with `prov batch cancel {id}`")));
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    signal(daemon, Signal::CONT);
}

#[test]
fn a_daemon_that_was_never_there_is_not_waited_for() {
    let user = User::logged_in();
    let nothing = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";
    for command in ["watch", "wait"] {
        user.prov(&["tasks", command, nothing]).fails(6);
        let mut away = user.command(&["tasks", command, nothing]);
        away.env("PROV_SERVER", "http://127.0.0.1:1").env("PROV_TOKEN", &user.daemon().token);
        assert!(ran(away, "").fails(12).contains("hint: is the daemon running?"));
    }
}

#[test]
fn deleting_asks_and_never_prompts_where_nobody_answers() {
    let user = User::alone();
    assert_eq!(user.prov(&["init", "."]).code, 0);
    let refused = user.prov(&["servers", "delete", "--infra", "production"]);
    assert!(refused.code == 0 || refused.stderr.contains("--yes"), "{refused:?}");
    let (id, infra) = ("01a20dde-a76b-74cc-b9dd-d96eee9b4642", ["--infra", "production"]);
    for destroys in [
        &["workflow", "submit", "servers", "--delete"][..],
        &["workflow", "submit", "taskserv", "redis", "--delete"],
        &["workflow", "submit", "taskserv", "redis", "--reinstall"],
        &["workflow", "submit", "cluster", "etcd", "--delete"],
    ] {
        let asked = user.prov(&[destroys, &infra].concat());
        assert!(asked.fails(2).contains("hint: add --yes"), "{asked:?}");
        let answered = user.prov(&[destroys, &infra, &["--yes"]].concat());
        assert!(answered.fails(4).contains("not logged in"), "{answered:?}");
    }
    assert!(user.prov(&["batch", "cancel", id, "--rollback"]).fails(2).contains("undo what batch"));
    user.prov(&["batch", "cancel", id, "--rollback", "--yes"]).fails(4);
    let mut command = user.command(&["infra", "list", "-o", "name"]);
    command.env("PROV_WORKSPACE", user.home.path());
    assert_eq!(ran(command, "").out(), "production\n");
    assert!(user.prov(&["infra", "validate", "production"]).out().contains("production"));
}

#[test]
fn the_demo_shows_everything_and_leaves_nothing() {
    let user = User::alone();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: local servers need root here");
        return;
    }
    let mut command = user.command(&["demo"]);
    command.env("TMPDIR", user.home.path());
    let shown = ran(command, "");
    assert_eq!(shown.code, 0, "{shown:?}");
    for told in
        ["→  Hello from web-1", "→  hello", "demo-failure RolledBack", "nothing is left", "The demo is complete"]
    {
        assert!(shown.stdout.contains(told) || shown.stderr.contains(told), "{told}: {shown:?}");
    }
    assert_eq!(std::fs::read_dir(user.home.path()).unwrap().count(), 0);
}

#[test]
fn the_doctor_makes_a_server_and_leaves_nothing() {
    let user = User::alone();
    let found = user.prov(&["doctor", "-o", "json"]);
    if found.code != 0 {
        println!("skipped: local servers can't be made here: {found:?}");
        return;
    }
    let works =
        |what: &str| found.json().as_array().unwrap().iter().any(|one| one["what"] == what && one["works"] == true);
    assert!(works("servers") && works("commands"), "{found:?}");
    assert_eq!(std::fs::read_dir(user.home.path()).unwrap().count(), 0);
}
