//! The few system calls that have no safe wrapper, each with the reason why its use is sound.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::super::ProviderError;
use serde::{Deserialize, Serialize};

/// What went wrong in a process of the driver, in words that survive the way to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What was attempted on what, and why it failed.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with nothing to advise.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    /// The same with advice.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<Fault> for ProviderError {
    fn from(fault: Fault) -> Self {
        Self::Unavailable { what: fault.what, hint: fault.hint }
    }
}

/// Says what was attempted when a call failed.
pub fn at<E: Into<io::Error>>(attempt: impl Into<String>) -> impl FnOnce(E) -> Fault {
    move |error| Fault::new(format!("{}: {}", attempt.into(), error.into()))
}

/// Which side of a fork this is.
pub enum Side {
    /// The new process.
    Child,
    /// The old one.
    Parent,
}

/// Forks. Only for the driver's own processes, which have one thread.
pub fn fork() -> io::Result<Side> {
    // SAFETY: the callers are dispatched before `main` starts anything, so there is no other thread whose locks could
    // be held for ever in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        _ => Ok(Side::Parent),
    }
}

/// Closes every descriptor from `first` on: what the starter left open by accident.
pub fn close_from(first: u32) {
    // SAFETY: called before anything of this process has opened a descriptor, so that none is in use.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// A set of signals.
#[derive(Clone, Copy)]
pub struct Signals(libc::sigset_t);

impl Signals {
    /// These signals.
    #[must_use]
    pub fn of(signals: &[i32]) -> Self {
        // SAFETY: a sigset_t is plain data, which sigemptyset initialises.
        let mut set = unsafe { std::mem::zeroed::<libc::sigset_t>() };
        // SAFETY: `set` is ours, and the signals are constants that exist.
        unsafe { libc::sigemptyset(&raw mut set) };
        for signal in signals {
            // SAFETY: as above.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        Self(set)
    }

    /// Holds them back until they are waited for.
    pub fn block(&self) {
        // SAFETY: the set is initialised; the old mask is not asked for.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }

    /// The next of them, or `None` when `limit` has passed.
    #[must_use]
    pub fn wait(&self, limit: Option<Duration>) -> Option<i32> {
        let timeout = limit.map(|limit| libc::timespec {
            tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(limit.subsec_nanos()),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the set and the time outlive the call; no details of the signal are asked for.
        let signal = unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), timeout) };
        (signal > 0).then_some(signal)
    }
}

/// Reaps every child that has ended; whether any child is left.
#[must_use]
pub fn reap() -> bool {
    loop {
        // SAFETY: no status is asked for.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return true,
            -1 => return false,
            _ => {}
        }
    }
}

/// Sends `signal` to every process that this one sees, itself excepted.
pub fn signal_all(signal: i32) {
    // SAFETY: touches no memory. Only the init of a pid namespace calls this, where "every process" is the server's.
    unsafe { libc::kill(-1, signal) };
}

/// Whether any other process is left in this pid namespace.
#[must_use]
pub fn anybody_else() -> bool {
    // SAFETY: signal 0 only asks.
    unsafe { libc::kill(-1, 0) == 0 }
}

/// Puts `/dev/null` in the place of these standard streams (0, 1, 2), which lets go of what they were.
pub fn to_null(streams: &[i32]) -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    for stream in streams {
        // SAFETY: only the standard streams are replaced, which the standard library never takes to be one certain file.
        if unsafe { libc::dup2(null.as_raw_fd(), *stream) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Capabilities that reach the whole machine and that no service of a server needs (capabilities(7)): loading kernel
/// modules, raw ports and memory, rebooting, the clock.
const MACHINE: [libc::c_ulong; 4] = [16, 17, 22, 25];

/// Gives up, for this process and all it will start, what reaches the whole machine.
pub fn give_up_the_machine() {
    for capability in MACHINE {
        // SAFETY: changes this process's bounding set only. Where that isn't allowed there is nothing to give up.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Undoes, for this process and all it will start, what init asked for itself when memory is short. Called between fork
/// and exec: system calls only.
pub fn be_an_ordinary_victim() {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", flags, rustix::fs::Mode::empty()) {
        // Where even that isn't allowed, it stays what it was for whoever asked for the command.
        let _ = rustix::io::write(&file, b"0");
    }
}
