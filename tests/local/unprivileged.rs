//! Servers of an ordinary user. As root, the test runs itself again as `nobody`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use prov::provision::provider::{Provider, ProviderError, ServerState};
use prov::provision::transport::Exec;

use super::support::{Bench, infra, name, spec};

/// The account and group `nobody` nearly everywhere.
const NOBODY: u32 = 65_534;

/// Whether the test that calls this is to go on: it isn't root.
fn is_ordinary_user(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("local::unprivileged::{test}"), "--exact", "--nocapture"])
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output();
    match output {
        // The binary may lie where only root goes.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
        Ok(output) => {
            let report = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
            assert!(report.contains("1 passed"), "{report}");
            print!("{report}");
        }
    }
    false
}

#[test]
fn a_server_lives_its_whole_life() {
    if !is_ordinary_user("a_server_lives_its_whole_life") {
        return;
    }
    let bench = Bench::new();
    let server = match bench.provider.create(&spec("web")) {
        Err(ProviderError::Unavailable { what, hint: Some(hint) }) => return println!("skipped: {what}: {hint}"),
        created => created.unwrap(),
    };
    assert_eq!((server.state, &server.address), (ServerState::Running, &None), "{server:?}");
    assert!(server.notes.iter().any(|note| note.contains("no address")), "{:?}", server.notes);
    assert!(server.limits.starts_with("not enforced: "), "{}", server.limits);
    assert_eq!(bench.out("web", "hostname; id -u; ls /root"), "web\n0");
    // Directories of the host's root are writable, files that came along too, owners are pretended.
    bench.out("web", "echo new >/etc/new; echo more >>/etc/hosts; mkdir -p /usr/local/lib/a /opt/b /var/lib/c");
    bench.out(
        "web",
        "touch /usr/bin/tool; rm /usr/bin/env; mv /etc/new /etc/newer; chown 33:33 /etc/newer; chown -R daemon /opt/b",
    );
    assert_eq!(
        bench.out("web", "ip -o link show lo 2>/dev/null | grep -c UP || true; cat /etc/shadow | grep -c '^root:!:'"),
        "1\n1"
    );
    assert!(std::path::Path::new("/usr/bin/env").exists());
    let exec = Exec { argv: vec!["cat".into()], stdin: b"in", ..Exec::default() };
    assert_eq!(bench.provider.transport(&infra(), &name("web")).unwrap().exec(&exec).unwrap().stdout, b"in");
    let begun = std::time::Instant::now();
    let script = "trap '' TERM; sleep 4322 & sleep 4322";
    assert!(bench.sh_until("web", script, Some(begun + std::time::Duration::from_millis(200))).timed_out);
    assert_eq!(bench.out("web", "ps -e -o args= | grep -c '[s]leep 4322' || true"), "0");
    bench.provider.delete(&infra(), &name("web")).unwrap();
    assert!(!bench.path().join(".prov/local").exists());
}
