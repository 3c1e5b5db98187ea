//! A file → the value it stands for.
//!
//! JSON is parsed here. Nickel is a programming language without limits of its own, and scanning hostile YAML can take
//! quadratic time, so those are read by a process of their own ([`super::evaluator`]) that has no way out: this module
//! starts it, waits no longer than it may take, and says which limit ended it. It does not run through the executor of
//! tasks, which lives in the daemon; this must work without one.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use serde_json::Value;

use super::checker::Finding;
use super::locate::Target;
use super::problem::{Limit, Problem, SettingsError, excerpt};
use super::{jail, locate, parse};
use crate::provision::value_path::ValuePath;
use crate::provision::workspace::Workspace;

/// How long one file may take, in seconds.
pub const TIMEOUT_VARIABLE: &str = "PROV_EVAL_TIMEOUT_SECONDS";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest file that is read: as much as the largest batch that the daemon takes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The largest value that a file may make.
const MAX_VALUE_BYTES: u64 = 64 << 20;
/// Places are looked up in files up to this size only; each look-up parses the file again.
const MAX_LOCATED_BYTES: usize = 1 << 20;
/// Places are looked up for this long at most.
const LOCATE_TIME: Duration = Duration::from_secs(1);

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nickel.
    Nickel,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// The format that the ending of `file` names.
    #[must_use]
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "ncl" => Some(Self::Nickel),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it stands for.
    pub value: Value,
    file: String,
    format: Format,
    text: String,
}

impl Document {
    /// What is wrong with the document, each with its place where that can be found.
    #[must_use]
    pub fn invalid(&self, findings: Vec<Finding>) -> SettingsError {
        let until = Instant::now() + LOCATE_TIME;
        let problems = findings.into_iter().map(|finding| {
            let position = (Instant::now() < until).then(|| self.position(&finding)).flatten();
            Problem {
                file: self.file.clone(),
                position,
                path: finding.path.to_string(),
                message: finding.message,
                excerpt: position.map(|position| excerpt(&self.text, position)).unwrap_or_default(),
                hint: finding.hint,
            }
        });
        SettingsError::Invalid { file: self.file.clone(), problems: problems.collect() }
    }

    /// What the document says, if nothing is wrong with it.
    ///
    /// # Errors
    /// [`Self::invalid`].
    pub fn judged<T>(&self, said: T, findings: Vec<Finding>) -> Result<T, SettingsError> {
        if findings.is_empty() { Ok(said) } else { Err(self.invalid(findings)) }
    }

    /// What is wrong with the document by JSON pointer and message, as others found it, each with its place.
    #[must_use]
    pub fn invalid_at<'p>(&self, problems: impl IntoIterator<Item = (&'p str, &'p str)>) -> SettingsError {
        let finding = |(pointer, message): (&str, &str)| {
            let path = ValuePath::from_pointer(pointer, &self.value).unwrap_or_default();
            Finding { path, target: Target::Value, message: message.to_owned(), hint: None }
        };
        self.invalid(problems.into_iter().map(finding).collect())
    }

    fn position(&self, finding: &Finding) -> Option<(usize, usize)> {
        if self.text.len() > MAX_LOCATED_BYTES {
            return None;
        }
        let at = |path: &ValuePath, target| match self.format {
            Format::Nickel => locate::by_text(&self.text, &self.value, path, target),
            Format::Yaml | Format::Json => locate::in_document(&self.text, path, target),
        };
        // What is missing would stand in what is around it.
        let is_missing = locate::at(&self.value, &finding.path).is_none();
        let around = finding.path.parent().filter(|around| is_missing && !around.segments().is_empty());
        at(&finding.path, finding.target).or_else(|| at(&around?, Target::Value))
    }
}

/// What reads files: the program that evaluates them, and for how long it may.
#[derive(Clone, Debug)]
pub struct Evaluator {
    program: PathBuf,
    timeout: Duration,
}

