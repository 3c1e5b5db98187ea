//! The way to a server over ssh, by the system's own `ssh`.
//!
//! Start at [`Ssh`]. Each command is one ssh process over a shared
//! connection ([`room`]), whose other end is a [`shell`](super::shell). Knows no provider.

mod destination;
mod fault;
pub mod key;
pub mod known;
mod options;
mod room;

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::destination::{DEFAULT_PORT, Destination, DestinationError};
use self::fault::Fault;
pub use self::known::{HostKey, HostKeyError, KnownHosts};
pub use self::options::{HostKeys, Way};
pub use self::room::Room;
use super::shell::header::{self, Mark};
use super::shell::session::{self, Pipes, Told};
use super::{Exec, ExecResult, Mirrors, Transport};
use crate::provision::error::ProviderError;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a single try may take whether commands run.
const TRY_WITHIN: Duration = Duration::from_secs(30);
/// The pause after a try that failed: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// What ssh finds in its environment of ours.
const PASSED_ON: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK"];

/// The way to one host over ssh.
#[derive(Clone, Debug)]
pub struct Ssh {
    way: Way,
    room: Arc<Room>,
    connect_within: Duration,
}

impl Ssh {
    /// The way described. Nothing is called yet.
    ///
    /// # Errors
    /// When this host has no place for the connection's socket.
    pub fn new(way: Way) -> Result<Self, ProviderError> {
        let room = Room::shared().map_err(|source| ProviderError::Failed {
            attempt: "can't make a directory for ssh's sockets".to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { way, room, connect_within: CONNECT_WITHIN })
    }

    /// Where its connections are: they last as long as somebody has it.
    #[must_use]
    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// The same where a connection may take as long as `limit`, in whole seconds.
    #[must_use]
    pub const fn connecting_within(mut self, limit: Duration) -> Self {
        self.connect_within = limit;
        self
    }

    /// Where it leads.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.way.to
    }

    /// Tries again and again until commands can run there.
    ///
    /// # Errors
    /// The last fault where that doesn't come about within `limit`; at once where waiting is no use: the host shows a wrong
    /// key.
    pub fn wait_ready(&self, limit: Duration) -> Result<(), ProviderError> {
        let until = Instant::now() + limit;
        let mut pause = PAUSES.0;
        loop {
            let deadline = Some((Instant::now() + TRY_WITHIN).min(until));
            let fault = match self.run(&Exec { argv: vec!["true".to_owned()], deadline, ..Exec::default() }) {
                Ok(result) if result.status == 0 && !result.timed_out => return Ok(()),
                Ok(result) if result.timed_out => Fault::Unreachable("a command takes too long".to_owned()),
                Ok(result) => Fault::NoShell(format!("`true` ended with status {}", result.status)),
                Err(fault) => fault,
            };
            let left = until.saturating_duration_since(Instant::now());
            if !fault.may_pass() || left.is_zero() {
                return Err(fault.error(&self.way.to));
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// The keys by which the host is known there, taken from whoever answers: nobody vouches for them yet. Asked without
    /// logging in, and through the jump host, which must be known.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn shown_key(&self) -> Result<HostKey, ProviderError> {
        const ALIAS: &str = "shown";
        let file = self.room.log();
        let host_keys = HostKeys::FirstSeen { file: file.clone(), alias: ALIAS.to_owned() };
        let mut way = Way { host_keys, identity: Some("/dev/null".into()), ..self.way.clone() };
        if way.jump.is_some() {
            return Err(ProviderError::Invalid {
                what: format!("the key of {} can't be asked for through a jump host", way.to),
                hint: Some("write it in the settings as `host_key`".to_owned()),
            });
        }
        way.sudo = false;
        let failed = self.attempt(&way, false, &Exec { argv: vec!["true".to_owned()], ..Exec::default() });
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        match (known::keys_in(&text, ALIAS).into_iter().next(), failed) {
            (Some(key), _) => Ok(key),
            (None, Err(fault)) => Err(fault.error(&way.to)),
            (None, Ok(_)) => Err(Fault::Unreachable("it shows no host key".to_owned()).error(&way.to)),
        }
    }

    fn run(&self, exec: &Exec<'_>) -> Result<ExecResult, Fault> {
        self.attempt(&self.way, true, exec)
    }

    fn attempt(&self, way: &Way, shares: bool, exec: &Exec<'_>) -> Result<ExecResult, Fault> {
        let mark = Mark::new();
        let limit = exec.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let header = header::header(exec, &mark, limit).map_err(Fault::Request)?;
        let log = self.room.log();
        let sockets = shares.then(|| self.room.dir());
        let arguments = options::arguments(way, sockets, Some(&log), self.connect_within).map_err(Fault::Request)?;
        let mut ssh = Command::new("ssh");
        ssh.args(arguments).arg(header::remote(way.sudo)).env_clear().env("LC_ALL", "C");
        ssh.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let told = converse(&mut ssh, &[&header, exec.stdin], &mark, exec.deadline);
        let logged = std::fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let _ = std::fs::remove_file(&log);
        let (told, status) = told.map_err(Fault::Here)?;
        judge(told, status, &logged, exec)
    }
}

/// Runs ssh until everything is told or waiting is no use; answers with ssh's own status, where it ended by itself.
fn converse(
    ssh: &mut Command,
    input: &[&[u8]],
    mark: &Mark,
    deadline: Option<Instant>,
) -> io::Result<(Told, Option<i32>)> {
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let missing = || io::Error::other("the pipes were asked for");
    let pipes = Pipes {
        stdin: child.stdin.take().ok_or_else(missing)?.into(),
        stdout: child.stdout.take().ok_or_else(missing)?.into(),
        stderr: child.stderr.take().ok_or_else(missing)?.into(),
    };
    let told = session::run(pipes, input, mark, deadline);
    let status = finish(&mut child, told.as_ref().is_ok_and(|(_, is_gone)| !is_gone));
    told.map(|(told, _)| (told, status))
}

/// Ends ssh, which may wait for what the command left behind; answers its status where it ended by itself.
fn finish(child: &mut Child, kill: bool) -> Option<i32> {
    if kill {
        // Fails where it has ended already.
        let _ = child.kill();
    }
    child.wait().ok().and_then(|status| status.code())
}

/// What a session's end means.
fn judge(told: Told, status: Option<i32>, logged: &str, exec: &Exec<'_>) -> Result<ExecResult, Fault> {
    match told.into_result(exec) {
        Ok(result) => Ok(result),
        Err(told) if told.no_program => Err(Fault::NoProgram(exec.argv.first().cloned().unwrap_or_default())),
        Err(told) if told.begun => {
            let words = logged.lines().next_back().unwrap_or("it was closed at the other end").trim().to_owned();
            Err(Fault::Broken(words))
        }
        Err(_) if status.is_none() => Err(Fault::Unreachable("logging in took too long".to_owned())),
        Err(told) => Err(Fault::of_login(logged, &String::from_utf8_lossy(&told.stderr), status)),
    }
}

impl Transport for Ssh {
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        self.run(exec).map_err(|fault| fault.error(&self.way.to))
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::Reached
    }
}
