//! A daemon of a command's own: a temporary directory, free ports, and nothing left of it afterwards.
//!
//! It is this very program, with a configuration of its own, so that neither the user's files nor their environment
//! change what it does.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use super::connect::failure;
use super::error::{CliError, Kind};
use super::processes::{self, Process};
use crate::api::auth::{LoginRequest, TokenPair};
use crate::client::{Client, Servers, Trust};

/// How long the daemon may take to start or to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of its log that are shown when it doesn't start.
const LAST_LINES: usize = 12;
/// Its settings: its only user asks as often as it likes.
const SETTINGS: &str = "[daemon]\nrequests_per_minute = 1000000\n";
/// What it takes from the environment all the same: the log's level, and the mark of the task that runs all this, if any.
const KEPT: &[&str] = &["PROV_LOG", "PROV_TASK_ID"];

/// A directory with a workspace, and the daemon that works in it.
#[derive(Debug)]
pub(super) struct OwnDaemon {
    directory: PathBuf,
    process: Option<Child>,
}

/// What the daemon writes when it is ready.
#[derive(Deserialize)]
struct Ready {
    orchestrator: String,
    control_center: String,
    pid: u32,
}

impl OwnDaemon {
    /// A directory that says what it is for; nothing runs in it yet.
    pub(super) fn set_up(purpose: &str) -> Result<Self, CliError> {
        let directory = std::env::temp_dir().join(format!("prov-{purpose}-{}", uuid::Uuid::now_v7().simple()));
        let made = fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .and_then(|()| fs::create_dir(directory.join("ws")))
            .and_then(|()| fs::write(directory.join("daemon.toml"), SETTINGS));
        made.map_err(|error| failed(&format!("can't make {}", directory.display()), &error))?;
        let directory =
            directory.canonicalize().map_err(|error| failed("can't find the directory just made", &error))?;
        Ok(Self { directory, process: None })
    }

    /// Where everything of it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The daemon's workspace.
    pub(super) fn workspace(&self) -> PathBuf {
        self.directory.join("ws")
    }

    /// The end of what the daemon, in all its lives, wrote on standard error.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("daemon.log")
    }

    fn ready_path(&self) -> PathBuf {
        self.directory.join("ready.json")
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts the daemon and waits until both of its APIs answer.
    pub(super) async fn start(&mut self) -> Result<Servers, CliError> {
        self.launch()?;
        self.ready().await
    }

    /// Starts the daemon's process.
    pub(super) fn launch(&mut self) -> Result<(), CliError> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.map_err(|error| failed("can't write the daemon's log", &error))?;
        let _ = fs::remove_file(self.ready_path());
        // The running program itself, even where its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("prov");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PROV_") && !KEPT.contains(&name)) {
                command.env_remove(name);
            }
        }
        let own = |option: &str, path: PathBuf| [option.into(), path.into_os_string()];
        command
            .arg("serve")
            .args(own("--config", self.directory.join("daemon.toml")))
            .args(own("--workspace", self.workspace()))
            .args(own("--data-dir", self.data()))
            .args(own("--ready-file", self.ready_path()))
            .args(["--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--drain-seconds", "5"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(command.spawn().map_err(|error| failed("can't start the daemon", &error))?);
        Ok(())
    }

    /// Waits until both APIs of the daemon just started answer.
    pub(super) async fn ready(&mut self) -> Result<Servers, CliError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready: Option<Ready> =
                fs::read(self.ready_path()).ok().and_then(|text| serde_json::from_slice(&text).ok());
            // A daemon that was killed as it became ready may have left its file to the next.
            if let Some(ready) = ready.filter(|ready| self.process.as_ref().is_some_and(|own| own.id() == ready.pid)) {
                let (orchestrator, control_center) = (ready.orchestrator, ready.control_center);
                return Ok(Servers { orchestrator, control_center, trust: Trust::default() });
            }
            let is_over = self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            if is_over || Instant::now() > deadline {
                let mut error = CliError::new(Kind::Failure, "the daemon did not start");
                error.causes.extend(Some(self.last_words()).filter(|text| !text.is_empty()));
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Logs in as the daemon's administrator.
    pub(super) async fn log_in(&self, client: &Client) -> Result<TokenPair, CliError> {
        let password = fs::read_to_string(self.data().join("admin-password"));
        let password =
            password.map_err(|error| failed("can't read the administrator's password", &error))?.trim().to_owned();
        let request = LoginRequest { username: "admin".to_owned(), password, mfa_code: None };
        client.auth_login(&request).await.map_err(|error| failure(&error))
    }

    /// The daemon's process, where it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// SIGKILL to the daemon alone; whether there was one.
    pub(super) fn kill(&mut self) -> bool {
        let Some(mut process) = self.process.take() else { return false };
        let _ = process.kill();
        let _ = process.wait();
        true
    }

    /// Tells the daemon to end and waits; one that doesn't is killed.
    pub(super) fn stop(&mut self) -> Result<(), CliError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match process.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                Ok(None) => {
                    let _ = process.kill();
                    let _ = process.wait();
                    return Err(CliError::new(Kind::Failure, "the daemon did not end when it was told to"));
                }
                Err(error) => return Err(failed("can't wait for the daemon", &error)),
            }
        }
    }

    /// The supervisors of this daemon.
    pub(super) fn supervisors(&self) -> Vec<Process> {
        let line = format!("internal supervisor {}", self.data().display());
        processes::others().filter(|process| process.line.contains(&line)).collect()
    }

    /// The processes of this daemon's tasks.
    pub(super) fn task_processes(&self) -> Vec<Process> {
        let workspace = self.workspace().display().to_string();
        processes::others().filter(|process| process.variable("PROV_WORKSPACE") == Some(&workspace)).collect()
    }

    /// Processes that name the directory, in words.
    pub(super) fn processes_left(&self) -> Vec<String> {
        let name = self.directory.display().to_string();
        let left = processes::others().filter(|process| process.names(&name));
        left.map(|process| format!("process {} ({})", process.pid, process.line.trim())).collect()
    }

    /// Ends daemon, supervisors and tasks at once, however they multiply.
    pub(super) fn end_everything(&mut self) {
        self.kill();
        for _ in 0..100 {
            let mut left = self.supervisors();
            left.extend(self.task_processes());
            if left.is_empty() {
                return;
            }
            left.iter().for_each(Process::kill);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Removes the directory.
    pub(super) fn remove(&self) -> Result<(), CliError> {
        fs::remove_dir_all(&self.directory)
            .map_err(|error| failed(&format!("can't remove {}", self.directory.display()), &error))
    }
}

impl Drop for OwnDaemon {
    /// What was neither stopped nor ended must not outlive the command.
    fn drop(&mut self) {
        if self.process.is_some() {
            self.end_everything();
        }
    }
}

/// Somebody wants the command to end before it is through: Ctrl-C, SIGTERM, or the terminal is gone.
pub(super) async fn interruption() -> CliError {
    let said = "interrupted; everything is being deleted";
    let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        let _ = tokio::signal::ctrl_c().await;
        return CliError::new(Kind::Interrupted, said);
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => CliError::new(Kind::Interrupted, said),
        _ = terminate.recv() => CliError::new(Kind::Terminated, said),
        _ = hangup.recv() => CliError::new(Kind::Terminated, said),
    }
}

/// An error of the operating system, as the command's.
pub(super) fn failed(what: &str, error: &std::io::Error) -> CliError {
    CliError::new(Kind::Failure, format!("{what}: {error}"))
}
