//! Making, starting, stopping and unmaking one server, under its lock. Every step can be repeated, so what a crash cut
//! short is completed or cleared away by the next call.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::init::{Answer, GRACE};
use super::machine_lock::Lock;
use super::network::{self, Network};
use super::procs::Procs;
use super::remove::remove;
use super::state::{Record, ServerDir};
use super::sys::Fault;
use super::{LocalProvider, cgroup, failed, hidden, hosts, names_in};
use crate::model::name::Name;
use crate::provision::provider::{ProviderError, ServerSpec};

/// How long an init may take until commands can run. As root it takes milliseconds.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// How long the kernel may take to end a server's processes.
const GONE_WITHIN: Duration = Duration::from_secs(20);

impl LocalProvider {
    /// Makes the server, or starts the one that is `there`. The caller holds its lock, and has cleared away what a deletion or
    /// a creation that was cut short has left.
    pub(super) fn make(&self, dir: &ServerDir, spec: &ServerSpec, there: Option<Record>) -> Result<(), ProviderError> {
        let unreadable = |error| failed(format!("can't read the state of server {}", spec.name), error);
        if there.is_some() {
            wait_for_init(dir).map_err(unreadable)?;
            if dir.ready_init().map_err(unreadable)?.is_some() {
                return dir.mark_made().map_err(unreadable);
            }
        }
        // Held until the address is recorded, so that nobody else is given it.
        let network =
            Lock::take(&self.root).map_err(|error| failed("can't lock the machine's networks".to_owned(), error))?;
        let record = self.record(dir, spec, there, &network);
        dir.write_record(&record)
            .and_then(|()| dir.prepare_init())
            .and_then(|()| self.introduce(&record.spec.infra))
            .map_err(|error| failed(format!("can't record server {}", record.spec.name), error))?;
        drop(network);
        self.start(dir, &record)?;
        dir.mark_made().map_err(unreadable)
    }

    /// Decides what the record holds besides what was asked for. A server that was `there` keeps what it had: in a
    /// workspace that was renamed since, it is still known to the machine by its old id.
    fn record(&self, dir: &ServerDir, wanted: &ServerSpec, there: Option<Record>, network: &Lock) -> Record {
        let known = there.as_ref().filter(|there| !dir.is_copy(there));
        let had = known.and_then(|known| known.address);
        let id = known.map_or_else(|| self.id(&wanted.infra, &wanted.name), |known| known.id.clone());
        let spec = there.map_or_else(|| wanted.clone(), |there| there.spec);
        let limits = cgroup::prepare(&id, &spec.plan);
        let (mut address, mut notes) = (None, Vec::new());
        if Network::of(&spec) == Ok(Network::Host) {
            address = Some(Ipv4Addr::LOCALHOST);
            notes.push(network::HOST_NOTE.to_owned());
        } else {
            let place = network::Place { workspace: workspace_of(&id), id: &id };
            let taken = self.addresses(dir).map(|taken| taken.into_keys().collect());
            match taken.and_then(|taken| place.reserve(network, had, &taken)) {
                Ok(free) => address = Some(free),
                Err(error) => {
                    notes.push(format!("it has no address ({error}): its services are reached by commands in it"));
                }
            }
        }
        let home = Some(dir.path().to_owned());
        Record { spec, id, token: None, home, address, cgroups: limits.groups, limits: limits.text, notes }
    }

    /// Tells the servers of an infra each other's names. The caller holds the network's lock.
    fn introduce(&self, infra: &Name) -> io::Result<()> {
        let mut servers = Vec::new();
        for name in names_in(&self.root.join(infra.as_str()))? {
            let dir = self.dir(infra, &name);
            // One whose record is damaged is known to nobody; containers are in a network of their own.
            if dir.is_container() {
                continue;
            }
            servers.extend(dir.record().ok().flatten().map(|record| (dir, record)));
        }
        let addresses = servers.iter().filter_map(|(_, record)| Some((record.spec.name.to_string(), record.address?)));
        let known: Vec<(String, Ipv4Addr)> = addresses.filter(|(_, address)| !address.is_loopback()).collect();
        for (dir, record) in servers {
            hosts::update(&dir, record.spec.name.as_str(), &known)?;
        }
        Ok(())
    }

    /// The addresses that servers of this workspace other than the one in `dir` have, with the networks that these are in.
    fn addresses(&self, dir: &ServerDir) -> io::Result<BTreeMap<Ipv4Addr, String>> {
        let mut taken = BTreeMap::new();
        for infra in names_in(&self.root)? {
            for name in names_in(&self.root.join(infra.as_str()))? {
                let other = self.dir(&infra, &name);
                let Some(record) = other.known().filter(|_| other != *dir) else { continue };
                let address = record.address.filter(|address| !address.is_loopback());
                taken.extend(address.map(|address| (address, record.workspace().to_owned())));
            }
        }
        Ok(taken)
    }

