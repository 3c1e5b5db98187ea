//! The supervisor process: one thread and one epoll, and a few threads that start processes; no async runtime, so that it
//! stays small.
//!
//! It outlives the daemon. Without a daemon it keeps its children and their results; when nothing runs and nobody has
//! connected for [`IDLE`], it exits. It is the subreaper of everything its children leave behind.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::epoll;

use super::census::Census;
use super::cgroup::Groups;
use super::child::{Child, Place};
use super::clock::Clock;
use super::inherit::inherit;
use super::journal::{self, Entry, Journal};
use super::process::Environment;
use super::starter::Starters;
use super::wire::{Key, Report, Request};
use super::{executor, lean, reaper};
use attempts::Starting;

/// How long a supervisor without work waits for a daemon.
const IDLE: Duration = Duration::from_secs(20);
/// How long the last supervisor is waited for that has closed its socket.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(5);
/// How often a supervisor that nothing happens to looks round.
const IDLE_TICK: Duration = Duration::from_secs(5);
/// How often processes that are being ended are looked at.
const ENDING_TICK: Duration = Duration::from_millis(20);
/// The journal is started over above this size, with what of it is still needed.
const JOURNAL_BYTES: u64 = 1024 * 1024;
/// Where much happens, what is told is gathered for so long: every message costs the daemon a turn.
const GATHER: Duration = Duration::from_millis(1);
/// Reads a turn for one stream, so that a process that floods its output holds up nobody else.
const READS_A_TURN: usize = 4;

const LISTENER: u64 = 0;
const DAEMON: u64 = 1;
const SIGNALS: u64 = 2;
const STARTED: u64 = 3;
/// Streams have `FIRST_STREAM + 2 × pid`, plus one for standard error.
const FIRST_STREAM: u64 = 16;

mod attempts;

struct Supervisor {
    epoll: OwnedFd,
    signals: OwnedFd,
    listener: UnixListener,
    daemon: Option<Daemon>,
    directory: PathBuf,
    journal: Journal,
    /// The journal is started over once it is longer.
    rewrite_above: u64,
    starters: Starters,
    /// Attempts that have no process yet.
    starting: HashMap<Key, Starting>,
    children: HashMap<i32, Child>,
    pids: HashMap<Key, i32>,
    /// Results that the daemon has not yet said it has.
    results: BTreeMap<Key, Vec<Report>>,
    /// Where control groups are made, where they can be.
    groups: Option<Groups>,
    /// Who belongs to whom, as of this turn.
    census: Option<Census>,
    retiring: bool,
    alone_since: Instant,
    clock: Clock,
    /// When the daemon was last told something.
    told_at: Instant,
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
    let starters = Starters::new(Place { logs: logs.to_owned(), log_limit, environment: Environment::own() })?;
    let add = |fd: std::os::fd::BorrowedFd<'_>, token| {
        epoll::add(&epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
    };
    add(listener.as_fd(), LISTENER)?;
    add(signals.as_fd(), SIGNALS)?;
    add(starters.bell(), STARTED)?;
    let mut supervisor = Supervisor {
        signals,
        listener,
        daemon: None,
        journal,
        rewrite_above: JOURNAL_BYTES,
        directory: directory.to_owned(),
        starters,
        starting: HashMap::new(),
        children: HashMap::new(),
        pids: HashMap::new(),
        results,
        groups,
        census: None,
        retiring: false,
        alone_since: Instant::now(),
        clock: Clock::start(),
        told_at: Instant::now(),
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
            let waited = self.timeout();
            let timeout = rustix::event::Timespec {
                tv_sec: i64::try_from(waited.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: waited.subsec_nanos().into(),
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
                    STARTED => self.take_started(),
                    token => self.stream(token),
                }
            }
            if reap {
                self.reap();
            }
            if events.is_empty() && waited >= IDLE_TICK {
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
        let gathered = self.daemon.as_ref().filter(|daemon| !daemon.output.is_empty()).map(|_| GATHER);
        let ending = self.children.values().any(|child| child.ending.is_some()).then_some(ENDING_TICK);
        gathered.or(ending).unwrap_or(IDLE_TICK)
    }

    fn is_over(&self) -> bool {
        let idle = self.daemon.is_none() && self.alone_since.elapsed() > IDLE;
        let is_told = self.daemon.as_ref().is_none_or(|daemon| daemon.output.is_empty());
        is_told
            && self.children.is_empty()
            && self.starting.is_empty()
            && ((self.retiring && self.results.is_empty()) || idle)
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
        let starting = self.starting.values().map(|Starting { job, .. }| Report::Started {
            key: job.spawn.key,
            pid: job.pid(),
            at: job.at,
        });
        let known: Vec<Report> =
            results.chain(running).chain(starting).chain([Report::Known { now: self.clock.now() }]).collect();
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

    /// Sends what is waiting, unless the last time is just past. The daemon reads all the time, so a full socket is waited
    /// for.
    fn flush(&mut self) {
        if self.told_at.elapsed() < GATHER {
            return;
        }
        if let Err(error) = self.journal.write() {
            complain(&format!("can't write the journal: {error}"));
        }
        let Some(daemon) = &mut self.daemon else { return };
        if daemon.output.is_empty() {
            return;
        }
        self.told_at = Instant::now();
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

    /// Carries out requests in order; starts that follow each other are written down together.
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
        let of_starting = |Starting { job, .. }: &Starting| {
            let group = job.group.as_ref().map(|group| group.number);
            [Some(Entry::Begin { key: job.spawn.key, at: job.at, group }), None]
        };
        let results = self.results.iter().flat_map(of_result);
        let alive = self.children.values().flat_map(of_child).chain(self.starting.values().flat_map(of_starting));
        let entries: Vec<Entry> = results.chain(alive).flatten().collect();
        if let Err(error) = self.journal.rewrite(&entries) {
            complain(&format!("can't start the journal over: {error}"));
        }
        self.rewrite_above = JOURNAL_BYTES.max(4 * self.journal.bytes());
    }
}

/// Into the log, which may be on a disk that is full: that must not end the supervisor.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "prov supervisor: {what}");
}
