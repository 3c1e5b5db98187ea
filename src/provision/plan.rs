//! What has to change for the servers that are there to become the servers that are wanted.
//!
//! Pure: two lists in, a list of changes out. Knows no provider and changes nothing; [`super::servers`] carries it out.
//! A server that is there and not wanted is left alone unless its deletion was asked for, and then only where the
//! settings are what made it: servers of batches and of clusters are not theirs to delete.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::provider::{Server, ServerSpec, ServerState};
use super::settings;
use crate::model::name::Name;
use crate::model::plan::Plan;

/// The label of a server that belongs to a cluster; its value is the cluster's name.
pub const CLUSTER_LABEL: &str = "cluster";

/// A server that somebody wants, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The provider that is to have it.
    pub provider: Name,
    /// The server.
    pub spec: ServerSpec,
}

/// What becomes of servers that are there and not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They are not spoken of: what is wanted is only a part of the infra.
    Ignore,
    /// They are shown and left alone.
    Leave,
    /// They are deleted, unless a batch or a cluster made them.
    Prune,
}

/// What happens to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is made, or its making is brought to an end.
    Create,
    /// It is there as wanted, and started.
    Start,
    /// It is there, and gets other labels; nothing it holds is touched.
    Update,
    /// It is deleted with all it holds and made anew: what differs can't be changed.
    Replace,
    /// It is deleted with all it holds.
    Delete,
    /// It is there as wanted.
    Keep,
    /// It is there, not wanted, and left alone.
    Leave,
}

impl Action {
    /// Every action, those that change something first.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Start, Self::Update, Self::Replace, Self::Delete, Self::Keep, Self::Leave];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Keep => "keep",
            Self::Leave => "leave",
        }
    }

    /// Whether it changes something.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Create | Self::Start | Self::Update | Self::Replace | Self::Delete)
    }

    /// Whether it destroys what a server holds.
    #[must_use]
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Replace | Self::Delete)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An attribute in which a server differs from what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `plan`, `zone`, `labels.team`, …
    pub attribute: String,
    /// What the server has; `None` where it lacks the attribute.
    pub from: Option<String>,
    /// What is wanted; `None` where the attribute is not.
    pub to: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        write!(f, "{}: {} → {}", self.attribute, or_none(&self.from), or_none(&self.to))
    }
}

/// What happens to one server, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// To which server.
    pub server: Name,
    /// The provider that has it or is to have it.
    pub provider: String,
    /// Its plan when all is done; of one that goes, the plan it has.
    pub plan: Plan,
    /// Its zone, likewise.
    pub zone: Name,
    /// What differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Why, where the rest doesn't say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The server as it is.
    #[serde(skip)]
    pub actual: Option<Server>,
    /// The server as it is to be.
    #[serde(skip)]
    pub wanted: Option<ServerSpec>,
}

/// All changes of an infra's servers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes {
    /// The infra.
    pub infra: Name,
    /// One for each server that is wanted or there: first the wanted ones in their order, then the others by name.
    pub changes: Vec<Change>,
}

impl Changes {
    /// What makes `actual` become `wanted`.
    #[must_use]
    pub fn between(infra: &Name, wanted: &[Wanted], actual: &[Server], others: Others) -> Self {
        let there: BTreeMap<&Name, &Server> = actual.iter().map(|server| (&server.spec.name, server)).collect();
        let names: BTreeSet<&Name> = wanted.iter().map(|wanted| &wanted.spec.name).collect();
        let toward = wanted.iter().map(|wanted| toward(wanted, there.get(&wanted.spec.name).copied()));
        let rest = there.values().filter(|server| others != Others::Ignore && !names.contains(&server.spec.name));
        let changes = toward.chain(rest.map(|server| undeclared(server, others == Others::Prune))).collect();
        Self { infra: infra.clone(), changes }
    }

    /// The deletion of those of `actual` that `goes` is true of.
    #[must_use]
    pub fn deleting(infra: &Name, actual: &[Server], goes: impl Fn(&Server) -> bool) -> Self {
        let changes = actual.iter().filter(|server| goes(server));
        Self { infra: infra.clone(), changes: changes.map(|server| of_actual(Action::Delete, server, None)).collect() }
    }

