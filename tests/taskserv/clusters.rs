//! Clusters for real: three servers that elect a leader, go on without one of them, and are gone afterwards.

use std::fs;

use serde_json::{Value, json};

use super::Sample;

#[test]
fn three_etcd_servers_elect_a_leader_and_outlive_it() {
    let Some(sample) = Sample::new(&["bystander"]) else { return };
    let plan = sample.prov("cluster create etcd --infra demo --check");
    assert_eq!(plan.code, 0, "{plan:?}");
    assert_eq!(plan.stdout.matches(" create ").count(), 3, "{plan:?}");
    let made = sample.prov("cluster create etcd --infra demo --wait");
    if made.code != 0 && ["apt-get can't fetch", "has no apt-get"].iter().any(|why| made.stderr.contains(why)) {
        println!("skipped: etcd's package can't be had here");
        return;
    }
    assert_eq!(made.code, 0, "{made:?}");
    let members = ["etcd-member-1", "etcd-member-2", "etcd-member-3"];
    let leads = "ETCDCTL_API=3 etcdctl endpoint status | awk -F', ' '{ print $5 }'";
    let leaders: Vec<&str> =
        members.into_iter().filter(|member| sample.inside(member, leads).trim() == "true").collect();
    assert_eq!(leaders.len(), 1, "{leaders:?}");
    let again = sample.prov("cluster create etcd --infra demo --wait");
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(again.stderr.matches("is there as wanted").count(), 3, "{again:?}");

    sample.inside(leaders[0], "kill -KILL $(cut -d' ' -f1 /run/prov/etcd.pid)");
    let other = members.into_iter().find(|member| *member != leaders[0]).unwrap();
    // What was sent to the dead leader fails; the two that are left elect another one.
    let put = "export ETCDCTL_API=3; for i in $(seq 60); do etcdctl put k v && break; sleep 0.2; done; etcdctl get k";
    assert_eq!(sample.inside(other, put), "OK\nk\nv\n");

    // A member that is lost with all it held is made again, and takes its old place.
    sample.inside(leaders[0], "true");
    assert_eq!(sample.prov(&format!("servers delete {} --infra demo --yes", leaders[0])).code, 0);
    let mended = sample.prov("cluster create etcd --infra demo --wait");
    assert_eq!(mended.code, 0, "{mended:?}");
    assert!(mended.stdout.contains("3 members, and one of them leads"), "{mended:?}");
    assert_eq!(sample.inside(leaders[0], "ETCDCTL_API=3 etcdctl get k"), "k\nv\n");
    let listed = sample.prov("cluster list etcd --infra demo");
    assert!(listed.stdout.contains(" 3/3 "), "{listed:?}");

    // One that is stopped is missed by nobody, and comes back with what it held.
    let stopped = other;
    sample.stop(stopped);
    let asked = members.into_iter().find(|member| *member != stopped).unwrap();
    assert_eq!(sample.inside(asked, &put.replace("k v", "k w")), "OK\nk\nw\n");
    let listed = sample.prov("cluster list etcd --infra demo");
    assert!(listed.stdout.contains(" 2/3 ") && listed.stdout.contains(" 2/2 "), "{listed:?}");
    let back = sample.prov("cluster create etcd --infra demo --wait");
    assert!(back.code == 0 && back.stdout.contains("3 members, and one of them leads"), "{back:?}");
    assert_eq!(sample.inside(stopped, "ETCDCTL_API=3 etcdctl get k"), "k\nw\n");

    let plan = sample.prov("cluster delete etcd --infra demo --check --detailed-exitcode");
    assert_eq!((plan.code, plan.stdout.matches(" delete ").count()), (3, 3), "{plan:?}");
    let unasked = sample.prov("cluster delete etcd --infra demo");
    assert!(unasked.code == 2 && unasked.stderr.contains("needs a yes"), "{unasked:?}");
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout.lines().count(), 4);
    let gone = sample.prov("cluster delete etcd --infra demo --yes");
    assert_eq!(gone.code, 0, "{gone:?}");
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout, "bystander\n");
    assert_eq!(sample.prov("cluster delete etcd --infra demo --yes").code, 0, "what is gone counts as deleted");
}

