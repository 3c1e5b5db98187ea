//! The policies as an administrator meets them.

mod decisions;
mod examples;
mod lockout;
mod problems;
mod roles;
mod slices;

use std::net::IpAddr;

use uuid::Uuid;

use super::{Circumstances, Infra, Policies, PolicyText, Problems, Request, Resource, Subject, shipped};
use crate::api::actions::Action;
use crate::model::id::PolicyId;
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// Friday, 27 November 2026, 10:00 UTC.
const FRIDAY_MORNING: Timestamp = Timestamp(1_795_773_600_000);
const HOUR_MS: i64 = 3_600_000;
const STAGING: Infra<'static> = Infra { name: "web", environment: "staging" };
const PRODUCTION: Infra<'static> = Infra { name: "shop", environment: "production" };
const PERMIT_ALL: &str = "permit (principal, action, resource);";
const FORBID_ALL: &str = "forbid (principal, action, resource);";

fn text<'a>(name: &'a str, content: &'a str) -> PolicyText<'a> {
    PolicyText { id: PolicyId(Uuid::from_u128(7)), name, content, enabled: true }
}

/// What ships enabled, and these.
fn with<'a>(others: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Policies, Problems> {
    let roles = shipped().iter().filter(|shipped| shipped.enabled).map(|it| text(&it.name, it.content));
    Policies::compile(roles.chain(others.into_iter().map(|(name, content)| text(name, content))))
}

/// What ships enabled, and an example that doesn't.
fn with_example(name: &str) -> Policies {
    let example = shipped().iter().find(|it| it.name == name).unwrap();
    assert!(!example.enabled);
    with([(name, example.content)]).unwrap()
}

fn subject(roles: &[Role]) -> Subject<'_> {
    Subject { username: "alice", email: "alice@example.org", roles, mfa_enrolled: false }
}

fn task(infra: Infra<'static>) -> Resource<'static> {
    Resource::Task { id: "0190", name: "create_servers", infra, submitted_by: "bob" }
}

fn batch(infra: Infra<'static>) -> Resource<'static> {
    Resource::Batch { id: "0191", name: "rollout", infra, submitted_by: "bob" }
}

fn circumstances() -> Circumstances<'static> {
    Circumstances {
        mfa: false,
        ip: IpAddr::from([127, 0, 0, 1]),
        time: FRIDAY_MORNING,
        check_mode: false,
        operation: None,
        providers: None,
    }
}

fn request<'a>(roles: &'a [Role], action: Action, resource: Resource<'a>) -> Request<'a> {
    Request { subject: subject(roles), action, resource, circumstances: circumstances() }
}
