//! A provider that can't be used: a plugin whose program is gone, an account without credentials. Whatever it is asked, it
//! says why; what this workspace has on record there is known all the same.

use std::time::Duration;

use super::cloud::{Catalogue, recorded};
use super::{Provider, ProviderError, Server, ServerSpec};
use crate::model::name::Name;
use crate::provision::error::chain;
use crate::provision::transport::Transport;
use crate::provision::workspace::Workspace;

/// A provider and why it can't be used.
pub(super) struct Unusable {
    name: String,
    workspace: Workspace,
    what: String,
    hint: Option<String>,
}

impl Unusable {
    pub(super) fn of(name: &str, workspace: &Workspace, error: &ProviderError) -> Self {
        Self { name: name.to_owned(), workspace: workspace.clone(), what: chain(error), hint: error.hint() }
    }

    fn why<T>(&self) -> Result<T, ProviderError> {
        Err(ProviderError::Unavailable { what: self.what.clone(), hint: self.hint.clone() })
    }
}

impl Provider for Unusable {
    fn name(&self) -> &str {
        &self.name
    }

    fn validate(&self, _spec: &ServerSpec) -> Result<(), ProviderError> {
        self.why()
    }

    fn catalogue(&self) -> Result<Catalogue, ProviderError> {
        self.why()
    }

    fn list(&self, _infra: &Name) -> Result<Vec<Server>, ProviderError> {
        self.why()
    }

    fn recorded(&self, infra: &Name) -> Option<Vec<Name>> {
        Some(recorded(&self.workspace, &self.name, infra))
    }

    fn is_untouched(&self, infra: &Name) -> bool {
        recorded(&self.workspace, &self.name, infra).is_empty()
    }

    fn strays(&self, _infra: &Name) -> Result<Vec<Server>, ProviderError> {
        self.why()
    }

    fn gone(&self, _infra: &Name) -> Result<Vec<ServerSpec>, ProviderError> {
        self.why()
    }

    fn create(&self, _spec: &ServerSpec) -> Result<Server, ProviderError> {
        self.why()
    }

    fn wait_ready(&self, _infra: &Name, _name: &Name, _limit: Duration) -> Result<Server, ProviderError> {
        self.why()
    }

    fn delete(&self, _infra: &Name, _name: &Name) -> Result<(), ProviderError> {
        self.why()
    }

    fn transport(&self, _infra: &Name, _name: &Name) -> Result<Box<dyn Transport + '_>, ProviderError> {
        self.why()
    }
}
