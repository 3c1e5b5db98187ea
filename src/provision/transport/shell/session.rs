//! One command over three pipes: its input goes in, its marked output comes out, and it ends at its deadline. What the pipes
//! lead to is the caller's affair.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::header::Mark;
use super::marks::Marked;
use crate::provision::transport::{Exec, ExecResult};

/// How long a login may take until the command begins.
const LOGIN_WITHIN: Duration = Duration::from_mins(1);
/// How long after its deadline a command's end is waited for: the other end gives it a second, then kills for five.
const END_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are written or read at once.
const CHUNK: usize = 65_536;

/// What came of it, as far as the connection told.
#[derive(Debug, Default)]
pub(in crate::provision) struct Told {
    /// The command began.
    pub(in crate::provision) begun: bool,
    /// There is no such program.
    pub(in crate::provision) no_program: bool,
    /// It ended so.
    pub(in crate::provision) status: Option<i32>,
    /// It was ended at its deadline, or because the connection was thought to be gone.
    pub(in crate::provision) ended: bool,
    /// Whether all that it started was ended; known once that was tried.
    pub(in crate::provision) whole: Option<bool>,
    /// It ran beside the group that would have held all that it started.
    loose: bool,
    /// Its standard output is complete.
    complete: bool,
    /// The end of its standard output.
    pub(in crate::provision) stdout: Vec<u8>,
    /// The end of its standard error.
    pub(in crate::provision) stderr: Vec<u8>,
}

impl Told {
    /// What came of the command where that was told; otherwise what was told is given back.
    pub(in crate::provision) fn into_result(self, exec: &Exec<'_>) -> Result<ExecResult, Self> {
        let is_over = exec.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let (status, timed_out, is_whole) = match self.status {
            _ if self.no_program => return Err(self),
            Some(status) => {
                let timed_out = self.ended && exec.deadline.is_some();
                (status, timed_out, timed_out && self.whole == Some(true))
            }
            // It was to be ended there, and whether it was isn't known: no certainty, but no other word for it either.
            None if self.begun && is_over => (128 + 9, true, false),
            None => return Err(self),
        };
        Ok(ExecResult { status, stdout: self.stdout, stderr: self.stderr, timed_out, is_whole })
    }

    const fn is_all(&self) -> bool {
        self.complete && self.status.is_some() && (!self.ended || self.whole.is_some())
    }

    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let word = words.next();
        let number = words.next().and_then(|number| number.parse().ok());
        match word {
            Some("B") => self.begun = true,
            Some("N") => self.no_program = true,
            Some("G") => self.loose = true,
            Some("D") => self.ended = true,
            Some("S") => self.status = number,
            Some("W") => self.whole = Some(number == Some(1) && !self.loose),
            _ => {}
        }
    }
}

/// The pipes: those ends that this side holds.
#[derive(Debug)]
pub(in crate::provision) struct Pipes {
    /// What is written there is the shell's standard input.
    pub(in crate::provision) stdin: OwnedFd,
    /// The shell's standard output.
    pub(in crate::provision) stdout: OwnedFd,
    /// The shell's standard error.
    pub(in crate::provision) stderr: OwnedFd,
}

/// Writes `input` and listens until everything is told, the other end is gone, or waiting is no use. Answers what was told, and
/// whether the other end closed the pipes before that was all.
///
/// # Errors
/// When the pipes can't be used.
pub(in crate::provision) fn run(
    pipes: Pipes,
    input: &[&[u8]],
    mark: &Mark,
    deadline: Option<Instant>,
) -> io::Result<(Told, bool)> {
    let mut session = Session {
        stdin: Some(pipes.stdin.into()),
        stdout: Some(pipes.stdout.into()),
        stderr: Some(pipes.stderr.into()),
        out: Marked::by(mark),
        err: Marked::by(mark),
        told: Told::default(),
        begun_at: Instant::now(),
    };
    session.prepare()?;
    let is_gone = session.follow(input, deadline)?;
    let Session { out, err, mut told, .. } = session;
    (told.stdout, told.stderr) = (out.into_output(), err.into_output());
    Ok((told, is_gone))
}

struct Session {
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    out: Marked,
    err: Marked,
    told: Told,
    begun_at: Instant,
}

impl Session {
    fn prepare(&self) -> io::Result<()> {
        if let (Some(stdin), Some(stdout), Some(stderr)) = (&self.stdin, &self.stdout, &self.stderr) {
            rustix::io::ioctl_fionbio(stdin, true)?;
            rustix::io::ioctl_fionbio(stdout, true)?;
            rustix::io::ioctl_fionbio(stderr, true)?;
        }
        Ok(())
    }

    /// Whether the other end has closed the pipes; otherwise all is told, or it is given up.
    fn follow(&mut self, input: &[&[u8]], deadline: Option<Instant>) -> io::Result<bool> {
        let mut parts = input.to_vec();
        while !self.told.is_all() {
            if self.stdout.is_none() && self.stderr.is_none() {
                return Ok(true);
            }
            let Some(left) = self.patience(deadline) else { return Ok(false) };
            parts.retain(|part| !part.is_empty());
            self.wait(!parts.is_empty(), left)?;
            self.feed(&mut parts);
            self.take()?;
        }
        Ok(false)
    }

    /// How long there is something to wait for; closes the input at the deadline, which tells the other end.
    fn patience(&mut self, deadline: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.stdin = None;
        }
        let next = match deadline {
            Some(deadline) if now >= deadline && self.told.begun => deadline.checked_add(END_WITHIN),
            Some(deadline) if self.told.begun => Some(deadline),
            Some(deadline) => self.begun_at.checked_add(LOGIN_WITHIN).map(|login| login.min(deadline)),
            None if self.told.begun => None,
            None => self.begun_at.checked_add(LOGIN_WITHIN),
        };
        match next {
            Some(next) if next <= now => None,
            Some(next) => Some(next - now),
            None => Some(Duration::MAX),
        }
    }

    fn wait(&self, writes: bool, left: Duration) -> io::Result<()> {
        let mut waited = Vec::with_capacity(3);
        waited.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        waited.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        waited.extend(self.stdin.as_ref().filter(|_| writes).map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        // What is longer than the system can say is for ever.
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut waited, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what can be written. Afterwards the input stays open: its end would mean that this end is gone.
    fn feed(&mut self, parts: &mut [&[u8]]) {
        while let Some(part) = parts.iter_mut().find(|part| !part.is_empty()) {
            let Some(stdin) = &mut self.stdin else { return };
            match stdin.write(&part[..part.len().min(CHUNK)]) {
                Ok(count) => *part = &part[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody reads it; why is told by the other streams.
                Err(_) => self.stdin = None,
            }
        }
    }

    /// Reads what is there.
    fn take(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        if let Some(stdout) = &mut self.stdout {
            match read(stdout, &mut chunk)? {
                Some(0) => self.stdout = None,
                Some(count) => self.told.complete |= !self.out.push(&chunk[..count]).is_empty(),
                None => {}
            }
        }
        if let Some(stderr) = &mut self.stderr {
            match read(stderr, &mut chunk)? {
                Some(0) => self.stderr = None,
                Some(count) => self.err.push(&chunk[..count]).iter().for_each(|line| self.told.hear(line)),
                None => {}
            }
        }
        Ok(())
    }
}

/// The bytes that were read, 0 at the end; `None` where there are none yet.
fn read(from: &mut impl Read, chunk: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(chunk) {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
