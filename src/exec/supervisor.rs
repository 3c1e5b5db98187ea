//! The supervisor process: one thread, one epoll, no async runtime, so that it stays small.
//!
//! It outlives the daemon. Without a daemon it keeps its children and their results; when nothing runs and nobody has
//! connected for [`IDLE`], it exits. It is the subreaper of everything its children leave behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::Signal;

use super::census::Census;
use super::cgroup::{Group, Groups};
use super::child::{self, Child, EndRequest, Place, is_transient};
use super::clock::Clock;
use super::inherit::inherit;
use super::journal::{self, Entry, Journal};
use super::process::Environment;
use super::wire::{Ending, Key, Report, Request, Spawn};
use super::{census, executor, lean, reaper};
use crate::model::time::Timestamp;

/// How long a supervisor without work waits for a daemon.
const IDLE: Duration = Duration::from_secs(20);
/// How long the last supervisor is waited for that has closed its socket.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(5);
/// How often processes that are being ended are looked at.
const ENDING_TICK: Duration = Duration::from_millis(20);
/// The journal is started over above this size, with what of it is still needed.
const JOURNAL_BYTES: u64 = 1024 * 1024;
/// Reads a turn for one stream, so that a process that floods its output holds up nobody else.
const READS_A_TURN: usize = 4;

const LISTENER: u64 = 0;
const DAEMON: u64 = 1;
const SIGNALS: u64 = 2;
/// Streams have `FIRST_STREAM + 2 × pid`, plus one for standard error.
const FIRST_STREAM: u64 = 16;

struct Supervisor {
    epoll: OwnedFd,
    signals: OwnedFd,
    listener: UnixListener,
    daemon: Option<Daemon>,
    directory: PathBuf,
    logs: PathBuf,
    log_limit: u64,
    journal: Journal,
    /// The journal is started over once it is longer.
    rewrite_above: u64,
    children: HashMap<i32, Child>,
    pids: HashMap<Key, i32>,
    /// Results that the daemon has not yet said it has.
    results: BTreeMap<Key, Vec<Report>>,
    /// Where control groups are made, where they can be.
    groups: Option<Groups>,
    /// What tasks inherit.
    environment: Environment,
    /// Who belongs to whom, as of this turn.
    census: Option<Census>,
    retiring: bool,
    alone_since: Instant,
    clock: Clock,
    buffer: Vec<u8>,
}

/// The connected daemon.
struct Daemon {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Runs the supervisor until it is told to retire or has nothing to do.
///
/// `directory` holds the socket and the journal, `logs` the output of tasks, of which each stream keeps `log_limit`
/// bytes.
///
/// # Errors
/// When it can't set itself up.
pub fn run(directory: &Path, logs: &Path, log_limit: u64) -> io::Result<()> {
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let signals = reaper::signal_fd()?;
    let mut groups = Groups::find(directory);
    let (journal, results) = take_over(directory, groups.as_ref())?;
    // What an attempt that was over left running is nobody's to end.
    groups.iter_mut().for_each(Groups::clear);
    let listener = executor::listen(directory)?;
    listener.set_nonblocking(true)?;
    let add = |fd: std::os::fd::BorrowedFd<'_>, token| {
        epoll::add(&epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
    };
    add(listener.as_fd(), LISTENER)?;
    add(signals.as_fd(), SIGNALS)?;
    let mut supervisor = Supervisor {
        signals,
        listener,
        daemon: None,
        journal,
        rewrite_above: JOURNAL_BYTES,
        directory: directory.to_owned(),
        logs: logs.to_owned(),
        log_limit,
        children: HashMap::new(),
        pids: HashMap::new(),
        results,
        groups,
        environment: Environment::own(),
        census: None,
        retiring: false,
        alone_since: Instant::now(),
        clock: Clock::start(),
        buffer: vec![0; 64 * 1024],
        epoll,
    };
    supervisor.serve()
}

/// The journal to go on in, and what the last supervisor knew that the daemon may not.
fn take_over(directory: &Path, groups: Option<&Groups>) -> io::Result<(Journal, BTreeMap<Key, Vec<Report>>)> {
    let begun = Instant::now();
    let mut journal = loop {
        match Journal::open(directory) {
            // The last one is about to exit.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && begun.elapsed() < TAKE_OVER_LIMIT => {
                std::thread::sleep(Duration::from_millis(2));
            }
            opened => break opened?,
        }
    };
    let mut results = BTreeMap::new();
    for (key, trace) in journal::read(directory)? {
        let (reports, entry) = inherit(key, trace, groups);
        if let Some(entry) = entry {
            journal.note(&entry);
        }
        results.insert(key, reports);
    }
    journal.write()?;
    Ok((journal, results))
}

