//! Commands in a server: their ends, their streams, what they leave behind.

use std::time::{Duration, Instant};

use prov::provision::provider::Provider;
use prov::provision::transport::Exec;

use super::support::{Bench, infra, name, processes, spec, until};

#[test]
fn a_command_gets_its_input_and_environment_and_nothing_else() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    let exec = Exec {
        argv: vec!["sh".into(), "-c".into(), "env | grep -v -e ^SERVER_COMMAND= -e ^_=; pwd; cat; exit 7".into()],
        env: vec![("GREETING".into(), "hello world".into())],
        stdin: b"from outside",
        deadline: None,
    };
    let result = bench.provider.transport(&infra(), &name("web")).unwrap().exec(&exec).unwrap();
    assert_eq!(result.status, 7);
    let text = String::from_utf8(result.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "/root",
            "GREETING=hello world",
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/root",
            "USER=root",
            "from outside"
        ]
    );
    assert_eq!(bench.sh("web", "kill -9 $$").status, 137);
    let missing = Exec { argv: vec!["no-such-program".into()], ..Exec::default() };
    let error = bench.provider.transport(&infra(), &name("web")).unwrap().exec(&missing).unwrap_err();
    assert!(error.to_string().contains("no-such-program"), "{error}");
}

#[test]
fn a_deadline_ends_all_that_a_command_started() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    let script = "trap '' TERM; echo begun; (trap '' TERM; sleep 4321) & setsid sh -c 'trap \"\" TERM; sleep 4321; :' & wait; sleep 4321";
    let begun = Instant::now();
    let result = bench.sh_until("web", script, Some(begun + Duration::from_millis(300)));
    assert!(result.timed_out);
    assert_eq!(result.status, 137);
    assert_eq!(result.stdout, b"begun\n");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(bench.out("web", "ps -e -o args= | grep -c '[s]leep 4321' || true"), "0");
}

#[test]
fn a_stream_of_any_length_is_drained_and_its_end_kept() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    let result = bench.sh("web", "head -c 104857600 /dev/zero; echo end; echo error >&2");
    assert_eq!(result.status, 0);
    assert_eq!(result.stdout.len(), 1024 * 1024);
    assert!(result.stdout.ends_with(b"\0end\n"));
    assert_eq!(result.stderr, b"error\n");
    let input = vec![b'x'; 3 * 1024 * 1024];
    let exec = Exec { argv: vec!["wc".into(), "-c".into()], stdin: &input, ..Exec::default() };
    assert_eq!(bench.provider.transport(&infra(), &name("web")).unwrap().exec(&exec).unwrap().stdout, b"3145728\n");
    let exec = Exec { argv: vec!["true".into()], stdin: &input, ..Exec::default() };
    assert_eq!(bench.provider.transport(&infra(), &name("web")).unwrap().exec(&exec).unwrap().status, 0);
}

#[test]
fn a_daemon_outlives_the_command_that_started_it_and_may_go_on_writing() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    let begun = Instant::now();
    let script = "(while :; do echo chatter; sleep 0.01; : >>/tmp/ticks; printf x >>/tmp/ticks; done) & echo $!";
    let result = bench.sh("web", script);
    assert_eq!(result.status, 0);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let ticks = || bench.out("web", "cat /tmp/ticks 2>/dev/null | wc -c").parse::<u64>().unwrap();
    let before = ticks();
    until("the daemon goes on", || ticks() > before + 20);
    bench.provider.delete(&infra(), &name("web")).unwrap();
    until("nothing is left", || processes(bench.path().to_str().unwrap()).is_empty());
}

#[test]
fn what_hides_from_a_deadline_is_ended_too_or_it_is_said() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    // Another session, another parent, an empty environment: nothing tells whose it is but its control group.
    let script = "setsid env -i sh -c 'sleep 4329 & exit 0' >/dev/null 2>&1 </dev/null & wait; sleep 4330";
    let result = bench.sh_until("web", script, Some(Instant::now() + Duration::from_millis(500)));
    assert!(result.timed_out);
    if !result.is_whole {
        return println!("skipped: no control group that can be ended whole");
    }
    assert_eq!(bench.out("web", "ps -e -o args= | grep -c '[s]leep 43' || true"), "0");
}

#[test]
fn what_a_command_leaves_behind_stays_in_the_servers_own_group() {
    let Some(bench) = Bench::as_root() else { return };
    bench.provider.create(&spec("web")).unwrap();
    bench.out("web", "setsid sleep 4331 >/dev/null 2>&1 </dev/null &");
    let group = "cat /proc/$(pgrep -f '^sleep 4331')/cgroup | sed -n 's/^0:://p'";
    until("it is the server's", || !bench.out("web", group).contains("command-"));
    assert_eq!(bench.out("web", "ps -e -o args= | grep -c '^[s]leep 4331'"), "1");
}
