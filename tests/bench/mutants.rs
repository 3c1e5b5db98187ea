//! The simulation against each way of breaking what it simulates: a copy of the sources is broken, and the simulation run
//! there; one that passes has missed something.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::table::Table;
use sim::MUTANTS;

#[path = "../sim/mutants.rs"]
mod sim;

/// What a build needs of the sources.
const NEEDED: [&str; 7] = ["Cargo.toml", "Cargo.lock", "README.md", "src", "tests", "completions", "man"];
/// The test that compares the list with the sources, which are changed here.
const LIST: &str = "every_mutant_would_still_break_something";

pub fn bench(table: &mut Table) {
    let copy = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in NEEDED {
        let copied = Command::new("cp").arg("-a").arg(sources.join(name)).arg(copy.path()).status().unwrap();
        assert!(copied.success(), "{name}");
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let simulate = || {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--locked", "--test", "prov", "sim::", "--", "--skip", LIST]);
        cargo.current_dir(copy.path()).env("CARGO_TARGET_DIR", &target).env("RUST_BACKTRACE", "0");
        cargo.output().unwrap()
    };
    assert!(simulate().status.success(), "the simulation fails as it is");
    for mutant in MUTANTS {
        let path = copy.path().join("src").join(mutant.file);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replace(mutant.from, mutant.to)).unwrap();
        let output = simulate();
        fs::write(&path, whole).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("could not compile"), "{}: {errors}", mutant.breaks);
        let why = text.lines().find(|line| line.starts_with("seed ")).unwrap_or("not caught");
        let why: String = why.chars().take(60).collect();
        table.either(mutant.breaks, "the simulation", &why, "caught", !output.status.success());
    }
}
