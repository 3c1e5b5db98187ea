//! What has to change for the servers that are there to become the servers that are wanted.
//!
//! Pure: two lists in, a list of changes out; how two servers are compared is [`compare`]. Knows no provider and changes nothing; [`super::servers`] carries it out.
//! A server that is there and not wanted is left alone unless its deletion was asked for, and then only where the
//! settings are what made it: servers of batches and of clusters are not theirs to delete.

mod compare;
pub mod drift;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::provider::{Server, ServerSpec};
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

    /// What nobody knows of a server before this is done.
    const fn known_after(self) -> &'static [&'static str] {
        if matches!(self, Self::Create | Self::Replace) { &["id", "address"] } else { &[] }
    }

    /// What undoes it, as far as it can be undone.
    const fn rollback(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("delete it"),
            Self::Start | Self::Update => Some("leave it: nothing that it holds was touched"),
            Self::Replace => Some("delete the new one; what the old one held is gone"),
            Self::Delete => Some("nothing brings back what it held"),
            Self::Keep | Self::Leave => None,
        }
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
    /// Attributes of the server that nobody knows before it is made.
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    pub known_after: &'static [&'static str],
    /// What undoes it; none where nothing changes, and where what was there can't be had back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<&'static str>,
    /// Why, where the rest doesn't say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What somebody should know before it is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
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
        let toward = wanted.iter().map(|wanted| compare::toward(wanted, there.get(&wanted.spec.name).copied()));
        let rest = there.values().filter(|server| others != Others::Ignore && !names.contains(&server.spec.name));
        let changes = toward.chain(rest.map(|server| compare::undeclared(server, others == Others::Prune))).collect();
        Self { infra: infra.clone(), changes }
    }

    /// The deletion of those of `actual` that `goes` is true of.
    #[must_use]
    pub fn deleting(infra: &Name, actual: &[Server], goes: impl Fn(&Server) -> bool) -> Self {
        let changes = actual.iter().filter(|server| goes(server));
        Self {
            infra: infra.clone(),
            changes: changes.map(|server| compare::of_actual(Action::Delete, server, None)).collect(),
        }
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

#[cfg(test)]
mod tests;
