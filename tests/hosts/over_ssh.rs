//! What commands and files are like over ssh.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use prov::provision::transport::ssh::{HostKeys, Ssh, Way};
use prov::provision::transport::{Exec, Transport};

use super::sshd::{Sshd, sh, wait_gone};

#[test]
fn status_streams_and_input_are_the_commands_own() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    let result = ssh.exec(&sh("pwd; echo err >&2; id -u; exit 3")).unwrap();
    assert_eq!((result.status, result.timed_out), (3, false));
    assert_eq!((result.stdout.as_slice(), result.stderr.as_slice()), (b"/root\n0\n".as_slice(), b"err\n".as_slice()));
    assert_eq!(ssh.exec(&sh("kill -9 $$")).unwrap().status, 128 + 9);
    assert_eq!(ssh.exec(&sh("exit 255")).unwrap().status, 255);
    let big = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let cat = Exec { argv: vec!["cat".to_owned()], stdin: &big, ..Exec::default() };
    let back = ssh.exec(&cat).unwrap().stdout;
    assert!(back.len() == 1 << 20 && big.ends_with(&back));
    // Whoever doesn't read its input ends all the same.
    assert_eq!(ssh.exec(&Exec { argv: vec!["true".to_owned()], stdin: &big, ..Exec::default() }).unwrap().status, 0);
    let words = ["printf", "%s|", "a b", "it's", "", "-n", "$HOME `id` \\", "two\nlines", "ä\u{1}\u{1e}"];
    let argv = words.map(str::to_owned).to_vec();
    let printed = ssh.exec(&Exec { argv, ..Exec::default() }).unwrap().stdout;
    assert_eq!(String::from_utf8(printed).unwrap(), format!("{}|", words[2..].join("|")));
    let missing = ssh.exec(&Exec { argv: vec!["no-such-program".to_owned()], ..Exec::default() }).unwrap_err();
    assert_eq!(missing.to_string(), format!("can't run \"no-such-program\" on root@[127.0.0.1]:{}", sshd.port));
}

#[test]
fn variables_and_input_stand_on_no_command_line() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    // The pattern must not find the search itself.
    let script = r"env -u PWD -u OLDPWD -u _ | sort; cat >/dev/null; cat /proc/[0-9]*/cmdline | tr '\0' '\n' | grep -c 's3cre[t]-'";
    let env = [("SECRET", "s3cret-1 'x'\n$y"), ("i", "1"), ("LC_ALL", "C")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let result = ssh.exec(&Exec { env, stdin: b"s3cret-2", ..sh(script) }).unwrap();
    let printed = String::from_utf8(result.stdout).unwrap();
    let lines: Vec<&str> =
        printed.lines().filter(|line| !line.starts_with('S') || line.starts_with("SECRET")).collect();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected =
        ["$y", "HOME=/root", "LANG=C.UTF-8", "LC_ALL=C", path, "SECRET=s3cret-1 'x'", "USER=root", "i=1", "0"];
    assert_eq!(lines, expected);
}

#[test]
fn many_commands_share_one_login() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    ssh.wait_ready(Duration::from_secs(20)).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let ssh = &ssh;
            scope.spawn(move || assert_eq!(ssh.exec(&sh(&format!("exit {number}"))).unwrap().status, number));
        }
    });
    assert_eq!(sshd.connections(), 1);
}

#[test]
fn more_commands_at_once_than_a_connection_holds_all_run() {
    let Some(sshd) = Sshd::start("MaxSessions 2\nMaxStartups 50\n") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let ssh = &ssh;
            scope
                .spawn(move || assert_eq!(ssh.exec(&sh(&format!("sleep 0.3; exit {number}"))).unwrap().status, number));
        }
    });
}

#[test]
fn a_deadline_ends_everything_that_was_started() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    ssh.wait_ready(Duration::from_secs(20)).unwrap();
    let deadline = Instant::now().checked_add(Duration::from_secs(2));
    let script = "trap '' TERM; setsid sleep 900 & echo $!; (sleep 901 & echo $!); echo $$; sleep 902";
    let result = ssh.exec(&Exec { deadline, ..sh(script) }).unwrap();
    assert!(result.timed_out && result.status == 128 + 9, "{result:?}");
    let has_groups =
        ["", "unified/"].iter().any(|dir| std::fs::exists(format!("/sys/fs/cgroup/{dir}cgroup.controllers")).unwrap());
    // Without them it is certain where nothing else was started meanwhile.
    assert!(result.is_whole || !has_groups);
    let printed = String::from_utf8(result.stdout).unwrap();
    assert_eq!(printed.lines().count(), 3);
    printed.lines().for_each(wait_gone);
}

#[test]
fn what_a_command_leaves_running_goes_on() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    let fifo = sshd.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    // It writes once the command and its connection are long over.
    let script =
        format!("(read line <'{0}'; echo one; echo two >&2; echo alive >'{0}') & echo started", fifo.display());
    assert_eq!(ssh.exec(&sh(&script)).unwrap().stdout, b"started\n");
    drop(ssh);
    sshd.cut();
    std::fs::write(&fifo, "go\n").unwrap();
    assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "alive\n");
}

#[test]
fn files_go_and_come() {
    let Some(sshd) = Sshd::start("") else { return };
    let ssh = Ssh::new(sshd.way()).unwrap();
    let path = sshd.path("a/b/it's here.json");
    let path = path.to_str().unwrap();
    assert_eq!(ssh.read(path).unwrap(), None);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    ssh.write(path, &bytes).unwrap();
    assert_eq!(ssh.read(path).unwrap(), Some(bytes));
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    ssh.remove(&[path.to_owned(), path.to_owned()]).unwrap();
    assert!(!std::fs::exists(path).unwrap());
}

#[test]
fn a_jump_host_is_gone_through() {
    let (Some(gate), Some(sshd)) = (Sshd::start(""), Sshd::start("")) else { return };
    // One key for both, and both known beforehand.
    std::fs::copy(sshd.path("key.pub"), gate.path("authorized_keys")).unwrap();
    let known = format!("db {}[127.0.0.1]:{} {}", sshd.host_key(), gate.port, gate.host_key());
    std::fs::write(sshd.path("known"), known).unwrap();
    let host_keys = HostKeys::Known { files: vec![sshd.path("known")], alias: Some("db".to_owned()), of_system: false };
    let way = Way { jump: Some(gate.to("root")), host_keys, ..sshd.way() };
    let ssh = Ssh::new(way.clone()).unwrap();
    assert_eq!(ssh.exec(&sh("exit 7")).unwrap().status, 7);
    assert_eq!((gate.connections(), sshd.connections()), (1, 1));
    // The key of the one in between is checked as well.
    gate.new_host_key();
    let changed = Way { sudo: false, ..way };
    let error = Ssh::new(changed).unwrap().exec(&sh("exit 7")).unwrap_err();
    assert!(error.to_string().contains("shows another host key"), "{error}");
    assert_eq!(sshd.connections(), 1);
}
