//! A value → [`Settings`]: which fields there are, what each must be, and how they refer to each other.
//!
//! Everything that is wrong is found, not only the first. Knows nothing of files; [`super::load`] adds the places.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::checker::{Checker, Finding, Record, shortened};
use super::{ClusterSettings, ServerSettings, Settings, default_provider};
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::model::nearest::{nearest, unknown};
use crate::model::plan::Plan;
use crate::provision::provider;
use crate::provision::value_path::ValuePath;

const INFRA_FIELDS: &[&str] =
    &["name", "environment", "provider", "defaults", "servers", "taskservs", "clusters", "description"];
const DEFAULTS_FIELDS: &[&str] = &["plan", "zone", "labels"];
const SERVER_FIELDS: &[&str] = &["name", "provider", "plan", "zone", "labels", "taskservs"];
const TASKSERV_FIELDS: &[&str] = &["name", "servers", "profile", "params"];
const SERVER_TASKSERV_FIELDS: &[&str] = &["name", "profile", "params"];
const CLUSTER_FIELDS: &[&str] = &["name", "type", "provider", "params"];

/// What servers have where they don't say otherwise.
struct Defaults {
    provider: Name,
    plan: Option<Plan>,
    zone: Option<Name>,
    labels: BTreeMap<String, String>,
}

/// Checks the settings of the infra `infra`; `is_plugin` says which providers there are besides prov's own.
///
/// # Errors
/// Everything that is wrong, at least one finding.
pub fn settings(value: &Value, infra: &Name, is_plugin: &dyn Fn(&str) -> bool) -> Result<Settings, Vec<Finding>> {
    let mut checker = Checker::knowing(is_plugin);
    let settings = checker.record(value, &ValuePath::default()).map(|top| infra_settings(&mut checker, &top, infra));
    let findings = checker.into_findings();
    match settings {
        Some(settings) if findings.is_empty() => Ok(settings),
        _ => Err(findings),
    }
}

fn infra_settings(checker: &mut Checker<'_>, top: &Record<'_>, infra: &Name) -> Settings {
    checker.only(top, INFRA_FIELDS);
    checker.text(top, "description");
    if let Some(name) = checker.parsed::<Name>(top, "name")
        && name != *infra
    {
        let hint = format!("write {infra:?}, or move the file to infra/{name}/");
        let message = format!("is {name:?}, but the directory is infra/{infra}/");
        checker.wrong(&top.path.key("name"), message, Some(hint));
    }
    let environment = checker.parsed(top, "environment").unwrap_or_else(|| infra.clone());
    let defaults = defaults(checker, top);
    let servers = servers(checker, top, &defaults);
    let taskservs = taskservs(checker, top, TASKSERV_FIELDS, &declared_names(top));
    let clusters = clusters(checker, top, &defaults);
    Settings { name: infra.clone(), environment, provider: defaults.provider, servers, taskservs, clusters }
}

fn defaults(checker: &mut Checker<'_>, top: &Record<'_>) -> Defaults {
    let provider = provider_name(checker, top).unwrap_or_else(default_provider);
    let Some(record) = checker.child(top, "defaults") else {
        return Defaults { provider, plan: None, zone: None, labels: BTreeMap::new() };
    };
    checker.only(&record, DEFAULTS_FIELDS);
    Defaults {
        provider,
        plan: checker.parsed(&record, "plan"),
        zone: checker.parsed(&record, "zone"),
        labels: checker.texts(&record, "labels"),
    }
}

fn provider_name(checker: &mut Checker<'_>, record: &Record<'_>) -> Option<Name> {
    let name: Name = checker.parsed(record, "provider")?;
    if provider::KNOWN.contains(&name.as_str()) || checker.is_plugin(name.as_str()) {
        return Some(name);
    }
    let message = unknown("provider", name.as_str(), provider::KNOWN);
    checker.wrong(&record.path.key("provider"), message, None);
    None
}

fn servers(checker: &mut Checker<'_>, top: &Record<'_>, defaults: &Defaults) -> Vec<ServerSettings> {
    let mut first: BTreeMap<Name, ValuePath> = BTreeMap::new();
    let mut servers = Vec::new();
    for (element, path) in checker.elements(top, "servers") {
        let Some(record) = checker.record(element, &path) else { continue };
        let Some(server) = server(checker, &record, defaults) else { continue };
        if let Some(earlier) = first.get(&server.name) {
            let message = format!("the name {:?} is taken by {earlier}", server.name);
            checker.wrong(&path.key("name"), message, None);
        } else {
            first.insert(server.name.clone(), path);
            servers.push(server);
        }
    }
    servers
}

