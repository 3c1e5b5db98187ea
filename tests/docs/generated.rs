//! Completions and man pages that are checked in are those that the program makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

fn contents(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect()
}

fn is_fresh(kind: &str) {
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_prov")).args([kind, "--dir"]).arg(fresh.path()).status().unwrap();
    assert!(status.success());
    let (made, checked_in) = (contents(fresh.path()), contents(&super::root().join(kind)));
    assert!(made.len() > 3, "{:?}", made.keys());
    for (name, text) in &made {
        let same = checked_in.get(name).is_some_and(|other| other == text);
        assert!(same, "{kind}/{name} is stale: cargo run -- {kind} --dir {kind}");
    }
    assert!(made.keys().eq(checked_in.keys()), "{kind}: cargo run -- {kind} --dir {kind}, and remove what is too much");
}

#[test]
fn completions_are_fresh() {
    is_fresh("completions");
}

#[test]
fn man_pages_are_fresh() {
    is_fresh("man");
}
