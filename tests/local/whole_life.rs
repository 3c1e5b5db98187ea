//! From create to delete, with crashes between.

use std::fs;
use std::os::unix::fs::PermissionsExt;

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
    let mode = fs::metadata(bench.state_of("db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "other users reach what a server's root wrote");
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
    kill_init(&bench, "web");
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

fn kill_init(bench: &Bench, server: &str) {
    kill(&serde_json::from_slice(&fs::read(bench.state_of(server).join("init.json")).unwrap()).unwrap());
}

fn kill(init: &serde_json::Value) {
    let pid = Pid::from_raw(i32::try_from(init["pid"].as_i64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Control groups of the server.
fn groups_of(id: &str) -> Vec<String> {
    let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
    let groups = hierarchies.flatten().map(|one| one.path().join(format!("prov-{id}")));
    groups.filter(|group| group.exists()).map(|group| group.display().to_string()).collect()
}

#[test]
fn a_workspace_below_a_directory_that_servers_see_is_left_out() {
    let Some(bench) = Bench::as_root_in(std::path::Path::new("/var/lib")) else { return };
    bench.provider.create(&spec("web")).unwrap();
    assert_ne!(bench.sh("web", &format!("ls {}", bench.path().display())).status, 0, "the workspace is in sight");
    bench.out(
        "web",
        "echo kept >/var/lib/dpkg/mark; echo kept >/var/new; echo kept >/var/lib/new; ls /var/lib/dpkg/status",
    );
    assert!(!fs::exists("/var/lib/dpkg/mark").unwrap() && !fs::exists("/var/new").unwrap());
    kill_init(&bench, "web");
    until("the server stops", || bench.provider.list(&infra()).unwrap()[0].state == ServerState::Stopped);
    bench.provider.create(&spec("web")).unwrap();
    assert_eq!(bench.out("web", "cat /var/lib/dpkg/mark /var/new /var/lib/new"), "kept\nkept\nkept");
}

#[test]
fn where_overlays_cant_lie_the_disk_is_in_memory_and_it_says_so() {
    let Some(bench) = Bench::as_root() else { return };
    // An overlay for the workspace: no overlay's upper layer can lie on another.
    let script = "cd \"$1\" && mkdir lower upper work ws && \
        unshare --mount sh -c 'mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work ws && \
        mkdir -p ws/.prov/local/production/web && cat >ws/.prov/local/production/web/spec.json && : >ws/.prov/local/production/web/init.lock && \
        exec \"$0\" internal local-init \"$PWD/ws/.prov/local/production/web\"' \"$2\"";
    let server = spec("web");
    let record = serde_json::json!({"spec": server, "id": "00000000:production:web", "address": null, "cgroups": [],
        "limits": "not enforced: a test", "notes": []});
    let mut child = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(bench.path())
        .arg(env!("CARGO_BIN_EXE_prov"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &record).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, "\"ready\"", "{}", String::from_utf8_lossy(&output.stderr));
    let init = fs::read(bench.path().join("upper/.prov/local/production/web/init.json")).unwrap();
    let init: serde_json::Value = serde_json::from_slice(&init).unwrap();
    kill(&init);
    assert!(init["notes"][0].as_str().unwrap().contains("in memory"), "{init}");
}

#[test]
fn the_plan_limits_what_a_server_uses() {
    let Some(bench) = Bench::as_root() else { return };
    let mut small = spec("web");
    small.plan = "1xCPU-64 MB".parse().unwrap();
    let server = bench.provider.create(&small).unwrap();
    if server.limits != "enforced (cgroup v1)" && server.limits != "enforced (cgroup v2)" {
        return println!("skipped: limits are {}", server.limits);
    }
    let hungry = "perl -e '$x = \"x\" x (200 * 1024 * 1024); print length $x'";
    assert_eq!(bench.sh("web", hungry).status, 137, "killed for want of memory");
    assert_eq!(bench.out("web", "echo still here"), "still here");
    assert_eq!(bench.out("web", "ls -d /sys/fs/cgroup/*/prov-* 2>/dev/null || echo none"), "none", "the host's groups");
    assert_eq!(
        bench.out(
            "web",
            "cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup; mkdir inner && rmdir inner && echo made"
        ),
        "made"
    );
}

#[test]
fn the_machine_itself_is_out_of_reach() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    let bounding = bench.out("web", "sed -n 's/^CapBnd:.//p' /proc/self/status");
    let bounding = u64::from_str_radix(&bounding, 16).unwrap();
    for capability in [16, 17, 22, 25] {
        assert_eq!(bounding & (1 << capability), 0, "capability {capability}");
    }
    assert_ne!(bench.sh("web", "date -s 2001-01-01").status, 0);
}

#[test]
fn a_servers_first_process_holds_nothing_of_its_maker() {
    let Some(bench) = Bench::as_root() else { return };
    let server = bench.provider.create(&spec("web")).unwrap();
    let init: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.state_of("web").join("init.json")).unwrap()).unwrap();
    let proc = std::path::PathBuf::from(format!("/proc/{}", init["pid"]));
    let command = fs::read_to_string(proc.join("cmdline")).unwrap();
    assert!(command.starts_with(&format!("prov-server:{}\0", server.id)), "{command}");
    // The last program that was started in it had an empty environment.
    assert_eq!(fs::read(proc.join("environ")).unwrap(), b"");
    let open = fs::read_dir(proc.join("fd")).unwrap();
    let mut open: Vec<_> = open.map(|fd| fs::read_link(fd.unwrap().path()).unwrap()).collect();
    open.sort();
    open.dedup();
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open[0].ends_with("null") && open[1].ends_with("init.lock"), "{open:?}");
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    assert_ne!(fields[1], std::process::id().to_string(), "its parent");
    assert_ne!(fields[3], own_session(), "its session");
    let memory = fs::read_to_string(proc.join("smaps_rollup")).unwrap();
    let own = memory.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    let own: u64 = own.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(own < 6 * 1024, "{own} KiB of its own");
}

fn own_session() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    stat[stat.rfind(')').unwrap() + 2..].split(' ').nth(3).unwrap().to_owned()
}
