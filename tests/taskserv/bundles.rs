//! Bundles: what one host packed is all that another one needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use prov::model::digest::{hexadecimal, sha256};
use serde_json::json;

use super::Sample;
use super::mirror::{Manner, Mirror};

#[test]
fn a_host_without_a_network_installs_what_another_one_packed() {
    let Some(here) = Sample::new(&[]) else { return };
    let mirror = Mirror::new();
    let program = b"#!/bin/sh\necho carried\n";
    mirror.put("/carried", program, Manner::Whole);
    let metadata = format!(
        "packages = [\"tree\"]\n[[artifacts]]\nname = \"carried\"\nurls = [\"{}\"]\ndestination = \"/usr/local/bin/carried\"\n",
        mirror.url("/carried")
    );
    let check = "[[ $(carried) == carried ]] && tree --version\n";
    here.define("carrier", &metadata, "", ["true\n", check, "true\n"]);
    fs::create_dir_all(here.path().join("infra/demo")).unwrap();
    let params = json!({"sha256_carried": hexadecimal(&sha256(program))});
    let config = json!({"servers": [{"name": "a", "plan": "1xCPU-512 MB", "zone": "local"}],
        "taskservs": [{"name": "carrier", "params": params}]});
    fs::write(here.path().join("infra/demo/config.json"), config.to_string()).unwrap();
    fs::write(here.path().join("infra/demo/tls.key"), "secret").unwrap();
    fs::create_dir_all(here.path().join(".prov/local/demo")).unwrap();
    let packed = here.prov("bundle create demo.bundle");
    if packed.code != 0 && ["apt-get can't fetch", "has no apt-get"].iter().any(|why| packed.stderr.contains(why)) {
        println!("skipped: the package tree can't be had here");
        return;
    }
    assert_eq!(packed.code, 0, "{packed:?}");
    assert!(packed.stderr.contains("infra/demo/tls.key is left out"), "{packed:?}");
    drop(mirror);

    let Some(there) = Sample::new(&[]) else { return };
    let bundle = here.path().join("demo.bundle");
    let taken = there.prov(&format!("bundle apply {}", bundle.display()));
    assert!(taken.code == 0 && taken.stdout.starts_with("Unpacked "), "{taken:?}");
    assert!(!there.path().join("infra/demo/tls.key").exists() && !there.path().join(".prov/local").exists());
    assert_eq!(there.prov(&format!("bundle apply {}", bundle.display())).code, 0, "the same once more");
    assert_eq!(there.prov("servers create --infra demo --wait").code, 0);
    // Whoever would fetch something fails.
    let programs = there.path().join("programs");
    fs::create_dir(&programs).unwrap();
    fs::write(programs.join("apt-get"), "#!/bin/sh\necho 'E: no network' >&2\nexit 100\n").unwrap();
    fs::set_permissions(programs.join("apt-get"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
    let made = there.prov_in(&path, "taskserv create --infra demo", "");
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(there.installed(), ["a carrier works"]);
    assert_eq!(there.inside("a", "command -v tree"), "/usr/bin/tree\n");
}

#[test]
fn a_bundle_that_is_damaged_or_would_replace_something_changes_nothing() {
    let here = Sample { dir: tempfile::tempdir().unwrap() };
    fs::create_dir_all(here.path().join("infra/demo")).unwrap();
    fs::write(here.path().join("infra/demo/config.json"), "{}").unwrap();
    let packed = here.prov("bundle create b");
    assert_eq!(packed.code, 0, "{packed:?}");
    let bundle = fs::read(here.path().join("b")).unwrap();
    let there = Sample { dir: tempfile::tempdir().unwrap() };
    let apply = |bytes: &[u8], more: &str| {
        fs::write(there.path().join("b"), bytes).unwrap();
        there.prov(&format!("bundle apply b {more}"))
    };
    for length in [0, 10, bundle.len() / 2] {
        let refused = apply(&bundle[..length], "");
        assert!(refused.code == 2 && refused.stderr.contains("no bundle that can be used"), "{length}: {refused:?}");
    }
    assert!(!there.path().join("infra").exists());
    fs::create_dir_all(there.path().join("infra/demo")).unwrap();
    fs::write(there.path().join("infra/demo/config.json"), "{\"servers\": []}").unwrap();
    let refused = apply(&bundle, "");
    assert!(refused.code == 7 && refused.stderr.contains("infra/demo/config.json"), "{refused:?}");
    assert_eq!(fs::read_to_string(there.path().join("infra/demo/config.json")).unwrap(), "{\"servers\": []}");
    assert_eq!(apply(&bundle, "--overwrite").code, 0);
    assert_eq!(fs::read_to_string(there.path().join("infra/demo/config.json")).unwrap(), "{}");
}
