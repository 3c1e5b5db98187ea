//! Starting a process, in its control group from the first instruction of its program on.
//!
//! As posix_spawn(3) does it: the new process shares the starter's memory, and the starter stands still, until the program
//! is loaded. A copy of the memory, which fork(2) makes, costs nearly as much again as loading a small program.
//!
//! Deliberately knows nothing of tasks.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

/// What the processes inherit: the starter's own environment, as it was when this was made.
pub(super) struct Environment(Vec<(Vec<u8>, CString)>);

impl Environment {
    pub(super) fn own() -> Self {
        let entry = |(name, value): (OsString, OsString)| {
            let name = name.into_vec();
            let line = CString::new([&name, &b"="[..], &value.into_vec()].concat()).ok()?;
            Some((name, line))
        };
        Self(std::env::vars_os().filter_map(entry).collect())
    }

    /// With `added`, of which the last one of a name counts.
    fn with<'a>(&'a self, added: &'a [(&str, &str)]) -> io::Result<Vec<Cow<'a, CStr>>> {
        let mut names: HashSet<&[u8]> = HashSet::new();
        let mut lines = Vec::with_capacity(self.0.len() + added.len());
        for (name, value) in added.iter().rev() {
            if names.insert(name.as_bytes()) {
                lines.push(CString::new(format!("{name}={value}"))?.into());
            }
        }
        let own = self.0.iter().filter(|(name, _)| !names.contains(name.as_slice()));
        lines.extend(own.map(|(_, line)| line.as_c_str().into()));
        Ok(lines)
    }
}

/// What is started.
pub(super) struct Start<'a> {
    /// Looked up on `PATH` where it has no slash.
    pub(super) program: &'a str,
    pub(super) args: &'a [String],
    pub(super) environment: &'a Environment,
    pub(super) added: &'a [(&'a str, &'a str)],
    pub(super) cwd: &'a str,
    /// Its standard streams.
    pub(super) streams: [BorrowedFd<'a>; 3],
    /// Of its control group.
    pub(super) door: Option<BorrowedFd<'a>>,
}

impl Start<'_> {
    /// Starts it in a process group of its own, with no signal blocked, and answers its id once its program is loaded. In
    /// `pid` the id stands before the process can have ended.
    ///
    /// # Errors
    /// When it can't be started, or its program can't be loaded; then nothing is left of it.
    pub(super) fn start(&self, pid: &AtomicI32) -> io::Result<i32> {
        let environment = self.environment.with(self.added)?;
        let path = environment.iter().find_map(|line| line.to_bytes().strip_prefix(b"PATH="));
        let candidates = candidates(self.program, path)?;
        let args = std::iter::once(self.program).chain(self.args.iter().map(String::as_str));
        let args: Vec<CString> = args.map(CString::new).collect::<Result<_, _>>()?;
        let image = Image {
            candidates: &candidates,
            args: &pointers(args.iter().map(CString::as_c_str)),
            environment: &pointers(environment.iter().map(AsRef::as_ref)),
            cwd: &CString::new(self.cwd)?,
            streams: self.streams,
            door: self.door,
            failure: AtomicI32::new(0),
        };
        image.start(pid)
    }
}

/// The new process up to its program, in the form that the kernel takes.
struct Image<'a> {
    candidates: &'a [CString],
    args: &'a [*const c_char],
    environment: &'a [*const c_char],
    cwd: &'a CStr,
    streams: [BorrowedFd<'a>; 3],
    /// Writing to it joins the control group.
    door: Option<BorrowedFd<'a>>,
    /// Why it could not become its program; 0 otherwise.
    failure: AtomicI32,
}

/// Room for what [`Image::load`] and the calls in it put on the stack.
const STACK_BYTES: usize = 32 * 1024;

impl Image<'_> {
    /// A new process that becomes the program.
    fn start(&self, pid: &AtomicI32) -> io::Result<i32> {
        let mut stack = vec![0u128; STACK_BYTES / size_of::<u128>()];
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
        let image = ptr::from_ref(self).cast_mut().cast();
        let blocked = Blocked::all();
        // SAFETY: the new process has a stack of its own, which grows down from its end and is aligned as every platform
        // asks. Of the memory that both have it changes only `failure` and this thread's errno, and this thread stands still
        // until it has its program or is gone: what it reads outlives it. The kernel writes the id before it runs. `enter` keeps to what may be called in it.
        let pid = unsafe { libc::clone(enter, stack.as_mut_ptr_range().end.cast(), flags, image, pid.as_ptr()) };
        drop(blocked);
        if pid == -1 {
            return Err(io::Error::last_os_error());
        }
        match self.failure.load(Ordering::Acquire) {
            0 => Ok(pid),
            error => {
                let pid = rustix::process::Pid::from_raw(pid);
                let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }

    /// Becomes the program. Returns only when that fails, with why.
    ///
    /// Runs in the new process: system calls only, nothing that allocates, locks or unwinds.
    fn load(&self) -> Errno {
        if let Err(error) = self.prepare() {
            return error;
        }
        let mut why = Errno::NOENT;
        for candidate in self.candidates {
            // SAFETY: both arrays end with a null pointer, and what they point to outlives the call.
            unsafe { libc::execve(candidate.as_ptr(), self.args.as_ptr(), self.environment.as_ptr()) };
            match Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::NOENT) {
                Errno::NOENT | Errno::NOTDIR => {}
                // Another directory may have one that can be run.
                Errno::ACCESS => why = Errno::ACCESS,
                other => return other,
            }
        }
        why
    }

    fn prepare(&self) -> rustix::io::Result<()> {
        if let Some(door) = self.door {
            rustix::io::write(door, b"0")?;
        }
        rustix::process::setpgid(None, None)?;
        let [stdin, stdout, stderr] = self.streams;
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)?;
        rustix::process::chdir(self.cwd)?;
        // SAFETY: changes this process only. The starter ignores SIGPIPE, which a program does not expect.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        set_mask(&signals(libc::sigemptyset));
        Ok(())
    }
}

