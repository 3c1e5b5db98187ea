//! A batch as its user described it: a graph of operations, a parallel limit and what to do about failure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::name::Name;
use super::plan::Plan;
use super::rehearsal::Rehearsal;

/// A validated batch, immutable once accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchSpec {
    /// What people call it; not unique.
    pub name: String,
    /// The version of the description, for people.
    pub version: String,
    /// How many of its operations run at once, at least 1.
    pub parallel_limit: u32,
    /// Whether a failure undoes what was done.
    pub rollback_enabled: bool,
    /// The infra its servers belong to.
    pub infra: Name,
    /// Whether it works against twins of its providers, and what they are like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearse: Option<Rehearsal>,
    /// The graph, in the order given.
    pub operations: Vec<Operation>,
}

/// A node of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique in the batch.
    pub id: Name,
    /// What it does.
    #[serde(flatten)]
    pub payload: Payload,
    /// The provider it does it at; `None` where the type needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Name>,
    /// What it waits for.
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
    /// How long one attempt may take, in seconds.
    pub timeout_seconds: u64,
    /// What its failure means for the batch.
    pub on_failure: OnFailure,
    /// When and how often it is tried again.
    pub retry: Retry,
    /// What undoes it, where that is not its type's own compensation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// What an operation does, by type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Payload {
    /// Makes servers.
    ServerBatch {
        /// The servers to make, at least one.
        server_configs: Vec<ServerConfig>,
    },
    /// Installs task services on servers.
    TaskservBatch {
        /// What to install, at least one, in this order where nothing else orders them.
        taskservs: Vec<TaskservRef>,
    },
    /// Makes a cluster.
    ClusterBatch {
        /// The definition's name.
        cluster_type: Name,
        /// Parameters of the definition.
        #[serde(default)]
        params: Map<String, Value>,
    },
    /// Runs a program on the daemon's host.
    Command {
        /// The program: a name looked up on `PATH`, or an absolute path.
        command: String,
        /// Its arguments; no shell sees them.
        #[serde(default)]
        args: Vec<String>,
        /// Added to its environment.
        #[serde(default)]
        env: std::collections::BTreeMap<String, String>,
        /// Its working directory, relative to the workspace; the workspace when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
    },
}

impl Payload {
    /// The type's word on the wire.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ServerBatch { .. } => "server_batch",
            Self::TaskservBatch { .. } => "taskserv_batch",
            Self::ClusterBatch { .. } => "cluster_batch",
            Self::Command { .. } => "command",
        }
    }
}

/// A server to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerConfig {
    /// Unique in its infra.
    pub name: Name,
    /// Its size.
    pub plan: Plan,
    /// Its place.
    pub zone: Name,
    /// Fields for the provider, passed on as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A task service to install.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskservRef {
    /// The task service.
    pub name: Name,
    /// The servers it goes to; empty means every server of the infra at the operation's provider.
    #[serde(default)]
    pub servers: Vec<Name>,
    /// The set of defaults; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Name>,
    /// Parameters over the defaults.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// A reason to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The operation waited for.
    pub operation_id: Name,
    /// What must have become of it.
    #[serde(rename = "type", default)]
    pub kind: DependencyKind,
}

/// What a batch's graph consists of: an operation as far as its dependencies go. Of a request with faults, those
/// operations that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where the operation stands in the list.
    pub index: usize,
    /// Its id.
    pub id: Name,
    /// What it waits for, each with its place in the operation's own list.
    pub dependencies: Vec<(usize, Dependency)>,
}

/// What a dependency asks of the operation it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// It must be Completed.
    #[default]
    Hard,
    /// It must have ended, however.
    Soft,
    /// As soft, and it may be absent from the batch.
    Optional,
}

/// What an operation's failure means for its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Stop, and undo what was done (as `fail` where the batch has rollback off).
    #[default]
    Rollback,
    /// Stop, and keep what was done.
    Fail,
    /// Go on with everything that doesn't need it.
    Continue,
}

/// How often and when an operation is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub max_attempts: u32,
    /// How the delay grows.
    pub backoff: Backoff,
    /// The delay before the second attempt, in seconds.
    pub initial_delay_seconds: u64,
    /// The longest delay, in seconds.
    pub max_delay_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 1, backoff: Backoff::Exponential, initial_delay_seconds: 5, max_delay_seconds: 300 }
    }
}

/// How the delay between attempts grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// It doubles.
    #[default]
    Exponential,
    /// It grows by the initial delay each time.
    Linear,
}

/// A compensation that the user names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The program.
    pub command: String,
    /// Its arguments; no shell sees them.
    #[serde(default)]
    pub args: Vec<String>,
}

/// The timeout of an operation that names none, in seconds.
pub const DEFAULT_TIMEOUT_SECONDS: u64 = 1800;
/// The parallel limit of a batch that names none.
pub const DEFAULT_PARALLEL_LIMIT: u32 = 5;
/// The providers an operation can name. Which of them this build can reach is the execution plane's to say.
pub const PROVIDERS: &[&str] = &["local", "upcloud", "aws", "ssh"];
