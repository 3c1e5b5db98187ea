//! Whether the servers that settings declare can be had: fields that their providers know.

use serde_json::{Map, Value};

use super::wanted;
use crate::model::name::Name;
use crate::provision::provider;
use crate::provision::report::Reporter;
use crate::provision::settings::{self, Finding, Settings, SettingsError};
use crate::provision::value_path::ValuePath;
use crate::provision::workspace::Workspace;

/// The settings of `infra` with the servers checked.
///
/// # Errors
/// [`SettingsError`] lists everything that is wrong.
pub fn load(workspace: &Workspace, infra: &Name, file: Option<&str>) -> Result<Settings, SettingsError> {
    let (settings, document) = settings::read(workspace, infra, file)?;
    let found = refused(workspace, &settings);
    document.judged(settings, found)
}

/// Servers that their providers would refuse. A provider that this host can't reach says nothing.
#[must_use]
pub fn refused(workspace: &Workspace, settings: &Settings) -> Vec<Finding> {
    let top = ValuePath::default().key("servers");
    let wanted = wanted::by_settings(settings, "").into_iter().enumerate();
    let refused = wanted.filter_map(|(index, wanted)| {
        let provider = provider::open(wanted.provider.as_str(), workspace, &Reporter::silent()).ok()?;
        let error = provider.validate(&wanted.spec).err()?;
        let message = error.to_string();
        let path = top.index(index);
        // The field that the provider speaks of, where it names one.
        match wanted.spec.extra.keys().find(|field| message.contains(&format!("{field:?}"))) {
            Some(field) => Some(Finding::of_key(path.key(field), message, error.hint())),
            None => Some(Finding::of(first_field(path, &wanted.spec.extra), message, error.hint())),
        }
    });
    refused.collect()
}

/// The only field that is the provider's, if there is only one: then it is at fault.
fn first_field(path: ValuePath, extra: &Map<String, Value>) -> ValuePath {
    match extra.keys().collect::<Vec<_>>().as_slice() {
        [only] => path.key(only),
        _ => path,
    }
}
