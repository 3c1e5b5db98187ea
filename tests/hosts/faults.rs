//! What is said when something is wrong with a connection.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use prov::provision::provider::ProviderError;
use prov::provision::provider::access::Access;
use prov::provision::provider::cloud::Reach;
use prov::provision::transport::Transport;
use prov::provision::transport::ssh::{Destination, HostKeys, Ssh, Way};
use prov::provision::workspace::Workspace;

use super::sshd::{Sshd, sh, wait_gone};

fn error_of(way: Way) -> String {
    match Ssh::new(way).unwrap().exec(&sh("true")).unwrap_err() {
        ProviderError::Unavailable { what, hint } => format!("{what} ({})", hint.unwrap_or_default()),
        other => other.to_string(),
    }
}

#[test]
fn another_host_key_and_an_unknown_one_are_refused() {
    let Some(sshd) = Sshd::start("") else { return };
    let none = HostKeys::Known { files: Vec::new(), alias: None, of_system: false };
    let unknown = error_of(Way { host_keys: none, ..sshd.way() });
    let expected = "the host key of root@[127.0.0.1]:PORT is not known (compare its fingerprint and confirm it: prov hosts trust NAME --infra INFRA)";
    assert_eq!(unknown, expected.replace("PORT", &sshd.port.to_string()));
    // Seen for the first time it is kept; then it counts.
    assert_eq!(Ssh::new(sshd.way()).unwrap().exec(&sh("true")).unwrap().status, 0);
    assert!(std::fs::read_to_string(sshd.path("known")).unwrap().starts_with("test:1 ssh-ed25519 "));
    sshd.cut();
    sshd.new_host_key();
    // Another way, so that no open connection serves it.
    let changed = error_of(Way { sudo: false, ..sshd.way() });
    assert!(changed.contains("shows another host key than the one that is known"), "{changed}");
    // Waiting for it is no use.
    let begun = Instant::now();
    let waited = Ssh::new(Way { sudo: false, ..sshd.way() }).unwrap().wait_ready(Duration::from_mins(5)).unwrap_err();
    assert!(waited.to_string().contains("another host key") && begun.elapsed() < Duration::from_mins(1), "{waited}");
}

#[test]
fn a_wrong_key_a_closed_port_and_no_such_name_are_told_apart() {
    let (Some(sshd), Some(other)) = (Sshd::start(""), Sshd::start("")) else { return };
    let denied = error_of(Way { identity: Some(other.key()), ..sshd.way() });
    assert!(denied.contains("lets nobody in with this key") && denied.contains("authorized_keys"), "{denied}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = error_of(Way { to: Destination::new("127.0.0.1", "root", free).unwrap(), ..sshd.way() });
    assert!(closed.contains("can't reach root@") && closed.contains("Connection refused"), "{closed}");
    let nameless = error_of(Way { to: Destination::new("no-such-host.invalid", "root", 22).unwrap(), ..sshd.way() });
    assert!(
        nameless.contains("Could not resolve hostname") && nameless.contains("check the host's name"),
        "{nameless}"
    );
}

#[test]
fn a_connection_that_breaks_is_no_status_and_ends_the_command() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    let fifo = sshd.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let script = format!("echo $$ > '{}'; exec sleep 900", fifo.display());
    let (error, pid) = std::thread::scope(|scope| {
        let run = scope.spawn(|| ssh.exec(&sh(&script)).unwrap_err());
        let pid = std::fs::read_to_string(&fifo).unwrap();
        sshd.cut();
        (run.join().unwrap(), pid)
    });
    assert!(error.to_string().contains("broke while a command ran; whether it ended is not known"), "{error}");
    wait_gone(pid.trim());
    // The next command has a connection of its own.
    assert_eq!(ssh.exec(&sh("exit 4")).unwrap().status, 4);
}

#[test]
fn a_user_becomes_root_by_sudo_or_hears_why_not() {
    let programs = tempfile::tempdir().unwrap();
    let put = |name: &str, script: &str| {
        let path = programs.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("SetEnv PATH={}:/usr/sbin:/usr/bin:/sbin:/bin\n", programs.path().display());
    let Some(sshd) = Sshd::start(&path) else { return };
    // As if it were another user's login.
    put("id", "echo 1000");
    put("sudo", "[ \"$1\" = -n ] && shift && exec \"$@\"");
    assert_eq!(Ssh::new(sshd.way()).unwrap().exec(&sh("exit 5")).unwrap().status, 5);
    put("sudo", "echo 'sudo: a password is required' >&2; exit 1");
    let asked = error_of(sshd.way());
    assert!(
        asked.starts_with("root can't become root on 127.0.0.1: sudo: a password is required (let the user"),
        "{asked}"
    );
    let unasked = error_of(Way { sudo: false, ..sshd.way() });
    assert!(unasked.contains("can't become root on 127.0.0.1: prov: not root"), "{unasked}");
}

#[test]
fn a_machine_that_is_starting_is_waited_for_and_known_from_then_on() {
    let Some(sshd) = Sshd::start("") else { return };
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(dir.path()).unwrap();
    let access = Access::of(&workspace);
    let ssh = access.to("test", "m-1", "root", &format!("127.0.0.1:{}", sshd.port)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Its user is made only after it has begun to answer.
            let until = Instant::now() + Duration::from_secs(30);
            while sshd.connections() == 0 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::fs::write(sshd.path("authorized_keys"), access.public_key().unwrap()).unwrap();
        });
        ssh.wait_ready(Duration::from_secs(30)).unwrap();
    });
    let known = dir.path().join(".prov/ssh/known_hosts/test:m-1");
    assert!(known.exists());
    access.forget("test", "m-1");
    assert!(!known.exists());
    assert!(access.to("test", "m-1", "root", "-oProxyCommand=id").is_err());
    let shown = Ssh::new(Way { ..sshd.way() }).unwrap().shown_key().unwrap();
    assert!(sshd.host_key().starts_with(&shown.line()));
}
