//! Following work and logs over connections that break, and where there is no stream of events.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::terminal::Terminal;
use super::{User, ran};
use crate::support::proxy::{Fate, Proxy};
use crate::support::{run, script};

/// A command that reaches the daemon through a proxy.
fn command(user: &User, proxy: &Proxy, args: &[&str]) -> std::process::Command {
    let mut command = user.command(args);
    command.env("PROV_SERVER", &proxy.address).env("PROV_TOKEN", &user.daemon().token);
    command
}

fn is_events(line: &str) -> bool {
    line.starts_with("GET /events")
}

/// A chain of operations that goes on when the file `go` is there.
fn chain(user: &User) -> Value {
    let wait = format!("until test -e {}; do sleep 0.02; done", user.path("go").display());
    let mut operations = vec![script("gate", &wait)];
    // Long enough for a stream to break and come back, or for somebody to ask more than once.
    for number in 0..60 {
        let mut next = script(&format!("op-{number}"), "true");
        next["dependencies"] = json!([operations.last().unwrap()["id"]]);
        operations.push(next);
    }
    json!({ "name": "chain", "operations": operations })
}

/// The only task there is, once there is one.
fn first_task(user: &User) -> String {
    loop {
        let listed = user.prov(&["tasks", "list", "-o", "name"]).out().trim().to_owned();
        if !listed.is_empty() {
            return listed;
        }
    }
}

