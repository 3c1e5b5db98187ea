//! Errors: what failed, why, what to do; an exit code for each kind.

use super::{User, ran};

#[test]
fn wrong_usage_is_told_with_the_nearest_right_one() {
    let user = User::alone();
    assert!(user.prov(&["task", "lst"]).fails(2).contains("'list'"));
    assert!(user.prov(&["tasks", "list", "--status", "Runing"]).fails(2).contains("Running"));
    assert!(user.prov(&["tasks", "get", "7"]).fails(2).contains("invalid value '7'"));
    assert!(user.prov(&["tasks", "list", "--limit", "0"]).fails(2).contains("1..=1000"));
    assert!(user.prov(&["help", "nothing"]).fails(2).contains("hint: prov --help"));
    for infra in ["../up", "/etc", "a b", "a;b", "a\nb", "$(id)", &"x".repeat(10_000)] {
        user.prov(&["servers", "create", "--infra", infra]).fails(2);
        user.prov(&["workflow", "submit", "servers", "--infra", infra]).fails(2);
    }
}

#[test]
fn without_a_daemon_or_a_session_it_says_so() {
    let user = User::alone();
    let mut command = user.command(&["tasks", "list"]);
    // Nothing listens on port 1.
    command.env("PROV_SERVER", "http://127.0.0.1:1").env("PROV_TOKEN", "t");
    let unreachable = ran(command, "");
    assert!(
        unreachable.fails(12).contains("hint: is the daemon running? start it with `prov serve`"),
        "{unreachable:?}"
    );
    let nobody = user.prov(&["tasks", "list"]);
    assert!(nobody.fails(4).contains("hint: prov login"), "{nobody:?}");
    let as_json = user.prov(&["tasks", "list", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(as_json.fails(4)).unwrap();
    assert_eq!((error["exit_code"].as_i64(), error["hints"][0].as_str()), (Some(4), Some("prov login")));
    let no_password = user.prov(&["login"]);
    assert!(no_password.fails(2).contains("--password-stdin"), "{no_password:?}");
}

#[test]
fn what_is_not_there_or_contradicts_has_its_own_code() {
    let user = User::logged_in();
    let nothing = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";
    let unknown = user.prov(&["tasks", "get", nothing]);
    assert!(unknown.fails(6).contains(nothing) && unknown.stderr.contains("request: "), "{unknown:?}");
    let batch = user.script("done", "true");
    let id = batch["batch_id"].as_str().unwrap();
    assert!(user.prov(&["batch", "cancel", id]).fails(7).contains("has already ended"));
    user.prov(&["batch", "retry", id, "--wait"]).fails(7);
    let wrong = user.prov_reading(&["login", "--password-stdin"], "wrong");
    assert!(wrong.fails(4).contains("wrong user name or password"), "{wrong:?}");
}

#[test]
fn a_wrong_batch_file_is_shown_where_it_is_wrong() {
    let user = User::logged_in();
    let missing = user.prov(&["batch", "run", "nothing.yaml"]);
    assert!(missing.fails(6).contains("nothing.yaml"), "{missing:?}");
    let broken = user.file("broken.yaml", "name: b\noperations: [\n");
    assert!(user.prov(&["batch", "validate", &broken]).fails(2).contains("broken.yaml"));
    let text = "name: b\nparallel_limit: 0\noperations:\n  - id: a\n    type: comand\n  - id: b\n    type: command\n    command: 'true'\n    retri: {}\n";
    let wrong = user.prov(&["batch", "validate", &user.file("wrong.yaml", text)]);
    for shown in [
        "wrong.yaml:2:17",
        "parallel_limit: 0",
        "wrong.yaml:5:",
        "did you mean `command`?",
        "wrong.yaml:9:",
        "did you mean `retry`?",
    ] {
        assert!(wrong.fails(2).contains(shown), "{shown}: {}", wrong.stderr);
    }
    let cyclic = r#"{"name": "c", "operations": [
        {"id": "a", "type": "command", "command": "true", "dependencies": ["b"]},
        {"id": "b", "type": "command", "command": "true", "dependencies": ["a"]}]}"#;
    let refused = user.prov(&["batch", "run", &user.file("cyclic.json", cyclic)]);
    assert!(refused.fails(2).contains("a → b → a"), "{refused:?}");
}
