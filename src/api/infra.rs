//! Infras on the wire, as the execution plane tells of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::name::Name;

/// An infra of the workspace as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InfraSummary {
    /// Its name.
    pub name: Name,
    /// What policies go by; null where its settings are wrong.
    pub environment: Option<String>,
    /// Servers that its settings declare; null where they are wrong.
    pub servers: Option<u64>,
    /// The providers of those.
    pub providers: Vec<String>,
    /// What is wrong with the settings.
    pub problem: Option<String>,
}

/// The settings of an infra as evaluated, with secrets covered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct InfraSettings(pub Map<String, Value>);

/// A server as its provider reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InfraServer {
    /// Its name.
    pub name: Name,
    /// The provider.
    pub provider: String,
    /// Whether it runs: the provider's word.
    pub state: String,
    /// Where the host reaches it.
    #[serde(default)]
    pub address: Option<String>,
    /// What else the provider tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}
