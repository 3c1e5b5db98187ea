//! Providers that are programs: the example from its first call to its last, and programs that do everything wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use prov::model::name::Name;
use prov::provision::provider::cloud::{Api, CallError, Labels, Order};
use prov::provision::provider::plugin::{Plugin, find};
use prov::provision::provider::{ProviderError, ServerSpec};
use prov::provision::workspace::Workspace;
use serde_json::{Map, json};

use super::sshd::{Sshd, wait_gone};
use super::workspace::Hosts;

pub(super) const EXAMPLE: &str = include_str!("../fixtures/providers/prov-provider-dirs");
/// What a plugin says of itself before it does something wrong.
const DESCRIBES: &str = r#"request=$(cat)
case $request in *'"describe"'*) echo '{"protocol":1,"ok":{"protocols":[1],"knows_tokens":false,"settles_within_seconds":0}}'; exit;; esac
"#;

pub(super) fn put(workspace: &Path, name: &str, script: &str) {
    let path = workspace.join("providers").join(format!("prov-provider-{name}"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn servers_of_the_example_are_made_reached_and_deleted() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = Hosts::new(&json!({
        "provider": "dirs",
        "defaults": {"plan": "1xCPU-1 GB", "zone": "here"},
        "servers": [{"name": "a", "labels": {"team": "x"}}],
    }));
    put(hosts.path(), "dirs", EXAMPLE);
    let (address, keys) = (format!("127.0.0.1:{}", sshd.port), sshd.path("authorized_keys").display().to_string());
    let env = [("DIRS_ADDRESS", address.as_str()), ("DIRS_KEYS", keys.as_str())];
    let made = hosts.prov_with("servers create --infra demo --wait", &env);
    assert_eq!((made.0, made.1.as_str()), (0, "Successfully created 1 server\n"), "{made:?}");
    let machines = || fs::read_dir(hosts.path().join(".prov/dirs")).unwrap().count();
    assert_eq!(machines(), 1);
    let again = hosts.prov_with("servers create --infra demo --wait", &env);
    assert_eq!(again.1, "Nothing to do: 1 server is as declared\n", "{again:?}");
    let listed = hosts.prov_with("servers list --infra demo -o json", &env);
    let listed: serde_json::Value = serde_json::from_str(&listed.1).unwrap();
    assert_eq!((&listed[0]["provider"], &listed[0]["labels"]["team"]), (&json!("dirs"), &json!("x")), "{listed}");
    let gone = hosts.prov_with("servers delete --infra demo --yes", &env);
    assert_eq!((gone.1.as_str(), machines()), ("Successfully deleted 1 server\n", 0), "{gone:?}");
}

/// What comes of a plugin's `find`, or of opening it.
fn found(script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "odd", script);
    let workspace = Workspace::open(dir.path()).unwrap();
    let path = find(&workspace, "odd").unwrap();
    let said = match Plugin::open(&workspace, "odd", &path) {
        Ok(plugin) => match plugin.find(&Labels::from([("prov-infra".to_owned(), "i".to_owned())])) {
            Ok(machines) => format!("{} machines", machines.len()),
            Err(error) => format!("{error:?}"),
        },
        Err(ProviderError::Unavailable { what, .. }) => format!("unusable: {what}"),
        Err(other) => panic!("{other}"),
    };
    said.replace(path.to_str().unwrap(), "ODD")
}

#[test]
fn whatever_a_plugin_does_wrong_is_said_with_its_name() {
    let odd = |rest: &str| found(&format!("#!/bin/sh\n{DESCRIBES}{rest}\n"));
    assert_eq!(odd(r#"echo '{"protocol":1,"ok":{"machines":[]}}'"#), "0 machines");
    for (rest, why) in [
        ("exit 3", "Unknown(\"the plugin ODD, asked to find: it failed (exit status: 3)"),
        ("kill -9 $$", "asked to find: it failed (signal: 9"),
        ("echo hello", "it gives no answer that can be read"),
        (r#"echo '{"protocol":7,"ok":{}}'"#, "it answers in version 7 of the protocol, not 1"),
        (r#"echo '{"protocol":1,"ok":{"servers":[]}}'"#, "missing field `machines`"),
        (
            r#"echo '{"protocol":1,"ok":{"machines":[{"id":"a","labels":{},"state":"running","plan":null,"zone":"z"}]}}'"#,
            "found a, which lacks the labels",
        ),
        (
            r#"echo '{"protocol":1,"ok":{"machines":[{"id":"../a","labels":{},"state":"running","plan":null,"zone":"z"}]}}'"#,
            "is no id",
        ),
        ("head -c 17000000 /dev/zero", "its answer is longer than 16 MiB"),
    ] {
        let said = odd(rest);
        assert!(said.contains(why) && said.contains("ODD"), "{rest}: {said}");
    }
    // A failed status with an error in words is that error.
    let refused = odd(r#"echo '{"protocol":1,"error":{"kind":"refused","message":"no money"}}'; exit 1"#);
    assert_eq!(refused, "Refused { what: \"no money\", hint: None }");
    let other = found(
        "#!/bin/sh\ncat >/dev/null; echo '{\"protocol\":1,\"ok\":{\"protocols\":[2,3],\"knows_tokens\":true,\"settles_within_seconds\":0}}'\n",
    );
    assert_eq!(other, "unusable: the plugin ODD can't be used: it speaks the protocol's versions 2, 3, not 1");
    assert!(found("#!/no/such/shell\n").contains("asked to describe: it can't be started"));
}

#[test]
fn a_plugin_that_takes_too_long_is_ended_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "slow", &format!("#!/bin/sh\nsleep 900 & echo $! >'{0}/child'; sleep 901\n", dir.path().display()));
    let workspace = Workspace::open(dir.path()).unwrap();
    // The description has the shortest limit.
    let error = Plugin::open(&workspace, "slow", &find(&workspace, "slow").unwrap()).unwrap_err().to_string();
    assert!(error.contains("it took longer than 10 s and was killed"), "{error}");
    wait_gone(fs::read_to_string(dir.path().join("child")).unwrap().trim());
}

#[test]
fn an_order_whose_answer_is_none_may_have_been_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "lossy", &format!("#!/bin/sh\n{DESCRIBES}exit 1\n"));
    let workspace = Workspace::open(dir.path()).unwrap();
    let plugin = Plugin::open(&workspace, "lossy", &find(&workspace, "lossy").unwrap()).unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    let mut spec = ServerSpec {
        infra: name("i"),
        name: name("s"),
        plan: "1xCPU-1 GB".parse().unwrap(),
        zone: name("z"),
        operation: String::new(),
        labels: Labels::new(),
        extra: Map::new(),
    };
    let labels = Labels::new();
    let made = plugin.create(&Order { spec: &spec, token: "t", labels: &labels, public_key: "k" });
    assert!(matches!(made, Err(CallError::Unknown(_))), "{made:?}");
    spec.extra.insert("image".to_owned(), json!("x"));
    assert_eq!(plugin.validate(&spec).unwrap_err().to_string(), "server s: unknown field `image`; there is none here");
}

#[test]
fn a_provider_that_nobody_is_is_refused_where_it_stands() {
    let hosts = Hosts::new(&json!({"provider": "nobody", "servers": []}));
    let refused = hosts.prov_with("infra validate demo", &[]);
    assert!(refused.0 == 2 && refused.2.contains("unknown provider `nobody`"), "{refused:?}");
}
