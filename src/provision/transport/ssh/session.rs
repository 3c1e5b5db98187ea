//! One command over one ssh process: its input goes in, its marked output comes out, and it ends at its deadline.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::header::Mark;
use super::marks::Marked;

/// How long a login may take until the command begins.
const LOGIN_WITHIN: Duration = Duration::from_mins(1);
/// How long after its deadline a command's end is waited for: the other end gives it a second, then kills for five.
const END_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are written or read at once.
const CHUNK: usize = 65_536;

/// What came of it, as far as the connection told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The command began.
    pub(super) begun: bool,
    /// There is no such program.
    pub(super) no_program: bool,
    /// It ended so.
    pub(super) status: Option<i32>,
    /// It was ended at its deadline, or because the connection was thought to be gone.
    pub(super) ended: bool,
    /// Whether all that it started was ended; known once that was tried.
    pub(super) whole: Option<bool>,
    /// It ran beside the group that would have held all that it started.
    loose: bool,
    /// Its standard output is complete.
    complete: bool,
    /// The end of its standard output.
    pub(super) stdout: Vec<u8>,
    /// The end of its standard error.
    pub(super) stderr: Vec<u8>,
    /// ssh's own status, where it ended by itself.
    pub(super) ssh: Option<i32>,
}

impl Told {
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

/// Runs `ssh` with `input` on its standard input until everything is told, the connection is gone, or waiting is no use.
///
/// # Errors
/// When ssh can't be run.
pub(super) fn run(ssh: &mut Command, input: &[&[u8]], mark: &Mark, deadline: Option<Instant>) -> io::Result<Told> {
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut session = Session {
        stdin: child.stdin.take(),
        stdout: child.stdout.take(),
        stderr: child.stderr.take(),
        out: Marked::by(mark),
        err: Marked::by(mark),
        told: Told::default(),
        begun_at: Instant::now(),
    };
    let followed = session.prepare().and_then(|()| session.follow(input, deadline));
    session.told.ssh = finish(&mut child, session.told.is_all() || followed.as_ref().is_ok_and(|gone| !gone));
    let Session { out, err, mut told, .. } = session;
    followed?;
    (told.stdout, told.stderr) = (out.into_output(), err.into_output());
    Ok(told)
}

/// Ends ssh, which may wait for what the command left behind; answers its status where it ended by itself.
fn finish(child: &mut Child, kill: bool) -> Option<i32> {
    if kill {
        // Fails where it has ended already.
        let _ = child.kill();
    }
    child.wait().ok().and_then(|status| status.code())
}

struct Session {
    stdin: Option<ChildStdin>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
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

    /// Whether ssh has closed its streams; otherwise all is told, or it is given up.
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
