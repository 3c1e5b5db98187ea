//! Commands in a container, by way of a shell in it; and what is asked of it when it is made: whether its limits hold, and
//! that it knows its fellows by name.

use std::net::{Ipv4Addr, Shutdown};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::engine::{Engine, LIMIT, refused};
use super::stream::{Attached, attach, pump};
use crate::model::name::Name;
use crate::model::plan::Plan;
use crate::provision::provider::ProviderError;
use crate::provision::provider::local::cgroup::PIDS_MAX;
use crate::provision::provider::local::{failed, hosts, not_running};
use crate::provision::transport::shell::header::{self, Mark};
use crate::provision::transport::shell::session;
use crate::provision::transport::{Exec, ExecResult, Mirrors, Transport};

/// How long the small commands may take by which a container is set up.
const SETUP_WITHIN: Duration = Duration::from_secs(30);
/// Prints what the control groups of the container allow, of version 2 or else of version 1: memory, the share of the
/// processors in two numbers, processes.
const LIMITS: &str = r#"cd /sys/fs/cgroup 2>/dev/null || exit 0
one() { for f in "$@"; do if [ -f "$f" ]; then cat "$f"; return; fi; done; echo max; }
one memory.max memory/memory.limit_in_bytes
if [ -f cpu.max ]; then cat cpu.max
else echo $(one cpu/cpu.cfs_quota_us cpu,cpuacct/cpu.cfs_quota_us) $(one cpu/cpu.cfs_period_us cpu,cpuacct/cpu.cfs_period_us); fi
one pids.max pids/pids.max"#;
/// In place: the engine shows the file by a mount.
const WRITE_HOSTS: &str = "cat >/etc/hosts";

/// The way into a container that runs.
pub struct Inside {
    engine: Engine,
    id: String,
    name: Name,
}

impl Inside {
    /// Into the container `id`, which is the server `name`.
    pub const fn new(engine: Engine, id: String, name: Name) -> Self {
        Self { engine, id, name }
    }

    fn prepare(&self, attempt: &str) -> Result<String, ProviderError> {
        let body = json!({
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "User": "0:0",
            "Cmd": ["/bin/sh", "-c", header::remote(false)],
        });
        let path = format!("/containers/{}/exec", self.id);
        match self.engine.ask(&Method::POST, &path, Some(&body), LIMIT)? {
            (404 | 409, _) => Err(not_running(&self.name)),
            (status, said) if status < 400 => {
                said["Id"].as_str().map(str::to_owned).ok_or_else(|| refused(attempt, &said))
            }
            (_, said) => Err(refused(attempt, &said)),
        }
    }

    fn small(&self, script: &str, stdin: &[u8]) -> Result<ExecResult, ProviderError> {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.exec(&Exec { argv, stdin, deadline: Instant::now().checked_add(SETUP_WITHIN), ..Exec::default() })
    }

    /// Whether the limits of `plan` hold, as the kernel tells inside.
    pub fn limits(&self, plan: &Plan) -> Result<String, ProviderError> {
        let out = self.small(LIMITS, b"")?;
        Ok(limits(&String::from_utf8_lossy(&out.stdout), plan))
    }

    /// Tells the container the names of its `fellows`.
    pub fn introduce(&self, fellows: &[(String, Ipv4Addr)]) -> Result<(), ProviderError> {
        let old = self.read("/etc/hosts")?.unwrap_or_default();
        let old = String::from_utf8_lossy(&old);
        let new = hosts::with_fellows(&old, fellows);
        if new == *old {
            return Ok(());
        }
        let out = self.small(WRITE_HOSTS, new.as_bytes())?;
        if out.status == 0 && !out.timed_out {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        Err(ProviderError::Failed {
            attempt: format!("can't write /etc/hosts of server {}", self.name),
            source: why.into(),
        })
    }
}

impl Transport for Inside {
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        let program = exec.argv.first().cloned().unwrap_or_default();
        let attempt = format!("can't run {program:?} in server {}", self.name);
        let mark = Mark::new();
        let limit = exec.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let header = header::header(exec, &mark, limit)?;
        let id = self.prepare(&attempt)?;
        let path = self.engine.path(&format!("/exec/{id}/start"));
        let broken = |error| failed(attempt.clone(), error);
        let body = json!({"Detach": false, "Tty": false});
        let stream = match attach(self.engine.socket(), &path, &body, LIMIT).map_err(broken)? {
            Attached::Streams(stream) => stream,
            Attached::Refused(said) => return Err(refused(&attempt, &said)),
        };
        let told = std::thread::scope(|scope| {
            let pipes = pump(scope, &stream);
            let told = pipes.and_then(|pipes| session::run(pipes, &[&header, exec.stdin], &mark, exec.deadline));
            // Ends the threads; where the command goes on, its shell learns that nobody listens.
            let _ = stream.shutdown(Shutdown::Both);
            told
        });
        let (told, _) = told.map_err(broken)?;
        told.into_result(exec).map_err(|told| {
            let why = if told.no_program {
                "there is no such program".to_owned()
            } else if told.begun {
                "the container or its engine ended before it did".to_owned()
            } else {
                format!("no shell answers there: {}", String::from_utf8_lossy(&told.stderr).trim())
            };
            ProviderError::Failed { attempt, source: why.into() }
        })
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::Reached
    }
}

/// What the lines that [`LIMITS`] printed mean for `plan`.
fn limits(printed: &str, plan: &Plan) -> String {
    let mut lines = printed.lines();
    let most = |line: Option<&str>| line.and_then(|line| line.trim().parse::<u64>().ok());
    let memory = most(lines.next()).is_some_and(|bytes| bytes <= plan.memory_mib << 20);
    let cpus = lines.next().and_then(|line| {
        let (quota, period) = line.split_once(' ')?;
        let (quota, period) = (quota.parse::<u64>().ok()?, period.trim().parse::<u64>().ok()?);
        Some(quota <= period * u64::from(plan.cpus))
    });
    let pids = most(lines.next()).is_some_and(|pids| pids <= u64::from(PIDS_MAX));
    let held = [("cpu", cpus == Some(true)), ("memory", memory), ("pids", pids)];
    let lacking: Vec<_> = held.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect();
    match lacking.len() {
        0 => "enforced (container engine)".to_owned(),
        3 => "not enforced: the container shows none".to_owned(),
        _ => format!("enforced (container engine), but not {}", lacking.join(" and not ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_where_the_kernel_says_so() {
        let plan: Plan = "2xCPU-1 GB".parse().unwrap();
        let said = |text: &str| limits(text, &plan);
        assert_eq!(said("1073741824\n200000 100000\n16384\n"), "enforced (container engine)");
        assert_eq!(said("max\n200000 100000\n16384\n"), "enforced (container engine), but not memory");
        assert_eq!(said("1073741824\n300000 100000\nmax\n"), "enforced (container engine), but not cpu and not pids");
        assert_eq!(said("max\nmax 100000\nmax\n"), "not enforced: the container shows none");
        assert_eq!(said("9223372036854771712\n-1 100000\nmax\n"), "not enforced: the container shows none");
        assert_eq!(said(""), "not enforced: the container shows none");
    }
}
