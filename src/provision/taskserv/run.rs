//! Running scripts and small commands in one server, and what is told of what they said.

use std::time::{Duration, Instant};

use super::host::{Host, HostError};
use super::parameter::{self, Parameter};
use crate::model::name::Name;
use crate::provision::transport::{Exec, ExecResult};

/// How long the small commands may take that prov itself runs in a server.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// Lines of a script's last words that an error shows.
const LAST_LINES: usize = 6;
/// Lines of a script's output that are passed on.
const MOST_LINES: usize = 200;
/// Characters of a line that are passed on.
const MOST_CHARS: usize = 500;

/// How far something that took too long was ended, and no farther.
pub(in crate::provision) const fn whole(is_whole: bool) -> &'static str {
    if is_whole {
        " with everything it started"
    } else {
        ", but what it detached from itself may go on until the server stops"
    }
}

impl Host<'_> {
    /// Runs a script, its text and the seconds that it may take, with the service's parameters in its environment and its text
    /// on standard input.
    pub(super) fn script(
        &self,
        taskserv: &Name,
        parameters: &[(String, Parameter)],
        what: &'static str,
        (text, limit_s): (&str, u64),
    ) -> Result<(), HostError> {
        let result = self.run_script(taskserv, parameters, what, (text, limit_s))?;
        self.pass_on(taskserv, &result);
        Ok(())
    }

    /// The same for a script whose output is an answer.
    pub(super) fn run_script(
        &self,
        taskserv: &Name,
        parameters: &[(String, Parameter)],
        what: &'static str,
        (text, limit_s): (&str, u64),
    ) -> Result<ExecResult, HostError> {
        let (mut env, redaction) = parameter::resolved(taskserv, parameters, self.workspace)?;
        env.extend(self.surroundings(taskserv));
        let argv = ["bash", "-eu", "-o", "pipefail", "-s"].map(str::to_owned).to_vec();
        let result = self.exec(argv, env, text.as_bytes(), Duration::from_secs(limit_s))?;
        let result = redaction.result(result);
        if result.timed_out || result.status != 0 {
            self.pass_on(taskserv, &result);
        }
        let (taskserv, last_words) = (taskserv.clone(), last_words(&result));
        if result.timed_out {
            return Err(HostError::TimedOut { taskserv, what, limit_s, is_whole: result.is_whole, last_words });
        }
        if result.status != 0 {
            return Err(HostError::Script { taskserv, what, status: result.status, last_words });
        }
        Ok(result)
    }

    /// What every script is told of where it runs.
    fn surroundings(&self, taskserv: &Name) -> [(String, String); 7] {
        let cluster = self.cluster.map_or_else(String::new, |cluster| cluster.name.to_string());
        let settled = self.cluster.map_or_else(String::new, |cluster| cluster.settled_beside(self.name(), taskserv));
        [
            ("PROV_SERVER_NAME", self.name().to_string()),
            ("PROV_SERVER_ADDRESS", self.server.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned())),
            ("PROV_INFRA", self.server.spec.infra.to_string()),
            ("PROV_CLUSTER", cluster),
            ("PROV_PEERS", self.peers().to_owned()),
            ("PROV_PEERS_SETTLED", settled),
            ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    pub(super) fn run(&self, argv: &[&str], stdin: &[u8]) -> Result<ExecResult, HostError> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        self.exec(argv, Vec::new(), stdin, HOUSEKEEPING)
    }

    pub(super) fn housekeep(&self, what: &'static str, argv: &[&str], stdin: &[u8]) -> Result<ExecResult, HostError> {
        let result = self.run(argv, stdin)?;
        if result.status == 0 {
            return Ok(result);
        }
        Err(HostError::Housekeeping { what, status: result.status, last_words: last_words(&result) })
    }

    pub(super) fn exec(
        &self,
        argv: Vec<String>,
        env: Vec<(String, String)>,
        stdin: &[u8],
        limit: Duration,
    ) -> Result<ExecResult, HostError> {
        let exec = Exec { argv, env, stdin, deadline: Instant::now().checked_add(limit) };
        Ok(self.transport.exec(&exec)?)
    }

    /// What a script printed, marked with whose it is.
    fn pass_on(&self, taskserv: &Name, result: &ExecResult) {
        for stream in [&result.stdout, &result.stderr] {
            let text = String::from_utf8_lossy(stream);
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(MOST_LINES)..] {
                self.reporter.say(&format!("{} {taskserv}: {}", self.name(), shortened(line)));
            }
        }
    }
}

/// The end of what a script said, for its error.
pub(in crate::provision) fn last_words(result: &ExecResult) -> String {
    let stream = if result.stderr.is_empty() { &result.stdout } else { &result.stderr };
    let text = String::from_utf8_lossy(stream);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => String::new(),
        lines => format!(": {}", lines.iter().map(|line| shortened(line)).collect::<Vec<_>>().join("\n")),
    }
}

fn shortened(line: &str) -> &str {
    line.char_indices().nth(MOST_CHARS).map_or(line, |(end, _)| &line[..end])
}
