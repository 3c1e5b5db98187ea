//! A command in a container: its streams by one attached connection, its environment by standard input.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::engine::{Engine, LIMIT, refused};
use super::http;
use crate::provision::provider::ProviderError;
use crate::provision::transport::tail::Tail;
use crate::provision::transport::{Exec, ExecResult};

/// How long silence lasts until the engine is asked whether the command has ended.
const TICK: Duration = Duration::from_millis(100);
/// Reads the environment from standard input, which is a line of `export`s each up to one that is `.`, then becomes the command.
const BECOME: &str = r#"s=; while IFS= read -r l && [ "$l" != . ]; do s="$s$l
"; done; eval "$s"; unset s l; cd /root 2>/dev/null || cd /; exec "$@""#;
/// Ends what carries the mark `$1`.
const END: &str = r#"n=0; while [ $n -lt 40 ]; do p=$(grep -ls "PROV_EXEC=$1" /proc/[0-9]*/environ); [ -n "$p" ] || exit 0
for f in $p; do f=${f#/proc/}; kill -9 "${f%/environ}"; done; n=$((n + 1)); done 2>/dev/null"#;

/// Runs `exec` in `container`.
pub fn run(engine: &Engine, container: &str, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
    let Some(program) = exec.argv.first() else {
        return Err(ProviderError::Invalid { what: "there is no command to run".to_owned(), hint: None });
    };
    let attempt = format!("can't run {program:?}");
    let mut input = header(&exec.env)?;
    input.extend_from_slice(exec.stdin);
    let mark = uuid::Uuid::now_v7().simple().to_string();
    let mut argv = vec!["sh", "-c", BECOME, "sh"];
    argv.extend(exec.argv.iter().map(String::as_str));
    let id = prepare(engine, container, &attempt, &argv, &mark)?;
    let broken = |error: io::Error| ProviderError::Failed { attempt: attempt.clone(), source: Box::new(error) };
    let body = json!({"Detach": false, "Tty": false});
    let line = engine.line("POST", &format!("/exec/{id}/start"));
    let mut reader = match http::attach(&engine.socket, &line, &body, LIMIT).map_err(broken)? {
        Ok(reader) => reader,
        Err(answer) => return Err(refused(&attempt, &serde_json::from_slice(&answer.body).unwrap_or_default())),
    };
    reader.get_ref().set_read_timeout(Some(TICK)).map_err(broken)?;
    reader.get_ref().set_write_timeout(None).map_err(broken)?;
    let mut writer = reader.get_ref().try_clone().map_err(broken)?;
    let mut streams = Streams::default();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            // A command needn't read its input.
            let _ = writer.write_all(&input);
            let _ = writer.shutdown(Shutdown::Write);
        });
        let ended = follow(engine, &id, &attempt, &mut reader, &mut streams, exec.deadline);
        let _ = reader.get_ref().shutdown(Shutdown::Both);
        ended
    })?;
    if ended.is_none() {
        end(engine, container, &mark)?;
    }
    let (stdout, stderr) = (streams.stdout.into_bytes(), streams.stderr.into_bytes());
    // What has taken the mark off itself isn't found, so it is never certain that all was ended.
    Ok(ExecResult { status: ended.unwrap_or(137), stdout, stderr, timed_out: ended.is_none(), is_whole: false })
}

/// The exit status; `None` where the deadline came first.
fn follow(
    engine: &Engine,
    id: &str,
    attempt: &str,
    reader: &mut impl Read,
    streams: &mut Streams,
    deadline: Option<Instant>,
) -> Result<Option<i32>, ProviderError> {
    let mut chunk = vec![0; 65_536];
    let mut is_open = true;
    loop {
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_open {
            match reader.read(&mut chunk) {
                Ok(0) => is_open = false,
                Ok(length) => {
                    streams.push(&chunk[..length]);
                    if !is_late {
                        continue;
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => is_open = false,
            }
        }
        // What the command left running may hold its streams open for ever.
        let said = engine.must(attempt, "GET", &format!("/exec/{id}/json"), None)?;
        if said["Running"] == Value::Bool(false) {
            let status = said["ExitCode"].as_i64().and_then(|status| i32::try_from(status).ok());
            return status.map(Some).ok_or_else(|| refused(attempt, &said));
        }
        if is_late {
            return Ok(None);
        }
        if !is_open {
            std::thread::sleep(TICK / 5);
        }
    }
}

fn prepare(
    engine: &Engine,
    container: &str,
    attempt: &str,
    argv: &[&str],
    mark: &str,
) -> Result<String, ProviderError> {
    let env = [&format!("PROV_EXEC={mark}"), "HOME=/root", "USER=root", "LANG=C.UTF-8"];
    let body = json!({"AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Cmd": argv, "Env": env, "User": "0:0"});
    let said = engine.must(attempt, "POST", &format!("/containers/{container}/exec"), Some(&body))?;
    said["Id"].as_str().map(str::to_owned).ok_or_else(|| refused(attempt, &said))
}

fn end(engine: &Engine, container: &str, mark: &str) -> Result<(), ProviderError> {
    let attempt = "can't end a command whose time is up";
    let body = json!({"Cmd": ["sh", "-c", END, "sh", mark], "User": "0:0"});
    let said = engine.must(attempt, "POST", &format!("/containers/{container}/exec"), Some(&body))?;
    let id = said["Id"].as_str().ok_or_else(|| refused(attempt, &said))?;
    let path = format!("/exec/{id}/start");
    engine.must(attempt, "POST", &path, Some(&json!({"Detach": true}))).map(drop)
}

/// The environment as a shell reads it.
fn header(env: &[(String, String)]) -> Result<Vec<u8>, ProviderError> {
    let mut text = String::new();
    for (name, value) in env {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| !c.is_ascii_digit());
        // A line that is a dot would end the environment.
        if !is_name || value.contains('\0') || value.lines().any(|line| line == ".") {
            let what = format!("the variable {name:?} can't be given to a command in a container");
            return Err(ProviderError::Invalid { what, hint: None });
        }
        text.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
    }
    text.push_str(".\n");
    Ok(text.into_bytes())
}

/// Both streams of a command, put together from frames: a byte that says which, three of nothing, the length in four.
#[derive(Debug, Default)]
struct Streams {
    pending: Vec<u8>,
    stdout: Tail,
    stderr: Tail,
}

impl Streams {
    fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        while let Some(([stream, _, _, _, length @ ..], after)) = rest.split_first_chunk::<8>()
            && let Some((frame, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize)
        {
            if *stream == 2 {
                self.stderr.push(frame);
            } else {
                self.stdout.push(frame);
            }
            rest = after;
        }
        self.pending = rest.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_any_pieces() {
        let bytes = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01e\x01\0\0\0\0\0\0\x01c";
        for size in 1..=bytes.len() {
            let mut streams = Streams::default();
            bytes.chunks(size).for_each(|piece| streams.push(piece));
            assert_eq!((streams.stdout.into_bytes(), streams.stderr.into_bytes()), (b"abc".to_vec(), b"e".to_vec()));
        }
    }

    #[test]
    fn no_variable_breaks_out_of_its_quotes() {
        let text = |name: &str, value: &str| header(&[(name.to_owned(), value.to_owned())]).ok();
        assert_eq!(text("A", "x'y").unwrap(), b"export A='x'\\''y'\n.\n");
        assert!(text("A", "x\n.\ny").is_none() && text("A;b", "x").is_none() && text("1", "x").is_none());
    }
}