/// The names that servers have, those of servers with something wrong included: a reference to one is not wrong too.
fn declared_names<'v>(top: &Record<'v>) -> Vec<&'v str> {
    let servers = top.fields.get("servers").and_then(Value::as_array);
    servers.into_iter().flatten().filter_map(|server| server.get("name")?.as_str()).collect()
}

fn server(checker: &mut Checker<'_>, record: &Record<'_>, defaults: &Defaults) -> Option<ServerSettings> {
    checker.missing(record, "name", "each server has its own");
    let name = checker.parsed(record, "name");
    let provider = provider_name(checker, record).unwrap_or_else(|| defaults.provider.clone());
    let plan = checker.parsed(record, "plan").or(defaults.plan);
    if plan.is_none() {
        checker.missing(record, "plan", "write plan = \"1xCPU-2 GB\" here or under `defaults`");
    }
    let zone = checker
        .parsed(record, "zone")
        .or_else(|| defaults.zone.clone())
        .or_else(|| provider::only_zone(provider.as_str()));
    if zone.is_none() {
        checker.missing(record, "zone", "write it here or under `defaults`");
    }
    let mut labels = defaults.labels.clone();
    labels.extend(checker.texts(record, "labels"));
    let taskservs = taskservs(checker, record, SERVER_TASKSERV_FIELDS, &[]);
    let extra = extra(checker, record);
    Some(ServerSettings { name: name?, provider, plan: plan?, zone: zone?, labels, taskservs, extra })
}

/// The fields that are for the provider. It refuses what it doesn't know; a misspelt field of ours is refused here.
fn extra(checker: &mut Checker<'_>, record: &Record<'_>) -> Map<String, Value> {
    let mut extra = Map::new();
    for (key, value) in record.fields.iter().filter(|(key, _)| !SERVER_FIELDS.contains(&key.as_str())) {
        if nearest(key, SERVER_FIELDS).is_some() {
            checker.unknown(record, key, SERVER_FIELDS);
        } else {
            checker.references(value, &record.path.key(key));
            extra.insert(key.clone(), value.clone());
        }
    }
    extra
}

/// Task services: a name each, or a record with the fields `known`, which may refer to the servers `declared`.
fn taskservs(checker: &mut Checker<'_>, record: &Record<'_>, known: &[&str], declared: &[&str]) -> Vec<TaskservRef> {
    let elements = checker.elements(record, "taskservs");
    elements.into_iter().filter_map(|(element, path)| taskserv(checker, element, &path, known, declared)).collect()
}

fn taskserv(
    checker: &mut Checker<'_>,
    element: &Value,
    path: &ValuePath,
    known: &[&str],
    declared: &[&str],
) -> Option<TaskservRef> {
    if let Value::String(text) = element {
        let name = checker.parse(text, path)?;
        return Some(TaskservRef { name, servers: Vec::new(), profile: None, params: Map::new() });
    }
    let record = checker.record(element, path)?;
    checker.only(&record, known);
    checker.missing(&record, "name", "the task service to install");
    let name = checker.parsed(&record, "name");
    let named = if known.contains(&"servers") { server_names(checker, &record, declared) } else { Vec::new() };
    let profile = checker.parsed(&record, "profile");
    let params = checker.params(&record);
    Some(TaskservRef { name: name?, servers: named, profile, params })
}

fn server_names(checker: &mut Checker<'_>, record: &Record<'_>, declared: &[&str]) -> Vec<Name> {
    let mut names = Vec::new();
    for (element, path) in checker.elements(record, "servers") {
        match element.as_str() {
            Some(text) if declared.contains(&text) => names.extend(checker.parse::<Name>(text, &path)),
            Some(text) => {
                let hint = nearest(text, declared).map(|nearest| format!("did you mean `{nearest}`?"));
                checker.wrong(&path, format_args!("no server is called {:?}", shortened(text)), hint);
            }
            None => checker.wrong(&path, "must be the name of a server", None),
        }
    }
    names
}

