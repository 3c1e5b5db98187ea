//! The bodies of the workflow calls; each answers the id of a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::{Object, Problem, Problems, boolean, parsed, path, relative_path, text, unknown};
use crate::model::name::Name;

/// What every workflow names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The infra.
    pub infra: Name,
    /// Its settings file, relative to the infra's folder.
    #[schemars(schema_with = "relative_path")]
    #[serde(default = "default_settings")]
    pub settings: String,
    /// Compute and show the plan, change nothing.
    #[serde(default)]
    pub check_mode: bool,
    /// End when what was made is reachable and healthy, not when it was accepted.
    #[serde(default)]
    pub wait: bool,
}

fn default_settings() -> String {
    "config.ncl".to_owned()
}

/// What to do with a taskserv or cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowOperation {
    /// Install or make it.
    #[default]
    Create,
    /// Remove it.
    Delete,
    /// Remove it, then install it again (taskservs only).
    Reinstall,
}

impl WorkflowOperation {
    /// The word on the wire and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Reinstall => "reinstall",
        }
    }
}

/// Body of `POST /workflows/servers/create` and `…/delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServersWorkflow {
    /// Where.
    #[serde(flatten)]
    pub target: Target,
}

/// Body of `POST /workflows/taskserv/create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskservWorkflow {
    /// What to do.
    #[serde(default)]
    pub operation: WorkflowOperation,
    /// The task service.
    pub taskserv: Name,
    /// Where.
    #[serde(flatten)]
    pub target: Target,
}

/// Body of `POST /workflows/cluster/create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterWorkflow {
    /// What to do.
    #[serde(default)]
    #[schemars(extend("not" = { "const": "reinstall" }))]
    pub operation: WorkflowOperation,
    /// The cluster's definition.
    pub cluster_type: Name,
    /// Where.
    #[serde(flatten)]
    pub target: Target,
}

impl Target {
    fn read(object: &Object<'_>) -> Option<Self> {
        let infra = object.required("infra", parsed);
        let settings = object.optional("settings", path);
        let check_mode = object.optional("check_mode", boolean);
        let wait = object.optional("wait", boolean);
        Some(Self {
            infra: infra?,
            settings: settings.unwrap_or_else(default_settings),
            check_mode: check_mode.unwrap_or(false),
            wait: wait.unwrap_or(false),
        })
    }
}

fn operation(value: &Value) -> Result<WorkflowOperation, String> {
    match text(value)?.as_str() {
        "create" => Ok(WorkflowOperation::Create),
        "delete" => Ok(WorkflowOperation::Delete),
        "reinstall" => Ok(WorkflowOperation::Reinstall),
        other => Err(unknown("operation", other, &["create", "delete", "reinstall"])),
    }
}

impl ServersWorkflow {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let target = Target::read(&object);
            object.no_more();
            Some(Self { target: target? })
        });
        problems.finish(read)
    }
}

impl TaskservWorkflow {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let operation = object.optional("operation", operation).unwrap_or_default();
            let taskserv = object.required("taskserv", parsed);
            let target = Target::read(&object);
            object.no_more();
            Some(Self { operation, taskserv: taskserv?, target: target? })
        });
        problems.finish(read)
    }
}

impl ClusterWorkflow {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let operation = object.optional("operation", operation).unwrap_or_default();
            if operation == WorkflowOperation::Reinstall {
                object.fault("operation", "a cluster can be created or deleted");
            }
            let cluster_type = object.required("cluster_type", parsed);
            let target = Target::read(&object);
            object.no_more();
            Some(Self { operation, cluster_type: cluster_type?, target: target? })
        });
        problems.finish(read)
    }
}