    fn start(&self, dir: &ServerDir, record: &Record) -> Result<(), ProviderError> {
        let name = &record.spec.name;
        let mut starter = Command::new(&self.program)
            .arg0(argv0(&record.id))
            .args(["internal", super::init::SUBCOMMAND])
            .arg(dir.path())
            .args(hidden::private_by_environment())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("can't start server {name}"), error))?;
        let mut pipe = starter.stdout.take().expect("the pipe was asked for");
        let answer = read_answer(&mut pipe, READY_WITHIN);
        if answer.is_err() {
            // It may hang in a file system; its successor must not find it.
            let _ = starter.kill();
            kill_by_name(&record.id);
        }
        let _ = starter.wait();
        match answer.map_err(|error| failed(format!("can't start server {name}"), error))? {
            Answer::Ready => Ok(()),
            Answer::Failed(Fault { what, hint }) => {
                Err(ProviderError::Unavailable { what: format!("can't start server {name}: {what}"), hint })
            }
        }
    }

    /// Stops the server and removes everything of it but its directory and lock. The caller holds the lock.
    pub(super) fn unmake(&self, dir: &ServerDir, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        if dir.is_container() {
            return self.containers().unmake(dir, infra, name);
        }
        let left = |what: &str| format!("can't delete the server in {}: {what}", dir.path().display());
        // As it was made: the workspace may have another name by now.
        let known = dir.known().filter(|record| !dir.is_copy(record));
        let id = known.as_ref().map_or_else(|| self.id(infra, name), |record| record.id.clone());
        dir.begin_deletion().map_err(|error| failed(left("can't mark it"), error))?;
        stop(dir, &id).map_err(|error| failed(left("its processes are left"), error))?;
        let groups = known.map(|record| record.cgroups).unwrap_or_default();
        cgroup::remove(&id, &groups).map_err(|error| failed(left("its control groups are left"), error))?;
        self.leave_network(dir, infra, &id).map_err(|error| failed(left("its network is left"), error))?;
        clear(dir).map_err(|error| failed(left("its files are left"), error))
    }

    fn leave_network(&self, dir: &ServerDir, infra: &Name, id: &str) -> io::Result<()> {
        let lock = Lock::take(&self.root)?;
        let workspace = workspace_of(id);
        let is_last = !self.addresses(dir)?.values().any(|other| other == workspace);
        network::Place { workspace, id }.release(&lock, is_last)?;
        // Still under the lock: of several that are deleted at once, the last one to come here must see that it is.
        dir.forget_address()?;
        self.introduce(infra)
    }

    /// Removes the directory of a server that is unmade, and those above it that nothing else needs.
    pub(super) fn forget(dir: &ServerDir) -> io::Result<()> {
        remove(&dir.join("lock"))?;
        match fs::remove_dir(dir.path()) {
            // Somebody makes it anew already.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for above in dir.path().ancestors().skip(1).take(2) {
            // Fails where another server stands below it.
            if fs::remove_dir(above).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Removes all that a state directory holds but its lock.
pub(super) fn clear(dir: &ServerDir) -> io::Result<()> {
    // The record goes last: until then the server is listed as incomplete. What says how it is to be deleted goes with it.
    let last = ["engine.json", "deleting.json"];
    for entry in fs::read_dir(dir.path())?.flatten() {
        let name = entry.file_name();
        if name != "lock" && !last.iter().any(|last| name == *last) {
            remove(&entry.path())?;
        }
    }
    last.iter().try_for_each(|last| remove(&dir.join(last)))
}

/// The hash of the workspace, with which an id begins.
fn workspace_of(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

/// How a server's processes are told from others in a list of processes.
fn argv0(id: &str) -> String {
    format!("prov-server:{id}")
}

pub(super) fn same(there: &ServerSpec, wanted: &ServerSpec) -> Result<(), ProviderError> {
    let fields = [
        ("plan", there.plan.to_string(), wanted.plan.to_string()),
        ("zone", there.zone.to_string(), wanted.zone.to_string()),
        ("extra", text(&there.extra), text(&wanted.extra)),
    ];
    match fields.into_iter().find(|(_, actual, wanted)| actual != wanted) {
        None => Ok(()),
        Some((field, actual, wanted)) => {
            Err(ProviderError::Conflict { name: there.name.clone(), field, actual, wanted })
        }
    }
}

fn text(extra: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::to_string(extra).unwrap_or_default()
}

/// Waits for an init that a maker left behind half-way: it gets ready, or it ends.
fn wait_for_init(dir: &ServerDir) -> io::Result<()> {
    let begun = Instant::now();
    while dir.has_init()? && dir.ready_init()?.is_none() {
        if begun.elapsed() > READY_WITHIN {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its init neither gets ready nor ends"));
        }
        std::thread::sleep(super::INTERVAL);
    }
    Ok(())
}

/// Reads one answer; the other side closes the pipe after it.
fn read_answer(pipe: &mut (impl Read + AsFd), limit: Duration) -> io::Result<Answer> {
    let begun = Instant::now();
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = limit.checked_sub(begun.elapsed());
        let left = left.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it was not ready in time"))?;
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout))? == 0 {
            continue;
        }
        match pipe.read(&mut chunk)? {
            0 => break,
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
    serde_json::from_slice(&text).map_err(|_| io::Error::other("its first process ended without a word"))
}

/// Ends every process of the server; success when none is left.
fn stop(dir: &ServerDir, id: &str) -> io::Result<()> {
    if !dir.has_init()? {
        return Ok(());
    }
    let begun = Instant::now();
    if let Some(init) = dir.ready_init()? {
        let pid = Pid::from_raw(init.pid).ok_or_else(|| io::Error::other("init's record names no pid"))?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The start time tells init from a process that got its pid later.
            Ok(handle) if super::procs::start_of(init.pid) == Some(init.start) => {
                for (signal, patience) in [(Signal::TERM, GRACE + Duration::from_secs(2)), (Signal::KILL, GONE_WITHIN)]
                {
                    match pidfd_send_signal(&handle, signal) {
                        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
                    if poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout))? > 0 {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    while dir.has_init()? {
        if begun.elapsed() > GONE_WITHIN {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its init does not end"));
        }
        kill_by_name(id);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Kills inits that never told their pid.
fn kill_by_name(id: &str) {
    let Ok(procs) = Procs::open() else { return };
    let name = argv0(id);
    for pid in procs.pids() {
        let named = procs.read(pid, "cmdline").is_some_and(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.next() == Some(name.as_bytes()) && words.next() == Some(b"internal")
        });
        if named && let Some(pid) = Pid::from_raw(pid) {
            // It may have ended since.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}
