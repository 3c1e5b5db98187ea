//! Reading the body of a batch, field by field.

use serde_json::Value;

use super::BatchRequest;
use crate::api::read::{Object, boolean, label, map, parsed, path, positive, seconds, shown, text, unknown};
use crate::model::batch::{
    Backoff, BatchSpec, DEFAULT_PARALLEL_LIMIT, DEFAULT_TIMEOUT_SECONDS, Dependency, DependencyKind, Node, OnFailure,
    Operation, PROVIDERS, Payload, Retry, Rollback, ServerConfig, TaskservRef,
};
use crate::model::name::Name;
use crate::model::rehearsal::Rehearsal;

const BACKENDS: &[&str] = &["redb", "surrealdb", "filesystem"];
const TYPES: &[&str] = &["server_batch", "taskserv_batch", "cluster_batch", "command"];
/// What the types have besides what every operation has.
const PAYLOAD_FIELDS: &[&str] =
    &["server_configs", "taskservs", "cluster_type", "params", "command", "args", "env", "cwd"];

/// Reads a batch; the operations that can be read go to `graph` even when the batch as a whole can't.
pub(super) fn batch(object: &Object<'_>, graph: &mut Vec<Node>) -> Option<BatchRequest> {
    let name = object.required("name", label);
    let version = object.optional("version", label);
    let storage_backend = object.optional("storage_backend", backend);
    let parallel_limit = object.optional("parallel_limit", positive);
    let rollback_enabled = object.optional("rollback_enabled", boolean);
    let check_mode = object.optional("check_mode", boolean);
    let plan = object.optional("plan", digest);
    let infra = infra(object, name.as_deref());
    let rehearse = object.optional("rehearse", rehearsal);
    let operations = operations(object, graph);
    object.no_more();
    Some(BatchRequest {
        spec: BatchSpec {
            name: name?,
            version: version.unwrap_or_else(|| "1.0.0".to_owned()),
            parallel_limit: parallel_limit.unwrap_or(DEFAULT_PARALLEL_LIMIT),
            rollback_enabled: rollback_enabled.unwrap_or(true),
            infra: infra?,
            rehearse: rehearse.flatten(),
            operations: operations?,
        },
        check_mode: check_mode.unwrap_or(false),
        plan,
        storage_backend: storage_backend.unwrap_or_else(|| BACKENDS[0].to_owned()),
    })
}

/// The infra named, else the batch's own name. One that can't be an infra is refused: a name made up from it could be that
/// of another infra, whose servers would then be this batch's.
fn infra(object: &Object<'_>, batch_name: Option<&str>) -> Option<Name> {
    if !object.is_absent("infra") {
        return object.optional("infra", parsed);
    }
    let why = |error| format!("is required, because the batch's name can't be that of an infra: {error}");
    Name::new(batch_name?).map_err(|error| object.fault("infra", why(error))).ok()
}

/// The digest of a plan.
fn digest(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { Ok(text) } else { Err("must be `sha256:` and 64 hexadecimal digits, as a plan shows it".to_owned()) }
}

/// `true` for a rehearsal as it comes, or what its twins are like.
fn rehearsal(value: &Value) -> Result<Option<Rehearsal>, String> {
    match value {
        Value::Bool(is_wanted) => Ok(is_wanted.then(Rehearsal::default)),
        Value::Object(_) => {
            let rehearsal: Rehearsal = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
            rehearsal.fault().map_or(Ok(Some(rehearsal)), Err)
        }
        _ => Err("must be true, false or an object with `seed`, `speed`, `faults`, `rate`, `fail`".to_owned()),
    }
}

fn operations(object: &Object<'_>, graph: &mut Vec<Node>) -> Option<Vec<Operation>> {
    let entries = object.objects("operations")?;
    let mut operations = Vec::with_capacity(entries.len());
    for (index, entry) in &entries {
        let id: Option<Name> = entry.required("id", parsed);
        let dependencies = dependencies(entry);
        if let Some(id) = &id {
            graph.push(Node { index: *index, id: id.clone(), dependencies: dependencies.clone() });
        }
        operations.extend(operation(entry, id, dependencies.into_iter().map(|(_, dependency)| dependency).collect()));
    }
    Some(operations)
}

