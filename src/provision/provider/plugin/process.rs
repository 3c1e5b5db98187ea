//! One run of a plugin: a request in, an answer out, in time or not at all.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::de::DeserializeOwned;

use super::wire::{self, Call};
use crate::provision::provider::cloud::CallError;
use crate::provision::secret::is_reserved;

/// Bytes of an answer at most.
const MOST_BYTES: u64 = 16 << 20;
/// Lines that go to the log at most, and characters of each.
const MOST_LINES: (usize, usize) = (1000, 2000);
/// The variable with the task that a process belongs to.
const TASK: &str = "PROV_TASK_ID";
/// How often a program is looked at that has answered and goes on.
const INTERVAL: Duration = Duration::from_millis(10);

/// A plugin's program.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    directory: PathBuf,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin {}", self.path.display())
    }
}

impl Program {
    /// The program at `path`, which works in `directory`.
    #[must_use]
    pub fn at(path: &Path, directory: &Path) -> Self {
        Self { path: path.to_owned(), directory: directory.to_owned() }
    }

    /// Makes a call that takes `limit` at most.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] where it can't be started, what it answers, and otherwise [`CallError::Unknown`].
    pub fn call<T: DeserializeOwned>(&self, call: &Call<'_>, limit: Duration) -> Result<T, CallError> {
        let request = serde_json::to_vec(call).map_err(|error| CallError::Unreachable(format!("{self}: {error}")))?;
        let answer = self.run(request, limit).map_err(|error| self.named(error, call.call))?;
        wire::understand(&answer).map_err(|error| self.named(error, call.call))
    }

    /// The error with whose it is: what the plugin itself says in its own words stays as it is.
    fn named(&self, error: CallError, call: &str) -> CallError {
        match error {
            CallError::Unknown(what) => CallError::Unknown(format!("{self}, asked to {call}: {what}")),
            CallError::Unreachable(what) => CallError::Unreachable(format!("{self}, asked to {call}: {what}")),
            other => other,
        }
    }

    fn run(&self, request: Vec<u8>, limit: Duration) -> Result<Vec<u8>, CallError> {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.directory).process_group(0);
        // What opens an account goes to its provider alone. The task's mark stays: by it a cancelled task is found.
        let names = std::env::vars_os().map(|(name, _)| name);
        names.filter(|name| is_kept_back(&name.to_string_lossy())).for_each(|name| {
            command.env_remove(name);
        });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| CallError::Unreachable(format!("it can't be started: {error}")))?;
        let mut running = Running { child, until: Instant::now() + limit };
        let answer = running.answer(request, &self.path);
        let status = running.end();
        match (answer?, status) {
            (bytes, _) if bytes.len() as u64 > MOST_BYTES => {
                Err(CallError::Unknown(format!("its answer is longer than {} MiB", MOST_BYTES >> 20)))
            }
            (bytes, Some(status)) if status.success() || is_error(&bytes) => Ok(bytes),
            (_, Some(status)) => Err(CallError::Unknown(format!("it failed ({status})"))),
            (_, None) => Err(CallError::Unknown(format!("it took longer than {} s and was killed", limit.as_secs()))),
        }
    }
}

fn is_kept_back(variable: &str) -> bool {
    is_reserved(variable) && variable != TASK
}

/// Whether a program that failed says why: that counts for more than its status.
fn is_error(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|answer| answer.get("error").is_some())
}

/// A run that goes on.
struct Running {
    child: Child,
    until: Instant,
}

impl Running {
    fn answer(&mut self, request: Vec<u8>, path: &Path) -> Result<Vec<u8>, CallError> {
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
        else {
            return Err(CallError::Unreachable("it has no streams".to_owned()));
        };
        // These end with the streams, which what the program left behind may hold open: nobody waits for them.
        std::thread::spawn(move || stdin.write_all(&request));
        let plugin = path.display().to_string();
        std::thread::spawn(move || log(&plugin, stderr));
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(MOST_BYTES + 1).read_to_end(&mut bytes);
            let _ = sender.send(read.map(|_| bytes));
        });
        match receiver.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(CallError::Unknown(format!("its answer can't be read: {error}"))),
            // What the time was spent on is told by the status that there isn't.
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Its status, where it ended by itself in time. Its process group is gone afterwards.
    fn end(mut self) -> Option<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)?;
        let ended = self.has_ended(pid);
        // Before it is asked after, for until then its number is nobody else's. Fails where nothing is left.
        let _ = kill_process_group(pid, Signal::KILL);
        let status = self.child.wait().ok();
        status.filter(|_| ended)
    }

    fn has_ended(&self, pid: Pid) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(pid), look) {
                Ok(Some(_)) => return true,
                Ok(None) | Err(Errno::INTR) if Instant::now() < self.until => std::thread::sleep(INTERVAL),
                _ => return false,
            }
        }
    }
}

fn log(plugin: &str, stderr: impl Read) {
    let mut lines = BufReader::new(stderr.take(MOST_BYTES)).split(b'\n').map_while(io::Result::ok);
    for line in lines.by_ref().take(MOST_LINES.0) {
        let line: String = String::from_utf8_lossy(&line).chars().take(MOST_LINES.1).collect();
        tracing::info!("{plugin}: {line}");
    }
    lines.for_each(drop);
}
