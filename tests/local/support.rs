//! A workspace of its own for each test, whose servers go with it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prov::model::name::Name;
use prov::provision::provider::local::LocalProvider;
use prov::provision::provider::{Provider, ServerSpec};
use prov::provision::transport::{Exec, ExecResult};

/// A workspace with its driver.
pub struct Bench {
    dir: tempfile::TempDir,
    pub provider: LocalProvider,
}

impl Bench {
    /// `None`, and says why, where this account can't make servers as the tests want them.
    pub fn as_root() -> Option<Self> {
        Self::as_root_in(&std::env::temp_dir())
    }

    /// The same with the workspace below `parent`.
    pub fn as_root_in(parent: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        Some(Self::within(parent))
    }

    /// With the rights that this account has.
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> Self {
        let dir = tempfile::tempdir_in(parent).unwrap();
        let provider = LocalProvider::new(dir.path()).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
        Self { dir, provider }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn state_of(&self, server: &str) -> PathBuf {
        self.dir.path().join(".prov/local/production").join(server)
    }

    pub fn sh(&self, server: &str, script: &str) -> ExecResult {
        self.sh_until(server, script, None)
    }

    pub fn sh_until(&self, server: &str, script: &str, deadline: Option<Instant>) -> ExecResult {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.provider
            .transport(&infra(), &name(server))
            .unwrap()
            .exec(&Exec { argv, deadline, ..Exec::default() })
            .unwrap()
    }

    /// What a script that succeeds prints.
    pub fn out(&self, server: &str, script: &str) -> String {
        let result = self.sh(server, script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert_eq!(result.status, 0, "{script}: {}", text(&result.stderr));
        text(&result.stdout)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for server in self.provider.list(&infra()).unwrap_or_default() {
            let _ = self.provider.delete(&infra(), &server.spec.name);
        }
    }
}

pub fn infra() -> Name {
    name("production")
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn spec(server: &str) -> ServerSpec {
    ServerSpec {
        infra: infra(),
        name: name(server),
        plan: "1xCPU-1 GB".parse().unwrap(),
        zone: name("here"),
        operation: String::new(),
        labels: std::collections::BTreeMap::new(),
        extra: serde_json::Map::new(),
    }
}

/// Polls until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Command lines of living processes that mention `needle`.
pub fn processes(needle: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(needle)).collect()
}
