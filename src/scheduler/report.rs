//! Reports of the supervisor with what stands in the log files: a task's output and its last words.

use std::path::Path;

use tokio::sync::mpsc;

use crate::engine::Outcome;
use crate::exec::logs::{self, Stream};
use crate::exec::{Ending, Heard, Key, Report};
use crate::model::task::OUTPUT_LIMIT_BYTES;
use crate::model::time::Timestamp;

/// How much of standard error makes an error message.
const LAST_WORDS_BYTES: usize = 2000;

/// What the supervisor told, ready for the engine and the records.
#[derive(Clone, Debug)]
pub enum Told {
    /// A supervisor is there, the first one or another one.
    Connected {
        /// What requests to it are marked with.
        connection: u64,
        /// All it knows, in times of its clock; an attempt that isn't among it was never begun.
        known: Vec<Happening>,
        /// What its clock shows.
        now: Timestamp,
    },
    /// Something happened since.
    Happened(Happening),
}

/// What happened to an attempt.
#[derive(Clone, Debug)]
pub enum Happening {
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
        /// Processes that were ended with it on request.
        ended: u32,
    },
}

impl Happening {
    /// The attempt it happened to.
    #[must_use]
    pub const fn key(&self) -> Key {
        match self {
            Self::Started { key, .. } | Self::Refused { key, .. } | Self::Exited { key, .. } => *key,
        }
    }

    /// When it happened.
    #[must_use]
    pub const fn when(&self) -> Timestamp {
        match self {
            Self::Started { at, .. } | Self::Refused { at, .. } | Self::Exited { at, .. } => *at,
        }
    }

    /// The same at another time, such as that of another clock.
    #[must_use]
    pub fn moved(mut self, to: impl FnOnce(Timestamp) -> Timestamp) -> Self {
        let (Self::Started { at, .. } | Self::Refused { at, .. } | Self::Exited { at, .. }) = &mut self;
        *at = to(*at);
        self
    }
}

/// Reads the log files of what has ended, off the actor's thread, and passes everything on in order.
pub(super) async fn relay(
    mut heard: mpsc::UnboundedReceiver<Heard>,
    logs: std::path::PathBuf,
    told: mpsc::UnboundedSender<Told>,
) {
    while let Some(heard) = heard.recv().await {
        let message = if reads(&heard) {
            let logs = logs.clone();
            tokio::task::spawn_blocking(move || tell(&logs, heard)).await.ok().flatten()
        } else {
            tell(&logs, heard)
        };
        let Some(message) = message else { continue };
        if told.send(message).is_err() {
            return;
        }
    }
}

/// Whether there are log files to read.
fn reads(heard: &Heard) -> bool {
    match heard {
        Heard::Said(Report::Exited { ending, .. }) => ending.stdout_bytes > 0 || ending.stderr_bytes > 0,
        Heard::Said(_) => false,
        Heard::Connected { known, .. } => !known.is_empty(),
    }
}

fn tell(logs: &Path, heard: Heard) -> Option<Told> {
    match heard {
        Heard::Said(report) => happening(logs, report).map(Told::Happened),
        Heard::Connected { connection, known, now } => {
            let known = known.into_iter().filter_map(|report| happening(logs, report)).collect();
            Some(Told::Connected { connection, known, now })
        }
    }
}

fn happening(logs: &Path, report: Report) -> Option<Happening> {
    match report {
        Report::Started { key, at, .. } => Some(Happening::Started { key, at }),
        Report::Refused { key, at, error, transient } => Some(Happening::Refused { key, transient, at, error }),
        Report::Exited { key, at, ending } => Some(exited(logs, key, at, &ending)),
        Report::Lost { key, at, what } => {
            Some(Happening::Exited { key, at, outcome: Outcome::Lost(what), code: None, output: None, ended: 0 })
        }
        Report::Known { .. } => None,
    }
}

fn exited(logs: &Path, key: Key, at: Timestamp, ending: &Ending) -> Happening {
    let read = |stream, bytes: u64, limit: usize| {
        let limit = limit.min(usize::try_from(bytes).unwrap_or(usize::MAX));
        let path = logs::path(logs, key.task, stream);
        logs::last(&path, 0, limit).unwrap_or_else(|error| format!("[can't read {}: {error}]", path.display()))
    };
    let output = (ending.stdout_bytes > 0)
        .then(|| read(Stream::Out, ending.stdout_bytes, OUTPUT_LIMIT_BYTES).trim_end().to_owned())
        .or(Some(String::new()));
    let outcome = match (ending.code, ending.signal) {
        (Some(0), _) if ending.ended == 0 => Outcome::Success,
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
            if ending.ended > 0 { Outcome::Ended(error) } else { Outcome::Failure(error) }
        }
    };
    Happening::Exited { key, at, outcome, code: ending.code, output, ended: ending.ended }
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
