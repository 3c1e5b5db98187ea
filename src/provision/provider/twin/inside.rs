//! Inside a machine of a twin: commands take their time and succeed, files are kept.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::chance;
use super::state::{self, Held};
use crate::model::rehearsal::Rehearsal;
use crate::provision::provider::ProviderError;
use crate::provision::provider::cloud::{Machine, Reach};
use crate::provision::transport::{Exec, ExecResult, Mirrors, Transport};

/// Seconds that a script takes.
const SCRIPT: (f64, f64) = (3.0, 30.0);
/// What a script is read from; other commands are small.
const SHELL: &str = "bash";

/// The way to all machines of a twin.
pub(super) struct Door {
    pub(super) path: PathBuf,
    pub(super) rehearsal: Rehearsal,
}

impl Reach for Door {
    fn public_key(&self) -> Result<String, ProviderError> {
        Ok("ssh-ed25519 AAAArehearsed prov".to_owned())
    }

    fn transport(&self, _provider: &str, machine: &Machine, _login: &str) -> Result<Box<dyn Transport>, ProviderError> {
        let (path, rehearsal) = (self.path.clone(), self.rehearsal.clone());
        let subject = super::subject(machine).to_owned();
        Ok(Box::new(Inside { path, rehearsal, id: machine.id.clone(), subject }))
    }

    fn forget(&self, _provider: &str, _machine: &str) {}
}

/// The way into one machine of a twin.
pub(super) struct Inside {
    path: PathBuf,
    rehearsal: Rehearsal,
    id: String,
    /// Whom what it does is about.
    subject: String,
}

impl Inside {
    /// Does something with the machine.
    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> Result<T, ProviderError> {
        let attempt = format!("can't reach the rehearsed machine {}", self.id);
        let found = state::with(&self.path, |state, _| state.machines.get_mut(&self.id).map(change));
        match found {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(ProviderError::Failed { attempt, source: "it is gone".into() }),
            Err(error) => Err(ProviderError::Failed { attempt, source: Box::new(error) }),
        }
    }
}

impl Transport for Inside {
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        self.with(|_| ())?;
        if exec.argv.first().is_none_or(|program| program != SHELL) {
            return Ok(ExecResult { is_whole: true, ..ExecResult::default() });
        }
        let script = String::from_utf8_lossy(exec.stdin);
        let what = format!("{} {script}", self.subject);
        let seconds = chance::seconds(&self.rehearsal, "script", &what, SCRIPT.0, SCRIPT.1);
        let takes = Duration::from_secs_f64(seconds / self.rehearsal.speed);
        let left = exec.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        std::thread::sleep(left.map_or(takes, |left| left.min(takes)));
        let timed_out = left.is_some_and(|left| left < takes);
        Ok(ExecResult { timed_out, is_whole: true, ..ExecResult::default() })
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::Reached
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), ProviderError> {
        self.with(|held| drop(held.files.insert(path.to_owned(), bytes.to_vec())))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ProviderError> {
        self.with(|held| held.files.get(path).cloned())
    }

    fn read_all(&self, directory: &str, ending: &str) -> Result<Vec<Vec<u8>>, ProviderError> {
        let directory = format!("{directory}/");
        let inside = |path: &String| path.strip_prefix(&directory).is_some_and(|name| !name.contains('/'));
        let meant = |path: &String| inside(path) && path.ends_with(ending);
        self.with(|held| held.files.iter().filter(|(path, _)| meant(path)).map(|(_, bytes)| bytes.clone()).collect())
    }

    fn remove(&self, paths: &[String]) -> Result<(), ProviderError> {
        self.with(|held| held.files.retain(|path, _| !paths.contains(path)))
    }
}
