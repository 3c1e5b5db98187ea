//! One server that is wanted against the one that is there.
//!
//! Labels can be changed; whatever else differs can't, and the server is replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Action, CLUSTER_LABEL, Change, Difference, Wanted};
use crate::provision::provider::{Server, ServerSpec, ServerState};
use crate::provision::settings;

/// What makes `wanted` come true, where `actual` is the server of that name, if there is one.
pub(super) fn toward(wanted: &Wanted, actual: Option<&Server>) -> Change {
    let spec = &wanted.spec;
    let change = |action: Action, differences, reason: Option<&str>| Change {
        action,
        server: spec.name.clone(),
        provider: wanted.provider.to_string(),
        plan: spec.plan,
        zone: spec.zone.clone(),
        differences,
        known_after: action.known_after(),
        rollback: action.rollback(),
        reason: reason.map(str::to_owned),
        warnings: Vec::new(),
        actual: actual.cloned(),
        wanted: Some(spec.clone()),
    };
    let Some(server) = actual else { return change(Action::Create, Vec::new(), None) };
    let fixed = fixed_differences(wanted, server);
    let labels = label_differences(&wanted.spec, &server.spec);
    let is_fixed_same = fixed.is_empty();
    let differences: Vec<Difference> = fixed.into_iter().chain(labels).collect();
    match server.state {
        ServerState::Damaged => change(Action::Replace, Vec::new(), Some("its record is damaged")),
        _ if !is_fixed_same => change(Action::Replace, differences, None),
        _ if !differences.is_empty() => change(Action::Update, differences, None),
        ServerState::Running => change(Action::Keep, differences, None),
        ServerState::Stopped => {
            let silent = server.silent.as_ref().map(|why| format!("it doesn't answer: {why}"));
            change(Action::Start, differences, Some(silent.as_deref().unwrap_or("it is stopped")))
        }
        ServerState::Incomplete => {
            let words = [&["its making isn't at its end".to_owned()], server.notes.as_slice()].concat();
            change(Action::Create, differences, Some(&words.join("; ")))
        }
    }
}

/// What becomes of a server that nobody declares.
pub(super) fn undeclared(server: &Server, prune: bool) -> Change {
    let owner = if server.spec.operation.contains('/') {
        Some(format!("made by the batch operation {}", server.spec.operation))
    } else {
        server.spec.labels.get(CLUSTER_LABEL).map(|cluster| format!("part of the cluster {cluster}"))
    };
    match owner {
        Some(owner) => of_actual(Action::Leave, server, Some(owner)),
        None if prune => of_actual(Action::Delete, server, Some("not declared".to_owned())),
        None => of_actual(Action::Leave, server, Some("not declared; --prune deletes it".to_owned())),
    }
}

/// A change of a server that is there and that nothing wanted is compared with.
pub(super) fn of_actual(action: Action, server: &Server, reason: Option<String>) -> Change {
    Change {
        action,
        server: server.spec.name.clone(),
        provider: server.provider.clone(),
        plan: server.spec.plan,
        zone: server.spec.zone.clone(),
        differences: Vec::new(),
        known_after: action.known_after(),
        rollback: action.rollback(),
        reason,
        warnings: Vec::new(),
        actual: Some(server.clone()),
        wanted: None,
    }
}

/// In what `server` differs from what is wanted that can't be changed. Whose work made it is no difference.
fn fixed_differences(wanted: &Wanted, server: &Server) -> Vec<Difference> {
    let attributes = |provider: &str, spec: &ServerSpec| {
        let mut attributes: BTreeMap<String, Value> = spec.extra.clone().into_iter().collect();
        attributes.insert("provider".to_owned(), provider.into());
        attributes.insert("plan".to_owned(), spec.plan.to_string().into());
        attributes.insert("zone".to_owned(), spec.zone.as_str().into());
        attributes
    };
    let old = attributes(&server.provider, &server.spec);
    differences(&old, &attributes(wanted.provider.as_str(), &wanted.spec))
}

fn label_differences(wanted: &ServerSpec, actual: &ServerSpec) -> Vec<Difference> {
    let labels = |spec: &ServerSpec| -> BTreeMap<String, Value> {
        spec.labels.iter().map(|(key, value)| (format!("labels.{key}"), value.clone().into())).collect()
    };
    differences(&labels(actual), &labels(wanted))
}

fn differences(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Difference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differing
        .map(|name| Difference {
            attribute: name.clone(),
            from: old.get(name).map(|value| shown(name, value)),
            to: new.get(name).map(|value| shown(name, value)),
        })
        .collect()
}

/// A value for people, without secrets.
fn shown(name: &str, value: &Value) -> String {
    let record = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    match settings::masked(&record).get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