fn operation(object: &Object<'_>, id: Option<Name>, dependencies: Vec<Dependency>) -> Option<Operation> {
    let kind = object.required("type", operation_type);
    let needs_provider = kind.as_deref().is_some_and(|kind| kind == "server_batch" || kind == "taskserv_batch");
    let provider =
        if needs_provider { object.required("provider", parsed) } else { object.optional("provider", parsed) };
    let timeout_seconds = object.optional("timeout_seconds", timeout);
    let on_failure = object.optional("on_failure", on_failure);
    let retry = object.object("retry").map(|retry| self::retry(&retry));
    let rollback = object.object("rollback").map(|rollback| self::rollback(&rollback));
    let payload = kind.as_deref().and_then(|kind| payload(object, kind));
    if kind.is_none() {
        object.know(PAYLOAD_FIELDS);
    }
    object.no_more();
    Some(Operation {
        id: id?,
        payload: payload?,
        provider,
        dependencies,
        timeout_seconds: timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
        on_failure: on_failure.unwrap_or_default(),
        retry: retry.unwrap_or_default(),
        rollback: match rollback {
            Some(rollback) => Some(rollback?),
            None => None,
        },
    })
}

fn payload(object: &Object<'_>, kind: &str) -> Option<Payload> {
    match kind {
        "server_batch" => servers(object).map(|server_configs| Payload::ServerBatch { server_configs }),
        "taskserv_batch" => taskservs(object).map(|taskservs| Payload::TaskservBatch { taskservs }),
        "cluster_batch" => {
            let cluster_type = object.required("cluster_type", parsed);
            let params = object.optional("params", map).unwrap_or_default();
            Some(Payload::ClusterBatch { cluster_type: cluster_type?, params })
        }
        _ => {
            let command = object.required("command", program);
            let args = object.list("args", argument);
            let env = object.entries("env", variable);
            let cwd = object.optional("cwd", path);
            Some(Payload::Command { command: command?, args, env, cwd })
        }
    }
}

fn servers(object: &Object<'_>) -> Option<Vec<ServerConfig>> {
    let mut seen = std::collections::HashSet::new();
    let mut servers = Vec::new();
    for (_, entry) in object.objects("server_configs")? {
        let name: Option<Name> = entry.required("name", parsed);
        let plan = entry.required("plan", parsed);
        let zone = entry.required("zone", parsed);
        if let Some(name) = &name
            && !seen.insert(name.clone())
        {
            entry.fault("name", format!("two servers are called {name}"));
        }
        if let (Some(name), Some(plan), Some(zone)) = (name, plan, zone) {
            servers.push(ServerConfig { name, plan, zone, extra: entry.rest() });
        }
    }
    Some(servers)
}

fn taskservs(object: &Object<'_>) -> Option<Vec<TaskservRef>> {
    let items = match object.raw("taskservs") {
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(Value::Array(_)) => {
            object.fault("taskservs", "needs at least one task service");
            return None;
        }
        _ => {
            object.fault("taskservs", "is required, a list of names or of {name, servers, profile, params}");
            return None;
        }
    };
    let read = |(index, item): (usize, &Value)| match item {
        Value::String(name) => match Name::new(name.as_str()) {
            Ok(name) => Some(TaskservRef { name, servers: Vec::new(), profile: None, params: serde_json::Map::new() }),
            Err(error) => {
                object.fault_at(&format!("taskservs/{index}"), error.to_string());
                None
            }
        },
        other => taskserv(&object.child(&format!("taskservs/{index}"), other)?),
    };
    Some(items.iter().enumerate().filter_map(read).collect())
}

fn taskserv(object: &Object<'_>) -> Option<TaskservRef> {
    let name = object.required("name", parsed);
    let servers = object.list("servers", parsed);
    let profile = object.optional("profile", parsed);
    let params = object.optional("params", map).unwrap_or_default();
    object.no_more();
    Some(TaskservRef { name: name?, servers, profile, params })
}

