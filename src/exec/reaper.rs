//! Noticing that processes have ended, how, and what they used.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::wire::Ending;

/// A descriptor that becomes readable when a child ends. The signals that a terminal or a service manager sends are left
/// to their default, which ends the supervisor.
pub(super) fn signal_fd() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before use, and outlives the calls that borrow it.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// The next process that has ended, with how it ended and what it used.
pub(super) fn wait_any() -> Option<(i32, Ending)> {
    let mut status = 0;
    // SAFETY: rusage is plain data for which zero is valid; both pointers outlive the call.
    let (pid, usage) = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        (libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage), usage)
    };
    if pid <= 0 {
        return None;
    }
    let milliseconds = |time: libc::timeval| u64::try_from(time.tv_sec * 1000 + time.tv_usec / 1000).unwrap_or(0);
    let ending = Ending {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_ms: milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        ..Ending::default()
    };
    Some((pid, ending))
}
