//! Providers that can't be asked and records that can't be read: the rest goes on, and what is left out is named.

use std::fs;

use serde_json::{Value, json};

use super::plugins::{EXAMPLE, put};
use super::workspace::Hosts;

/// Servers by name, each at its provider.
fn settings(servers: &[(&str, &str)]) -> Value {
    let servers: Vec<Value> = servers.iter().map(|(name, at)| json!({"name": name, "provider": at})).collect();
    json!({"defaults": {"plan": "1xCPU-1 GB", "zone": "here"}, "servers": servers})
}

/// A workspace whose plugins `dirs` and `more` have made these servers.
fn made(servers: &[(&str, &str)]) -> Hosts {
    let hosts = Hosts::new(&settings(servers));
    put(hosts.path(), "dirs", EXAMPLE);
    put(hosts.path(), "more", &EXAMPLE.replace(".prov/dirs", ".prov/more"));
    let made = hosts.prov_with("servers create --infra demo", &[]);
    assert_eq!(made.0, 0, "{made:?}");
    hosts
}

fn names(json: &str) -> Vec<String> {
    let listed: Vec<Value> = serde_json::from_str(json).unwrap();
    listed.iter().map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["state"].as_str().unwrap())).collect()
}

#[test]
fn a_plugin_that_is_gone_fails_nothing_but_what_is_its_own() {
    let hosts = made(&[("a", "dirs"), ("b", "more")]);
    let prov = |line: &str| hosts.prov_with(line, &[]);
    let plugin = hosts.path().join("providers/prov-provider-more");
    let aside = hosts.path().join("aside");
    fs::rename(&plugin, &aside).unwrap();
    let listed = prov("servers list --infra demo -o json");
    assert_eq!((listed.0, names(&listed.1)), (1, vec!["a running".to_owned()]), "{listed:?}");
    for part in ["at more, where b is on record", "the plugin prov-provider-more is gone", "put it back"] {
        assert!(listed.2.contains(part), "{listed:?}");
    }
    let mut declared = settings(&[("a", "dirs"), ("b", "more"), ("c", "dirs")]);
    declared["taskservs"] = json!([{"name": "redis", "servers": ["b", "c"]}]);
    hosts.declare(&declared);
    let drift = prov("infra drift demo -o json");
    // Nobody answers for the other one's task services either.
    let told: Value = serde_json::from_str(&drift.1).unwrap();
    assert_eq!((drift.0, &told[1]["name"], &told[1]["kind"]), (1, &json!("b"), &json!("unknown")), "{drift:?}");
    assert_eq!(told[1]["what"], "more can't be asked");
    let said = |index: usize| ["name", "server", "kind", "what"].map(|field| told[index][field].as_str().unwrap());
    assert_eq!(said(2), ["redis", "b", "unknown", "more can't be asked"], "{drift:?}");
    assert_eq!(said(3), ["c", "c", "missing", "it isn't there"], "{drift:?}");
    assert_eq!(said(4), ["redis", "c", "missing", "its server isn't there"], "{drift:?}");
    assert!(drift.2.contains("at more"), "{drift:?}");

    // Servers elsewhere are made and deleted; whoever names one that nobody finds is told who wasn't asked.
    hosts.declare(&settings(&[("a", "dirs"), ("c", "dirs")]));
    assert_eq!(prov("servers create --infra demo").1, "Successfully created 1 server, kept 1\n");
    let deleted = prov("servers delete a --infra demo --yes");
    assert_eq!((deleted.0, deleted.1.as_str()), (0, "Successfully deleted 1 server\n"), "{deleted:?}");
    assert!(deleted.2.contains("warning: not looked there: can't list the servers of demo at more"), "{deleted:?}");
    let unseen = prov("servers delete b --infra demo --yes");
    assert_eq!(unseen.0, 1, "{unseen:?}");
    assert!(unseen.2.contains("can't tell whether there is a server b in demo") && unseen.2.contains("at more"));
    let check = prov("servers delete --infra demo --check");
    assert!(check.0 == 1 && check.1.contains("c ") && check.2.contains("at more: b ("), "{check:?}");
    let all = prov("servers delete --infra demo --yes");
    assert_eq!((all.0, all.1.as_str()), (1, "Successfully deleted 1 server\n"), "{all:?}");
    assert!(all.2.contains("servers of demo are left") && all.2.contains("at more: b ("), "{all:?}");

    fs::rename(&aside, &plugin).unwrap();
    assert_eq!(names(&prov("servers list --infra demo -o json").1), ["b running"]);
    assert_eq!(prov("servers delete --infra demo --yes").1, "Successfully deleted 1 server\n");
}

