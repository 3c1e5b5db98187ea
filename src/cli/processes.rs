//! The host's processes as `/proc` shows them (proc(5)), for commands that must find what is left of something.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process that lives; one that has ended and waits to be noticed has neither command line nor environment.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: i32,
    /// The process that it is a child of.
    pub(super) parent: i32,
    /// Its command line, with spaces between the words.
    pub(super) line: String,
    environment: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let text = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let stat = text("stat");
        // The name stands in parentheses and may hold anything; the last parenthesis ends it.
        let parent = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(Self { pid, parent, line: text("cmdline").replace('\0', " "), environment: text("environ") })
    }

    /// Whether its command line or its environment names this.
    pub(super) fn names(&self, what: &str) -> bool {
        self.line.contains(what) || self.environment.contains(what)
    }

    /// What a variable of its environment says.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }

    /// Ends it at once; one that has ended meanwhile is no error.
    pub(super) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Every process that may be looked at, but for this one.
pub(super) fn others() -> impl Iterator<Item = Process> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(move |pid| *pid != own).filter_map(Process::read)
}
