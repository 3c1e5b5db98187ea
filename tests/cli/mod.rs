//! The command line as people, scripts and shells meet it.

mod audit;
mod completion;
mod encryption;
mod errors;
mod logs;
mod mfa;
mod output;
mod policies;
mod selftest;
mod sessions;
mod state;
mod terminal;
mod tokens;
mod users;
mod watching;
mod webhooks;
mod work;

use std::borrow::BorrowMut;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Daemon, run};

/// A user with a home, who may have a daemon to talk to.
struct User {
    home: tempfile::TempDir,
    daemon: Option<Daemon>,
}

/// What a command said.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// Standard output of a success.
    fn out(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.stdout
    }

    /// Standard output of a success, as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(self.out()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard error of a failure with this exit code; nothing stands on standard output.
    fn fails(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        &self.stderr
    }
}

impl User {
    /// Somebody without a daemon.
    fn alone() -> Self {
        Self { home: tempfile::tempdir().unwrap(), daemon: None }
    }

    /// Somebody who has logged in to a daemon of their own.
    fn logged_in() -> Self {
        let mut user = Self::alone();
        run(async { user.daemon = Some(Daemon::start(&[]).await) });
        let login = user.login();
        assert_eq!(login.code, 0, "{login:?}");
        user
    }

    fn login(&self) -> Ran {
        let password = self.daemon().password();
        self.prov_reading(&["login", "--password-stdin"], &password)
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file and answers its path.
    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(args).current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        if let Some(daemon) = &self.daemon {
            command.env("PROV_SERVER", daemon.orchestrator()).env("PROV_CONTROL_CENTER", &daemon.control_center);
        }
        command
    }

    fn prov(&self, args: &[&str]) -> Ran {
        self.prov_reading(args, "")
    }

    fn prov_reading(&self, args: &[&str], stdin: &str) -> Ran {
        ran(self.command(args), stdin)
    }

    /// Runs a batch of one shell script to its end, and answers the batch.
    fn script(&self, name: &str, text: &str) -> Value {
        let batch = serde_json::json!({ "name": name, "operations": [crate::support::script("op", text)] });
        let file = self.file(&format!("{name}.json"), &batch.to_string());
        let id = self.prov(&["batch", "run", &file, "--detach"]).out().trim().to_owned();
        let ended = self.prov(&["batch", "watch", &id, "-q"]);
        assert!([0, 10].contains(&ended.code), "{ended:?}");
        self.prov(&["batch", "get", &id, "-o", "json"]).json()
    }
}

impl Drop for User {
    /// A session in the kernel's keyring would outlast the home.
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.prov(&["logout"]);
        }
    }
}

fn ran(mut command: impl BorrowMut<Command>, stdin: &str) -> Ran {
    let command = command.borrow_mut();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What doesn't read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
