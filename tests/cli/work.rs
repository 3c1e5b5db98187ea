//! Submitting work and following it: what is shown, and how the end is told.

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
    assert_eq!(user.prov(&["batch", "run", &file, "--check"]).out(), plan.out());
}

#[test]
fn an_interrupted_follower_says_that_the_work_goes_on() {
    let user = User::logged_in();
    let ready = user.path("ready");
    let text = format!("touch {}; sleep 600", ready.display());
    let batch = json!({ "name": "long", "operations": [script("op", &text)] });
    let file = user.file("long.json", &batch.to_string());
    let mut command = user.command(&["batch", "run", &file, "--wait"]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    crate::support::run(async {
        crate::support::until("the task runs", || async { ready.exists().then_some(()) }).await;
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("goes on") && told.contains("prov batch cancel"), "{told}");
    let running = user.prov(&["batch", "list", "--status", "Running", "-o", "name"]);
    assert_eq!(user.prov(&["batch", "cancel", running.out().trim()]).code, 0);
}

#[test]
fn deleting_asks_and_never_prompts_where_nobody_answers() {
    let user = User::alone();
    assert_eq!(user.prov(&["init", "."]).code, 0);
    let refused = user.prov(&["servers", "delete", "--infra", "production"]);
    assert!(refused.code == 0 || refused.stderr.contains("--yes"), "{refused:?}");
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