impl Evaluator {
    /// This very program, with the time limit that the environment gives.
    ///
    /// # Errors
    /// [`SettingsError::Environment`] where the variable holds no number of seconds.
    pub fn from_env() -> Result<Self, SettingsError> {
        let timeout = match std::env::var(TIMEOUT_VARIABLE) {
            Err(std::env::VarError::NotPresent) => DEFAULT_TIMEOUT,
            Ok(text) => seconds(&text)?,
            Err(std::env::VarError::NotUnicode(text)) => seconds(&text.to_string_lossy())?,
        };
        // Not the path of the program: that may hold a newer version by now.
        Ok(Self::new(Path::new("/proc/self/exe"), timeout))
    }

    /// The `prov` at `program`, for at most `timeout` a file.
    #[must_use]
    pub fn new(program: &Path, timeout: Duration) -> Self {
        Self { program: program.to_owned(), timeout }
    }

    /// Reads `file`, wherever it is; it may import what is in its workspace, or its directory where it has none.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn file(&self, file: &Path) -> Result<Document, SettingsError> {
        let workspace = Workspace::containing(file)?;
        let real = file.canonicalize().map_err(|source| SettingsError::Read { path: file.to_owned(), source })?;
        let relative = real.strip_prefix(workspace.root()).ok().and_then(Path::to_str);
        let Some(relative) = relative else {
            return Err(SettingsError::Read { path: real, source: io::ErrorKind::InvalidFilename.into() });
        };
        let shown = |name: &str| if name == relative { file.display().to_string() } else { workspace.shown(name) };
        self.read(&workspace, relative, &shown)
    }

    /// Reads the file `relative` of the workspace.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn document(&self, workspace: &Workspace, relative: &str) -> Result<Document, SettingsError> {
        self.read(workspace, relative, &|name| workspace.shown(name))
    }

    /// Reads a file of the workspace, whose files `shown` names for people.
    fn read(
        &self,
        workspace: &Workspace,
        relative: &str,
        shown: &dyn Fn(&str) -> String,
    ) -> Result<Document, SettingsError> {
        let file = shown(relative);
        let real = workspace.resolve_inside(relative)?;
        if real.is_dir() {
            return Err(SettingsError::Read { path: file.into(), source: io::ErrorKind::IsADirectory.into() });
        }
        let Some(format) = Format::of(&real) else { return Err(SettingsError::UnknownFormat { file }) };
        if format == Format::Nickel && !cfg!(feature = "nickel") {
            return Err(SettingsError::WithoutNickel { file });
        }
        let invalid = |problems| SettingsError::Invalid { file: file.clone(), problems };
        let text = read(&real, &file)?.map_err(|problem| invalid(vec![problem]))?;
        let value = match format {
            Format::Json => parse::json(&text).map_err(|error| vec![error.problem(&file, &text)]),
            Format::Nickel | Format::Yaml => self.in_jail(workspace.root(), relative, shown)?,
        };
        match value {
            Ok(Value::Null) if format == Format::Yaml => {
                let message = "there is nothing in it".to_owned();
                Err(invalid(vec![Problem { file: file.clone(), message, ..Problem::default() }]))
            }
            Ok(value) => Ok(Document { value, file, format, text }),
            Err(problems) => Err(invalid(problems)),
        }
    }

    fn in_jail(
        &self,
        root: &Path,
        file: &str,
        shown: &dyn Fn(&str) -> String,
    ) -> Result<Result<Value, Vec<Problem>>, SettingsError> {
        let failed = |what: String| SettingsError::Evaluator { file: shown(file), what };
        let mut child = Command::new(&self.program)
            .args(["internal", super::evaluator::SUBCOMMAND])
            .args([root, Path::new(file)])
            .arg(self.timeout.as_secs().max(1).to_string())
            .env_clear()
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| failed(format!("its process can't be started: {error}")))?;
        let ended = watch(&mut child, self.timeout);
        // Whatever happened, nothing is left running and nothing is left unreaped.
        let _ = child.kill();
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        let ended = ended.map_err(|error| failed(error.to_string()))?;
        let limit = |limit| SettingsError::Limit { file: shown(file), limit };
        if !ended.in_time {
            return Err(limit(Limit::Time(self.timeout)));
        }
        if ended.stdout.len() as u64 > MAX_VALUE_BYTES {
            return Err(limit(Limit::ValueSize(MAX_VALUE_BYTES)));
        }
        if !status.success() {
            return Err(match broken_limit(status, &ended.stderr, self.timeout) {
                Some(broken) => limit(broken),
                None => failed(last_line(&ended.stderr).unwrap_or_else(|| format!("its process ended with {status}"))),
            });
        }
        let answer = super::evaluator::read_answer(&ended.stdout);
        let answer = answer.ok_or_else(|| failed("its process gave no answer".to_owned()))?;
        let renamed = |problem: Problem| Problem { file: shown(&problem.file), ..problem };
        Ok(answer.map_err(|problems| problems.into_iter().map(renamed).collect()))
    }
}

