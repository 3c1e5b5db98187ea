//! What this workspace knows of the machines that it ordered: a file each, written before anything is asked for.
//!
//! `.prov/cloud/PROVIDER/INFRA/SERVER.json`. The provider says what there is; the journal says what may be there though no
//! list shows it yet, and which of the machines with our labels are ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::api::{Machine, SERVER, TOKEN};
use super::moment::Moment;
use crate::model::name::Name;
use crate::provision::disk;
use crate::provision::provider::{ProviderError, ServerSpec};
use crate::provision::workspace::Workspace;

/// A server and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// What was asked for.
    pub(super) spec: ServerSpec,
    /// Names the order; the machine carries it as a label.
    pub(super) token: String,
    /// How far it is.
    #[serde(flatten)]
    pub(super) stage: Stage,
    /// When the provider last heard of it: when it may have been ordered, or when it was learnt that it was made.
    #[serde(flatten)]
    pub(super) heard: Moment,
    /// Where it was reached when that was asked last, for lists: whoever goes there asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
}

/// How far a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub(super) enum Stage {
    /// It may have been ordered; what came of that isn't known.
    Ordered,
    /// The provider made it.
    Made {
        /// The provider's id.
        id: String,
    },
    /// It is being deleted.
    Deleting {
        /// The provider's id, if it was ever known.
        id: Option<String>,
    },
}

impl Entry {
    /// Whether the machine is this entry's.
    pub(super) fn owns(&self, machine: &Machine) -> bool {
        self.id() == Some(machine.id.as_str()) || machine.labels.get(TOKEN) == Some(&self.token)
    }

    /// The provider's id, if it is known.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.stage {
            Stage::Ordered => None,
            Stage::Made { id } => Some(id),
            Stage::Deleting { id } => id.as_deref(),
        }
    }
}

/// The providers that have entries of an infra, by name.
#[must_use]
pub fn used(workspace: &Workspace, infra: &Name) -> Vec<String> {
    let directories = fs::read_dir(workspace.state_dir().join("cloud")).into_iter().flatten().flatten();
    let used = directories.filter(|provider| provider.path().join(infra.as_str()).is_dir());
    let mut names: Vec<String> = used.filter_map(|provider| provider.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The names of the servers of an infra that a provider has on record.
#[must_use]
pub fn recorded(workspace: &Workspace, provider: &str, infra: &Name) -> Vec<Name> {
    Journal::of(workspace, provider).names(infra).unwrap_or_default()
}

/// Whether the workspace ever had something made at a provider.
#[must_use]
pub fn is_on_record(workspace: &Workspace, provider: &str) -> bool {
    Name::new(provider).is_ok_and(|name| Journal::of(workspace, name.as_str()).directory.is_dir())
}

/// The entries of an infra.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// By name.
    pub(super) entries: Vec<Entry>,
    /// Those that can't be read.
    pub(super) damaged: Vec<Damage>,
}

/// An entry that can't be read.
#[derive(Debug)]
pub(super) struct Damage {
    /// The server.
    pub(super) name: Name,
    /// Where it stands.
    pub(super) path: PathBuf,
    /// Why it can't be read.
    pub(super) why: io::Error,
}

impl Damage {
    /// Whether a machine of the infra is, by its name, that server.
    pub(super) fn is_about(&self, machine: &Machine) -> bool {
        machine.labels.get(SERVER).is_some_and(|name| name == self.name.as_str())
    }
}

/// The entries of one provider.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
}

impl Journal {
    pub(super) fn of(workspace: &Workspace, provider: &str) -> Self {
        Self { directory: workspace.state_dir().join("cloud").join(provider) }
    }

    fn path(&self, infra: &Name, name: &Name) -> PathBuf {
        self.directory.join(infra.as_str()).join(format!("{name}.json"))
    }

    pub(super) fn read(&self, infra: &Name, name: &Name) -> Result<Option<Entry>, ProviderError> {
        let path = self.path(infra, name);
        read(&path).map_err(|source| failed(format!("can't read {}", path.display()), source))
    }

    /// Whether what stands in the entry's place is none. One that can't be had now is no such thing.
    pub(super) fn is_damaged(&self, infra: &Name, name: &Name) -> bool {
        let is_none =
            |error: io::Error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        read(&self.path(infra, name)).is_err_and(is_none)
    }

    /// On disk when this returns.
    pub(super) fn write(&self, entry: &Entry) -> Result<(), ProviderError> {
        let path = self.path(&entry.spec.infra, &entry.spec.name);
        let bytes =
            serde_json::to_vec(entry).map_err(|error| failed("can't write an entry".to_owned(), error.into()))?;
        disk::replace(&path, &bytes).map_err(|error| failed(format!("can't write {}", path.display()), error))
    }

    pub(super) fn remove(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let path = self.path(infra, name);
        disk::remove(&path).map_err(|error| failed(format!("can't remove {}", path.display()), error))
    }

    /// Whether there never was an entry of the infra: its directory comes with the first one and stays.
    pub(super) fn is_untouched(&self, infra: &Name) -> bool {
        matches!(self.directory.join(infra.as_str()).try_exists(), Ok(false))
    }

    /// The names of all entries of an infra.
    pub(super) fn names(&self, infra: &Name) -> Result<Vec<Name>, ProviderError> {
        let directory = self.directory.join(infra.as_str());
        let found = match fs::read_dir(&directory) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(format!("can't read {}", directory.display()), error)),
        };
        let files = found.flatten().filter_map(|file| file.file_name().into_string().ok());
        let mut names: Vec<Name> = files.filter_map(|file| Name::new(file.strip_suffix(".json")?).ok()).collect();
        names.sort();
        Ok(names)
    }

    /// All entries of an infra.
    pub(super) fn all(&self, infra: &Name) -> Result<Entries, ProviderError> {
        let mut all = Entries::default();
        for name in self.names(infra)? {
            let path = self.path(infra, &name);
            match read(&path) {
                Ok(entry) => all.entries.extend(entry),
                Err(why) => all.damaged.push(Damage { name, path, why }),
            }
        }
        Ok(all)
    }
}

fn read(path: &Path) -> io::Result<Option<Entry>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(attempt: String, source: io::Error) -> ProviderError {
    ProviderError::Failed { attempt, source: Box::new(source) }
}