/// The dependencies that can be read, each with its place.
fn dependencies(object: &Object<'_>) -> Vec<(usize, Dependency)> {
    let items = match object.raw("dependencies") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => {
            object.fault("dependencies", "must be a list of operation ids, or of {operation_id, type}");
            return Vec::new();
        }
    };
    let read = |(index, item): (usize, &Value)| match item {
        Value::String(id) => match Name::new(id.as_str()) {
            Ok(operation_id) => Some((index, Dependency { operation_id, kind: DependencyKind::Hard })),
            Err(error) => {
                object.fault_at(&format!("dependencies/{index}"), error.to_string());
                None
            }
        },
        other => {
            let entry = object.child(&format!("dependencies/{index}"), other)?;
            let operation_id = entry.required("operation_id", parsed);
            let kind = entry.optional("type", dependency_kind);
            entry.no_more();
            Some((index, Dependency { operation_id: operation_id?, kind: kind.unwrap_or_default() }))
        }
    };
    items.iter().enumerate().filter_map(read).collect()
}

fn retry(object: &Object<'_>) -> Retry {
    let default = Retry::default();
    let max_attempts = object.optional("max_attempts", attempts);
    let backoff = object.optional("backoff", backoff);
    let initial = object.optional("initial_delay_seconds", seconds);
    let max = object.optional("max_delay_seconds", seconds);
    object.no_more();
    Retry {
        max_attempts: max_attempts.unwrap_or(default.max_attempts),
        backoff: backoff.unwrap_or_default(),
        initial_delay_seconds: initial.unwrap_or(default.initial_delay_seconds),
        max_delay_seconds: max.unwrap_or(default.max_delay_seconds),
    }
}

fn rollback(object: &Object<'_>) -> Option<Rollback> {
    let command = object.required("command", program);
    let args = object.list("args", argument);
    object.no_more();
    Some(Rollback { command: command?, args })
}

fn backend(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if BACKENDS.contains(&text.as_str()) { Ok(text) } else { Err(unknown("storage backend", &text, BACKENDS)) }
}

fn operation_type(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if TYPES.contains(&text.as_str()) { Ok(text) } else { Err(unknown("operation type", &text, TYPES)) }
}

/// The providers of a body's operations that are none of prov's own, each with its operation's place.
pub(super) fn others(body: &Value) -> Vec<(usize, Name)> {
    let operations = body.get("operations").and_then(Value::as_array);
    let named = operations.into_iter().flatten().enumerate().filter_map(|(place, operation)| {
        let name = operation.get("provider")?.as_str()?;
        Some((place, Name::new(name).ok()?))
    });
    named.filter(|(_, name)| !PROVIDERS.contains(&name.as_str())).collect()
}

fn on_failure(value: &Value) -> Result<OnFailure, String> {
    match text(value)?.as_str() {
        "rollback" => Ok(OnFailure::Rollback),
        "fail" => Ok(OnFailure::Fail),
        "continue" => Ok(OnFailure::Continue),
        other => Err(unknown("reaction", other, &["rollback", "fail", "continue"])),
    }
}

fn backoff(value: &Value) -> Result<Backoff, String> {
    match text(value)?.as_str() {
        "exponential" => Ok(Backoff::Exponential),
        "linear" => Ok(Backoff::Linear),
        other => Err(unknown("backoff", other, &["exponential", "linear"])),
    }
}

fn dependency_kind(value: &Value) -> Result<DependencyKind, String> {
    match text(value)?.as_str() {
        "hard" => Ok(DependencyKind::Hard),
        "soft" => Ok(DependencyKind::Soft),
        "optional" => Ok(DependencyKind::Optional),
        other => Err(unknown("dependency type", other, &["hard", "soft", "optional"])),
    }
}

fn attempts(value: &Value) -> Result<u32, String> {
    positive(value).ok().filter(|n| *n <= 1000).ok_or_else(|| "must be a whole number from 1 to 1000".to_owned())
}

fn timeout(value: &Value) -> Result<u64, String> {
    let seconds = seconds(value)?;
    if seconds == 0 { Err("must be at least 1".to_owned()) } else { Ok(seconds) }
}

/// A program: no NUL, no line break, not empty; it is executed, never handed to a shell.
fn program(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
        return Err("must be a program's name or path of 1 to 4096 characters without control characters".to_owned());
    }
    Ok(text)
}

fn argument(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.contains('\0') { Err("can't hold NUL characters".to_owned()) } else { Ok(text) }
}

/// The value of an environment variable of this name.
fn variable(name: &str, value: &Value) -> Result<String, String> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("{:?} is no name of an environment variable", shown(name)));
    }
    if name.starts_with("PROV_") {
        return Err("is prov's own: variables that start with PROV_ can't be set".to_owned());
    }
    argument(value)
}
