//! Servers by settings: made once, replaced only when told to, deleted only when told to.

use std::fs;

use serde_json::Value;

use super::Sample;

#[test]
fn servers_are_made_kept_replaced_and_deleted() {
    let Some(sample) = Sample::new() else { return };
    let check = sample.prov("servers create --infra production --settings config.ncl --check");
    assert_eq!((check.code, sample.servers().len()), (0, 0), "{check:?}");
    assert!(check.stdout.ends_with("Plan for production: 3 to create\n"), "{check:?}");

    let made = sample.prov("servers create --infra production --wait");
    assert_eq!((made.code, made.stdout.as_str()), (0, "Successfully created 3 servers\n"), "{made:?}");
    let again = sample.prov("servers create --infra production --wait");
    assert_eq!((again.code, again.stdout.as_str()), (0, "Nothing to do: 3 servers are as declared\n"), "{again:?}");

    sample.rewrite("infra/production/config.ncl", "1xCPU-1 GB", "1xCPU-768 MB");
    let check = sample.prov("servers create --infra production --check --detailed-exitcode -o json");
    let plan: Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!((check.code, &plan["changes"][2]["action"]), (3, &"replace".into()), "{check:?}");
    let refused = sample.prov("servers create --infra production");
    assert_eq!(refused.code, 2, "{refused:?}");
    let expected = "  replace db-1 with all it holds (plan: 1xCPU-1 GB → 1xCPU-768 MB)\nhint: add --yes\n";
    assert!(refused.stderr.ends_with(expected), "{refused:?}");
    let replaced = sample.prov("servers create --infra production --yes");
    assert_eq!(replaced.stdout, "Successfully replaced 1 server, kept 2\n", "{replaced:?}");

    sample.rewrite("infra/production/config.ncl", "team = \"shop\"", "team = \"store\"");
    let updated = sample.prov("servers create --infra production");
    assert_eq!(updated.stdout, "Successfully updated 3 servers\n", "{updated:?}");
    assert_eq!(sample.prov("servers create --infra production --check --detailed-exitcode").code, 0);

    let refused = sample.prov("servers delete --infra production");
    assert_eq!((refused.code, sample.servers().len()), (2, 3), "{refused:?}");
    let deleted = sample.prov("servers delete --infra production --settings config.ncl --yes");
    assert_eq!(deleted.stdout, "Successfully deleted 3 servers\n", "{deleted:?}");
    let again = sample.prov("servers delete --infra production --yes");
    assert_eq!((again.code, again.stdout.as_str()), (0, "Nothing to do: there are no such servers\n"), "{again:?}");
}

#[test]
fn what_is_no_longer_declared_goes_only_with_prune() {
    let Some(sample) = Sample::new() else { return };
    assert_eq!(sample.prov("servers create --infra production").code, 0);
    sample.rewrite(
        "infra/production/config.ncl",
        "{ name = \"db-1\", plan = \"1xCPU-1 GB\", labels.role = \"database\" },",
        "",
    );
    let kept = sample.prov("servers create --infra production --yes");
    assert_eq!(kept.stdout, "Nothing to do: 2 servers are as declared\n", "{kept:?}");
    let check = sample.prov("servers create --infra production --check");
    assert!(check.stdout.contains("not declared; --prune deletes it"), "{check:?}");
    let pruned = sample.prov("servers create --infra production --prune --yes");
    assert_eq!(pruned.stdout, "Successfully deleted 1 server, kept 2\n", "{pruned:?}");
    assert_eq!(sample.servers(), ["web-1", "web-2"]);
}

#[test]
fn servers_are_deleted_by_name_whoever_made_them() {
    let Some(sample) = Sample::new() else { return };
    assert_eq!(sample.prov("servers create --infra production").code, 0);
    let missing = sample.prov("servers delete --infra production wbe-1 --yes");
    assert_eq!(missing.code, 6, "{missing:?}");
    assert!(missing.stderr.ends_with("hint: did you mean web-1?\n"), "{missing:?}");
    let deleted = sample.prov("servers delete --infra production web-1 db-1 --yes");
    assert_eq!(deleted.stdout, "Successfully deleted 2 servers\n", "{deleted:?}");
    assert_eq!(sample.servers(), ["web-2"]);
}

#[test]
fn progress_goes_to_the_events_file() {
    let Some(sample) = Sample::new() else { return };
    let events = sample.path().join("events");
    let env = [("PROV_EVENTS", events.to_str().unwrap())];
    assert_eq!(sample.prov_with("servers create --infra production --quiet", "", &env).code, 0);
    let text = fs::read_to_string(&events).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["progress"], 1.0, "{text}");
    let steps = text.lines().filter(|line| line.contains(": done")).count();
    assert_eq!(steps, 3, "{text}");
}

#[test]
fn a_wrong_file_is_a_usage_error_and_a_missing_infra_is_not_found() {
    let sample = Sample::without_servers();
    fs::write(sample.path().join("infra/production/bad.yaml"), "servers:\n  - name: a\n    plan: 2GB\n").unwrap();
    let bad = sample.prov("servers create --infra production --settings bad.yaml");
    assert_eq!(bad.code, 2, "{bad:?}");
    let expected = "error: infra/production/bad.yaml:3:11: servers[0].plan: \"2GB\" is no plan";
    assert!(bad.stderr.starts_with(expected), "{bad:?}");
    let json = sample.prov("servers create --infra nowhere -o json");
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!((json.code, json.stdout.as_str(), &error["exit_code"]), (6, "", &6.into()), "{json:?}");
    for line in
        ["servers create --infra ../x", "servers create --infra production --settings ../../x.ncl", "servers create"]
    {
        assert_eq!(sample.prov(line).code, 2, "{line}");
    }
    let valid = sample.prov("infra validate");
    assert_eq!(valid.stdout, "production is valid: 3 servers, 1 task service\n", "{valid:?}");
    sample.rewrite("infra/production/config.ncl", "params.greeting", "params.greting");
    let invalid = sample.prov("infra validate production");
    assert_eq!(invalid.code, 2, "{invalid:?}");
    assert!(invalid.stderr.contains("unknown parameter `greting`; did you mean `greeting`?"), "{invalid:?}");
    let listed = sample.prov("infra list -o json");
    let problem = serde_json::from_str::<Value>(&listed.stdout).unwrap()[0]["problem"].clone();
    assert!(problem.as_str().unwrap().contains("unknown parameter `greting`"), "what validate says: {listed:?}");
    sample.rewrite("infra/production/config.ncl", "params.greting", "params.greeting");
    let listed = sample.prov("infra list -o json");
    assert_eq!(serde_json::from_str::<Value>(&listed.stdout).unwrap()[0]["servers"], 3, "{listed:?}");
}

