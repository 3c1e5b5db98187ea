//! What the supervisor does with attempts: begins them, watches their output, ends them, sees them end.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::Signal;

use super::{FIRST_STREAM, READS_A_TURN, Supervisor};
use crate::exec::cgroup::Group;
use crate::exec::child::{Child, EndRequest, is_transient};
use crate::exec::journal::Entry;
use crate::exec::reaper;
use crate::exec::starter::{Job, Started};
use crate::exec::wire::{Ending, Key, Report, Spawn};
use crate::model::time::Timestamp;

/// An attempt on its way to a process, and what happened to it on the way.
pub(super) struct Starting {
    pub(super) job: Arc<Job>,
    /// Somebody asked for its end, with this patience.
    end: Option<Duration>,
    /// Its process has ended already.
    exit: Option<(Timestamp, Ending)>,
}

impl Supervisor {
    /// Begins to start what was not begun before.
    pub(super) fn start(&mut self, spawns: Vec<Spawn>) {
        let at = self.clock.now();
        let mut jobs = Vec::new();
        for spawn in spawns {
            let key = spawn.key;
            if self.pids.contains_key(&key) || self.results.contains_key(&key) || self.starting.contains_key(&key) {
                continue;
            }
            let group = self.groups.as_mut().and_then(|groups| groups.take().ok());
            self.journal.note(&Entry::Begin { key, at, group: group.as_ref().map(|group| group.number) });
            let job = Arc::new(Job { spawn, group, at, pid: AtomicI32::new(0) });
            self.starting.insert(key, Starting { job: Arc::clone(&job), end: None, exit: None });
            jobs.push(job);
        }
        if jobs.is_empty() {
            return;
        }
        // What is about to start must be written down before it can start.
        match self.journal.write() {
            Ok(()) => jobs.into_iter().for_each(|job| self.starters.start(job)),
            Err(error) => jobs.iter().for_each(|job| self.refuse(job, &error)),
        }
    }

    /// Takes what the starters have started.
    pub(super) fn take_started(&mut self) {
        let all: Vec<Started> = self.starters.started().collect();
        for (job, started) in all {
            match started.and_then(|child| self.watched(child)) {
                Ok(child) => self.begun(child),
                Err(error) => self.refuse(&job, &error),
            }
        }
    }

    /// The process runs, or has run.
    fn begun(&mut self, child: Child) {
        let (key, pid) = (child.key, child.pid);
        self.journal.note(&Entry::Started { key, pid, start: child.start });
        self.tell(&child.started());
        self.pids.insert(key, pid);
        self.children.insert(pid, child);
        let Some(Starting { end, exit, .. }) = self.starting.remove(&key) else { return };
        if let Some(grace) = end {
            self.end(key, grace);
        }
        if let Some((at, ending)) = exit {
            self.exited(pid, at, ending);
        }
    }

    fn refuse(&mut self, job: &Job, error: &io::Error) {
        let Spawn { key, program, cwd, .. } = &job.spawn;
        self.starting.remove(key);
        self.journal.note(&Entry::Refused { key: *key });
        let what = format!("can't start {program:?} in {cwd:?}: {error}");
        self.tell(&Report::Refused { key: *key, at: job.at, error: what, transient: is_transient(error) });
        self.give_back(job.group.clone());
    }

    fn give_back(&mut self, group: Option<Group>) {
        if let Some((groups, group)) = self.groups.as_mut().zip(group) {
            groups.give_back(group);
        }
    }

    /// The child with its streams looked at; one that can't be watched must not run.
    fn watched(&self, mut child: Child) -> io::Result<Child> {
        match self.watch(&child) {
            Ok(()) => Ok(child),
            Err(error) => {
                child.signal(Signal::KILL, &mut None);
                Err(error)
            }
        }
    }

