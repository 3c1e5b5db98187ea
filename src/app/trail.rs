//! What the audit trail is told: events that are sealed in the transaction of what they tell of.

use super::context::{Context, Permit};
use crate::audit::{self, Actor, Credential, Decision, Event, Outcome};
use crate::model::time::Timestamp;
use crate::store::Change;

/// The change that records that an operation was done.
pub(super) fn done(
    context: &Context,
    permit: &Permit,
    id: &'static str,
    resource: audit::Resource,
    now: Timestamp,
) -> Change {
    let actor = Actor {
        user: Some(context.user),
        username: context.username.clone(),
        roles: context.roles.clone(),
        credential: Credential::Session,
        credential_id: Some(context.session.to_string()),
    };
    Change::Audit(Box::new(Event {
        at: now,
        actor,
        address: Some(context.caller.address),
        user_agent: None,
        request_id: context.caller.request_id.clone(),
        action: id.to_owned(),
        resource,
        decision: Decision::Allowed { policies: permit.policies.clone() },
        outcome: Outcome::Success,
        details: serde_json::Map::new(),
    }))
}
