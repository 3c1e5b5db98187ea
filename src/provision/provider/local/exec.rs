//! Running a command in a server, seen from outside: one helper process a command (see [`inside`]), which is sent the
//! request and answers when the command has ended; with it goes a [`warden`], which can end the command.
//!
//! Neither arguments nor environment of the command ever stand on a command line of the host.

mod group;
pub mod inside;
mod leftover;
mod warden;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::state::ServerDir;
use super::sys::Fault;
use super::{ProviderError, failed};
use crate::model::name::Name;
use crate::provision::transport::{Exec, ExecResult};

/// The word after `prov internal`.
pub const SUBCOMMAND: &str = "local-exec";

/// What the helper is asked: this as JSON after its length in eight bytes, then the command's standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    /// Milliseconds until the command and all it started are ended.
    limit_ms: Option<u64>,
}

/// What it answers: this as JSON after its length in eight bytes, then both streams' ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    /// The command ran.
    Ended { status: i32, timed_out: bool, is_whole: bool, stdout_bytes: usize, stderr_bytes: usize },
    /// It could not be started.
    Failed(Fault),
}

/// Runs `exec` in the server.
pub(super) fn run(program: &Path, dir: &ServerDir, name: &Name, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
    if exec.argv.is_empty() {
        return Err(ProviderError::Invalid { what: "there is no command to run".to_owned(), hint: None });
    }
    let request = Request {
        argv: exec.argv.clone(),
        env: exec.env.clone(),
        limit_ms: exec.deadline.map(|deadline| {
            u64::try_from(deadline.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
        }),
    };
    let wrong = |error| failed(format!("can't run {:?} in server {name}", exec.argv[0]), error);
    let mut input = frame(&request).map_err(wrong)?;
    input.extend_from_slice(exec.stdin);
    match converse(program, dir, &input).and_then(|answer| parse(&answer)).map_err(wrong)? {
        Ok(result) => Ok(result),
        Err(Fault { what, hint }) => Err(ProviderError::Unavailable {
            what: format!("can't run {:?} in server {name}: {what}", exec.argv[0]),
            hint,
        }),
    }
}

fn frame(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

fn parse(answer: &[u8]) -> io::Result<Result<ExecResult, Fault>> {
    let cut_short = || io::Error::other("the process that ran it ended without an answer");
    let (length, rest) = answer.split_first_chunk::<8>().ok_or_else(cut_short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(io::Error::other)?;
    let (json, streams) = rest.split_at_checked(length).ok_or_else(cut_short)?;
    match serde_json::from_slice(json)? {
        Reply::Failed(fault) => Ok(Err(fault)),
        Reply::Ended { status, timed_out, is_whole, stdout_bytes, stderr_bytes } => {
            let (stdout, stderr) = streams.split_at_checked(stdout_bytes).ok_or_else(cut_short)?;
            if stderr.len() != stderr_bytes {
                return Err(cut_short());
            }
            Ok(Ok(ExecResult { status, stdout: stdout.to_vec(), stderr: stderr.to_vec(), timed_out, is_whole }))
        }
    }
}

/// Starts the helper, sends it `input` and reads all it answers.
fn converse(program: &Path, dir: &ServerDir, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut helper = Command::new(program)
        .args(["internal", SUBCOMMAND])
        .arg(dir.path())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdin = helper.stdin.take().expect("the pipe was asked for");
    let mut stdout = helper.stdout.take().expect("the pipe was asked for");
    let answer = exchange(stdin, &mut stdout, input);
    // Without a reader the helper ends the command; with a complete answer it ends at once.
    drop(stdout);
    helper.wait()?;
    answer
}

/// Writes and reads at once, for the command may answer before it has read everything, or never read it.
fn exchange(stdin: ChildStdin, stdout: &mut (impl Read + AsFd), input: &[u8]) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&stdin, true)?;
    let mut stdin = Some(stdin);
    let (mut sent, mut answer, mut chunk) = (0, Vec::new(), vec![0; 65_536]);
    loop {
        if sent == input.len() {
            stdin = None;
        }
        let mut waited = vec![PollFd::new(stdout, PollFlags::IN)];
        waited.extend(stdin.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        match poll(&mut waited, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let readable = !waited[0].revents().is_empty();
        let writable = waited.get(1).is_some_and(|stdin| !stdin.revents().is_empty());
        if writable && let Some(pipe) = stdin.as_mut() {
            match pipe.write(&input[sent..]) {
                Ok(count) => sent += count,
                // Nobody reads it any more: that is the command's own affair.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => stdin = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if readable {
            match stdout.read(&mut chunk)? {
                0 => return Ok(answer),
                count => answer.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_short_is_an_error() {
        let reply = Reply::Ended { status: 3, timed_out: false, is_whole: false, stdout_bytes: 2, stderr_bytes: 1 };
        let mut bytes = frame(&reply).unwrap();
        bytes.extend_from_slice(b"ab!");
        let result = parse(&bytes).unwrap().unwrap();
        assert_eq!((result.status, result.stdout.as_slice(), result.stderr.as_slice()), (3, &b"ab"[..], &b"!"[..]));
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "{length}");
        }
    }
}
