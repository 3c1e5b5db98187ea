//! The two services that need no package: installed, asked from the host, changed, undone.

use serde_json::json;

use super::Sample;

#[test]
fn both_answer_the_host_and_a_second_run_changes_nothing() {
    let Some(sample) = Sample::new(&["a", "b"]) else { return };
    let made = sample.prov("taskserv create tiny-http tiny-kv --infra demo");
    assert_eq!(made.stdout, "Successfully installed 4 task services\n", "{made:?}");
    for server in ["a", "b"] {
        let answer = sample.ask(server, 8080, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("Hello from {server}")), "{answer}");
    }
    assert_eq!(sample.ask("a", 6380, "SET k v\r\nGET k\r\n"), "+OK\r\n$1\r\nv\r\n");
    assert_eq!(sample.ask("b", 6380, "GET k\r\n"), "$-1\r\n", "each server has a store of its own");
    let again = sample.prov("taskserv create tiny-http tiny-kv --infra demo");
    assert_eq!(again.stdout, "Successfully installed 0 task services, 4 were there as wanted\n", "{again:?}");
    let plan = sample.prov("taskserv create tiny-http --infra demo --check --detailed-exitcode");
    assert_eq!(plan.code, 0, "{plan:?}");
    assert_eq!(sample.ask("a", 6380, "GET k\r\n"), "$1\r\nv\r\n", "what was kept was not touched");
}

#[test]
fn other_parameters_are_installed_anew_and_kept_for_checks_and_removal() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    assert_eq!(sample.prov("taskserv create tiny-http --infra demo").code, 0);
    let wanted =
        json!([{"name": "tiny-http", "servers": ["a"], "params": {"port": 8081, "greeting": "Hi; `id` $HOME"}}]);
    let changed = sample.operation("create", "o", &wanted);
    assert_eq!(changed.stdout, "Successfully installed 1 task service\n", "{changed:?}");
    let answer = sample.ask("a", 8081, "GET / HTTP/1.0\r\n\r\n");
    assert!(answer.contains("Hi; `id` $HOME from a"), "{answer}");
    // Its check asks the port that it was given, not the default one.
    assert_eq!(sample.installed(), ["a tiny-http works"]);
    assert_eq!(sample.inside("a", "stat -c %a /var/lib/prov/taskservs/tiny-http.json").trim(), "600");
    let wrong = sample.operation("create", "o", &json!([{"name": "tiny-http", "params": {"prot": 1}}]));
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("did you mean `port`?"), "{wrong:?}");
}

#[test]
fn an_operation_is_undone_exactly() {
    let Some(sample) = Sample::new(&["a", "b"]) else { return };
    assert_eq!(sample.prov("taskserv create tiny-kv --infra demo --server a").code, 0);
    let both = json!([{"name": "tiny-kv"}, {"name": "tiny-http", "servers": ["b"]}]);
    let done = sample.operation("create", "services", &both);
    assert_eq!(done.stdout, "Successfully installed 2 task services, 1 were there as wanted\n", "{done:?}");
    let undone = sample.operation("delete", "services", &both);
    assert_eq!(undone.stdout, "Successfully removed 2 task services\n", "{undone:?}");
    assert_eq!(sample.installed(), ["a tiny-kv works"], "what was there before stays");
    let again = sample.operation("delete", "services", &both);
    assert_eq!((again.code, again.stdout.as_str()), (0, "Successfully removed 0 task services\n"), "{again:?}");
    let operation = json!({"id": "x", "type": "taskserv_batch", "taskservs": both, "dependencies": []});
    let refused = sample.prov_with("taskserv delete --infra demo --operation - --yes", &operation.to_string());
    assert_eq!((refused.code, sample.installed().len()), (2, 1), "{refused:?}");
}

#[test]
fn what_stopped_is_seen_and_started_again() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    assert_eq!(sample.prov("taskserv create tiny-http --infra demo").code, 0);
    sample.inside("a", "kill -KILL $(cat /run/prov/tiny-http.pid)");
    // A check that polls for a service to come up has its own patience; the record alone is not believed.
    assert_eq!(sample.installed(), ["a tiny-http fails its check"]);
    let again = sample.prov("taskserv create tiny-http --infra demo");
    assert_eq!(again.stdout, "Successfully installed 1 task service\n", "{again:?}");
    let looked = sample.prov("taskserv reinstall tiny-http --infra demo --check");
    assert_eq!(looked.code, 0, "{looked:?}");
    let anew = sample.prov("taskserv reinstall tiny-http --infra demo --wait --yes");
    assert_eq!(anew.stdout, "Successfully reinstalled 1 task service\n", "{anew:?}");
}

#[test]
fn names_that_stand_for_nothing_are_refused() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    for line in ["taskserv create tiny-htp --infra demo", "taskserv delete tiny-htp --infra demo --yes"] {
        let refused = sample.prov(line);
        assert_eq!(refused.code, 2, "{line}: {refused:?}");
        assert!(refused.stderr.contains("did you mean tiny-http?"), "{refused:?}");
    }
    let refused = sample.prov("taskserv create tiny-http --infra demo --server nowhere");
    assert!(refused.stderr.contains("nowhere"), "{refused:?}");
    assert_eq!(refused.code, 6, "{refused:?}");
}
