//! The decision, and which policies made it.

use cedar_policy::{AuthorizationError, Effect, Entities, EntityUid, PolicySet, Response};

use super::compile::Policies;
use super::depth::with_room;
use super::entities::question;
use super::request::Request;
use super::schema::VOCABULARY;
use super::slice::Slice;

/// What the policies say to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The names of the permits that allowed it or of the forbids that denied it, sorted. Empty when nothing permits it.
    pub policies: Vec<String>,
    /// What failed on the way; see the module's rules for what that means.
    pub errors: Vec<String>,
}

impl Policies {
    /// Decides.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_by(request, Slice::about)
    }

    /// Decides by what `choose` takes of the policies that concern the action.
    pub(super) fn decide_by(
        &self,
        request: &Request<'_>,
        choose: for<'s> fn(&'s Slice, &EntityUid, &Entities) -> &'s PolicySet,
    ) -> Decision {
        let (cedar, entities) = match question(request) {
            Ok(question) => question,
            Err(error) => return Decision { errors: vec![error], ..Decision::default() },
        };
        let slice = &self.by_action[request.action as usize];
        let Some(resource) = cedar.resource() else { return Decision::default() };
        let policies = choose(slice, resource, &entities);
        let response = with_room(|| VOCABULARY.authorizer.is_authorized(&cedar, policies, &entities));
        let failed = response.diagnostics().errors().map(|AuthorizationError::PolicyEvaluationError(error)| error);
        let failed_forbids = failed
            .filter(|error| policies.policy(error.policy_id()).is_none_or(|policy| policy.effect() == Effect::Forbid))
            .map(|error| error.policy_id().to_string());
        Decision::of(&response, failed_forbids.collect())
    }
}

impl Decision {
    fn of(response: &Response, failed_forbids: Vec<String>) -> Self {
        let permitted = response.decision() == cedar_policy::Decision::Allow;
        let allowed = permitted && failed_forbids.is_empty();
        // Permits that were overruled decided nothing.
        let reasons = response.diagnostics().reason().filter(|_| permitted == allowed).map(ToString::to_string);
        let mut policies: Vec<String> = reasons.chain(failed_forbids).collect();
        policies.sort_unstable();
        let mut errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
        errors.sort_unstable();
        Self { allowed, policies, errors }
    }
}