fn seconds(text: &str) -> Result<Duration, SettingsError> {
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| SettingsError::Environment {
        variable: TIMEOUT_VARIABLE,
        value: text.chars().take(40).collect(),
    })
}

/// The text of the file at `real`: within the size that is read at all, and UTF-8, else the problem.
fn read(real: &Path, file: &str) -> Result<Result<String, Problem>, SettingsError> {
    let failed = |source| SettingsError::Read { path: real.to_owned(), source };
    // A FIFO or a device in the place of a file must not be waited for.
    if !std::fs::metadata(real).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(real).and_then(|f| f.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SettingsError::Limit { file: file.to_owned(), limit: Limit::FileSize(MAX_FILE_BYTES) });
    }
    Ok(String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Problem {
            file: file.to_owned(),
            position: Some((line, column)),
            message: "the text is not UTF-8".to_owned(),
            ..Problem::default()
        }
    }))
}

/// How a child ended.
struct Ended {
    in_time: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Waits for `child` to end, or for `timeout` to pass, and takes what it says meanwhile.
fn watch(child: &mut Child, timeout: Duration) -> io::Result<Ended> {
    const MAX_STDERR_BYTES: u64 = 64 << 10;
    let until = Instant::now() + timeout;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let stdout = reader(child.stdout.take(), MAX_VALUE_BYTES + 1);
    let stderr = reader(child.stderr.take(), MAX_STDERR_BYTES);
    let in_time = wait_until(&pidfd, until)?;
    if !in_time {
        child.kill()?;
    }
    // Its pipes end with it: it can start nothing that would hold them open.
    Ok(Ended { in_time, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() })
}

fn reader(pipe: Option<impl Read + Send + 'static>, limit: u64) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before a failure is still worth having; a pipe that is dropped early ends its writer.
            let _ = pipe.take(limit).read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Whether the process behind `pidfd` ends before `until`.
fn wait_until(pidfd: &impl AsFd, until: Instant) -> io::Result<bool> {
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The limit that ended the process, going by how it ended and what the runtime said last.
fn broken_limit(status: ExitStatus, stderr: &[u8], timeout: Duration) -> Option<Limit> {
    let said = String::from_utf8_lossy(stderr);
    let signal = status.signal()?;
    if said.contains("memory allocation of") {
        Some(Limit::Memory(jail::MEMORY_BYTES))
    } else if said.contains("overflowed its stack") || signal == Signal::SEGV.as_raw() {
        Some(Limit::Depth)
    } else if signal == Signal::XCPU.as_raw() || signal == Signal::KILL.as_raw() {
        Some(Limit::Time(timeout))
    } else {
        None
    }
}

fn last_line(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}

impl parse::ParseError {
    /// The error as a problem of `file`, whose text is `text`.
    pub(super) fn problem(self, file: &str, text: &str) -> Problem {
        Problem {
            file: file.to_owned(),
            position: self.position,
            message: self.message,
            excerpt: self.position.map(|position| excerpt(text, position)).unwrap_or_default(),
            ..Problem::default()
        }
    }
}
