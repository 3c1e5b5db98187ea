//! From create to delete, with crashes between.

use std::fs;

use prov::provision::provider::{Provider, ProviderError, ServerState};
use rustix::process::{Pid, Signal, kill_process};

use super::support::{Bench, infra, name, processes, spec, until};

#[test]
fn three_servers_at_once_each_with_its_own_name_and_files() {
    let Some(bench) = Bench::as_root() else { return };
    let names = ["web-1", "web-2", "db"];
    std::thread::scope(|scope| {
        for server in names {
            let bench = &bench;
            scope.spawn(move || bench.provider.create(&spec(server)).unwrap());
        }
    });
    let listed = bench.provider.list(&infra()).unwrap();
    assert_eq!(listed.iter().map(|server| server.spec.name.as_str()).collect::<Vec<_>>(), ["db", "web-1", "web-2"]);
    assert!(listed.iter().all(|server| server.state == ServerState::Running));
    for server in names {
        assert_eq!(bench.out(server, "hostname"), server);
        assert_eq!(bench.out(server, "cat /etc/hostname"), server);
        bench.out(server, &format!("echo {server} >/etc/prov-mark; echo {server} >/root/mark"));
    }
    assert!(!fs::exists("/etc/prov-mark").unwrap());
    for server in names {
        assert_eq!(bench.out(server, "cat /etc/prov-mark /root/mark"), format!("{server}\n{server}"));
    }
}

#[test]
fn nothing_of_the_host_that_is_secret_is_seen() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    assert_eq!(bench.out("web", "ls -A /root /home /srv /mnt"), "/home:\n\n/mnt:\n\n/root:\n\n/srv:");
    assert_eq!(bench.out("web", "cut -d: -f2 /etc/shadow | sort -u | tr -d '*!\\n'"), "");
    assert_ne!(bench.sh("web", &format!("ls {}", bench.path().display())).status, 0, "the workspace is in sight");
    assert_eq!(bench.out("web", "ls /var/lib/docker /var/lib/kubelet"), "/var/lib/docker:\n\n/var/lib/kubelet:");
    assert_ne!(
        bench.out("web", "cat /etc/machine-id"),
        fs::read_to_string("/etc/machine-id").unwrap_or_default().trim()
    );
    assert_eq!(bench.out("web", "ps -e -o pid= | head -1").trim(), "1");
    assert_eq!(bench.sh("web", "echo 1 >/proc/sys/kernel/panic").status, 2, "settings of the whole machine");
    assert_eq!(bench.out("web", "echo 1 >/proc/sys/net/ipv4/ip_forward; cat /proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(
        bench.out("web", "echo x >/dev/null; head -c 3 /dev/urandom | wc -c; : >/dev/shm/x; : >/run/x; : >/tmp/x"),
        "3"
    );
}

#[test]
fn creating_again_finds_it_and_another_plan_is_a_conflict() {
    let Some(bench) = Bench::as_root() else { return };
    let first = bench.provider.create(&spec("web")).unwrap();
    bench.out("web", "echo here >/var/mark");
    assert_eq!(bench.provider.create(&spec("web")).unwrap(), first);
    assert_eq!(bench.out("web", "cat /var/mark"), "here");
    let mut bigger = spec("web");
    bigger.plan = "2xCPU-2 GB".parse().unwrap();
    let error = bench.provider.create(&bigger).unwrap_err();
    assert!(matches!(error, ProviderError::Conflict { field: "plan", .. }), "{error}");
}

#[test]
fn a_killed_init_leaves_a_stopped_server_that_starts_with_its_files() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    bench.out("web", "echo kept >/opt/mark; echo kept >/home/mark; echo changed >/etc/hostname");
    let init: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.state_of("web").join("init.json")).unwrap()).unwrap();
    let pid = Pid::from_raw(i32::try_from(init["pid"].as_i64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let state = || bench.provider.list(&infra()).unwrap()[0].state;
    until("the server stops", || state() == ServerState::Stopped);
    let error = bench.provider.wait_ready(&infra(), &name("web"), std::time::Duration::from_secs(1)).unwrap_err();
    assert!(error.to_string().contains("does not run"), "{error}");
    assert_eq!(bench.provider.create(&spec("web")).unwrap().state, ServerState::Running);
    assert_eq!(bench.out("web", "cat /opt/mark /home/mark /etc/hostname"), "kept\nkept\nchanged");
}

#[test]
fn deleting_leaves_nothing() {
    let Some(bench) = Bench::as_root() else { return };
    let server = bench.provider.create(&spec("web")).unwrap();
    assert!(!groups_of(&server.id).is_empty() || server.limits.starts_with("not enforced"), "{}", server.limits);
    bench.out("web", "setsid sleep 1000 >/dev/null 2>&1 & mkdir -p /usr/local/a/b; rm -rf /usr/share/doc; nohup sleep 1001 >/dev/null 2>&1 &");
    bench.provider.delete(&infra(), &name("web")).unwrap();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap().matches(bench.path().to_str().unwrap()).count(), 0);
    assert_eq!(groups_of(&server.id), Vec::<String>::new());
    until("its processes end", || processes(bench.path().to_str().unwrap()).is_empty());
    assert!(!bench.path().join(".prov/local").exists());
    bench.provider.delete(&infra(), &name("web")).unwrap();
    assert_eq!(bench.provider.list(&infra()).unwrap(), []);
}

/// Control groups of the server.
fn groups_of(id: &str) -> Vec<String> {
    let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
    let groups = hierarchies.flatten().map(|one| one.path().join(format!("prov-{id}")));
    groups.filter(|group| group.exists()).map(|group| group.display().to_string()).collect()
}