/// Submits a batch, follows it from before its first change to its end, and answers what was said on the way.
fn follow(user: &User, proxy: &Proxy) -> Vec<String> {
    let file = user.file("chain.json", &chain(user).to_string());
    let id = user.prov(&["batch", "run", &file, "--detach"]).out().trim().to_owned();
    let mut watch = command(user, proxy, &["batch", "watch", &id]);
    let mut child = watch.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        if line == "gate Running" {
            // So that the stream, where there is one, has begun before anything goes on.
            while !proxy.calls().iter().filter(|call| call.contains(&id)).any(|call| is_events(call)) {
                std::thread::yield_now();
            }
            std::fs::write(user.path("go"), "").unwrap();
        }
        lines.push(line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{lines:?}");
    lines
}

fn reads(proxy: &Proxy) -> usize {
    proxy.calls().iter().filter(|call| call.starts_with("GET /batch/operations/")).count()
}

#[test]
fn a_follower_is_told_and_need_not_ask() {
    let user = User::logged_in();
    let proxy = Proxy::before(user.daemon().orchestrator(), |_| Fate::Pass);
    let lines = follow(&user, &proxy);
    for number in 0..12 {
        assert!(lines.contains(&format!("op-{number} Completed")), "{number}: {lines:?}");
    }
    assert_eq!(lines.last().unwrap(), "chain Completed");
    // Before and after the stream begins, and at the end; a slow machine may take long enough for another.
    assert!((2..=6).contains(&reads(&proxy)), "{:?}", proxy.calls());
    assert_eq!(proxy.calls().iter().filter(|call| is_events(call)).count(), 1);
}

#[test]
fn a_stream_that_breaks_again_and_again_tells_everything_all_the_same() {
    let user = User::logged_in();
    let size = AtomicUsize::new(900);
    let proxy = Proxy::before(user.daemon().orchestrator(), move |line| {
        if is_events(line) { Fate::Cut(size.fetch_add(450, Ordering::Relaxed)) } else { Fate::Pass }
    });
    let lines = follow(&user, &proxy);
    assert_eq!(lines.last().unwrap(), "chain Completed", "{lines:?}");
    assert!(proxy.calls().iter().filter(|call| is_events(call)).count() > 1, "{:?}", proxy.calls());
    assert!(proxy.calls().iter().any(|call| is_events(call) && call.contains("since=")), "{:?}", proxy.calls());
}

#[test]
fn without_a_stream_work_is_followed_by_asking() {
    for fate in [Fate::Refuse(404), Fate::Refuse(429), Fate::Swallow] {
        let user = User::logged_in();
        let rule = move |line: &str| if is_events(line) { fate } else { Fate::Pass };
        let proxy = Proxy::before(user.daemon().orchestrator(), rule);
        let lines = follow(&user, &proxy);
        assert_eq!(lines.last().unwrap(), "chain Completed", "{fate:?}: {lines:?}");
        assert!(lines.iter().all(|line| !line.contains("away") && !line.contains("warning")), "{lines:?}");
        assert!(reads(&proxy) > 2, "{:?}", proxy.calls());
    }
}

#[test]
fn a_task_of_a_batch_is_followed_through_a_restart_of_the_daemon() {
    let mut user = User::logged_in();
    let file = user.file("chain.json", &chain(&user).to_string());
    user.prov(&["batch", "run", &file, "--detach"]).out();
    let id = first_task(&user);
    let proxy = Proxy::before(user.daemon().orchestrator(), |_| Fate::Pass);
    let mut watch = command(&user, &proxy, &["tasks", "watch", &id]);
    let mut child = watch.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.ends_with("Running")));
    let daemon = user.daemon.as_mut().unwrap();
    daemon.kill();
    assert!(said.any(|line| line == "the daemon is away; waiting"));
    run(daemon.boot());
    proxy.redirect(daemon.orchestrator());
    assert!(said.any(|line| line == "the daemon is back"));
    std::fs::write(user.path("go"), "").unwrap();
    assert!(said.any(|line| line.ends_with("Completed")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Numbers that look random and are the same in every run (Numerical Recipes, ranqd1).
fn dice(seed: u32) -> impl FnMut(usize) -> usize + Send {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(state >> 8).unwrap() % below
    }
}

#[test]
fn a_million_lines_come_once_each_over_connections_that_break() {
    const LINES: u32 = 1_000_000;
    let user = User::logged_in();
    let wait =
        format!("until test -e {}; do sleep 0.02; done; seq {LINES}; seq {LINES} >&2", user.path("go").display());
    let file = user.file("flood.json", &json!({ "name": "flood", "operations": [script("op", &wait)] }).to_string());
    user.prov(&["batch", "run", &file, "--detach"]).out();
    let id = first_task(&user);
    let mut roll = dice(7);
    let proxy = Proxy::before(user.daemon().orchestrator(), move |line| {
        if line.contains("/logs?") { Fate::Cut(400 + roll(1 << 20)) } else { Fate::Pass }
    });
    let mut logs = command(&user, &proxy, &["tasks", "logs", &id, "--follow"]);
    let mut child = logs.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::fs::write(user.path("go"), "").unwrap();
    // Each stream counts up from one; a line is the next of the one or of the other.
    let (mut ahead, mut behind) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let number: u32 = line.unwrap().parse().unwrap();
        if number == ahead + 1 {
            ahead = number;
        } else if number == behind + 1 {
            behind = number;
        } else {
            panic!("{number} after {ahead} and {behind}");
        }
        if behind > ahead {
            std::mem::swap(&mut ahead, &mut behind);
        }
    }
    let told = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert_eq!((child.wait().unwrap().code(), ahead, behind), (Some(0), LINES, LINES), "{told}");
    let resumed = proxy.calls().iter().filter(|call| call.contains("offset=")).count();
    assert!(resumed >= 8, "{resumed} of {:?}", proxy.calls());
}

