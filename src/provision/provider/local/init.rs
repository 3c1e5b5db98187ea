//! The process that becomes a server: `prov internal local-init DIR [PRIVATE…]`, started by the driver with nothing but a pipe for
//! its answer.
//!
//! It joins the control groups, leaves the host's namespaces, and forks; the child is the first process of the new pid
//! namespace, builds the root, answers that commands can run, and from then on only reaps and waits for SIGTERM. It
//! belongs to no session, holds no descriptor of its maker and carries no environment, so it outlives whoever made it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::netlink::Netlink;
use super::network::{self, Network};
use super::root_fs::{self, Style};
use super::state::{Held, InitRecord, Record, ServerDir};
use super::sys::{self, Fault, Side, Signals, at};
use super::unprivileged;

/// The word after `prov internal`.
pub const SUBCOMMAND: &str = "local-init";
/// How long the server's processes have to end by themselves when it is stopped.
pub const GRACE: Duration = Duration::from_secs(3);
/// How long another init, whose maker was killed, may take to be ready or to give up.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

/// The answer to the maker: one JSON document on the pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Commands can run.
    Ready,
    /// They can't, and nothing was left running.
    Failed(Fault),
}

/// Runs the process. `args` is what follows the subcommand.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    sys::close_from(3);
    let [dir, private @ ..] = args else { return ExitCode::from(2) };
    let server = ServerDir::at(PathBuf::from(dir));
    let private: Vec<PathBuf> = private.iter().map(PathBuf::from).collect();
    match become_server(&server, &private) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            answer(&Answer::Failed(fault));
            ExitCode::FAILURE
        }
    }
}

fn answer(answer: &Answer) {
    // Nobody may be listening any more; the server's state doesn't depend on it.
    let _ = serde_json::to_writer(io::stdout(), answer).map_err(io::Error::from).and_then(|()| io::stdout().flush());
}

/// In the starter's process returns after the fork; in the server's first process when the server is stopped.
fn become_server(server: &ServerDir, private: &[PathBuf]) -> Result<(), Fault> {
    outlive_others();
    // Fails only for a leader of a process group, which is then a session of its own for all that matters here.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    std::env::set_current_dir(server.path()).map_err(at("can't enter the server's state directory"))?;
    let Some(lock) = take_lock(server)? else {
        answer(&Answer::Ready);
        return Ok(());
    };
    remove("init.json")?;
    let record = server.record().map_err(at("can't read the server's record"))?;
    let record = record.ok_or_else(|| Fault::new("the server has no record"))?;
    for group in &record.cgroups {
        // Before the cgroup namespace is made, whose root would otherwise be the maker's group.
        fs::write(group.join("cgroup.procs"), "0").map_err(at(format!("can't join {}", group.display())))?;
    }
    let style = Style { in_user_namespace: !unprivileged::is_privileged(), first: !server.is_made() };
    let mut flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWCGROUP;
    let has_own_network = Network::of(&record.spec) == Ok(Network::Private);
    if has_own_network {
        flags |= UnshareFlags::NEWNET;
    }
    // Acts on the host's network wherever this process goes.
    let host = record
        .address
        .filter(|_| has_own_network)
        .map(|address| Ok((Netlink::open()?, address, network::forwards())))
        .transpose();
    let host = host.map_err(at::<io::Error>("can't reach the host's network"))?;
    if style.in_user_namespace {
        flags |= UnshareFlags::NEWUSER;
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: this process has one thread and shares no descriptors' table with another.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(|error| unprivileged::explain(error.into()))?;
    if style.in_user_namespace {
        unprivileged::become_root(user, group)?;
    }
    if has_own_network {
        network::loopback_up().map_err(at("can't switch the loopback interface on"))?;
    }
    if let Some((mut host, address, forwards)) = host {
        let inside = network::own_namespace().map_err(at("can't open the server's network namespace"))?;
        let place = network::Place { workspace: record.workspace(), id: &record.id };
        place.connect(&mut host, inside.as_fd(), address, forwards)?;
    }
    let signals = Signals::of(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT]);
    signals.block();
    match sys::fork().map_err(at("can't start the server's first process"))? {
        Side::Parent => Ok(()),
        Side::Child => first_process(&record, style, private, lock, signals),
    }
}

