//! The twin's machines, in a file: shared by all processes of a rehearsal, changed under an flock.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::provision::provider::cloud::Machine;

/// Everything that a twin knows. Times are seconds since 1970.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Machines by id.
    pub(super) machines: BTreeMap<String, Held>,
    /// Machines that were ever made.
    pub(super) made: u64,
    /// How often a call of a kind was made about a subject.
    pub(super) counts: BTreeMap<String, u64>,
    /// Calls that could be made at once.
    pub(super) tokens: f64,
    /// When that was so.
    pub(super) at: f64,
}

/// A machine of the twin.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) machine: Machine,
    /// When its present change is over.
    pub(super) settled: f64,
    /// When it is in lists.
    pub(super) listed: f64,
    /// Whether it is gone when its present change is over.
    pub(super) going: bool,
    /// Its files by path.
    #[serde(default)]
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl State {
    /// Counts a call; answers how many there were of it before.
    pub(super) fn count(&mut self, call: &str, subject: &str) -> u64 {
        let count = self.counts.entry(format!("{call} {subject}")).or_default();
        *count += 1;
        *count - 1
    }
}

/// Does something with the state in `path`.
pub(super) fn with<T>(path: &Path, change: impl FnOnce(&mut State, f64) -> T) -> io::Result<T> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.with_extension("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let mut state = read(path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    state.machines.retain(|_, held| !(held.going && held.settled <= now));
    let answer = change(&mut state, now);
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(&state)?)?;
    // Whoever is killed in between leaves the state as it was.
    fs::rename(&new, path)?;
    Ok(answer)
}

fn read(path: &Path) -> io::Result<State> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(error),
    };
    let damaged = |error| io::Error::other(format!("{} is damaged; remove it to begin anew ({error})", path.display()));
    serde_json::from_str(&text).map_err(damaged)
}

/// Where the twin of a provider keeps its state.
pub(super) fn path(state_dir: &Path, provider: &str) -> PathBuf {
    state_dir.join("twin").join(format!("{provider}.json"))
}