    fn watch(&self, child: &Child) -> io::Result<()> {
        let first = FIRST_STREAM + 2 * u64::from(child.pid.unsigned_abs());
        for (pipe, token) in [(&child.out, first), (&child.err, first + 1)] {
            if let Some(pipe) = pipe {
                epoll::add(&self.epoll, pipe.fd(), epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
            }
        }
        Ok(())
    }

    /// A stream has something to read, or has ended.
    pub(super) fn stream(&mut self, token: u64) {
        let Ok(pid) = i32::try_from((token - FIRST_STREAM) / 2) else { return };
        let Some(child) = self.children.get_mut(&pid) else { return };
        let pipe = if token.is_multiple_of(2) { &mut child.out } else { &mut child.err };
        if let Some(open) = pipe
            && !open.pump(&mut self.buffer, READS_A_TURN)
        {
            // Ended: the pipe stays for its count, but is looked at no more.
            let _ = epoll::delete(&self.epoll, open.fd());
        }
    }

    pub(super) fn end(&mut self, key: Key, grace: Duration) {
        if let Some(starting) = self.starting.get_mut(&key) {
            starting.end = Some(grace);
            return;
        }
        let Some(child) = self.pids.get(&key).and_then(|pid| self.children.get_mut(pid)) else { return };
        if child.ending.is_some() {
            return;
        }
        child.ending = Some(EndRequest { deadline: Instant::now() + grace, signalled: BTreeSet::new() });
        child.signal(Signal::TERM, &mut self.census);
    }

    /// Takes the exit status of every process that has ended, ours and what ours left behind.
    pub(super) fn reap(&mut self) {
        let mut drained = [0u8; 512];
        while rustix::io::read(&self.signals, &mut drained).is_ok_and(|count| count > 0) {}
        while let Some((pid, ending)) = reaper::wait_any() {
            let at = self.clock.now();
            if self.children.contains_key(&pid) {
                self.exited(pid, at, ending);
            } else if let Some(starting) = self.starting.values_mut().find(|starting| starting.job.pid() == pid) {
                starting.exit = Some((at, ending));
            }
        }
    }

    /// The first process of an attempt has ended.
    fn exited(&mut self, pid: i32, at: Timestamp, mut ending: Ending) {
        let Some(child) = self.children.get_mut(&pid) else { return };
        // Closing them is not enough: a process that is being started has them too, until its program is loaded.
        for pipe in [&child.out, &child.err].into_iter().flatten() {
            let _ = epoll::delete(&self.epoll, pipe.fd());
        }
        (ending.stdout_bytes, ending.stderr_bytes) = child.close_streams(&mut self.buffer);
        child.exit = Some((at, ending));
        if child.ending.is_none() {
            self.report(pid);
        }
    }

    /// Processes on which the end was asked are looked at until nothing of them is left.
    pub(super) fn end_what_lingers(&mut self) {
        let now = Instant::now();
        let mut over = Vec::new();
        self.census = None;
        for child in self.children.values_mut() {
            let Some(ending) = &child.ending else { continue };
            let is_left = if now >= ending.deadline {
                child.signal(Signal::KILL, &mut self.census)
            } else {
                child.members(&mut self.census).map_or(true, |members| !members.is_empty())
            };
            if !is_left && child.exit.is_some() {
                over.push(child.pid);
            }
        }
        for pid in over {
            self.report(pid);
        }
    }

    /// The attempt is over: writes it down, keeps it until the daemon has it, says so.
    fn report(&mut self, pid: i32) {
        let Some(child) = self.children.remove(&pid) else { return };
        let (at, mut ending) = child.exit.clone().unwrap_or((self.clock.now(), Ending::default()));
        ending.ended =
            child.ending.as_ref().map_or(0, |ending| u32::try_from(ending.signalled.len()).unwrap_or(u32::MAX));
        self.pids.remove(&child.key);
        self.journal.note(&Entry::Exited { key: child.key, at, ending: ending.clone() });
        let report = Report::Exited { key: child.key, at, ending };
        self.tell(&report);
        self.results.insert(child.key, vec![child.started(), report]);
        self.give_back(child.group);
    }
}
