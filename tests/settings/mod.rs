//! Settings files through the real evaluator: what is read, what is refused, and that nothing gets out or hangs.

#[cfg(feature = "nickel")]
mod jail;
mod messages;
#[cfg(feature = "nickel")]
mod scaffold;

use std::fs;
use std::path::Path;
use std::time::Duration;

use prov::model::name::Name;
use prov::provision::settings::{Evaluator, Settings, SettingsError, load_with};
use prov::provision::workspace::Workspace;

/// A workspace in a directory of its own, with one infra `a`.
struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("infra/a")).unwrap();
        fs::write(dir.path().join("prov.toml"), "").unwrap();
        Self { dir }
    }

    /// Writes `text` to `path`, relative to the workspace.
    fn with(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn workspace(&self) -> Workspace {
        Workspace::open(self.dir.path()).unwrap()
    }

    /// The settings of the infra `a` in its file `file`.
    fn load(&self, file: &str) -> Result<Settings, Told> {
        self.load_within(file, Duration::from_secs(30))
    }

    fn load_within(&self, file: &str, timeout: Duration) -> Result<Settings, Told> {
        let loaded = load_with(&evaluator(timeout), &self.workspace(), &Name::new("a").unwrap(), file);
        loaded.map_err(|error| Told { error, directory: format!("{}/", self.dir.path().display()) })
    }
}

/// An error as somebody in the workspace would see it.
#[derive(Debug)]
struct Told {
    error: SettingsError,
    directory: String,
}

impl std::ops::Deref for Told {
    type Target = SettingsError;
    fn deref(&self) -> &SettingsError {
        &self.error
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error.to_string().replace(&self.directory, ""))
    }
}

fn evaluator(timeout: Duration) -> Evaluator {
    Evaluator::new(Path::new(env!("CARGO_BIN_EXE_prov")), timeout)
}
