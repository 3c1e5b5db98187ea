//! How commands run in a server, and how files get there.
//!
//! A [`Transport`] leads to one server; its provider opens it ([`super::provider::Provider::transport`]). Files go and come
//! by commands unless a transport knows better. Knows nothing of task services.

pub(in crate::provision) mod shell;
pub mod ssh;
pub mod tail;

use std::time::{Duration, Instant};

use super::error::ProviderError;

/// How long the small commands may take by which files are written and read.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// A command to run inside a server.
#[derive(Clone, Debug, Default)]
pub struct Exec<'a> {
    /// Program and arguments; no shell sees them.
    pub argv: Vec<String>,
    /// The whole environment besides `PATH`, `HOME`, `USER` and `LANG`. It may hold secrets: it reaches no command line.
    pub env: Vec<(String, String)>,
    /// What it reads from standard input.
    pub stdin: &'a [u8],
    /// When it is ended with everything it started; `None` waits for ever.
    pub deadline: Option<Instant>,
}

/// What came of an [`Exec`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// The exit status; 128 + signal where a signal ended it.
    pub status: i32,
    /// Standard output, at most 1 MiB (the end of it).
    pub stdout: Vec<u8>,
    /// Standard error, at most 1 MiB (the end of it).
    pub stderr: Vec<u8>,
    /// Whether the deadline ended it.
    pub timed_out: bool,
    /// Whether it is certain that a command which the deadline ended was ended with everything it started.
    pub is_whole: bool,
}

/// Where a server's packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrors {
    /// The server reaches mirrors itself.
    Reached,
    /// Its network ends at this host, which fetches packages for it.
    ThroughHost,
}

/// The way to one server that runs.
pub trait Transport: Send + Sync {
    /// Runs a command as the server's root.
    ///
    /// # Errors
    /// When it can't be started; a status other than 0 is no error here.
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError>;

    /// Where its packages come from.
    fn mirrors(&self) -> Mirrors;

    /// Writes a file for root alone, with the directories above it. It is there wholly or not at all, whenever the machine
    /// stops.
    ///
    /// # Errors
    /// When it isn't.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), ProviderError> {
        let script = r#"directory=${1%/*}; part=$directory/.${1##*/}
mkdir -p "$directory" && umask 077 && cat > "$part" && sync "$part" && mv "$part" "$1" && sync "$directory""#;
        self.keep_house("write", path, &["sh", "-c", script, "sh", path], bytes).map(drop)
    }

    /// The file, if there is one; at most 1 MiB.
    ///
    /// # Errors
    /// When that can't be said.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ProviderError> {
        let script = r#"if [ -e "$1" ]; then echo there && cat "$1"; fi"#;
        let out = self.keep_house("read", path, &["sh", "-c", script, "sh", path], b"")?;
        Ok(out.strip_prefix(b"there\n").map(<[u8]>::to_vec))
    }

    /// The contents of all files directly in `directory` whose names end in `ending`, by name. None of them may hold a line
    /// that is empty.
    ///
    /// # Errors
    /// When that can't be said; that there is no such directory is none.
    fn read_all(&self, directory: &str, ending: &str) -> Result<Vec<Vec<u8>>, ProviderError> {
        let script = r#"for file in "$1"/*"$2"; do if [ -f "$file" ]; then cat "$file" && printf '\n\n'; fi; done"#;
        let out = self.keep_house("read", directory, &["sh", "-c", script, "sh", directory, ending], b"")?;
        let text = String::from_utf8_lossy(&out);
        Ok(text.split("\n\n").filter(|one| !one.is_empty()).map(|one| one.as_bytes().to_vec()).collect())
    }

    /// Removes files; absent ones count as removed.
    ///
    /// # Errors
    /// When one is left.
    fn remove(&self, paths: &[String]) -> Result<(), ProviderError> {
        let mut argv = vec!["rm", "-f", "--"];
        argv.extend(paths.iter().map(String::as_str));
        self.keep_house("remove", &paths.join(", "), &argv, b"").map(drop)
    }

    /// Runs a small command that does something with a file; answers what it printed.
    #[doc(hidden)]
    fn keep_house(&self, what: &str, path: &str, argv: &[&str], stdin: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let result =
            self.exec(&Exec { argv, stdin, deadline: Instant::now().checked_add(HOUSEKEEPING), ..Exec::default() })?;
        if result.status == 0 && !result.timed_out {
            return Ok(result.stdout);
        }
        let attempt = format!("can't {what} {path} in the server");
        let why = String::from_utf8_lossy(&result.stderr).trim().to_owned();
        let why = if result.timed_out { "it took too long".to_owned() } else { why };
        Err(ProviderError::Failed { attempt, source: why.into() })
    }
}
