//! Which policies a request needs: those whose scope names its action, and its resource or something that is in. Cedar looks at
//! each policy that it is given, and most of a large set name an infra that is another one.
//!
//! What is left out could neither decide nor fail: a scope that doesn't fit ends the evaluation of its policy.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, Entities, EntityUid, Policy, PolicySet, ResourceConstraint};

use super::schema::VOCABULARY;
use crate::api::actions::Action;

/// The most that the sets of one action may hold together; an action with more has one set alone.
const MOST: usize = 20_000;

/// The policies that concern one action.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    all: PolicySet,
    /// Those that name no resource.
    open: PolicySet,
    /// By each resource that a scope names: those that name it, and the open ones.
    naming: HashMap<EntityUid, PolicySet>,
}

impl Slice {
    /// Those of the policies that concern the action.
    pub(super) fn of(action: Action, policies: &[Policy]) -> Self {
        let uid = VOCABULARY.action(action);
        let concerns = |policy: &&Policy| match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::In(actions) => actions.contains(uid),
            ActionConstraint::Eq(only) => only == *uid,
        };
        let all: Vec<&Policy> = policies.iter().filter(concerns).collect();
        let (mut open, mut named) = (Vec::new(), HashMap::<EntityUid, Vec<&Policy>>::new());
        for policy in &all {
            match policy.resource_constraint() {
                ResourceConstraint::Any | ResourceConstraint::Is(_) => open.push(*policy),
                ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
                    named.entry(uid).or_default().push(policy);
                }
            }
        }
        if named.len() * open.len() + all.len() > MOST {
            return Self { open: set(&all), all: set(&all), naming: HashMap::new() };
        }
        let naming = named.into_iter().map(|(uid, own)| (uid, set(&[open.as_slice(), &own].concat()))).collect();
        Self { all: set(&all), open: set(&open), naming }
    }

    /// Those that a request about this resource needs.
    pub(super) fn about(&self, resource: &EntityUid, entities: &Entities) -> &PolicySet {
        let within = entities.ancestors(resource).into_iter().flatten();
        let mut named = std::iter::once(resource).chain(within).filter_map(|uid| self.naming.get(uid));
        match (named.next(), named.next()) {
            (None, _) => &self.open,
            (Some(set), None) => set,
            (Some(_), Some(_)) => &self.all,
        }
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all(&self) -> &PolicySet {
        &self.all
    }
}

fn set(policies: &[&Policy]) -> PolicySet {
    PolicySet::from_policies(policies.iter().copied().cloned()).expect("no two policies have one name")
}
