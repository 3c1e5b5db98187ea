//! How a batch's plan looks. Pure: a plan in, text out.

use serde_json::Value;

use crate::api::batch::{BatchPlan, PlannedOperation};
use crate::cli::printer::counted;

/// The plan, wave by wave; with what would change, where that was asked for.
pub(super) fn text(plan: &BatchPlan) -> String {
    let mut text = format!("{}: {}\n", plan.name, size(plan));
    for (number, wave) in plan.waves.iter().enumerate() {
        text += &format!("wave {}\n", number + 1);
        for operation in plan.operations.iter().filter(|operation| wave.contains(&operation.id)) {
            text += &self::operation(operation);
        }
    }
    if let Some(digest) = &plan.digest {
        text += &format!("\nplan {digest}\nrun it, and nothing else: prov batch run --plan {digest} …\n");
    }
    text
}

/// `3 operations in 2 waves`.
pub(super) fn size(plan: &BatchPlan) -> String {
    format!("{} in {}", counted(plan.operations.len(), "operation"), counted(plan.waves.len(), "wave"))
}

fn operation(operation: &PlannedOperation) -> String {
    let provider = operation.provider.as_ref().map(|provider| format!(" at {provider}")).unwrap_or_default();
    let mut text = format!("  {}  {}{provider}\n", operation.id, operation.kind);
    text += &format!("    do:   {} {}\n", operation.command, operation.args.join(" "));
    text += &format!("    undo: {}\n", operation.compensation.as_deref().unwrap_or("nothing undoes it"));
    for line in operation.changes.iter().flat_map(changes) {
        text += &format!("    {line}\n");
    }
    text
}

/// A line for each server and each task service that something would be done with.
fn changes(changes: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let servers = list(&changes["changes"]);
    let services = if changes.is_array() { list(changes) } else { list(&changes["taskservs"]) };
    let lines = servers.iter().map(server).chain(services.iter().map(service));
    let lines: Vec<String> = lines.flatten().collect();
    if lines.is_empty() { vec!["= nothing to change".to_owned()] } else { lines }
}

fn server(change: &Value) -> Option<String> {
    let word = |field: &str| change[field].as_str().unwrap_or_default().to_owned();
    let mark = mark(&word("action"))?;
    let mut text = format!("{mark} {} {}: {}, {}", word("action"), word("server"), word("plan"), word("zone"));
    for difference in change["differences"].as_array().into_iter().flatten() {
        let shown = |field: &str| difference[field].as_str().unwrap_or("none").to_owned();
        text += &format!("; {}: {} → {}", shown("attribute"), shown("from"), shown("to"));
    }
    let known: Vec<&str> = change["known_after"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !known.is_empty() {
        text += &format!("; known after it is made: {}", known.join(", "));
    }
    if let Some(rollback) = change["rollback"].as_str() {
        text += &format!("; rollback: {rollback}");
    }
    Some(text)
}

fn service(change: &Value) -> Option<String> {
    let word = |field: &str| change[field].as_str().unwrap_or_default();
    let mark = mark(word("action"))?;
    Some(format!("{mark} {} {} {} on {}", word("action"), word("taskserv"), word("version"), word("server")))
}

/// What stands before a change; none for what changes nothing.
fn mark(action: &str) -> Option<char> {
    match action {
        "create" | "install" => Some('+'),
        "start" | "update" => Some('~'),
        "replace" => Some('±'),
        "delete" | "remove" => Some('-'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_change_is_shown_with_what_is_known_later() {
        let plan: BatchPlan = serde_json::from_value(json!({
            "name": "b", "valid": true, "waves": [["web"], ["soft"]], "digest": "sha256:12",
            "operations": [
                {"id": "web", "type": "server_batch", "provider": "local", "command": "prov servers create", "args": [],
                 "compensation": "prov servers delete", "changes": {"infra": "i", "changes": [
                    {"action": "create", "server": "a", "provider": "local", "plan": "1xCPU-1 GB", "zone": "z",
                     "known_after": ["id", "address"], "rollback": "delete"},
                    {"action": "replace", "server": "b", "provider": "local", "plan": "2xCPU-1 GB", "zone": "z",
                     "differences": [{"attribute": "plan", "from": "1xCPU-1 GB", "to": "2xCPU-1 GB"}]},
                    {"action": "keep", "server": "c", "provider": "local", "plan": "1xCPU-1 GB", "zone": "z"}]}},
                {"id": "soft", "type": "taskserv_batch", "provider": "local", "command": "prov taskserv create",
                 "args": [], "compensation": null,
                 "changes": [{"server": "a", "taskserv": "nginx", "version": "1", "action": "install"}]},
            ],
        }))
        .unwrap();
        let text = text(&plan);
        for expected in [
            "    + create a: 1xCPU-1 GB, z; known after it is made: id, address; rollback: delete\n",
            "    ± replace b: 2xCPU-1 GB, z; plan: 1xCPU-1 GB → 2xCPU-1 GB\n",
            "    + install nginx 1 on a\n",
            "plan sha256:12\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(!text.contains(" c:"));
    }
}