fn clusters(checker: &mut Checker<'_>, top: &Record<'_>, defaults: &Defaults) -> Vec<ClusterSettings> {
    let mut first: BTreeMap<Name, ValuePath> = BTreeMap::new();
    let mut clusters = Vec::new();
    for (element, path) in checker.elements(top, "clusters") {
        let Some(cluster) = cluster(checker, element, &path, defaults) else { continue };
        if let Some(earlier) = first.get(&cluster.name) {
            let hint = "give each a `name` of its own".to_owned();
            checker.wrong(&path, format_args!("the name {:?} is taken by {earlier}", cluster.name), Some(hint));
        } else {
            first.insert(cluster.name.clone(), path);
            clusters.push(cluster);
        }
    }
    clusters
}

fn cluster(
    checker: &mut Checker<'_>,
    element: &Value,
    path: &ValuePath,
    defaults: &Defaults,
) -> Option<ClusterSettings> {
    if let Value::String(text) = element {
        let cluster_type: Name = checker.parse(text, path)?;
        let provider = defaults.provider.clone();
        return Some(ClusterSettings { name: cluster_type.clone(), cluster_type, provider, params: Map::new() });
    }
    let record = checker.record(element, path)?;
    checker.only(&record, CLUSTER_FIELDS);
    checker.missing(&record, "type", "the definition of the cluster: etcd, buildkit …");
    let cluster_type: Option<Name> = checker.parsed(&record, "type");
    let name = checker.parsed(&record, "name").or_else(|| cluster_type.clone());
    let provider = provider_name(checker, &record).unwrap_or_else(|| defaults.provider.clone());
    let params = checker.params(&record);
    Some(ClusterSettings { name: name?, cluster_type: cluster_type?, provider, params })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::super::locate;
    use super::*;

    fn infra() -> Name {
        Name::new("production").unwrap()
    }

    fn messages(value: &Value) -> Vec<String> {
        let findings = settings(value, &infra(), &|_| false).unwrap_err();
        findings
            .iter()
            .map(|finding| {
                let hint = finding.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}: {}{hint}", finding.path, finding.message)
            })
            .collect()
    }

    #[test]
    fn defaults_reach_every_server_and_yield_to_its_own() {
        let value = json!({
            "defaults": {"plan": "1xCPU-1 GB", "zone": "de-fra1", "labels": {"team": "web", "tier": "a"}},
            "servers": [
                {"name": "web-1"},
                {"name": "web-2", "plan": "2xCPU-4GB", "zone": "fi-hel1", "labels": {"tier": "b"}, "ports": [80]},
            ],
        });
        let settings = settings(&value, &infra(), &|_| false).unwrap();
        assert_eq!(settings.environment.as_str(), "production");
        let [one, two] = settings.servers.as_slice() else { panic!("{settings:?}") };
        assert_eq!((one.plan.to_string().as_str(), one.zone.as_str()), ("1xCPU-1 GB", "de-fra1"));
        assert_eq!((two.plan.to_string().as_str(), two.zone.as_str()), ("2xCPU-4 GB", "fi-hel1"));
        assert_eq!((two.labels["team"].as_str(), two.labels["tier"].as_str()), ("web", "b"));
        assert_eq!(two.extra["ports"], json!([80]));
        assert_eq!(one.provider.as_str(), "local");
    }

    #[test]
    fn task_services_are_names_or_records() {
        let value = json!({
            "servers": [{"name": "a", "plan": "1xCPU-1 GB", "taskservs": ["redis", {"name": "nginx", "params": {"port": 81}}]}],
            "taskservs": ["ntp", {"name": "etcd", "servers": ["a"], "profile": "small"}],
            "clusters": ["etcd", {"type": "buildkit", "name": "builders", "params": {"size": 2}}],
        });
        let settings = settings(&value, &infra(), &|_| false).unwrap();
        assert_eq!(settings.servers[0].taskservs[1].params["port"], 81);
        assert_eq!(settings.taskservs[1].servers[0].as_str(), "a");
        assert_eq!(settings.clusters[1].name.as_str(), "builders");
        assert_eq!(settings.clusters[0].cluster_type.as_str(), "etcd");
    }

    #[test]
    fn everything_that_is_wrong_is_found() {
        let value = json!({
            "name": "staging",
            "provider": "locla",
            "server": [],
            "servers": [
                {"name": "a b", "plan": "2GB", "zoen": "x"},
                {"name": "a", "plan": 3},
                {"name": "a", "plan": "1xCPU-1 GB", "labels": {"n": 1}},
                {"name": "a", "plan": "1xCPU-1 GB"},
                "b",
                {"name": "b"},
            ],
            "taskservs": [{"name": "nginx", "servers": ["aa", 7], "parms": {}}, {"servers": "a"}, "$(id)"],
            "clusters": {"type": "etcd"},
        });
        let expected = [
            "server: unknown field `server`; did you mean `servers`?",
            "name: is \"staging\", but the directory is infra/production/ (write \"production\", or move the file to infra/staging/)",
            "provider: unknown provider `locla`; did you mean `local`?",
            "servers[0].name: \"a b\" is no name: ' ' is not allowed (letters, digits, `-`, `_`, `.`)",
            "servers[0].plan: \"2GB\" is no plan; write processors and memory as in `1xCPU-2 GB` or `2xCPU-512 MB`",
            "servers[0].zoen: unknown field `zoen`; did you mean `zone`?",
            "servers[1].plan: must be text, not a number",
            "servers[2].labels.n: must be text, not a number",
            "servers[3].name: the name \"a\" is taken by servers[2]",
            "servers[4]: must be a record, not text",
            "servers[5]: the field `plan` is missing (write plan = \"1xCPU-2 GB\" here or under `defaults`)",
            "taskservs[0].parms: unknown field `parms`; did you mean `params`?",
            "taskservs[0].servers[0]: no server is called \"aa\" (did you mean `a`?)",
            "taskservs[0].servers[1]: must be the name of a server",
            "taskservs[1]: the field `name` is missing (the task service to install)",
            "taskservs[1].servers: must be an array, not text",
            "taskservs[2]: \"$(id)\" is no name: '$' is not allowed (letters, digits, `-`, `_`, `.`)",
            "clusters: must be an array, not a record",
        ];
        assert_eq!(messages(&value), expected);
    }

    #[test]
    fn a_zone_is_needed_where_the_provider_has_more_than_one() {
        let value = json!({"provider": "upcloud", "servers": [{"name": "a", "plan": "1xCPU-1 GB"}]});
        assert_eq!(messages(&value), ["servers[0]: the field `zone` is missing (write it here or under `defaults`)"]);
        assert_eq!(messages(&json!([])), [": must be a record, not an array"]);
    }

    #[test]
    fn references_to_secrets_are_checked_for_their_form_where_they_stand() {
        let of = |kind: &str| json!({"secret": {kind: "A"}});
        let value = json!({
            "servers": [{"name": "a", "plan": "1xCPU-1 GB", "user_data": of("env"), "keys": [of("keyrnig")]}],
            "taskservs": [{"name": "redis", "params": {"password": of("fiel")}}],
            "clusters": [{"type": "etcd", "params": {"password": {"secret": "swordfish"}}}],
        });
        let messages = messages(&value);
        assert_eq!(messages[0], "servers[0].keys[0]: unknown source of a secret `keyrnig`; did you mean `keyring`?");
        assert!(messages[1].starts_with("taskservs[0].params.password: unknown source of a secret `fiel`"));
        assert!(messages[2].starts_with("clusters[0].params.password: a secret is written"));
        assert_eq!(messages.len(), 3);
    }

    /// Values that look like settings here and there.
    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z/$ ]{0,6}", Just("1xCPU-1 GB".to_owned()), Just("local".to_owned())];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        let fields = [INFRA_FIELDS, SERVER_FIELDS, TASKSERV_FIELDS, CLUSTER_FIELDS].concat();
        leaf.prop_recursive(4, 48, 6, move |inner| {
            let key = prop_oneof![4 => select(fields.clone()).prop_map(str::to_owned), 1 => "[a-z]{0,5}"];
            let record = btree_map(key, inner.clone(), 0..6);
            prop_oneof![vec(inner, 0..4).prop_map(Value::from), record.prop_map(|fields| fields.into_iter().collect())]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_settings_or_has_findings_that_point_into_it(value in values()) {
            match settings(&value, &infra(), &|_| false) {
                Ok(settings) => {
                    let names: BTreeSet<&Name> = settings.servers.iter().map(|server| &server.name).collect();
                    prop_assert_eq!(names.len(), settings.servers.len());
                    for taskserv in settings.placed_taskservs() {
                        prop_assert!(taskserv.servers.iter().all(|server| names.contains(server)));
                    }
                }
                Err(findings) => {
                    prop_assert!(!findings.is_empty());
                    for finding in findings {
                        prop_assert!(locate::at(&value, &finding.path).is_some(), "{}", finding.path);
                    }
                }
            }
        }
    }
}
