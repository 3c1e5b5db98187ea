//! README's commands are commands.

use clap::CommandFactory;
use prov::cli::Cli;

const README: &str = include_str!("../../README.md");

/// What stands for a variable.
const SOME_ID: &str = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";

/// The lines of README's shell blocks, without comments.
fn lines() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap().trim());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_prov_command_parses() {
    let commands: Vec<&str> = lines()
        .iter()
        .flat_map(|line| line.split("&&"))
        .map(str::trim)
        .filter(|line| line.starts_with("prov "))
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let command = command.split(['|', '<', '>']).next().unwrap().trim_end_matches('&').replace("$id", SOME_ID);
        let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        if let Err(error) = Cli::command().try_get_matches_from(words) {
            panic!("README: {command}\n{error}");
        }
    }
}

#[test]
fn every_file_named_is_there() {
    for name in ["install.sh", "completions", "man", "src/ARCHITECTURE.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(README.contains(name), "README doesn't name {name}");
        assert!(super::root().join(name).exists(), "there is no {name}");
    }
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let ci = std::fs::read_to_string(super::root().join(".ci/run")).unwrap();
    let command = lines().into_iter().find(|line| line.starts_with("cargo test")).expect("README has a test command");
    assert!(ci.lines().any(|line| line.trim() == command), ".ci/run doesn't run {command:?}");
}
