//! An infra's settings: one [`Settings`] type from Nickel, YAML or JSON.
//!
//! Start at [`load`]. A file goes through these hands: [`crate::provision::workspace`] finds it and keeps it inside;
//! [`evaluate`] makes a value of it (Nickel and YAML in a jailed process of their own, see [`jail`]); [`check`] makes
//! settings of the value and finds everything that is wrong; [`locate`] finds where in the file that stands. Nothing
//! here knows providers beyond their names, or what is done with settings.

mod check;
mod checker;
pub mod evaluate;
pub mod evaluator;
mod imports;
mod jail;
mod locate;
#[cfg(feature = "nickel")]
mod nickel;
mod parse;
mod problem;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

pub use self::checker::Finding;
pub use self::evaluate::{Document, Evaluator};
pub use self::problem::{Limit, Problem, SettingsError, excerpt};
use super::provider;
use super::secret::Reference;
use super::workspace::Workspace;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::model::plan::Plan;

/// The names that an infra's settings file may have where none is given.
pub const DEFAULT_FILES: &[&str] = &["config.ncl", "config.yaml", "config.yml", "config.json"];
/// The provider of servers whose settings name none.
pub const DEFAULT_PROVIDER: &str = "local";

/// [`DEFAULT_PROVIDER`] as a name.
#[must_use]
pub fn default_provider() -> Name {
    Name::new(DEFAULT_PROVIDER).expect("the default provider's name is a name")
}

/// An infra as its settings describe it; defaults are already applied to each server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The infra, the same as its directory.
    pub name: Name,
    /// What policies go by: `production`, `staging` …; the infra's name where the settings don't say.
    pub environment: Name,
    /// The provider of what names none.
    pub provider: Name,
    /// The servers, in the order of the file; their names differ.
    pub servers: Vec<ServerSettings>,
    /// Task services of several servers: those that each one names, or all.
    pub taskservs: Vec<TaskservRef>,
    /// The clusters.
    pub clusters: Vec<ClusterSettings>,
}

/// A server as the settings describe it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerSettings {
    /// Unique in the infra.
    pub name: Name,
    /// What makes it.
    pub provider: Name,
    /// Its size.
    pub plan: Plan,
    /// Its place.
    pub zone: Name,
    /// The defaults' labels and its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Task services of this server alone; their `servers` are empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taskservs: Vec<TaskservRef>,
    /// Fields for the provider, passed on as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A cluster as the settings describe it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterSettings {
    /// What people call it; its type where they don't.
    pub name: Name,
    /// The definition's name.
    #[serde(rename = "type")]
    pub cluster_type: Name,
    /// What makes its servers.
    pub provider: Name,
    /// Parameters of the definition.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

impl Settings {
    /// Every task service with the servers it goes to, all of them by name: first those of several servers, then those
    /// of one, in the order of the file.
    #[must_use]
    pub fn placed_taskservs(&self) -> Vec<TaskservRef> {
        let everywhere = || self.servers.iter().map(|server| server.name.clone()).collect();
        let mut placed: Vec<TaskservRef> = self.taskservs.clone();
        for taskserv in placed.iter_mut().filter(|taskserv| taskserv.servers.is_empty()) {
            taskserv.servers = everywhere();
        }
        for server in &self.servers {
            let own = server.taskservs.iter().cloned();
            placed.extend(own.map(|taskserv| TaskservRef { servers: vec![server.name.clone()], ..taskserv }));
        }
        placed
    }
}

/// The settings of `infra` from its file `file`, a path relative to the infra's directory.
///
/// # Errors
/// [`SettingsError`] lists everything that is wrong with the file.
pub fn load(workspace: &Workspace, infra: &Name, file: &str) -> Result<Settings, SettingsError> {
    load_with(&Evaluator::from_env()?, workspace, infra, file)
}

/// [`load`] with an evaluator of the caller's.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    evaluator: &Evaluator,
    workspace: &Workspace,
    infra: &Name,
    file: &str,
) -> Result<Settings, SettingsError> {
    read_with(evaluator, workspace, infra, file).map(|(settings, _)| settings)
}

