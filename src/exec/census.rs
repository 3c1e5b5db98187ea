//! Which processes belong to a task where it has no control group: its process group and session, and every process that
//! carries its mark in the environment, wherever it moved.
//!
//! The mark is `PROV_TASK_ID`, inherited by whatever the task starts. What clears its environment *and* leaves the session
//! is no longer the task's: so a server of the `local` provider outlives the command that made it.

use std::collections::BTreeSet;
use std::time::Duration;
use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

use crate::model::id::TaskId;

/// The variable that marks a task's processes.
pub const MARK: &str = "PROV_TASK_ID";

/// How often, and after what time, processes that are killed are looked for again.
pub(super) const KILL_ROUNDS: usize = 200;
pub(super) const KILL_INTERVAL: Duration = Duration::from_millis(5);

/// Every living process with what tells whose it is: one look at all of them, for any number of tasks.
#[derive(Debug)]
pub struct Census(Vec<Seen>);

#[derive(Debug)]
struct Seen {
    pid: i32,
    group: i32,
    session: i32,
    mark: Option<TaskId>,
}

impl Census {
    /// Looks at every process; zombies don't count.
    ///
    /// # Errors
    /// When the processes can't be looked at; then nobody knows whether there are any.
    pub fn take() -> io::Result<Self> {
        let mut seen = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            seen.extend(pid.and_then(look));
        }
        Ok(Self(seen))
    }

    /// The processes of the task whose first process is `leader` (0 where that is not known).
    #[must_use]
    pub fn members(&self, task: TaskId, leader: i32) -> Vec<i32> {
        let with_leader = |seen: &Seen| leader > 0 && (seen.group == leader || seen.session == leader);
        let belongs = |seen: &&Seen| seen.mark == Some(task) || with_leader(seen);
        self.0.iter().filter(belongs).map(|seen| seen.pid).collect()
    }
}

fn look(pid: i32) -> Option<Seen> {
    let stat = stat(pid)?;
    if stat.state == 'Z' || stat.state == 'X' {
        return None;
    }
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let value =
        |entry: &[u8]| std::str::from_utf8(entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?).ok()?.parse().ok();
    let mark = environ.split(|byte| *byte == 0).find_map(value);
    Some(Seen { pid, group: stat.group, session: stat.session, mark })
}

/// Kills every process of the task, however they multiply, and answers how many there were. Gives up after a while.
#[must_use]
pub fn kill_all(task: TaskId, leader: i32) -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..KILL_ROUNDS {
        if let Ok(census) = Census::take() {
            let members = census.members(task, leader);
            if members.is_empty() {
                break;
            }
            signal(&members, Signal::KILL);
            killed.extend(members);
        }
        std::thread::sleep(KILL_INTERVAL);
    }
    killed.len()
}

/// A process as `/proc/PID/stat` shows it (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` …
    pub state: char,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it started, in clock ticks since boot: with the pid, it names the process for good.
    pub start: u64,
}

/// The process, if there is one.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; the last parenthesis ends it.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Sends a signal to each process; one that is gone is no error.
pub fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, signal);
    }
}