#[test]
fn shown_settings_have_their_secrets_covered() {
    let sample = Sample::without_servers();
    let text = r#"{"taskservs": [{"name": "db", "params": {"admin_password": "hunter2", "port": 1}}]}"#;
    fs::write(sample.path().join("infra/production/s.json"), text).unwrap();
    for format in ["table", "json", "yaml", "jsonl"] {
        let shown = sample.prov(&format!("infra show production --settings s.json -o {format}"));
        assert_eq!(shown.code, 0, "{shown:?}");
        assert!(shown.stdout.contains("********") && !shown.stdout.contains("hunter2"), "{shown:?}");
    }
}

#[test]
fn the_example_task_service_works_and_goes() {
    let Some(sample) = Sample::new() else { return };
    assert_eq!(sample.prov("servers create --infra production --wait").code, 0);
    let installed = sample.prov("taskserv create hello --infra production --settings config.ncl --wait");
    assert_eq!(installed.code, 0, "{installed:?}");
    let listed = sample.prov("taskserv list --infra production -o json");
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let works = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|installed| installed["name"] == "hello" && installed["healthy"] == true)
        .count();
    assert_eq!(works, 2, "{listed}");
    let removed = sample.prov("taskserv delete hello --infra production --settings config.ncl --yes");
    assert_eq!(removed.code, 0, "{removed:?}");
    let listed = sample.prov("taskserv list --infra production -o json");
    assert_eq!(listed.stdout.trim(), "[]", "{listed:?}");
}

#[test]
fn an_infra_that_only_a_batch_made_is_deleted_whole() {
    let Some(sample) = Sample::new() else { return };
    let operation = r#"{"batch_id": "b", "id": "o", "type": "server_batch", "dependencies": [],
        "server_configs": [{"name": "x", "plan": "1xCPU-512 MB", "zone": "local"}]}"#;
    assert_eq!(sample.prov_with("servers create --infra demo --operation -", operation, &[]).code, 0);
    let deleted = sample.prov("servers delete --infra demo --settings config.ncl --yes");
    assert_eq!((deleted.code, deleted.stdout.as_str()), (0, "Successfully deleted 1 server\n"), "{deleted:?}");
    // In an infra that has settings, what they don't declare goes as well.
    assert_eq!(sample.prov_with("servers create --infra production --operation -", operation, &[]).code, 0);
    let deleted = sample.prov("servers delete --infra production --yes");
    assert_eq!(deleted.stdout, "Successfully deleted 1 server\n", "{deleted:?}");
}

#[test]
fn what_settings_declare_and_nobody_has_is_shown_in_the_file() {
    let sample = Sample::without_servers();
    let text = "servers:\n  - name: a\n    plan: 1xCPU-1 GB\n    netwrok: host\n    taskservs: [tiny-htp]\n\
                taskservs:\n  - name: redis\n    params:\n      prot: 1\nclusters:\n  - type: ectd\n  - type: etcd\n    params:\n      members: 3\n";
    fs::write(sample.path().join("infra/production/bad.yaml"), text).unwrap();
    let refused = sample.prov("infra validate production --settings bad.yaml");
    assert_eq!(refused.code, 2, "{refused:?}");
    for expected in [
        "bad.yaml:4:5: servers[0].netwrok: ",
        "bad.yaml:5:17: servers[0].taskservs[0]",
        "did you mean tiny-http?",
        "bad.yaml:9:7: taskservs[0].params.prot: ",
        "bad.yaml:11:11: clusters[0].type: ",
        "did you mean etcd?",
        "bad.yaml:14:7: clusters[1].params.members: ",
    ] {
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    let drift = sample.prov("infra drift production --settings bad.yaml");
    assert_eq!((drift.code, &drift.stderr), (2, &refused.stderr), "what is wrong is compared with nothing");
    fs::rename(sample.path().join("infra/production/bad.yaml"), sample.path().join("infra/production/config.yaml"))
        .unwrap();
    let refused = sample.prov("infra validate production");
    assert!(refused.stderr.contains("several settings files: config.ncl and config.yaml"), "{refused:?}");
    fs::remove_file(sample.path().join("infra/production/config.ncl")).unwrap();
    let listed = sample.prov("infra list");
    assert!(listed.stdout.contains("invalid: "), "{listed:?}");
}

#[test]
fn a_server_in_the_hosts_network_is_warned_of() {
    let Some(sample) = Sample::new() else { return };
    let text = r#"{"servers": [{"name": "a", "plan": "1xCPU-1 GB", "network": "host"}]}"#;
    fs::write(sample.path().join("infra/production/h.json"), text).unwrap();
    let plan = sample.prov("servers create --infra production --settings h.json --check");
    assert!(plan.stdout.contains("its ports are the host's"), "{plan:?}");
}