/// Takes the right to be the server's init; `None` when another process has become it already.
fn take_lock(server: &ServerDir) -> Result<Option<Held>, Fault> {
    let begun = Instant::now();
    loop {
        match server.lock_for_init().map_err(at("can't lock the server"))? {
            Some(held) => return Ok(Some(held)),
            None if server.ready_init().is_ok_and(|init| init.is_some()) => return Ok(None),
            None if begun.elapsed() > LOCK_PATIENCE => return Err(Fault::new("another init holds the server")),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// When memory is short, whatever fills the server's limit is to go, and not the process that all others end with.
fn outlive_others() {
    // Only root of the machine may lower it; -999 still lets it be ended where nothing else is left.
    let _ = fs::write("/proc/self/oom_score_adj", "-999");
}

fn first_process(
    record: &Record,
    style: Style,
    private: &[PathBuf],
    lock: Held,
    signals: Signals,
) -> Result<(), Fault> {
    rustix::system::sethostname(record.spec.name.as_str().as_bytes()).map_err(at("can't set the host name"))?;
    // The state directory stays in reach across the change of root.
    let dir =
        rustix::fs::open(".", rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
            .map_err(at("can't open the state directory"))?;
    let (pid, start) = own_pid_and_start()?;
    let notes = root_fs::build(style, record, private)?;
    root_fs::enter()?;
    let init = InitRecord { pid, start, notes, user_namespace: style.in_user_namespace };
    rustix::process::fchdir(&dir).map_err(at("can't reach the state directory"))?;
    write_record(&init)?;
    std::env::set_current_dir("/").map_err(at("can't enter the server's root"))?;
    drop(dir);
    answer(&Answer::Ready);
    sys::to_null(&[0, 1, 2]).map_err(at("can't let go of the maker"))?;
    supervise(signals);
    drop(lock);
    Ok(())
}

/// No fsync: after a crash of the machine there is no init, and the record counts for nothing.
fn write_record(init: &InitRecord) -> Result<(), Fault> {
    let bytes = serde_json::to_vec(init).expect("a record of plain fields");
    fs::write("init.json.new", bytes)
        .and_then(|()| fs::rename("init.json.new", "init.json"))
        .map_err(at("can't write init's record"))
}

fn remove(name: &str) -> Result<(), Fault> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(format!("can't remove {name}"))(error)),
        _ => Ok(()),
    }
}

/// As the host sees this process: its `/proc` is still mounted.
fn own_pid_and_start() -> Result<(i32, u64), Fault> {
    let link = fs::read_link("/proc/self").map_err(at("can't read /proc/self"))?;
    let pid = link.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| Fault::new("/proc/self names no pid"))?;
    let start = super::procs::start_of(pid).ok_or_else(|| Fault::new("can't read /proc/self/stat"))?;
    Ok((pid, start))
}

/// Reaps orphans until it is told to end; then ends every process of the server.
fn supervise(signals: Signals) {
    loop {
        match signals.wait(None) {
            Some(libc::SIGTERM | libc::SIGINT) => break,
            _ => {
                let _ = sys::reap();
            }
        }
    }
    sys::signal_all(libc::SIGTERM);
    let end = Instant::now() + GRACE;
    // Processes that came in by `exec` have their parent outside: only a signal that reaches nobody tells of the last.
    while sys::anybody_else() {
        let Some(left) = end.checked_duration_since(Instant::now()) else { break };
        let _ = signals.wait(Some(left.min(Duration::from_millis(20))));
        let _ = sys::reap();
    }
    // What is left the kernel kills when the first process of the namespace ends.
}