    /// Those whose action is `action`.
    pub fn of(&self, action: Action) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.action == action)
    }

    /// Whether anything would change.
    #[must_use]
    pub fn any(&self) -> bool {
        self.changes.iter().any(|change| change.action.is_change())
    }

    /// How many there are of each action.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<&'static str, usize> {
        Action::ALL.iter().map(|action| (action.as_str(), self.of(*action).count())).collect()
    }

    /// The whole as a sentence: `2 to create, 1 to keep`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = |action: &Action| (self.of(*action).count(), action.as_str());
        let parts: Vec<String> = Action::ALL
            .iter()
            .map(count)
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} to {word}"))
            .collect();
        if self.any() {
            format!("Plan for {}: {}", self.infra, parts.join(", "))
        } else if parts.is_empty() {
            format!("Nothing to change in {}: it has no servers", self.infra)
        } else {
            format!("Nothing to change in {}: {}", self.infra, parts.join(", "))
        }
    }
}

fn toward(wanted: &Wanted, actual: Option<&Server>) -> Change {
    let spec = &wanted.spec;
    let change = |action, differences, reason: Option<&str>| Change {
        action,
        server: spec.name.clone(),
        provider: wanted.provider.to_string(),
        plan: spec.plan,
        zone: spec.zone.clone(),
        differences,
        reason: reason.map(str::to_owned),
        actual: actual.cloned(),
        wanted: Some(spec.clone()),
    };
    let Some(server) = actual else { return change(Action::Create, Vec::new(), None) };
    let fixed = fixed_differences(wanted, server);
    let labels = label_differences(&wanted.spec, &server.spec);
    let is_fixed_same = fixed.is_empty();
    let differences: Vec<Difference> = fixed.into_iter().chain(labels).collect();
    match server.state {
        _ if !is_fixed_same => change(Action::Replace, differences, None),
        _ if !differences.is_empty() => change(Action::Update, differences, None),
        ServerState::Running => change(Action::Keep, differences, None),
        ServerState::Stopped => change(Action::Start, differences, Some("it is stopped")),
        ServerState::Incomplete => change(Action::Create, differences, Some("its making was cut short")),
    }
}