#[test]
fn a_log_is_followed_through_a_restart_of_the_daemon() {
    let mut user = User::logged_in();
    let (go, on) = (user.path("go"), user.path("on"));
    let wait = |path: &std::path::Path| format!("until test -e {}; do sleep 0.02; done", path.display());
    let text = format!("echo one; {}; seq 2 1000; {}; echo end; printf open", wait(&go), wait(&on));
    let file = user.file("log.json", &json!({ "name": "log", "operations": [script("op", &text)] }).to_string());
    user.prov(&["batch", "run", &file, "--detach"]).out();
    let id = first_task(&user);
    let proxy = Proxy::before(user.daemon().orchestrator(), |_| Fate::Pass);
    let mut logs = command(&user, &proxy, &["tasks", "logs", &id, "-f", "--tail", "5"]);
    logs.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = logs.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "one");
    user.daemon.as_mut().unwrap().kill();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == "the daemon is away; waiting for it"));
    std::fs::write(&go, "").unwrap();
    let daemon = user.daemon.as_mut().unwrap();
    run(daemon.boot());
    proxy.redirect(daemon.orchestrator());
    for number in 2..=1000 {
        assert_eq!(lines.next().unwrap(), number.to_string());
    }
    std::fs::write(&on, "").unwrap();
    assert_eq!(lines.collect::<Vec<_>>(), ["end", "open"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let part = ran(command(&user, &proxy, &["tasks", "logs", &id, "--stream", "stdout", "--offset", "4"]), "");
    assert!(part.out().starts_with("2\n3\n") && part.out().ends_with("1000\nend\nopen"), "{part:?}");
}

#[test]
fn the_daemons_own_log_is_followed_through_a_restart() {
    let mut user = User::logged_in();
    let proxy = Proxy::before(user.daemon().orchestrator(), |_| Fate::Pass);
    user.prov(&["logs", "level", "server=debug"]).out();
    let mut logs = command(&user, &proxy, &["logs", "-f", "--search", "path=/logs/levels"]);
    let mut child = logs.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("method=PUT"));
    user.daemon.as_mut().unwrap().kill();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == "the daemon is away; waiting for it"));
    let daemon = user.daemon.as_mut().unwrap();
    run(daemon.boot());
    proxy.redirect(daemon.orchestrator());
    let mut again = command(&user, &proxy, &["logs", "level", "server=debug"]);
    assert!(again.output().unwrap().status.success());
    let line = lines.next().unwrap_or_else(|| panic!("{:?}", said.collect::<Vec<_>>()));
    assert!(line.contains("method=PUT"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn events_come_once_each_over_connections_that_break() {
    let user = User::logged_in();
    let file = user.file("chain.json", &chain(&user).to_string());
    std::fs::write(user.path("go"), "").unwrap();
    let id = user.prov(&["batch", "run", &file, "--wait", "-o", "name"]).out().trim().to_owned();
    let told = |proxy: &Proxy| {
        let mut events = command(&user, proxy, &["events", "--since", "0", "--work", &id, "-o", "jsonl"]);
        let mut child = events.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut frames = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let frame: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let is_last = frame["data"]["workflow_id"] == id.as_str() && frame["data"]["status"] == "Completed";
            frames.push(frame);
            if is_last {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        frames
    };
    let whole = told(&Proxy::before(user.daemon().orchestrator(), |_| Fate::Pass));
    assert!(whole.len() > 60, "{}", whole.len());
    let mut roll = dice(3);
    let cut = Proxy::before(user.daemon().orchestrator(), move |line| {
        if is_events(line) { Fate::Cut(700 + roll(6000)) } else { Fate::Pass }
    });
    assert_eq!(told(&cut), whole);
    assert!(cut.calls().len() > 3, "{:?}", cut.calls());
}

#[test]
fn top_shows_what_happens_and_gives_the_terminal_back() {
    let user = User::logged_in();
    user.prov(&["top"]).fails(2);
    let file = user.file("chain.json", &chain(&user).to_string());
    user.prov(&["batch", "run", &file, "--detach"]).out();
    let mut terminal = Terminal::sized(&user, &["top"], (24, 100));
    terminal.shows("\u{1b}[?1049h");
    terminal.shows("chain");
    terminal.shows("Running");
    std::fs::write(user.path("go"), "").unwrap();
    terminal.shows("Completed");
    terminal.types("q");
    terminal.shows("\u{1b}[?1049l");
    assert_eq!(terminal.ends().0, 0);
}
