//! The services that are Debian packages, for real, where apt reaches a mirror.

use serde_json::json;

use super::Sample;

/// Installs `name`, has it checked, removes it. `false` where its package can't be had.
fn whole_life(sample: &Sample, name: &str) -> bool {
    let made = sample.prov(&format!("taskserv create {name} --infra demo"));
    if made.code != 0 && ["apt-get can't fetch", "has no apt-get"].iter().any(|why| made.stderr.contains(why)) {
        println!("skipped: {name}: its package can't be had here");
        return false;
    }
    assert_eq!((made.code, made.stdout.as_str()), (0, "Successfully installed 1 task service\n"), "{made:?}");
    assert_eq!(sample.installed(), [format!("a {name} works")]);
    true
}

fn remove(sample: &Sample, name: &str) {
    let gone = sample.prov(&format!("taskserv delete {name} --infra demo --yes"));
    assert_eq!(gone.stdout, "Successfully removed 1 task service\n", "{gone:?}");
    assert_eq!(sample.installed(), [""; 0]);
}

#[test]
fn nginx_and_redis_answer_the_host() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    if whole_life(&sample, "nginx") {
        let answer = sample.ask("a", 80, "GET / HTTP/1.0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("from a"), "{answer}");
        remove(&sample, "nginx");
    }
    if whole_life(&sample, "redis") {
        let answer = sample.ask("a", 6379, "");
        assert!(answer.starts_with("-DENIED"), "without a password it is for local programs only: {answer}");
        remove(&sample, "redis");
        let params = json!([{"name": "redis", "params": {"password": "s3cret"}}]);
        let made = sample.operation("create", "r", &params);
        assert_eq!(made.code, 0, "{made:?}");
        let answer = sample.ask("a", 6379, "AUTH s3cret\r\nSET k v\r\nGET k\r\nQUIT\r\n");
        assert_eq!(answer, "+OK\r\n+OK\r\n$1\r\nv\r\n+OK\r\n");
        assert_eq!(sample.inside("a", "grep -l 's3cre[t]' /proc/[0-9]*/cmdline"), "");
        remove(&sample, "redis");
    }
}

#[test]
fn etcd_postgresql_and_containerd_pass_their_checks() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    for name in ["etcd", "postgresql", "containerd"] {
        if whole_life(&sample, name) {
            remove(&sample, name);
        }
    }
}

#[test]
fn podman_a_registry_and_a_balancer_answer() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    if whole_life(&sample, "docker-registry") {
        let answer = sample.ask("a", 5000, "GET /v2/ HTTP/1.0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        let address = sample.inside("a", "hostname -I").trim().to_owned();
        let params = json!([{"name": "haproxy", "params": {"backends": format!("{address}:5000")}}]);
        let made = sample.operation("create", "h", &params);
        assert_eq!(made.code, 0, "{made:?}");
        let answer = sample.ask("a", 80, "GET /v2/ HTTP/1.0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "through the balancer: {answer}");
        let gone = sample.prov("taskserv delete haproxy docker-registry --infra demo --yes");
        assert_eq!(gone.stdout, "Successfully removed 2 task services\n", "{gone:?}");
        assert_eq!(sample.inside("a", "ss -Hltn | grep -cE ':(80|5000) '").trim(), "0");
    }
    if whole_life(&sample, "podman") {
        remove(&sample, "podman");
    }
}

#[test]
fn the_version_is_what_was_asked_for_and_the_list_says_what_is_there() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let with = |version: &str| json!([{"name": "redis", "params": {"version": version}}]);
    let absent = sample.operation("create", "r", &with("0.9"));
    if ["apt-get can't fetch", "has no apt-get", "can be had in none"].iter().any(|why| absent.stderr.contains(why)) {
        println!("skipped: redis: its package can't be had here");
        return;
    }
    assert_eq!(absent.code, 1, "{absent:?}");
    let (_, available) =
        absent.stderr.split_once("no version 0.9 of redis-server; it can be had in ").expect(&absent.stderr);
    let actual = available.split([',', '\n']).next().unwrap().trim();
    let upstream = actual.split([':', '-']).nth(1).unwrap();
    let made = sample.operation("create", "r", &with(upstream));
    assert_eq!(made.code, 0, "{made:?}");
    let listed = sample.prov("taskserv list --infra demo").stdout;
    assert!(listed.lines().any(|line| line.split_whitespace().nth(2) == Some(actual)), "{actual}: {listed}");
    let refused = sample.operation("create", "r", &with("$(reboot)"));
    assert!(refused.code == 2 && refused.stderr.contains("is no version of a Debian package"), "{refused:?}");
}