/// As [`load`], from [`default_file`] where none is named, with what it takes to say where in the file something stands.
///
/// # Errors
/// As [`load`] and [`default_file`].
pub fn read(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<(Settings, Document), SettingsError> {
    let file = file.map_or_else(|| default_file(workspace, infra), Ok)?;
    read_with(&Evaluator::from_env()?, workspace, infra, file)
}

fn read_with(
    evaluator: &Evaluator,
    workspace: &Workspace,
    infra: &Name,
    file: &str,
) -> Result<(Settings, Document), SettingsError> {
    // The directory first: that the infra is unknown says more than that its file is.
    workspace.infra_dir(infra)?;
    let document = evaluator.document(workspace, &format!("infra/{infra}/{}", relative(file)?))?;
    match check::settings(&document.value, infra, &|name| provider::is_plugin(workspace, name)) {
        Ok(settings) => Ok((settings, document)),
        Err(findings) => Err(document.invalid(findings)),
    }
}

fn relative(file: &str) -> Result<&str, SettingsError> {
    crate::model::name::relative_path(file).map_err(crate::provision::workspace::WorkspaceError::from)?;
    Ok(file)
}

/// The name of the settings file of `infra` where none is given: the one of [`DEFAULT_FILES`] that is there.
///
/// # Errors
/// [`SettingsError::NoSettings`]; [`SettingsError::Several`], for of two files one would be ignored.
pub fn default_file(workspace: &Workspace, infra: &Name) -> Result<&'static str, SettingsError> {
    let dir = workspace.infra_dir(infra)?;
    let found: Vec<&'static str> = DEFAULT_FILES.iter().copied().filter(|file| dir.join(file).exists()).collect();
    match found.as_slice() {
        [] => Err(SettingsError::NoSettings { infra: infra.clone() }),
        [only] => Ok(only),
        _ => Err(SettingsError::Several { infra: infra.clone(), files: found }),
    }
}

/// The value that `file`, a batch in Nickel, YAML or JSON, stands for. It may import what is in its workspace.
///
/// # Errors
/// [`SettingsError`] lists everything that is wrong with the file.
pub fn load_value(file: &Path) -> Result<Value, SettingsError> {
    load_document(file).map(|document| document.value)
}

/// As [`load_value`], with what it takes to say where in the file something stands.
///
/// # Errors
/// As [`load_value`].
pub fn load_document(file: &Path) -> Result<Document, SettingsError> {
    Evaluator::from_env()?.file(file)
}

/// What is said of an import that the evaluation may not follow.
fn outside(path: &str) -> String {
    format!(
        "the import {path:?} leads out of the workspace; settings can import only what is in it, hidden files aside"
    )
}

/// `value` with every field whose name tells of a secret covered, for showing to people. What only says where a secret is
/// stays.
#[must_use]
pub fn masked(value: &Value) -> Value {
    const TELLING: &[&str] = &["password", "passwd", "secret", "token", "private_key", "api_key", "credential"];
    let is_reference = |value: &Value| matches!(Reference::of(value), Some(Ok(_)));
    match value {
        reference if is_reference(reference) => reference.clone(),
        Value::Array(elements) => elements.iter().map(masked).collect(),
        Value::Object(fields) => {
            let cover = |(key, value): (&String, &Value)| {
                let lower = key.to_lowercase();
                let is_secret = TELLING.iter().any(|word| lower.contains(word));
                let is_secret = is_secret && !value.is_null() && !is_reference(value);
                (key.clone(), if is_secret { Value::from("********") } else { masked(value) })
            };
            fields.iter().map(cover).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn task_services_are_placed_by_name() {
        let value = json!({
            "servers": [
                {"name": "a", "plan": "1xCPU-1 GB", "taskservs": ["redis"]},
                {"name": "b", "plan": "1xCPU-1 GB"},
            ],
            "taskservs": ["ntp", {"name": "etcd", "servers": ["b"]}],
        });
        let settings = check::settings(&value, &Name::new("i").unwrap(), &|_| false).unwrap();
        let placed: Vec<String> = settings
            .placed_taskservs()
            .iter()
            .map(|taskserv| format!("{} on {:?}", taskserv.name, taskserv.servers))
            .collect();
        assert_eq!(placed, ["ntp on [\"a\", \"b\"]", "etcd on [\"b\"]", "redis on [\"a\"]"]);
    }

    #[test]
    fn secrets_are_covered_wherever_they_stand() {
        let value = json!({"a": [{"db_password": "x", "port": 1}], "API_KEY": 7, "name": "n", "token": null});
        let expected =
            json!({"a": [{"db_password": "********", "port": 1}], "API_KEY": "********", "name": "n", "token": null});
        assert_eq!(masked(&value), expected);
        let reference = json!({"password": {"secret": {"env": "DB_PASSWORD"}}, "user_data": {"secret": {"file": "x"}}});
        assert_eq!(masked(&reference), reference);
        assert_eq!(masked(&json!({"secret": "swordfish"})), json!({"secret": "********"}));
    }
}