fn undeclared(server: &Server, prune: bool) -> Change {
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

fn of_actual(action: Action, server: &Server, reason: Option<String>) -> Change {
    Change {
        action,
        server: server.spec.name.clone(),
        provider: server.provider.clone(),
        plan: server.spec.plan,
        zone: server.spec.zone.clone(),
        differences: Vec::new(),
        reason,
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

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn wanted(server: &str, cpus: u32) -> Wanted {
        let spec = ServerSpec {
            infra: name("i"),
            name: name(server),
            plan: Plan { cpus, memory_mib: 1024 },
            zone: name("local"),
            operation: String::new(),
            labels: BTreeMap::new(),
            extra: Map::new(),
        };
        Wanted { provider: name("local"), spec }
    }

    fn made(wanted: &Wanted, state: ServerState) -> Server {
        Server {
            spec: wanted.spec.clone(),
            id: wanted.spec.name.to_string(),
            provider: wanted.provider.to_string(),
            state,
            address: None,
            limits: String::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_differs_is_named_with_old_and_new() {
        let mut old = wanted("a", 1);
        old.spec.labels.insert("team".to_owned(), "x".to_owned());
        old.spec.extra.insert("admin_password".to_owned(), "hunter2".into());
        let mut new = wanted("a", 2);
        new.spec.zone = name("de-fra1");
        new.spec.extra.insert("ports".to_owned(), serde_json::json!([80]));
        let changes = Changes::between(&name("i"), &[new], &[made(&old, ServerState::Running)], Others::Leave);
        assert_eq!(changes.changes[0].action, Action::Replace);
        let shown: Vec<String> = changes.changes[0].differences.iter().map(ToString::to_string).collect();
        let expected = [
            "admin_password: ******** → none",
            "plan: 1xCPU-1 GB → 2xCPU-1 GB",
            "ports: none → [80]",
            "zone: local → de-fra1",
            "labels.team: x → none",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn labels_alone_are_no_reason_to_destroy_anything() {
        let old = wanted("a", 1);
        let mut new = wanted("a", 1);
        new.spec.labels.insert("team".to_owned(), "x".to_owned());
        let changes = Changes::between(&name("i"), &[new], &[made(&old, ServerState::Stopped)], Others::Leave);
        assert_eq!(changes.changes[0].action, Action::Update);
        assert_eq!(changes.changes[0].differences[0].to_string(), "labels.team: none → x");
    }

    #[test]
    fn state_decides_where_nothing_differs() {
        let want = wanted("a", 1);
        for (state, action) in [
            (ServerState::Running, Action::Keep),
            (ServerState::Stopped, Action::Start),
            (ServerState::Incomplete, Action::Create),
        ] {
            let changes =
                Changes::between(&name("i"), std::slice::from_ref(&want), &[made(&want, state)], Others::Leave);
            assert_eq!(changes.changes[0].action, action);
        }
    }

    #[test]
    fn who_made_a_server_is_no_difference() {
        let want = wanted("a", 1);
        let mut server = made(&want, ServerState::Running);
        server.spec.operation = "batch/operation".to_owned();
        assert!(!Changes::between(&name("i"), &[want], &[server], Others::Leave).any());
    }

    #[test]
    fn only_prune_deletes_and_never_what_batches_or_clusters_made() {
        let plain = made(&wanted("plain", 1), ServerState::Running);
        let mut of_batch = made(&wanted("of-batch", 1), ServerState::Running);
        of_batch.spec.operation = "0190/web".to_owned();
        let mut of_cluster = made(&wanted("of-cluster", 1), ServerState::Running);
        of_cluster.spec.labels.insert(CLUSTER_LABEL.to_owned(), "etcd".to_owned());
        let actual = [plain, of_batch, of_cluster];
        assert!(!Changes::between(&name("i"), &[], &actual, Others::Leave).any());
        let changes = Changes::between(&name("i"), &[], &actual, Others::Prune);
        let deleted: Vec<&str> = changes.of(Action::Delete).map(|change| change.server.as_str()).collect();
        assert_eq!(deleted, ["plain"]);
        assert_eq!(changes.sentence(), "Plan for i: 1 to delete, 2 to leave");
        assert!(Changes::between(&name("i"), &[], &actual, Others::Ignore).changes.is_empty());
    }

    fn servers() -> impl Strategy<Value = Vec<Wanted>> {
        let servers = btree_map("[a-e]", 1_u32..3, 0..6);
        servers.prop_map(|servers| servers.iter().map(|(name, cpus)| wanted(name, *cpus)).collect())
    }

    fn others() -> impl Strategy<Value = Others> {
        prop_oneof![Just(Others::Leave), Just(Others::Prune)]
    }

    /// The servers after `changes` were carried out.
    fn applied(changes: &Changes) -> Vec<Server> {
        let after = changes.changes.iter().filter_map(|change| match change.action {
            Action::Keep | Action::Leave => change.actual.clone(),
            Action::Create | Action::Start | Action::Update | Action::Replace => {
                let spec = change.wanted.clone()?;
                Some(made(&Wanted { provider: name(&change.provider), spec }, ServerState::Running))
            }
            Action::Delete => None,
        });
        after.collect()
    }

    proptest! {
        #[test]
        fn carrying_out_a_plan_leaves_nothing_to_change(wants in servers(), has in servers(), others in others()) {
            let actual: Vec<Server> = has.iter().map(|want| made(want, ServerState::Running)).collect();
            let changes = Changes::between(&name("i"), &wants, &actual, others);
            let after = applied(&changes);
            prop_assert!(!Changes::between(&name("i"), &wants, &after, others).any());
            for want in &wants {
                prop_assert!(after.iter().any(|server| server.spec == want.spec));
            }
        }

        #[test]
        fn every_server_gets_exactly_one_change(wants in servers(), has in servers(), others in others()) {
            let actual: Vec<Server> = has.iter().map(|want| made(want, ServerState::Stopped)).collect();
            let changes = Changes::between(&name("i"), &wants, &actual, others);
            let named: Vec<&Name> = changes.changes.iter().map(|change| &change.server).collect();
            let distinct: BTreeSet<&Name> = named.iter().copied().collect();
            let all: BTreeSet<&Name> = wants.iter().chain(&has).map(|want| &want.spec.name).collect();
            prop_assert_eq!(named.len(), distinct.len());
            prop_assert_eq!(distinct, all);
            prop_assert_eq!(changes.summary().values().sum::<usize>(), changes.changes.len());
        }

        #[test]
        fn without_prune_nothing_is_deleted(wants in servers(), has in servers()) {
            let actual: Vec<Server> = has.iter().map(|want| made(want, ServerState::Running)).collect();
            let changes = Changes::between(&name("i"), &wants, &actual, Others::Leave);
            prop_assert_eq!(changes.of(Action::Delete).count(), 0);
        }
    }
}
