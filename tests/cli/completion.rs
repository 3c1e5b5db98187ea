//! Completion asks prov, and prov the daemon and the disk.

use super::{User, ran};

/// What bash is offered for the words, the last one being completed.
fn candidates(user: &User, words: &[&str]) -> Vec<String> {
    let mut command = user.command(&[]);
    let index = (words.len() - 1).to_string();
    command.args(["--"]).args(words).env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
    command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
    ran(command, "").out().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn commands_options_infras_and_ids_are_offered() {
    let user = User::logged_in();
    assert_eq!(candidates(&user, &["prov", "whoa"]), ["whoami"]);
    assert!(candidates(&user, &["prov", "batch", ""]).contains(&"run".to_owned()));
    assert_eq!(candidates(&user, &["prov", "tasks", "list", "--stat"]), ["--status"]);
    assert_eq!(user.prov(&["init", "."]).code, 0);
    assert_eq!(candidates(&user, &["prov", "servers", "create", "--infra", "pro"]), ["production"]);
    let batch = user.script("one", "true");
    let id = batch["batch_id"].as_str().unwrap();
    assert_eq!(candidates(&user, &["prov", "batch", "get", ""])[0], id);
    let task = batch["operations"][0]["task_id"].as_str().unwrap();
    assert_eq!(candidates(&user, &["prov", "tasks", "logs", &task[..8]])[0], task);
}

#[test]
fn words_come_from_the_workspace_named_and_aliases_are_not_offered() {
    let user = User::alone();
    assert_eq!(user.prov(&["init", "ws"]).code, 0);
    let of = |words: &[&str]| candidates(&user, words);
    assert_eq!(of(&["prov", "--workspace", "ws", "servers", "create", "--infra", ""]), ["production"]);
    assert_eq!(of(&["prov", "servers", "create", "--workspace=ws", "--infra", ""]), ["production"]);
    assert_eq!(of(&["prov", "wor"]), ["workflow"]);
    assert_eq!(of(&["prov", "task"]), ["taskserv", "tasks"]);
    assert_eq!(of(&["prov", "task", "lo"]), ["logs"]);
    assert_eq!(of(&["prov", "tasks", "list", "--status", "F"]), ["Failed"]);
    assert_eq!(of(&["prov", "serve", "--log-format", ""]), ["text", "json"]);
    assert!(of(&["prov", "help", ""]).contains(&"exit-codes".to_owned()));
    assert_eq!(of(&["prov", "taskserv", "create", "--workspace", "ws", "tiny-"]), ["tiny-http", "tiny-kv"]);
    assert_eq!(of(&["prov", "workflow", "submit", "cluster", "et"]), ["etcd"]);
}

#[test]
fn without_a_daemon_there_are_no_ids_and_no_errors() {
    let user = User::alone();
    let mut offered = candidates(&user, &["prov", "batch", "get", ""]);
    offered.retain(|candidate| !candidate.starts_with('-'));
    assert_eq!(offered, Vec::<String>::new());
}

#[test]
fn the_scripts_load() {
    let user = User::alone();
    for (shell, check) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = user.prov(&["completions", shell]);
        assert!(script.out().contains("COMPLETE"), "{script:?}");
        let file = user.file(shell, script.out());
        let mut command = std::process::Command::new(check);
        command.args(["-n", &file]);
        match command.output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(error) => println!("skipped: {shell} is not here: {error}"),
        }
    }
}
