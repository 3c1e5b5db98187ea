//! The shape of a batch's body, for whoever describes it. A batch is read by hand, because a wrong one is answered with
//! everything that is wrong; these types say what that reading takes, and a test holds the two together.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use crate::api::read::{LABEL, relative_path};
use crate::model::batch::{Backoff, DEFAULT_PARALLEL_LIMIT, DEFAULT_TIMEOUT_SECONDS, DependencyKind, OnFailure};
use crate::model::name::Name;
use crate::model::plan::Plan;
use crate::model::rehearsal::Rehearsal;

/// A graph of operations, how many of them run at once, and what a failure means.
#[derive(Debug, JsonSchema)]
// The batch's name must be able to stand for an infra that isn't named.
#[schemars(extend("anyOf" = [
    { "required": ["infra"], "properties": { "infra": { "type": "string" } } },
    { "properties": { "name": generator.subschema_for::<Name>() } },
]))]
pub struct BatchRequest {
    /// What people call it.
    #[schemars(regex(pattern = LABEL), length(min = 1, max = 256))]
    pub name: String,
    /// The version of the description, for people.
    #[schemars(default = "first", regex(pattern = LABEL), length(min = 1, max = 256))]
    pub version: String,
    /// Where the caller would like the state kept. A preference: when the daemon keeps it elsewhere, the answer says so.
    #[schemars(default)]
    pub storage_backend: StorageBackend,
    /// How many of its operations run at once.
    #[schemars(default = "parallel_limit", range(min = 1))]
    pub parallel_limit: u32,
    /// Whether a failure undoes what was done.
    #[schemars(default = "yes")]
    pub rollback_enabled: bool,
    /// Validate and answer the plan, run nothing.
    #[schemars(default)]
    pub check_mode: bool,
    /// The digest of a plan: the batch is refused when it would do anything else by now.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub plan: Option<String>,
    /// The infra its servers belong to; the batch's name when absent.
    pub infra: Option<Name>,
    /// Whether it works against twins of its providers, which fail as clouds do, and what they are like.
    pub rehearse: Option<Rehearse>,
    /// The graph; each id is there once, and nothing waits for itself.
    #[schemars(length(min = 1))]
    pub operations: Vec<OperationRequest>,
}

/// `true`, or what the twins are like.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Rehearse {
    /// A rehearsal as it comes.
    Wanted(bool),
    /// One with these twins.
    With(Rehearsal),
}

/// Where state is kept.
#[derive(Debug, Default, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageBackend {
    /// In the daemon's own store.
    #[default]
    Redb,
    /// In SurrealDB.
    SurrealDb,
    /// In files.
    Filesystem,
}

/// A node of the graph; its `type` says what it does.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum OperationRequest {
    /// Makes servers.
    ServerBatch(ServerBatch),
    /// Installs task services.
    TaskservBatch(TaskservBatch),
    /// Makes a cluster.
    ClusterBatch(ClusterBatch),
    /// Runs a program.
    Command(CommandOperation),
}

/// What every operation has.
#[derive(Debug, JsonSchema)]
pub struct Common {
    /// Unique in the batch.
    pub id: Name,
    /// What it waits for.
    #[schemars(default)]
    pub dependencies: Vec<DependencyRequest>,
    /// How long one attempt may take.
    #[schemars(default = "timeout", range(min = 1, max = 31_622_400))]
    pub timeout_seconds: u64,
    /// What its failure means for the batch.
    #[schemars(default)]
    pub on_failure: OnFailure,
    /// When and how often it is tried again.
    pub retry: Option<RetryRequest>,
    /// What undoes it, where that is not its type's own compensation.
    pub rollback: Option<RollbackRequest>,
}

/// Makes servers; its compensation deletes those that it made.
#[derive(Debug, JsonSchema)]
pub struct ServerBatch {
    /// What every operation has.
    #[schemars(flatten)]
    pub common: Common,
    /// What it does.
    #[schemars(rename = "type", extend("const" = "server_batch"))]
    pub kind: String,
    /// Where.
    pub provider: Provider,
    /// The servers to make.
    #[schemars(length(min = 1))]
    pub server_configs: Vec<ServerRequest>,
}

/// Installs task services on servers; its compensation removes them in reverse order.
#[derive(Debug, JsonSchema)]
pub struct TaskservBatch {
    /// What every operation has.
    #[schemars(flatten)]
    pub common: Common,
    /// What it does.
    #[schemars(rename = "type", extend("const" = "taskserv_batch"))]
    pub kind: String,
    /// Where.
    pub provider: Provider,
    /// What to install, in this order where nothing else orders them.
    #[schemars(length(min = 1))]
    pub taskservs: Vec<TaskservRequest>,
}

