//! One task's process as the supervisor holds it: its pipes, its log files, its end.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Signal;

use super::census::Census;
use super::cgroup::Group;
use super::logs::{self, Stream};
use super::process::{Environment, Start};
use super::starter::Job;
use super::wire::{Ending, Key, Spawn};
use super::{census, wire};
use crate::model::time::Timestamp;

/// How much of the end of an overlong stream is kept beside its beginning.
const TAIL_BYTES: usize = 64 * 1024;

/// A process and what is known of it.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) key: Key,
    pub(super) pid: i32,
    pub(super) started: Timestamp,
    /// When the kernel started it, as the clock since boot shows, in its ticks.
    pub(super) start: u64,
    pub(super) out: Option<Pipe>,
    pub(super) err: Option<Pipe>,
    /// Set once somebody asked for its end.
    pub(super) ending: Option<EndRequest>,
    /// Where all its processes are, where the kernel has such groups.
    pub(super) group: Option<Group>,
    /// Set once its first process has ended.
    pub(super) exit: Option<(Timestamp, Ending)>,
}

/// What all tasks have in common.
pub(super) struct Place {
    /// Where their output goes.
    pub(super) logs: PathBuf,
    /// Bytes that each stream may keep.
    pub(super) log_limit: u64,
    /// What they inherit.
    pub(super) environment: Environment,
}

/// Somebody asked for the end.
#[derive(Debug)]
pub(super) struct EndRequest {
    /// When patience ends.
    pub(super) deadline: Instant,
    /// Every process that was signalled.
    pub(super) signalled: BTreeSet<i32>,
}

/// One stream of a process on its way to its file.
#[derive(Debug)]
pub(super) struct Pipe {
    fd: OwnedFd,
    sink: Sink,
}

/// The end that is read here, which never waits, and the end that a process writes.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((read, write))
}

