//! Reports of the supervisor with what stands in the log files: a task's output and its last words.

use std::path::Path;

use tokio::sync::mpsc;

use crate::engine::Outcome;
use crate::exec::logs::{self, Stream};
use crate::exec::{Ending, Key, Report};
use crate::model::task::OUTPUT_LIMIT_BYTES;
use crate::model::time::Timestamp;

/// How much of standard error makes an error message.
const LAST_WORDS_BYTES: usize = 2000;

/// What happened to an attempt, ready for the engine and the records.
#[derive(Clone, Debug)]
pub enum Told {
    /// It runs.
    Started {
        /// The attempt.
        key: Key,
        /// Since when.
        at: Timestamp,
    },
    /// It could not be started.
    Refused {
        /// The attempt.
        key: Key,
        /// Whether that may pass.
        transient: bool,
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
    },
    /// It is over.
    Exited {
        /// The attempt.
        key: Key,
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
        /// The exit status, where there is one.
        code: Option<i32>,
        /// What it printed.
        output: Option<String>,
    },
    /// Everything known has been told.
    Known,
}

/// Reads the log files of what has ended, off the actor's thread, and passes everything on in order.
pub(super) async fn relay(
    mut reports: mpsc::UnboundedReceiver<Report>,
    logs: std::path::PathBuf,
    told: mpsc::UnboundedSender<Told>,
) {
    while let Some(report) = reports.recv().await {
        let message = match report {
            Report::Exited { key, at, ending } if ending.stdout_bytes > 0 || ending.stderr_bytes > 0 => {
                let logs = logs.clone();
                let read = tokio::task::spawn_blocking(move || exited(&logs, key, at, &ending)).await;
                let Ok(message) = read else { continue };
                message
            }
            other => tell(&logs, other),
        };
        if told.send(message).is_err() {
            return;
        }
    }
}

fn tell(logs: &Path, report: Report) -> Told {
    match report {
        Report::Started { key, at, .. } => Told::Started { key, at },
        Report::Refused { key, at, error, transient } => Told::Refused { key, transient, at, error },
        Report::Exited { key, at, ending } => exited(logs, key, at, &ending),
        Report::Lost { key, at, what } => {
            Told::Exited { key, at, outcome: Outcome::Lost(what), code: None, output: None }
        }
        Report::Known => Told::Known,
    }
}

fn exited(logs: &Path, key: Key, at: Timestamp, ending: &Ending) -> Told {
    let read = |stream, bytes: u64, limit: usize| {
        let limit = limit.min(usize::try_from(bytes).unwrap_or(usize::MAX));
        let path = logs::path(logs, key.task, stream);
        logs::last(&path, 0, limit).unwrap_or_else(|error| format!("[can't read {}: {error}]", path.display()))
    };
    let output = (ending.stdout_bytes > 0)
        .then(|| read(Stream::Out, ending.stdout_bytes, OUTPUT_LIMIT_BYTES).trim_end().to_owned())
        .or(Some(String::new()));
    let outcome = match (ending.code, ending.signal) {
        (Some(0), _) => Outcome::Success,
        (code, signal) => {
            let words = if ending.stderr_bytes > 0 {
                read(Stream::Err, ending.stderr_bytes, LAST_WORDS_BYTES)
            } else {
                String::new()
            };
            let how = code.map_or_else(
                || format!("ended by {}", signal.map_or("a signal".to_owned(), name)),
                |code| format!("exit status {code}"),
            );
            let words = words.trim();
            let error = if words.is_empty() { how } else { format!("{how}: {words}") };
            if code.is_some() { Outcome::Failure(error) } else { Outcome::Signalled(error) }
        }
    };
    Told::Exited { key, at, outcome, code: ending.code, output }
}

fn name(signal: i32) -> String {
    match signal {
        libc::SIGTERM => "SIGTERM".to_owned(),
        libc::SIGKILL => "SIGKILL".to_owned(),
        libc::SIGINT => "SIGINT".to_owned(),
        libc::SIGSEGV => "SIGSEGV".to_owned(),
        libc::SIGABRT => "SIGABRT".to_owned(),
        libc::SIGPIPE => "SIGPIPE".to_owned(),
        libc::SIGHUP => "SIGHUP".to_owned(),
        other => format!("signal {other}"),
    }
}