/// A provider's own places are named where nobody says which of them is meant.
#[test]
fn a_cluster_needs_a_zone_where_its_provider_has_several() {
    let hosts = Hosts::new(&json!({"provider": "dirs", "servers": [], "clusters": [{"type": "etcd"}]}));
    put(hosts.path(), "dirs", EXAMPLE);
    for line in ["infra validate demo", "cluster create etcd --infra demo --check", "cluster create etcd --infra demo"]
    {
        let refused = hosts.prov_with(line, &[]);
        assert_eq!(refused.0, 2, "{line}: {refused:?}");
        for part in ["the cluster etcd needs `params.zone`", "its zones are here"] {
            assert!(refused.2.contains(part), "{line}: {refused:?}");
        }
    }
    let zoned = json!({"type": "etcd", "params": {"zone": "here"}});
    hosts.declare(&json!({"provider": "dirs", "servers": [], "clusters": [zoned]}));
    assert_eq!(hosts.prov_with("infra validate demo", &[]).0, 0);
    let planned = hosts.prov_with("cluster create etcd --infra demo --check", &[]);
    assert!(planned.0 == 0 && planned.1.matches(" here ").count() >= 3, "{planned:?}");
}

#[test]
fn a_record_that_cannot_be_read_is_shown_and_can_be_deleted_or_made_good() {
    let hosts = made(&[("a", "dirs"), ("b", "dirs")]);
    let prov = |line: &str| hosts.prov_with(line, &[]);
    let record = hosts.path().join(".prov/cloud/dirs/demo/a.json");
    let damage = || fs::write(&record, "{\"spec\": ").unwrap();
    damage();
    let listed = prov("servers list --infra demo -o json");
    assert_eq!((listed.0, names(&listed.1)), (0, vec!["a damaged".to_owned(), "b running".to_owned()]), "{listed:?}");
    assert!(listed.1.contains("a.json can't be read") && listed.1.contains("prov infra reconcile demo --adopt"));
    assert_eq!(prov("infra reconcile demo -o json").1.trim(), "[]", "it is no stray");
    // What it holds isn't known, and nobody says that it doesn't run.
    let mut declared = settings(&[("a", "dirs")]);
    declared["taskservs"] = json!([{"name": "redis", "servers": ["a"]}]);
    hosts.declare(&declared);
    let drift: Value = serde_json::from_str(&prov("infra drift demo -o json").1).unwrap();
    let redis = drift.as_array().unwrap().iter().find(|one| one["name"] == "redis").unwrap();
    assert_eq!((&redis["kind"], &redis["what"]), (&json!("unknown"), &json!("its server's record can't be read")));
    let refused = prov("taskserv create redis --server a --infra demo");
    assert!(refused.0 != 0 && refused.2.contains("a of demo has a record that can't be read"), "{refused:?}");
    let passed = prov("taskserv list --infra demo");
    assert!(passed.2.contains("a has a record that can't be read and is passed over"), "{passed:?}");
    let machines = || fs::read_dir(hosts.path().join(".prov/dirs")).unwrap().count();
    // As its note says.
    fs::remove_file(&record).unwrap();
    let adopted = prov("infra reconcile demo --adopt");
    assert_eq!((adopted.0, machines()), (0, 2), "{adopted:?}");
    assert_eq!(names(&prov("servers list --infra demo -o json").1), ["a running", "b running"]);
    damage();
    let refused = prov("servers create --infra demo --yes");
    assert!(refused.0 == 1 && refused.2.contains("nobody can say what it is"), "{refused:?}");
    assert!(machines() == 2 && refused.2.contains("prov servers delete a --infra demo"), "{refused:?}");
    assert_eq!(prov("servers delete a --infra demo --yes").1, "Successfully deleted 1 server\n");
    assert_eq!((machines(), names(&prov("servers list --infra demo -o json").1)), (1, vec!["b running".to_owned()]));
}
