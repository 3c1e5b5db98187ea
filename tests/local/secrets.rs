//! What is prov's own on the host: no server sees it, wherever it lies.

use std::fs;
use std::path::Path;

use prov::provision::provider::Provider;

use super::support::{Bench, spec};

/// A data directory as a daemon has it, beside a workspace, as the installed layout has them.
fn installation() -> Option<(tempfile::TempDir, Bench)> {
    let dir = tempfile::Builder::new().prefix("prov-test-").tempdir_in("/var/lib").ok()?;
    fs::create_dir_all(dir.path().join("data/keys")).unwrap();
    for file in ["prov.redb", "admin-password", "keys/signing.pem"] {
        fs::write(dir.path().join("data").join(file), secret(dir.path())).unwrap();
    }
    let bench = Bench::as_root_in(dir.path())?;
    Some((dir, bench))
}

/// A secret that no other test has: theirs may be made while this one looks.
fn secret(dir: &Path) -> String {
    format!("the secret of {}", dir.display())
}

fn expect_hidden(bench: &Bench, dir: &Path) {
    let search =
        format!("grep -rlF '{}' {} /var/lib /opt /etc 2>/dev/null || echo nothing", secret(dir), dir.display());
    assert_eq!(bench.out("web", &search), "nothing");
    assert_eq!(bench.out("web", &format!("ls -A {} 2>/dev/null || true", dir.display())), "");
}

#[test]
fn a_daemons_data_beside_the_workspace_is_not_seen() {
    let Some((dir, bench)) = installation() else { return println!("skipped: needs root") };
    bench.provider.create(&spec("web")).unwrap();
    expect_hidden(&bench, dir.path());
    // A workspace that lies elsewhere makes no difference.
    let Some(elsewhere) = Bench::as_root() else { return };
    elsewhere.provider.create(&spec("web")).unwrap();
    expect_hidden(&elsewhere, dir.path());
}

#[test]
fn another_workspace_is_not_seen() {
    let Some(bench) = Bench::as_root() else { return };
    let Ok(other) = tempfile::Builder::new().prefix("prov-test-").tempdir_in("/var/lib") else { return };
    fs::create_dir_all(other.path().join("shop/.prov/local")).unwrap();
    fs::write(other.path().join("shop/.prov/local/key"), secret(other.path())).unwrap();
    bench.provider.create(&spec("web")).unwrap();
    expect_hidden(&bench, other.path());
}

#[test]
fn what_the_server_keeps_where_something_is_hidden_is_its_own() {
    let Some((_dir, bench)) = installation() else { return println!("skipped: needs root") };
    bench.provider.create(&spec("web")).unwrap();
    bench.out("web", "mkdir -p /var/lib/prov/taskservs && echo kept >/var/lib/prov/taskservs/x");
    assert!(!Path::new("/var/lib/prov/taskservs/x").exists());
    assert_eq!(bench.out("web", "cat /var/lib/prov/taskservs/x"), "kept");
}
