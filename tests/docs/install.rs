//! install.sh: what it puts where, and that it takes exactly that away again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn install(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg(super::root().join("install.sh")).args(args).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    command.output().unwrap()
}

/// Every file below a directory.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                directories.push(entry);
            } else {
                found.insert(entry);
            }
        }
    }
    found
}

#[test]
fn it_installs_for_a_user_and_removes_what_it_installed() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join(".local/bin/own");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "the user's own").unwrap();
    let from = ["--binary", env!("CARGO_BIN_EXE_prov")];
    for _ in 0..2 {
        let installed = install(home.path(), &from);
        assert!(installed.status.success(), "{installed:?}");
        let said = String::from_utf8(installed.stdout).unwrap();
        let found = files(home.path());
        let named: BTreeSet<PathBuf> =
            said.lines().filter_map(|line| line.strip_prefix("installed ")).map(PathBuf::from).collect();
        let manifest = home.path().join(".local/share/prov/manifest");
        assert_eq!(found, &(&named | &[own.clone()].into()) | &[manifest].into(), "it says what it did");
    }
    let prov = home.path().join(".local/bin/prov");
    let version = Command::new(prov).args(["version", "-o", "name"]).output().unwrap();
    assert_eq!(String::from_utf8(version.stdout).unwrap().trim(), env!("CARGO_PKG_VERSION"));

    let removed = install(home.path(), &["--uninstall"]);
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(files(home.path()), [own].into());
    assert!(!install(home.path(), &["--uninstall"]).status.success(), "there is nothing to remove");
}

/// Every directory below one.
fn directories(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                found.insert(entry.clone());
                open.push(entry);
            }
        }
    }
    found
}

#[test]
fn a_prefix_of_any_name_is_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let prefix = home.path().join("a prefix of 100%\t'own'");
    fs::create_dir_all(prefix.join("share/man")).unwrap();
    let before = directories(home.path());
    let binary = format!("--binary={}", env!("CARGO_BIN_EXE_prov"));
    let place = format!("--prefix={}/", prefix.display());
    for _ in 0..2 {
        let installed = install(home.path(), &[&binary, &place]);
        assert!(installed.status.success(), "{installed:?}");
        assert!(prefix.join("bin/prov").is_file() && !home.path().join(".config").exists(), "{installed:?}");
    }
    let removed = install(home.path(), &["--uninstall", &place]);
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!((files(home.path()), directories(home.path())), (BTreeSet::new(), before));
}

#[test]
fn what_is_not_its_own_is_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let prov = home.path().join(".local/bin/prov");
    fs::create_dir_all(prov.parent().unwrap()).unwrap();
    fs::write(&prov, "another prov").unwrap();
    let from = ["--binary", env!("CARGO_BIN_EXE_prov")];
    let refused = install(home.path(), &from);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--force"), "{refused:?}");
    assert_eq!((files(home.path()), fs::read_to_string(&prov).unwrap()), ([prov].into(), "another prov".to_owned()));
    assert!(install(home.path(), &[&from[..], &["--force"]].concat()).status.success());
}

#[test]
fn a_run_that_ends_in_the_middle_can_be_undone_or_repeated() {
    let home = tempfile::tempdir().unwrap();
    let local = home.path().join(".local");
    // A directory in the place of a file that comes late.
    fs::create_dir_all(local.join("share/man/man1/prov.1.new")).unwrap();
    let before = directories(home.path());
    let ended = install(home.path(), &["--binary", env!("CARGO_BIN_EXE_prov")]);
    assert!(!ended.status.success() && String::from_utf8_lossy(&ended.stderr).contains("--uninstall"), "{ended:?}");
    assert!(local.join("bin/prov").is_file(), "it ended in the middle");
    let removed = install(home.path(), &["--uninstall"]);
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!((files(home.path()), directories(home.path())), (BTreeSet::new(), before));
}

#[test]
fn wrong_use_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (args, why) in [
        (&["--sytem"][..], "unknown option: --sytem"),
        (&["--binary"], "--binary needs a file"),
        (&["--binary", "/nonexistent"], "/nonexistent is no program"),
        (&["--binary="], "--binary needs a file"),
        (&["--prefix", "a\nb", "--binary", env!("CARGO_BIN_EXE_prov")], "line break"),
    ] {
        let refused = install(home.path(), args);
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
    assert_eq!(files(home.path()), BTreeSet::new());
}
