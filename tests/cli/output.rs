//! Formats: tables for people, everything else for programs.

use super::{Ran, User, ran, terminal};

const FORMATS: [&str; 6] = ["table", "wide", "json", "jsonl", "yaml", "name"];

#[test]
fn lists_come_in_every_format_with_nothing_else_on_standard_output() {
    let user = User::logged_in();
    let empty = user.prov(&["tasks", "list"]);
    assert_eq!(empty.out(), "ID  NAME  STATUS  INFRA  AGE  TOOK\n");
    assert_eq!(user.prov(&["tasks", "list", "-o", "json"]).json(), serde_json::json!([]));
    user.script("first", "echo said");
    user.script("second", "exit 1");
    let lists: Vec<Ran> = FORMATS.iter().map(|format| user.prov(&["tasks", "list", "-o", format])).collect();
    let [table, wide, json, jsonl, yaml, name] = lists.try_into().unwrap();

    let lines: Vec<Vec<&str>> = table.out().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "NAME", "STATUS", "INFRA", "AGE", "TOOK"]);
    assert_eq!(
        (lines[1][1..4].to_vec(), lines[2][1..4].to_vec()),
        (vec!["op", "Failed", "second"], vec!["op", "Completed", "first"])
    );
    assert!(wide.out().lines().next().unwrap().ends_with("ERROR") && wide.out().contains("exit status 1"), "{wide:?}");
    let json = json.json();
    let ids: Vec<&str> = json.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(name.out().lines().collect::<Vec<_>>(), ids);
    assert_eq!([lines[1][0], lines[2][0]], ids[..]);
    let by_line: Vec<serde_json::Value> = jsonl.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(&by_line, json.as_array().unwrap());
    assert!(yaml.out().starts_with("- id: ") && yaml.out().contains("status: Completed"), "{yaml:?}");

    let one = user.prov(&["tasks", "get", ids[1]]);
    assert!(one.out().contains("command:  sh -c echo said") && one.out().contains("output:\nsaid"), "{one:?}");
    let log = user.prov(&["tasks", "logs", ids[1], "--stream", "stdout"]);
    assert_eq!((log.out(), log.stderr.as_str()), ("said\n", ""));
    let limited = user.prov(&["tasks", "list", "--limit", "1", "-o", "name"]);
    assert_eq!(
        (limited.out().lines().count(), limited.stderr.as_str()),
        (1, "1 of 2; more with --offset, --after or --limit\n")
    );
    let older = user.prov(&["tasks", "list", "--after", ids[0], "-o", "name"]);
    assert_eq!(older.out().trim(), ids[1]);
    assert_eq!(user.prov(&["tasks", "list", "--status", "Failed", "-o", "name"]).out().trim(), ids[0]);
    assert_eq!(user.prov(&["batch", "list", "--status", "Completed"]).out().lines().count(), 2);
}

#[test]
fn a_table_fits_the_width_it_is_given_and_a_pipe_gets_all_of_it() {
    let user = User::logged_in();
    user.script("a-name-that-is-rather-long-for-a-narrow-terminal", "true");
    for width in [40, 60, 80] {
        let cut = on_a_terminal(&user, &["batch", "list"], &[("COLUMNS", &width.to_string()), ("TERM", "dumb")]);
        assert!(cut.lines().all(|line| line.chars().count() <= width), "{width}: {cut:?}");
        assert_eq!(cut.lines().count(), 2, "{cut:?}");
    }
    let coloured = on_a_terminal(&user, &["batch", "list"], &[("FORCE_COLOR", "1"), ("COLUMNS", "0")]);
    assert!(coloured.contains("\u{1b}[32mCompleted\u{1b}[0m"), "{coloured:?}");
    assert!(!on_a_terminal(&user, &["batch", "list"], &[("NO_COLOR", "1")]).contains("\u{1b}[32m"));
    let mut narrow = user.command(&["batch", "list"]);
    let narrow = ran(narrow.env("COLUMNS", "40"), "");
    assert!(narrow.out().contains("a-name-that-is-rather-long-for-a-narrow-terminal"), "{narrow:?}");
    let whole = user.prov(&["batch", "list"]);
    assert!(whole.out().contains("a-name-that-is-rather-long-for-a-narrow-terminal"), "{whole:?}");
}

/// What a command shows on a terminal.
fn on_a_terminal(user: &User, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut script = terminal::on_one(user, args);
    script.envs(variables.iter().copied());
    let shown = ran(script, "");
    shown.out().replace('\r', "")
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let user = User::logged_in();
    user.script("much", "seq 200000");
    let id = user.prov(&["tasks", "list", "-o", "name"]).out().trim().to_owned();
    let script = format!("'{}' tasks logs {id} | head -1; echo ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_prov"));
    let mut shell = std::process::Command::new("bash");
    let prov = user.command(&[]);
    shell.args(["-c", &script]).env_clear();
    shell.envs(prov.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let cut = ran(shell, "");
    assert_eq!((cut.out(), cut.stderr.as_str()), ("1\n0\n", ""));
}

#[test]
fn every_command_has_a_help_that_fits() {
    use clap::CommandFactory;
    let user = User::alone();
    let mut commands = vec![(vec![], prov::cli::Cli::command())];
    let mut count = 0;
    while let Some((words, command)) = commands.pop() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = user.prov(&args);
        assert!(help.out().contains("Usage: prov"), "{args:?}");
        assert!(help.out().lines().all(|line| line.chars().count() <= 100), "{args:?}: {help:?}");
        count += 1;
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            assert!(sub.get_about().is_some(), "{sub} says nothing about itself");
            commands.push(([words.clone(), vec![sub.get_name().to_owned()]].concat(), sub.clone()));
        }
    }
    assert!(count > 30, "{count}");
    assert!(user.prov(&["help", "exit-codes"]).out().contains("130  interrupted"));
    assert!(user.prov(&["help", "environment"]).out().contains("PROV_SERVER"));
    assert!(user.prov(&["help", "batch", "run"]).out().contains("Usage: prov batch run"));
}
