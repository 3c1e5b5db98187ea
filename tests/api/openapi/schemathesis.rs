//! Requests that nobody thought of: schemathesis makes them up from the documents, good ones and bad ones, and looks whether
//! each answer is one that the document names. It comes from PyPI into the build directory; where that can't be had the
//! test says so.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::{Daemon, run};

/// The release that is used. Another one may look for other things.
const RELEASE: &str = "schemathesis==4.32.5";

/// What ends the session that asks, or takes from its user what they need; each API's other operations come first.
const HARMFUL: &[&str] = &[
    "auth_password",
    "mfa_disable",
    "mfa_enroll_totp",
    "mfa_verify",
    "session_delete",
    "token_delete",
    "user_delete",
    "user_update",
];

/// What a schema can't say of a good request: a graph without cycles, text that is a policy, a password that is no common
/// one, a signature, a URL that may be reached, a span of time that begins before it ends, a token in
/// the query with the handshake of a WebSocket alone.
const MORE_THAN_A_SHAPE: &[&str] = &[
    "auth_password",
    "audit_verify",
    "batch_execute",
    "batch_plan",
    "batch_validate",
    "event_socket",
    "log_stream",
    "metrics",
    "policy_create",
    "policy_evaluate",
    "policy_update",
    "policy_validate",
    "statistics",
    "user_create",
    "user_update",
    "webhook_create",
    "webhook_redeliver",
    "webhook_update",
];

/// The program, where it can be had.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RELEASE.replace("==", "-"));
    let program = home.join("bin/schemathesis");
    let works = || {
        let version = Command::new(&program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if works() {
        return Some(program);
    }
    let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let pip = ["install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15", RELEASE];
    let is_there = done(Command::new("python3").args(["-m", "venv"]).arg(&home))
        && done(Command::new(home.join("bin/pip")).args(pip))
        && works();
    is_there.then_some(program)
}

/// Lets it loose on some operations of an API.
fn attack(daemon: &Daemon, base: &str, operations: impl Fn(&str) -> bool, ids: &[&str]) {
    let Some(program) = program() else {
        return println!("skipped: {RELEASE} can't be installed here; it takes python3 with venv, and PyPI");
    };
    let mut config = format!(
        "seed = 1\nrequest-timeout = 20\ncontinue-on-failure = true\nwarnings = false\n\
         [headers]\nAuthorization = \"Bearer {}\"\n",
        daemon.token
    );
    // Nothing runs, so that a log that is followed never ends.
    for id in ["task_logs", "log_stream"] {
        let _ =
            write!(config, "[[operations]]\ninclude-operation-id = \"{id}\"\nparameters = {{ follow = \"false\" }}\n");
    }
    for id in MORE_THAN_A_SHAPE {
        let _ = write!(
            config,
            "[[operations]]\ninclude-operation-id = \"{id}\"\nchecks.positive_data_acceptance.enabled = false\n"
        );
    }
    let path = daemon.path("schemathesis.toml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.current_dir(daemon.dir.path()).arg("--config-file").arg(&path).args(["--no-color", "run"]);
    command.arg(format!("{base}/openapi.json"));
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10"]);
    for id in ids.iter().filter(|id| operations(id)) {
        command.args(["--include-operation-id", id]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", daemon.log());
    println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
}

/// A daemon that accepts work and runs none of it.
async fn idle() -> Daemon {
    let mut daemon = Daemon::new(&["--max-parallel", "0"]);
    daemon.configure("requests_per_minute = 1000000\nlogin_failures_per_minute = 1000000");
    daemon.boot().await;
    daemon
}

fn ids(api: super::Api) -> Vec<&'static str> {
    super::TABLE.iter().filter(|row| row.api == api).map(|row| row.id).collect()
}

#[test]
fn the_orchestrator_answers_whatever_is_asked_as_it_is_described() {
    run(async {
        let daemon = idle().await;
        // A stream of events has no end.
        attack(&daemon, daemon.orchestrator(), |id| id != "event_stream", &ids(super::Api::Orchestrator));
    });
}

#[test]
fn the_control_center_answers_whatever_is_asked_as_it_is_described() {
    run(async {
        let mut daemon = idle().await;
        let ids = ids(super::Api::ControlCenter);
        let harmless = |id: &str| id != "auth_logout" && !HARMFUL.contains(&id);
        attack(&daemon, &daemon.control_center, harmless, &ids);
        daemon.terminate();
        let daemon = idle().await;
        attack(&daemon, &daemon.control_center, |id| HARMFUL.contains(&id), &ids);
        attack(&daemon, &daemon.control_center, |id| id == "auth_logout", &ids);
    });
}