impl Supervisor {
    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            let timeout = self.timeout();
            let timeout = rustix::event::Timespec {
                tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut reap = false;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.connect(),
                    DAEMON => self.hear(),
                    SIGNALS => reap = true,
                    token => self.stream(token),
                }
            }
            if reap {
                self.reap();
            }
            if events.is_empty() {
                self.groups.iter_mut().for_each(|groups| groups.sweep(usize::MAX));
                lean::give_back();
            }
            self.end_what_lingers();
            self.flush();
            self.shorten();
            if self.is_over() {
                self.groups.iter_mut().for_each(Groups::remove);
                let _ = fs::remove_file(self.directory.join(executor::SOCKET));
                return Ok(());
            }
        }
    }

    fn timeout(&self) -> Duration {
        if self.children.values().any(|child| child.ending.is_some()) { ENDING_TICK } else { Duration::from_secs(5) }
    }

    fn is_over(&self) -> bool {
        let idle = self.daemon.is_none() && self.alone_since.elapsed() > IDLE;
        self.children.is_empty() && ((self.retiring && self.results.is_empty()) || idle)
    }

    /// A daemon connects; it takes the place of the one before.
    fn connect(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let added = epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(DAEMON), epoll::EventFlags::IN);
        if added.is_err() {
            return;
        }
        self.retiring = false;
        self.daemon = Some(Daemon { stream, input: Vec::new(), output: Vec::new() });
        let results = self.results.values().flatten().cloned();
        let running = self.children.values().map(Child::started);
        let known: Vec<Report> = results.chain(running).chain([Report::Known { now: self.clock.now() }]).collect();
        for report in &known {
            self.tell(report);
        }
    }

    fn disconnect(&mut self) {
        self.daemon = None;
        self.alone_since = Instant::now();
    }

    fn tell(&mut self, report: &Report) {
        if let Some(daemon) = &mut self.daemon {
            serde_json::to_writer(&mut daemon.output, report).expect("a report has no map with keys that aren't text");
            daemon.output.push(b'\n');
        }
    }

    /// Sends what is waiting. The daemon reads all the time, so a full socket is waited for.
    fn flush(&mut self) {
        if let Err(error) = self.journal.write() {
            complain(&format!("can't write the journal: {error}"));
        }
        let Some(daemon) = &mut self.daemon else { return };
        if daemon.output.is_empty() {
            return;
        }
        let sent = daemon.stream.set_nonblocking(false).and_then(|()| {
            daemon.stream.set_write_timeout(Some(Duration::from_secs(10)))?;
            daemon.stream.write_all(&daemon.output)?;
            daemon.stream.set_nonblocking(true)
        });
        daemon.output.clear();
        if sent.is_err() {
            self.disconnect();
        }
    }

    /// Reads requests and carries them out in order.
    fn hear(&mut self) {
        let mut requests = Vec::new();
        let mut open = true;
        if let Some(daemon) = &mut self.daemon {
            loop {
                match io::Read::read(&mut daemon.stream, &mut self.buffer) {
                    Ok(0) => open = false,
                    Ok(count) => {
                        daemon.input.extend_from_slice(&self.buffer[..count]);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => open = false,
                }
                break;
            }
            let end = daemon.input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let whole: Vec<u8> = daemon.input.drain(..end).collect();
            requests.extend(whole.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()));
        }
        self.carry_out(requests);
        if !open {
            self.disconnect();
        }
    }

    /// Carries out requests in order; starts that follow each other are made side by side.
    fn carry_out(&mut self, requests: Vec<Request>) {
        let mut spawns = Vec::new();
        for request in requests {
            match request {
                Request::Spawn(spawn) => {
                    spawns.push(*spawn);
                    continue;
                }
                _ => self.start(std::mem::take(&mut spawns)),
            }
            match request {
                Request::End { key, grace_ms } => self.end(key, Duration::from_millis(grace_ms)),
                Request::Forget { key } => {
                    if self.results.remove(&key).is_some() {
                        self.journal.note(&Entry::Forgotten { key });
                    }
                }
                Request::Retire => self.retiring = true,
                Request::Spawn(_) => {}
            }
        }
        self.start(spawns);
    }

    /// Keeps the journal from growing without end: starts it over with what is still needed.
    fn shorten(&mut self) {
        if self.journal.bytes() < self.rewrite_above {
            return;
        }
        let of_result = |(key, reports): (&Key, &Vec<Report>)| {
            let begun = reports.iter().find_map(|report| match report {
                Report::Started { at, .. } => Some(Entry::Begin { key: *key, at: *at, group: None }),
                _ => None,
            });
            let ended = reports.iter().find_map(|report| match report {
                Report::Exited { at, ending, .. } => Some(Entry::Exited { key: *key, at: *at, ending: ending.clone() }),
                Report::Lost { what, .. } => Some(Entry::Lost { key: *key, what: what.clone() }),
                _ => None,
            });
            [begun, ended]
        };
        let of_child = |child: &Child| {
            let group = child.group.as_ref().map(|group| group.number);
            let begun = Entry::Begin { key: child.key, at: child.started, group };
            [Some(begun), Some(Entry::Started { key: child.key, pid: child.pid, start: child.start })]
        };
        let results = self.results.iter().flat_map(of_result);
        let entries: Vec<Entry> = results.chain(self.children.values().flat_map(of_child)).flatten().collect();
        if let Err(error) = self.journal.rewrite(&entries) {
            complain(&format!("can't start the journal over: {error}"));
        }
        self.rewrite_above = JOURNAL_BYTES.max(4 * self.journal.bytes());
    }

    /// Starts what was not started before.
    fn start(&mut self, mut spawns: Vec<Spawn>) {
        let mut seen = BTreeSet::new();
        spawns.retain(|spawn| {
            let key = spawn.key;
            !self.pids.contains_key(&key) && !self.results.contains_key(&key) && seen.insert(key)
        });
        if spawns.is_empty() {
            return;
        }
        let at = self.clock.now();
        let mut group = || self.groups.as_mut().and_then(|groups| groups.take().ok());
        let spawns: Vec<(Spawn, Option<Group>)> = spawns.into_iter().map(|spawn| (spawn, group())).collect();
        for (Spawn { key, .. }, group) in &spawns {
            let group = group.as_ref().map(|group| group.number);
            self.journal.note(&Entry::Begin { key: *key, at, group });
        }
        // What is about to start must be written down before it can start.
        let started = match self.journal.write() {
            Ok(()) => {
                let place = Place { logs: &self.logs, log_limit: self.log_limit, environment: &self.environment };
                child::start_all(&spawns, &place, at)
            }
            Err(error) => spawns.iter().map(|_| Err(io::Error::from(error.kind()))).collect(),
        };
        for ((spawn, group), started) in spawns.into_iter().zip(started) {
            match started.and_then(|child| self.watched(child, group.as_ref())) {
                Ok(child) => self.begun(Child { group, ..child }),
                Err(error) => self.refuse(&spawn, group, at, &error),
            }
        }
    }

    fn begun(&mut self, child: Child) {
        self.journal.note(&Entry::Started { key: child.key, pid: child.pid, start: child.start });
        self.tell(&child.started());
        self.pids.insert(child.key, child.pid);
        self.children.insert(child.pid, child);
    }

    fn refuse(&mut self, spawn: &Spawn, group: Option<Group>, at: Timestamp, error: &io::Error) {
        let key = spawn.key;
        self.journal.note(&Entry::Refused { key });
        let what = format!("can't start {:?} in {:?}: {error}", spawn.program, spawn.cwd);
        self.tell(&Report::Refused { key, at, error: what, transient: is_transient(error) });
        self.give_back(group);
    }

    fn give_back(&mut self, group: Option<Group>) {
        if let Some((groups, group)) = self.groups.as_mut().zip(group) {
            groups.give_back(group);
        }
    }

    /// The child with its streams looked at; one that can't be watched must not run.
    fn watched(&self, child: Child, group: Option<&Group>) -> io::Result<Child> {
        match self.watch(&child) {
            Ok(()) => Ok(child),
            Err(error) => {
                let killed = group.map(Group::kill);
                if !killed.is_some_and(|killed| killed.is_ok()) {
                    census::signal(&[child.pid], Signal::KILL);
                }
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
    fn stream(&mut self, token: u64) {
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

    fn end(&mut self, key: Key, grace: Duration) {
        let Some(child) = self.pids.get(&key).and_then(|pid| self.children.get_mut(pid)) else { return };
        if child.ending.is_some() {
            return;
        }
        child.ending = Some(EndRequest { deadline: Instant::now() + grace, signalled: BTreeSet::new() });
        child.signal(Signal::TERM, &mut self.census);
    }

    /// Takes the exit status of every process that has ended, ours and what ours left behind.
    fn reap(&mut self) {
        let mut drained = [0u8; 512];
        while rustix::io::read(&self.signals, &mut drained).is_ok_and(|count| count > 0) {}
        while let Some((pid, mut ending)) = reaper::wait_any() {
            let Some(child) = self.children.get_mut(&pid) else { continue };
            let (out, err) = child.close_streams(&mut self.buffer);
            (ending.stdout_bytes, ending.stderr_bytes) = (out, err);
            child.exit = Some((self.clock.now(), ending));
            if child.ending.is_none() {
                self.report(pid);
            }
        }
    }

    /// Processes on which the end was asked are looked at until nothing of them is left.
    fn end_what_lingers(&mut self) {
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

/// Into the log, which may be on a disk that is full: that must not end the supervisor.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "prov supervisor: {what}");
}
