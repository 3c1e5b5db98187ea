//! Errors: what failed, why, what to do; an exit code for each kind.

use super::{User, ran};

#[test]
fn wrong_usage_is_told_with_the_nearest_right_one() {
    let user = User::alone();
    assert!(user.prov(&["task", "lst"]).fails(2).contains("'list'"));
    assert!(user.prov(&["tasks", "list", "--status", "Runing"]).fails(2).contains("hint: did you mean 'Running'?"));
    user.prov(&["tasks", "list", "--status", "failed"]).fails(4);
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
    assert!(missing.fails(2).contains("nothing.yaml"), "{missing:?}");
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
    assert!(refused.fails(2).contains("cyclic.json:2:") && refused.stderr.contains("a → b → a"), "{refused:?}");
}

#[test]
fn a_file_is_named_as_it_was_given_and_its_fault_is_shown() {
    let user = User::alone();
    std::fs::create_dir(user.path("below")).unwrap();
    user.file("prov.toml", "");
    user.file("below/missing.yaml", "name: b\noperations:\n  - id: a\n    command: 'true'\n");
    user.file("empty.yaml", "# nothing\n");
    for (file, told) in [
        ("below", "below"),
        ("empty.yaml", "empty.yaml:1:1: there is nothing in it"),
        (
            "below/missing.yaml",
            "below/missing.yaml:3:5: operations[0].type: is required\n    3 |   - id: a\n      |     ^",
        ),
    ] {
        let refused = user.prov(&["batch", "validate", file]);
        assert!(refused.fails(2).contains(told), "{told}: {refused:?}");
    }
    assert!(user.prov(&["batch", "validate", "below"]).stderr.contains("directory"));
    let mut below = user.command(&["batch", "validate", "missing.yaml"]);
    assert!(ran(below.current_dir(user.path("below")), "").fails(2).starts_with("error: missing.yaml:3:5"));
}

#[test]
fn wrong_use_is_an_error_like_any_other() {
    let user = User::alone();
    let wrong = user.prov(&["tasks", "list", "--stauts", "x", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(wrong.fails(2)).unwrap();
    assert_eq!((error["exit_code"].as_i64(), error["hints"][0].as_str()), (Some(2), Some("did you mean '--status'?")));
    let nothing = user.prov(&["batch"]);
    assert_eq!(nothing.fails(2), "error: `prov batch` needs a command\nhint: prov batch --help\n");
    for format in ["json", "jsonl", "yaml", "name"] {
        user.prov(&["demo", "-o", format]).fails(2);
    }
}

#[test]
fn outside_a_workspace_nothing_passes_for_an_empty_one() {
    let user = User::alone();
    for command in [&["infra", "list"][..], &["infra", "validate"], &["servers", "list"]] {
        let refused = user.prov(command);
        assert!(refused.fails(2).contains("is no workspace") && refused.stderr.contains("prov init"), "{refused:?}");
    }
    assert_eq!(user.prov(&["init", "."]).code, 0);
    assert_eq!(user.prov(&["infra", "list", "-o", "name"]).out(), "production\n");
    user.prov(&["infra", "validate", "nowhere"]).fails(6);
}

#[test]
fn addresses_and_tokens_are_checked() {
    let user = User::alone();
    let set = |name: &str, value: &str| {
        let mut command = user.command(&["tasks", "list"]);
        ran(command.env(name, value), "")
    };
    for wrong in ["localhost:9090", "9090", "ftp://a"] {
        assert!(set("PROV_SERVER", wrong).fails(2).contains("write http://host:port"), "{wrong}");
    }
    assert!(set("PROV_TOKEN", " ").fails(4).contains("hint:"), "an empty one is none");
    assert!(set("PROV_TOKEN", "two words").fails(2).contains("PROV_TOKEN holds no token"));
    assert!(set("PROV_TOKEN_FILE", "/nonexistent").fails(2).contains("PROV_TOKEN_FILE /nonexistent"));
    assert!(
        set("PROV_SERVR", "x")
            .fails(4)
            .contains("warning: PROV_SERVR means nothing to prov; did you mean PROV_SERVER?")
    );
}

#[test]
fn a_daemon_that_cannot_work_does_not_start() {
    let user = User::alone();
    let serve = |args: &[&str], log: &str| {
        let mut command = user.command(&[&["serve", "--data-dir", "data"], args].concat());
        ran(command.env("PROV_LOG", log), "")
    };
    assert!(serve(&["--command", "/nonexistent"], "").fails(2).contains("can't run work with /nonexistent"));
    assert!(serve(&["--command", "no-such-program"], "").fails(2).contains("not on PATH"));
    for garbage in ["debgu", "prov=lots", "warn,verbose"] {
        assert!(serve(&[], garbage).fails(2).contains("PROV_LOG can't be"), "{garbage}");
    }
    user.file("prov.toml", "[deamon]\nmax_parallel = 1\n");
    assert!(serve(&[], "").fails(2).contains("unknown table `deamon`; did you mean `daemon`?"));
    assert!(!user.path("data").exists());
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let user = User::alone();
    for args in [&["help", "exit-codes"][..], &["--help"], &["--version"], &["version"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = user.command(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("can't write to standard output"), "{args:?}");
    }
}
