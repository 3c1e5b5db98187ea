//! Where the execution plane says what it is doing.
//!
//! People read lines on standard error; the daemon, where one started this process, reads JSON lines from the file
//! named by `PROV_EVENTS`. Knows nothing of what is being done. Losing a report never fails the work.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The environment variable that names the file for events.
pub const EVENTS_VARIABLE: &str = "PROV_EVENTS";

/// The only part there is.
const WHOLE: (usize, usize) = (0, 1);

/// Says what is going on. Its clones are one: threads share it, and so does whoever outlives the call that brought it.
#[derive(Clone, Debug)]
pub struct Reporter {
    events: Option<Arc<Mutex<File>>>,
    quiet: bool,
    /// Which of how many parts of the whole is reported of.
    part: Arc<Mutex<(usize, usize)>>,
}

/// A line of the events file.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_steps: Option<usize>,
    step: &'a str,
}

/// How far a whole is whose parts are done by several threads, each of which tells when it has done one.
#[derive(Debug)]
pub struct Steps {
    done: AtomicUsize,
    total: usize,
}

impl Steps {
    /// Nothing of `total` is done.
    #[must_use]
    pub const fn of(total: usize) -> Self {
        Self { done: AtomicUsize::new(0), total }
    }

    /// One more is done; tells the daemon.
    pub fn done(&self, reporter: &Reporter, step: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        reporter.advance(done, self.total, step);
    }
}

impl Reporter {
    /// The reporter of this process: events go where `PROV_EVENTS` says, lines to standard error unless `quiet`.
    #[must_use]
    pub fn from_env(quiet: bool) -> Self {
        let path = std::env::var_os(EVENTS_VARIABLE).filter(|path| !path.is_empty());
        Self::new(path.as_deref().map(Path::new), quiet)
    }

    /// A reporter that appends its events to `events`; a file that can't be opened is done without.
    #[must_use]
    pub fn new(events: Option<&Path>, quiet: bool) -> Self {
        let open = |path: &Path| match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Some(Arc::new(Mutex::new(file))),
            Err(error) => {
                // Not for people: the first words of this process may become a task's error.
                tracing::debug!("can't report progress to {}: {error}", path.display());
                None
            }
        };
        Self { events: events.and_then(open), quiet, part: Arc::new(Mutex::new(WHOLE)) }
    }

    /// Says nothing to anybody.
    #[must_use]
    pub fn silent() -> Self {
        Self { events: None, quiet: true, part: Arc::new(Mutex::new(WHOLE)) }
    }

    /// What is reported from now on is one part of a whole of so many, counted from 0: how far each part is says how far the
    /// whole is.
    pub fn begin_part(&self, part: usize, of: usize) {
        *self.part.lock().unwrap_or_else(PoisonError::into_inner) = (part, of.max(1));
    }

    /// Tells people.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Tells people and the daemon what is being done now.
    pub fn step(&self, step: &str) {
        self.say(step);
        self.event(&Event { progress: None, completed_steps: None, total_steps: None, step });
    }

    /// Tells people what is done now, and the daemon how far the whole is: `done` of `total`.
    pub fn progress(&self, done: usize, total: usize, step: &str) {
        self.say(step);
        self.advance(done, total, step);
    }

    /// As [`Reporter::progress`], for what people needn't hear of.
    pub fn advance(&self, done: usize, total: usize, step: &str) {
        let (part, of) = *self.part.lock().unwrap_or_else(PoisonError::into_inner);
        let done = done.min(total);
        let share = if total == 0 { 1.0 } else { ratio(done, total) };
        let progress = Some((ratio(part, 1) + share) / ratio(of, 1));
        // Of a part they would say nothing of the whole.
        let (completed_steps, total_steps) = if of == 1 { (Some(done), Some(total)) } else { (None, None) };
        self.event(&Event { progress, completed_steps, total_steps, step });
    }

    fn event(&self, event: &Event<'_>) {
        let Some(events) = &self.events else { return };
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        // One write a line: the reader never sees half of one. A full disk must not end the work.
        let _ = events.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    }
}

/// A count of servers is far below the 2^52 that a double holds exactly.
#[allow(clippy::cast_precision_loss)]
fn ratio(count: usize, total: usize) -> f64 {
    count as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_of_json_appended_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        std::fs::write(&path, "{\"step\":\"before\"}\n").unwrap();
        let reporter = Reporter::new(Some(&path), true);
        reporter.step("server \"web\"\nready");
        reporter.progress(1, 4, "made web-1");
        reporter.progress(0, 0, "nothing to do");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], serde_json::json!({"step": "server \"web\"\nready"}));
        assert_eq!(
            lines[2],
            serde_json::json!({"progress": 0.25, "completed_steps": 1, "total_steps": 4, "step": "made web-1"})
        );
        assert_eq!(lines[3]["progress"], 1.0);
    }

    #[test]
    fn parts_of_a_whole_never_go_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let reporter = Reporter::new(Some(&path), true);
        for part in 0..2 {
            reporter.begin_part(part, 2);
            let steps = Steps::of(2);
            steps.done(&reporter, "one");
            steps.done(&reporter, "two");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let progress: Vec<f64> = lines.map(|line| line["progress"].as_f64().unwrap()).collect();
        assert_eq!(progress, [0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_done_without() {
        let reporter = Reporter::new(Some(Path::new("/nonexistent/events")), true);
        reporter.progress(1, 2, "still fine");
    }
}
