//! Whose a container is: the record's whose token it carries, and nobody else's.

use std::fs;

use prov::provision::provider::local::LocalProvider;
use prov::provision::provider::{Provider, ProviderError, ServerSpec, ServerState};
use serde_json::json;

use super::container::{Bench, container, web};
use super::podman::IMAGE;
use super::support::infra;

#[test]
fn a_container_of_somebody_else_is_never_touched_nor_one_whose_record_was_lost() {
    let Some(bench) = Bench::new() else { return };
    let id = bench.provider.create(&container("web")).unwrap().id;
    let refused = |before: &[String]| {
        let error = bench.provider.create(&container("web")).unwrap_err();
        let ProviderError::Unavailable { what, hint: Some(hint) } = error else { panic!("{error:?}") };
        assert!(what.contains("somebody else's") && hint.contains("all the data it holds"), "{what} {hint}");
        assert!(bench.provider.list(&infra()).unwrap().is_empty() && !bench.state_of("web").exists());
        bench.provider.delete(&infra(), &web()).unwrap();
        assert_eq!(bench.podman.containers(&id), before);
    };
    fs::remove_dir_all(bench.state_of("web")).unwrap();
    refused(&bench.podman.containers(&id));

    let theirs = || {
        bench.podman.call("DELETE", &format!("/containers/{id}?force=true"), "");
        let theirs = json!({"Image": IMAGE, "Cmd": ["/bin/sleep", "900"], "Labels": {"prov-infra": "production"}});
        let (status, said) = bench.podman.call("POST", &format!("/containers/create?name={id}"), &theirs.to_string());
        assert_eq!(status, 201, "{said}");
        bench.podman.containers(&id)
    };
    refused(&theirs());

    bench.podman.call("DELETE", &format!("/containers/{id}?force=true"), "");
    bench.provider.create(&container("web")).unwrap();
    let before = theirs();
    let seen = bench.only();
    assert!(seen.state == ServerState::Incomplete && seen.notes[0].contains("somebody else's"), "{seen:?}");
    bench.provider.delete(&infra(), &web()).unwrap();
    assert!(bench.provider.list(&infra()).unwrap().is_empty());
    assert_eq!(bench.podman.containers(&id), before);
}

#[test]
fn a_workspace_has_no_container_of_the_one_that_was_at_its_path_before() {
    let Some(bench) = Bench::new() else { return };
    let (old, new) = (bench.dir.path().join("old"), bench.dir.path().join("new"));
    let open = |at: &std::path::Path| {
        let provider = LocalProvider::new(at).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
        provider.with_engine(bench.podman.socket())
    };
    fs::create_dir(&old).unwrap();
    let made = open(&old).create(&container("web")).unwrap();
    let theirs = bench.podman.containers(&made.id);
    fs::rename(&old, &new).unwrap();
    fs::create_dir(&old).unwrap();
    let (second, moved) = (open(&old), open(&new));
    let error = second.create(&container("web")).unwrap_err();
    assert!(error.to_string().contains("somebody else's"), "{error}");
    second.delete(&infra(), &web()).unwrap();
    assert_eq!(bench.podman.containers(&made.id), theirs);
    assert_eq!(moved.create(&container("web")).unwrap().id, made.id, "it is still the same");
    assert_eq!(moved.list(&infra()).unwrap()[0].state, ServerState::Running);
    moved.delete(&infra(), &web()).unwrap();
    assert!(bench.podman.containers("").is_empty());
    assert_eq!(second.create(&container("web")).unwrap().state, ServerState::Running);
    second.delete(&infra(), &web()).unwrap();
}

#[test]
fn of_a_copied_workspace_the_containers_are_the_originals() {
    let Some(bench) = Bench::new() else { return };
    let made = bench.provider.create(&container("web")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let state = copy.path().join(".prov/local/production/web");
    fs::create_dir_all(&state).unwrap();
    for file in ["spec.json", "engine.json", "made"] {
        fs::copy(bench.state_of("web").join(file), state.join(file)).unwrap();
    }
    let copied = LocalProvider::new(copy.path()).unwrap().with_engine(bench.podman.socket());
    let seen = copied.list(&infra()).unwrap().remove(0);
    let original = bench.dir.path().canonicalize().unwrap();
    let why = format!("this workspace is a copy: the container belongs to {}", original.display());
    assert!(seen.state == ServerState::Incomplete && seen.notes.contains(&why), "{seen:?}");
    assert_ne!(seen.id, made.id);
    copied.delete(&infra(), &web()).unwrap();
    assert_eq!(bench.only().state, ServerState::Running);
}

#[test]
fn what_the_engine_refuses_leaves_nothing_on_record() {
    let Some(bench) = Bench::new() else { return };
    // A root without a file: an archive's end is two blocks of zeros.
    let (status, said) = bench.podman.call("POST", "/images/create?fromSrc=-&repo=localhost/bare", &"\0".repeat(1024));
    assert_eq!(status, 200, "{said}");
    for (image, word) in [("localhost/absent:1", "can't be had"), ("localhost/bare:latest", "can't start server web")] {
        let extra = json!({"driver": "container", "image": image});
        let wanted = ServerSpec { extra: extra.as_object().unwrap().clone(), ..container("web") };
        let error = bench.provider.create(&wanted).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert!(bench.provider.list(&infra()).unwrap().is_empty() && !bench.state_of("web").exists(), "{image}");
        assert!(bench.podman.containers("").is_empty(), "{image}");
    }
    assert_eq!(bench.provider.create(&container("web")).unwrap().state, ServerState::Running);
}
