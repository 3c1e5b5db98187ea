//! The plan as a whole: by examples, and by what holds for any servers.

use proptest::collection::btree_map;
use proptest::prelude::*;

use serde_json::Map;

use super::*;
use crate::provision::provider::ServerState;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn wanted(server: &str, cpus: u32) -> Wanted {
    let spec = ServerSpec {
        infra: name("i"),
        name: name(server),
        plan: Plan { cpus, memory_mib: 1024 },
        zone: name("local"),
        operation: String::new(),
        labels: BTreeMap::new(),
        extra: Map::new(),
    };
    Wanted { provider: name("local"), spec }
}

fn made(wanted: &Wanted, state: ServerState) -> Server {
    Server {
        limits: String::new(),
        ..Server::of(wanted.spec.clone(), wanted.provider.as_str(), wanted.spec.name.to_string(), state)
    }
}

#[test]
fn what_differs_is_named_with_old_and_new() {
    let mut old = wanted("a", 1);
    old.spec.labels.insert("team".to_owned(), "x".to_owned());
    old.spec.extra.insert("admin_password".to_owned(), "hunter2".into());
    let mut new = wanted("a", 2);
    new.spec.zone = name("de-fra1");
    new.spec.extra.insert("ports".to_owned(), serde_json::json!([80]));
    let changes = Changes::between(&name("i"), &[new], &[made(&old, ServerState::Running)], Others::Leave);
    assert_eq!(changes.changes[0].action, Action::Replace);
    let shown: Vec<String> = changes.changes[0].differences.iter().map(ToString::to_string).collect();
    let expected = [
        "admin_password: ******** → none",
        "plan: 1xCPU-1 GB → 2xCPU-1 GB",
        "ports: none → [80]",
        "zone: local → de-fra1",
        "labels.team: x → none",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn labels_alone_are_no_reason_to_destroy_anything() {
    let old = wanted("a", 1);
    let mut new = wanted("a", 1);
    new.spec.labels.insert("team".to_owned(), "x".to_owned());
    let changes = Changes::between(&name("i"), &[new], &[made(&old, ServerState::Stopped)], Others::Leave);
    assert_eq!(changes.changes[0].action, Action::Update);
    assert_eq!(changes.changes[0].differences[0].to_string(), "labels.team: none → x");
}

#[test]
fn state_decides_where_nothing_differs() {
    let want = wanted("a", 1);
    for (state, action) in [
        (ServerState::Running, Action::Keep),
        (ServerState::Stopped, Action::Start),
        (ServerState::Incomplete, Action::Create),
    ] {
        let changes = Changes::between(&name("i"), std::slice::from_ref(&want), &[made(&want, state)], Others::Leave);
        assert_eq!(changes.changes[0].action, action);
    }
}

#[test]
fn who_made_a_server_is_no_difference() {
    let want = wanted("a", 1);
    let mut server = made(&want, ServerState::Running);
    server.spec.operation = "batch/operation".to_owned();
    assert!(!Changes::between(&name("i"), &[want], &[server], Others::Leave).any());
}

#[test]
fn only_prune_deletes_and_never_what_batches_or_clusters_made() {
    let plain = made(&wanted("plain", 1), ServerState::Running);
    let mut of_batch = made(&wanted("of-batch", 1), ServerState::Running);
    of_batch.spec.operation = "0190/web".to_owned();
    let mut of_cluster = made(&wanted("of-cluster", 1), ServerState::Running);
    of_cluster.spec.labels.insert(CLUSTER_LABEL.to_owned(), "etcd".to_owned());
    let actual = [plain, of_batch, of_cluster];
    assert!(!Changes::between(&name("i"), &[], &actual, Others::Leave).any());
    let changes = Changes::between(&name("i"), &[], &actual, Others::Prune);
    let deleted: Vec<&str> = changes.of(Action::Delete).map(|change| change.server.as_str()).collect();
    assert_eq!(deleted, ["plain"]);
    assert_eq!(changes.sentence(), "Plan for i: 1 to delete, 2 to leave");
    assert!(Changes::between(&name("i"), &[], &actual, Others::Ignore).changes.is_empty());
}

fn servers() -> impl Strategy<Value = Vec<Wanted>> {
    let servers = btree_map("[a-e]", 1_u32..3, 0..6);
    servers.prop_map(|servers| servers.iter().map(|(name, cpus)| wanted(name, *cpus)).collect())
}

fn others() -> impl Strategy<Value = Others> {
    prop_oneof![Just(Others::Leave), Just(Others::Prune)]
}

/// The servers after `changes` were carried out.
fn applied(changes: &Changes) -> Vec<Server> {
    let after = changes.changes.iter().filter_map(|change| match change.action {
        Action::Keep | Action::Leave => change.actual.clone(),
        Action::Create | Action::Start | Action::Update | Action::Replace => {
            let spec = change.wanted.clone()?;
            Some(made(&Wanted { provider: name(&change.provider), spec }, ServerState::Running))
        }
        Action::Delete => None,
    });
    after.collect()
}

proptest! {
    #[test]
    fn carrying_out_a_plan_leaves_nothing_to_change(wants in servers(), has in servers(), others in others()) {
        let actual: Vec<Server> = has.iter().map(|want| made(want, ServerState::Running)).collect();
        let changes = Changes::between(&name("i"), &wants, &actual, others);
        let after = applied(&changes);
        prop_assert!(!Changes::between(&name("i"), &wants, &after, others).any());
        for want in &wants {
            prop_assert!(after.iter().any(|server| server.spec == want.spec));
        }
    }

    #[test]
    fn every_server_gets_exactly_one_change(wants in servers(), has in servers(), others in others()) {
        let actual: Vec<Server> = has.iter().map(|want| made(want, ServerState::Stopped)).collect();
        let changes = Changes::between(&name("i"), &wants, &actual, others);
        let named: Vec<&Name> = changes.changes.iter().map(|change| &change.server).collect();
        let distinct: BTreeSet<&Name> = named.iter().copied().collect();
        let all: BTreeSet<&Name> = wants.iter().chain(&has).map(|want| &want.spec.name).collect();
        prop_assert_eq!(named.len(), distinct.len());
        prop_assert_eq!(distinct, all);
        prop_assert_eq!(changes.summary().values().sum::<usize>(), changes.changes.len());
    }

    #[test]
    fn without_prune_nothing_is_deleted(wants in servers(), has in servers()) {
        let actual: Vec<Server> = has.iter().map(|want| made(want, ServerState::Running)).collect();
        let changes = Changes::between(&name("i"), &wants, &actual, Others::Leave);
        prop_assert_eq!(changes.of(Action::Delete).count(), 0);
    }
}
