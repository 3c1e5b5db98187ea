//! `prov infra drift` about task services and clusters: what is declared, what was installed, what they say themselves.

use std::fs;

use serde_json::{Value, json};

use super::Sample;
use super::clusters::define_pair;

/// Declares servers that are there already, as the batch of a sample made them, and whatever `more` says.
fn declare(sample: &Sample, servers: &[&str], more: &Value) {
    let servers: Vec<Value> = servers.iter().map(|name| json!({"name": name, "plan": "1xCPU-1 GB"})).collect();
    let mut settings = json!({"provider": "local", "servers": servers});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let dir = sample.path().join("infra/demo");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.json"), settings.to_string()).unwrap();
}

/// `THING DRIFT` of all drift, and what is said of each; the exit code is as it should be.
fn drift(sample: &Sample) -> Vec<(String, String)> {
    let told = sample.prov("infra drift demo -o json");
    let drift: Vec<Value> = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    let is_unknown = drift.iter().any(|one| one["kind"] == "unknown");
    let expected = if is_unknown { 1 } else { i32::from(!drift.is_empty()) * 3 };
    assert_eq!(told.code, expected, "{told:?}");
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or("-").to_owned();
    let row = |one: &Value| {
        let subject = format!("{} {} {}", text(one, "type"), text(one, "name"), text(one, "server"));
        (format!("{subject} {}", text(one, "kind")), text(one, "what"))
    };
    drift.iter().map(row).collect()
}

fn kinds(drift: &[(String, String)]) -> Vec<&str> {
    drift.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn a_task_service_differs_from_its_declaration_its_record_or_its_own_word() {
    let Some(sample) = Sample::new(&["a", "b"]) else { return };
    let install = |file: &str| format!("echo 1.0 >/root/{file}\n");
    let check = |file: &str| format!("grep . /root/{file} || {{ echo 'the {file} is bent' >&2; exit 1; }}\n");
    sample.define("widget", "", "size = 1\n", [&install("widget"), &check("widget"), "true\n"]);
    sample.define("tool", "", "", ["ln -sf /bin/true /usr/bin/tool-x\n", "tool-x\n", "true\n"]);
    sample.define("other", "", "", [&install("other"), &check("other"), "true\n"]);
    let version = sample.path().join("extensions/taskservs/test/widget/version-widget.sh");
    fs::write(version, "cat /root/widget\n").unwrap();
    let declared = json!({"taskservs": ["widget", {"name": "tool", "servers": ["a"]}]});
    declare(&sample, &["a", "b"], &declared);
    assert_eq!(
        kinds(&drift(&sample)),
        ["taskserv tool a missing", "taskserv widget a missing", "taskserv widget b missing"]
    );
    assert_eq!(sample.prov("taskserv create --infra demo").code, 0);
    assert!(drift(&sample).is_empty());

    sample.inside("a", "rm /usr/bin/tool-x; echo 2.0 >/root/widget");
    sample.inside("b", ": >/root/widget");
    assert_eq!(sample.prov("taskserv create other --server b --infra demo").code, 0);
    let before = sample.inside("b", "ls -l --time-style=full-iso /var/lib/prov/taskservs");
    let found = drift(&sample);
    let expected = [
        ("taskserv tool a gone", "was installed, and is there no more"),
        ("taskserv widget a changed", "version: 1.0 was installed, 2.0 is there"),
        ("taskserv other b undeclared", "not declared"),
        ("taskserv widget b failing", "failed with status 1: the widget is bent"),
    ];
    assert_eq!(kinds(&found), expected.map(|(kind, _)| kind), "{found:?}");
    for ((_, what), (_, part)) in found.iter().zip(expected) {
        assert!(what.contains(part), "{what}");
    }
    assert_eq!(sample.inside("b", "ls -l --time-style=full-iso /var/lib/prov/taskservs"), before, "nothing is written");
    let table = sample.prov("infra drift demo");
    assert!(table.stdout.contains("taskserv widget on b"), "{table:?}");

    // Other parameters than it was installed with; and what a server that doesn't run has, doesn't run either.
    sample.inside("a", "echo 1.0 >/root/widget");
    let sized = json!({"taskservs": [{"name": "widget", "params": {"size": 2}}]});
    declare(&sample, &["a", "b"], &sized);
    sample.stop("b");
    let found = drift(&sample);
    let expected =
        ["taskserv tool a undeclared", "taskserv widget a changed", "server b b stopped", "taskserv widget b stopped"];
    assert_eq!(kinds(&found), expected, "{found:?}");
    assert_eq!(found[1].1, "other parameters: size");
}

#[test]
fn a_cluster_is_missing_changed_or_unhealthy_in_its_own_words() {
    let Some(sample) = Sample::new(&["bystander"]) else { return };
    define_pair(&sample);
    fs::write(
        sample.path().join("extensions/clusters/test/pair/health.sh"),
        "if [[ -e /root/ill ]]; then cat /root/ill >&2; exit 1; fi\n",
    )
    .unwrap();
    let clusters = json!({"clusters": [{"type": "pair", "name": "one"}]});
    declare(&sample, &["bystander"], &clusters);
    assert_eq!(kinds(&drift(&sample)), ["cluster one - missing"]);
    assert_eq!(sample.prov("cluster create one --infra demo").code, 0);
    assert!(drift(&sample).is_empty());
    // A record that can't be read doesn't even say whose server it is.
    let record = sample.path().join(".prov/local/demo/one-half-2/spec.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, "{").unwrap();
    let unread = ("cluster one - unknown".to_owned(), "the record of one-half-2 can't be read".to_owned());
    assert_eq!(drift(&sample), [unread]);
    fs::write(&record, whole).unwrap();

    sample.inside("one-half-1", "echo 'two of them lead' >/root/ill");
    sample.inside("one-half-2", "rm /root/cluster");
    let found = drift(&sample);
    assert_eq!(kinds(&found), ["cluster one - unhealthy"]);
    let said = &found[0].1;
    assert!(said.contains("two of them lead") && said.contains("taskserv part on one-half-2: failing"), "{said}");
    sample.inside("one-half-1", "rm /root/ill");
    sample.inside("one-half-2", "touch /root/cluster");
    let more = json!({"clusters": [{"type": "pair", "name": "one", "params": {"half_count": 3}}]});
    declare(&sample, &["bystander"], &more);
    let found = drift(&sample);
    assert_eq!(found, [("cluster one - changed".to_owned(), "server one-half-3 is missing".to_owned())]);
    sample.stop("one-half-1");
    assert_eq!(kinds(&drift(&sample)), ["cluster one - changed", "cluster one - unhealthy"]);
    declare(&sample, &["bystander"], &json!({}));
    let found = drift(&sample);
    assert_eq!(kinds(&found), ["cluster one - undeclared"]);
    assert!(found[0].1.ends_with("one-half-1, one-half-2"), "{found:?}");
}
