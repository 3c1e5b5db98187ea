//! What came of carrying out a plan, server by server, and how that is told.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{counted, list};
use crate::model::name::Name;
use crate::provision::plan::Action;
use crate::provision::provider::Server;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done, in the order of the plan.
    pub done: Vec<Done>,
    /// What failed.
    pub failed: Vec<Failure>,
    /// What was not tried, because something else had failed.
    pub untried: Vec<(Action, Name)>,
}

/// A server that was done.
#[derive(Debug, Serialize)]
pub struct Done {
    /// What happened.
    pub action: Action,
    /// To which server.
    pub name: Name,
    /// The server, if it is there now.
    pub server: Option<Server>,
}

/// A server that could not be done.
#[derive(Debug)]
pub struct Failure {
    /// What was to happen.
    pub action: Action,
    /// To which server.
    pub server: Name,
    /// Why it did not.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Outcome {
    /// The servers that are there now.
    #[must_use]
    pub fn servers(&self) -> Vec<&Server> {
        self.done.iter().filter_map(|done| done.server.as_ref()).collect()
    }

    /// What the users of the servers that were made or started should know, each with the servers that it is true of.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let fresh = |done: &&Done| matches!(done.action, Action::Create | Action::Replace | Action::Start);
        for server in self.done.iter().filter(fresh).filter_map(|done| done.server.as_ref()) {
            let unlimited =
                server.limits.starts_with("not enforced").then(|| format!("its plan's limits are {}", server.limits));
            for note in server.notes.iter().cloned().chain(unlimited) {
                notes.entry(note).or_default().push(server.spec.name.as_str());
            }
        }
        notes.into_iter().map(|(note, servers)| format!("{}: {note}", servers.join(", "))).collect()
    }

    /// What to do about the first failure that says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.failed.iter().find_map(|failure| failure.hint.clone())
    }

    /// The whole as a sentence for people: `Successfully created 3 servers`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let changed: Vec<(Action, usize)> = Action::ALL
            .into_iter()
            .filter(|action| action.is_change())
            .map(|action| (action, self.count(action)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let kept = self.count(Action::Keep);
        if changed.is_empty() {
            return match kept {
                0 => "Nothing to do: there are no such servers".to_owned(),
                _ => format!("Nothing to do: {} as declared", counted(kept, "server is", "servers are")),
            };
        }
        let mut parts: Vec<String> = Vec::new();
        for (action, count) in changed {
            let servers = if parts.is_empty() { counted(count, "server", "servers") } else { count.to_string() };
            parts.push(format!("{} {servers}", past(action)));
        }
        if kept > 0 {
            parts.push(format!("kept {kept}"));
        }
        format!("Successfully {}", parts.join(", "))
    }

    fn count(&self, action: Action) -> usize {
        self.done.iter().filter(|done| done.action == action).count()
    }
}

/// What was done to a server, in a word.
const fn past(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Start => "started",
        Action::Update => "updated",
        Action::Replace => "replaced",
        Action::Delete => "deleted",
        Action::Keep => "kept",
        Action::Leave => "left",
    }
}

impl fmt::Display for Outcome {
    /// What failed and why, what was done all the same, and what was not tried.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures: Vec<String> = self
            .failed
            .iter()
            .map(|failure| format!("{}: can't {}: {}", failure.server, failure.action, failure.why))
            .collect();
        write!(f, "{} failed:{}", counted(failures.len(), "server", "servers"), list(&failures))?;
        for action in Action::ALL.into_iter().filter(|action| action.is_change()) {
            let done = self.done.iter().filter(|done| done.action == action).map(|done| done.name.as_str());
            line(f, past(action), &done.collect::<Vec<_>>())?;
        }
        let untried = self.untried.iter().filter(|(action, _)| action.is_change());
        line(f, "not tried", &untried.map(|(_, name)| name.as_str()).collect::<Vec<_>>())
    }
}

fn line(f: &mut fmt::Formatter<'_>, word: &str, names: &[&str]) -> fmt::Result {
    if names.is_empty() { Ok(()) } else { write!(f, "\n{word}: {}", names.join(", ")) }
}