/// Makes a cluster; its compensation deletes it.
#[derive(Debug, JsonSchema)]
pub struct ClusterBatch {
    /// What every operation has.
    #[schemars(flatten)]
    pub common: Common,
    /// What it does.
    #[schemars(rename = "type", extend("const" = "cluster_batch"))]
    pub kind: String,
    /// Where.
    pub provider: Option<Provider>,
    /// The definition's name.
    pub cluster_type: Name,
    /// Parameters of the definition.
    #[schemars(default)]
    pub params: Map<String, Value>,
}

/// Runs a program on the daemon's host; no shell sees it. It has a compensation only where it names one.
#[derive(Debug, JsonSchema)]
pub struct CommandOperation {
    /// What every operation has.
    #[schemars(flatten)]
    pub common: Common,
    /// What it does.
    #[schemars(rename = "type", extend("const" = "command"))]
    pub kind: String,
    /// For people.
    pub provider: Option<Provider>,
    /// The program: a name looked up on `PATH`, or a path.
    #[schemars(schema_with = "program")]
    pub command: String,
    /// Its arguments.
    #[schemars(default, inner(regex(pattern = "^[^\\x00]*$")))]
    pub args: Vec<String>,
    /// Added to its environment. Variables that start with `PROV_` are prov's own.
    #[schemars(default, schema_with = "environment")]
    pub env: Option<BTreeMap<String, String>>,
    /// Its working directory, relative to the workspace; the workspace when absent.
    #[schemars(default, schema_with = "optional_path")]
    pub cwd: Option<String>,
}

/// What makes servers: `local` (the daemon's own host), `upcloud`, `aws`, `ssh` (hosts that are there already), or the name of
/// a plugin.
#[derive(Debug, JsonSchema)]
pub struct Provider(pub Name);

/// A server to make. Further fields go to the provider as they are.
#[derive(Debug, JsonSchema)]
pub struct ServerRequest {
    /// Unique in its infra.
    pub name: Name,
    /// Its size.
    pub plan: Plan,
    /// Its place.
    pub zone: Name,
    /// Fields for the provider.
    #[schemars(flatten)]
    pub extra: Map<String, Value>,
}

/// A task service to install: its name, or more about it.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum TaskservRequest {
    /// By name, with its defaults.
    Name(Name),
    /// With more about it.
    Detailed(DetailedTaskserv),
}

/// A task service, and how to install it.
#[derive(Debug, JsonSchema)]
pub struct DetailedTaskserv {
    /// The task service.
    pub name: Name,
    /// The servers it goes to; every server of the infra at the operation's provider when there is none.
    #[schemars(default)]
    pub servers: Vec<Name>,
    /// The set of defaults; `default` when absent.
    pub profile: Option<Name>,
    /// Parameters over the defaults.
    #[schemars(default)]
    pub params: Map<String, Value>,
}

/// An operation that is waited for: its id, when it must be Completed, or more about it.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum DependencyRequest {
    /// It must be Completed.
    Id(Name),
    /// With what must have become of it.
    Detailed(DetailedDependency),
}

/// An operation that is waited for, and what must have become of it.
#[derive(Debug, JsonSchema)]
pub struct DetailedDependency {
    /// The operation.
    pub operation_id: Name,
    /// What must have become of it.
    #[schemars(rename = "type", default)]
    pub kind: DependencyKind,
}

/// How often and when an operation is tried again.
#[derive(Debug, JsonSchema)]
pub struct RetryRequest {
    /// Attempts in all.
    #[schemars(default = "once", range(min = 1, max = 1000))]
    pub max_attempts: u32,
    /// How the delay grows.
    #[schemars(default)]
    pub backoff: Backoff,
    /// The delay before the second attempt.
    #[schemars(default = "initial_delay", range(max = 31_622_400))]
    pub initial_delay_seconds: u64,
    /// The longest delay.
    #[schemars(default = "max_delay", range(max = 31_622_400))]
    pub max_delay_seconds: u64,
}

/// A compensation that the caller names.
#[derive(Debug, JsonSchema)]
pub struct RollbackRequest {
    /// The program.
    #[schemars(schema_with = "program")]
    pub command: String,
    /// Its arguments.
    #[schemars(default, inner(regex(pattern = "^[^\\x00]*$")))]
    pub args: Vec<String>,
}

fn program(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 4096, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$" })
}

fn optional_path(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [relative_path(generator), { "type": "null" }] })
}

fn environment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": { "pattern": "^PROV_" } },
        "additionalProperties": { "type": "string", "pattern": r"^[^\x00]*$" }
    })
}

fn first() -> String {
    "1.0.0".to_owned()
}

const fn yes() -> bool {
    true
}

const fn once() -> u32 {
    1
}

const fn parallel_limit() -> u32 {
    DEFAULT_PARALLEL_LIMIT
}

const fn timeout() -> u64 {
    DEFAULT_TIMEOUT_SECONDS
}

const fn initial_delay() -> u64 {
    5
}

const fn max_delay() -> u64 {
    300
}
