//! Whether what settings declare can be had here: servers as [`super::servers::declared`] says, task services and clusters
//! that are defined, with parameters that they take.
//!
//! [`super::settings`] says whether a file is right in itself; this says it of what the file refers to, and names the
//! place in the file just the same.

use super::cluster::ClusterError;
use super::cluster::definition::Wish;
use super::error::chain;
use super::servers::declared::refused;
use super::settings::{self, Finding, Settings, SettingsError};
use super::taskserv::library::Library;
use super::value_path::ValuePath;
use super::workspace::Workspace;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

/// The settings of `infra` with everything that they declare checked.
///
/// # Errors
/// [`SettingsError`] lists everything that is wrong.
pub fn everything(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    let (settings, document) = settings::read(workspace, infra, file)?;
    let library = Library::of(workspace, infra);
    let found =
        [refused(workspace, &settings), in_taskservs(&library, &settings), in_clusters(workspace, &library, &settings)];
    document.judged(settings, found.concat())
}

/// The same, where only the task services matter.
///
/// # Errors
/// As [`everything`].
pub fn taskservs(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    let (settings, document) = settings::read(workspace, infra, file)?;
    let found = in_taskservs(&Library::of(workspace, infra), &settings);
    document.judged(settings, found)
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
        Err(error) => return Some(Finding::of(path.key("name"), chain(&error), error.hint())),
    };
    let error = definition.environment(taskserv.profile.as_ref(), &taskserv.params).err()?;
    let message = chain(&error);
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
        let (path, message, hint) = (top.index(index), chain(&error), error.hint());
        Some(match &error {
            ClusterError::Parameter { param: Some(param), .. } => {
                Finding::of_key(path.key("params").key(param), message, hint)
            }
            ClusterError::NoZone { .. } => Finding::of(path.key("params"), message, hint),
            _ => Finding::of(path.key("type"), message, hint),
        })
    });
    refused.collect()
}
