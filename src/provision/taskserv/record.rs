//! What a server remembers of a service: one JSON file each below [`DIRECTORY`], inside the server, so that it goes with
//! it and is true whoever looks.

use serde::{Deserialize, Serialize};

use super::order::Placed;
use crate::model::digest::sha256;
use crate::model::name::Name;
use crate::model::time::Timestamp;

/// Where records stand in a server.
pub(super) const DIRECTORY: &str = "/var/lib/prov/taskservs";

/// A service on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The service.
    pub name: Name,
    /// Its version.
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
    /// The parameters it was installed with, as its scripts see them: it is checked and removed with the same ones.
    #[serde(default)]
    pub(super) environment: Vec<(String, String)>,
}

/// The digest of everything that decides what is installed.
pub(super) fn digest(placed: &Placed, peers: &str) -> String {
    let definition = &placed.definition;
    let mut parts = vec![definition.version.as_str(), &definition.install, &definition.check, peers];
    parts.extend(definition.packages.iter().map(String::as_str));
    parts.extend(placed.environment.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    // Lengths keep parts apart: `ab` + `c` is not `a` + `bc`.
    let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    sha256(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