#[test]
fn a_cluster_that_is_not_defined_is_a_usage_error() {
    let Some(sample) = Sample::new(&["bystander"]) else { return };
    let refused = sample.prov("cluster create etdc --infra demo");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("did you mean etcd?"), "{refused:?}");
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout, "bystander\n");
}

/// A cluster type of two servers that need no package.
pub(super) fn define_pair(sample: &Sample) {
    let dir = sample.path().join("extensions/clusters/test/pair");
    fs::create_dir_all(&dir).unwrap();
    let definition = "name = \"pair\"\nversion = \"1\"\ndescription = \"For a test.\"\n\
        [[roles]]\nname = \"half\"\ncount = 2\nplan = \"1xCPU-256 MB\"\ntaskservs = [\"part\"]\n\
        [health]\nrole = \"half\"\ntimeout_seconds = 20\n";
    fs::write(dir.join("cluster.toml"), definition).unwrap();
    fs::write(dir.join("health.sh"), "echo \"$PROV_PEERS\" | wc -w\n").unwrap();
    sample.define("part", "", "", ["echo \"$PROV_CLUSTER\" >/root/cluster\n", "test -e /root/cluster\n", "true\n"]);
}

fn settings(sample: &Sample, clusters: &Value) {
    let dir = sample.path().join("infra/demo");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.json"), json!({"clusters": clusters}).to_string()).unwrap();
}

#[test]
fn two_clusters_of_one_type_stand_beside_each_other_by_their_names() {
    let Some(sample) = Sample::new(&[]) else { return };
    define_pair(&sample);
    settings(
        &sample,
        &json!([{"type": "pair", "name": "one"}, {"type": "pair", "name": "two", "params": {"half_count": 1}}]),
    );
    let unclear = sample.prov("cluster create pair --infra demo");
    assert_eq!(unclear.code, 2, "{unclear:?}");
    assert!(unclear.stderr.contains("name one: one, two"), "{unclear:?}");
    let check = sample.prov("cluster create one --infra demo --check --detailed-exitcode");
    assert_eq!((check.code, check.stdout.matches(" install").count()), (3, 2), "{check:?}");
    for (name, count) in [("one", 2), ("two", 1)] {
        let made = sample.prov(&format!("cluster create {name} --infra demo"));
        assert_eq!(made.stdout, format!("Successfully created cluster {name}: {count}\n"), "{made:?}");
    }
    let servers = sample.prov("servers list --infra demo -o name").stdout;
    assert_eq!(servers, "one-half-1\none-half-2\ntwo-half-1\n");
    assert_eq!(sample.inside("two-half-1", "cat /root/cluster"), "two\n");
    let same = sample.prov("cluster create one --infra demo --check --detailed-exitcode");
    assert_eq!(same.code, 0, "{same:?}");
    sample.inside("one-half-2", "rm /root/cluster");
    let check = sample.prov("cluster create one --infra demo --check --detailed-exitcode");
    assert_eq!((check.code, check.stdout.matches(" install").count()), (3, 1), "{check:?}");
    let listed = sample.prov("cluster list one --infra demo");
    assert!(listed.stdout.contains(" 2/2 ") && listed.stdout.contains(" 1/2 "), "{listed:?}");
    assert_eq!(sample.prov("cluster delete one --infra demo --yes").code, 0);
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout, "two-half-1\n");
}

#[test]
fn a_cluster_destroys_nothing_unasked_and_nothing_of_others_at_all() {
    let Some(sample) = Sample::new(&["one-half-1"]) else { return };
    define_pair(&sample);
    settings(&sample, &json!([{"type": "pair", "name": "one"}, {"type": "pair", "name": "two"}]));
    let refused = sample.prov("cluster create one --infra demo --yes");
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("needs the name one-half-1"), "{refused:?}");
    assert_eq!(sample.prov("cluster create two --infra demo").code, 0);
    settings(&sample, &json!([{"type": "pair", "name": "two", "params": {"plan": "1xCPU-300 MB"}}]));
    sample.inside("two-half-1", "echo precious >/root/data");
    let unasked = sample.prov("cluster create two --infra demo");
    assert!(unasked.code != 0 && unasked.stderr.contains("replace two-half-1 with all it holds"), "{unasked:?}");
    assert_eq!(sample.inside("two-half-1", "cat /root/data"), "precious\n");
    assert_eq!(sample.prov("cluster create two --infra demo --yes").code, 0);
}

