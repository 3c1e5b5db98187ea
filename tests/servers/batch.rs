//! Servers by an operation of a batch: made, found again, and undone without touching anybody else's.

use serde_json::json;

use super::Sample;

/// An operation that makes the servers `names`, as the daemon hands it over.
fn operation(batch: &str, names: &[&str]) -> String {
    let servers: Vec<_> =
        names.iter().map(|name| json!({"name": name, "plan": "1xCPU-512 MB", "zone": "local"})).collect();
    json!({
        "batch_id": batch, "id": "web", "type": "server_batch", "provider": "local", "server_configs": servers,
        "dependencies": [], "timeout_seconds": 60, "on_failure": "rollback",
        "retry": {"max_attempts": 1, "backoff": "exponential", "initial_delay_seconds": 5, "max_delay_seconds": 300},
    })
    .to_string()
}

const CREATE: &str = "servers create --infra demo --operation - --wait";
const UNDO: &str = "servers delete --infra demo --operation - --yes";

#[test]
fn an_operation_is_done_once_and_undone_once() {
    let Some(sample) = Sample::new() else { return };
    let operation = operation("0190", &["d-1", "d-2"]);
    let made = sample.prov_with(CREATE, &operation, &[]);
    assert_eq!(made.stdout, "Successfully created 2 servers\n", "{made:?}");
    let again = sample.prov_with(CREATE, &operation, &[]);
    assert_eq!(again.stdout, "Nothing to do: 2 servers are as declared\n", "{again:?}");
    assert_eq!(sample.servers(), ["d-1", "d-2"], "an infra without settings is listed too");
    let undone = sample.prov_with(UNDO, &operation, &[]);
    assert_eq!(undone.stdout, "Successfully deleted 2 servers\n", "{undone:?}");
    let again = sample.prov_with(UNDO, &operation, &[]);
    assert_eq!(again.code, 0, "{again:?}");
}

#[test]
fn undoing_leaves_what_others_made() {
    let Some(sample) = Sample::new() else { return };
    assert_eq!(sample.prov_with(CREATE, &operation("first", &["d-1"]), &[]).code, 0);
    // The second batch wants the same server as well as one of its own: it finds the one and makes the other.
    let second = operation("second", &["d-1", "d-2"]);
    assert_eq!(sample.prov_with(CREATE, &second, &[]).stdout, "Successfully created 1 server, kept 1\n");
    assert_eq!(sample.prov_with(UNDO, &second, &[]).stdout, "Successfully deleted 1 server\n");
    assert_eq!(sample.servers(), ["d-1"]);
}

#[test]
fn an_operation_of_no_batch_is_not_undone() {
    let Some(sample) = Sample::new() else { return };
    assert_eq!(sample.prov("servers create --infra production").code, 0);
    let text = operation("0190", &["web-1"]).replace("\"batch_id\":\"0190\",", "");
    let refused = sample.prov_with("servers delete --infra production --operation - --yes", &text, &[]);
    assert_eq!((refused.code, sample.servers().len()), (2, 3), "{refused:?}");
    let environment = [("PROV_BATCH_ID", "0190"), ("PROV_OPERATION_ID", "web")];
    let undone = sample.prov_with("servers delete --infra production --operation - --yes", &text, &environment);
    assert_eq!((undone.code, sample.servers().len()), (0, 3), "{undone:?}");
}

#[test]
fn an_operation_that_is_none_is_a_usage_error() {
    let Some(sample) = Sample::new() else { return };
    for text in ["", "{}", "[1]", "{\"id\": \"a\", \"type\": \"command\", \"command\": \"true\"}"] {
        let refused = sample.prov_with(CREATE, text, &[]);
        assert_eq!(refused.code, 2, "{text}: {refused:?}");
        assert!(refused.stderr.starts_with("error: "), "{refused:?}");
    }
    assert_eq!(sample.servers(), [""; 0]);
}