extern "C" fn enter(image: *mut c_void) -> c_int {
    // SAFETY: `Image::start` gives itself, and outlives this process.
    let image = unsafe { &*image.cast::<Image>() };
    image.failure.store(image.load().raw_os_error(), Ordering::Release);
    127
}

/// Every signal waits, for this thread, until this is dropped: none must be taken by a process that is not yet its own.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Self {
        Self(set_mask(&signals(libc::sigfillset)))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        set_mask(&self.0);
    }
}

/// A set as sigemptyset or sigfillset makes it.
fn signals(fill: unsafe extern "C" fn(*mut libc::sigset_t) -> c_int) -> libc::sigset_t {
    // SAFETY: a set is plain data for which zero is valid, and `fill` initialises it.
    unsafe {
        let mut set = std::mem::zeroed();
        fill(&raw mut set);
        set
    }
}

/// Blocks these signals and no others for this thread, and answers which were blocked.
fn set_mask(set: &libc::sigset_t) -> libc::sigset_t {
    let mut last = signals(libc::sigemptyset);
    // SAFETY: both sets outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, &raw mut last) };
    last
}

/// Where the program may be.
fn candidates(program: &str, path: Option<&[u8]>) -> io::Result<Vec<CString>> {
    if program.contains('/') {
        return Ok(vec![CString::new(program)?]);
    }
    let directories = path.unwrap_or(b"/usr/local/bin:/usr/bin:/bin").split(|byte| *byte == b':');
    let of = |directory: &[u8]| {
        let directory = if directory.is_empty() { b"." } else { directory };
        CString::new([directory, b"/", program.as_bytes()].concat())
    };
    Ok(directories.map(of).collect::<Result<_, _>>()?)
}

fn pointers<'a>(texts: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    texts.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    /// Runs it with these streams and answers its output and how it ended.
    fn output(program: &str, args: &[&str], added: &[(&str, &str)], cwd: &str) -> io::Result<(String, i32)> {
        let environment = Environment::own();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let null = File::open("/dev/null")?;
        let streams = [null.as_fd(), write.as_fd(), write.as_fd()];
        let start = Start { program, args: &args, environment: &environment, added, cwd, streams, door: None };
        let pid = start.start(&AtomicI32::new(0))?;
        drop(write);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text)?;
        let pid = rustix::process::Pid::from_raw(pid);
        let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?.unwrap();
        Ok((text, status.exit_status().unwrap_or(-1)))
    }

    #[test]
    fn a_program_gets_its_arguments_environment_directory_and_no_blocked_signal() {
        let script = r#"printf '%s|%s|%s|' "$1" "$COLOUR" "$PWD"; grep SigBlk /proc/self/status; exit 3"#;
        let added = [("COLOUR", "red"), ("COLOUR", "blue")];
        let (text, code) = output("sh", &["-c", script, "sh", "an 'argument"], &added, "/usr").unwrap();
        assert_eq!((text.as_str(), code), ("an 'argument|blue|/usr|SigBlk:\t0000000000000000\n", 3));
    }

    #[test]
    fn what_cannot_be_loaded_says_why_and_leaves_no_process() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes"), "not a program").unwrap();
        let path = directory.path().to_str().unwrap();
        let kind = |program, added: &[_], cwd| output(program, &[], added, cwd).unwrap_err().kind();
        assert_eq!(kind("no-such-program", &[], "/"), io::ErrorKind::NotFound);
        assert_eq!(kind("true", &[], "/no/such/directory"), io::ErrorKind::NotFound);
        assert_eq!(kind("notes", &[("PATH", path)], "/"), io::ErrorKind::PermissionDenied);
        assert_eq!(kind("a\0b", &[], "/"), io::ErrorKind::InvalidInput);
        let (_, code) = output("true", &[], &[("PATH", &format!("{path}:/usr/bin:/bin"))], "/").unwrap();
        assert_eq!(code, 0);
    }
}
