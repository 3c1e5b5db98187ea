//! What is written about prov is true: the layers, the homes of technologies, README's commands, the generated files.

mod generated;
mod install;
mod layers;
mod readme;

use std::fs;
use std::path::{Path, PathBuf};

const ARCHITECTURE: &str = include_str!("../../src/ARCHITECTURE.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory of the project whose name ends so, with its text, by path.
fn files(below: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The rows of the table whose header starts with `first`: what stands in backticks, a cell a list.
fn table(first: &str) -> Vec<Vec<Vec<String>>> {
    let header = format!("| {first} |");
    let rows = ARCHITECTURE.lines().skip_while(|line| !line.starts_with(&header)).skip(2);
    let cell = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" |").map(cell).collect::<Vec<_>>())
        .collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table {header}");
    rows
}
