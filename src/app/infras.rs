//! What the daemon knows of infras: the environment that policies go by, and the providers.
//!
//! Both stand in an infra's settings, which only the execution plane can read: it is asked, in a process of its own, and its
//! answer is kept while the files beside the settings stay as they are, and for a minute at most, because settings may import
//! others from elsewhere. The rules:
//!
//! * An infra without settings goes by its name.
//! * Where the environment can't be known, because the settings are wrong or the execution plane is another program than
//!   prov, it is [`UNKNOWN`]: nobody gets more rights by breaking a file.
//! * Where the providers can't be known, they are all that there are.
//! * Work that names settings of its own must be permitted for these and for the infra's.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use serde::Deserialize;

use super::aside;
use super::error::Error;
use crate::model::batch::PROVIDERS;
use crate::model::name::Name;

/// What an infra counts as of which nothing is known.
pub(super) const UNKNOWN: &str = "production";
/// How long an answer is kept at most.
const LIFETIME: Duration = Duration::from_mins(1);
/// Answers kept at most; above that all are forgotten and asked for again.
const MOST: usize = 1000;
/// Processes that are asked at once.
const AT_ONCE: usize = 2;

/// What is known of an infra.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Described {
    /// What policies go by.
    pub(super) environment: String,
    /// The providers of its servers and clusters, where they are known.
    #[serde(default)]
    pub(super) providers: Option<Vec<String>>,
}

impl Described {
    fn named(infra: &Name) -> Self {
        Self { environment: infra.to_string(), providers: None }
    }

    pub(super) fn unknown() -> Self {
        Self { environment: UNKNOWN.to_owned(), providers: None }
    }

    /// The providers that work on it may go to.
    pub(super) fn providers(&self) -> Vec<&str> {
        self.providers.as_ref().map_or_else(|| PROVIDERS.to_vec(), |known| known.iter().map(String::as_str).collect())
    }
}

/// An infra, and the settings that count.
type Key = (Name, Option<String>);
/// The files beside the settings, by name, with their sizes and when they were changed.
type Stamp = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

struct Kept {
    stamp: Stamp,
    since: Instant,
    described: Arc<Described>,
}

/// The infras of a workspace.
pub(super) struct Infras {
    workspace: PathBuf,
    /// What reads settings; none where the execution plane isn't prov.
    reader: Option<PathBuf>,
    kept: Mutex<HashMap<Key, Kept>>,
}

impl Infras {
    pub(super) fn new(workspace: PathBuf, program: &Path) -> Self {
        let is_prov = std::env::current_exe().is_ok_and(|own| own == program);
        Self { workspace, reader: is_prov.then(|| program.to_owned()), kept: Mutex::default() }
    }

    /// What is known of an infra, by its own settings or by a file of them.
    ///
    /// # Errors
    /// When no thread can be had for it.
    pub(super) async fn get(self: &Arc<Self>, infra: &Name, file: Option<&str>) -> Result<Arc<Described>, Error> {
        let (own, key) = (Arc::clone(self), (infra.clone(), file.map(str::to_owned)));
        aside(move || own.look(key)).await
    }

    /// The environments of several infras.
    ///
    /// # Errors
    /// As [`Infras::get`].
    pub(super) async fn environments(self: &Arc<Self>, infras: Vec<Name>) -> Result<HashMap<Name, String>, Error> {
        let looked = futures_util::stream::iter(infras).map(async |infra| {
            let described = self.get(&infra, None).await?;
            Ok::<_, Error>((infra, described.environment.clone()))
        });
        let mut found = HashMap::new();
        let mut looked = std::pin::pin!(looked.buffer_unordered(AT_ONCE));
        while let Some(one) = looked.next().await {
            found.extend([one?]);
        }
        Ok(found)
    }

    fn look(&self, key: Key) -> Arc<Described> {
        let (directory, file) = (self.workspace.join("infra").join(key.0.as_str()), key.1.as_deref());
        let Ok(stamp) = stamp(&directory, file) else { return Arc::new(Described::unknown()) };
        if stamp.is_empty() {
            return Arc::new(Described::named(&key.0));
        }
        let fresh = |kept: &&Kept| kept.stamp == stamp && kept.since.elapsed() < LIFETIME;
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key).filter(fresh) {
            return Arc::clone(&kept.described);
        }
        let since = Instant::now();
        let described = Arc::new(self.ask(&key.0, file));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, Kept { stamp, since, described: Arc::clone(&described) });
        described
    }

    fn ask(&self, infra: &Name, file: Option<&str>) -> Described {
        let Some(reader) = &self.reader else { return Described::unknown() };
        let mut command = Command::new(reader);
        command.args(["internal", "describe"]).arg(&self.workspace).arg(infra.as_str()).args(file);
        let said = match command.stdin(Stdio::null()).output() {
            Ok(said) if said.status.success() => {
                serde_json::from_slice(&said.stdout).map_err(|error| error.to_string())
            }
            Ok(said) => Err(String::from_utf8_lossy(&said.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        said.unwrap_or_else(|why| {
            tracing::warn!(%infra, why, "the environment of an infra can't be known; it counts as {UNKNOWN}");
            Described::unknown()
        })
    }
}

/// What lies in a directory, which is empty when it isn't there, and the file of it that was named.
fn stamp(directory: &Path, file: Option<&str>) -> std::io::Result<Stamp> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Stamp::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.extend(file.map(|file| directory.join(file)));
    let seen = |path: PathBuf| {
        let seen = std::fs::metadata(&path).map_or((0, None), |found| (found.len(), found.modified().ok()));
        (path, seen)
    };
    Ok(paths.into_iter().map(seen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_settings_goes_by_its_name_and_what_cannot_be_read_is_production() {
        let dir = tempfile::tempdir().unwrap();
        let infras = Infras::new(dir.path().to_owned(), Path::new("/another/program"));
        let staging = Name::new("staging".to_owned()).unwrap();
        let look = || infras.look((staging.clone(), None)).environment.clone();
        assert_eq!(look(), "staging");
        std::fs::create_dir_all(dir.path().join("infra/staging")).unwrap();
        assert_eq!(look(), "staging");
        std::fs::write(dir.path().join("infra/staging/config.yaml"), "environment: staging\n").unwrap();
        assert_eq!(look(), UNKNOWN);
        std::fs::remove_dir_all(dir.path().join("infra/staging")).unwrap();
        std::fs::write(dir.path().join("infra/staging"), "").unwrap();
        assert_eq!(look(), UNKNOWN, "a file in the place of the directory");
    }

    #[test]
    fn work_may_go_to_every_provider_where_none_is_known() {
        assert_eq!(Described::unknown().providers(), PROVIDERS);
    }
}