impl Pipe {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Reads what is there, at most `most` times a buffer; `false` when the stream has ended.
    pub(super) fn pump(&mut self, buffer: &mut [u8], most: usize) -> bool {
        for _ in 0..most {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(0) => return false,
                Ok(count) => self.sink.take(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    pub(super) fn finish(mut self) -> u64 {
        self.sink.finish();
        self.sink.total
    }
}

/// A log file that keeps the beginning and the end of what it is given, within a limit.
#[derive(Debug)]
struct Sink {
    path: PathBuf,
    file: Option<File>,
    limit: u64,
    kept: u64,
    total: u64,
    tail: VecDeque<u8>,
}

impl Sink {
    fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, file: None, limit, kept: 0, total: 0, tail: VecDeque::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = usize::try_from(self.limit.saturating_sub(self.kept)).unwrap_or(usize::MAX).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        if !head.is_empty() {
            // A disk that is full costs log lines, never the task.
            match self.write(head) {
                Ok(()) => self.kept += head.len() as u64,
                Err(_) => self.keep_tail(head),
            }
        }
        self.keep_tail(rest);
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(parent) = self.path.parent() {
                fs::create_dir_all(parent)?;
            }
            self.file = Some(OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// Writes the end of an overlong stream, after a line that says what is missing.
    fn finish(&mut self) {
        let missing = self.total.saturating_sub(self.kept + self.tail.len() as u64);
        let tail = std::mem::take(&mut self.tail);
        if tail.is_empty() {
            return;
        }
        let mark = format!("\n[prov: {missing} bytes left out here; a stream keeps {} bytes]\n", self.limit);
        if missing > 0 {
            let _ = self.write(mark.as_bytes());
        }
        let (first, second) = tail.as_slices();
        let _ = self.write(first).and_then(|()| self.write(second));
    }
}

impl Child {
    /// Starts the process, in a process group of its own, and in its control group, if it has one.
    pub(super) fn start(job: &Job, place: &Place) -> io::Result<Self> {
        let spawn = &job.spawn;
        make_room_for_events(spawn, &place.logs)?;
        let door = job.group.as_ref().map(Group::door).transpose()?;
        let mark = spawn.key.task.to_string();
        let added = spawn.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let stdin = stdin(&spawn.stdin)?;
        let (out, stdout) = pipe()?;
        let (err, stderr) = pipe()?;
        let start = Start {
            program: &spawn.program,
            args: &spawn.args,
            environment: &place.environment,
            added: &added.chain([(census::MARK, mark.as_str())]).collect::<Vec<_>>(),
            cwd: &spawn.cwd,
            streams: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            door: door.as_ref().map(AsFd::as_fd),
        };
        let pid = start.start(&job.pid)?;
        let pipe = |fd, stream| {
            let sink = Sink::new(logs::path(&place.logs, spawn.key.task, stream), place.log_limit);
            Some(Pipe { fd, sink })
        };
        let (out, err) = (pipe(out, Stream::Out), pipe(err, Stream::Err));
        let (key, start, group) = (spawn.key, census::ticks(), job.group.clone());
        Ok(Self { key, pid, started: job.at, start, out, err, group, ending: None, exit: None })
    }

    /// The living processes of the task, as far as can be told; a census is taken where it has no group.
    pub(super) fn members(&self, census: &mut Option<Census>) -> io::Result<Vec<i32>> {
        if let Some(group) = &self.group {
            return Ok(group.members());
        }
        let census = match census {
            Some(census) => census,
            none => none.insert(Census::take()?),
        };
        Ok(census.members(self.key.task, self.pid))
    }

    /// Signals what belongs to the task; the process group as a whole, which can't miss a fork. Whether anything was left.
    pub(super) fn signal(&mut self, signal: Signal, census: &mut Option<Census>) -> bool {
        let Ok(members) = self.members(census) else { return true };
        if self.exit.is_none()
            && let Some(group) = rustix::process::Pid::from_raw(self.pid)
        {
            let _ = rustix::process::kill_process_group(group, signal);
        }
        match &self.group {
            Some(group) if signal == Signal::KILL => _ = group.kill(),
            _ => census::signal(&members, signal),
        }
        let is_left = !members.is_empty();
        if let Some(ending) = &mut self.ending {
            ending.signalled.extend(members);
        }
        is_left
    }

    /// Reads what is left in the pipes and closes them: a descendant that holds them open is not waited for.
    pub(super) fn close_streams(&mut self, buffer: &mut [u8]) -> (u64, u64) {
        let finish = |pipe: Option<Pipe>, buffer: &mut [u8]| {
            pipe.map_or(0, |mut pipe| {
                pipe.pump(buffer, 64);
                pipe.finish()
            })
        };
        (finish(self.out.take(), buffer), finish(self.err.take(), buffer))
    }

    /// What connecting daemons are told first.
    pub(super) fn started(&self) -> wire::Report {
        wire::Report::Started { key: self.key, pid: self.pid, at: self.started }
    }
}

/// The directory of the file that the process may write events to, and no file of an attempt before.
fn make_room_for_events(spawn: &Spawn, logs: &Path) -> io::Result<()> {
    let events = logs::events_path(logs, spawn.key.task);
    match fs::remove_file(&events) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    events.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Standard input from memory, so that a process that reads slowly, or not at all, holds nobody up.
fn stdin(text: &str) -> io::Result<File> {
    if text.is_empty() {
        return File::open("/dev/null");
    }
    let mut file = File::from(rustix::fs::memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Whether a start that failed so may succeed later.
pub(super) fn is_transient(error: &io::Error) -> bool {
    let passing = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC, Errno::DQUOT];
    error.raw_os_error().is_some_and(|code| passing.iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_keeps_the_beginning_and_the_end_within_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/log");
        let mut sink = Sink::new(path.clone(), 10);
        sink.take(b"0123456789");
        assert_eq!(fs::read_to_string(&path).unwrap(), "0123456789");
        for _ in 0..TAIL_BYTES {
            sink.take(b"xy");
        }
        sink.take(b"the end");
        sink.finish();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("0123456789\n[prov: 65543 bytes left out here"), "{}", &text[..60]);
        assert!(text.ends_with("xythe end"));
        assert!(text.len() < TAIL_BYTES + 100);
    }

    #[test]
    fn a_silent_stream_has_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/log");
        let mut sink = Sink::new(path.clone(), 10);
        sink.finish();
        assert!(!path.exists());
    }
}