#[test]
fn a_misspelt_infra_is_not_found() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    for line in [
        "cluster create etcd --infra dmeo",
        "cluster delete etcd --infra dmeo --yes",
        "cluster list --infra dmeo",
        "taskserv list --infra dmeo",
        "taskserv create tiny-http --infra dmeo",
        "taskserv delete tiny-http --infra dmeo --yes",
        "servers list --infra dmeo",
        "servers delete --infra dmeo --yes",
    ] {
        let refused = sample.prov(line);
        assert_eq!(refused.code, 6, "{line}: {refused:?}");
    }
    let unknown = sample.prov("taskserv delete tiny-http --infra demo --server nowhere --yes");
    assert_eq!(unknown.code, 6, "{unknown:?}");
    assert_eq!(sample.prov("cluster list --infra demo").code, 0);
}

#[test]
fn a_replica_reads_what_is_written_on_the_primary() {
    let Some(sample) = Sample::new(&[]) else { return };
    settings(
        &sample,
        &json!([{"type": "postgresql", "name": "db", "params": {"replication_password": "s3cret", "port": 5433}}]),
    );
    let made = sample.prov("cluster create db --infra demo");
    if made.code != 0 && ["apt-get can't fetch", "has no apt-get"].iter().any(|why| made.stderr.contains(why)) {
        println!("skipped: postgresql's package can't be had here");
        return;
    }
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stdout.contains("is read on 1 of 1 replicas"), "{made:?}");
    assert!(!format!("{made:?}").contains("s3cret"));
    let sql = |server: &str, query: &str| {
        sample
            .inside(server, &format!("cd / && psql -h /run/prov/postgresql -p 5433 -U postgres -Atc \"{query}\" 2>&1"))
    };
    assert_eq!(sql("db-primary-1", "CREATE TABLE t AS SELECT 7 AS n"), "SELECT 1\n");
    let refused = sql("db-replica-1", "DROP TABLE t");
    assert!(refused.contains("read-only"), "{refused}");
    sample.stop("db-replica-1");
    assert_eq!(sql("db-primary-1", "UPDATE t SET n = 8"), "UPDATE 1\n");
    let back = sample.prov("cluster create db --infra demo");
    assert!(back.stdout.contains("is read on 1 of 1 replicas"), "{back:?}");
    assert_eq!(sql("db-replica-1", "SELECT n FROM t"), "8\n");
}

#[test]
fn kubernetes_says_what_is_missing_where_it_cannot_be_had() {
    let Some(sample) = Sample::new(&[]) else { return };
    let dead = "http://127.0.0.1:1/none";
    let params = json!({"worker_count": 1, "plan": "1xCPU-512 MB"});
    settings(&sample, &json!([{"type": "kubernetes", "name": "k", "params": params}]));
    let plan = sample.prov("cluster create k --infra demo --check");
    assert_eq!((plan.code, plan.stdout.matches(" create ").count()), (0, 2), "{plan:?}");
    let Some(sample) = Sample::new(&["a"]) else { return };
    let urls =
        ["kubeadm", "kubelet", "kubectl", "crictl", "cni_plugins"].map(|name| (format!("url_{name}"), json!(dead)));
    let mut params: serde_json::Map<String, Value> = urls.into_iter().collect();
    params.insert("version".to_owned(), json!("1.99.0"));
    let failed = sample.operation("create", "k", &json!([{"name": "kubernetes", "params": params}]));
    if ["apt-get can't fetch", "has no apt-get"].iter().any(|why| failed.stderr.contains(why)) {
        println!("skipped: what kubernetes needs of packages can't be had here");
        return;
    }
    assert_eq!(failed.code, 1, "{failed:?}");
    let expected = "give its SHA-256 as the parameter sha256_kubeadm";
    assert!(failed.stderr.contains(expected), "{failed:?}");
    assert!(sample.installed().contains(&"a containerd works".to_owned()), "what it needs came before it");
}
