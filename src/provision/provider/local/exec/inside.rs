//! The process that runs one command in a server: `prov internal local-exec DIR`.
//!
//! It enters the server's namespaces (its own pid stays outside), starts the command in a session and in the server's
//! control groups, holding nothing of the host's that the server could reach through it, keeps the ends of its streams, and answers when the command's first process has ended, whoever still
//! holds the streams. It leads a session of its own, so a signal to its maker's group doesn't reach it; when its maker is gone it ends the command.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::ThreadNameSpaceType;
use seccompiler::BpfProgram;

use super::super::procs::Procs;
use super::super::state::{InitRecord, ServerDir};
use super::super::sys::{self, Fault, Side, at};
use super::super::unprivileged;
use super::group::Group;

use super::warden::{Charge, Warden};
use super::{Reply, Request, frame};
use crate::provision::transport::tail::Tail;

/// How often the command's streams are looked after while it is being ended.
const INTERVAL: Duration = Duration::from_millis(5);
/// Marks what a command starts.
const MARK: &str = "SERVER_COMMAND";
/// What every command finds in its environment.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("LANG", "C.UTF-8"),
];

/// Runs the process. `args` is what follows the subcommand.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    sys::close_from(3);
    let [dir] = args else { return ExitCode::from(2) };
    // Fails only for a leader of a group, which no signal to another group reaches either.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let outcome = read_request().and_then(|request| Run::start(&ServerDir::at(PathBuf::from(dir)), &request));
    match outcome {
        Ok(run) => run.finish(),
        Err(fault) => {
            let _ = reply(&Reply::Failed(fault), &[]);
            ExitCode::FAILURE
        }
    }
}

fn read_request() -> Result<Request, Fault> {
    let mut length = [0; 8];
    read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| Fault::new("the request is too long"))?;
    let mut json = vec![0; length];
    read_exact(&mut json)?;
    serde_json::from_slice(&json).map_err(|error| Fault::new(format!("can't read the request: {error}")))
}

/// Reads without a buffer: what follows is the command's.
fn read_exact(mut buffer: &mut [u8]) -> Result<(), Fault> {
    while !buffer.is_empty() {
        match rustix::io::read(io::stdin(), &mut *buffer) {
            Ok(0) => return Err(Fault::new("the request was cut short")),
            Ok(count) => buffer = &mut buffer[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(at("can't read the request")(error)),
        }
    }
    Ok(())
}

fn reply(reply: &Reply, streams: &[&[u8]]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&frame(reply)?)?;
    for stream in streams {
        out.write_all(stream)?;
    }
    out.flush()
}

/// One stream of the command.
struct Stream {
    pipe: Option<File>,
    tail: Tail,
}

impl Stream {
    fn of(pipe: OwnedFd) -> Result<Self, Fault> {
        rustix::io::ioctl_fionbio(&pipe, true).map_err(at("can't watch the command's output"))?;
        Ok(Self { pipe: Some(File::from(pipe)), tail: Tail::default() })
    }

