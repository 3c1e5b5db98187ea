//! What a server remembers of a service: one JSON file each below [`DIRECTORY`], inside the server, so that it goes with
//! it and is true whoever looks; and beside it the scripts that remove and check it, as they were when it was installed.

use serde::{Deserialize, Serialize};

use super::definition::{Definition, Timeouts};
use super::host::{Host, HostError};
use super::order::Placed;
use super::parameter::{self, Parameters};
use super::script;
use crate::model::digest::sha256;
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::provision::workspace::Workspace;

/// Where records stand in a server.
pub(super) const DIRECTORY: &str = "/var/lib/prov/taskservs";

/// A service on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The service.
    pub name: Name,
    /// The version that is there.
    pub version: String,
    /// Of its scripts and parameters: what differs is installed anew.
    pub digest: String,
    /// Whose work installed it first.
    pub operation: String,
    /// When its installation began.
    pub at: Timestamp,
    /// Whether it was installed to its end.
    pub complete: bool,
    /// What it needs.
    #[serde(default)]
    pub dependencies: Vec<Name>,
}

/// A record as it stands in the server: with what must not be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    pub(super) record: Record,
    /// The parameters it was installed with: it is checked and removed with the same ones. Of a secret only where it is.
    #[serde(default)]
    pub(super) environment: Parameters,
    /// How long its scripts may take.
    #[serde(default)]
    pub(super) timeouts: Timeouts,
}

/// The scripts that a service was installed with: its definition may be another one by now, or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scripts {
    pub(super) check: String,
    pub(super) uninstall: String,
}

/// The digest of everything that decides what is installed.
pub(super) fn digest(placed: &Placed, peers: &str, workspace: &Workspace) -> Result<String, HostError> {
    let definition = &placed.definition;
    let mut parts = vec![definition.version.as_str(), &definition.install, &definition.check, peers];
    parts.extend(definition.packages.iter().chain(&definition.optional_packages).map(String::as_str));
    parts
        .extend(definition.artifacts.iter().flat_map(|one| one.sha256.iter().flat_map(|(of, sum)| [of.as_str(), sum])));
    let parameters = parameter::traces(&definition.name, &placed.environment, workspace)?;
    parts.extend(parameters.iter().map(String::as_str));
    // Lengths keep parts apart: `ab` + `c` is not `a` + `bc`.
    let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    Ok(sha256(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Host<'_> {
    pub(super) fn records(&self) -> Result<Vec<Stored>, HostError> {
        let all = self.transport.read_all(DIRECTORY, ".json")?;
        all.iter().map(|json| serde_json::from_slice(json).map_err(HostError::Record)).collect()
    }

    pub(super) fn write(&self, stored: &Stored) -> Result<(), HostError> {
        // Parameters may hold what should have been secrets: the file is its owner's alone.
        let json = serde_json::to_vec(stored).map_err(HostError::Record)?;
        Ok(self.transport.write(&format!("{DIRECTORY}/{}.json", stored.record.name), &json)?)
    }

    /// Keeps the scripts that the service will be checked and removed with.
    pub(super) fn keep_scripts(&self, definition: &Definition) -> Result<(), HostError> {
        let Definition { name, check, uninstall, .. } = definition;
        self.transport.write(&format!("{DIRECTORY}/{name}.check"), script::whole(check).as_bytes())?;
        Ok(self.transport.write(&format!("{DIRECTORY}/{name}.uninstall"), script::whole(uninstall).as_bytes())?)
    }

    /// The scripts that were kept; services that an earlier prov installed have none.
    pub(super) fn scripts(&self, name: &Name) -> Result<Option<Scripts>, HostError> {
        let read = |ending: &str| -> Result<Option<String>, HostError> {
            let file = self.transport.read(&format!("{DIRECTORY}/{name}.{ending}"))?;
            Ok(file.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let (check, uninstall) = (read("check")?, read("uninstall")?);
        Ok(check.zip(uninstall).map(|(check, uninstall)| Scripts { check, uninstall }))
    }
}
