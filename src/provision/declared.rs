//! Whether what settings declare can be had here: fields that the providers know, task services and clusters that are
//! defined, with parameters that they take.
//!
//! [`super::settings`] says whether a file is right in itself; this says it of what the file refers to, and names the
//! place in the file just the same.

use super::cluster::ClusterError;
use super::cluster::definition::Wish;
use super::provider;
use super::servers::wanted;
use super::settings::{self, Document, Finding, Settings, SettingsError, ValuePath};
use super::taskserv::definition::DefinitionError;
use super::taskserv::library::Library;
use super::workspace::Workspace;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

/// The settings of `infra` with everything that they declare checked.
///
/// # Errors
/// [`SettingsError`] lists everything that is wrong.
pub fn everything(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    let (settings, document) = read(workspace, infra, file)?;
    let library = Library::of(workspace, infra);
    let found = [
        in_servers(workspace, &settings),
        in_taskservs(&library, &settings),
        in_clusters(workspace, &library, &settings),
    ];
    judged(settings, &document, found.concat())
}

/// The same, where only the servers matter.
///
/// # Errors
/// As [`everything`].
pub fn servers(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    let (settings, document) = read(workspace, infra, file)?;
    let found = in_servers(workspace, &settings);
    judged(settings, &document, found)
}

/// The same, where only the task services matter.
///
/// # Errors
/// As [`everything`].
pub fn taskservs(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    let (settings, document) = read(workspace, infra, file)?;
    let found = in_taskservs(&Library::of(workspace, infra), &settings);
    judged(settings, &document, found)
}

fn read(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<(Settings, Document), SettingsError> {
    let file = file.map_or_else(|| settings::default_file(workspace, infra), Ok)?;
    settings::read(workspace, infra, file)
}

fn judged(settings: Settings, document: &Document, found: Vec<Finding>) -> Result<Settings, SettingsError> {
    if found.is_empty() { Ok(settings) } else { Err(document.invalid(found)) }
}

/// Servers that their providers would refuse. A provider that this host can't reach says nothing.
fn in_servers(workspace: &Workspace, settings: &Settings) -> Vec<Finding> {
    let top = ValuePath::default().key("servers");
    let wanted = wanted::by_settings(settings, "").into_iter().enumerate();
    let refused = wanted.filter_map(|(index, wanted)| {
        let provider = provider::open(wanted.provider.as_str(), workspace).ok()?;
        let error = provider.validate(&wanted.spec).err()?;
        let hint = match &error {
            provider::ProviderError::Invalid { hint, .. } => hint.clone(),
            _ => None,
        };
        let message = error.to_string();
        let path = top.index(index);
        // The field that the provider speaks of, where it names one.
        match wanted.spec.extra.keys().find(|field| message.contains(&format!("{field:?}"))) {
            Some(field) => Some(Finding::of_key(path.key(field), message, hint)),
            None => Some(Finding::of(first_field(path, &wanted.spec.extra), message, hint)),
        }
    });
    refused.collect()
}

/// The only field that is the provider's, if there is only one: then it is at fault.
fn first_field(path: ValuePath, extra: &serde_json::Map<String, serde_json::Value>) -> ValuePath {
    match extra.keys().collect::<Vec<_>>().as_slice() {
        [only] => path.key(only),
        _ => path,
    }
}

/// Task services that are none, or don't take their parameters.
fn in_taskservs(library: &Library, settings: &Settings) -> Vec<Finding> {
    let top = ValuePath::default();
    let of = |path: ValuePath, taskservs: &[TaskservRef]| -> Vec<Finding> {
        let path = path.key("taskservs");
        taskservs.iter().enumerate().filter_map(|(index, one)| in_taskserv(library, &path.index(index), one)).collect()
    };
    let of_servers = settings.servers.iter().enumerate();
    let of_servers = of_servers.flat_map(|(index, server)| of(top.key("servers").index(index), &server.taskservs));
    of(top.clone(), &settings.taskservs).into_iter().chain(of_servers).collect()
}

fn in_taskserv(library: &Library, path: &ValuePath, taskserv: &TaskservRef) -> Option<Finding> {
    let definition = match library.find(&taskserv.name) {
        Ok(definition) => definition,
        Err(error) => return Some(Finding::of(path.key("name"), chained(&error), error.hint())),
    };
    let error = definition.environment(taskserv.profile.as_ref(), &taskserv.params).err()?;
    let message = chained(&error);
    let param = taskserv.params.keys().find(|param| message.contains(&format!("`{param}`")));
    Some(match param {
        Some(param) => Finding::of_key(path.key("params").key(param), message, error.hint()),
        None => Finding::of(path.clone(), message, error.hint()),
    })
}

/// Clusters of no known type, that don't take their parameters, or of which nobody says where they are to be.
fn in_clusters(workspace: &Workspace, library: &Library, settings: &Settings) -> Vec<Finding> {
    let top = ValuePath::default().key("clusters");
    let refused = settings.clusters.iter().enumerate().filter_map(|(index, cluster)| {
        let wish = Wish::of(library, cluster);
        let error = wish.and_then(|wish| wish.zone_at(cluster.provider.as_str(), workspace)).err()?;
        let key = if matches!(error, ClusterError::NoZone { .. }) { "params" } else { "type" };
        Some(Finding::of(top.index(index).key(key), super::servers::chain(&error), error.hint()))
    });
    refused.collect()
}

fn chained(error: &DefinitionError) -> String {
    super::servers::chain(error)
}