    /// Takes what is there, at most so much that a stream that never pauses doesn't hold the others up.
    fn take(&mut self) {
        let mut chunk = [0; 16_384];
        for _ in 0..64 {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.tail.push(&chunk[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// A command that runs.
struct Run {
    warden: Warden,
    child: Child,
    handle: OwnedFd,
    streams: [Stream; 2],
    deadline: Option<Instant>,
}

impl Run {
    fn start(server: &ServerDir, request: &Request) -> Result<Self, Fault> {
        let begun = Instant::now();
        let gone = || Fault::new("the server does not run").hint("create it again: that starts it");
        let record = server.record().map_err(at("can't read the server's record"))?.ok_or_else(gone)?;
        let init = server.ready_init().map_err(at("can't read init's record"))?.ok_or_else(gone)?;
        let init_handle = open_process(init.pid)?;
        let namespace = namespace_of(&init)?.ok_or_else(gone)?;
        let mark = uuid::Uuid::now_v7().to_string();
        let group = Group::make(&record.cgroups, &mark);
        let doors = doors(&record.cgroups, group.as_ref())?;
        let mut warden = Warden::start(&Charge { namespace, mark: format!("{MARK}={mark}"), group })?;
        enter(&init_handle, init.user_namespace)?;
        drop(init_handle);
        let filter = init.user_namespace.then(unprivileged::filter).transpose()?;
        let mut child = spawn(request, &mark, doors, filter)?;
        warden.leads(child.id());
        // The command has its own copy; this one would keep its writer waiting for ever.
        sys::to_null(&[0]).map_err(at("can't let go of the input"))?;
        let handle = open_process(i32::try_from(child.id()).map_err(|_| Fault::new("the pid is no pid"))?)?;
        let stdout = Stream::of(child.stdout.take().expect("the pipe was asked for").into())?;
        let stderr = Stream::of(child.stderr.take().expect("the pipe was asked for").into())?;
        let limit = request.limit_ms.map(Duration::from_millis);
        // A deadline beyond what a clock can show is none.
        let deadline = limit.and_then(|limit| begun.checked_add(limit));
        Ok(Self { warden, child, handle, streams: [stdout, stderr], deadline })
    }

    /// Waits for the end, answers, and keeps the streams flowing for what the command left behind.
    fn finish(mut self) -> ExitCode {
        let waited = self.watch();
        let timed_out = matches!(waited, End::Deadline);
        let mut is_whole = false;
        if matches!(waited, End::Exited) {
            self.warden.release();
        } else {
            let (child, streams) = (&mut self.child, &mut self.streams);
            is_whole = self.warden.end(INTERVAL, || {
                let _ = child.try_wait();
                streams.iter_mut().for_each(Stream::take);
            });
        }
        let status = self.child.wait().map_or(255, code);
        self.streams.iter_mut().for_each(Stream::take);
        let [stdout, stderr] = self.streams;
        let pipes = [stdout.pipe, stderr.pipe];
        let (stdout, stderr) = (stdout.tail.into_bytes(), stderr.tail.into_bytes());
        let (stdout_bytes, stderr_bytes) = (stdout.len(), stderr.len());
        let ended = Reply::Ended { status, timed_out, is_whole, stdout_bytes, stderr_bytes };
        // The maker may be gone; then nobody wants to know.
        let _ = reply(&ended, &[&stdout, &stderr]);
        keep_flowing(pipes);
        ExitCode::SUCCESS
    }

    fn watch(&mut self) -> End {
        loop {
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return End::Deadline;
            }
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let maker = io::stdout();
            let mut waited = vec![PollFd::new(&self.handle, PollFlags::IN), PollFd::new(&maker, PollFlags::empty())];
            let pipes = self.streams.iter().filter_map(|stream| stream.pipe.as_ref());
            waited.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            // Errors other than an interruption would be our own mistake; the exit is looked for in any case.
            let _ = poll(&mut waited, timeout.as_ref());
            let exited = !waited[0].revents().is_empty();
            let abandoned = waited[1].revents().intersects(PollFlags::ERR | PollFlags::NVAL);
            drop(waited);
            self.streams.iter_mut().for_each(Stream::take);
            if exited {
                return End::Exited;
            }
            if abandoned {
                return End::Abandoned;
            }
        }
    }
}

/// Why waiting for a command was over.
enum End {
    /// Its first process ended.
    Exited,
    /// Its time was up.
    Deadline,
    /// Nobody waits for the answer any more.
    Abandoned,
}

fn open_process(pid: i32) -> Result<OwnedFd, Fault> {
    let pid = Pid::from_raw(pid).ok_or_else(|| Fault::new("the record names no pid"))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(at(format!("can't reach process {}", pid.as_raw_nonzero())))
}

/// The pid namespace of init, if it still is the process that its record names. The host's `/proc` is let go of before
/// anything is started in the server.
fn namespace_of(init: &InitRecord) -> Result<Option<Vec<u8>>, Fault> {
    let procs = Procs::open().map_err(at("can't open /proc"))?;
    // Checked after a handle is held: the pid can't change hands any more.
    let is_init = procs.stat(init.pid).map(|stat| stat.start) == Some(init.start);
    Ok(is_init.then(|| procs.namespace(init.pid, "pid")).flatten())
}

/// What the command writes to, to join the server's groups: its own group in the place of the one that it is below.
fn doors(groups: &[PathBuf], own: Option<&Group>) -> Result<Vec<File>, Fault> {
    let door = |group: &PathBuf| match own.filter(|own| own.is_below(group)) {
        Some(own) => own.door(),
        None => File::options().write(true).open(group.join("cgroup.procs")),
    };
    groups.iter().map(|group| door(group).map_err(at(format!("can't join {}", group.display())))).collect()
}

/// Enters all namespaces of init at once: the kernel takes the user namespace first (setns(2)).
fn enter(init: &OwnedFd, user_namespace: bool) -> Result<(), Fault> {
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::CONTROL_GROUP;
    if user_namespace {
        kinds |= ThreadNameSpaceType::USER;
    }
    rustix::thread::move_into_thread_name_spaces(init.as_fd(), kinds).map_err(at("can't enter the server"))
}

fn spawn(request: &Request, mark: &str, groups: Vec<File>, filter: Option<BpfProgram>) -> Result<Child, Fault> {
    let (program, arguments) = request.argv.split_first().ok_or_else(|| Fault::new("there is no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(ENVIRONMENT).env(MARK, mark);
    command.envs(request.env.iter().map(|(name, value)| (name, value)));
    command.current_dir("/root").stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let prepare = move || {
        rustix::process::setsid()?;
        for group in &groups {
            // Zero means the writer (cgroups(7)); its pid here is another than outside.
            rustix::io::write(group, b"0")?;
        }
        sys::give_up_the_machine();
        sys::be_an_ordinary_victim();
        if let Some(filter) = &filter {
            seccompiler::apply_filter(filter).map_err(|_| io::Error::last_os_error())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls only: no allocation, no locks.
    unsafe { command.pre_exec(prepare) };
    command.spawn().map_err(at("it can't be started"))
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// What a daemon writes later must go somewhere, or it would die of it: a copy of this process reads it away for as long as the daemon
/// holds the streams, which it does until the server stops at the latest.
fn keep_flowing(pipes: [Option<File>; 2]) {
    let mut streams = pipes.map(|pipe| Stream { pipe, tail: Tail::default() });
    streams.iter_mut().for_each(Stream::take);
    if streams.iter().all(|stream| stream.pipe.is_none()) {
        return;
    }
    if !matches!(sys::fork(), Ok(Side::Child)) {
        return;
    }
    let _ = sys::to_null(&[1]);
    loop {
        let pipes: Vec<&File> = streams.iter().filter_map(|stream| stream.pipe.as_ref()).collect();
        if pipes.is_empty() {
            return;
        }
        let mut waited: Vec<PollFd<'_>> = pipes.iter().map(|pipe| PollFd::new(*pipe, PollFlags::IN)).collect();
        let _ = poll(&mut waited, None);
        drop((waited, pipes));
        for stream in &mut streams {
            stream.take();
            stream.tail = Tail::default();
        }
    }
}
