//! The body of an order, judged as strictly as UpCloud does: what it doesn't know it refuses.

use serde_json::{Map, Value};

use super::catalogue;
use super::world::Denial;

/// An attribute and whether its value is one.
type Rule = (&'static str, fn(&Value) -> bool);

const SERVER: &[Rule] = &[
    ("zone", Value::is_string),
    ("title", Value::is_string),
    ("hostname", Value::is_string),
    ("plan", Value::is_string),
    ("core_number", Value::is_number),
    ("memory_amount", Value::is_number),
    ("labels", is_labels),
    ("metadata", is_yes_or_no),
    ("password_delivery", |value| value == "none"),
    ("user_data", Value::is_string),
    ("storage_devices", |value| all(value, "storage_device", STORAGE)),
    ("networking", |value| value.get("interfaces").is_some_and(|it| all(it, "interface", INTERFACE))),
    ("login_user", |value| value.as_object().is_some_and(|fields| fault(fields, LOGIN).is_none())),
];
const STORAGE: &[Rule] = &[
    ("action", |value| value == "clone"),
    ("storage", |value| value.as_str().is_some_and(catalogue::is_template)),
    ("title", Value::is_string),
    ("size", |value| value.as_u64().is_some_and(|size| (10..=4096).contains(&size))),
    ("tier", |value| ["maxiops", "standard", "hdd"].iter().any(|tier| value == tier)),
];
const INTERFACE: &[Rule] = &[
    ("type", |value| ["public", "utility", "private"].iter().any(|kind| value == kind)),
    ("network", Value::is_string),
    ("ip_addresses", |value| all(value, "ip_address", &[("family", |value| value == "IPv4" || value == "IPv6")])),
];
const LOGIN: &[Rule] = &[
    ("username", Value::is_string),
    ("create_password", is_yes_or_no),
    ("ssh_keys", |value| {
        let keys = value.get("ssh_key").and_then(Value::as_array);
        keys.is_some_and(|keys| !keys.is_empty() && keys.iter().all(|key| key.as_str().is_some_and(is_key)))
    }),
];

/// What is wrong with the body of an order.
pub fn judge(body: &Value) -> Option<Denial> {
    let Some(server) = only(body, "server").and_then(Value::as_object) else {
        return Some(Denial::old(400, "SERVER_INVALID", "The body holds no server."));
    };
    if let Some(denial) = fault(server, SERVER) {
        return Some(denial);
    }
    let text = |name: &str| server.get(name).and_then(Value::as_str);
    let required = ["zone", "title", "hostname", "storage_devices"];
    if let Some(name) = required.iter().find(|name| !server.contains_key(**name)) {
        return Some(Denial::old(400, &format!("{}_MISSING", name.to_uppercase()), "A required attribute is missing."));
    }
    if !catalogue::ZONES.contains(&text("zone").unwrap()) {
        return Some(Denial::old(404, "ZONE_NOT_FOUND", "The zone does not exist."));
    }
    if text("metadata") != Some("yes") {
        return Some(Denial::old(
            409,
            "METADATA_DISABLED_ON_CLOUD-INIT",
            "Cloud-init templates need the metadata service.",
        ));
    }
    let number = |name: &str| server.get(name).and_then(Value::as_u64);
    match (text("plan"), number("core_number"), number("memory_amount")) {
        (Some(plan), None, None) if catalogue::plan(plan).is_some() => None,
        (None, Some(cores), Some(memory)) if catalogue::is_sold(cores, memory) => None,
        (Some(_), None, None) => Some(Denial::detailed(400, "PLAN_INVALID", "The plan does not exist.")),
        (None, Some(_), Some(_)) => Some(Denial::old(400, "CORE_MEMORY_UNSUPPORTED", "Such a size is not sold.")),
        _ => Some(Denial::detailed(400, "PLAN_CORE_NUMBER_ILLEGAL", "Either a plan, or cores and memory.")),
    }
}

/// What is wrong with the body of a change, of which labels alone are known here.
pub fn judge_change(body: &Value) -> Option<Denial> {
    match only(body, "server").and_then(Value::as_object) {
        Some(server) => fault(server, &[("labels", is_labels)]),
        None => Some(Denial::old(400, "SERVER_INVALID", "The body holds no server.")),
    }
}

/// The value of the only attribute of a body, if it is called so.
pub fn only<'v>(body: &'v Value, name: &str) -> Option<&'v Value> {
    body.as_object().filter(|fields| fields.len() == 1)?.get(name)
}

fn fault(fields: &Map<String, Value>, rules: &[Rule]) -> Option<Denial> {
    fields.iter().find_map(|(name, value)| match rules.iter().find(|(known, _)| known == name) {
        None => Some(Denial::old(400, "UNKNOWN_ATTRIBUTE", &format!("The attribute {name} is not known."))),
        Some((_, is_good)) if !is_good(value) => {
            // The message quotes what was sent, as UpCloud's does in places.
            let message = format!("The attribute {name} has an invalid value: {value}");
            Some(Denial::old(400, &format!("{}_INVALID", name.to_uppercase()), &message))
        }
        Some(_) => None,
    })
}

/// Whether a list, wrapped as `name`, has elements and nothing wrong in them.
fn all(value: &Value, name: &str, rules: &[Rule]) -> bool {
    let elements = only(value, name).and_then(Value::as_array).filter(|elements| !elements.is_empty());
    elements.is_some_and(|elements| {
        elements.iter().all(|element| element.as_object().is_some_and(|fields| fault(fields, rules).is_none()))
    })
}

fn is_yes_or_no(value: &Value) -> bool {
    value == "yes" || value == "no"
}

fn is_key(line: &str) -> bool {
    line.starts_with("ssh-") && line.split_whitespace().count() >= 2 && !line.contains('\n')
}

fn is_labels(value: &Value) -> bool {
    let Some(labels) = only(value, "label").and_then(Value::as_array) else { return false };
    let text = |label: &Value, name: &str| label.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut keys: Vec<String> = labels.iter().filter_map(|label| text(label, "key")).collect();
    let are_good = labels.iter().all(|label| {
        let is_key = |key: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (2..=32).contains(&key.len())
                && key.chars().all(fits)
                && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        let value = text(label, "value").is_some_and(|value| value.chars().count() <= 255);
        text(label, "key").is_some_and(|key| is_key(&key)) && value && label.as_object().unwrap().len() == 2
    });
    let count = keys.len();
    keys.sort();
    keys.dedup();
    are_good && keys.len() == count
}
