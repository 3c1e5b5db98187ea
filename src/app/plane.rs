//! Questions that only the execution plane can answer: it is asked in a process of its own, which has its time and no more.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::de::DeserializeOwned;

use super::error::Error;
use super::{Resources, aside};
use crate::model::rehearsal::{MODE_VARIABLE, ProviderMode};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer at most.
const MOST: u64 = 16 * 1024 * 1024;
/// The exit status of a command that found no such thing.
const NOT_FOUND: i32 = 6;
/// That of one that was told something wrong, such as settings that are not valid.
const WRONG: i32 = 2;

/// What came of a question.
pub(super) enum Answered<T> {
    Data(T),
    /// There is no such thing.
    NotFound,
    /// What it was asked about is wrong: how.
    Wrong(String),
    /// It could not find out, and says why.
    Failed(String),
}

impl Resources {
    /// Asks the execution plane with these words.
    ///
    /// # Errors
    /// When it can't be started, takes too long, fails, or says what nobody understands.
    pub(super) async fn ask_plane<T: DeserializeOwned + Send + 'static>(
        &self,
        words: &[&str],
    ) -> Result<Answered<T>, Error> {
        let mode = self.program.mode.clone();
        match self.ask_plane_about(Question { words, stdin: String::new(), mode }).await? {
            Answered::Failed(why) => Err(cannot(words, &why)),
            answered => Ok(answered),
        }
    }

    /// The same with something to read.
    ///
    /// # Errors
    /// As [`Resources::ask_plane`].
    pub(super) async fn ask_plane_about<T: DeserializeOwned + Send + 'static>(
        &self,
        question: Question<'_>,
    ) -> Result<Answered<T>, Error> {
        let Question { words, stdin, mode } = question;
        let mut command = Command::new(&self.program.path);
        command.env(MODE_VARIABLE, mode.to_string());
        command.args(words).args(["--output", "json", "--no-input", "--workspace"]).arg(&self.workspace);
        let turn = self.plane.acquire().await;
        let said = aside(move || run(command, &stdin)).await?;
        drop(turn);
        let said = said.map_err(|error| cannot(words, &error.to_string()))?;
        match said.code {
            Some(0) => {
                serde_json::from_slice(&said.out).map(Answered::Data).map_err(|error| cannot(words, &error.to_string()))
            }
            Some(NOT_FOUND) => Ok(Answered::NotFound),
            Some(WRONG) => Ok(Answered::Wrong(said.why())),
            _ => Ok(Answered::Failed(said.why())),
        }
    }
}

fn cannot(words: &[&str], why: &str) -> Error {
    let what = words.join(" ");
    tracing::warn!(what, why, "the execution plane doesn't answer");
    Error::Unavailable(format!("the execution plane can't be asked for `{what}`: {why}"))
}

/// A question to the execution plane.
pub(super) struct Question<'q> {
    /// Its command.
    pub(super) words: &'q [&'q str],
    /// What that reads from standard input.
    pub(super) stdin: String,
    /// How it reaches providers.
    pub(super) mode: ProviderMode,
}

struct Said {
    code: Option<i32>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Said {
    /// The error it printed.
    fn why(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Printed {
            error: String,
            #[serde(default)]
            causes: Vec<String>,
            #[serde(default)]
            hints: Vec<String>,
        }
        match serde_json::from_slice::<Printed>(&self.err) {
            Ok(Printed { error, causes, hints }) => {
                let hints: String = hints.iter().map(|hint| format!(" ({hint})")).collect();
                [vec![error], causes].concat().join(": ") + &hints
            }
            Err(_) => String::from_utf8_lossy(&self.err).trim().to_owned(),
        }
    }
}

fn run(mut command: Command, stdin: &str) -> io::Result<Said> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (done, ended) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let is_late = ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if let Some(group) = group.filter(|_| is_late) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        is_late
    });
    if let Some(mut pipe) = child.stdin.take() {
        // A command that ends without reading says why itself.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let read = read(&mut child);
    if read.is_err() {
        let _ = child.kill();
    }
    // It is waited for and not yet let go, so that its number can't be another's while it may still be killed.
    if let Some(group) = group {
        let _ = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    }
    drop(done);
    let is_late = watch.join().unwrap_or(false);
    let (status, (out, err)) = (child.wait()?, read?);
    if is_late {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {} s", PATIENCE.as_secs())));
    }
    Ok(Said { code: status.code(), out, err })
}

/// Both streams at once, so that neither holds up the other.
fn read(child: &mut Child) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let whole = |stream: Option<Box<dyn Read + Send>>| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            stream.take(MOST).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    let errors = std::thread::spawn(move || whole(stderr.map(|it| Box::new(it) as Box<dyn Read + Send>)));
    let out = whole(stdout.map(|it| Box::new(it) as Box<dyn Read + Send>))?;
    let err = errors.join().unwrap_or_else(|_| Ok(Vec::new()))?;
    Ok((out, err))
}
