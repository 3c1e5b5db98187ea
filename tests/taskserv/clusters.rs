//! Clusters for real: three servers that elect a leader, go on without one of them, and are gone afterwards.

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

    sample.inside(leaders[0], "kill -KILL $(cat /run/prov/etcd.pid)");
    let other = members.into_iter().find(|member| *member != leaders[0]).unwrap();
    // What was sent to the dead leader fails; the two that are left elect another one.
    let put = "export ETCDCTL_API=3; for i in $(seq 60); do etcdctl put k v && break; sleep 0.2; done; etcdctl get k";
    assert_eq!(sample.inside(other, put), "OK\nk\nv\n");

    let plan = sample.prov("cluster delete etcd --infra demo --check --detailed-exitcode");
    assert_eq!((plan.code, plan.stdout.matches(" delete ").count()), (3, 3), "{plan:?}");
    let unasked = sample.prov("cluster delete etcd --infra demo");
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout.lines().count(), 4);
    let gone = sample.prov("cluster delete etcd --infra demo --yes");
    assert_eq!(gone.code, 0, "{gone:?}");
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout, "bystander\n");
    assert_eq!(sample.prov("cluster delete etcd --infra demo --yes").code, 0, "what is gone counts as deleted");
}

#[test]
fn a_cluster_that_is_not_defined_is_a_usage_error() {
    let Some(sample) = Sample::new(&[]) else { return };
    let refused = sample.prov("cluster create etdc --infra demo");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("did you mean etcd?"), "{refused:?}");
    assert_eq!(sample.prov("servers list --infra demo -o name").stdout, "");
}
