//! `prov servers` and `prov infra` as people and the daemon run them, with local servers.
//!
//! The example workspace is written in Nickel.
#![cfg(feature = "nickel")]

mod batch;
mod settings;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use prov::provision::scaffold;

/// A workspace as `prov init` makes it, without servers when it goes.
struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    /// `None` where this host can't have local servers; says why.
    fn new() -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self::without_servers());
        }
        println!("skipped: local servers need root here");
        None
    }

    /// For tests that make none.
    fn without_servers() -> Self {
        let dir = tempfile::tempdir().unwrap();
        scaffold::write(dir.path()).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs prov in the workspace with the words of `line`.
    fn prov(&self, line: &str) -> Ran {
        self.prov_with(line, "", &[])
    }

    fn prov_with(&self, line: &str, stdin: &str, env: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin").envs(env.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that reads nothing may end first.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        Ran::from(child.wait_with_output().unwrap())
    }

    fn rewrite(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The servers that are there, by name.
    fn servers(&self) -> Vec<String> {
        let listed = self.prov("servers list -o name");
        assert_eq!(listed.code, 0, "{listed:?}");
        listed.stdout.lines().map(str::to_owned).collect()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        for infra in ["production", "demo"] {
            let names = self.prov(&format!("servers list --infra {infra} -o name")).stdout.replace('\n', " ");
            if !names.trim().is_empty() {
                self.prov(&format!("servers delete --infra {infra} --yes {names}"));
            }
        }
    }
}

/// What a command said.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
