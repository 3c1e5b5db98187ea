//! What goes wrong around servers: damaged records, a workspace with another name, too little memory.

use std::fs;

use prov::provision::provider::local::LocalProvider;
use prov::provision::provider::local::netlink::Netlink;
use prov::provision::provider::{Provider, ServerState};

use super::support::{Bench, infra, name, processes, spec, until};

#[test]
fn a_damaged_record_is_listed_and_deleted_and_concerns_nobody_else() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    bench.provider.create(&spec("db")).unwrap();
    fs::write(bench.state_of("web").join("spec.json"), "{\"spec\": {\"na").unwrap();
    let listed = bench.provider.list(&infra()).unwrap();
    let states: Vec<ServerState> = listed.iter().map(|server| server.state).collect();
    assert_eq!(states, [ServerState::Running, ServerState::Damaged]);
    assert!(listed[1].notes[0].contains("its record is damaged"), "{:?}", listed[1].notes);
    assert_eq!(bench.out("db", "echo works"), "works");
    bench.provider.create(&spec("third")).unwrap();
    assert!(bench.provider.create(&spec("web")).is_err(), "nobody knows what it holds");
    bench.provider.delete(&infra(), &name("web")).unwrap();
    assert!(!bench.state_of("web").exists());
    assert_eq!(bench.provider.create(&spec("web")).unwrap().state, ServerState::Running);
}

#[test]
fn nothing_is_left_behind_by_a_workspace_that_was_renamed() {
    let Some(bench) = Bench::as_root() else { return };
    let old = bench.path().join("old");
    let new = bench.path().join("new");
    fs::create_dir(&old).unwrap();
    let provider = |at| LocalProvider::new(at).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
    let server = provider(&old).create(&spec("web")).unwrap();
    let bridge = format!("pv-{}", server.id.split(':').next().unwrap());
    fs::rename(&old, &new).unwrap();
    let renamed = provider(&new);
    assert_eq!(renamed.list(&infra()).unwrap()[0].state, ServerState::Running);
    assert_eq!(renamed.create(&spec("web")).unwrap().id, server.id, "it is still the same");
    renamed.delete(&infra(), &name("web")).unwrap();
    assert_eq!(Netlink::open().unwrap().link(&bridge).unwrap(), None);
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let left: Vec<_> =
        hierarchies.map(|one| one.path().join(format!("prov-{}", server.id))).filter(|group| group.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    until("its processes end", || processes(&server.id).is_empty());
}

#[test]
fn deleting_the_copy_of_a_workspace_leaves_the_original_alone() {
    let Some(bench) = Bench::as_root() else { return };
    let server = bench.provider.create(&spec("web")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let state = copy.path().join(".prov/local/production/web");
    fs::create_dir_all(&state).unwrap();
    fs::copy(bench.state_of("web").join("spec.json"), state.join("spec.json")).unwrap();
    fs::write(state.join("made"), "").unwrap();
    let copied = LocalProvider::new(copy.path()).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
    copied.delete(&infra(), &name("web")).unwrap();
    assert!(!state.exists());
    let bridge = format!("pv-{}", server.id.split(':').next().unwrap());
    if server.address.is_some() {
        assert!(Netlink::open().unwrap().link(&bridge).unwrap().is_some(), "the original's network is gone");
    }
    assert_eq!(bench.out("web", "echo works"), "works");
}

#[test]
fn the_first_process_is_the_last_to_go_when_memory_is_short() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    let init: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.state_of("web").join("init.json")).unwrap()).unwrap();
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", init["pid"])).unwrap();
    if score.trim() == "-999" {
        assert_eq!(bench.out("web", "cat /proc/self/oom_score_adj"), "0");
    } else {
        println!("skipped: this account may not lower it");
    }
}
