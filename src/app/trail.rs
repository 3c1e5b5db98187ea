//! Events for the audit trail, made in one place: who, from where, what, to what, by whose leave, how it ended.
//!
//! Each is a [`Change`] that is committed with what it tells of, so that there is neither a deed without its entry nor an
//! entry without its deed. Doesn't know what is stored; what must not be stored is taken out when the event is sealed.

use serde_json::{Map, Value};

use super::context::{self, Caller, Context, Permit};
use crate::audit::{Actor, Credential, Decision, Event, Outcome, Resource};
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::model::user::{User, username};
use crate::policy;
use crate::store::Change;

/// The operation called `id` was done, or accepted.
pub(super) fn done(context: &Context, permit: &Permit, id: &'static str, resource: Resource, now: Timestamp) -> Change {
    change(Event { decision: allowed(permit), ..event(&context.caller, actor(context), id, resource, now) })
}

/// The same with facts that belong to it: an object.
pub(super) fn done_with(
    context: &Context,
    permit: &Permit,
    id: &'static str,
    resource: Resource,
    now: Timestamp,
    details: Value,
) -> Change {
    detailed(done(context, permit, id, resource, now), details)
}

/// Somebody who has proven nothing but gave this name tried the operation called `id`.
pub(super) fn unproven(caller: &Caller, given: &str, id: &'static str, outcome: Outcome, now: Timestamp) -> Change {
    let username = &name_given(given);
    let resource = Resource::new("user", username);
    change(Event { outcome, ..event(caller, Actor::unproven(username), id, resource, now) })
}

/// The user did something that concerns a session of theirs; `credential` says what proved them.
pub(super) fn of_session(
    caller: &Caller,
    user: &User,
    session: SessionId,
    credential: Credential,
    (id, outcome): (&'static str, Outcome),
    now: Timestamp,
) -> Change {
    let actor = Actor {
        user: Some(user.id),
        username: user.username.clone(),
        roles: user.roles.clone(),
        credential,
        credential_id: Some(session.to_string()),
    };
    change(Event { outcome, ..event(caller, actor, id, Resource::new("session", session), now) })
}

/// The daemon did something of its own accord.
pub(super) fn own(action: &'static str, resource: Resource, now: Timestamp, details: Value) -> Change {
    let caller = Caller::none();
    detailed(change(event(&caller, Actor::daemon(), action, resource, now)), details)
}

/// The policies refused the operation called `id`.
pub(super) fn denied(
    context: &Context,
    id: &'static str,
    resource: &policy::Resource<'_>,
    policies: Vec<String>,
    now: Timestamp,
) -> Event {
    let resource = named(resource);
    let event = event(&context.caller, actor(context), id, resource, now);
    Event { decision: Decision::Denied { policies }, outcome: Outcome::Denied, ..event }
}

/// The operation called `id` takes a second factor, by the role of whoever asked.
pub(super) fn without_factor(context: &Context, id: &'static str, now: Timestamp) -> Event {
    let outcome = Outcome::Failure { code: "mfa_required".to_owned() };
    Event { outcome, ..event(&context.caller, actor(context), id, Resource::all("system"), now) }
}

/// Somebody without a good token tried the operation called `id`.
pub(super) fn nobody(caller: &Caller, id: &'static str, now: Timestamp) -> Event {
    let outcome = Outcome::Failure { code: "unauthenticated".to_owned() };
    Event { outcome, ..event(caller, Actor::unproven(""), id, Resource::all("system"), now) }
}

/// A login that wasn't looked at, because too many had failed.
pub(super) fn rate_limited(caller: &Caller, given: &str, id: &'static str, now: Timestamp) -> Event {
    let username = &name_given(given);
    let outcome = Outcome::Failure { code: "rate_limited".to_owned() };
    Event { outcome, ..event(caller, Actor::unproven(username), id, Resource::new("user", username), now) }
}

/// The change with these details.
pub(super) fn detailed(mut change: Change, details: Value) -> Change {
    if let (Change::Audit(event), Value::Object(details)) = (&mut change, details) {
        event.details.extend(details);
    }
    change
}

/// What somebody gave as their name, where it can be one: what can't may be a password in the wrong field.
fn name_given(given: &str) -> String {
    username(given).unwrap_or_else(|_| "not a user name".to_owned())
}

fn change(event: Event) -> Change {
    Change::Audit(Box::new(event))
}

fn event(caller: &Caller, actor: Actor, id: &'static str, resource: Resource, now: Timestamp) -> Event {
    Event {
        at: now,
        actor,
        address: (!caller.is_none()).then_some(caller.address),
        user_agent: caller.user_agent.clone(),
        request_id: caller.request_id.clone(),
        action: id.to_owned(),
        resource,
        decision: Decision::None,
        outcome: Outcome::Success,
        details: Map::new(),
    }
}

fn actor(context: &Context) -> Actor {
    let (credential, id) = match context.credential {
        context::Credential::Session(id) => (Credential::Session, id.to_string()),
        context::Credential::ApiToken(id) => (Credential::ApiToken, id.to_string()),
    };
    Actor {
        user: Some(context.user),
        username: context.username().to_owned(),
        roles: context.standing.roles.clone(),
        credential,
        credential_id: Some(id),
    }
}

/// What no policy was asked about was decided by none.
fn allowed(permit: &Permit) -> Decision {
    if permit.policies.is_empty() { Decision::None } else { Decision::Allowed { policies: permit.policies.clone() } }
}

/// What policies see, as the trail names it.
fn named(resource: &policy::Resource<'_>) -> Resource {
    match resource {
        policy::Resource::System => Resource::all("system"),
        policy::Resource::Infra(infra) => Resource::new("infra", infra.name),
        policy::Resource::Task { id, .. } => Resource::new("task", id),
        policy::Resource::Batch { id, .. } => Resource::new("batch", id),
        policy::Resource::User(user) => Resource::new("user", user.username),
        policy::Resource::Policy(name) => Resource::new("policy", name),
    }
}
