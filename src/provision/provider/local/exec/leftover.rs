//! Everything that a command started in a server, found wherever it moved, and ended.
//!
//! Found by its control group where it has one; else by its session, its mark in the environment, and its parents, and
//! then what clears its environment, leaves the session and loses its parent as well is not found: it ends with the
//! server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::super::procs::{Procs, Stat};
use super::group::Group;
use super::warden::Charge;

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(1);
/// How long killing may take; new processes may appear while it goes on.
const KILLED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked again.
const INTERVAL: Duration = Duration::from_millis(5);

/// What one command started.
#[derive(Debug)]
pub struct Family<'a> {
    /// The host's processes.
    pub procs: &'a Procs,
    /// The command's first process, leader of its session, if it came to that.
    pub leader: Option<i32>,
    /// What the command is known by.
    pub charge: &'a Charge,
}

impl Family<'_> {
    /// Those that still run.
    #[must_use]
    pub fn living(&self) -> BTreeSet<i32> {
        let Charge { namespace, mark, group } = self.charge;
        let inside = |pid: i32| self.procs.namespace(pid, "pid").is_some_and(|other| other == *namespace);
        let all: Vec<_> = self
            .procs
            .pids()
            .into_iter()
            .filter_map(|pid| Some((pid, self.procs.stat(pid)?)))
            .filter(|(_, stat)| stat.lives())
            .collect();
        let members: BTreeSet<i32> = group.iter().flat_map(Group::members).collect();
        let own = |pid: i32, session: i32| Some(session) == self.leader || self.procs.carries(pid, mark);
        let is_own = |(pid, stat): &(i32, Stat)| members.contains(pid) || (inside(*pid) && own(*pid, stat.session));
        let mut found: BTreeSet<i32> = all.iter().filter(|one| is_own(one)).map(|(pid, _)| *pid).collect();
        loop {
            let before = found.len();
            let children = all.iter().filter(|(pid, stat)| found.contains(&stat.parent) && inside(*pid));
            found.extend(children.map(|(pid, _)| *pid).collect::<Vec<_>>());
            if found.len() == before {
                return found;
            }
        }
    }

    /// Asks all of them to end, then makes them. Whether none is left that can be found.
    #[must_use]
    pub fn end(&self) -> bool {
        let begun = Instant::now();
        signal(&self.living(), Signal::TERM);
        loop {
            let living = self.living();
            if living.is_empty() {
                return true;
            }
            if begun.elapsed() > GRACE + KILLED_WITHIN {
                return false;
            }
            if begun.elapsed() > GRACE {
                self.charge.group.iter().for_each(Group::kill);
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
