//! The policies in force: what the store has, compiled; exchanged as a whole, so that nobody is judged by half of a change.

use std::sync::{Arc, PoisonError, RwLock};

use crate::policy::{Policies, PolicyText, Problems};
use crate::store::record::PolicyRecord;

/// One generation of the policies, ready to decide.
pub(super) struct Set {
    pub(super) policies: Policies,
    /// Counts the changes of the policies in the store.
    generation: u64,
    /// Whether what may be read depends on more than who asks and the infra: then lists are judged row by row.
    pub(super) looks_at_rows: bool,
}

/// The policies in force.
pub struct InForce(RwLock<Arc<Set>>);

impl Set {
    /// Compiles the policies of a generation.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(super) fn compile(generation: u64, policies: &[PolicyRecord]) -> Result<Self, Problems> {
        let enabled = || policies.iter().filter(|policy| policy.enabled);
        let looks_at_rows = enabled().any(|policy| names_a_row(&policy.content));
        Ok(Self { policies: Policies::compile(enabled().map(text))?, generation, looks_at_rows })
    }
}

/// A record as the compiler takes it.
pub(super) fn text(policy: &PolicyRecord) -> PolicyText<'_> {
    let PolicyRecord { id, name, content, enabled, .. } = policy;
    PolicyText { id: *id, name: name.as_str(), content, enabled: *enabled }
}

/// Whether a text may tell one task or batch of an infra from another: by an attribute that is not the infra's, or by naming
/// it. It is the words that count, wherever they stand, because to judge row by row where it isn't needed costs time and is
/// not wrong. Words can hide behind escapes, so these count as well.
fn names_a_row(content: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = content.split(|c| !is_word(c));
    content.contains('\\') || words.any(|word| matches!(word, "name" | "submitted_by" | "Task" | "Batch"))
}

impl InForce {
    pub(super) fn new(set: Set) -> Self {
        Self(RwLock::new(Arc::new(set)))
    }

    pub(super) fn get(&self) -> Arc<Set> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a set into force, unless a later one is already.
    pub(super) fn exchange(&self, set: Set) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if set.generation > now.generation {
            *now = Arc::new(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::shipped;

    #[test]
    fn what_ships_judges_infras_and_not_rows() {
        for policy in shipped() {
            assert!(!names_a_row(policy.content), "{}", policy.name);
        }
    }

    #[test]
    fn texts_that_tell_rows_apart_are_noticed() {
        for content in [
            "permit (principal, action, resource) when { resource.submitted_by == principal.username };",
            "forbid (principal, action, resource) when { resource[\"name\"] == \"x\" };",
            "forbid (principal, action, resource == Task::\"7\");",
            "forbid (principal, action, resource is Batch);",
            "forbid (principal, action, resource) when { resource[\"submitted\\u{5f}by\"] == \"x\" };",
        ] {
            assert!(names_a_row(content), "{content}");
        }
        assert!(!names_a_row("permit (principal, action, resource) when { principal.username == \"surname\" };"));
    }
}
