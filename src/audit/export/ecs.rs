//! Elastic Common Schema: <https://www.elastic.co/docs/reference/ecs>.
//!
//! What the schema has no field for stands under `prov`. Details differ from action to action: an index maps
//! `prov.details` as `flattened`.

use serde_json::{Map, Value, json};

use crate::audit::chain::Sealed;
use crate::audit::entry::{Decision, Entry, Outcome};

/// The version of the schema.
const VERSION: &str = "8.11.0";

/// An entry as a document.
pub(super) fn document(entry: &Entry, sealed: &Sealed, host: &str) -> Value {
    let Entry { sequence, event } = entry;
    let (actor, resource) = (&event.actor, &event.resource);
    let message = format!("{} {} {resource}: {}", actor.username, event.action, event.outcome.as_str());
    let mut document = json!({
        "@timestamp": event.at,
        "ecs": {"version": VERSION},
        "message": message,
        "event": {
            "kind": "event",
            "module": "prov",
            "dataset": "prov.audit",
            "category": categories(&event.action),
            "type": types(&event.action, &event.decision),
            "action": event.action,
            "outcome": if event.outcome == Outcome::Success { "success" } else { "failure" },
            "sequence": sequence,
            "hash": sealed.mac,
        },
        "service": {"type": "prov", "name": "prov"},
        "host": {"name": host},
        "user": {"id": actor.user, "name": actor.username, "roles": actor.roles},
        "source": {"ip": event.address},
        "user_agent": {"original": event.user_agent},
        "http": {"request": {"id": event.request_id}},
        "error": {"code": event.outcome.code()},
        "related": {"user": [actor.username], "ip": event.address.map(|address| [address])},
        "prov": {
            "resource": {"type": resource.kind, "name": resource.name},
            "credential": {"type": actor.credential, "id": actor.credential_id},
            "decision": {"verdict": event.decision.as_str(), "policies": event.decision.policies()},
            "outcome": event.outcome.as_str(),
            "details": event.details,
        },
    });
    document.as_object_mut().into_iter().for_each(prune);
    document
}

/// Drops what has no value, objects that are empty without it included.
fn prune(fields: &mut Map<String, Value>) {
    fields.values_mut().filter_map(Value::as_object_mut).for_each(prune);
    fields.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
}

/// Values that the schema allows for `event.category`.
fn categories(action: &str) -> Vec<&'static str> {
    let noun = action.split('_').next().unwrap_or_default();
    let further = match noun {
        "auth" | "mfa" => Some("authentication"),
        "user" | "role" | "policy" | "token" => Some("iam"),
        "session" => Some("session"),
        _ => None,
    };
    ["api"].into_iter().chain(further).collect()
}

/// Values that the schema expects for `event.type` in the category `api`.
fn types(action: &str, decision: &Decision) -> Vec<&'static str> {
    let (noun, verb) = (action.split('_').next(), action.rsplit('_').next().unwrap_or_default());
    let does = match verb {
        "create" | "enroll" => "creation",
        "delete" | "revoke" => "deletion",
        "login" | "execute" | "submit" => "start",
        "logout" => "end",
        "list" | "get" | "read" | "logs" | "verify" | "export" | "validate" | "evaluate" | "jwks" | "health"
        | "ready" => "access",
        _ => "change",
    };
    let decided = match decision {
        Decision::None => None,
        Decision::Allowed { .. } => Some("allowed"),
        Decision::Denied { .. } => Some("denied"),
    };
    [does].into_iter().chain((noun == Some("user")).then_some("user")).chain(decided).collect()
}
