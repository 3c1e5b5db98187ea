//! Reading the body of a batch, field by field.

use serde_json::Value;

use super::BatchRequest;
use crate::api::read::{Object, boolean, label, map, parsed, path, positive, seconds, text, texts, unknown};
use crate::model::batch::{
    Backoff, BatchSpec, DEFAULT_PARALLEL_LIMIT, DEFAULT_TIMEOUT_SECONDS, Dependency, DependencyKind, OnFailure,
    Operation, Payload, Retry, Rollback, ServerConfig, TaskservRef,
};
use crate::model::name::Name;
use crate::model::nearest::nearest;

const BACKENDS: &[&str] = &["redb", "surrealdb", "filesystem"];
const TYPES: &[&str] = &["server_batch", "taskserv_batch", "cluster_batch", "command"];

pub(super) fn batch(object: &Object<'_>) -> Option<BatchRequest> {
    let name = object.required("name", label);
    let version = object.optional("version", label);
    let storage_backend = object.optional("storage_backend", backend);
    let parallel_limit = object.optional("parallel_limit", positive);
    let rollback_enabled = object.optional("rollback_enabled", boolean);
    let check_mode = object.optional("check_mode", boolean);
    let infra = infra(object, name.as_deref());
    let operations = operations(object);
    object.no_more();
    Some(BatchRequest {
        spec: BatchSpec {
            name: name?,
            version: version.unwrap_or_else(|| "1.0.0".to_owned()),
            parallel_limit: parallel_limit.unwrap_or(DEFAULT_PARALLEL_LIMIT),
            rollback_enabled: rollback_enabled.unwrap_or(true),
            infra: infra?,
            operations: operations?,
        },
        check_mode: check_mode.unwrap_or(false),
        storage_backend: storage_backend.unwrap_or_else(|| BACKENDS[0].to_owned()),
    })
}

/// The infra named, else the batch's own name as far as it can be one.
fn infra(object: &Object<'_>, batch_name: Option<&str>) -> Option<Name> {
    if !object.is_absent("infra") {
        return object.optional("infra", parsed);
    }
    let name = batch_name?;
    let folded: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let folded: String = folded.trim_matches('-').chars().take(Name::MAX_CHARS).collect();
    let derived = Name::new(folded);
    if derived.is_err() {
        object.fault("infra", "is required, because the batch's name can't serve as one");
    }
    derived.ok()
}

fn operations(object: &Object<'_>) -> Option<Vec<Operation>> {
    object.objects("operations")?.iter().map(operation).collect::<Vec<_>>().into_iter().collect()
}

fn operation(object: &Object<'_>) -> Option<Operation> {
    let id = object.required("id", parsed);
    let kind = object.required("type", operation_type);
    let provider = object.optional("provider", provider);
    let dependencies = dependencies(object);
    let timeout_seconds = object.optional("timeout_seconds", seconds);
    let on_failure = object.optional("on_failure", on_failure);
    let retry = object.object("retry").map(|retry| self::retry(&retry));
    let rollback = object.object("rollback").map(|rollback| self::rollback(&rollback));
    let payload = kind.and_then(|kind| payload(object, &kind));
    if provider.is_none() && matches!(payload, Some(Payload::ServerBatch { .. } | Payload::TaskservBatch { .. })) {
        if object.is_absent("provider") {
            object.fault("provider", "is required for this type");
        }
        return None;
    }
    if payload.is_some() {
        object.no_more();
    }
    if timeout_seconds == Some(0) {
        object.fault("timeout_seconds", "must be at least 1");
    }
    Some(Operation {
        id: id?,
        payload: payload?,
        provider,
        dependencies: dependencies?,
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
            let args = object.optional("args", arguments).unwrap_or_default();
            let env = object.optional("env", environment).unwrap_or_default();
            let cwd = object.optional("cwd", path);
            Some(Payload::Command { command: command?, args, env, cwd })
        }
    }
}

fn servers(object: &Object<'_>) -> Option<Vec<ServerConfig>> {
    let entries = object.objects("server_configs")?;
    let servers: Option<Vec<ServerConfig>> = entries
        .iter()
        .map(|entry| {
            let name = entry.required("name", parsed);
            let plan = entry.required("plan", parsed);
            let zone = entry.required("zone", parsed);
            Some(ServerConfig { name: name?, plan: plan?, zone: zone?, extra: entry.rest() })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let servers = servers?;
    let mut seen = std::collections::HashSet::new();
    for (server, entry) in servers.iter().zip(&entries) {
        if !seen.insert(&server.name) {
            entry.fault("name", format!("two servers are called {}", server.name));
        }
    }
    Some(servers)
}

fn taskservs(object: &Object<'_>) -> Option<Vec<TaskservRef>> {
    let Some(Value::Array(items)) = object.raw("taskservs") else {
        object.fault("taskservs", "is required, a list of names or of {name, servers, profile, params}");
        return None;
    };
    if items.is_empty() {
        object.fault("taskservs", "needs at least one task service");
    }
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
    items.iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
}

fn taskserv(object: &Object<'_>) -> Option<TaskservRef> {
    let name = object.required("name", parsed);
    let servers = object.optional("servers", names).unwrap_or_default();
    let profile = object.optional("profile", parsed);
    let params = object.optional("params", map).unwrap_or_default();
    object.no_more();
    Some(TaskservRef { name: name?, servers, profile, params })
}

fn dependencies(object: &Object<'_>) -> Option<Vec<Dependency>> {
    let items = match object.raw("dependencies") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => {
            object.fault("dependencies", "must be a list of operation ids, or of {operation_id, type}");
            return None;
        }
    };
    let read = |(index, item): (usize, &Value)| match item {
        Value::String(id) => match Name::new(id.as_str()) {
            Ok(operation_id) => Some(Dependency { operation_id, kind: DependencyKind::Hard }),
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
            Some(Dependency { operation_id: operation_id?, kind: kind.unwrap_or_default() })
        }
    };
    items.iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
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
    let args = object.optional("args", arguments).unwrap_or_default();
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

fn provider(value: &Value) -> Result<Name, String> {
    let known = crate::model::batch::PROVIDERS;
    let name: Name = parsed(value)?;
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    let near = nearest(name.as_str(), known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("unknown provider `{name}`{near} The providers are {}", known.join(", ")))
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

fn names(value: &Value) -> Result<Vec<Name>, String> {
    texts(value)?.into_iter().map(|name| Name::new(name).map_err(|error| error.to_string())).collect()
}

/// A program: no NUL, no line break, not empty; it is executed, never handed to a shell.
fn program(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
        return Err("must be a program's name or path of 1 to 4096 characters without control characters".to_owned());
    }
    Ok(text)
}

fn arguments(value: &Value) -> Result<Vec<String>, String> {
    let args = texts(value)?;
    if args.iter().any(|arg| arg.contains('\0')) { Err("can't hold NUL characters".to_owned()) } else { Ok(args) }
}

fn environment(value: &Value) -> Result<std::collections::BTreeMap<String, String>, String> {
    let entries = map(value)?;
    let mut env = std::collections::BTreeMap::new();
    for (name, value) in entries {
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{name:?} is no name of an environment variable"));
        }
        if name.starts_with("PROV_") {
            return Err(format!("{name} is prov's own: variables that start with PROV_ can't be set"));
        }
        let value = value.as_str().filter(|text| !text.contains('\0'));
        env.insert(
            name.clone(),
            value.ok_or_else(|| format!("{name} must be a string without NUL characters"))?.to_owned(),
        );
    }
    Ok(env)
}
