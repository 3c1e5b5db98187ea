//! A workspace with one infra, `demo`, whose settings are JSON.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

pub struct Hosts(tempfile::TempDir);

impl Hosts {
    pub fn new(settings: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("infra/demo")).unwrap();
        std::fs::write(dir.path().join("prov.toml"), "").unwrap();
        let hosts = Self(dir);
        hosts.declare(settings);
        hosts
    }

    pub fn declare(&self, settings: &Value) {
        std::fs::write(self.path().join("infra/demo/config.json"), settings.to_string()).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs prov with the words of `line`; answers its status and what it printed. Its home is the workspace.
    pub fn prov_with(&self, line: &str, env: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.path()).envs(env.iter().copied()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }
}
