//! Which hosts of the user's own belong to an infra: `.prov/ssh/servers/INFRA/NAME.json`, a file a host.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::name::Name;
use crate::provision::disk;
use crate::provision::provider::{ProviderError, ServerSpec};
use crate::provision::transport::ssh::key;
use crate::provision::workspace::Workspace;

/// A host on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was asked for.
    pub spec: ServerSpec,
    /// What was found there, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The records of a workspace.
#[derive(Clone, Debug)]
pub struct Records {
    dir: PathBuf,
}

impl Records {
    /// Those of `workspace`.
    #[must_use]
    pub fn of(workspace: &Workspace) -> Self {
        Self { dir: key::dir(workspace).join("servers") }
    }

    fn file(&self, infra: &Name, name: &Name) -> PathBuf {
        self.dir.join(infra.as_str()).join(format!("{name}.json"))
    }

    /// The record of a server, if there is one.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, infra: &Name, name: &Name) -> Result<Option<Record>, ProviderError> {
        let file = self.file(infra, name);
        let failed = |source: io::Error| failed("read", name, source);
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The names of all of an infra, ordered.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn names(&self, infra: &Name) -> Result<Vec<Name>, ProviderError> {
        let entries = match std::fs::read_dir(self.dir.join(infra.as_str())) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", infra, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", infra, error))?;
            let name = entry.file_name().to_string_lossy().strip_suffix(".json").map(str::to_owned);
            names.extend(name.and_then(|name| Name::new(name).ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Records a host: it is on disk when this returns.
    ///
    /// # Errors
    /// When it isn't.
    pub fn write(&self, record: &Record) -> Result<(), ProviderError> {
        let name = &record.spec.name;
        let bytes = serde_json::to_vec_pretty(record).map_err(|error| failed("record", name, error.into()))?;
        disk::replace(&self.file(&record.spec.infra, name), &bytes).map_err(|source| failed("record", name, source))
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// When its record is left.
    pub fn remove(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let gone = match std::fs::metadata(self.dir.join(infra.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => disk::remove(&self.file(infra, name)),
        };
        gone.map_err(|source| failed("forget", name, source))
    }
}

fn failed(what: &str, name: &Name, source: io::Error) -> ProviderError {
    ProviderError::Failed {
        attempt: format!("can't {what} {name} among the hosts of this workspace"),
        source: Box::new(source),
    }
}
