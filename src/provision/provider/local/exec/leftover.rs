//! Everything that a command started in a server, found wherever it moved, and ended.
//!
//! Found by its session, its mark in the environment, and its parents. What clears its environment, leaves the session
//! and loses its parent as well is not found: that is a daemon, and ends with the server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::super::procs::Procs;

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(1);
/// How long killing may take; new processes may appear while it goes on.
const KILLED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked again.
const INTERVAL: Duration = Duration::from_millis(5);

/// What one command started.
#[derive(Debug)]
pub struct Family<'p> {
    /// The host's processes.
    pub procs: &'p Procs,
    /// The server's pid namespace.
    pub namespace: Vec<u8>,
    /// The command's first process, leader of its session.
    pub leader: i32,
    /// `NAME=VALUE` in its environment.
    pub mark: String,
}

impl Family<'_> {
    /// Those that still run.
    #[must_use]
    pub fn living(&self) -> BTreeSet<i32> {
        let inside = |pid: i32| self.procs.namespace(pid, "pid").is_some_and(|namespace| namespace == self.namespace);
        let all: Vec<_> = self
            .procs
            .pids()
            .into_iter()
            .filter_map(|pid| Some((pid, self.procs.stat(pid)?)))
            .filter(|(pid, stat)| stat.lives() && inside(*pid))
            .collect();
        let own = |pid: i32, session: i32| session == self.leader || self.procs.carries(pid, &self.mark);
        let mut found: BTreeSet<i32> =
            all.iter().filter(|(pid, stat)| own(*pid, stat.session)).map(|(pid, _)| *pid).collect();
        loop {
            let before = found.len();
            let children = all.iter().filter(|(_, stat)| found.contains(&stat.parent)).map(|(pid, _)| *pid);
            found.extend(children.collect::<Vec<_>>());
            if found.len() == before {
                return found;
            }
        }
    }

    /// Asks all of them to end, then makes them; `meanwhile` runs between looks. Whether none is left.
    pub fn end(&self, mut meanwhile: impl FnMut()) -> bool {
        let begun = Instant::now();
        signal(&self.living(), Signal::TERM);
        loop {
            meanwhile();
            let living = self.living();
            if living.is_empty() {
                return true;
            }
            if begun.elapsed() > GRACE + KILLED_WITHIN {
                return false;
            }
            if begun.elapsed() > GRACE {
                signal(&living, Signal::KILL);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

fn signal(pids: &BTreeSet<i32>, signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // It may have ended since.
        let _ = kill_process(pid, signal);
    }
}
